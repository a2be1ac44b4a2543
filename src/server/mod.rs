//! Composition root: builds every part from a checked configuration in order; reload, drain, shutdown.
//!
//! [`run`] is the daemon: it returns when the daemon has stopped. The thread that calls it becomes the control thread:
//! accept loops, console, script coordinator and signals live there; streams and sessions live on workers.

mod backend;
mod banner;
mod blocks;
mod components;
mod drain;
mod expiry;
mod host;
mod identity;
mod local;
mod memory;
mod queue;
mod reload;
mod roster;
mod scripts;
mod sessions;
mod settings;
mod start;
mod watchdog;

pub use banner::{Banner, Certified, Socket};
pub use start::StartError;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::accounts::Accounts;
use crate::config::{Config, Diagnostics, LogLevel, ScriptDir, Source};
use crate::delivery::Turns;
use crate::directory::Directory;
use crate::limit::{Memory, PerAddress};
use crate::net::{Clock, Worker};
use crate::observe::trace::Registry;
use crate::observe::{Counters, LogSwitch};
use crate::store::Store;
use local::Local;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// Where the configuration comes from.
    pub source: Source,
    /// `--scripts DIR`, before the configuration's.
    pub scripts: Option<PathBuf>,
    /// The log, if the configuration may set its level.
    pub log: Option<LogSwitch>,
}

/// What the threads of one server share. No process-wide state: two servers fit in one process.
pub(crate) struct Common {
    /// The configuration epoch in force.
    pub(crate) config: ArcSwap<Config>,
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) traces: Arc<Registry>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    pub(crate) sessions: AtomicU64,
    pub(crate) unauthenticated: PerAddress,
    /// What peers make the server keep.
    pub(crate) memory: Arc<Memory>,
    pub(crate) tls: ArcSwap<identity::Tls>,
    /// Notified by the console and by signals: drain and stop.
    pub(crate) stop: Notify,
}

impl Common {
    /// Logs as much as the configuration says, unless the command line says it.
    pub(crate) fn set_log_level(&self, config: &Config) {
        let Some(log) = &self.options.log else { return };
        let level = |level: LogLevel| match level {
            LogLevel::Warning => "warn",
            other => other.name(),
        };
        let xmpp = level(config.xmpp_log_level());
        let filter = format!(
            "{},stanzad::session={xmpp},stanzad::stream={xmpp}",
            level(config.log_level())
        );
        if let Err(error) = log.set(&filter) {
            tracing::error!(%error, "the log level stays as it was");
        }
    }

    /// Keeps to as much memory as the configuration says.
    pub(crate) fn set_memory_limits(&self, config: &Config) {
        let limits = config.limits();
        self.memory
            .set_limits(limits.memory_soft, limits.memory_hard);
    }

    /// The script directory in force: the command line's, else the configuration's.
    pub(crate) fn script_dir(&self, config: &Config) -> ScriptDir {
        self.options
            .scripts
            .clone()
            .map_or_else(|| config.script_dir().clone(), ScriptDir::Dir)
    }
}

type Workers = Vec<Arc<Worker<Local>>>;

/// Starts the server, calls `ready` when it serves, and returns when it has stopped.
///
/// # Errors
/// When it cannot start; nothing is left running then.
pub fn run(options: Options, ready: impl FnOnce(&Banner)) -> Result<(), StartError> {
    let config = Config::load(&options.source).map_err(StartError::Config)?;
    report_warnings(config.warnings());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Runtime)?;
    runtime.block_on(async move {
        let started = start::start(options, config).await?;
        ready(&started.banner);
        let signals = signals(started.common.clone(), started.reloads.clone());
        let signals = tokio::task::spawn_local(signals);
        started.common.stop.notified().await;
        signals.abort();
        drain::drain(started).await;
        Ok(())
    })
}

fn report_warnings(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        tracing::warn!("{warnings}");
    }
}

/// SIGHUP reloads, SIGTERM and SIGINT drain and stop.
async fn signals(common: Arc<Common>, reloads: reload::Reloads) {
    let streams = (
        signal(SignalKind::hangup()),
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = streams else {
        tracing::error!("no signals on this system: stop the server with stanzactl shutdown");
        return;
    };
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => {
                // What became of it is in the log; a signal that comes meanwhile waits.
                let _ = reloads.reload().await;
            }
            Some(()) = terminate.recv() => common.stop.notify_one(),
            Some(()) = interrupt.recv() => common.stop.notify_one(),
            else => return,
        }
    }
}
