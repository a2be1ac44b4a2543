//! Framing, elements, writing and limits of XML streams (RFC 6120 §11).
//!
//! - [`Framer`] cuts the bytes of a stream into a header, stanzas and an end, and refuses what is not well-formed, not
//!   allowed in XMPP or over a limit. It never looks at a byte twice and never waits for a peer to finish what is wrong.
//! - [`Element`] is a tree with namespaces resolved, made by [`Element::parse`] or by hand.
//! - Writing escapes: what an element writes parses alone. Characters that XML forbids cannot be put into one.
//!
//! **Invariant:** framer and parser accept the same texts, and only such as any XML parser reads in the same way: a difference
//! between two parsers is how a stanza is smuggled past one of them. `tests/it/xml_oracle.rs` compares both with a third.

mod chars;
mod element;
mod error;
mod framer;
mod machine;
mod parse;
mod tag;
mod write;

#[cfg(test)]
mod tests;

pub use chars::{is_name, is_text};
pub use element::{Attribute, Element, Node};
pub use error::{Bound, Error, Fault, Restricted};
pub use framer::{Frame, Framer, Header, Raw};
pub(crate) use tag::{Attributes, StartTag, decode_attr};
pub use write::{escape_attr, escape_text};
pub(crate) use write::{write_attr, write_attributes};

/// The namespace of a client's stanzas (RFC 6120 §4.8.2).
pub const CLIENT_NS: &str = "jabber:client";
/// The namespace of a component's stanzas (XEP-0114).
pub const COMPONENT_NS: &str = "jabber:component:accept";
/// The namespace of the stream element itself (RFC 6120 §4.8.1).
pub const STREAM_NS: &str = "http://etherx.jabber.org/streams";
/// The namespace of the prefix `xml`, which nobody declares (Namespaces in XML §3).
pub const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of the prefix `xmlns`, which nothing may be in (Namespaces in XML §3).
pub(crate) const XMLNS_NS: &str = "http://www.w3.org/2000/xmlns/";

/// What one stanza, or one stream header, may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a stanza or header.
    pub stanza_bytes: usize,
    /// Elements inside one another, the stanza counted.
    pub depth: usize,
    /// Attributes of one element, namespace declarations counted.
    pub attributes: usize,
    /// Elements of a stanza.
    pub elements: usize,
    /// Bytes of an element's or attribute's name, the prefix counted.
    pub name_bytes: usize,
}

impl Limits {
    /// For a peer that has not logged in. RFC 6120 §13.12 asks for at least 10,000 bytes.
    pub const BEFORE_AUTH: Limits = Limits {
        stanza_bytes: 10_000,
        depth: 16,
        attributes: 20,
        elements: 32,
        name_bytes: 128,
    };

    /// For a peer that has logged in.
    pub const BOUND: Limits = Limits {
        stanza_bytes: 262_144,
        depth: 128,
        attributes: 64,
        elements: 10_000,
        name_bytes: 256,
    };
}

/// Namespace bindings in force at one place of a stanza; more is an attack, not a document.
pub(crate) const MAX_BINDINGS: usize = 128;
