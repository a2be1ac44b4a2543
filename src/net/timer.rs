//! One coarse timer per worker instead of a task or a tokio timer per session: thousands of idle sessions each keep one
//! next deadline here, at 20 ms granularity.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::Clock;

/// Deadlines are rounded up to multiples of this.
const TICK_MS: u64 = 20;

/// The deadlines of one worker.
#[derive(Clone)]
pub struct Timers {
    shared: Rc<Shared>,
}

struct Shared {
    clock: Clock,
    armed: RefCell<Armed>,
    earlier: Notify,
}

#[derive(Default)]
struct Armed {
    next_key: u64,
    wakers: BTreeMap<(u64, u64), Waker>,
}

impl Timers {
    /// A worker's timers; [`Timers::run`] must be spawned on it.
    #[must_use]
    pub fn new(clock: Clock) -> Timers {
        Timers {
            shared: Rc::new(Shared {
                clock,
                armed: RefCell::default(),
                earlier: Notify::new(),
            }),
        }
    }

    /// The clock that these timers follow.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// A deadline that is not armed yet.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        Deadline {
            shared: self.shared.clone(),
            key: None,
        }
    }

    /// Wakes what is due, for ever: sleeps until the earliest deadline, or until an earlier one is armed.
    pub async fn run(self) {
        loop {
            let next = self.shared.armed.borrow().wakers.keys().next().copied();
            let Some((tick, _)) = next else {
                self.shared.earlier.notified().await;
                continue;
            };
            let now = self.shared.clock.monotonic_ms();
            let due = tick.saturating_mul(TICK_MS);
            if due > now {
                let sleep = tokio::time::sleep(Duration::from_millis(due - now));
                tokio::select! {
                    () = sleep => {}
                    () = self.shared.earlier.notified() => continue,
                }
            }
            self.wake_due();
        }
    }

    fn wake_due(&self) {
        let now_tick = self.shared.clock.monotonic_ms() / TICK_MS;
        let due = {
            let mut armed = self.shared.armed.borrow_mut();
            let later = armed.wakers.split_off(&(now_tick.saturating_add(1), 0));
            std::mem::replace(&mut armed.wakers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }
}

/// One point in time that a task waits for; moved by arming it again.
pub struct Deadline {
    shared: Rc<Shared>,
    key: Option<(u64, u64)>,
}

impl Deadline {
    /// Ready when the clock has reached `at_ms`; else arms the wake-up. Arming for the same tick again costs a look-up.
    pub fn poll_at(&mut self, cx: &Context<'_>, at_ms: u64) -> Poll<()> {
        if self.shared.clock.monotonic_ms() >= at_ms {
            self.disarm();
            return Poll::Ready(());
        }
        let tick = at_ms.div_ceil(TICK_MS);
        let mut armed = self.shared.armed.borrow_mut();
        if let Some(key) = self.key {
            if key.0 == tick
                && let Some(waker) = armed.wakers.get_mut(&key)
            {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            armed.wakers.remove(&key);
        }
        armed.next_key = armed.next_key.wrapping_add(1);
        let key = (tick, armed.next_key);
        let earliest = armed.wakers.keys().next().is_none_or(|first| key < *first);
        armed.wakers.insert(key, cx.waker().clone());
        self.key = Some(key);
        drop(armed);
        if earliest {
            self.shared.earlier.notify_one();
        }
        Poll::Pending
    }

    /// Waits for nothing any more.
    pub fn disarm(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.armed.borrow_mut().wakers.remove(&key);
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.disarm();
    }
}
