//! Shared state of a measured phase, and its clockwork.

use crate::cli::Timing;
use crate::procstat::{self, Sample};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long receivers wait for stragglers after the last send.
pub const DRAIN: Duration = Duration::from_secs(5);

/// The count and the flag that all tasks of a phase look at.
#[derive(Default)]
pub struct Phase {
    stopped: AtomicBool,
    units: AtomicU64,
}

impl Phase {
    pub fn stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    pub fn add(&self, count: u64) {
        self.units.fetch_add(count, Relaxed);
    }
}

/// What a phase cost between its first and last counted moment.
pub struct Measured {
    pub seconds: f64,
    pub units: u64,
    before: Sample,
    after: Sample,
}

impl Measured {
    pub fn server_cpu_s(&self) -> f64 {
        self.after.server.cpu_s - self.before.server.cpu_s
    }

    pub fn tool_cpu_s(&self) -> f64 {
        self.after.tool.cpu_s - self.before.tool.cpu_s
    }

    /// CPU seconds used by anything else on the machine, kernel threads included.
    pub fn other_cpu_s(&self) -> f64 {
        let host = self.after.host_busy_s - self.before.host_busy_s;
        (host - self.server_cpu_s() - self.tool_cpu_s()).max(0.0)
    }
}

/// Lets the phase warm up, counts for the given time, then stops it.
pub async fn run_phase(phase: &Phase, timing: &Timing, pid: u32) -> Result<Measured> {
    sleep(Duration::from_secs_f64(timing.warmup)).await;
    let (start, before) = (Instant::now(), procstat::sample(pid)?);
    let first = phase.units.load(Relaxed);
    sleep(Duration::from_secs_f64(timing.seconds)).await;
    let measured = Measured {
        seconds: start.elapsed().as_secs_f64(),
        units: phase.units.load(Relaxed) - first,
        before,
        after: procstat::sample(pid)?,
    };
    phase.stopped.store(true, Relaxed);
    Ok(measured)
}
