//! What the API modules of one worker share: the way from a Lua function to the server.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlua::Error as LuaError;
use tokio::sync::mpsc;

use crate::hook::{MAX_HOPS, Outbox};
use crate::jid::Jid;
use crate::roster::Rosters;
use crate::stanza::Stanza;
use crate::store::Store;

use super::complaints::Complaints;
use super::conversation::Conversations;
use super::coordinator::Order;
use super::engine::Engine;
use super::live::Stats;
use super::run::Call;
use super::tidy::Tidy;
use super::timers::Timers;
use super::{Host, Module};

/// What all workers share.
pub(super) struct Shared {
    /// The generation that is live: the one number that flips.
    pub(super) live: AtomicU64,
    /// Open conversations of all workers.
    pub(super) conversations: Conversations,
    /// One way to each worker's engine.
    pub(super) orders: Vec<mpsc::Sender<Order>>,
}

/// A worker's services for its scripts. Cheap to clone; closures in the VM hold one, so it must not hold a VM.
#[derive(Clone)]
pub struct Hub(Rc<Inner>);

struct Inner {
    worker: usize,
    host: Rc<dyn Host>,
    outbox: Rc<dyn Outbox>,
    store: Option<Store>,
    rosters: Option<Rc<dyn Rosters>>,
    modules: Rc<[Box<dyn Module>]>,
    shared: Arc<Shared>,
    timers: Timers,
    complaints: Complaints,
    stats: RefCell<HashMap<String, Rc<Stats>>>,
    current: RefCell<Option<Rc<Call>>>,
    engine: RefCell<Weak<Engine>>,
    tasks: Cell<usize>,
    tidy: Tidy,
    /// In a selftest: what its scripts have sent, in place of sending it.
    sent: RefCell<Option<Vec<Stanza>>>,
}

/// The parts that a worker brings.
pub struct Parts {
    /// The server, as scripts see it.
    pub host: Rc<dyn Host>,
    /// Where scripts put stanzas.
    pub outbox: Rc<dyn Outbox>,
    /// Behind `kv`; `None`: every `kv` call is an error.
    pub store: Option<Store>,
    /// Behind `roster`; `None`: its calls are errors.
    pub rosters: Option<Rc<dyn Rosters>>,
    /// What scripts can call: [`super::modules`], and what higher layers add.
    pub modules: Vec<Box<dyn Module>>,
}

/// Most detached functions of one worker (`xmpp.spawn` and conversations).
const MAX_TASKS: usize = 4_096;
/// Most stanzas that a selftest may send.
const MAX_SENT: usize = 1_000;

impl Hub {
    pub(super) fn new(worker: usize, parts: Parts, shared: Arc<Shared>) -> Hub {
        Hub(Rc::new(Inner {
            worker,
            host: parts.host,
            outbox: parts.outbox,
            store: parts.store,
            rosters: parts.rosters,
            modules: parts.modules.into(),
            shared,
            timers: Timers::new(worker),
            complaints: Complaints::default(),
            stats: RefCell::default(),
            current: RefCell::default(),
            engine: RefCell::new(Weak::new()),
            tasks: Cell::new(0),
            tidy: Tidy::default(),
            sent: RefCell::new(None),
        }))
    }

    /// The server.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        self.0.host.as_ref()
    }

    pub(super) fn worker(&self) -> usize {
        self.0.worker
    }

    pub(super) fn modules(&self) -> &[Box<dyn Module>] {
        &self.0.modules
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(super) fn tidy(&self) -> &Tidy {
        &self.0.tidy
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    pub(super) fn complaints(&self) -> &Complaints {
        &self.0.complaints
    }

    pub(super) fn store(&self) -> mlua::Result<Store> {
        self.0.store.clone().ok_or_else(|| {
            LuaError::runtime("there is no store here: kv does not work in a selftest")
        })
    }

    /// Rosters; none in a selftest.
    pub(super) fn rosters(&self) -> mlua::Result<Rc<dyn Rosters>> {
        self.0.rosters.clone().ok_or_else(|| {
            LuaError::runtime("there are no rosters here: they do not work in a selftest")
        })
    }

    /// The counters of the script of that name, the same in every generation.
    pub(super) fn stats(&self, script: &str) -> Rc<Stats> {
        Rc::clone(
            self.0
                .stats
                .borrow_mut()
                .entry(script.to_owned())
                .or_default(),
        )
    }

    pub(super) fn attach(&self, engine: Weak<Engine>) {
        *self.0.engine.borrow_mut() = engine;
    }

    /// The engine; none in a selftest.
    pub(super) fn engine(&self) -> Option<Rc<Engine>> {
        self.0.engine.borrow().upgrade()
    }

    /// Makes `call` the current one; gives back the one before.
    pub(super) fn enter(&self, call: Option<Rc<Call>>) -> Option<Rc<Call>> {
        self.0.current.replace(call)
    }

    /// The call that asks.
    pub(super) fn call(&self) -> mlua::Result<Rc<Call>> {
        self.0
            .current
            .borrow()
            .clone()
            .ok_or_else(|| LuaError::runtime("this works only inside init, a hook, a timer, a conversation or a spawned function"))
    }

    /// The number of the generation that is live.
    pub(super) fn generation(&self) -> u64 {
        self.0.shared.live.load(Ordering::Acquire)
    }

    /// Takes a place for a detached function; `None` when there are too many.
    pub(super) fn task(&self) -> Option<Task> {
        let running = self.0.tasks.get();
        (running < MAX_TASKS).then(|| {
            self.0.tasks.set(running + 1);
            Task(self.clone())
        })
    }

    /// From now on what scripts send is kept, not sent.
    pub(super) fn record(&self) {
        *self.0.sent.borrow_mut() = Some(Vec::new());
    }

    /// Takes what was sent; `None` unless it is recorded.
    pub(super) fn take_sent(&self) -> Option<Vec<Stanza>> {
        self.0.sent.borrow_mut().as_mut().map(std::mem::take)
    }

    /// Sends a stanza of a script's: `from` is one of ours, hops are those of what caused it plus one.
    ///
    /// # Errors
    /// Says why the stanza was not queued.
    pub(super) fn send(&self, mut stanza: Stanza) -> Result<(), SendError> {
        self.stamp(&mut stanza)?;
        if stanza.to().is_none() {
            return Err(SendError::NoTo);
        }
        let hops = self.hops()?;
        if let Some(sent) = self.0.sent.borrow_mut().as_mut() {
            return keep(sent, [stanza]);
        }
        queued(self.0.outbox.send(stanza, hops))
    }

    /// Sends one stanza to each of `to`, its body shared.
    ///
    /// # Errors
    /// See [`Hub::send`].
    pub(super) fn fan_out(&self, mut stanza: Stanza, to: Vec<Jid>) -> Result<(), SendError> {
        self.stamp(&mut stanza)?;
        let hops = self.hops()?;
        if let Some(sent) = self.0.sent.borrow_mut().as_mut() {
            let copies = to.into_iter().map(|to| {
                let mut copy = stanza.clone();
                copy.set_to(Some(to));
                copy
            });
            return keep(sent, copies);
        }
        queued(to.is_empty() || self.0.outbox.fan_out(stanza, to, hops))
    }

    /// Sends stanzas that belong together, in order.
    ///
    /// # Errors
    /// See [`Hub::send`].
    pub(super) fn send_all(&self, mut stanzas: Vec<Stanza>) -> Result<(), SendError> {
        for stanza in &mut stanzas {
            self.stamp(stanza)?;
        }
        let hops = self.hops()?;
        if let Some(sent) = self.0.sent.borrow_mut().as_mut() {
            return keep(sent, stanzas);
        }
        queued(stanzas.is_empty() || self.0.outbox.send_all(stanzas, hops))
    }

    /// `from` is at a domain of ours.
    fn stamp(&self, stanza: &mut Stanza) -> Result<(), SendError> {
        let host = self.host();
        match stanza.from() {
            Some(from) if host.serves(from.domain()) => {}
            Some(from) => return Err(SendError::Foreign(from.domain().to_owned())),
            None => {
                let domain = host.domain();
                stanza.set_from(Some(Jid::new(&domain).map_err(|_| SendError::NoDomain)?));
            }
        }
        Ok(())
    }

    /// One more than what caused the current call.
    fn hops(&self) -> Result<u8, SendError> {
        let current = self.0.current.borrow();
        let caused = current.as_ref().map_or(0, |call| call.hops.get());
        let hops = caused.saturating_add(1);
        if hops > MAX_HOPS {
            return Err(SendError::Hops);
        }
        Ok(hops)
    }
}

/// In a selftest.
fn keep(
    sent: &mut Vec<Stanza>,
    stanzas: impl IntoIterator<Item = Stanza>,
) -> Result<(), SendError> {
    for stanza in stanzas {
        if sent.len() >= MAX_SENT {
            return Err(SendError::Full);
        }
        sent.push(stanza);
    }
    Ok(())
}

fn queued(queued: bool) -> Result<(), SendError> {
    if queued { Ok(()) } else { Err(SendError::Full) }
}

/// Why a script's stanza was not queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("from must be at a domain of this server, not {0}")]
    Foreign(String),
    #[error("this server has no domain to send from")]
    NoDomain,
    #[error("no to")]
    NoTo,
    #[error("stopped after {MAX_HOPS} hops: scripts answer each other")]
    Hops,
    #[error("the queue of outgoing stanzas is full")]
    Full,
}

/// The place of a detached function; given back when dropped.
pub(super) struct Task(Hub);

impl Drop for Task {
    fn drop(&mut self) {
        let tasks = &self.0.0.tasks;
        tasks.set(tasks.get().saturating_sub(1));
    }
}
