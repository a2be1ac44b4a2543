//! Stopping: accept no more, write out what waits, keep the rest, close streams, exit (DESIGN §5 Drain).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Common;
use super::start::Started;
use crate::config::Drain;
use crate::directory::Closing;
use crate::jid::Jid;

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
        // What waits for a client that is not there is saved with its session.
        let entries = common.directory.entries().into_iter();
        let detached: BTreeSet<Jid> = entries
            .filter(|entry| entry.detached)
            .map(|entry| entry.jid)
            .collect();
        let mut outboxes = common.directory.outboxes().into_iter();
        outboxes.all(|(jid, outbox)| outbox.bytes() == 0 || detached.contains(&jid))
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
    let closed = close_components(&common, &times).await && closed;
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

/// Components go last: they hear that users go.
async fn close_components(common: &Common, times: &Drain) -> bool {
    let connected = || common.directory.components();
    let written = || connected().iter().all(|one| one.outbox.bytes() == 0);
    let written = settle(times.flush, written).await;
    for component in connected() {
        component.outbox.close(Closing::Shutdown);
    }
    settle(times.close, || connected().is_empty()).await && written
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
