//! Stream management (XEP-0198): the session's part, between the counting and the socket.
//!
//! What the peer is sent, and has not acknowledged, is kept by the outbox. What the peer sends is numbered here, and its
//! number goes with its receipt (`receipts.rs`): the peer is told of a stanza when it and all before it are safe.

mod counters;
mod detached;
mod saved;

pub(super) use counters::h as number;
pub(super) use detached::keep;
pub use saved::{RestoreError, SAVED_KIND, restore};

use std::time::Duration;

use super::turn::after;
use super::{End, Session};
use crate::directory::{AckLimits, Position, Resumable, Unacked};
use crate::stanza::Condition;
use crate::stream::StreamCondition;
use crate::stream::sm::{self, Management};
use counters::Inbound;

/// When the peer has acknowledged nothing new and owes something still, it is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Bytes of our own elements behind a write that hangs; further answers are told as one, later.
const SAID_MAX: usize = 4096;

/// What the configuration says about stream management.
#[derive(Clone, Copy, Debug)]
pub struct SmRules {
    /// How much a peer may leave unacknowledged.
    pub unacked: AckLimits,
    /// How long it may take to answer a request.
    pub ack_time: Duration,
    /// How long a session may be without a socket; `None`: no session is resumed.
    pub resume_time: Option<Duration>,
    /// Sessions of one user that may be without a socket.
    pub detached_most: usize,
}

/// One session's stream management, from `<enable/>` on.
pub(super) struct Sm {
    inbound: Inbound,
    rules: SmRules,
    /// `<enabled/>` is still to be written.
    enabling: Option<Enabling>,
    /// How long it stays without a socket, if it can be resumed.
    resume_time: Option<Duration>,
    /// Since when an `<r/>` of ours has been unanswered.
    asked_since_ms: Option<u64>,
    /// When to ask again, although nothing was sent since.
    ask_again_ms: Option<u64>,
    /// Since when too much has been unacknowledged, without anything being acknowledged.
    owing_since_ms: Option<u64>,
    /// Bytes of our own elements since everything was last written.
    said: usize,
    /// An answer is due as soon as there is room.
    owed: bool,
}

/// What the peer wants when it enables.
struct Enabling {
    /// `<enabled/>` follows the stanza at this place: what is written behind it is counted.
    after: Position,
    /// To be able to resume, for so long.
    resume_time: Option<Duration>,
}

impl Sm {
    /// Goes on where it was on another socket.
    pub(super) fn resumed(rules: SmRules, resumable: &Resumable) -> Sm {
        let inbound = Inbound::since(resumable.handled);
        Sm {
            resume_time: Some(resumable.resume_time),
            ..Sm::new(rules, inbound, None)
        }
    }

    fn new(rules: SmRules, inbound: Inbound, enabling: Option<Enabling>) -> Sm {
        Sm {
            inbound,
            rules,
            enabling,
            resume_time: None,
            asked_since_ms: None,
            ask_again_ms: None,
            owing_since_ms: None,
            said: 0,
            owed: false,
        }
    }
}

impl Session {
    /// The peer says something about its stream.
    pub(super) fn manage(&mut self, said: Management) {
        match (said, self.sm.is_some()) {
            (Management::Enable { resume, max }, false) => {
                let unrouted = self.held.len() + usize::from(self.parked.is_some());
                let rules = (self.shared.sm)();
                let most = rules.resume_time.filter(|_| resume);
                let wish = max.map_or(Duration::MAX, Duration::from_secs);
                let enabling = Enabling {
                    after: self.outbox.last(),
                    resume_time: most.map(|most| most.min(wish)),
                };
                let sm = Sm::new(rules, Inbound::begin(unrouted), Some(enabling));
                self.sm = Some(Box::new(sm));
            }
            (Management::Request, true) => {
                let now_ms = self.shared.timers.clock().monotonic_ms();
                if let Some(sm) = &mut self.sm {
                    sm.inbound.ask(now_ms);
                }
                self.tell_handled(now_ms);
            }
            (Management::Ack(h), true) => self.acknowledged(h),
            // XEP-0198 §3 and §5: once, and not on a stream that has a session already.
            (
                Management::Enable { .. }
                | Management::Resume { .. }
                | Management::Request
                | Management::Ack(_),
                _,
            ) => {
                let failed = sm::failed(Condition::UnexpectedRequest);
                self.say(&failed);
            }
        }
    }

    /// A stanza was read.
    pub(super) fn count_received(&mut self) {
        if let Some(sm) = &mut self.sm {
            sm.inbound.received();
        }
    }

    /// A stanza was routed or refused: its number, 0 where nothing is counted.
    pub(super) fn count_settled(&mut self) -> u64 {
        self.sm.as_mut().map_or(0, |sm| sm.inbound.settled())
    }

    /// Answers the peer's requests that can be answered now.
    pub(super) fn tell_handled(&mut self, now_ms: u64) {
        let handled = self.receipts.handled();
        let Some(sm) = &mut self.sm else { return };
        if self.receipts.has_failed() {
            // Nothing may acknowledge it ever: the peer sends it again on another stream.
            self.end = Some(End::Error(StreamCondition::InternalServerError, None));
            return;
        }
        let due = sm.inbound.due(handled, now_ms);
        self.receipts.asked(sm.inbound.asked_since_ms());
        for _ in 0..due {
            self.say_handled();
        }
    }

    fn say_handled(&mut self) {
        let ack = sm::ack(counters::h(self.receipts.handled()));
        if !self.say(&ack)
            && let Some(sm) = &mut self.sm
        {
            sm.owed = true;
        }
    }

    /// Adds an element to what is being written. False when too much of that waits already.
    fn say(&mut self, element: &str) -> bool {
        if let Some(sm) = &mut self.sm {
            if sm.said > SAID_MAX {
                return false;
            }
            sm.said = sm.said.saturating_add(element.len());
        }
        self.writing.append(element.as_bytes());
        true
    }

    fn acknowledged(&mut self, h: u32) {
        let acked = match self.outbox.ack(h) {
            Ok(acked) => acked,
            Err(error) => {
                tracing::info!(jid = %self.peer.jid, %error, "closing a session that acknowledges what it was not sent");
                self.end = Some(End::TooHigh(error));
                return;
            }
        };
        let delivery = self.shared.router.delivery();
        delivery.delete_rows(&self.peer.jid, acked.rows);
        let now_ms = self.shared.timers.clock().monotonic_ms();
        let Some(sm) = &mut self.sm else { return };
        sm.asked_since_ms = None;
        sm.ask_again_ms = None;
        if acked.count > 0 {
            sm.owing_since_ms = None;
        }
        if acked.left > Unacked::Nothing {
            // At once if it made progress and nothing new will ask.
            let wait = if acked.count > 0 {
                Duration::ZERO
            } else {
                ASK_AGAIN
            };
            sm.ask_again_ms = Some(after(now_ms, wait));
        }
    }

    /// After `taken` stanzas were taken into the next write: what has to follow them.
    pub(super) fn follow_up(&mut self, taken: usize) {
        let Some(sm) = &mut self.sm else { return };
        let now_ms = self.shared.timers.clock().monotonic_ms();
        if let Some(enabling) = sm.enabling.take() {
            let before = self
                .writing
                .last()
                .is_some_and(|last| last < enabling.after);
            if taken > 0 && before {
                sm.enabling = Some(enabling);
                return;
            }
            sm.resume_time = enabling.resume_time;
            self.outbox.enable_acks(sm.rules.unacked);
            let enabled = self.enabled(enabling.resume_time);
            self.say(&enabled);
            return;
        }
        let again = sm.ask_again_ms.is_some_and(|at| now_ms >= at);
        if sm.asked_since_ms.is_none() && (taken > 0 || again) {
            sm.asked_since_ms = Some(now_ms);
            sm.ask_again_ms = None;
            self.writing.append(sm::REQUEST.as_bytes());
        }
    }

    /// `<enabled/>`; the session gets its secret name if it can be resumed (T33: 128 random bits).
    fn enabled(&self, resume_time: Option<Duration>) -> String {
        let Some(time) = resume_time else {
            return sm::enabled(None);
        };
        let id = self.shared.timers.clock().random_id();
        let directory = self.shared.router.delivery().directory();
        directory.with(&self.peer.jid, |_, state| {
            if let Some(resource) = state.session_mut(self.peer.id) {
                resource.resume_id = Some(id.as_str().into());
            }
        });
        sm::enabled(Some((&id, time.as_secs())))
    }

    /// Everything is with the operating system: there is room for an answer that had to wait.
    pub(super) fn said_all(&mut self) {
        let Some(sm) = &mut self.sm else { return };
        sm.said = 0;
        if std::mem::take(&mut sm.owed) {
            self.say_handled();
        }
    }

    /// Ends a session that does not acknowledge; else the next time when something is due.
    pub(super) fn poll_management(&mut self, now_ms: u64) -> Option<u64> {
        let sm = self.sm.as_mut()?;
        let level = self.outbox.unacked();
        if level < Unacked::TooMuch {
            sm.owing_since_ms = None;
        } else {
            sm.owing_since_ms.get_or_insert(now_ms);
        }
        let owing_until = sm
            .owing_since_ms
            .map(|since| after(since, self.shared.outbox_stall));
        if level == Unacked::Hopeless || owing_until.is_some_and(|at| now_ms >= at) {
            tracing::info!(jid = %self.peer.jid, "closing a session that does not acknowledge");
            self.end = Some(End::Error(StreamCondition::PolicyViolation, None));
            return None;
        }
        let dead_at = sm
            .asked_since_ms
            .map(|since| after(since, sm.rules.ack_time));
        if dead_at.is_some_and(|at| now_ms >= at) {
            tracing::info!(jid = %self.peer.jid, "a request to acknowledge is not answered");
            self.end = Some(End::Stuck(StreamCondition::ConnectionTimeout));
            return None;
        }
        let answer_at = sm.inbound.answer_by_ms();
        [owing_until, dead_at, answer_at, sm.ask_again_ms]
            .into_iter()
            .flatten()
            .min()
    }
}
