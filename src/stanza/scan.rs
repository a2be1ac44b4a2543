//! What can mostly be told from a stanza's bytes, without its tree: whoever asks every stanza asks here.

use std::borrow::Cow;

use super::Stanza;
use crate::xml::{self, CLIENT_NS, Element, StartTag, decode_attr};

impl Stanza {
    /// The text of a message's first body (RFC 6121 §5.2.3).
    #[must_use]
    pub fn body(&self) -> Option<Cow<'_, str>> {
        match self.plain_body() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.child("body", CLIENT_NS).map(Element::text),
        }
    }

    /// The body where no tree is needed to read it: it is the first child, and its text is as it stands. Most are so, and
    /// scripts ask every message for it.
    fn plain_body(&self) -> Option<&str> {
        let inner = std::str::from_utf8(&self.inner).ok()?;
        let StartTag {
            name,
            mut attributes,
        } = StartTag::read(inner)?;
        let ours = name == "body" && attributes.all(|(name, _)| name != "xmlns");
        let content = inner.get(attributes.content().filter(|_| ours)?..)?;
        // A reference or a line end to resolve, CDATA, a child: for the tree.
        let end = memchr::memchr3(b'<', b'&', b'\r', content.as_bytes())?;
        let (text, behind) = content.split_at_checked(end)?;
        behind.starts_with("</").then_some(text)
    }

    /// Whether there is a body. Allocates only where the content speaks of a body and does not begin with it.
    ///
    /// # Errors
    /// The content does not parse, see [`Stanza::element`].
    pub fn has_body(&self) -> Result<bool, xml::Error> {
        if self.plain_body().is_some() {
            return Ok(true);
        }
        // Names are written without references.
        if memchr::memmem::find(&self.inner, b"body").is_none() {
            return Ok(false);
        }
        Ok(self.element()?.child("body", CLIENT_NS).is_some())
    }

    /// The namespace of the first child element: what an iq is about, without a tree where it stands there plainly.
    ///
    /// # Errors
    /// The content does not parse, see [`Stanza::element`].
    pub fn payload_ns(&self) -> Result<Option<Cow<'_, str>>, xml::Error> {
        if let Some(told) = self.plain_payload_ns() {
            return Ok(told);
        }
        let first = self.element()?.elements().next();
        Ok(first.map(|child| Cow::Borrowed(child.ns())))
    }

    /// The same where the content is empty, or begins with an element that has no prefix; else `None`.
    fn plain_payload_ns(&self) -> Option<Option<Cow<'_, str>>> {
        let inner = std::str::from_utf8(&self.inner)
            .ok()?
            .trim_start_matches([' ', '\t', '\n', '\r']);
        if inner.is_empty() {
            return Some(None);
        }
        let StartTag {
            name,
            mut attributes,
        } = StartTag::read(inner)?;
        // A prefix, CDATA: for the tree.
        if name.contains([':', '!']) {
            return None;
        }
        let given = attributes.find(|(name, _)| *name == "xmlns");
        Some(Some(given.map_or(Cow::Borrowed(CLIENT_NS), |(_, raw)| {
            decode_attr(raw)
        })))
    }
}
