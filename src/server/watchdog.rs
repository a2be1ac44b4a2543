//! Names workers that do not turn (DESIGN §5 Workers): a script or a service holds them, or the machine starves them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Workers;
use crate::hook::POINTS;
use crate::observe::Activity;

/// A worker that has not turned for this long is named.
const STALL: Duration = Duration::from_millis(250);

/// Queues an empty job on each worker every [`STALL`] and looks whether the last one was begun; for ever.
pub(super) async fn watch(workers: Workers, activities: Vec<Arc<Activity>>) {
    let mut last: Vec<(u64, Option<Instant>)> = vec![(0, None); workers.len()];
    let mut tick = tokio::time::interval(STALL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for ((worker, activity), (beats, stalled)) in workers.iter().zip(&activities).zip(&mut last)
        {
            let now = worker.beats();
            match (now == *beats, *stalled) {
                // Not begun since the last tick, although a job was queued then.
                (true, None) if now > 0 => {
                    *stalled = Some(Instant::now());
                    tracing::warn!(
                        worker = worker.id(),
                        hook = running(activity),
                        "a worker has not turned for 250 ms"
                    );
                }
                (false, Some(since)) => {
                    tracing::warn!(worker = worker.id(), stalled = ?(since.elapsed() + STALL), "the worker turns again");
                    *stalled = None;
                }
                _ => {}
            }
            *beats = now;
            if stalled.is_none() {
                worker.run(|_| {});
            }
        }
    }
}

/// The hook point at which a handler runs, `-` if none does.
fn running(activity: &Activity) -> &'static str {
    activity
        .point()
        .and_then(|point| POINTS.get(point))
        .map_or("-", |row| row.name)
}
