//! The one place where generations change: reads the files, has them tried and built everywhere, flips one number.
//!
//! It runs on the control thread. Workers get orders through a channel each, and every engine serves its own between
//! stanzas; so no worker's state is ever touched from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::conversation::Conversations;
use super::hub::Shared;
use super::report::{Failure, Report};
use super::scratch::{self, Modules};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::status::{HookLine, ScriptLine, WorkerStatus, sum};
use super::watch::Watch;

/// Orders that may wait for one worker.
const ORDERS: usize = 64;
/// Commands that may wait for the coordinator.
const COMMANDS: usize = 16;
/// Reports that a slow listener may fall behind.
const REPORTS: usize = 64;
/// How long all workers together may take to build a generation.
const BUILD: Duration = Duration::from_secs(15);
/// How long the workers may take to tell their status.
const STATUS: Duration = Duration::from_secs(2);

/// What an engine is told. Served between stanzas.
pub(super) enum Order {
    /// Build this generation beside the one that runs.
    Build {
        number: u64,
        snapshot: Arc<Snapshot>,
        reply: mpsc::Sender<Result<(), Failure>>,
    },
    /// The number has flipped.
    Adopt,
    /// The generation that was built will not go live.
    Discard,
    /// Tell.
    Status(oneshot::Sender<WorkerStatus>),
    /// Another worker's script cancels a timer.
    CancelTimer(u64),
}

/// A worker's place: made by the coordinator, carried to the worker's thread, turned into an [`super::Engine`] there.
pub struct Seat {
    pub(super) worker: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Receiver<Order>,
}

enum Command {
    Reload(oneshot::Sender<Report>),
    Reconfigure(Box<Settings>, oneshot::Sender<Report>),
    Scripts(oneshot::Sender<Vec<ScriptLine>>),
    Hooks(oneshot::Sender<Vec<HookLine>>),
}

/// The console's way to the coordinator.
#[derive(Clone)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    reports: broadcast::Sender<Report>,
    shared: Arc<Shared>,
}

/// The coordinator has ended: the server is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the script coordinator has ended")]
pub struct Gone;

impl Control {
    /// Reads the script files and brings them live. The first call loads generation 1.
    ///
    /// # Errors
    /// When the server is shutting down. That the scripts were refused is in the report.
    pub async fn reload(&self) -> Result<Report, Gone> {
        self.ask(Command::Reload).await
    }

    /// Takes new settings from a configuration reload and brings them live.
    ///
    /// # Errors
    /// When the server is shutting down.
    pub async fn reconfigure(&self, settings: Settings) -> Result<Report, Gone> {
        self.ask(|reply| Command::Reconfigure(Box::new(settings), reply))
            .await
    }

    /// The scriptlets, summed over all workers.
    ///
    /// # Errors
    /// When the server is shutting down.
    pub async fn scripts(&self) -> Result<Vec<ScriptLine>, Gone> {
        self.ask(Command::Scripts).await
    }

    /// Every function at a hook point, in the order in which they run.
    ///
    /// # Errors
    /// When the server is shutting down.
    pub async fn hooks(&self) -> Result<Vec<HookLine>, Gone> {
        self.ask(Command::Hooks).await
    }

    /// Every report from now on, for the log: saves that the watch has seen included.
    #[must_use]
    pub fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.subscribe()
    }

    /// The generation that is live; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.live.load(Ordering::Acquire)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// Brings generations live.
pub struct Coordinator {
    settings: Settings,
    modules: Modules,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    reports: broadcast::Sender<Report>,
    /// What was tried last, live or not.
    tried: Option<Arc<Snapshot>>,
}

impl Coordinator {
    /// A coordinator for `workers` workers, the console's way to it, and a seat for each worker.
    #[must_use]
    pub fn new(
        settings: Settings,
        modules: Modules,
        workers: usize,
    ) -> (Coordinator, Control, Vec<Seat>) {
        let (orders, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(ORDERS)).unzip();
        let shared = Arc::new(Shared {
            live: AtomicU64::new(0),
            conversations: Conversations::default(),
            orders,
        });
        let seats = receivers
            .into_iter()
            .enumerate()
            .map(|(worker, orders)| Seat {
                worker,
                shared: Arc::clone(&shared),
                orders,
            });
        let seats = seats.collect();
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (reports, _) = broadcast::channel(REPORTS);
        let control = Control {
            commands,
            reports: reports.clone(),
            shared: Arc::clone(&shared),
        };
        let coordinator = Coordinator {
            settings,
            modules,
            shared,
            commands: receiver,
            reports,
            tried: None,
        };
        (coordinator, control, seats)
    }

    /// Watches the files and serves the console, until every [`Control`] is gone.
    pub async fn run(mut self) {
        let mut watch = Watch::on(&self.settings);
        loop {
            let command = tokio::select! {
                command = self.commands.recv() => command,
                () = watch.settled() => {
                    self.reload(false).await;
                    continue;
                }
            };
            match command {
                None => return,
                Some(Command::Reload(reply)) => {
                    let _ = reply.send(self.reload(true).await);
                }
                Some(Command::Reconfigure(settings, reply)) => {
                    let before = std::mem::replace(&mut self.settings, *settings);
                    let report = self.reload(true).await;
                    // Refused settings are not in force: the next save is judged by the old ones.
                    if report.refused() {
                        self.settings = before;
                    } else {
                        watch = Watch::on(&self.settings);
                    }
                    let _ = reply.send(report);
                }
                Some(Command::Scripts(reply)) => {
                    let _ = reply.send(sum(&self.ask_all().await));
                }
                Some(Command::Hooks(reply)) => {
                    // Every worker runs the same bytes, so one speaks for all.
                    let hooks = self.ask_all().await.into_iter().map(|worker| worker.hooks);
                    let _ = reply.send(hooks.max_by_key(Vec::len).unwrap_or_default());
                }
            }
        }
    }

    /// Reads the files; unless nothing changed (and nobody `asked`), tries to bring them live, and reports.
    async fn reload(&mut self, asked: bool) -> Report {
        let begun = Instant::now();
        let generation = self.shared.live.load(Ordering::Acquire);
        let (settings, before) = (self.settings.clone(), self.tried.clone());
        let read =
            tokio::task::spawn_blocking(move || Snapshot::read(&settings, before.as_deref())).await;
        let outcome = match read {
            Ok(Ok(snapshot)) => {
                let same = self
                    .tried
                    .as_ref()
                    .is_some_and(|tried| tried.fingerprint() == snapshot.fingerprint());
                if same && !asked {
                    return Report::Unchanged { generation };
                }
                self.bring_live(Arc::new(snapshot), begun).await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Failure::plain("reading the scripts was interrupted")),
        };
        let report = outcome.unwrap_or_else(|failure| Report::Refused {
            failure,
            generation,
        });
        // Nobody may be listening.
        let _ = self.reports.send(report.clone());
        report
    }

    async fn bring_live(
        &mut self,
        snapshot: Arc<Snapshot>,
        begun: Instant,
    ) -> Result<Report, Failure> {
        let before = self.tried.replace(Arc::clone(&snapshot));
        let generation = self.shared.live.load(Ordering::Acquire) + 1;
        scratch::selftest(&snapshot, &self.modules).await?;
        let built = tokio::time::timeout(BUILD, self.build_everywhere(generation, &snapshot)).await;
        let built = built.unwrap_or_else(|_| {
            Err(Failure::plain(format!(
                "not every worker had it ready within {} s",
                BUILD.as_secs()
            )))
        });
        let workers = match built {
            Ok(workers) => workers,
            Err(failure) => {
                self.tell_all(|| Order::Discard).await;
                return Err(failure);
            }
        };
        self.shared.live.store(generation, Ordering::Release);
        self.tell_all(|| Order::Adopt).await;
        Ok(Report::Live {
            generation,
            workers,
            took: begun.elapsed(),
            changed: changed(before.as_deref(), &snapshot),
        })
    }

    /// Has every worker build; how many did, or the first that could not.
    async fn build_everywhere(
        &self,
        number: u64,
        snapshot: &Arc<Snapshot>,
    ) -> Result<usize, Failure> {
        let (reply, mut answers) = mpsc::channel(self.shared.orders.len().max(1));
        for orders in &self.shared.orders {
            let order = Order::Build {
                number,
                snapshot: Arc::clone(snapshot),
                reply: reply.clone(),
            };
            // A worker that has gone needs no scripts.
            let _ = orders.send(order).await;
        }
        drop(reply);
        let mut ready = 0;
        while let Some(answer) = answers.recv().await {
            answer?;
            ready += 1;
        }
        Ok(ready)
    }

    async fn tell_all(&self, order: impl Fn() -> Order) {
        for orders in &self.shared.orders {
            let _ = orders.send(order()).await;
        }
    }

    async fn ask_all(&self) -> Vec<WorkerStatus> {
        let mut answers = Vec::with_capacity(self.shared.orders.len());
        for orders in &self.shared.orders {
            let (reply, answer) = oneshot::channel();
            if orders.send(Order::Status(reply)).await.is_ok() {
                answers.push(answer);
            }
        }
        let mut told = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Ok(Ok(status)) = tokio::time::timeout(STATUS, answer).await {
                told.push(status);
            }
        }
        told
    }
}

/// What to name in the report: the files that changed, or every script when there is nothing to compare with.
fn changed(before: Option<&Snapshot>, now: &Snapshot) -> Vec<String> {
    let files = before
        .map(|before| now.changed_since(before))
        .unwrap_or_default();
    if !files.is_empty() {
        return files;
    }
    let scripts = now.scripts.iter().filter_map(|spec| now.find(&spec.source));
    scripts.map(|source| source.name.to_string()).collect()
}
