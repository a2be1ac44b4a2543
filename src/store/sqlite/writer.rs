//! The writer thread: group commit.
//!
//! It takes all that is queued, runs it in one transaction with a savepoint for each operation, commits once, and only then
//! answers. What arrives meanwhile shares the next commit, so the slower the disk, the larger the groups.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::vec::IntoIter;

use rusqlite::Connection;

use super::queue::Taken;
use super::{Shared, StoreError, sql, sweep};
use crate::store::Answer;
use crate::store::answer::{Reply, answered};

/// Most operations in one transaction: bounds how long the first waits for the last.
const GROUP_OPS: usize = 1_024;
/// How often expired rows are looked for.
const SWEEP_EVERY_MS: i64 = 60_000;
const SWEEP_EVERY: Duration = Duration::from_millis(SWEEP_EVERY_MS as u64);
/// The log is copied into the database file when it holds so many pages (4 KB each) that were not.
const CHECKPOINT_PAGES: i64 = 2_000;

/// A write operation of any result type.
pub(super) trait Write: Send {
    /// Runs inside its savepoint. With an error it is undone, alone.
    fn run(&mut self, conn: &Connection) -> Result<(), StoreError>;
    /// Answers: with the result of `run` if the transaction was committed. Says whether that is a success.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>) -> bool;
}

/// A write operation from a closure.
pub(super) struct Op<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: Reply<T>,
}

impl<T, F> Op<T, F>
where
    F: FnOnce(&Connection) -> Result<T, StoreError>,
{
    pub(super) fn new(reply: Reply<T>, work: F) -> Op<T, F> {
        Op {
            work: Some(work),
            result: None,
            reply,
        }
    }
}

impl<T, F> Write for Op<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let result = work(conn);
        let ran = result.as_ref().map(|_| ()).map_err(StoreError::clone);
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) -> bool {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            // The operation's own error tells more than that of its transaction.
            (Err(_), Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Closed),
        };
        let success = result.is_ok();
        answered(self.reply, result);
        success
    }
}

/// The operation that deletes a batch of what has expired.
pub(super) fn sweep_op(shared: &Arc<Shared>, reply: Reply<usize>) -> Box<dyn Write> {
    let shared = Arc::clone(shared);
    Box::new(Op::new(reply, move |conn: &Connection| {
        let swept = sweep::batch(conn, (shared.options.now)())?;
        shared.counters.swept.fetch_add(swept as u64, Relaxed);
        Ok(swept)
    }))
}

/// Should the writer panic, nobody waits for it for ever: what is queued and what comes is answered with `Closed`.
struct Abandon<'a>(&'a Shared);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.writes.abandon();
    }
}

/// Runs until the queue is closed and empty. The error is that of the last sync.
pub(super) fn run(conn: &Connection, shared: &Arc<Shared>) -> Result<(), StoreError> {
    let _abandon = Abandon(shared);
    let mut next_sweep = 0;
    loop {
        match shared.writes.take(GROUP_OPS, Some(SWEEP_EVERY)) {
            Taken::Items(group) => turn(conn, shared, group),
            Taken::Idle => {}
            Taken::Closed => break,
        }
        let now = (shared.options.now)();
        if now >= next_sweep {
            let (reply, answer) = Answer::pending();
            turn(conn, shared, vec![sweep_op(shared, reply)]);
            // A full batch means that there is more: go on after the next group.
            let more = answer.wait().is_ok_and(|swept| swept >= sweep::BATCH);
            next_sweep = if more {
                now
            } else {
                now.saturating_add(SWEEP_EVERY_MS)
            };
        }
        checkpoint(conn);
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(sql("sync at the end"))
}

/// Runs and answers all of `group`: one transaction, or more when the engine throws one away in the middle.
fn turn(conn: &Connection, shared: &Shared, group: Vec<Box<dyn Write>>) {
    let mut rest = group.into_iter();
    while rest.len() > 0 {
        transaction(conn, shared, &mut rest);
    }
}

fn transaction(conn: &Connection, shared: &Shared, rest: &mut IntoIter<Box<dyn Write>>) {
    let mut ops = Vec::with_capacity(rest.len());
    let outcome = fill(conn, rest, &mut ops).and_then(|()| execute(conn, "commit", "COMMIT"));
    let counters = &shared.counters;
    match &outcome {
        Ok(()) => counters.commits.fetch_add(1, Relaxed),
        Err(error) => {
            tracing::error!(%error, operations = ops.len(), "transaction failed, nothing of it was kept");
            if !conn.is_autocommit()
                && let Err(error) = execute(conn, "roll back", "ROLLBACK")
            {
                tracing::error!(%error, "store is stuck in a failed transaction");
            }
            counters.failed_commits.fetch_add(1, Relaxed)
        }
    };
    for op in ops {
        let counter = if op.answer(outcome.clone()) {
            &counters.writes
        } else {
            &counters.failed_writes
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Begins a transaction and moves operations into it, until there are no more or the transaction is lost.
fn fill(
    conn: &Connection,
    rest: &mut IntoIter<Box<dyn Write>>,
    ops: &mut Vec<Box<dyn Write>>,
) -> Result<(), StoreError> {
    if let Err(error) = execute(conn, "begin a transaction", "BEGIN IMMEDIATE") {
        ops.extend(rest);
        return Err(error);
    }
    for mut op in rest {
        let ran = run_alone(conn, op.as_mut());
        ops.push(op);
        ran?;
    }
    Ok(())
}

/// Runs one operation in its savepoint. An error means that the whole transaction is lost.
fn run_alone(conn: &Connection, op: &mut dyn Write) -> Result<(), StoreError> {
    execute(conn, "begin an operation", "SAVEPOINT op")?;
    if let Err(error) = op.run(conn)
        && execute(conn, "undo an operation", "ROLLBACK TO op").is_err()
    {
        // A full disk or an i/o error ends the transaction inside a statement: that is the cause to tell everyone.
        return Err(error);
    }
    execute(conn, "end an operation", "RELEASE op")
}

fn execute(
    conn: &Connection,
    doing: &'static str,
    statement: &'static str,
) -> Result<(), StoreError> {
    conn.prepare_cached(statement)
        .and_then(|mut s| s.execute([]))
        .map(|_| ())
        .map_err(sql(doing))
}

/// Copies the log into the database file when there is enough of it. A failure loses nothing: the log keeps what it has.
fn checkpoint(conn: &Connection) {
    let pages = |mode: &str| {
        conn.prepare_cached(mode)?
            .query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
    };
    let done = pages("PRAGMA wal_checkpoint(NOOP)").and_then(|(logged, copied)| {
        if logged.saturating_sub(copied) >= CHECKPOINT_PAGES {
            pages("PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    });
    if let Err(error) = done {
        tracing::warn!(%error, "cannot copy the log into the database, trying again later");
    }
}
