//! A bounded queue between any thread and the store's own: bounded in items and in the bytes they hold.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::StoreError;

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    most_items: usize,
    most_bytes: usize,
}

struct State<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    closed: bool,
}

/// What a taker got.
pub(super) enum Taken<T> {
    Items(Vec<T>),
    /// Nothing came in the time given.
    Idle,
    /// Closed and empty: nothing comes any more.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(most_items: usize, most_bytes: usize) -> Queue<T> {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            closed: false,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            most_items,
            most_bytes,
        }
    }

    /// Queues, or gives the item back with the reason.
    pub(super) fn push(&self, bytes: usize, item: T) -> Result<(), (StoreError, T)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((StoreError::Closed, item));
        }
        let full = state.items.len() >= self.most_items;
        // One operation alone is let in whatever its size: its own bounds are its caller's.
        let heavy = !state.items.is_empty() && state.bytes.saturating_add(bytes) > self.most_bytes;
        if full || heavy {
            return Err((StoreError::Overloaded, item));
        }
        state.bytes = state.bytes.saturating_add(bytes);
        state.items.push_back((bytes, item));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes up to `most` items, waiting for the first; for ever without a time.
    pub(super) fn take(&self, most: usize, wait: Option<Duration>) -> Taken<T> {
        let mut state = self.state.lock();
        while state.items.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            match wait {
                None => self.changed.wait(&mut state),
                Some(time) => {
                    if self.changed.wait_for(&mut state, time).timed_out()
                        && state.items.is_empty()
                        && !state.closed
                    {
                        return Taken::Idle;
                    }
                }
            }
        }
        let count = most.min(state.items.len());
        let mut items = Vec::with_capacity(count);
        let mut bytes = 0usize;
        for (size, item) in state.items.drain(..count) {
            bytes = bytes.saturating_add(size);
            items.push(item);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        Taken::Items(items)
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Closes, and drops what is queued: for a taker that cannot go on.
    pub(super) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut self.state.lock().items);
        drop(left);
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().items.len()
    }
}
