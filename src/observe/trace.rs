//! The live trace: who watches which address, and the records of stanzas that go to the watchers.
//!
//! When nobody watches, a stanza pays for one relaxed load ([`Registry::active`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// How many may watch at a time.
pub const MAX_WATCHERS: usize = 16;
/// Records that wait for a slow watcher; more are counted as missed and thrown away.
pub const BACKLOG: usize = 1024;

/// One handler's run.
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// The hook point's name.
    pub point: &'static str,
    /// `script:NAME`, or the service's name.
    pub handler: Arc<str>,
    /// The verdict's name, or `wait`, or `error`.
    pub verdict: &'static str,
    /// How long it ran, waiting included.
    pub took: Duration,
}

/// One stanza's way through the server.
#[derive(Clone, Debug)]
pub struct Record {
    /// When its way ended.
    pub when: SystemTime,
    /// `message`, `presence` or `iq`.
    pub kind: &'static str,
    /// The stanza's id; empty if it has none.
    pub id: String,
    /// Its sender's address.
    pub from: String,
    /// Its recipient's address; empty if it has none.
    pub to: String,
    /// The handlers that ran, in order.
    pub steps: Vec<TraceStep>,
    /// Where it went: a resource, the spool, a service, an error.
    pub fate: String,
}

struct Watcher {
    number: u64,
    address: String,
    missed: Arc<AtomicU64>,
    sender: mpsc::Sender<Record>,
}

/// Who watches whom. One per server, shared by all its threads.
#[derive(Default)]
pub struct Registry {
    /// The length of `watchers`, readable without its lock.
    active: AtomicUsize,
    numbers: AtomicU64,
    watchers: Mutex<Vec<Watcher>>,
}

/// [`MAX_WATCHERS`] watch already.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_WATCHERS} traces run already: end one of them first")]
pub struct TooManyWatchers;

/// A running watch; it ends when this is dropped.
pub struct Watch {
    registry: Arc<Registry>,
    number: u64,
    missed: Arc<AtomicU64>,
    receiver: mpsc::Receiver<Record>,
}

impl Registry {
    /// Whether anybody watches anything.
    #[must_use]
    pub fn active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// Whether a stanza between these addresses (empty: none) is watched. Takes a lock: ask [`Registry::active`] first.
    #[must_use]
    pub fn wants(&self, from: &str, to: &str) -> bool {
        self.watchers
            .lock()
            .iter()
            .any(|watcher| concerns(&watcher.address, from, to))
    }

    /// Gives `record` to everybody who watches one of its addresses. Never waits: a watcher whose backlog is full misses it.
    pub fn publish(&self, record: &Record) {
        for watcher in self.watchers.lock().iter() {
            if concerns(&watcher.address, &record.from, &record.to)
                && watcher.sender.try_send(record.clone()).is_err()
            {
                watcher.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Watches `address`: a full address means exactly itself, a bare one all its resources too, a domain everybody there.
    ///
    /// # Errors
    /// When [`MAX_WATCHERS`] watch already.
    pub fn watch(self: &Arc<Self>, address: &str) -> Result<Watch, TooManyWatchers> {
        let mut watchers = self.watchers.lock();
        if watchers.len() >= MAX_WATCHERS {
            return Err(TooManyWatchers);
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let missed = Arc::new(AtomicU64::new(0));
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        watchers.push(Watcher {
            number,
            address: address.to_owned(),
            missed: Arc::clone(&missed),
            sender,
        });
        self.active.store(watchers.len(), Ordering::Relaxed);
        Ok(Watch {
            registry: Arc::clone(self),
            number,
            missed,
            receiver,
        })
    }

    fn forget(&self, number: u64) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.number != number);
        self.active.store(watchers.len(), Ordering::Relaxed);
    }
}

impl Watch {
    /// The next record. Cancelling loses none.
    pub async fn next(&mut self) -> Option<Record> {
        self.receiver.recv().await
    }

    /// How many records were thrown away since the last call, because this watcher was slow.
    #[must_use]
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.registry.forget(self.number);
    }
}

fn concerns(watched: &str, from: &str, to: &str) -> bool {
    matches(watched, from) || matches(watched, to)
}

fn matches(watched: &str, address: &str) -> bool {
    let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
    let domain = bare.split_once('@').map_or(bare, |(_, domain)| domain);
    !address.is_empty() && (watched == address || watched == bare || watched == domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(from: &str, to: &str) -> Record {
        Record {
            when: SystemTime::UNIX_EPOCH,
            kind: "message",
            id: "1".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            steps: Vec::new(),
            fate: "spool".to_owned(),
        }
    }

    #[test]
    fn bare_address_watches_its_resources_and_a_full_one_only_itself() {
        assert!(matches("a@x", "a@x/phone"));
        assert!(matches("x", "a@x/phone"));
        assert!(!matches("a@x/phone", "a@x"));
        assert!(!matches("a@x", "b@x/a@x"));
        assert!(!matches("", ""));
    }

    #[tokio::test]
    async fn watcher_gets_its_records_until_it_is_dropped() {
        let registry = Arc::new(Registry::default());
        assert!(!registry.active());
        let mut watch = registry.watch("a@x").unwrap();
        assert!(registry.active());
        assert!(registry.wants("b@x/1", "a@x/2"));
        assert!(!registry.wants("b@x/1", ""));
        registry.publish(&record("b@x", "c@x"));
        registry.publish(&record("b@x", "a@x"));
        assert_eq!(watch.next().await.unwrap().to, "a@x");
        drop(watch);
        assert!(!registry.active());
    }

    #[test]
    fn slow_watcher_misses_records_and_hears_how_many() {
        let registry = Arc::new(Registry::default());
        let watch = registry.watch("a@x").unwrap();
        for _ in 0..BACKLOG + 3 {
            registry.publish(&record("a@x", "b@x"));
        }
        assert_eq!(watch.take_missed(), 3);
        assert_eq!(watch.take_missed(), 0);
    }

    #[test]
    fn watchers_are_bounded() {
        let registry = Arc::new(Registry::default());
        let watches: Vec<_> = (0..MAX_WATCHERS)
            .map(|_| registry.watch("a@x").unwrap())
            .collect();
        assert!(registry.watch("a@x").is_err());
        drop(watches);
        assert!(registry.watch("a@x").is_ok());
    }
}
