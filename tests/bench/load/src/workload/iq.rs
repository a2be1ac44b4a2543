//! Pings answered by the server.

use crate::bring_up;
use crate::cli::Iq;
use crate::measure::{Phase, run_phase};
use crate::report::Report;
use crate::scan;
use crate::session::{Env, Session};
use crate::stamp::Stamp;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use tokio::task::JoinSet;

pub async fn run(args: Iq) -> Result<()> {
    let env = Env::new(args.target)?;
    let sessions = bring_up::sessions(&env, 0..env.target.accounts.users).await?;
    let cipher = sessions.first().context("no users")?.cipher.clone();
    let phase = Arc::new(Phase::default());
    let mut tasks = JoinSet::new();
    for session in sessions {
        tasks.spawn(ping(env.clone(), phase.clone(), session, args.window));
    }
    let measured = run_phase(&phase, &args.timing, env.target.server_pid).await?;
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Report::new("iq")
        .with("users", env.target.accounts.users)
        .with("window", args.window)
        .with("cipher", cipher)
        .measured("pings", &measured)
        .print();
    Ok(())
}

async fn ping(env: Arc<Env>, phase: Arc<Phase>, mut session: Session, window: u64) -> Result<()> {
    let (mut sent, mut answered) = (0, 0);
    let mut out = String::new();
    while !phase.stopped() {
        out.clear();
        while sent - answered < window {
            let stamp = Stamp {
                run: env.run,
                seq: sent,
            };
            out.push_str(&env.ping(&stamp.to_string()));
            sent += 1;
        }
        session.writer.send(&out).await?;
        answered += receive(&phase, &mut session, answered).await?;
    }
    session.close().await;
    Ok(())
}

/// Waits for input and returns how many pings it answered; they must come in order.
async fn receive(phase: &Phase, session: &mut Session, answered: u64) -> Result<u64> {
    session.reader.fill().await?;
    let mut count = 0;
    while let Some(stanza) = session.reader.next() {
        let Some(stamp) = scan::attr(stanza, b"id").and_then(Stamp::parse) else {
            continue;
        };
        let good = scan::attr(stanza, b"type") == Some(b"result") && stamp.seq == answered + count;
        ensure!(good, "bad answer: {}", String::from_utf8_lossy(stanza));
        count += 1;
    }
    phase.add(count);
    Ok(count)
}
