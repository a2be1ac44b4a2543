//! One-to-one messages: even users send, odd users receive. A closed loop: so many messages per pair are under way.

use crate::bring_up;
use crate::cli::{Chat, ChatShape};
use crate::measure::{DRAIN, Measured, Phase, run_phase};
use crate::report::Report;
use crate::scan;
use crate::session::{Env, Session};
use crate::stamp::Stamp;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// How often a pair that hears nothing looks whether the phase has ended.
const LOOK: Duration = Duration::from_millis(100);

pub async fn run(args: Chat) -> Result<()> {
    let env = Env::new(args.target)?;
    let sessions = bring_up::sessions(&env, 0..args.shape.pairs * 2).await?;
    let pairs = pair_up(&env, sessions).await?;
    let cipher = pairs.first().context("no pairs")?.from.cipher.clone();
    let outcome = run_pairs(pairs, &args.shape, env.run, env.target.server_pid).await?;
    outcome
        .report("chat", &args.shape)
        .with("cipher", cipher)
        .print();
    Ok(())
}

/// Two sessions and the address that the first one writes to.
pub struct Pair {
    pub from: Session,
    pub to: Session,
    pub address: String,
}

async fn pair_up(env: &Env, sessions: Vec<Session>) -> Result<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(sessions.len() / 2);
    let mut rest = sessions.into_iter();
    while let (Some(mut from), Some(mut to)) = (rest.next(), rest.next()) {
        from.go_online(env).await?;
        to.go_online(env).await?;
        let address = env.target.accounts.bare_jid(to.index);
        pairs.push(Pair { from, to, address });
    }
    Ok(pairs)
}

pub struct Outcome {
    measured: Measured,
    stats: Stats,
}

impl Outcome {
    pub fn report(&self, workload: &str, shape: &ChatShape) -> Report {
        Report::new(workload)
            .with("pairs", shape.pairs)
            .with("body_bytes", shape.body)
            .with("window", shape.window)
            .measured("msgs", &self.measured)
            .with("sent_in_all", self.stats.sent)
            .with("lost", self.stats.sent - self.stats.seen.unique)
            .with("duplicated", self.stats.seen.duplicated)
            .with("out_of_order", self.stats.seen.out_of_order)
    }
}

/// Results of one pair, or of all pairs merged.
#[derive(Default)]
struct Stats {
    sent: u64,
    seen: Sequence,
}

impl Stats {
    fn merge(&mut self, other: &Stats) {
        self.sent += other.sent;
        self.seen.unique += other.seen.unique;
        self.seen.duplicated += other.seen.duplicated;
        self.seen.out_of_order += other.seen.out_of_order;
    }
}

/// Which sequence numbers arrived, and in what order.
#[derive(Default)]
struct Sequence {
    bits: Vec<u64>,
    highest: Option<u64>,
    unique: u64,
    duplicated: u64,
    out_of_order: u64,
}

impl Sequence {
    fn note(&mut self, seq: u64) {
        let (word, bit) = ((seq / 64) as usize, 1u64 << (seq % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            self.duplicated += 1;
            return;
        }
        self.bits[word] |= bit;
        self.unique += 1;
        if self.highest.is_some_and(|highest| seq < highest) {
            self.out_of_order += 1;
        }
        self.highest = self.highest.max(Some(seq));
    }
}

/// Runs all pairs through warm-up, the counted phase and the drain.
pub async fn run_pairs(pairs: Vec<Pair>, shape: &ChatShape, run: u32, pid: u32) -> Result<Outcome> {
    ensure!(shape.body > Stamp::WIDTH, "the body must hold its stamp");
    let phase = Arc::new(Phase::default());
    let mut tasks = JoinSet::new();
    for pair in pairs {
        let job = Job {
            pair,
            phase: phase.clone(),
            run,
            body: shape.body,
            out: String::new(),
            stats: Stats::default(),
        };
        tasks.spawn(job.run(shape.window));
    }
    let measured = run_phase(&phase, &shape.timing, pid).await?;
    let mut stats = Stats::default();
    while let Some(part) = tasks.join_next().await {
        stats.merge(&part??);
    }
    Ok(Outcome { measured, stats })
}

struct Job {
    pair: Pair,
    phase: Arc<Phase>,
    run: u32,
    body: usize,
    out: String,
    stats: Stats,
}

impl Job {
    async fn run(mut self, window: u64) -> Result<Stats> {
        let mut tick = interval(LOOK);
        let mut drain_until = None;
        loop {
            if self.phase.stopped() {
                let until = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
                if self.stats.seen.unique >= self.stats.sent || Instant::now() > until {
                    break;
                }
            } else {
                self.fill_window(window).await?;
            }
            tokio::select! {
                got = self.pair.to.reader.fill() => { got?; self.receive(); }
                got = self.pair.from.reader.fill() => { got?; self.check_sender()?; }
                _ = tick.tick() => {}
            }
        }
        self.pair.from.close().await;
        self.pair.to.close().await;
        Ok(self.stats)
    }

    async fn fill_window(&mut self, window: u64) -> Result<()> {
        let free = window.saturating_sub(self.stats.sent - self.stats.seen.unique);
        if free == 0 {
            return Ok(());
        }
        self.out.clear();
        for _ in 0..free {
            let stamp = Stamp {
                run: self.run,
                seq: self.stats.sent,
            };
            push_message(&mut self.out, &self.pair.address, stamp, self.body);
            self.stats.sent += 1;
        }
        Ok(self.pair.from.writer.send(&self.out).await?)
    }

    fn receive(&mut self) {
        let mut count = 0;
        while let Some(stanza) = self.pair.to.reader.next() {
            let stamp = scan::text(stanza, b"body").and_then(Stamp::parse);
            if let Some(stamp) = stamp.filter(|stamp| stamp.run == self.run) {
                self.stats.seen.note(stamp.seq);
                count += 1;
            }
        }
        self.phase.add(count);
    }

    /// The sender should hear nothing but presence; an error ends the run.
    fn check_sender(&mut self) -> Result<()> {
        while let Some(stanza) = self.pair.from.reader.next() {
            if scan::attr(stanza, b"type") == Some(b"error") {
                bail!("message refused: {}", String::from_utf8_lossy(stanza));
            }
        }
        Ok(())
    }
}

fn push_message(out: &mut String, to: &str, stamp: Stamp, body: usize) {
    let seq = stamp.seq;
    let _ = write!(out, "<message to='{to}' type='chat' id='m{seq}'><body>");
    let start = out.len();
    let _ = write!(out, "{stamp} ");
    let padding = body.saturating_sub(out.len() - start);
    out.extend(std::iter::repeat_n('x', padding));
    out.push_str("</body></message>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_duplicates_and_disorder() {
        let mut seen = Sequence::default();
        [0, 1, 3, 2, 2, 100, 64]
            .into_iter()
            .for_each(|seq| seen.note(seq));
        assert_eq!((seen.unique, seen.duplicated, seen.out_of_order), (6, 1, 2));
    }

    #[test]
    fn message_has_the_asked_body_length() {
        let mut out = String::new();
        let stamp = Stamp { run: 9, seq: 5 };
        push_message(&mut out, "a@b", stamp, 100);
        let body = scan::text(out.as_bytes(), b"body").unwrap();
        assert_eq!(body.len(), 100);
        assert_eq!(Stamp::parse(body), Some(stamp));
    }
}
