//! One message in the outboxes of several sessions: who ends without it need not pass it on while another has it, and one row
//! of the spool keeps it for all.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Item, Outbox, Position, Pushed};

/// The copies of one message.
#[derive(Clone, Debug, Default)]
pub struct Copies(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    arrived: bool,
    waiting: usize,
    /// The spool has it, until one has arrived.
    row: Option<i64>,
}

/// What becomes of a message with the session that had a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Another session has it.
    Arrived,
    /// Another session waits to send it.
    Waits,
    /// It was the last that might have sent it. The spool has it in this row, if it does.
    Last(Option<i64>),
}

impl Copies {
    /// One more session has it in its outbox.
    pub(super) fn held(&self) -> Copies {
        let mut state = self.0.lock();
        state.waiting = state.waiting.saturating_add(1);
        drop(state);
        self.clone()
    }

    /// A copy is safe. The row, which nobody needs any more.
    pub(super) fn arrived(self) -> Option<i64> {
        let mut state = self.0.lock();
        state.arrived = true;
        state.row.take()
    }

    /// A session has ended with its copy.
    fn left(self) -> Left {
        let mut state = self.0.lock();
        state.waiting = state.waiting.saturating_sub(1);
        match (state.arrived, state.waiting) {
            (true, _) => Left::Arrived,
            (false, 0) => Left::Last(state.row.take()),
            (false, _) => Left::Waits,
        }
    }

    /// The spool has it in `row`: for all that wait. False when none does, or the spool had it already.
    #[must_use]
    pub fn insure(&self, row: i64) -> bool {
        let mut state = self.0.lock();
        let needed = !state.arrived && state.waiting > 0 && state.row.is_none();
        if needed {
            state.row = Some(row);
        }
        needed
    }

    /// Whether nothing is lost with the sessions that wait.
    pub(super) fn is_insured(&self) -> bool {
        let state = self.0.lock();
        state.arrived || state.row.is_some()
    }

    pub(super) fn row(&self) -> Option<i64> {
        self.0.lock().row
    }
}

impl Outbox {
    /// Like [`Outbox::push`], for a stanza that goes to several sessions.
    pub fn push_copy(&self, item: Item, copies: &Copies) -> Pushed {
        self.push_one(item, Some(copies))
    }

    /// What a message that waits here, and is in the spool as `row`, has in common with its copies elsewhere: for an outbox
    /// that was restored with one of them.
    fn copies_of_row(&self, row: i64) -> Option<Copies> {
        let mut state = self.state.lock();
        if let Some(copies) = state.copies.values().find(|it| it.row() == Some(row)) {
            return Some(copies.clone());
        }
        let at = *state.rows.iter().find(|(_, have)| **have == row)?.0;
        state.rows.remove(&at);
        let copies = Copies::default();
        state.copies.insert(at, copies.held());
        copies.insure(row).then_some(copies)
    }

    /// After a restart, which knows copies by their row alone: what waits here as `row` is a copy of what waits in `other`.
    pub fn share_row(&self, row: i64, other: &Outbox) {
        let Some(copies) = other.copies_of_row(row) else {
            return;
        };
        let mut state = self.state.lock();
        let found = state.rows.iter().find(|(_, have)| **have == row);
        if let Some(at) = found.map(|(at, _)| *at) {
            state.rows.remove(&at);
            state.copies.insert(at, copies.held());
        }
    }

    /// After the end, once for each: gives up the stanza at `at`. `None` for one that went to this session alone.
    #[must_use]
    pub fn give_up_copy(&self, at: Position) -> Option<Left> {
        let copies = self.state.lock().copies.remove(&at.0);
        copies.map(Copies::left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_that_ends_without_it_passes_a_message_on() {
        let copies = Copies::default();
        let (one, two) = (copies.held(), copies.held());
        assert_eq!(one.left(), Left::Waits);
        assert_eq!(two.left(), Left::Last(None));
        assert!(!copies.insure(7), "for nobody");
    }

    #[test]
    fn nobody_passes_on_what_has_arrived() {
        let copies = Copies::default();
        let (one, two) = (copies.held(), copies.held());
        assert_eq!(one.arrived(), None);
        assert!(!copies.insure(7), "for nobody");
        assert_eq!(two.left(), Left::Arrived);
    }

    #[test]
    fn one_row_keeps_it_for_all_until_one_has_it() {
        for arrives in [false, true] {
            let copies = Copies::default();
            let (one, two) = (copies.held(), copies.held());
            assert!(!copies.is_insured());
            assert!(copies.insure(7) && !copies.insure(8) && copies.is_insured());
            if arrives {
                assert_eq!(one.arrived(), Some(7));
                assert_eq!(two.left(), Left::Arrived);
            } else {
                assert_eq!(one.left(), Left::Waits);
                assert_eq!(two.left(), Left::Last(Some(7)));
            }
        }
    }
}
