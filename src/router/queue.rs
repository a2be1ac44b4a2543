//! Stanzas that scripts and services send: routed after the one under way, never nested (DESIGN §6 Waiting).

use std::cell::RefCell;
use std::collections::VecDeque;

use tokio::sync::Notify;

use crate::hook::{MAX_HOPS, Outbox};
use crate::stanza::Stanza;

/// Stanzas that may wait to be routed on one worker; more are refused.
const QUEUE_MAX: usize = 10_000;

/// One worker's queue.
#[derive(Default)]
pub struct SendQueue {
    waiting: RefCell<VecDeque<(Stanza, u8)>>,
    filled: Notify,
}

impl SendQueue {
    pub(super) fn next(&self) -> Option<(Stanza, u8)> {
        self.waiting.borrow_mut().pop_front()
    }

    /// Ready when something has been queued since the last call.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl Outbox for SendQueue {
    fn send(&self, stanza: Stanza, hops: u8) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if hops > MAX_HOPS || waiting.len() >= QUEUE_MAX {
            tracing::warn!(
                to = stanza.to().map(crate::jid::Jid::as_str),
                hops,
                waiting = waiting.len(),
                "a script's stanza is not routed: too many hops, or too many wait"
            );
            return false;
        }
        waiting.push_back((stanza, hops));
        drop(waiting);
        self.filled.notify_one();
        true
    }
}
