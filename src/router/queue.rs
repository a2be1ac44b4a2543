//! Stanzas that scripts and services send: routed after the one under way, never nested (DESIGN §6 Waiting).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::vec::IntoIter;

use tokio::sync::Notify;

use super::internal_peer;
use crate::hook::{MAX_HOPS, Outbox, Peer};
use crate::jid::Jid;
use crate::stanza::Stanza;

/// Entries that may wait to be routed on one worker; more are refused.
const QUEUE_MAX: usize = 10_000;

/// One worker's queue.
#[derive(Default)]
pub struct SendQueue {
    waiting: RefCell<VecDeque<Entry>>,
    filled: Notify,
}

/// What was queued by one call.
struct Entry {
    what: What,
    hops: u8,
    /// As whom the last stanza of this entry was routed: the next is by the same, nearly always.
    sender: Option<Arc<Peer>>,
}

enum What {
    One(Option<Stanza>),
    FanOut(Stanza, IntoIter<Jid>),
    Many(IntoIter<Stanza>),
}

/// A stanza to route, and as whom.
pub(super) struct Next {
    pub(super) stanza: Stanza,
    pub(super) sender: Arc<Peer>,
    pub(super) hops: u8,
}

impl Iterator for Entry {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        let stanza = match &mut self.what {
            What::One(stanza) => stanza.take(),
            What::FanOut(stanza, to) => to.next().map(|to| {
                let mut copy = stanza.clone();
                copy.set_to(Some(to));
                copy
            }),
            What::Many(stanzas) => stanzas.next(),
        }?;
        let from = stanza.from().or(stanza.to())?;
        let sender = match self.sender.take() {
            Some(peer) if peer.jid == *from => peer,
            _ => internal_peer(from.clone()),
        };
        self.sender = Some(sender.clone());
        Some(Next {
            stanza,
            sender,
            hops: self.hops,
        })
    }
}

impl SendQueue {
    /// The next stanza, in the order in which they were queued.
    pub(super) fn next(&self) -> Option<Next> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.front_mut() {
            if let Some(next) = entry.next() {
                return Some(next);
            }
            waiting.pop_front();
        }
        None
    }

    /// Ready when something has been queued since the last call, or was left.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Somebody else goes on with what is left.
    pub(super) fn leave(&self) {
        self.filled.notify_one();
    }

    fn push(&self, what: What, to: Option<&Jid>, hops: u8) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if hops > MAX_HOPS || waiting.len() >= QUEUE_MAX {
            tracing::warn!(
                to = to.map(Jid::as_str),
                hops,
                waiting = waiting.len(),
                "a script's stanza is not routed: too many hops, or too many wait"
            );
            return false;
        }
        waiting.push_back(Entry {
            what,
            hops,
            sender: None,
        });
        drop(waiting);
        self.filled.notify_one();
        true
    }
}

impl Outbox for SendQueue {
    fn send(&self, stanza: Stanza, hops: u8) -> bool {
        let to = stanza.to().cloned();
        self.push(What::One(Some(stanza)), to.as_ref(), hops)
    }

    fn fan_out(&self, stanza: Stanza, to: Vec<Jid>, hops: u8) -> bool {
        let first = to.first().cloned();
        self.push(What::FanOut(stanza, to.into_iter()), first.as_ref(), hops)
    }

    fn send_all(&self, stanzas: Vec<Stanza>, hops: u8) -> bool {
        let first = stanzas.first().and_then(Stanza::to).cloned();
        self.push(What::Many(stanzas.into_iter()), first.as_ref(), hops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn stanza(from: &str, to: &str) -> Stanza {
        let mut stanza = Stanza::message(jid(to)).with_body("hi");
        stanza.set_from(Some(jid(from)));
        stanza
    }

    #[test]
    fn what_was_queued_comes_in_order_and_by_one_sender() {
        let queue = SendQueue::default();
        let many = vec![stanza("a@x", "1@x"), stanza("b@x", "2@x")];
        assert!(queue.send_all(many, 1));
        let recipients = vec![jid("3@x"), jid("4@x")];
        assert!(queue.fan_out(stanza("c@x", "list@x"), recipients, 1));
        assert!(queue.fan_out(stanza("c@x", "list@x"), Vec::new(), 1));
        assert!(queue.send(stanza("d@x", "5@x"), 1));
        let mut to = Vec::new();
        let mut peers: Vec<Arc<Peer>> = Vec::new();
        while let Some(next) = queue.next() {
            assert_eq!(next.stanza.from(), Some(&next.sender.jid));
            to.push(next.stanza.to().unwrap().to_string());
            peers.push(next.sender);
        }
        assert_eq!(to, ["1@x", "2@x", "3@x", "4@x", "5@x"]);
        assert!(Arc::ptr_eq(&peers[2], &peers[3]));
        assert!(!queue.send(stanza("a@x", "1@x"), MAX_HOPS + 1));
    }
}
