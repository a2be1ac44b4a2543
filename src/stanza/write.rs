//! Stanzas as bytes, for a stream whose default namespace is `jabber:client`.

use bytes::Bytes;

use super::Stanza;
use crate::jid::Jid;
use crate::xml::{write_attr, write_attributes};

/// About what names, quotes and the end tag of a stanza take.
const SYNTAX_BYTES: usize = 64;

impl Stanza {
    /// The children as written: what recipients share.
    #[must_use]
    pub fn inner(&self) -> &Bytes {
        &self.inner
    }

    /// About how many bytes the stanza takes as written.
    #[must_use]
    pub fn size(&self) -> usize {
        let jid = |jid: &Option<Jid>| jid.as_ref().map_or(0, |jid| jid.as_str().len());
        let text = |text: Option<&str>| text.map_or(0, str::len);
        let extra: usize = self
            .extra
            .iter()
            .flat_map(|extra| extra.iter())
            .map(|attribute| {
                2 * attribute.ns().len() + attribute.name().len() + attribute.value().len()
            })
            .sum();
        SYNTAX_BYTES
            + self.inner.len()
            + jid(&self.from)
            + jid(&self.to)
            + text(self.id())
            + text(self.lang())
            + extra
    }

    /// Appends the stanza.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        self.write_head(out, self.to.as_ref());
        out.extend_from_slice(&self.inner);
        self.write_tail(out);
    }

    /// Appends the stanza addressed to `to`, for fan-out.
    pub fn write_addressed(&self, out: &mut Vec<u8>, to: &Jid) {
        out.reserve(self.size() + to.as_str().len());
        self.write_head(out, Some(to));
        out.extend_from_slice(&self.inner);
        self.write_tail(out);
    }

    /// Appends what stands before [`Stanza::inner`]: the start tag, addressed to `to`.
    pub fn write_head(&self, out: &mut Vec<u8>, to: Option<&Jid>) {
        out.push(b'<');
        out.extend_from_slice(self.kind.name().as_bytes());
        let type_ = (!self.type_.is_empty()).then_some(&*self.type_);
        for (name, value) in [
            ("from", self.from.as_ref().map(Jid::as_str)),
            ("to", to.map(Jid::as_str)),
            ("type", type_),
            ("id", self.id()),
            ("xml:lang", self.lang()),
        ] {
            if let Some(value) = value {
                write_attr(out, name, value);
            }
        }
        if let Some(extra) = &self.extra {
            write_attributes(out, extra);
        }
        out.extend_from_slice(if self.inner.is_empty() { b"/>" } else { b">" });
    }

    /// Appends what stands behind [`Stanza::inner`]: the end tag, if there is anything inside.
    pub fn write_tail(&self, out: &mut Vec<u8>) {
        if !self.inner.is_empty() {
            out.extend_from_slice(b"</");
            out.extend_from_slice(self.kind.name().as_bytes());
            out.push(b'>');
        }
    }

    /// The whole stanza, to be kept: [`Stanza::from_bytes`] reads it back.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.write_to(&mut out);
        Bytes::from(out.into_boxed_slice())
    }
}
