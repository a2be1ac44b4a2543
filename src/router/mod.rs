//! Where does this stanza go? Stamps `from`, fires hooks in order, chooses the route (RFC 6120 §10, RFC 6121 §8).
//!
//! A stanza's way is a small state machine over the hook points `client_*_recv`, `route` and `deliver`, so that it runs
//! straight through without an allocation when no handler waits, and can be put aside and resumed when one does.

mod presence;
mod queue;
mod screen;
mod trace;

pub use queue::SendQueue;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::Config;
use crate::delivery::{Delivered, Delivery, Receipt, blocked_error};
use crate::directory::Told;
use crate::hook::{Bus, Event, Fired, Outbox, Peer, PeerKind, Point, Verdict, Waiting};
use crate::jid::Jid;
use crate::observe::Counters;
use crate::observe::trace::Registry;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};
use screen::Screen;

/// Queued stanzas that are routed before others have their turn.
const DRAIN_MAX: usize = 256;

/// What a worker routes with.
pub struct Router {
    bus: Bus,
    delivery: Rc<Delivery>,
    queue: Rc<SendQueue>,
    traces: Arc<Registry>,
    counters: Arc<Counters>,
    config: Box<dyn Fn() -> Arc<Config>>,
    screen: Screen,
}

/// What routing gave.
pub enum Routed {
    /// The stanza has gone its way.
    Done(Outcome),
    /// A handler waits; [`Router::resume`] goes on when it is done.
    Wait(Parked),
}

/// What the sender's session has to know.
pub struct Outcome {
    /// Answers and errors for the sender's own stream, in order.
    pub answers: Vec<Stanza>,
    /// When the stanza is safe.
    pub receipt: Receipt,
}

/// A stanza put aside while a handler waits.
pub struct Parked {
    /// The waiting handler.
    pub waiting: Waiting,
    /// Where its chain goes on.
    pub at: Place,
}

/// A place in a stanza's way.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    point: Point,
    resume: usize,
}

/// What a point's default leads to.
enum Next {
    Point(Point, Event),
    End(Event, Ended),
}

/// How a stanza's way ended.
struct Ended {
    receipt: Receipt,
    fate: Cow<'static, str>,
}

impl Router {
    /// A worker's router.
    #[must_use]
    pub fn new(
        bus: Bus,
        delivery: Rc<Delivery>,
        queue: Rc<SendQueue>,
        (traces, counters): (Arc<Registry>, Arc<Counters>),
        config: Box<dyn Fn() -> Arc<Config>>,
    ) -> Router {
        Router {
            bus,
            delivery,
            queue,
            traces,
            counters,
            config,
            screen: Screen::default(),
        }
    }

    /// The worker's delivery.
    #[must_use]
    pub fn delivery(&self) -> &Rc<Delivery> {
        &self.delivery
    }

    /// The worker's hook bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The server's counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Routes a stanza of `peer`, whose `from` is stamped already (by the session, which knows what its stream proved).
    pub fn route(&self, peer: &Arc<Peer>, stanza: Stanza, hops: u8) -> Routed {
        self.counters.stanzas_in.one();
        let point = match (peer.kind, stanza.kind()) {
            (PeerKind::Internal, _) => Point::Route,
            (PeerKind::Client, Kind::Message) => Point::ClientMessageRecv,
            (PeerKind::Client, Kind::Presence) => Point::ClientPresenceRecv,
            (PeerKind::Client, Kind::Iq) => Point::ClientIqRecv,
            (PeerKind::Component, Kind::Message) => Point::ComponentMessageRecv,
            (PeerKind::Component, Kind::Presence) => Point::ComponentPresenceRecv,
            (PeerKind::Component, Kind::Iq) => Point::ComponentIqRecv,
        };
        let trace = trace::begin(&self.traces, &stanza);
        let mut event = Event {
            peer: peer.clone(),
            stanza: Some(stanza),
            replies: Vec::new(),
            hops,
            trace,
        };
        if let Err(error) = self.screen(&mut event) {
            return self.conclude(Verdict::Reject(error), event);
        }
        if sends_to_blocked(&event) {
            return self.conclude(Verdict::Reject(blocked_error()), event);
        }
        if self.shows_to_blocked(&event) {
            return self.end(event, Ended::quietly("the sender blocks its recipient"));
        }
        self.run(point, 0, event)
    }

    /// What a client or a component may not say is taken out, or refused, before any hook sees it.
    fn screen(&self, event: &mut Event) -> Result<(), StanzaError> {
        match (event.peer.kind, event.stanza.as_mut()) {
            (PeerKind::Internal, _) | (_, None) => Ok(()),
            (kind, Some(stanza)) => {
                let serves = |domain: &str| (self.config)().is_local_domain(domain);
                self.screen.check(kind, stanza, &serves)
            }
        }
    }

    /// Goes on after a handler that waited.
    pub fn resume(&self, at: Place, verdict: Verdict, event: Event) -> Routed {
        match verdict {
            Verdict::Next => self.run(at.point, at.resume, event),
            verdict => self.conclude(verdict, event),
        }
    }

    /// Tells handlers that a session was bound or has closed.
    pub fn announce(self: &Rc<Self>, point: Point, peer: &Arc<Peer>) {
        if !self.bus.listens(point) {
            return;
        }
        let event = Event {
            peer: peer.clone(),
            stanza: None,
            replies: Vec::new(),
            hops: 0,
            trace: None,
        };
        if let Routed::Wait(parked) = self.run(point, 0, event) {
            self.finish_later(parked);
        }
    }

    fn run(&self, mut point: Point, mut place: usize, mut event: Event) -> Routed {
        loop {
            match self.bus.fire(point, place, event) {
                Fired::Now(Verdict::Next, back) => match self.default(point, back) {
                    Next::Point(next, back) => {
                        (point, place, event) = (next, 0, back);
                    }
                    Next::End(back, ended) => return self.end(back, ended),
                },
                Fired::Now(verdict, back) => return self.conclude(verdict, back),
                Fired::Wait { waiting, resume } => {
                    return Routed::Wait(Parked {
                        waiting,
                        at: Place { point, resume },
                    });
                }
            }
        }
    }

    /// What a point does when every handler says next.
    fn default(&self, point: Point, event: Event) -> Next {
        match point {
            Point::SessionBound | Point::SessionClosed => Next::End(event, Ended::quietly("")),
            Point::InitialPresence | Point::SubsequentPresence | Point::UnavailablePresence => {
                Next::End(event, Ended::quietly("took effect"))
            }
            Point::ClientMessageRecv => {
                let mut event = event;
                if let Some(stanza) = event.stanza.as_mut()
                    && stanza.to().is_none()
                {
                    // RFC 6120 §10.3.1: a message without `to` is for the sender's own account.
                    stanza.set_to(Some(event.peer.jid.to_bare()));
                }
                Next::Point(Point::Route, event)
            }
            Point::ClientPresenceRecv => self.presence(event),
            Point::ClientIqRecv => {
                if event
                    .stanza
                    .as_ref()
                    .is_some_and(|stanza| stanza.to().is_none())
                {
                    return refuse(event, Condition::ServiceUnavailable);
                }
                Next::Point(Point::Route, event)
            }
            Point::ComponentMessageRecv | Point::ComponentIqRecv => {
                Next::Point(Point::Route, event)
            }
            Point::ComponentPresenceRecv => self.presence_from_outside(event),
            Point::Route => self.way(event),
            Point::SubscriptionRecv if presence::is_probe(&event) => {
                Next::End(event, Ended::quietly("nobody answers probes"))
            }
            Point::SubscriptionRecv => Next::Point(Point::Deliver, event),
            Point::Deliver => self.deliver(event),
        }
    }

    /// RFC 6120 §10: by the domain of `to`.
    fn way(&self, event: Event) -> Next {
        let Some(to) = event.stanza.as_ref().and_then(Stanza::to) else {
            return refuse(event, Condition::JidMalformed);
        };
        let config = (self.config)();
        if !config.is_local_domain(to.domain()) {
            if config.component(to.domain()).is_some() {
                return self.give(event, |stanza| self.delivery.to_component(stanza));
            }
            // Federation comes later; until then no other domain can be reached. Who did not ask is not told.
            return match event.peer.kind {
                PeerKind::Internal if presence::is_presence(&event) => {
                    Next::End(event, Ended::quietly("no way to that domain"))
                }
                _ => refuse(event, Condition::RemoteServerNotFound),
            };
        }
        if to.local().is_none() {
            return refuse(event, Condition::ServiceUnavailable);
        }
        if presence::is_subscription(&event) {
            return Next::Point(Point::SubscriptionRecv, event);
        }
        Next::Point(Point::Deliver, event)
    }

    fn deliver(&self, event: Event) -> Next {
        self.give(event, |stanza| self.delivery.deliver(stanza))
    }

    fn give(&self, mut event: Event, give: impl FnOnce(Stanza) -> Delivered) -> Next {
        let Some(stanza) = event.stanza.take() else {
            return Next::End(event, Ended::quietly("no stanza"));
        };
        // For the trace alone; a refused stanza comes back by itself.
        let traced = event.trace.is_some().then(|| stanza.clone());
        let Delivered {
            receipt,
            fate,
            back,
        } = give(stanza);
        event.stanza = back.or(traced);
        match receipt {
            Receipt::Refused(error) => reject(event, &error),
            receipt => {
                let fate = if event.trace.is_some() {
                    Cow::Owned(trace::fate(fate, &receipt))
                } else {
                    Cow::Borrowed("")
                };
                Next::End(event, Ended { receipt, fate })
            }
        }
    }

    /// A verdict other than next.
    fn conclude(&self, verdict: Verdict, event: Event) -> Routed {
        let next = match verdict {
            Verdict::Next | Verdict::Done => Next::End(event, Ended::quietly("handled")),
            // RFC 6120 §8.2.3: a request is always answered.
            Verdict::Drop if is_request(&event) => refuse(event, Condition::ServiceUnavailable),
            Verdict::Drop => Next::End(event, Ended::quietly("dropped")),
            Verdict::Reject(error) => reject(event, &error),
        };
        match next {
            Next::End(event, ended) => self.end(event, ended),
            Next::Point(point, event) => self.run(point, 0, event),
        }
    }

    fn end(&self, mut event: Event, ended: Ended) -> Routed {
        let mut receipt = ended.receipt;
        if event.trace.is_some() {
            receipt = trace::publish(&self.traces, &mut event, ended.fate.into_owned(), receipt);
        }
        let mut answers = std::mem::take(&mut event.replies);
        answers.retain(|answer| {
            let own = match answer.to() {
                Some(to) => event.peer.is_at(to),
                None => event.peer.kind != PeerKind::Internal,
            };
            if !own {
                self.queue
                    .send(answer.clone(), event.hops.saturating_add(1));
            }
            own
        });
        Routed::Done(Outcome { answers, receipt })
    }

    /// Routes what scripts and services have queued, [`DRAIN_MAX`] at a time: what is left is for
    /// [`Router::drain_always`], so that a long fan-out does not hold up the worker.
    pub fn drain(self: &Rc<Self>) {
        for _ in 0..DRAIN_MAX {
            let Some(next) = self.queue.next() else {
                return;
            };
            match self.route(&next.sender, next.stanza, next.hops) {
                Routed::Done(_) => {}
                Routed::Wait(parked) => self.finish_later(parked),
            }
        }
        self.queue.leave();
    }

    /// Runs [`Router::drain`] whenever something is queued outside a session's turn, for ever.
    pub async fn drain_always(self: Rc<Self>) {
        loop {
            self.queue.filled().await;
            self.drain();
            tokio::task::yield_now().await;
        }
    }

    /// A waiting handler of a stanza that no session waits for.
    fn finish_later(self: &Rc<Self>, parked: Parked) {
        let router = self.clone();
        tokio::task::spawn_local(async move {
            let Parked { waiting, at } = parked;
            let mut state = Some((waiting, at));
            while let Some((waiting, at)) = state.take() {
                let (verdict, event) = waiting.await;
                if let Routed::Wait(parked) = router.resume(at, verdict, event) {
                    state = Some((parked.waiting, parked.at));
                }
                router.drain();
            }
        });
    }
}

impl Ended {
    fn quietly(fate: &'static str) -> Ended {
        Ended {
            receipt: Receipt::Ready,
            fate: Cow::Borrowed(fate),
        }
    }
}

fn internal_peer(jid: Jid) -> Arc<Peer> {
    Arc::new(Peer {
        id: 0,
        kind: PeerKind::Internal,
        jid,
        addr: None,
        tls: None,
        told: Arc::new(Told::default()),
        account: None,
        revoked: false.into(),
        vars: parking_lot::Mutex::default(),
    })
}

/// XEP-0191 §3.3: a user sends nothing to those whom it blocks. Before any hook, so that nothing happens because of it.
fn sends_to_blocked(event: &Event) -> bool {
    let to = event.stanza.as_ref().and_then(Stanza::to);
    match (&event.peer.account, to) {
        (Some(account), Some(to)) => account.blocks(to),
        _ => false,
    }
}

fn is_request(event: &Event) -> bool {
    event
        .stanza
        .as_ref()
        .is_some_and(|stanza| stanza.kind() == Kind::Iq && matches!(stanza.type_(), "get" | "set"))
}

fn refuse(event: Event, condition: Condition) -> Next {
    reject(event, &StanzaError::new(condition))
}

fn reject(mut event: Event, error: &StanzaError) -> Next {
    // An error is never answered with an error (RFC 6120 §8.3.1), so there may be nothing to say.
    if let Some(answer) = event.stanza.as_ref().and_then(|stanza| stanza.error(error)) {
        event.replies.push(answer);
    }
    let fate = if event.trace.is_some() {
        Cow::Owned(trace::refused(error))
    } else {
        Cow::Borrowed("")
    };
    Next::End(
        event,
        Ended {
            receipt: Receipt::Ready,
            fate,
        },
    )
}
