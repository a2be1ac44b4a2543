//! One generation on one worker: its VM, its scripts, and what they have registered.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, Function, Table};
use tokio::sync::watch;

use crate::config::OnError;
use crate::hook::{Band, Peer, Point};

use super::announced::{Announced, Announcements};
use super::api::session::LuaSession;
use super::filter::Filter;
use super::sandbox::Vm;
use super::snapshot::Snapshot;
use super::timers::Timer;

/// A generation's VM with all that hangs on it.
pub(super) struct Live {
    /// The generation.
    pub(super) number: u64,
    /// What it was built from: a condemned VM is built again from the same bytes.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) vm: Vm,
    /// In configuration order.
    pub(super) scripts: Vec<Loaded>,
    registered: OnceCell<Registered>,
    announced: OnceCell<Rc<Announced>>,
    /// Timers that its `init` functions have started; they begin when the generation goes live.
    pub(super) timers: RefCell<Vec<Timer>>,
    /// Condemned, and being built again.
    pub(super) rebuilding: Cell<bool>,
    stage: watch::Sender<Stage>,
    /// The session whose stanza came last, as Lua sees it: stanzas come in runs.
    last: RefCell<Option<(Arc<Peer>, AnyUserData)>>,
}

/// Where a VM stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    InUse,
    /// A newer one is live; what waits in this one may come to its end.
    Retired,
    /// What still waits in it is cut off.
    Cancelled,
}

/// One scriptlet in one VM.
pub(super) struct Loaded {
    pub(super) name: Arc<str>,
    /// `script:NAME`, for traces.
    pub(super) label: Arc<str>,
    /// Its file.
    pub(super) file: Arc<str>,
    pub(super) required: bool,
    pub(super) on_error: OnError,
    pub(super) stats: Rc<Stats>,
    /// Could not be loaded into this VM; only when a condemned VM was built again.
    pub(super) parked: Cell<bool>,
}

/// What a script has done on this worker, in all its generations.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) calls: Cell<u64>,
    pub(super) errors: Cell<u64>,
    pub(super) busy: Cell<Duration>,
}

/// A function at a hook point.
pub(super) struct Entry {
    /// Its script, by place in [`Live::scripts`].
    pub(super) script: usize,
    pub(super) priority: i64,
    /// Which stanzas it is called for.
    pub(super) filter: Filter,
    /// None: the script is parked, but its place at the point still refuses what it must.
    pub(super) function: Option<Function>,
    /// `file:line`.
    pub(super) at: String,
}

/// The bands that scripts may stand in, in order.
pub(super) const BANDS: [Band; 2] = [Band::Early, Band::Late];

/// What the scripts of a VM have registered while they were loaded.
#[derive(Default)]
pub(super) struct Registered {
    /// By point, then early and late; in the order in which they run.
    pub(super) chains: [[Vec<Entry>; 2]; Point::COUNT],
    /// `script.register(name, fn)`.
    pub(super) functions: HashMap<String, (usize, Function)>,
    /// Tables of `registerModule`, whose functions are known as `module.function`.
    pub(super) modules: HashMap<String, (usize, Table)>,
    pub(super) deinits: Vec<(usize, Function)>,
    pub(super) selftests: Vec<(usize, Function)>,
    pub(super) announcements: Announcements,
}

/// The place of `band` in a chain; none for the native one.
pub(super) fn place(band: Band) -> Option<usize> {
    BANDS.iter().position(|have| *have == band)
}

impl Live {
    pub(super) fn new(number: u64, snapshot: Arc<Snapshot>, vm: Vm, scripts: Vec<Loaded>) -> Live {
        Live {
            number,
            snapshot,
            vm,
            scripts,
            registered: OnceCell::new(),
            announced: OnceCell::new(),
            timers: RefCell::default(),
            rebuilding: Cell::new(false),
            stage: watch::Sender::new(Stage::InUse),
            last: RefCell::default(),
        }
    }

    /// The session of `peer` for its handlers.
    pub(super) fn session(&self, peer: &Arc<Peer>) -> mlua::Result<AnyUserData> {
        if let Some((last, session)) = &*self.last.borrow()
            && Arc::ptr_eq(last, peer)
        {
            return Ok(session.clone());
        }
        let session = self.vm.lua().create_userdata(LuaSession::new(peer))?;
        self.last.replace(Some((Arc::clone(peer), session.clone())));
        Ok(session)
    }

    /// Ends loading: from here on nothing registers.
    pub(super) fn seal(&self, mut registered: Registered) {
        for chain in registered.chains.iter_mut().flatten() {
            // Stable: equal priorities keep the order of the configuration, then of registration.
            chain.sort_by_key(|entry| (std::cmp::Reverse(entry.priority), entry.script));
        }
        // Sealed once, by the loader.
        let _ = self
            .announced
            .set(Rc::new(registered.announcements.finish()));
        let _ = self.registered.set(registered);
    }

    /// The functions of `band` at `point`, in the order in which they run.
    pub(super) fn chain(&self, point: Point, band: Band) -> &[Entry] {
        match (self.registered.get(), place(band)) {
            (Some(registered), Some(place)) => &registered.chains[point as usize][place],
            _ => &[],
        }
    }

    /// What its scripts announce. None while they are loaded.
    pub(super) fn announced(&self) -> Option<Rc<Announced>> {
        self.announced.get().cloned()
    }

    pub(super) fn registered(&self) -> Option<&Registered> {
        self.registered.get()
    }

    /// The function that timers and conversations know by `name`, with its script.
    pub(super) fn named(&self, name: &str) -> Option<(usize, Function)> {
        let registered = self.registered.get()?;
        if let Some((script, function)) = registered.functions.get(name) {
            return Some((*script, function.clone()));
        }
        let (module, function) = name.rsplit_once('.')?;
        let (script, table) = registered.modules.get(module)?;
        table
            .raw_get::<Option<Function>>(function)
            .ok()
            .flatten()
            .map(|function| (*script, function))
    }

    /// A newer generation is live.
    pub(super) fn retire(&self) {
        self.stage
            .send_if_modified(|stage| advance(stage, Stage::Retired));
    }

    /// Cuts off whatever still waits in this VM.
    pub(super) fn cancel(&self) {
        self.stage
            .send_if_modified(|stage| advance(stage, Stage::Cancelled));
    }

    /// Whether what waits in it has been cut off.
    pub(super) fn is_cancelled(&self) -> bool {
        *self.stage.borrow() == Stage::Cancelled
    }

    /// Lets go of everything but the VM.
    pub(super) fn into_vm(self) -> Vm {
        self.vm
    }

    /// Until [`Live::retire`].
    pub(super) async fn retired(&self) {
        self.reaches(Stage::Retired).await;
    }

    /// Until [`Live::cancel`].
    pub(super) async fn cancelled(&self) {
        self.reaches(Stage::Cancelled).await;
    }

    async fn reaches(&self, wanted: Stage) {
        // The sender is ours, so the wait cannot fail while we are borrowed.
        let _ = self
            .stage
            .subscribe()
            .wait_for(|stage| *stage >= wanted)
            .await;
    }
}

fn advance(stage: &mut Stage, to: Stage) -> bool {
    let forward = *stage < to;
    if forward {
        *stage = to;
    }
    forward
}
