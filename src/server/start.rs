//! Builds every part of the server, in order. Nothing registers itself; what fails takes everything down again.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::available_parallelism;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::banner::{Banner, Socket};
use super::identity::{Tls, TlsError};
use super::local::Local;
use super::{Common, Options, Workers, backend, expiry, host, memory, reload, watchdog};
use crate::accounts::Accounts;
use crate::config::{Config, Diagnostics};
use crate::control;
use crate::delivery::Turns;
use crate::directory::Directory;
use crate::limit::{Memory, PerAddress};
use crate::listener::{self, Listener};
use crate::net::{Clock, Worker};
use crate::observe::trace::Registry;
use crate::observe::{Activity, Counters};
use crate::script::{self, Coordinator, Report};
use crate::session::SAVED_KIND;
use crate::store::{Store, StoreError, StoreOptions};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(Diagnostics),
    /// The scripts are wrong.
    #[error("{0}")]
    Scripts(script::Failure),
    /// The script engine ended before it had begun.
    #[error("{0}")]
    Engine(script::Gone),
    /// The data directory or what is in it cannot be used.
    #[error("{source}\n  data directory: {dir}; another one: stanzad --data DIR", dir = dir.display())]
    Store {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong.
        source: StoreError,
    },
    /// A certificate cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A socket cannot be opened.
    #[error("{0}")]
    Listen(#[from] listener::BindError),
    /// The console's socket cannot be opened.
    #[error("{0}")]
    Control(#[from] control::BindError),
    /// A thread or its runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Runtime(std::io::Error),
}

impl StartError {
    /// The process's exit code: 2 for what the operator wrote, 3 for what the machine lacks.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Config(_) | StartError::Scripts(_) => 2,
            _ => 3,
        }
    }
}

/// A running server.
pub(super) struct Started {
    pub(super) common: Arc<Common>,
    pub(super) workers: Workers,
    pub(super) scripts: script::Control,
    pub(super) reloads: reload::Reloads,
    pub(super) banner: Banner,
    /// Accept loops: ended first.
    pub(super) accepting: Vec<JoinHandle<()>>,
    /// Console, watchdog, script coordinator: ended last.
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// Starts everything; must run inside the control thread's runtime.
pub(super) async fn start(options: Options, config: Arc<Config>) -> Result<Started, StartError> {
    let common = Arc::new(common(options, config.clone())?);
    common.set_log_level(&config);
    common.set_memory_limits(&config);
    let bound = bind_all(&config)?;
    let consoles = bind_consoles(&config)?;
    let pools = pools(&config);
    let (coordinator, scripts, seats) = Coordinator::new(
        host::settings(&common, &config),
        Arc::new(script::modules),
        pools.len(),
    );
    let activities: Vec<Arc<Activity>> = pools.iter().map(|_| Arc::default()).collect();
    let workers = start_workers(&common, &pools, seats, &activities)?;
    let mut tasks = vec![tokio::task::spawn_local(coordinator.run())];
    let generation = first_generation(&scripts).await?;

    let sockets = bound
        .iter()
        .map(|(index, socket)| Socket {
            addr: socket
                .local_addr()
                .unwrap_or_else(|_| config.xmpp_listens()[*index].addr),
            tls: config.xmpp_listens()[*index].anyone.tls,
        })
        .collect();
    let banner = banner(&common, &config, sockets, generation);
    restore_sessions(&common, &workers).await?;
    let accepting = accept(&common, &config, bound, &workers);
    let (reloader, reloads) = reload::Reloader::new(common.clone(), scripts.clone());
    let backend = Rc::new(backend::Console::new(
        common.clone(),
        scripts.clone(),
        workers.clone(),
        banner.clone(),
        reloads.clone(),
    ));
    for console in consoles {
        tasks.push(tokio::task::spawn_local(console.serve(backend.clone())));
    }
    tasks.push(tokio::task::spawn_local(reloader.run()));
    tasks.push(tokio::task::spawn_local(watchdog::watch(
        workers.clone(),
        activities,
    )));
    tasks.push(tokio::task::spawn_local(memory::watch(common.clone())));
    tasks.push(tokio::task::spawn_local(expiry::watch(
        common.clone(),
        workers.clone(),
    )));
    tasks.push(tokio::task::spawn_local(tell_reports(scripts.clone())));
    Ok(Started {
        common,
        workers,
        scripts,
        reloads,
        banner,
        accepting,
        tasks,
    })
}

fn common(options: Options, config: Arc<Config>) -> Result<Common, StartError> {
    let clock = Clock::system();
    let store_clock = clock.clone();
    let store_options = StoreOptions::new(move || store_clock.wall_ms());
    let store =
        Store::open(config.data_dir(), store_options).map_err(|source| StartError::Store {
            dir: absolute(config.data_dir()),
            source,
        })?;
    let tls = Tls::load(&config)?;
    let memory = Arc::new(Memory::default());
    let directory = Arc::new(Directory::new(memory.clone()));
    Ok(Common {
        config: ArcSwap::new(config),
        options,
        accounts: Arc::new(Accounts::new(
            store.clone(),
            directory.clone(),
            clock.clone(),
        )),
        store,
        directory,
        turns: Arc::new(Turns::default()),
        traces: Arc::new(Registry::default()),
        counters: Arc::new(Counters::default()),
        clock,
        sessions: AtomicU64::new(0),
        unauthenticated: PerAddress::default(),
        memory,
        tls: ArcSwap::from_pointee(tls),
        stop: Notify::new(),
    })
}

/// Opens every socket before any is served. A loopback address of a protocol that this machine does not have is left out
/// as long as another socket remains.
fn bind_all(config: &Config) -> Result<Vec<(usize, std::net::TcpListener)>, StartError> {
    let mut bound = Vec::new();
    let mut missing = None;
    for (index, listen) in config.xmpp_listens().iter().enumerate() {
        match listener::bind(listen) {
            Ok(socket) => bound.push((index, socket)),
            Err(error) if error.not_here() && listen.addr.ip().is_loopback() => {
                tracing::warn!(addr = %listen.addr, "this machine does not have the address: not listening there");
                missing = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error.into()),
        _ => Ok(bound),
    }
}

fn bind_consoles(config: &Config) -> Result<Vec<control::Listener>, StartError> {
    config
        .control_listens()
        .iter()
        .map(|listen| control::Listener::bind(&listen.path, listen.file_mode).map_err(Into::into))
        .collect()
}

/// A pool name for each worker.
fn pools(config: &Config) -> Vec<Arc<str>> {
    let cores = available_parallelism().map_or(1, usize::from);
    config
        .thread_pools()
        .iter()
        .flat_map(|pool| {
            let count = if pool.concurrency == 0 {
                cores
            } else {
                pool.concurrency
            };
            std::iter::repeat_n(Arc::<str>::from(pool.name.as_str()), count)
        })
        .collect()
}

fn start_workers(
    common: &Arc<Common>,
    pools: &[Arc<str>],
    seats: Vec<script::Seat>,
    activities: &[Arc<Activity>],
) -> Result<Workers, StartError> {
    pools
        .iter()
        .zip(seats)
        .zip(activities)
        .enumerate()
        .map(|(id, ((pool, seat), activity))| {
            let common = common.clone();
            let activity = activity.clone();
            Worker::start(id, pool.clone(), move || {
                Local::build(id, common, seat, activity)
            })
            .map_err(StartError::Runtime)
        })
        .collect()
}

async fn first_generation(scripts: &script::Control) -> Result<String, StartError> {
    match scripts.reload().await {
        Ok(Report::Refused { failure, .. }) => Err(StartError::Scripts(failure)),
        Ok(report) => Ok(report.to_string()),
        Err(gone) => Err(StartError::Engine(gone)),
    }
}

fn accept(
    common: &Arc<Common>,
    config: &Config,
    bound: Vec<(usize, std::net::TcpListener)>,
    workers: &Workers,
) -> Vec<JoinHandle<()>> {
    bound
        .into_iter()
        .map(|(index, socket)| {
            let listen = config.xmpp_listens()[index].clone();
            let pool = workers
                .iter()
                .filter(|worker| worker.pool() == listen.pool_name)
                .cloned()
                .collect();
            let name = listen.name.clone();
            let peer_settings = {
                let common = common.clone();
                let fallback = listen.clone();
                // A reload that keeps the sockets keeps their places.
                Box::new(move |ip| {
                    let config = common.config.load();
                    let listen = config.xmpp_listens().get(index).unwrap_or(&fallback);
                    listen.for_peer(ip).clone()
                })
            };
            let listener = Listener {
                socket,
                index,
                listen,
                workers: pool,
                peer_settings,
                unauthenticated: common.unauthenticated.clone(),
                memory: common.memory.clone(),
                told_tight: Cell::default(),
                counters: common.counters.clone(),
            };
            tokio::task::spawn_local(async move {
                if let Err(error) = listener.serve().await {
                    tracing::error!(listen = %name, %error, "this socket accepts no more");
                }
            })
        })
        .collect()
}

/// Sessions that waited for their clients when the server stopped go on waiting, before anybody can ask for them.
async fn restore_sessions(common: &Arc<Common>, workers: &Workers) -> Result<(), StartError> {
    let saved = common.store.document_take(SAVED_KIND).await;
    let saved = saved.map_err(|source| StartError::Store {
        dir: absolute(common.config.load().data_dir()),
        source,
    })?;
    let count = saved.len();
    let mut restored = Vec::with_capacity(count);
    for (data, worker) in saved.into_iter().zip(workers.iter().cycle()) {
        let (done, is_done) = oneshot::channel();
        worker.run(move |local| {
            local.restore(&data);
            let _ = done.send(());
        });
        restored.push(is_done);
    }
    for is_done in restored {
        // A worker that has ended has nothing to restore.
        let _ = is_done.await;
    }
    // When all carry what they had: what came for them later is in the spool, and goes before anything new.
    if let Some(worker) = workers.iter().next() {
        let (done, is_done) = oneshot::channel();
        worker.run(move |local| {
            local.catch_up_restored();
            let _ = done.send(());
        });
        let _ = is_done.await;
    }
    if count > 0 {
        tracing::info!(sessions = count, "sessions wait for their clients again");
    }
    Ok(())
}

/// Logs what becomes of saved scripts.
async fn tell_reports(scripts: script::Control) {
    let mut reports = scripts.reports();
    drop(scripts);
    loop {
        match reports.recv().await {
            Ok(report) if report.refused() => tracing::error!("{report}"),
            Ok(report) => tracing::info!("{report}"),
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

fn banner(common: &Common, config: &Config, sockets: Vec<Socket>, generation: String) -> Banner {
    Banner {
        version: env!("CARGO_PKG_VERSION"),
        configuration: config.origin().to_string(),
        data: absolute(config.data_dir()),
        scripts: match common.script_dir(config) {
            crate::config::ScriptDir::Dir(dir) => absolute(&dir).display().to_string(),
            built_in @ crate::config::ScriptDir::BuiltIn => built_in.to_string(),
        },
        generation,
        domains: config.served(),
        certificates: common.tls.load().certified.clone(),
        sockets,
        console: config
            .control_listens()
            .iter()
            .map(|listen| absolute(&listen.path))
            .collect(),
        stanzactl: stanzactl(),
    }
}

/// How stanzactl is called from here: by its name if a shell finds it, else by where it lies, beside us.
fn stanzactl() -> String {
    const NAME: &str = "stanzactl";
    let beside = std::env::current_exe()
        .ok()
        .map(|us| us.with_file_name(NAME))
        .filter(|path| path.is_file());
    let found = |path: &PathBuf| {
        std::env::var_os("PATH").is_some_and(|list| {
            std::env::split_paths(&list).any(|dir| Some(dir.as_path()) == path.parent())
        })
    };
    match beside.filter(|path| !found(path)) {
        None => NAME.to_owned(),
        Some(path) => {
            let here = std::env::current_dir().unwrap_or_default();
            path.strip_prefix(&here)
                .unwrap_or(&path)
                .display()
                .to_string()
        }
    }
}

fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
