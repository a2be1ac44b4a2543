//! What a worker is doing just now, for the watchdog that finds it stuck.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of the hook point at which a worker runs a handler. Written by the worker, read by the watchdog.
#[derive(Debug, Default)]
pub struct Activity(AtomicUsize);

impl Activity {
    /// A handler starts at the point of that number.
    pub fn enter(&self, point: usize) {
        self.0.store(point.saturating_add(1), Ordering::Relaxed);
    }

    /// It has returned.
    pub fn leave(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The number of the point at which a handler runs just now.
    #[must_use]
    pub fn point(&self) -> Option<usize> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }
}
