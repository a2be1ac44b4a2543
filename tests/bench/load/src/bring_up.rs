//! Logs many users in with bounded parallelism.

use crate::session::{self, Env, Session};
use anyhow::Result;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::task::JoinSet;

/// Logs in the users of a range; the sessions come back in order.
pub async fn sessions(env: &Arc<Env>, range: Range<usize>) -> Result<Vec<Session>> {
    let next = Arc::new(AtomicUsize::new(range.start));
    let mut tasks = JoinSet::new();
    for _ in 0..env.target.parallel.clamp(1, range.len().max(1)) {
        tasks.spawn(log_in_next(env.clone(), next.clone(), range.end));
    }
    let mut sessions = Vec::with_capacity(range.len());
    while let Some(part) = tasks.join_next().await {
        sessions.extend(part??);
    }
    sessions.sort_by_key(|session| session.index);
    Ok(sessions)
}

async fn log_in_next(env: Arc<Env>, next: Arc<AtomicUsize>, end: usize) -> Result<Vec<Session>> {
    let mut done = Vec::new();
    loop {
        let index = next.fetch_add(1, Relaxed);
        if index >= end {
            return Ok(done);
        }
        done.push(session::login(&env, index).await?);
    }
}
