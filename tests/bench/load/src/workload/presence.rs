//! Presence of one user to many contacts: the first user changes, all others must hear each change, in order.

use crate::bring_up;
use crate::cli::Presence;
use crate::measure::{DRAIN, Phase, run_phase};
use crate::report::Report;
use crate::scan;
use crate::session::{Env, Session};
use crate::stamp::Stamp;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Length of the status, as that of a message's body.
const STATUS: usize = 100;

/// How often each change was heard, all contacts together.
#[derive(Default)]
struct Heard {
    deliveries: AtomicU64,
    more: Notify,
}

pub async fn run(args: Presence) -> Result<()> {
    let env = Env::new(args.target)?;
    let mut sessions = bring_up::sessions(&env, 0..env.target.accounts.users).await?;
    for session in &mut sessions {
        session.go_online(&env).await?;
    }
    let mut sessions = sessions.into_iter();
    let mut subject = sessions.next().context("no users")?;
    let contacts = sessions.len() as u64;
    ensure!(contacts > 0, "no contacts");
    let from = env.target.accounts.bare_jid(subject.index);
    let (phase, heard) = (Arc::new(Phase::default()), Arc::new(Heard::default()));
    let mut listeners = JoinSet::new();
    for session in sessions {
        let job = listen(
            phase.clone(),
            heard.clone(),
            session,
            (env.run, from.clone()),
        );
        listeners.spawn(job);
    }
    let speaker = tokio::spawn({
        let (env, phase, heard) = (env.clone(), phase.clone(), heard.clone());
        async move { speak(&env, &phase, &heard, &mut subject, (contacts, args.window)).await }
    });
    let measured = run_phase(&phase, &args.timing, env.target.server_pid).await?;
    let changes = speaker.await??;
    let mut deliveries = 0;
    let all = timeout(DRAIN, async {
        while heard.deliveries.load(Relaxed) < changes * contacts {
            heard.more.notified().await;
        }
    });
    let _ = all.await;
    deliveries += heard.deliveries.load(Relaxed);
    listeners.abort_all();
    while let Some(ended) = listeners.join_next().await {
        if let Ok(result) = ended {
            result?;
        }
    }
    Report::new("presence")
        .with("contacts", contacts)
        .with("window", args.window)
        .measured("deliveries", &measured)
        .with("changes", changes)
        .with("lost", (changes * contacts).saturating_sub(deliveries))
        .print();
    Ok(())
}

/// Changes the presence, so many changes under way at once; how often.
async fn speak(
    env: &Env,
    phase: &Phase,
    heard: &Heard,
    subject: &mut Session,
    (contacts, window): (u64, u64),
) -> Result<u64> {
    let mut changes = 0;
    while !phase.stopped() {
        while changes < heard.deliveries.load(Relaxed) / contacts + window {
            let stamp = Stamp {
                run: env.run,
                seq: changes,
            };
            let status = format!("{:x<STATUS$}", format!("{stamp} "));
            let xml = format!("<presence><status>{status}</status></presence>");
            subject.writer.send(&xml).await?;
            changes += 1;
        }
        // One's own presence comes back; the pings of nobody else do.
        tokio::select! {
            got = subject.reader.fill() => { got?; while subject.reader.next().is_some() {} }
            () = heard.more.notified() => {}
        }
    }
    Ok(changes)
}

/// Counts what one contact hears of the subject; it must come in order, each once.
async fn listen(
    phase: Arc<Phase>,
    heard: Arc<Heard>,
    mut session: Session,
    (run, from): (u32, String),
) -> Result<()> {
    let mut next = 0;
    loop {
        session.reader.fill().await?;
        let mut count = 0;
        while let Some(stanza) = session.reader.next() {
            let theirs =
                scan::attr(stanza, b"from").is_some_and(|jid| jid.starts_with(from.as_bytes()));
            let stamp = scan::text(stanza, b"status").and_then(Stamp::parse);
            if let Some(stamp) = stamp.filter(|stamp| theirs && stamp.run == run) {
                ensure!(stamp.seq == next, "change {} came, not {next}", stamp.seq);
                next += 1;
                count += 1;
            }
        }
        if count > 0 {
            phase.add(count);
            heard.deliveries.fetch_add(count, Relaxed);
            heard.more.notify_one();
        }
    }
}
