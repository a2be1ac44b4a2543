//! Message, presence and iq, and their errors (RFC 6120 §8).
//!
//! A [`Stanza`] is its start tag, decoded, and its content as bytes that mean the same under every stream whose default
//! namespace is `jabber:client`. Routing needs the first only, so that most stanzas are forwarded without a tree: the tree
//! ([`Stanza::element`]) is made when somebody asks. Clones share everything.

mod content;
mod error;
mod presence;
mod read;
pub mod roster;
mod scan;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub use error::{Condition, ErrorType, StanzaError};
pub use presence::format_time;
pub use read::{Address, BadStanza, ParseError};
pub(crate) use scan::PayloadStart;

use crate::jid::Jid;
use crate::xml::{self, Attribute, CLIENT_NS, Element};

/// The three kinds of stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `message`: pushed to somebody.
    Message,
    /// `presence`: broadcast to who has subscribed, or sent to somebody.
    Presence,
    /// `iq`: a request or its answer.
    Iq,
}

impl Kind {
    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        [Kind::Message, Kind::Presence, Kind::Iq]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The values of `type` that RFC 6120 §8.2.3 and RFC 6121 §4.7.1, §5.2.2 define.
    #[must_use]
    pub fn types(self) -> &'static [&'static str] {
        match self {
            Kind::Message => &["chat", "error", "groupchat", "headline", "normal"],
            Kind::Presence => &[
                "unavailable",
                "subscribe",
                "subscribed",
                "unsubscribe",
                "unsubscribed",
                "probe",
                "error",
            ],
            Kind::Iq => &["get", "set", "result", "error"],
        }
    }

    fn intern_type(self, text: &str) -> Cow<'static, str> {
        match self.types().iter().find(|known| **known == text) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(text.to_owned()),
        }
    }
}

/// A message, presence or iq. Cheap to clone.
#[derive(Clone)]
pub struct Stanza {
    kind: Kind,
    /// Empty if the stanza has none.
    type_: Cow<'static, str>,
    id: Option<Arc<str>>,
    from: Option<Jid>,
    to: Option<Jid>,
    lang: Option<Arc<str>>,
    /// Attributes of the start tag that no rule of ours knows.
    extra: Option<Arc<[Attribute]>>,
    /// The children as written.
    inner: Bytes,
    /// The whole stanza as a tree, if somebody asked for it. Always says the same as the fields above.
    tree: OnceLock<Arc<Element>>,
}

impl Stanza {
    fn new(kind: Kind, type_: &str) -> Stanza {
        Stanza {
            kind,
            type_: kind.intern_type(type_),
            id: None,
            from: None,
            to: None,
            lang: None,
            extra: None,
            inner: Bytes::new(),
            tree: OnceLock::new(),
        }
    }

    /// An empty message of type `chat`.
    #[must_use]
    pub fn message(to: Jid) -> Stanza {
        Stanza {
            to: Some(to),
            ..Stanza::new(Kind::Message, "chat")
        }
    }

    /// An empty iq.
    #[must_use]
    pub fn iq(type_: &str, id: &str) -> Stanza {
        Stanza {
            id: Some(id.into()),
            ..Stanza::new(Kind::Iq, type_)
        }
    }

    /// An empty presence; `type_` is empty for "available".
    #[must_use]
    pub fn presence(type_: &str) -> Stanza {
        Stanza::new(Kind::Presence, type_)
    }

    /// Message, presence or iq.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The attribute `type`; empty if there is none.
    #[must_use]
    pub fn type_(&self) -> &str {
        &self.type_
    }

    /// The type of a message: a missing or unknown one is `normal` (RFC 6121 §5.2.2).
    #[must_use]
    pub fn message_type(&self) -> &'static str {
        let known = Kind::Message.types().iter().copied();
        known
            .into_iter()
            .find(|known| *known == self.type_)
            .unwrap_or("normal")
    }

    /// Whether the type is `error`.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.type_ == "error"
    }

    /// Whether this is an iq of type get or set: one that must be answered.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.kind == Kind::Iq && matches!(&*self.type_, "get" | "set")
    }

    /// The attribute `id`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The sender.
    #[must_use]
    pub fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }

    /// The recipient.
    #[must_use]
    pub fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// The attribute `xml:lang`, or what the stream's header said instead.
    #[must_use]
    pub fn lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// Sets or removes the sender.
    pub fn set_from(&mut self, from: Option<Jid>) {
        self.from = from;
        let from = self.from.clone();
        self.change_tree(|tree| tree.set_attr("from", from.as_ref().map(Jid::as_str)));
    }

    /// Sets or removes the recipient.
    pub fn set_to(&mut self, to: Option<Jid>) {
        self.to = to;
        let to = self.to.clone();
        self.change_tree(|tree| tree.set_attr("to", to.as_ref().map(Jid::as_str)));
    }

    /// Sets or removes the id.
    pub fn set_id(&mut self, id: Option<&str>) {
        self.id = id.map(Arc::from);
        self.change_tree(|tree| tree.set_attr("id", id));
    }

    /// Sets the type; empty removes it.
    pub fn set_type(&mut self, type_: &str) {
        self.type_ = self.kind.intern_type(type_);
        self.change_tree(|tree| tree.set_attr("type", (!type_.is_empty()).then_some(type_)));
    }

    /// Sets or removes the language.
    pub fn set_lang(&mut self, lang: Option<&str>) {
        self.lang = lang.map(Arc::from);
        self.change_tree(|tree| tree.set_attr("xml:lang", lang));
    }

    /// Keeps the tree true where that is cheap, else drops it.
    fn change_tree(&mut self, change: impl FnOnce(&mut Element)) {
        match self.tree.get_mut().and_then(Arc::get_mut) {
            Some(tree) => change(tree),
            None => self.tree = OnceLock::new(),
        }
    }

    /// The whole stanza as a tree, made at the first call.
    ///
    /// # Errors
    /// Never for a stanza that [`Stanza::from_raw`] made of what the framer passed, unless its content declares more
    /// namespaces than we follow.
    pub fn element(&self) -> Result<&Element, xml::Error> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let mut bytes = Vec::with_capacity(self.size());
        self.write_to(&mut bytes);
        let tree = Element::parse_framed(&bytes, CLIENT_NS, &[])?;
        Ok(self.tree.get_or_init(|| Arc::new(tree)))
    }

    /// Lets go of the tree, if there is one: for a stanza that is kept. Who asks for it again gets it made again.
    pub fn forget_tree(&mut self) {
        self.tree = OnceLock::new();
    }

    /// Changes the stanza as a tree. Clones of it made before are not changed.
    ///
    /// # Errors
    /// What `change` left is no stanza, or one that [`Stanza::from_element`] would refuse; the stanza is as it was.
    pub fn edit(&mut self, change: impl FnOnce(&mut Element)) -> Result<(), ParseError> {
        self.element()?;
        let tree = self
            .tree
            .take()
            .unwrap_or_else(|| Arc::new(Element::new("", "")));
        let mut tree = Arc::try_unwrap(tree).unwrap_or_else(|shared| (*shared).clone());
        change(&mut tree);
        *self = Stanza::from_element(tree)?;
        Ok(())
    }

    /// The first child element: what an iq is about.
    #[must_use]
    pub fn payload(&self) -> Option<&Element> {
        self.element().ok()?.elements().next()
    }

    /// The first child of that name and namespace.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.element().ok()?.child(name, ns)
    }

    /// Whether there is a child of that name and namespace.
    #[must_use]
    pub fn has_child(&self, name: &str, ns: &str) -> bool {
        self.child(name, ns).is_some()
    }

    /// Adds a child at the end.
    pub fn append(&mut self, child: &Element) {
        let mut inner = Vec::with_capacity(self.inner.len() + 128);
        inner.extend_from_slice(&self.inner);
        child.write_to(&mut inner, CLIENT_NS);
        self.inner = Bytes::from(inner.into_boxed_slice());
        self.change_tree(|tree| tree.push(child.clone()));
    }

    /// The same with a child more, for building.
    #[must_use]
    pub fn with_child(mut self, child: &Element) -> Stanza {
        self.append(child);
        self
    }

    /// The same with a body, for building.
    #[must_use]
    pub fn with_body(self, text: &str) -> Stanza {
        self.with_child(&Element::new("body", CLIENT_NS).with_text(text))
    }

    /// Says that the stanza was held back (XEP-0203 §3): `from` is who held it, `stamp` when it came, as XEP-0082 writes it.
    pub fn add_delay(&mut self, from: &str, stamp: &str) {
        let delay = Element::new("delay", "urn:xmpp:delay")
            .with_attr("from", from)
            .with_attr("stamp", stamp);
        self.append(&delay);
    }

    /// Puts the id that `by` gives the stanza (XEP-0359 §5), in place of any that claims to be by the same.
    ///
    /// # Errors
    /// The content does not parse, see [`Stanza::element`].
    pub fn stanza_id(&mut self, by: &Jid, id: &str) -> Result<(), ParseError> {
        const NS: &str = "urn:xmpp:sid:0";
        // Namespace names in the content are written without references, so that its bytes tell whether it has one.
        if memchr::memmem::find(&self.inner, NS.as_bytes()).is_some() {
            self.edit(|tree| {
                tree.retain(|node| match node {
                    xml::Node::Element(child) if child.is("stanza-id", NS) => {
                        let claimed = child.attr("by").map(Jid::new);
                        matches!(claimed, Some(Ok(claimed)) if claimed != *by)
                    }
                    _ => true,
                });
            })?;
        }
        let stamp = Element::new("stanza-id", NS)
            .with_attr("by", by.as_str())
            .with_attr("id", id);
        self.append(&stamp);
        Ok(())
    }

    /// An empty answer: an iq of type result, or a message or presence back, with the same id.
    #[must_use]
    pub fn reply(&self) -> Stanza {
        let type_ = match self.kind {
            Kind::Iq => "result",
            Kind::Message if !self.is_error() => &self.type_,
            Kind::Message | Kind::Presence => "",
        };
        Stanza {
            id: self.id.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
            ..Stanza::new(self.kind, type_)
        }
    }

    /// The error that answers this stanza, without its payload (RFC 6120 §8.3.1). `None` for an error or the result of an
    /// iq: those are never answered.
    #[must_use]
    pub fn error(&self, error: &StanzaError) -> Option<Stanza> {
        if self.is_error() || (self.kind == Kind::Iq && self.type_ == "result") {
            return None;
        }
        let mut reply = self.reply();
        reply.set_type("error");
        reply.append(&error.to_element());
        Some(reply)
    }
}

impl std::fmt::Debug for Stanza {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}
