//! What peers make the server keep, in bytes, and who has to go when it is too much (DESIGN §5 Memory).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What a connection without a login is taken to cost: the TLS state of a handshake and one stanza of the usual size
/// before login. An estimate: such a connection lives for seconds, and counting its bytes would cost more than it tells.
pub const NEWCOMER_BYTES: usize = 32 * 1024;

/// One server's memory budget. Shared by all threads; whoever keeps bytes for a peer holds a [`Charge`].
#[derive(Default)]
pub struct Memory {
    used: AtomicUsize,
    /// 0: none.
    soft: AtomicUsize,
    /// 0: none.
    hard: AtomicUsize,
    newcomers: Mutex<Newcomers>,
}

#[derive(Default)]
struct Newcomers {
    next: u64,
    /// By age, the oldest first.
    by_age: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Memory {
    /// Sets the limits, in bytes; `None`: no limit.
    pub fn set_limits(&self, soft: Option<usize>, hard: Option<usize>) {
        self.soft.store(soft.unwrap_or(0), Ordering::Relaxed);
        self.hard.store(hard.unwrap_or(0), Ordering::Relaxed);
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether new connections must wait for better times.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        over(self.used(), self.soft.load(Ordering::Relaxed)) > 0
    }

    /// Bytes above the hard limit.
    #[must_use]
    pub fn excess(&self) -> usize {
        over(self.used(), self.hard.load(Ordering::Relaxed))
    }

    /// A charge of nothing so far.
    #[must_use]
    pub fn charge(self: &Arc<Self>) -> Charge {
        Charge {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// Charges for a connection that has not logged in.
    #[must_use]
    pub fn newcomer(self: &Arc<Self>) -> Newcomer {
        let mut charge = self.charge();
        charge.set(NEWCOMER_BYTES);
        let (evict, evicted) = oneshot::channel();
        let mut newcomers = self.newcomers.lock();
        let number = newcomers.next;
        newcomers.next = number.saturating_add(1);
        newcomers.by_age.insert(number, evict);
        Newcomer {
            charge,
            number,
            evicted,
        }
    }

    /// Tells the newest of those who have not logged in to go, until that would free `bytes`. Returns how many.
    pub fn evict_newcomers(&self, bytes: usize) -> usize {
        let mut newcomers = self.newcomers.lock();
        let mut count = 0;
        for _ in 0..bytes.div_ceil(NEWCOMER_BYTES) {
            let Some((_, newest)) = newcomers.by_age.pop_last() else {
                break;
            };
            // One that is on its way out anyhow frees as much.
            let _ = newest.send(());
            count += 1;
        }
        count
    }
}

fn over(used: usize, limit: usize) -> usize {
    match limit {
        0 => 0,
        limit => used.saturating_sub(limit),
    }
}

/// Bytes charged to a [`Memory`] until this is dropped.
pub struct Charge {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Charge {
    /// Bytes charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it `bytes`.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.memory.used;
        // Each charge takes back exactly what it gave, so the sum cannot wrap.
        if bytes > self.bytes {
            used.fetch_add(bytes.abs_diff(self.bytes), Ordering::Relaxed);
        } else if bytes < self.bytes {
            used.fetch_sub(bytes.abs_diff(self.bytes), Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A connection that has not logged in, as memory sees it; to be dropped after login.
pub struct Newcomer {
    charge: Charge,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Newcomer {
    /// Returns when this connection has to go.
    pub async fn evicted(&mut self) {
        if (&mut self.evicted).await.is_err() {
            // The sender goes only with a message or with this newcomer.
            std::future::pending().await
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut newcomers = self.charge.memory.newcomers.lock();
        newcomers.by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_are_taken_back() {
        let memory = Arc::new(Memory::default());
        memory.set_limits(Some(100), Some(150));
        let mut one = memory.charge();
        one.set(90);
        let mut other = memory.charge();
        assert!(!memory.is_tight());
        other.set(80);
        assert_eq!(
            (memory.used(), memory.is_tight(), memory.excess()),
            (170, true, 20)
        );
        one.set(10);
        assert_eq!((memory.used(), memory.excess()), (90, 0));
        drop(one);
        drop(other);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn without_limits_nothing_is_too_much() {
        let memory = Arc::new(Memory::default());
        let mut charge = memory.charge();
        charge.set(usize::MAX / 2);
        assert!(!memory.is_tight());
        assert_eq!(memory.excess(), 0);
    }

    #[test]
    fn the_newest_goes_first() {
        let memory = Arc::new(Memory::default());
        let mut newcomers: Vec<_> = (0..4).map(|_| memory.newcomer()).collect();
        assert_eq!(memory.used(), 4 * NEWCOMER_BYTES);
        // The newest has just logged in: it is no candidate any more.
        newcomers.pop();
        assert_eq!(memory.evict_newcomers(NEWCOMER_BYTES + 1), 2);
        let gone: Vec<bool> = newcomers
            .iter_mut()
            .map(|newcomer| newcomer.evicted.try_recv().is_ok())
            .collect();
        assert_eq!(gone, [false, true, true]);
        drop(newcomers);
        assert_eq!(memory.used(), 0);
        assert_eq!(memory.evict_newcomers(1), 0);
    }
}
