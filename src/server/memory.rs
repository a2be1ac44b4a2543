//! Keeps to `memory_hard_limit`: closes those who make the server keep most, never a healthy session (DESIGN §5 Memory).

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::Common;
use crate::directory::{Closing, Directory};
use crate::limit::NEWCOMER_BYTES;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

/// A session for which less than this is kept is healthy: one write takes as much.
const HEALTHY_BYTES: usize = 64 * 1024;

/// Looks every [`LOOK`]; for ever.
pub(super) async fn watch(common: Arc<Common>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let excess = common.memory.excess();
        if excess == 0 {
            continue;
        }
        let connections = common.memory.evict_newcomers(excess);
        let left = excess.saturating_sub(connections.saturating_mul(NEWCOMER_BYTES));
        let sessions = close_greediest(&common.directory, left);
        let closed = connections.saturating_add(sessions);
        if closed > 0 {
            let count = u64::try_from(closed).unwrap_or(u64::MAX);
            common.counters.memory_evictions.add(count);
            tracing::warn!(
                kept_bytes = common.memory.used(),
                connections,
                sessions,
                "memory_hard_limit is passed: closing those who make it so"
            );
        }
    }
}

/// Closes the sessions for which most is kept, until that will free `excess` bytes. Returns how many.
fn close_greediest(directory: &Directory, mut excess: usize) -> usize {
    if excess == 0 {
        return 0;
    }
    let mut greedy = Vec::new();
    for (jid, outbox) in directory.outboxes() {
        let kept = outbox.kept();
        if outbox.is_closing() {
            // Its share is on its way out.
            excess = excess.saturating_sub(kept);
        } else if kept >= HEALTHY_BYTES {
            greedy.push((kept, jid, outbox));
        }
    }
    greedy.sort_unstable_by_key(|(kept, ..)| Reverse(*kept));
    let mut closed = 0;
    for (kept, jid, outbox) in greedy {
        if excess == 0 {
            break;
        }
        tracing::info!(%jid, kept_bytes = kept, "closing a session for want of memory");
        outbox.close(Closing::Memory);
        excess = excess.saturating_sub(kept);
        closed += 1;
    }
    closed
}
