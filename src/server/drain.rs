//! Stopping: accept no more, write out what waits, keep the rest, close streams, exit (DESIGN §5 Drain).

use std::time::{Duration, Instant};

use super::start::Started;
use crate::directory::Closing;

/// How often the drain looks whether a step is done.
const LOOK: Duration = Duration::from_millis(10);

/// Ends a running server. Each step has its deadline and its line of log.
pub(super) async fn drain(started: Started) {
    let Started {
        common,
        workers,
        accepting,
        tasks,
        scripts,
        ..
    } = started;
    let times = common.config.load().drain().clone();
    tracing::info!("stopping: no new connections");
    for task in accepting {
        task.abort();
    }
    let sessions = common.directory.entries().len();
    let written = settle(times.flush, || {
        common
            .directory
            .entries()
            .iter()
            .all(|entry| entry.outbox_bytes == 0)
    })
    .await;
    // A login under way binds no more: what it brought would find the store closed.
    common.directory.close();
    tracing::info!(sessions, all_written = written, "closing sessions");
    for account in common.directory.accounts() {
        if let Some(state) = account.lock() {
            for resource in state.resources() {
                resource.outbox.close(Closing::Shutdown);
            }
        }
    }
    let closed = settle(times.close, || common.directory.entries().is_empty()).await;
    let stored = settle(times.close, || common.turns.count() == 0).await;
    if !closed || !stored {
        tracing::warn!(
            sessions = common.directory.entries().len(),
            turns = common.turns.count(),
            "not everything ended in time"
        );
    }
    for task in tasks {
        task.abort();
    }
    drop(scripts);
    match tokio::time::timeout(times.close, common.store.close()).await {
        Ok(Ok(())) => tracing::info!("stopped"),
        Ok(Err(error)) => tracing::error!(%error, "the store did not close cleanly"),
        Err(_) => tracing::error!("the store did not close in time"),
    }
    drop(workers);
}

/// Waits until `done`, at most `most`.
async fn settle(most: Duration, done: impl Fn() -> bool) -> bool {
    let until = Instant::now() + most;
    while !done() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
