//! The receiving side of a client stream's negotiation, without I/O (RFC 6120 §4.3).
//!
//! [`Negotiation::on`] takes one [`Event`], writes what the peer must be told, and says in [`Next`] what must happen
//! before the next event. What every element means in every state stands in one table, [`table::answer`].

mod bind;
mod component;
mod header;
mod login;
mod manage;
mod register;
mod table;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Invitation;
use crate::config::{Component, Registration};
use crate::jid::Jid;
use crate::net::Clock;
use crate::sasl::{
    Credentials, Failure, Lookup, Mechanism, PlainCheck, PlainWork, Reply, ScramKeys, Secret,
    Unknown,
};
use crate::stanza::{Stanza, StanzaError};
use crate::xml::{self, CLIENT_NS, Element, Header};

use super::accept::NotResumed;
use super::condition::{StreamCondition, stream_error_bytes};
pub use component::Components;
use table::{Answer, Kind, Place};

const TLS_NS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL_NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND_NS: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const REGISTER_NS: &str = "jabber:iq:register";
const PARS_NS: &str = "urn:xmpp:pars:0";
const LIMITS_NS: &str = "urn:xmpp:stream-limits:0";
const COMPRESS_NS: &str = "http://jabber.org/protocol/compress";

/// Steps of one stream that may fail before it is closed: wrong passwords, refused resources (RFC 6120 §6.4.5 asks for two
/// to five retries).
const MAX_FAILURES: u8 = 5;

/// Whether STARTTLS is part of the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// It is refused.
    Absent,
    /// The peer may choose.
    Offered,
    /// Nothing else goes before it.
    Required,
}

/// An account that somebody asks for.
#[derive(Debug)]
pub struct NewAccount {
    /// Its bare JID, at the stream's domain.
    pub user: Jid,
    /// Its password.
    pub password: Secret,
    /// The invite, where one is needed or was shown.
    pub invite: Option<Invitation>,
}

/// What the peer is told of what it must keep to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of an element of the stream.
    pub max_bytes: usize,
    /// Silence that ends the stream, if any does.
    pub idle: Option<Duration>,
}

/// What streams of a domain announce after the login beside binding a resource: complete elements.
pub type AfterLogin = Rc<dyn Fn(&str) -> Rc<str>>;

/// Finds the component of a domain, as addresses spell it.
pub type FindComponent = Box<dyn Fn(&str) -> Option<Arc<Component>>>;

/// What a listener grants.
pub struct Rules {
    /// Whether a stream that is not encrypted yet can be.
    pub starttls: StartTls,
    /// The best first.
    pub mechanisms: Vec<Mechanism>,
    /// Whether a domain, as addresses spell it, is served here.
    pub serves: Box<dyn Fn(&str) -> bool>,
    /// The domain that speaks when the peer names none of ours.
    pub speaker: Option<String>,
    /// Who may make an account at a domain.
    pub registration: Box<dyn Fn(&str) -> Registration>,
    /// Whether an account may be registered without TLS.
    pub registration_without_tls: bool,
    /// Where components may connect.
    pub components: Components,
    /// The component of a domain, as addresses spell it.
    pub component: FindComponent,
    /// What holds before and after the login, told to the peer (XEP-0478).
    pub bounds: (Bounds, Bounds),
    /// More features of a domain after the login, as XML.
    pub after_login: AfterLogin,
}

/// What happened.
pub enum Event {
    /// The framer gave a stream header.
    Header(Header),
    /// The framer gave an element.
    Element {
        element: Element,
        /// More bytes had come behind it.
        behind: bool,
    },
    /// The peer closed its stream.
    End,
    /// The peer's XML is broken.
    Broken(xml::Error),
    /// The time for logging in is over.
    Late,
    /// The TLS handshake is done.
    Encrypted,
    /// What is stored of the user, and what an unknown one would show. `None`: it cannot be known now.
    Found(Option<(Option<Credentials>, Unknown)>),
    /// The keys of the password. `None`: they could not be derived.
    Derived(Option<ScramKeys>),
    /// The resource, or why it is refused.
    Resource(Result<Jid, StanzaError>),
    /// The full JID of the resumed session and how many stanzas of the peer it has handled, or why there is none.
    Resumed(Result<(Jid, u32), NotResumed>),
    /// The account is there, or why not.
    Registered(Result<(), StanzaError>),
    /// The id of the invite, or why it is no good.
    Shown(Result<String, StanzaError>),
    /// The component is known.
    Attached,
}

/// What must happen now; its outcome is the next event.
pub enum Next {
    /// Read a frame.
    Read,
    /// Read a frame: a new stream header.
    Restart,
    /// Write what there is, then the TLS handshake.
    StartTls,
    /// Look up this bare JID.
    Lookup(Jid),
    /// Run this away from the worker.
    Derive(PlainWork),
    /// Bind this user, with the wished resource if it has a wish.
    Bind(Jid, Option<String>),
    /// Resume this session of this user.
    Resume {
        /// Who has logged in.
        user: Jid,
        /// The session's secret name.
        previd: String,
        /// How many stanzas the peer has handled.
        h: u32,
    },
    /// Make this account.
    Register(NewAccount),
    /// Look at this token of an invite to that domain.
    ShowInvite(String, Secret),
    /// Make known that this component is here.
    Attach(Arc<Component>),
    /// Done, for a client.
    Bound(Jid, Mechanism),
    /// Done, for a component.
    Attached(Arc<Component>),
    /// Write what there is, then close: the peer ended the stream.
    End,
    /// Write what there is, then close: we ended the stream.
    Refused(Refusal),
}

/// Why we closed a stream before it was bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({})", condition.name())]
pub struct Refusal {
    /// What the peer was told.
    pub condition: StreamCondition,
    /// What the operator is told.
    pub reason: &'static str,
}

/// A login that failed, for the log.
#[derive(Clone, Debug)]
pub struct FailedLogin {
    /// The mechanism, if it is one of ours.
    pub mechanism: Option<Mechanism>,
    /// Whom the peer said to be, if it came so far.
    pub user: Option<Jid>,
    /// Why.
    pub failure: Failure,
}

enum State {
    /// A stream header comes next.
    Header,
    /// The features are told; the peer chooses.
    Features,
    /// The driver shakes hands.
    Handshake,
    /// A SASL challenge is sent.
    Exchange(Reply),
    /// The driver looks a user up.
    Lookup(Lookup),
    /// The driver derives keys.
    Derive(PlainCheck),
    /// The driver binds a resource.
    Binding(Stanza, Mechanism),
    /// The driver resumes the session of that name.
    Resuming(String, Mechanism),
    /// The driver makes an account.
    Registering(Stanza),
    /// The driver looks at an invite.
    Showing(Stanza),
    /// A component's handshake comes next.
    Component(Arc<Component>),
    /// The driver makes a component known.
    Attaching(Arc<Component>),
    /// Nothing comes any more.
    Over,
}

/// One stream on its way to its resource.
pub struct Negotiation {
    rules: Rules,
    clock: Clock,
    state: State,
    encrypted: bool,
    /// The namespace of the peer's stanzas, and of our headers.
    content_ns: &'static str,
    /// Ours is on its way since the stream was last (re)started.
    header_sent: bool,
    /// What our header called the stream.
    stream_id: String,
    /// The domain the stream was opened to, once it is known to be ours.
    domain: Option<String>,
    /// What the features told: what is accepted too (T22).
    offered: Vec<Mechanism>,
    /// The exchange under way, or that which succeeded.
    mechanism: Option<Mechanism>,
    /// Whom the exchange under way is about.
    claimed: Option<Jid>,
    /// Who logged in.
    user: Option<Jid>,
    /// The invite that was shown and has not been used.
    invite: Option<String>,
    /// An account was made on this stream.
    registered: bool,
    failures: u8,
    failed: Option<FailedLogin>,
}

impl Negotiation {
    /// A stream that is `encrypted` from its first byte, or not yet.
    pub fn new(rules: Rules, clock: Clock, encrypted: bool) -> Negotiation {
        Negotiation {
            rules,
            clock,
            state: State::Header,
            encrypted,
            content_ns: CLIENT_NS,
            header_sent: false,
            stream_id: String::new(),
            domain: None,
            offered: Vec::new(),
            mechanism: None,
            claimed: None,
            user: None,
            invite: None,
            registered: false,
            failures: 0,
            failed: None,
        }
    }

    /// The domain the stream was opened to.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The login that has failed since this was last asked.
    pub fn take_failed_login(&mut self) -> Option<FailedLogin> {
        self.failed.take()
    }

    /// Goes on by one event. What the peer must be told is added to `out`.
    pub fn on(&mut self, event: Event, out: &mut Vec<u8>) -> Next {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (_, Event::End) => {
                out.extend_from_slice(b"</stream:stream>");
                Next::End
            }
            (_, Event::Broken(error)) => self.broken(&error, out),
            (_, Event::Late) => {
                self.refuse(StreamCondition::ConnectionTimeout, "no login in time", out)
            }
            (State::Header, Event::Header(header)) => self.header(&header, out),
            (State::Component(component), Event::Element { element, .. }) => {
                self.handshake(component, &element, out)
            }
            (State::Attaching(component), Event::Attached) => self.attached(component, out),
            (State::Features, Event::Element { element, behind }) => {
                self.element(None, element, behind, out)
            }
            (State::Exchange(reply), Event::Element { element, behind }) => {
                self.element(Some(reply), element, behind, out)
            }
            (State::Handshake, Event::Encrypted) => {
                self.encrypted = true;
                self.restart()
            }
            (State::Lookup(lookup), Event::Found(found)) => self.found(lookup, found, out),
            (State::Derive(check), Event::Derived(keys)) => self.derived(check, keys, out),
            (State::Binding(iq, mechanism), Event::Resource(outcome)) => {
                self.resource(&iq, mechanism, outcome, out)
            }
            (State::Resuming(previd, mechanism), Event::Resumed(outcome)) => {
                self.resumed(&previd, mechanism, outcome, out)
            }
            (State::Registering(iq), Event::Registered(outcome)) => self.made(&iq, outcome, out),
            (State::Showing(iq), Event::Shown(outcome)) => self.shown(&iq, outcome, out),
            // The framer gives a header where one is due and nowhere else, and the driver answers what it was asked.
            _ => self.refuse(
                StreamCondition::InternalServerError,
                "an event out of its order",
                out,
            ),
        }
    }

    /// Judges an element by [`table::answer`]; `exchange` is the SASL exchange that waits for it.
    fn element(
        &mut self,
        exchange: Option<Reply>,
        element: Element,
        behind: bool,
        out: &mut Vec<u8>,
    ) -> Next {
        let place = match (&exchange, &self.user) {
            (Some(_), _) => Place::Exchange,
            (None, Some(_)) => Place::Authenticated,
            (None, None) if self.encrypted => Place::Encrypted,
            (None, None) => Place::Clear,
        };
        match (table::answer(place, Kind::of(&element)), exchange) {
            (Answer::StartTls, _) => self.starttls(behind, out),
            (Answer::Auth, _) => self.auth(&element, out),
            (Answer::Respond, Some(reply)) => self.respond(reply, &element, out),
            (Answer::Abort, _) => self.login_failed(Failure::Aborted, out),
            (Answer::NoCompression, _) => self.no_compression(out),
            (Answer::Bind, _) => self.bind(element, out),
            (Answer::Register, _) => self.register(element, out),
            (Answer::Manage, _) => self.manage(&element, out),
            (Answer::Refuse(condition), _) => {
                self.refuse(condition, "an element that has no place here", out)
            }
            (Answer::Respond, None) => self.refuse(
                StreamCondition::NotAuthorized,
                "a SASL response without a challenge",
                out,
            ),
        }
    }

    /// RFC 6120 §5.4.2.
    fn starttls(&mut self, behind: bool, out: &mut Vec<u8>) -> Next {
        if self.encrypted || self.rules.starttls == StartTls::Absent {
            out.extend_from_slice(
                format!("<failure xmlns='{TLS_NS}'/></stream:stream>").as_bytes(),
            );
            return Next::Refused(Refusal {
                condition: StreamCondition::UnsupportedFeature,
                reason: "<starttls/> that was not offered",
            });
        }
        if behind {
            // Whoever can write into the clear stream could have put it there, to be read as if TLS protected it (T14).
            return self.refuse(
                StreamCondition::PolicyViolation,
                "data behind <starttls/>",
                out,
            );
        }
        out.extend_from_slice(format!("<proceed xmlns='{TLS_NS}'/>").as_bytes());
        self.state = State::Handshake;
        Next::StartTls
    }

    /// XEP-0138 §4: compression is not offered (T11).
    fn no_compression(&mut self, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(
            format!("<failure xmlns='{COMPRESS_NS}'><unsupported-method/></failure>").as_bytes(),
        );
        self.state = State::Features;
        self.count_failure(out)
    }

    /// Counts a failed step; too many end the stream (RFC 6120 §6.4.5).
    fn count_failure(&mut self, out: &mut Vec<u8>) -> Next {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            return self.refuse(StreamCondition::PolicyViolation, "too many failures", out);
        }
        Next::Read
    }

    /// RFC 6120 §4.3.3: the peer begins a new stream on the same connection.
    fn restart(&mut self) -> Next {
        self.state = State::Header;
        self.header_sent = false;
        Next::Restart
    }

    fn broken(&mut self, error: &xml::Error, out: &mut Vec<u8>) -> Next {
        let condition = StreamCondition::of(error);
        self.close(condition, error.application_condition(), out);
        Next::Refused(Refusal {
            condition,
            reason: "XML that is broken, forbidden or too much",
        })
    }

    fn refuse(
        &mut self,
        condition: StreamCondition,
        reason: &'static str,
        out: &mut Vec<u8>,
    ) -> Next {
        self.close(condition, None, out);
        Next::Refused(Refusal { condition, reason })
    }

    /// RFC 6120 §4.9.1.2: an error during the set-up comes after a stream header of ours all the same.
    fn close(&mut self, condition: StreamCondition, application: Option<&str>, out: &mut Vec<u8>) {
        self.state = State::Over;
        if !self.header_sent {
            self.write_header(None, out);
        }
        out.extend_from_slice(&stream_error_bytes(condition, None, application));
    }
}

#[cfg(test)]
mod tests;
