//! Script errors on their way to the log: every one counted, each place named at most every few seconds.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::report::message_of;
use super::run::{Call, RunError};

/// A place is named again after this long; what happened between is in its count.
const QUIET: Duration = Duration::from_secs(5);
/// Most places that are counted one by one; an error anywhere else is only counted for its script.
const MAX_PLACES: usize = 1_024;
/// Longest stanza id that is logged, in characters.
const MAX_ID: usize = 64;

/// What went wrong where, per worker.
#[derive(Default)]
pub(super) struct Complaints {
    places: RefCell<HashMap<(String, u32), Place>>,
    total: Cell<u64>,
}

struct Place {
    count: u64,
    named: Option<Instant>,
}

impl Complaints {
    /// Counts `error`, and names it in the log unless its place was named just now.
    pub(super) fn note(&self, call: &Call, error: &RunError) {
        self.total.set(self.total.get().saturating_add(1));
        let Some(script) = call.live.scripts.get(call.script) else {
            return;
        };
        script
            .stats
            .errors
            .set(script.stats.errors.get().saturating_add(1));
        let (place, message) = match error {
            RunError::Script(error) => (error.place(), message_of(error)),
            other => (None, other.to_string()),
        };
        let (file, line) = place.map_or((script.file.to_string(), 0), |place| {
            (place.script, place.line)
        });
        let Some(count) = self.count(&file, line) else {
            return;
        };
        let at = if line == 0 {
            file
        } else {
            format!("{file}:{line}")
        };
        let session = call.peer.as_ref().map(|peer| peer.jid.to_string());
        let id: Option<String> = call
            .stanza
            .as_ref()
            .and_then(|stanza| stanza.id())
            .map(|id| id.chars().take(MAX_ID).collect());
        tracing::warn!(
            script = %script.name, at, hook = call.what, session = ?session, stanza = ?id, count,
            error = message, "script failed"
        );
    }

    /// How many errors there were on this worker.
    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    /// Counts one at a place; the count if it is time to name it.
    fn count(&self, file: &str, line: u32) -> Option<u64> {
        let mut places = self.places.borrow_mut();
        let key = (file.to_owned(), line);
        if !places.contains_key(&key) && places.len() >= MAX_PLACES {
            return None;
        }
        let place = places.entry(key).or_insert(Place {
            count: 0,
            named: None,
        });
        place.count = place.count.saturating_add(1);
        let due = place.named.is_none_or(|named| named.elapsed() >= QUIET);
        due.then(|| {
            place.named = Some(Instant::now());
            place.count
        })
    }
}
