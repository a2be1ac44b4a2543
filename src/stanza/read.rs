//! From framed bytes or a tree to a stanza, and the rules that every stanza keeps (RFC 6120 §8.1, §8.2).

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Condition, Kind, Stanza, StanzaError, content};
use crate::jid::{self, Jid};
use crate::xml::{
    self, Attribute, CLIENT_NS, COMPONENT_NS, Element, Header, Limits, Raw, StartTag, XML_NS,
    decode_attr,
};

/// Why an element is no stanza that can be routed. Where the sender must be told, `reply` is the answer, ready to send.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The element is no message, presence or iq of the stream's namespace.
    #[error("<{}/> is no stanza", .0.name())]
    NotStanza(Box<Element>),
    /// An address that is none.
    #[error("malformed address in `{which}`: {error}")]
    BadAddress {
        /// Which one.
        which: Address,
        /// What is wrong with it.
        error: jid::Error,
        /// `jid-malformed` (RFC 6120 §8.3.3.8). `None` for `from`, which breaks the stream, and where no answer may go.
        reply: Option<Box<Stanza>>,
    },
    /// A rule of RFC 6120 §8 is broken.
    #[error("{reason}")]
    BadStanza {
        /// Which one.
        reason: BadStanza,
        /// `bad-request`, or `None` where no answer may go.
        reply: Option<Box<Stanza>>,
    },
    /// Not even XML with good namespaces: this breaks the stream.
    #[error(transparent)]
    Xml(#[from] xml::Error),
}

/// An address of a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// The sender.
    From,
    /// The recipient.
    To,
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Address::From => "from",
            Address::To => "to",
        })
    }
}

/// A rule that a stanza breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStanza {
    /// RFC 6120 §8.2.3 rule 1.
    #[error("an iq without id")]
    MissingId,
    /// RFC 6120 §8.2.3 rule 2; RFC 6121 §4.7.1.
    #[error("an iq or presence of an unknown type")]
    UnknownType,
    /// RFC 6120 §8.2.3 rules 3, 5 and 6: one child in a request, at most one in a result.
    #[error("an iq with a wrong number of children")]
    Payload,
}

impl Stanza {
    /// Makes a stanza of what a stream's framer gave. Reads the start tag only, if that will do; the content is then a slice of
    /// `raw.bytes`. What comes by a component's stream is taken as what a client would have sent. The language of the stream is put on a stanza that has none (RFC 6120 §8.1.5).
    ///
    /// # Errors
    /// The element is no stanza, breaks a rule or has a bad address.
    pub fn from_raw(raw: &Raw, header: &Header) -> Result<Stanza, ParseError> {
        let scanned = if raw.self_contained {
            scan(raw, header)?
        } else {
            None
        };
        let mut stanza = match scanned {
            Some(stanza) => stanza,
            None => {
                let mut tree = Element::parse_framed(&raw.bytes, &header.ns, &header.prefixes)?;
                if header.ns == COMPONENT_NS {
                    content::exchange(&mut tree);
                }
                read(tree)?
            }
        };
        if stanza.lang.is_none() && header.lang.is_some() {
            stanza.set_lang(header.lang.as_deref());
        }
        stanza.check()
    }

    /// Makes a stanza of what [`Stanza::to_bytes`] gave.
    ///
    /// # Errors
    /// As for [`Stanza::from_raw`]; never for bytes that are whole.
    pub fn from_bytes(bytes: &Bytes) -> Result<Stanza, ParseError> {
        // They were a stanza of ours: a limit has been applied, and stamps added since.
        let limits = Limits {
            stanza_bytes: usize::MAX,
            depth: usize::MAX,
            attributes: usize::MAX,
            elements: usize::MAX,
            name_bytes: usize::MAX,
        };
        let header = Header {
            ns: CLIENT_NS.to_owned(),
            ..Header::default()
        };
        Stanza::from_raw(&Raw::check(bytes, limits)?, &header)
    }

    /// Makes a stanza of a tree.
    ///
    /// # Errors
    /// As for [`Stanza::from_raw`].
    pub fn from_element(element: Element) -> Result<Stanza, ParseError> {
        read(element)?.check()
    }

    fn check(self) -> Result<Stanza, ParseError> {
        match self.broken_rule()? {
            None => Ok(self),
            Some(reason) => {
                let reply = self.error(&StanzaError::new(Condition::BadRequest));
                Err(ParseError::BadStanza {
                    reason,
                    reply: reply.map(Box::new),
                })
            }
        }
    }

    fn broken_rule(&self) -> Result<Option<BadStanza>, xml::Error> {
        let known = self.kind.types().contains(&&*self.type_);
        Ok(match self.kind {
            Kind::Message => None,
            Kind::Presence => (!known && !self.type_.is_empty()).then_some(BadStanza::UnknownType),
            Kind::Iq if !known => Some(BadStanza::UnknownType),
            Kind::Iq if self.id.is_none() => Some(BadStanza::MissingId),
            Kind::Iq if self.is_error() => None,
            Kind::Iq => {
                let children = self.count_children()?;
                let good = children == 1 || (children == 0 && !self.is_request());
                (!good).then_some(BadStanza::Payload)
            }
        })
    }
}

/// A start tag's attributes, not yet looked at.
struct Head<'a> {
    kind: Kind,
    type_: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    lang: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    fn new(kind: Kind) -> Head<'a> {
        Head {
            kind,
            type_: None,
            id: None,
            from: None,
            to: None,
            lang: None,
        }
    }

    /// The place of the attribute of that name, `None` if no rule of ours knows it.
    fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match name {
            "type" => Some(&mut self.type_),
            "id" => Some(&mut self.id),
            "from" => Some(&mut self.from),
            "to" => Some(&mut self.to),
            "xml:lang" => Some(&mut self.lang),
            _ => None,
        }
    }

    /// A stanza without content.
    fn into_stanza(self) -> Result<Stanza, ParseError> {
        let mut stanza = Stanza::new(self.kind, self.type_.as_deref().unwrap_or_default());
        stanza.id = self.id.as_deref().map(Arc::from);
        stanza.lang = self.lang.as_deref().map(Arc::from);
        stanza.from = match self.from.as_deref().map(Jid::new).transpose() {
            Ok(from) => from,
            Err(error) => {
                return Err(ParseError::BadAddress {
                    which: Address::From,
                    error,
                    reply: None,
                });
            }
        };
        stanza.to = match self.to.as_deref().map(Jid::new).transpose() {
            Ok(to) => to,
            Err(error) => {
                let reply = stanza.error(&StanzaError::new(Condition::JidMalformed));
                return Err(ParseError::BadAddress {
                    which: Address::To,
                    error,
                    reply: reply.map(Box::new),
                });
            }
        };
        Ok(stanza)
    }
}

/// Reads the start tag. `None`: the tree is needed to tell what this is or what else its start tag says.
fn scan(raw: &Raw, header: &Header) -> Result<Option<Stanza>, ParseError> {
    let text =
        std::str::from_utf8(&raw.bytes).map_err(|_| xml::Error::NotWellFormed(xml::Fault::Utf8))?;
    let Some(tag) = StartTag::read(text) else {
        return Ok(None);
    };
    let Some(kind) = Kind::from_name(tag.name) else {
        return Ok(None);
    };
    let mut head = Head::new(kind);
    let stream_ns = header.ns.as_str();
    let mut ns = stream_ns;
    let mut attributes = tag.attributes;
    for (name, value) in attributes.by_ref() {
        match head.slot(name) {
            Some(slot) => *slot = Some(decode_attr(value)),
            // Of a self-contained element, the raw value is the namespace.
            None if name == "xmlns" => ns = value,
            None => return Ok(None),
        }
    }
    let from_component = stream_ns == COMPONENT_NS;
    if ns
        != if from_component {
            COMPONENT_NS
        } else {
            CLIENT_NS
        }
    {
        return Ok(None);
    }
    let mut inner = Bytes::new();
    if let Some(start) = attributes.content() {
        let end = memchr::memrchr(b'<', &raw.bytes).unwrap_or(start);
        inner = raw.bytes.slice(start..end.max(start));
    }
    if from_component && content::names_a_content_ns(&inner) {
        return Ok(None);
    }
    let mut stanza = head.into_stanza()?;
    stanza.inner = inner;
    Ok(Some(stanza))
}

/// Takes a tree apart, and keeps it.
fn read(element: Element) -> Result<Stanza, ParseError> {
    let kind = match Kind::from_name(element.name()) {
        Some(kind) if element.ns() == CLIENT_NS => kind,
        _ => return Err(ParseError::NotStanza(Box::new(element))),
    };
    let mut head = Head::new(kind);
    let mut extra: Vec<Attribute> = Vec::new();
    for attribute in element.attrs() {
        let known = match attribute.ns() {
            "" => head.slot(attribute.name()),
            XML_NS if attribute.name() == "lang" => head.slot("xml:lang"),
            _ => None,
        };
        match known {
            Some(slot) => *slot = Some(Cow::Borrowed(attribute.value())),
            None => extra.push(attribute.clone()),
        }
    }
    let mut stanza = head.into_stanza()?;
    if !extra.is_empty() {
        stanza.extra = Some(extra.into());
    }
    let mut inner = Vec::new();
    element.write_children(&mut inner, CLIENT_NS);
    stanza.inner = Bytes::from(inner.into_boxed_slice());
    // Prepared addresses may be spelled otherwise than in the tree, and an empty type is none.
    let mut element = element;
    if stanza.type_.is_empty() {
        element.set_attr("type", None);
    }
    for (name, jid) in [("from", &stanza.from), ("to", &stanza.to)] {
        if let Some(jid) = jid {
            element.set_attr(name, Some(jid.as_str()));
        }
    }
    stanza.tree = OnceLock::from(Arc::new(element));
    Ok(stanza)
}
