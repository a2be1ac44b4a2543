//! Timers of one worker: a registered function's name, plain data, a time. They live in the engine, so a new
//! generation goes on with them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::plain::Plain;

/// Most timers of one worker.
const MAX_TIMERS: usize = 10_000;
/// The shortest interval of a timer that repeats.
pub(super) const MIN_EVERY: Duration = Duration::from_millis(100);
/// The longest time a timer may be set to: a year.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Timer numbers carry their worker in the low part.
pub(super) const WORKERS: u64 = 1_024;

/// A timer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timer {
    pub(super) id: u64,
    /// The registered function.
    pub(super) name: String,
    pub(super) data: Plain,
    pub(super) delay: Duration,
    pub(super) repeats: bool,
    /// Started by `init`: it belongs to its generation, which starts its own.
    pub(super) by_init: bool,
}

/// A worker's timers, by time.
pub(super) struct Timers {
    worker: u64,
    queue: RefCell<BTreeMap<(Instant, u64), Timer>>,
    next: Cell<u64>,
    changed: Notify,
}

impl Timers {
    pub(super) fn new(worker: usize) -> Timers {
        Timers {
            worker: worker as u64 % WORKERS,
            queue: RefCell::default(),
            next: Cell::new(1),
            changed: Notify::new(),
        }
    }

    /// A number that no other timer of any worker has.
    pub(super) fn fresh_id(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number * WORKERS + self.worker
    }

    /// Starts `timer`; false when there are too many.
    pub(super) fn start(&self, timer: Timer) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= MAX_TIMERS {
            return false;
        }
        queue.insert((Instant::now() + timer.delay, timer.id), timer);
        self.changed.notify_one();
        true
    }

    /// Stops the timer of that number; false when there is none.
    pub(super) fn cancel(&self, id: u64) -> bool {
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        queue.retain(|(_, have), _| *have != id);
        queue.len() != before
    }

    /// A new generation's `init` timers take the place of the old one's. One that is the same keeps its next time, so
    /// that saving a file does not put off what is due every hour.
    pub(super) fn take_over(&self, new: Vec<Timer>) {
        let old: Vec<(Instant, Timer)> = {
            let mut queue = self.queue.borrow_mut();
            let (gone, kept) = std::mem::take(&mut *queue)
                .into_iter()
                .partition(|(_, timer)| timer.by_init);
            *queue = kept;
            let gone: BTreeMap<(Instant, u64), Timer> = gone;
            gone.into_iter()
                .map(|((due, _), timer)| (due, timer))
                .collect()
        };
        for timer in new {
            let same = old.iter().find(|(_, have)| {
                timer.repeats
                    && have.repeats
                    && have.name == timer.name
                    && have.delay == timer.delay
            });
            let due = same.map_or_else(|| Instant::now() + timer.delay, |(due, _)| *due);
            self.queue.borrow_mut().insert((due, timer.id), timer);
        }
        self.changed.notify_one();
    }

    /// Waits for the next timer that is due. One that repeats is put back first.
    pub(super) async fn due(&self) -> Timer {
        loop {
            let next = self.queue.borrow().keys().next().copied();
            let Some((due, id)) = next else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.changed.notified() => continue,
            }
            let mut queue = self.queue.borrow_mut();
            let Some(timer) = queue.remove(&(due, id)) else {
                continue;
            };
            if timer.repeats {
                let now = Instant::now();
                // A worker that was busy for long does not make up for what it missed.
                let next = (due + timer.delay).max(now);
                queue.insert((next, id), timer.clone());
            }
            return timer;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }
}
