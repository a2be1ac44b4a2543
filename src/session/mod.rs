//! One authenticated peer: read loop, outbox, receipts, stream management, closing.
//!
//! A session is one future on its worker, polled by hand, so that an idle one is small: it holds no buffer and no frame
//! of an async function. Each turn it goes on with a waiting hook, releases answers whose receipts are ready, reads and
//! routes a bounded number of stanzas, and writes what its outbox holds in one go.

mod buffers;
mod headers;
mod login;
mod receipts;
mod sm;
mod turn;
mod write;

pub use buffers::Buffers;
pub use headers::Headers;
pub use login::{Login, LoginParts, LoginRules};
pub use sm::{RestoreError, SAVED_KIND, SmRules, restore};

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::config::PeerSettings;
use crate::directory::{AckTooHigh, Closing, Outbox, Resumable, Told};
use crate::hook::{Outbox as _, Peer, PeerKind, Point, TlsInfo};
use crate::jid::Jid;
use crate::net::tls::Tls;
use crate::net::{Deadline, Timers};
use crate::router::{Parked, Router, SendQueue};
use crate::stream::{Bound, StreamCondition, stream_error_bytes, too_high_bytes};
use crate::xml::{Framer, Header};
use receipts::Receipts;
use sm::Sm;
use turn::Held;
use write::Writing;

/// How long a closing stream may take to be written and shut down.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How long a peer that was sent away may take to read why, and how much of what it still says is read meanwhile.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// Stanzas read while a hook waits; more stay in the socket.
const HELD_MAX: usize = 16;

/// What the sessions of one worker share.
pub struct Shared {
    /// Routes their stanzas.
    pub router: Rc<Router>,
    /// Queues the errors that their end causes.
    pub queue: Rc<SendQueue>,
    /// Wakes them at their deadlines.
    pub timers: Timers,
    /// Lends them buffers while bytes move.
    pub buffers: Rc<Buffers>,
    /// What their stream headers have in common.
    pub headers: Headers,
    /// Stanzas of one session per turn.
    pub stanzas_per_turn: usize,
    /// How long an outbox may stay full.
    pub outbox_stall: Duration,
    /// What the configuration says of stream management now.
    pub sm: Box<dyn Fn() -> SmRules>,
    /// What the salts of users who do not exist are made of, once a login has asked the store: it never changes.
    pub unknown_salts: OnceCell<[u8; 32]>,
}

/// A session's registration in the directory.
pub struct Registered {
    /// A client's, or a component's.
    pub kind: PeerKind,
    /// The session's number.
    pub id: u64,
    /// The full JID of a client, the domain of a component.
    pub jid: Jid,
    /// Where others put stanzas for it.
    pub outbox: Arc<Outbox>,
    /// Who has been told that it is available.
    pub told: Arc<Told>,
    /// What it takes to go on, if it was there before its socket.
    pub resumed: Option<Resumable>,
}

impl Registered {
    /// What handlers see of it.
    fn peer(
        &self,
        shared: &Shared,
        (addr, tls): (Option<SocketAddr>, Option<TlsInfo>),
        vars: serde_json::Map<String, serde_json::Value>,
    ) -> Peer {
        let directory = shared.router.delivery().directory();
        let client = self.kind == PeerKind::Client;
        Peer {
            id: self.id,
            kind: self.kind,
            jid: self.jid.clone(),
            addr,
            tls,
            told: self.told.clone(),
            account: client
                .then(|| directory.find(self.jid.bare_str()))
                .flatten(),
            revoked: false.into(),
            vars: parking_lot::Mutex::new(vars),
        }
    }
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The peer closed its stream.
    ByPeer,
    /// The peer closed its socket without closing its stream.
    Lost,
    /// The peer says nothing, or takes nothing: its connection is taken to be dead, and it is told so all the same.
    Stuck(StreamCondition),
    /// The peer goes on with it on another socket.
    Resumed,
    /// The server stops; its client may resume it when it starts again.
    Shutdown,
    /// With a stream error to the peer.
    Error(StreamCondition, Option<&'static str>),
    /// The peer acknowledges what it was not sent.
    TooHigh(AckTooHigh),
    /// The operator ends it: a stream error with this text.
    Kicked(Arc<str>),
    /// The socket failed: there is nobody to tell.
    Broken,
}

/// The local part of a session: what never leaves its worker.
pub struct Session {
    shared: Rc<Shared>,
    settings: Arc<PeerSettings>,
    peer: Arc<Peer>,
    outbox: Arc<Outbox>,
    io: Tls,
    framer: Framer,
    header: Rc<Header>,
    /// Bytes read and not looked at yet: the turn was over, or too much was held.
    leftover: Vec<u8>,
    /// Reading stopped because too much waits: nothing wakes the session for its socket until it is tried again.
    paused: bool,
    parked: Option<Parked>,
    held: VecDeque<Held>,
    receipts: Receipts,
    /// From `<enable/>` on.
    sm: Option<Box<Sm>>,
    writing: Writing,
    deadline: Deadline,
    read_at_ms: u64,
    full_since_ms: Option<u64>,
    /// The last overflow of the outbox for which it has asked for what went to the spool.
    caught_up: Option<u64>,
    /// Its account is gone: it ends when its answers are written, or at this time.
    leave_by_ms: Option<u64>,
    end: Option<End>,
}

/// Makes a session of a bound stream; [`run`] runs it.
#[must_use]
pub fn open(
    shared: Rc<Shared>,
    settings: Arc<PeerSettings>,
    registered: Registered,
    (bound, addr): (Bound, SocketAddr),
) -> Box<Session> {
    Box::new(Session::new(
        shared,
        settings,
        registered,
        (bound, Some(addr)),
    ))
}

/// Runs a session to its end.
pub async fn run(mut session: Box<Session>) {
    if session.sm.is_none() {
        announce(&session.shared, Point::SessionBound, &session.peer);
        session.shared.router.drain();
    }
    poll_fn(|cx| session.poll_live(cx)).await;
    let stays = session.stay();
    let told = session.close().await;
    if !stays {
        unregister(&session.shared, &session.peer, &session.outbox);
    }
    if told {
        session.linger().await;
    }
}

impl Session {
    fn new(
        shared: Rc<Shared>,
        settings: Arc<PeerSettings>,
        mut registered: Registered,
        (bound, addr): (Bound, Option<SocketAddr>),
    ) -> Session {
        let resumed = registered.resumed.take();
        let (sm, receipts, vars) = match resumed {
            None => (None, Receipts::default(), serde_json::Map::new()),
            Some(resumable) => (
                Some(Box::new(Sm::resumed((shared.sm)(), &resumable))),
                Receipts::since(resumable.handled),
                resumable.vars,
            ),
        };
        let writing = Writing::new(registered.kind);
        let peer = Arc::new(registered.peer(&shared, (addr, bound.tls), vars));
        let header = shared.headers.share(bound.header);
        let deadline = shared.timers.deadline();
        let read_at_ms = shared.timers.clock().monotonic_ms();
        Session {
            shared,
            settings,
            peer,
            outbox: registered.outbox,
            io: bound.io,
            framer: bound.framer,
            header,
            leftover: bound.leftover,
            paused: false,
            parked: None,
            held: VecDeque::new(),
            receipts,
            sm,
            writing,
            deadline,
            read_at_ms,
            full_since_ms: None,
            caught_up: None,
            leave_by_ms: None,
            end: None,
        }
    }

    /// One poll of the session; ready when it ends. A panic in here ends this session alone (DESIGN §5).
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = catch_unwind(AssertUnwindSafe(|| self.turn(cx)));
        if turn.is_err() {
            self.shared.router.counters().panics.one();
            tracing::error!(jid = %self.peer.jid, "a panic ends this session");
            self.end = Some(End::Error(StreamCondition::InternalServerError, None));
        }
        if self.end.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Says why and closes the stream, within [`CLOSE_TIME`]. True when an error was written, for the peer to read.
    async fn close(&mut self) -> bool {
        let end = self.end.take().unwrap_or(End::Broken);
        tracing::debug!(jid = %self.peer.jid, ?end, "the session ends");
        // Of a session that goes on elsewhere, nothing is closed on a socket that is gone.
        if end == End::Broken {
            return false;
        }
        let at_ms = self.in_ms(CLOSE_TIME);
        self.writing.append(&match &end {
            End::Error(condition, app) => stream_error_bytes(*condition, None, *app),
            End::Stuck(condition) => stream_error_bytes(*condition, None, None),
            End::Resumed => stream_error_bytes(StreamCondition::Conflict, None, None),
            End::Shutdown => stream_error_bytes(StreamCondition::SystemShutdown, None, None),
            End::Kicked(why) => {
                stream_error_bytes(StreamCondition::PolicyViolation, Some(why), None)
            }
            End::TooHigh(error) => too_high_bytes(error.h, error.sent),
            End::ByPeer | End::Lost | End::Broken => b"</stream:stream>".to_vec(),
        });
        let says_why = !matches!(end, End::ByPeer | End::Lost);
        poll_fn(|cx| {
            if self.deadline.poll_at(cx, at_ms).is_ready() {
                return Poll::Ready(false);
            }
            match self.writing.poll(cx, &mut self.io) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) => self.note_written(),
            }
            let shut = self.io.poll_shutdown(cx);
            shut.map(|shut| shut.is_ok() && says_why)
        })
        .await
    }

    /// Lets the peer read why it was sent away (see [`Tls::poll_linger`]).
    async fn linger(&mut self) {
        let at_ms = self.in_ms(LINGER_TIME);
        let mut left = LINGER_BYTES;
        poll_fn(|cx| match self.deadline.poll_at(cx, at_ms) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.io.poll_linger(cx, &mut left),
        })
        .await;
    }

    fn in_ms(&self, time: Duration) -> u64 {
        let now = self.shared.timers.clock().monotonic_ms();
        now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// Goes on without its socket (XEP-0198 §5) if it may: its client may come back. Not part of the frame of [`run`], which
    /// is there for as long as the session is.
    fn stay(&mut self) -> bool {
        let lost = matches!(
            self.end,
            Some(End::Lost | End::Broken | End::Stuck(_) | End::Resumed | End::Shutdown)
        );
        let stays = lost && self.is_resumable();
        let detached = stays.then(|| self.detach()).flatten();
        detached.map(|detached| detached.start()).is_some()
    }
}

/// Scripts hear of the sessions of users.
fn announce(shared: &Shared, point: Point, peer: &Arc<Peer>) {
    if peer.kind == PeerKind::Client {
        shared.router.announce(point, peer);
    }
}

/// Takes a session out of the directory. What was not written goes on, or back to those who sent it.
fn withdraw(shared: &Shared, kind: PeerKind, (jid, session): (&Jid, u64), outbox: &Arc<Outbox>) {
    let delivery = shared.router.delivery();
    let bounces = match kind {
        PeerKind::Component => delivery.detach(jid, session, outbox),
        PeerKind::Client | PeerKind::Internal => delivery.unbind(jid, session, outbox),
    };
    if !bounces.is_empty() {
        shared.queue.send_all(bounces, 0);
    }
}

/// Leaves the directory: what was not written goes on to another resource or to the spool.
fn unregister(shared: &Shared, peer: &Arc<Peer>, outbox: &Arc<Outbox>) {
    let router = &shared.router;
    withdraw(shared, peer.kind, (&peer.jid, peer.id), outbox);
    router.counters().sessions_closed.one();
    router.gone(peer);
    announce(shared, Point::SessionClosed, peer);
    router.drain();
}

impl End {
    fn asked(closing: Closing) -> End {
        match closing {
            Closing::Conflict => End::Error(StreamCondition::Conflict, None),
            Closing::Kicked(why) => End::Kicked(why),
            Closing::Revoked => End::Error(StreamCondition::NotAuthorized, None),
            Closing::HostGone => End::Error(StreamCondition::HostGone, None),
            Closing::Shutdown => End::Shutdown,
            Closing::Memory | Closing::Expired => {
                End::Error(StreamCondition::ResourceConstraint, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_result<A, F>(_of: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_frame_of_an_idle_session_is_small() {
        let bytes = size_of_result(run);
        assert!(bytes <= 128, "{bytes}");
    }
}
