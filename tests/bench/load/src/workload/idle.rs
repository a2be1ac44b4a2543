//! Memory of many quiet sessions: resident bytes at two numbers of sessions, and the slope between them.

use crate::bring_up;
use crate::cli::Idle;
use crate::procstat::{self, Usage};
use crate::report::Report;
use crate::scan;
use crate::session::{Env, Reader, Session, Writer};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the last pings may take to be answered.
const PONGS_WITHIN: Duration = Duration::from_secs(20);

/// What the reading tasks have seen.
#[derive(Default)]
struct Seen {
    pongs: AtomicU64,
    dropped: AtomicU64,
}

/// Sessions that only listen.
#[derive(Default)]
struct Parked {
    writers: Vec<Writer>,
    readers: JoinSet<()>,
    seen: Arc<Seen>,
}

pub async fn run(args: Idle) -> Result<()> {
    let users = args.target.accounts.users;
    ensure!(args.first < users, "--first must be less than --users");
    let env = Env::new(args.target)?;
    let hold = Duration::from_secs_f64(args.hold);
    let pid = env.target.server_pid;
    let empty = procstat::sample(pid)?.server;

    let mut parked = Parked::default();
    parked.add(&env, args.first).await?;
    let (_, low) = quiet(hold, pid).await?;
    parked.add(&env, users).await?;
    let (before, high) = quiet(hold, pid).await?;
    let pinged = parked.ping_some(&env, args.sample).await?;
    parked.wait_for_pongs(pinged).await;

    let grown = high.rss_bytes as f64 - low.rss_bytes as f64;
    Report::new("idle")
        .with("first", args.first)
        .with("users", users)
        .with("rss_empty", empty.rss_bytes)
        .with("rss_first", low.rss_bytes)
        .with("rss_users", high.rss_bytes)
        .number("bytes_per_session", grown / (users - args.first) as f64)
        .number(
            "idle_server_cpu_share",
            (high.cpu_s - before.cpu_s) / args.hold,
        )
        .with("dropped", parked.seen.dropped.load(Relaxed))
        .with("pinged", pinged)
        .with("answered", parked.seen.pongs.load(Relaxed))
        .print();
    Ok(())
}

/// The server before and after a time in which nothing is asked of it.
async fn quiet(hold: Duration, pid: u32) -> Result<(Usage, Usage)> {
    let before = procstat::sample(pid)?.server;
    sleep(hold).await;
    Ok((before, procstat::sample(pid)?.server))
}

impl Parked {
    /// Logs in and parks users until there are `total`.
    async fn add(&mut self, env: &Arc<Env>, total: usize) -> Result<()> {
        let more = bring_up::sessions(env, self.writers.len()..total).await?;
        for session in more {
            self.park(env, session).await?;
        }
        Ok(())
    }

    /// Sends initial presence and leaves the session to a task that reads.
    async fn park(&mut self, env: &Env, mut session: Session) -> Result<()> {
        let index = session.index;
        let online = session.go_online(env).await;
        online.with_context(|| format!("presence of user {index}"))?;
        self.writers.push(session.writer);
        self.readers.spawn(watch(session.reader, self.seen.clone()));
        Ok(())
    }

    /// Pings from up to `sample` sessions spread over all of them.
    async fn ping_some(&mut self, env: &Env, sample: usize) -> Result<u64> {
        let step = (self.writers.len() / sample.max(1)).max(1);
        let ping = env.ping("final-ping");
        let mut sent = 0;
        for writer in self.writers.iter_mut().step_by(step).take(sample) {
            writer.send(&ping).await?;
            sent += 1;
        }
        Ok(sent)
    }

    async fn wait_for_pongs(&self, wanted: u64) {
        let all = async {
            while self.seen.pongs.load(Relaxed) < wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(PONGS_WITHIN, all).await;
    }
}

async fn watch(mut reader: Reader, seen: Arc<Seen>) {
    loop {
        while let Some(stanza) = reader.next() {
            let pong = scan::attr(stanza, b"id") == Some(b"final-ping")
                && scan::attr(stanza, b"type") == Some(b"result");
            seen.pongs.fetch_add(u64::from(pong), Relaxed);
        }
        if reader.fill().await.is_err() {
            seen.dropped.fetch_add(1, Relaxed);
            return;
        }
    }
}
