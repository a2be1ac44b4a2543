//! Command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    /// Give up with exit code 3 after this many seconds
    #[arg(long, global = true, default_value_t = 600)]
    pub max_seconds: u64,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Print the accounts that the workloads use, a line `jid password` each
    Accounts(Accounts),
    /// Full logins per second
    Login(Login),
    /// Memory per idle session
    Idle(Idle),
    /// One-to-one messages between pairs of users
    Chat(Chat),
    /// Pings answered by the server (XEP-0199)
    Iq(Iq),
    /// Presence of one user to all others, who must be its contacts
    Presence(Presence),
    /// The chat workload through a relay that copies bytes: the ceiling of this machine and of this tool
    RelayLimit(RelayLimit),
    /// The relay itself (started by relay-limit)
    #[command(hide = true)]
    RelayServe(RelayServe),
}

#[derive(Clone, Copy, ValueEnum)]
pub enum TlsMode {
    Starttls,
    Direct,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Mechanism {
    #[value(name = "PLAIN")]
    Plain,
    #[value(name = "SCRAM-SHA-1")]
    ScramSha1,
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
}

/// The accounts `load0@DOMAIN`, `load1@DOMAIN`, ...
#[derive(Args, Clone)]
pub struct Accounts {
    /// How many there are
    #[arg(long, default_value_t = 200)]
    pub users: usize,
    #[arg(long, default_value = "localhost")]
    pub domain: String,
    /// Password of each of them
    #[arg(long, default_value = "measured")]
    pub password: String,
}

impl Accounts {
    pub fn user(&self, index: usize) -> String {
        format!("load{index}")
    }

    pub fn bare_jid(&self, index: usize) -> String {
        format!("load{index}@{}", self.domain)
    }

    pub fn lines(&self) -> String {
        (0..self.users).fold(String::new(), |mut lines, index| {
            let _ = writeln!(lines, "{} {}", self.bare_jid(index), self.password);
            lines
        })
    }
}

/// Where the server is and who logs in.
#[derive(Args, Clone)]
pub struct Target {
    /// Port on 127.0.0.1; other hosts cannot be loaded
    #[arg(long)]
    pub port: u16,
    #[arg(long, value_enum, default_value = "starttls")]
    pub tls: TlsMode,
    #[arg(long, value_enum, default_value = "SCRAM-SHA-1")]
    pub mechanism: Mechanism,
    #[command(flatten)]
    pub accounts: Accounts,
    /// Connect from this many source addresses 127.0.0.1, 127.0.0.2, ...
    #[arg(long, default_value_t = 1)]
    pub source_ips: u8,
    /// Logins under way at once
    #[arg(long, default_value_t = 16)]
    pub parallel: usize,
    /// Process that is charged as the server
    #[arg(long)]
    pub server_pid: u32,
}

/// How long a measured phase runs.
#[derive(Args, Clone)]
pub struct Timing {
    /// Seconds before counting starts
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
}

#[derive(Args)]
pub struct Login {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub timing: Timing,
}

#[derive(Args)]
pub struct Idle {
    #[command(flatten)]
    pub target: Target,
    /// Sessions at the first measurement; the second is made with all users
    #[arg(long, default_value_t = 50)]
    pub first: usize,
    /// Seconds of quiet before each measurement
    #[arg(long, default_value_t = 10.0)]
    pub hold: f64,
    /// Sessions pinged at the end, spread over all of them
    #[arg(long, default_value_t = 100)]
    pub sample: usize,
}

/// What the pairs send.
#[derive(Args, Clone)]
pub struct ChatShape {
    #[arg(long, default_value_t = 100)]
    pub pairs: usize,
    /// Body length in bytes
    #[arg(long, default_value_t = 100)]
    pub body: usize,
    /// Messages under way at once, per pair
    #[arg(long, default_value_t = 16)]
    pub window: u64,
    #[command(flatten)]
    pub timing: Timing,
}

#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub shape: ChatShape,
}

#[derive(Args)]
pub struct Iq {
    #[command(flatten)]
    pub target: Target,
    /// Pings under way at once, per user
    #[arg(long, default_value_t = 8)]
    pub window: u64,
    #[command(flatten)]
    pub timing: Timing,
}

#[derive(Args)]
pub struct Presence {
    #[command(flatten)]
    pub target: Target,
    /// Changes under way at once
    #[arg(long, default_value_t = 4)]
    pub window: u64,
    #[command(flatten)]
    pub timing: Timing,
}

#[derive(Args)]
pub struct RelayLimit {
    #[command(flatten)]
    pub shape: ChatShape,
    #[arg(long)]
    pub port: u16,
    /// Run the relay under `taskset -c CPU`
    #[arg(long)]
    pub relay_cpu: Option<usize>,
    /// Certificate and key of the relay, PEM
    #[arg(long)]
    pub identity: PathBuf,
}

#[derive(Args)]
pub struct RelayServe {
    #[arg(long)]
    pub port: u16,
    #[arg(long)]
    pub identity: PathBuf,
}
