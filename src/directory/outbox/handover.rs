//! A session goes on with another socket, perhaps on another worker (XEP-0198 §5): the outbox stays where it is, and the
//! session that was asks nobody but it whether somebody wants to go on in its place.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::oneshot;

use super::acks::{AckLimits, AckTooHigh, Acked, Acks};
use super::{Closing, Item, Outbox, Position, remember};
use crate::limit::Memory;

/// What of a session goes with it from socket to socket, beside what the directory keeps.
#[derive(Debug)]
pub struct Resumable {
    /// The number of the last stanza of the peer that is handled.
    pub handled: u64,
    /// How long it stays without a socket.
    pub resume_time: Duration,
    /// `sess.vars`.
    pub vars: serde_json::Map<String, serde_json::Value>,
}

/// What is in the outbox of a session that is saved.
pub struct Packed {
    /// What the peer has acknowledged.
    pub acked: u32,
    /// How many of the items had been sent.
    pub unacked: usize,
    /// What was not acknowledged, then what was not written.
    pub items: Vec<Item>,
}

/// What others want of a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is to end.
    End(Closing),
    /// Somebody wants to go on in its place: see [`Outbox::hand_over`].
    HandOver,
}

/// Whether a session is on its way from one socket to the next.
#[derive(Debug, Default)]
pub(super) enum Handover {
    #[default]
    No,
    /// Somebody asks for it.
    Asked(oneshot::Sender<Resumable>),
    /// Somebody has it who has not gone on with it yet.
    Given,
}

impl Outbox {
    /// Asks the session for what it takes to go on in its place. `None`: it is ending, or somebody else has asked. The
    /// channel closes when the session ends instead.
    #[must_use]
    pub fn ask_handover(&self) -> Option<oneshot::Receiver<Resumable>> {
        let mut state = self.state.lock();
        if state.closed || state.closing.is_some() || !matches!(state.handover, Handover::No) {
            return None;
        }
        let (give, given) = oneshot::channel();
        state.handover = Handover::Asked(give);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(given)
    }

    /// For the session: what somebody wants of it; `waker` is woken when that changes, and by the next arrival.
    #[must_use]
    pub fn wish(&self, waker: &Waker) -> Option<Wish> {
        let mut state = self.state.lock();
        remember(&mut state.waker, waker);
        match (&state.closing, &state.handover) {
            (Some(why), _) => Some(Wish::End(why.clone())),
            (None, Handover::Asked(_)) => Some(Wish::HandOver),
            (None, Handover::No | Handover::Given) => None,
        }
    }

    /// For the session: gives what it takes to go on to whoever has asked. From then on the outbox is theirs.
    ///
    /// # Errors
    /// Nobody asks any more: the session goes on itself.
    pub fn hand_over(&self, resumable: Resumable) -> Result<(), Resumable> {
        let mut state = self.state.lock();
        match std::mem::take(&mut state.handover) {
            Handover::Asked(give) => {
                give.send(resumable)?;
                state.handover = Handover::Given;
                Ok(())
            }
            other => {
                state.handover = other;
                Err(resumable)
            }
        }
    }

    /// For who was given a session: it goes on. The peer has handled `h` stanzas; what it has not comes again.
    ///
    /// # Errors
    /// More than were sent; nothing is changed.
    pub fn resume(&self, h: u32) -> Result<Acked, AckTooHigh> {
        let acked = self.ack(h)?;
        let mut state = self.state.lock();
        state.handover = Handover::No;
        let unacked = state.acks.as_mut().map(|acks| acks.take());
        if let Some(mut queue) = unacked.filter(|unacked| !unacked.is_empty()) {
            let bytes = queue.iter().fold(self.bytes(), |sum, (_, stanza)| {
                sum.saturating_add(super::cost(stanza))
            });
            queue.append(&mut state.queue);
            state.queue = queue;
            self.set_bytes(&mut state, bytes);
        }
        Ok(acked)
    }

    /// For who was given a session and cannot go on with it: it can be asked for again.
    pub fn put_back(&self) {
        self.state.lock().handover = Handover::No;
    }

    /// Whether `h` can be what the peer has handled.
    ///
    /// # Errors
    /// More than were sent.
    pub fn could_ack(&self, h: u32) -> Result<(), AckTooHigh> {
        let state = self.state.lock();
        match &state.acks {
            Some(acks) => acks.could_ack(h),
            None => Err(AckTooHigh { h, sent: 0 }),
        }
    }

    /// Ends the outbox of a session that is saved, and gives what is in it. `None`, and nothing is ended, for one whose peer
    /// does not acknowledge everything that is in it.
    #[must_use]
    pub fn pack(&self) -> Option<Packed> {
        let state = self.state.lock();
        let acks = state.acks.as_ref().filter(|_| state.underway.is_none())?;
        let (acked, unacked) = (acks.acked(), acks.iter().count());
        drop(state);
        let items = self.finish().into_iter().map(|((at, stanza), row)| {
            let row = row.or_else(|| self.state.lock().copies.get(&at.0)?.row());
            Item { stanza, row }
        });
        Some(Packed {
            acked,
            unacked,
            items: items.collect(),
        })
    }

    /// The outbox of a session that was saved.
    #[must_use]
    pub fn unpack(packed: Packed, limits: (usize, AckLimits), memory: &Arc<Memory>) -> Outbox {
        let (limit, unacked) = limits;
        let outbox = Outbox::new(limit, memory);
        {
            let mut state = outbox.state.lock();
            let mut acks = Acks::restored(packed.acked, unacked);
            let mut bytes = 0usize;
            for (number, Item { stanza, row }) in packed.items.into_iter().enumerate() {
                state.pushed = state.pushed.saturating_add(1);
                let at = Position(state.pushed);
                if let Some(row) = row {
                    state.rows.insert(at.0, row);
                }
                let size = super::cost(&stanza);
                if number < packed.unacked {
                    acks.note_sent(&[(at, stanza)], size);
                    state.drained = at.0;
                } else {
                    bytes = bytes.saturating_add(size);
                    state.queue.push_back((at, stanza));
                }
            }
            state.acks = Some(Box::new(acks));
            outbox.set_bytes(&mut state, bytes);
        }
        outbox
    }
}
