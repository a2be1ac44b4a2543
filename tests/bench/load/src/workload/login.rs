//! Full logins per second: TCP, TLS without resumption, SASL, bind.

use crate::cli::Login;
use crate::measure::{Phase, run_phase};
use crate::report::Report;
use crate::session::{self, Env};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::task::JoinSet;

/// A task stops after this many failures: the server is broken, not busy.
const FAILURES_MAX: u64 = 100;

pub async fn run(args: Login) -> Result<()> {
    let env = Env::new(args.target)?;
    let first = session::login(&env, 0).await.context("first login")?;
    let cipher = first.cipher.clone();
    first.close().await;

    let phase = Arc::new(Phase::default());
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..env.target.parallel {
        tasks.spawn(repeat(env.clone(), phase.clone(), next.clone()));
    }
    let measured = run_phase(&phase, &args.timing, env.target.server_pid).await?;
    let mut failed = 0;
    while let Some(part) = tasks.join_next().await {
        failed += part?;
    }
    Report::new("login")
        .with("mechanism", env.target.mechanism.name())
        .with("cipher", cipher)
        .with("parallel", env.target.parallel)
        .with("failed", failed)
        .measured("logins", &measured)
        .print();
    Ok(())
}

/// Logs in one user after the other until the phase ends; gives the number of failures.
async fn repeat(env: Arc<Env>, phase: Arc<Phase>, next: Arc<AtomicUsize>) -> u64 {
    let mut failed = 0;
    while !phase.stopped() && failed < FAILURES_MAX {
        let index = next.fetch_add(1, Relaxed) % env.target.accounts.users;
        match session::login(&env, index).await {
            Ok(session) => {
                phase.add(1);
                session.close().await;
            }
            Err(error) => {
                failed += 1;
                eprintln!("login of user {index}: {error:#}");
            }
        }
    }
    failed
}
