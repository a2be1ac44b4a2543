//! Hook points, events, verdicts, bands and the bus on which Rust services and Lua scripts are equal handlers.
//!
//! The router makes an [`Event`] and fires it at a [`Point`]. Handlers answer with a [`Verdict`], at once or later
//! ([`Called::Wait`]): nothing here blocks, and nothing here knows who handles an event.

mod bus;
mod point;

pub use bus::{Band, Bus, Fired};
pub use point::{POINTS, Point, PointInfo};

pub use crate::observe::trace::TraceStep;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use crate::directory::{Account, Told};
use crate::jid::Jid;
use crate::stanza::{Stanza, StanzaError};

/// What kind of peer a stream has proved to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A user's client, bound to a full JID.
    Client,
    /// A component: it speaks for a domain (XEP-0114).
    Component,
    /// The server itself or one of its scripts: nothing came over a socket.
    Internal,
}

impl PeerKind {
    /// The word that scripts and the console show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Client => "client",
            PeerKind::Component => "component",
            PeerKind::Internal => "internal",
        }
    }
}

/// What TLS negotiated, for scripts and the console.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: String,
}

/// Who sent a stanza: the part of a session that handlers may see. Shared, because it outlives its socket.
#[derive(Debug)]
pub struct Peer {
    /// The session's number, unique in this process.
    pub id: u64,
    /// Client, component or internal.
    pub kind: PeerKind,
    /// What the stream proved: a client's full JID, a component's domain.
    pub jid: Jid,
    /// Remote address; `None` for internal peers.
    pub addr: Option<SocketAddr>,
    /// Present when the stream is encrypted.
    pub tls: Option<TlsInfo>,
    /// Who has been told that the session is available.
    pub told: Arc<Told>,
    /// The user's live state, for clients: whom the user blocks.
    pub account: Option<Arc<Account>>,
    /// Set when its account is gone by its own wish: the session ends with `not-authorized` once its answers are written.
    pub revoked: AtomicBool,
    /// `sess.vars`: plain data that scripts keep with the session across generations. Bounded by the script engine.
    pub vars: Mutex<serde_json::Map<String, serde_json::Value>>,
}

impl Peer {
    /// Whether stanzas for that address go to this peer's own stream.
    #[must_use]
    pub fn is_at(&self, address: &Jid) -> bool {
        match self.kind {
            PeerKind::Client => *address == self.jid,
            PeerKind::Component => address.domain() == self.jid.domain(),
            PeerKind::Internal => false,
        }
    }
}

/// What a handler decided (DESIGN §6; Momentum's `CONT` is `Next`, `DONE` is `Done`).
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Not mine: ask the next handler, in the end do the point's default.
    Next,
    /// Handled: no later handler and no default.
    Done,
    /// Throw the stanza away without an answer (an iq request is still answered, with `service-unavailable`).
    Drop,
    /// Refuse the stanza: its sender gets this error.
    Reject(StanzaError),
}

impl Verdict {
    /// The word that `trace` and logs show.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Next => "next",
            Verdict::Done => "done",
            Verdict::Drop => "drop",
            Verdict::Reject(_) => "reject",
        }
    }
}

/// One thing that happened, on its way along a chain of handlers.
pub struct Event {
    /// Who caused it.
    pub peer: Arc<Peer>,
    /// The stanza, absent for `session_bound` and `session_closed`. A handler may rewrite it before it answers.
    pub stanza: Option<Stanza>,
    /// Stanzas that native handlers answer with: routed after the current one, in order, to `peer`'s stream if they are
    /// addressed to it.
    pub replies: Vec<Stanza>,
    /// How many times a script's sending has led to this stanza (bounded, [`MAX_HOPS`]).
    pub hops: u8,
    /// Collected only when somebody traces one of the stanza's addresses.
    pub trace: Option<Vec<TraceStep>>,
}

/// A stanza sent by a script because of a stanza sent by a script ... ends here.
pub const MAX_HOPS: u8 = 8;

/// What a waiting handler comes back with: its verdict, and the event as it left it.
pub type Waiting = Pin<Box<dyn Future<Output = (Verdict, Event)>>>;

/// Code on a hook point: a native service, or the script engine. Lives on one worker.
pub trait Handler {
    /// For `stanzactl hooks`: one line per function that runs at `point` in `band`, in order.
    fn describe(&self, point: Point, band: Band) -> Vec<String>;

    /// Whether `call` would do anything at `point` in `band` just now.
    fn handles(&self, point: Point, band: Band) -> bool;

    /// Runs. The event is taken by value and given back, so that a handler that waits can own it.
    fn call(&self, point: Point, band: Band, event: Event) -> Called;
}

/// What [`Handler::call`] gives back.
pub enum Called {
    /// Decided at once.
    Now(Verdict, Event),
    /// Decided later.
    Wait(Waiting),
}

/// Where scripts and services put stanzas of their own: queued, and routed after the stanza under way, never nested.
pub trait Outbox {
    /// Queues `stanza` for routing; `hops` is that of the event that caused it plus one. False when the hop limit or the
    /// queue's bound refuses it.
    fn send(&self, stanza: Stanza, hops: u8) -> bool;

    /// Queues one stanza for many: each of `to` gets it, its body shared. One place in the queue, however many they are.
    fn fan_out(&self, stanza: Stanza, to: Vec<Jid>, hops: u8) -> bool;

    /// Queues stanzas that belong together, in order, in one place.
    fn send_all(&self, stanzas: Vec<Stanza>, hops: u8) -> bool;
}
