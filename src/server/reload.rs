//! The configuration and the scripts again, all or nothing (DESIGN §7): SIGHUP and `stanzactl config reload`.
//!
//! One task does all reloads, one after the other, so that each sees what the one before has made.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::identity::{Tls, TlsError};
use super::{Common, components, host};
use crate::config::{Change, Config, Diagnostics, Source};
use crate::directory::Closing;
use crate::script::{self, Report};

/// Reloads that may wait.
const WAITING: usize = 8;

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("the configuration is wrong, the old one stays in force:\n{0}")]
    Config(Diagnostics),
    #[error("the old configuration stays in force: {0}")]
    Tls(#[from] TlsError),
    #[error(
        "the old configuration and generation {generation} of the scripts stay in force: {report}"
    )]
    Scripts { generation: u64, report: String },
    #[error("the server is stopping")]
    Stopping,
}

/// What a reload has done: every difference to what was in force, with the new warnings.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub(super) config: Arc<Config>,
    pub(super) changes: Vec<Change>,
}

type Outcome = Result<Reloaded, ReloadError>;

/// The way to the task that reloads.
#[derive(Clone)]
pub(super) struct Reloads(mpsc::Sender<oneshot::Sender<Outcome>>);

impl Reloads {
    /// Has everything read again; what became of it is logged as well.
    pub(super) async fn reload(&self) -> Outcome {
        let (tell, told) = oneshot::channel();
        let asked = self.0.send(tell).await;
        asked.map_err(|_| ReloadError::Stopping)?;
        told.await.unwrap_or(Err(ReloadError::Stopping))
    }
}

/// Does the reloads.
pub(super) struct Reloader {
    common: Arc<Common>,
    scripts: script::Control,
    /// The configuration of the start: what needs a restart stays as it says.
    started: Arc<Config>,
    asked: mpsc::Receiver<oneshot::Sender<Outcome>>,
}

impl Reloader {
    pub(super) fn new(common: Arc<Common>, scripts: script::Control) -> (Reloader, Reloads) {
        let (ask, asked) = mpsc::channel(WAITING);
        let reloader = Reloader {
            started: common.config.load_full(),
            common,
            scripts,
            asked,
        };
        (reloader, Reloads(ask))
    }

    /// Until nobody can ask any more.
    pub(super) async fn run(mut self) {
        while let Some(tell) = self.asked.recv().await {
            let outcome = self.reload().await;
            match &outcome {
                Ok(reloaded) => log(reloaded),
                Err(error) => tracing::error!("{error}"),
            }
            // Who asked may have gone.
            let _ = tell.send(outcome);
        }
    }

    /// Everything that can fail comes first; what is put in force then is put in force whole.
    async fn reload(&self) -> Outcome {
        let common = &self.common;
        let config = load(&common.options.source).await?;
        let changes = Config::diff(&common.config.load(), &config);
        let held = if changes.iter().all(|change| change.live) {
            config.clone()
        } else {
            config.held_to(&self.started)
        };
        let tls = Tls::load(&held)?;
        let settings = host::settings(common, &held);
        match self.scripts.reconfigure(settings).await {
            Ok(Report::Refused {
                failure,
                generation,
            }) => {
                let report = failure.to_string();
                return Err(ReloadError::Scripts { generation, report });
            }
            Ok(_) => {}
            Err(_) => return Err(ReloadError::Stopping),
        }
        common.set_log_level(&held);
        common.set_memory_limits(&held);
        let before = common.config.swap(held.clone());
        close_gone(common, &held);
        components::revoke(common, &before);
        let tls = Arc::new(tls);
        let old = common.tls.swap(tls.clone());
        for certificate in tls.certified.iter().filter(|new| !old.has(new)) {
            tracing::info!(
                "now in force: the certificate of {}, SHA-256 {}",
                certificate.domain,
                certificate.fingerprint
            );
        }
        Ok(Reloaded { config, changes })
    }
}

/// Ends the sessions of domains that are neither served nor a component's any more (RFC 6120 §4.9.3.5).
fn close_gone(common: &Common, config: &Config) {
    for (jid, outbox) in common.directory.outboxes() {
        let domain = jid.domain();
        if !config.is_local_domain(domain) && config.component(domain).is_none() {
            tracing::info!(%jid, "closing a session: its domain is not served any more");
            outbox.close(Closing::HostGone);
        }
    }
}

/// Reads and checks a configuration away from the control thread.
pub(super) async fn load(source: &Source) -> Result<Arc<Config>, ReloadError> {
    let source = source.clone();
    match tokio::task::spawn_blocking(move || Config::load(&source)).await {
        Ok(loaded) => loaded.map_err(ReloadError::Config),
        Err(_) => Err(ReloadError::Stopping),
    }
}

fn log(reloaded: &Reloaded) {
    if !reloaded.config.warnings().is_empty() {
        tracing::warn!("{}", reloaded.config.warnings());
    }
    for change in &reloaded.changes {
        if change.live {
            tracing::info!("now in force: {change}");
        } else {
            tracing::warn!("needs a restart: {change}");
        }
    }
    if reloaded.changes.is_empty() {
        tracing::info!("the configuration has not changed");
    }
}
