//! What can mostly be told from a stanza's bytes, without its tree: whoever asks every stanza asks here.

use std::borrow::Cow;

use super::Stanza;
use crate::xml::{self, Attributes, CLIENT_NS, Element, StartTag, decode_attr};

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

    /// What the first child element is called: what an iq is about, without a tree where it stands there plainly.
    ///
    /// # Errors
    /// The content does not parse, see [`Stanza::element`].
    pub(crate) fn payload_start(&self) -> Result<Option<PayloadStart<'_>>, xml::Error> {
        if let Some(told) = self.plain_payload() {
            return Ok(told.map(|(name, attributes)| PayloadStart::plain(name, attributes)));
        }
        let first = self.element()?.elements().next();
        Ok(first.map(PayloadStart::Tree))
    }

    /// Name and attributes of the first child where the content is empty, or begins with an element that has no prefix; else
    /// `None`.
    fn plain_payload(&self) -> Option<Option<(&str, Attributes<'_>)>> {
        let inner = std::str::from_utf8(&self.inner)
            .ok()?
            .trim_start_matches([' ', '\t', '\n', '\r']);
        if inner.is_empty() {
            return Some(None);
        }
        let StartTag { name, attributes } = StartTag::read(inner)?;
        // A prefix, CDATA: for the tree.
        (!name.contains([':', '!'])).then_some(Some((name, attributes)))
    }

    /// How many child elements there are, at most two: without a tree where there is nothing but an empty one.
    pub(super) fn count_children(&self) -> Result<usize, xml::Error> {
        match self.plain_payload() {
            Some(None) => return Ok(0),
            Some(Some((name, mut attributes))) => {
                attributes.by_ref().for_each(drop);
                if attributes.is_all(name) {
                    return Ok(1);
                }
            }
            None => {}
        }
        Ok(self.element()?.elements().take(2).count())
    }
}

/// The start of a stanza's first child element.
pub(crate) enum PayloadStart<'a> {
    /// As it stands in the bytes.
    Plain {
        /// The name, which has no prefix.
        name: &'a str,
        /// The namespace.
        ns: Cow<'a, str>,
        /// Its attributes.
        attributes: Attributes<'a>,
    },
    /// As the tree has it.
    Tree(&'a Element),
}

impl<'a> PayloadStart<'a> {
    fn plain(name: &'a str, attributes: Attributes<'a>) -> PayloadStart<'a> {
        let given = attributes.clone().find(|(name, _)| *name == "xmlns");
        PayloadStart::Plain {
            name,
            ns: given.map_or(Cow::Borrowed(CLIENT_NS), |(_, raw)| decode_attr(raw)),
            attributes,
        }
    }

    /// The namespace.
    #[must_use]
    pub(crate) fn ns(&self) -> &str {
        match self {
            PayloadStart::Plain { ns, .. } => ns,
            PayloadStart::Tree(element) => element.ns(),
        }
    }

    /// Whether it has that name and namespace.
    #[must_use]
    pub(crate) fn is(&self, wanted: &str, wanted_ns: &str) -> bool {
        match self {
            PayloadStart::Plain { name, ns, .. } => *name == wanted && ns == wanted_ns,
            PayloadStart::Tree(element) => element.is(wanted, wanted_ns),
        }
    }

    /// The value of the attribute of that name, which has no prefix.
    #[must_use]
    pub(crate) fn attr(&self, wanted: &str) -> Option<Cow<'a, str>> {
        match self {
            PayloadStart::Plain { attributes, .. } => attributes
                .clone()
                .find(|(name, _)| *name == wanted)
                .map(|(_, raw)| decode_attr(raw)),
            PayloadStart::Tree(element) => element.attr(wanted).map(Cow::Borrowed),
        }
    }
}
