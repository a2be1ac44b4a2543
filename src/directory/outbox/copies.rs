//! One message in the outboxes of several sessions: who ends without it need not pass it on while another has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Item, Outbox, Position, Pushed};

/// The copies of one message.
#[derive(Clone, Debug, Default)]
pub struct Copies(Arc<State>);

#[derive(Debug, Default)]
struct State {
    arrived: AtomicBool,
    waiting: AtomicUsize,
}

impl Copies {
    /// One more session has it in its outbox.
    pub(super) fn held(&self) -> Copies {
        self.0.waiting.fetch_add(1, Ordering::AcqRel);
        self.clone()
    }

    /// A copy is safe.
    pub(super) fn arrived(self) {
        self.0.arrived.store(true, Ordering::Release);
    }

    /// A session has ended with its copy. Whether another has one that is safe, or will be: of those that end without, the
    /// last hears no.
    pub(super) fn left(self) -> bool {
        let last = self.0.waiting.fetch_sub(1, Ordering::AcqRel) <= 1;
        self.0.arrived.load(Ordering::Acquire) || !last
    }
}

impl Outbox {
    /// Like [`Outbox::push`], for a stanza that goes to several sessions.
    pub fn push_copy(&self, item: Item, copies: &Copies) -> Pushed {
        self.push_one(item, Some(copies))
    }

    /// After the end, once for each: gives up the stanza at `at`. Whether it went to other sessions too, and one of them has it
    /// or will.
    #[must_use]
    pub fn give_up_copy(&self, at: Position) -> bool {
        let copies = self.state.lock().copies.remove(&at.0);
        copies.is_some_and(Copies::left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_that_ends_without_it_passes_a_message_on() {
        let copies = Copies::default();
        let (one, two) = (copies.held(), copies.held());
        assert!(one.left() && !two.left());
    }

    #[test]
    fn nobody_passes_on_what_has_arrived() {
        let copies = Copies::default();
        let (one, two) = (copies.held(), copies.held());
        one.arrived();
        assert!(two.left());
    }
}
