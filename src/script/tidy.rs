//! Collecting what waiting calls leave behind, in idle turns.
//!
//! Each call of a waiting API function leaves its future to Lua's collector: a kilobyte or two, of which Lua counts the
//! handle alone. After a burst of logins the collector would see no reason to run, and the memory would stay.

use std::cell::Cell;
use std::rc::Weak;
use std::time::Duration;

use tokio::sync::Notify;

use super::engine::Engine;
use super::hub::Hub;

/// Waits after which it is worth a cycle of the collector: about 50 KB.
const WORTH: u32 = 32;
/// Between two steps, for others to have their turn.
const PAUSE: Duration = Duration::from_millis(20);
/// What became garbage while a cycle ran is found by the next.
const CYCLES: u32 = 2;

/// How much there is to collect on one worker.
#[derive(Default)]
pub(super) struct Tidy {
    waits: Cell<u32>,
    due: Notify,
}

impl Tidy {
    /// A call of the live VM has begun to wait.
    pub(super) fn note_wait(&self) {
        let waits = self.waits.get().saturating_add(1);
        self.waits.set(waits);
        if waits == WORTH {
            self.due.notify_one();
        }
    }
}

/// Collects in the live VM whenever enough has gathered, a step at a time.
pub(super) async fn keep(engine: Weak<Engine>, hub: Hub) {
    loop {
        hub.tidy().due.notified().await;
        hub.tidy().waits.set(0);
        let mut cycles = 0;
        while cycles < CYCLES {
            tokio::time::sleep(PAUSE).await;
            let Some(engine) = engine.upgrade() else {
                return;
            };
            let done = engine.current().is_none_or(|live| live.vm.gc_step());
            cycles += u32::from(done);
        }
    }
}
