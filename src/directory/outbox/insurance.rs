//! Messages that wait in an outbox and are in the spool too: whatever becomes of the session, they are not lost.

use super::{Copies, Numbered, Outbox, Position, State};
use crate::stanza::Kind;

/// What became of a waiting message while it was being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insured {
    /// It still waits; the row is deleted when it is safe.
    Waits,
    /// It has been written or acknowledged: the row is not needed.
    Safe,
    /// The session has ended before that.
    Ended,
}

impl Outbox {
    /// Copies of the messages that are not safe and have no spool row yet, oldest first; those of several sessions with what
    /// they have in common.
    #[must_use]
    pub fn uninsured(&self) -> Vec<(Numbered, Option<Copies>)> {
        let state = self.state.lock();
        let uninsured = state
            .unsafe_messages()
            .filter(|(at, _)| !state.is_insured(*at));
        let with_copies = |one: &Numbered| (one.clone(), state.copies.get(&one.0.0).cloned());
        uninsured.map(with_copies).collect()
    }

    /// Notes that the message at `at` is in the spool too, if that still matters.
    #[must_use]
    pub fn insured(&self, at: Position, row: i64) -> Insured {
        let mut state = self.state.lock();
        if self.is_safe(at) {
            return Insured::Safe;
        }
        if state.closed {
            return Insured::Ended;
        }
        match state.copies.get(&at.0) {
            Some(copies) if !copies.insure(row) => return Insured::Safe,
            Some(_) => {}
            None => drop(state.rows.insert(at.0, row)),
        }
        Insured::Waits
    }

    /// For a session without a socket: whether a message behind `after` is neither safe nor in the spool.
    #[must_use]
    pub fn has_uninsured(&self, after: Position) -> bool {
        let state = self.state.lock();
        let mut behind = state.unsafe_messages().filter(|(at, _)| *at > after);
        behind.any(|(at, _)| !state.is_insured(*at))
    }
}

impl State {
    /// The messages that wait, or are not known to have come: oldest first.
    fn unsafe_messages(&self) -> impl Iterator<Item = &Numbered> {
        let underway = self.underway.iter().flat_map(|drained| drained.iter());
        let unacked = self.acks.iter().flat_map(|acks| acks.iter());
        underway
            .chain(unacked)
            .chain(&self.queue)
            .filter(|(_, stanza)| stanza.kind() == Kind::Message)
    }

    fn is_insured(&self, at: Position) -> bool {
        let copies = self.copies.get(&at.0);
        self.rows.contains_key(&at.0) || copies.is_some_and(Copies::is_insured)
    }
}
