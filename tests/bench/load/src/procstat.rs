//! CPU time and resident memory from /proc.

use anyhow::{Context, Result};
use std::fs;

/// Kernel ticks per second in /proc/*/stat (fixed in the Linux user ABI).
const TICKS: f64 = 100.0;

#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_bytes: u64,
}

/// A moment's CPU and memory of the server, this tool and the host.
#[derive(Clone, Copy)]
pub struct Sample {
    pub server: Usage,
    pub tool: Usage,
    pub host_busy_s: f64,
}

pub fn sample(server_pid: u32) -> Result<Sample> {
    Ok(Sample {
        server: usage(server_pid)?,
        tool: usage(std::process::id())?,
        host_busy_s: host_busy()?,
    })
}

fn usage(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage {
        cpu_s: cpu_ticks(&stat).context("unknown form of /proc/PID/stat")? / TICKS,
        rss_bytes: resident(&status).context("no VmRSS in /proc/PID/status")?,
    })
}

/// User and system time; the fields are counted from behind the command's name, which may hold spaces.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident(status: &str) -> Option<u64> {
    let rest = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// CPU seconds in which the machine was not idle.
fn host_busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is within user
    let busy = ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(field, _)| !matches!(field, 3 | 4));
    Ok(busy.map(|(_, ticks)| ticks).sum::<f64>() / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let sample = sample(std::process::id()).unwrap();
        assert!(sample.server.rss_bytes > 100_000);
        assert!(sample.host_busy_s >= sample.server.cpu_s);
    }

    #[test]
    fn reads_the_fields_behind_an_odd_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    12 kB\n"), Some(12 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
