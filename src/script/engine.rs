//! The script engine of one worker: a handler on its bus.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mlua::{IntoLua, MultiValue};
use tokio::sync::mpsc;

use crate::hook::{Band, Bus, Called, Event, Handler, POINTS, Point};

use super::announced::Announced;
use super::coordinator::{Order, Seat};
use super::dispatch;
use super::hub::{Hub, Parts};
use super::live::{BANDS, Live};
use super::load::{self, Purpose};
use super::plain::to_lua;
use super::report::Failure;
use super::run::{Call, RunError, Running, finish};
use super::sandbox::Vm;
use super::snapshot::Snapshot;
use super::status::{HookLine, ScriptLine, WorkerStatus};
use super::tidy;
use super::timers::Timer;

/// How often old VMs are looked at while there are any.
const SWEEP: Duration = Duration::from_millis(50);
/// Steps of garbage collection per look: old VMs are emptied in idle turns, not at once.
const GC_STEPS: usize = 4;
/// How long building may take on a worker, `init` included.
const BUILD: Duration = Duration::from_secs(10);
/// A condemned VM that cannot be built again is tried again after this long.
const REBUILD: Duration = Duration::from_secs(1);

/// The Lua side of one worker.
pub struct Engine {
    hub: Hub,
    me: Weak<Engine>,
    current: RefCell<Option<Rc<Live>>>,
    next: RefCell<Option<Rc<Live>>>,
    /// Retired, and perhaps still waited in.
    old: RefCell<Vec<Old>>,
    /// Nothing runs in these any more: emptied step by step, then closed.
    closing: RefCell<Vec<Vm>>,
}

struct Old {
    live: Rc<Live>,
    since: Instant,
}

impl Engine {
    /// Starts the engine of a worker; must be called on the worker's thread, inside its runtime. It has no scripts
    /// until the coordinator's first generation.
    #[must_use]
    pub fn start(seat: Seat, parts: Parts) -> Rc<Engine> {
        let hub = Hub::new(seat.worker, parts, seat.shared);
        let engine = Rc::new_cyclic(|me| Engine {
            hub: hub.clone(),
            me: me.clone(),
            current: RefCell::new(None),
            next: RefCell::new(None),
            old: RefCell::default(),
            closing: RefCell::default(),
        });
        hub.attach(Rc::downgrade(&engine));
        tokio::task::spawn_local(serve(Rc::downgrade(&engine), seat.orders));
        tokio::task::spawn_local(keep_time(Rc::downgrade(&engine), hub.clone()));
        tokio::task::spawn_local(tidy::keep(Rc::downgrade(&engine), hub));
        engine
    }

    /// Puts the engine on `bus`, around the native services of every point.
    pub fn register(self: &Rc<Self>, bus: &mut Bus) {
        for row in POINTS {
            for band in BANDS {
                bus.register(row.point, band, Rc::clone(self) as Rc<dyn Handler>);
            }
        }
    }

    /// What the scripts that are live announce; another `Rc` when another generation does.
    #[must_use]
    pub fn announced(&self) -> Rc<Announced> {
        self.current()
            .and_then(|live| live.announced())
            .unwrap_or_default()
    }

    /// The generation that is live, taken over if it is new. None before the first.
    pub(super) fn current(&self) -> Option<Rc<Live>> {
        let wanted = self.hub.generation();
        let have = self.current.borrow().clone();
        if have.as_ref().map_or(0, |live| live.number) == wanted {
            return have;
        }
        self.adopt(wanted)
    }

    /// Takes over the generation that this worker has built as `wanted`.
    fn adopt(&self, wanted: u64) -> Option<Rc<Live>> {
        let next = self.next.borrow_mut().take_if(|next| next.number == wanted);
        let Some(next) = next else {
            return self.current.borrow().clone();
        };
        self.hub.timers().take_over(next.timers.take());
        self.replace(Rc::clone(&next));
        Some(next)
    }

    fn replace(&self, live: Rc<Live>) {
        let most = live.snapshot.limits.old_generations;
        if let Some(before) = self.current.replace(Some(live)) {
            before.retire();
            let mut old = self.old.borrow_mut();
            old.push(Old {
                live: before,
                since: Instant::now(),
            });
            let overdue = old.len().saturating_sub(most);
            old.iter().take(overdue).for_each(|old| cut_off(&old.live));
        }
    }

    async fn build(&self, number: u64, snapshot: Arc<Snapshot>) -> Result<(), Failure> {
        let built = tokio::time::timeout(
            BUILD,
            load::build(&self.hub, &snapshot, number, Purpose::Worker),
        )
        .await;
        let live = built
            .map_err(|_| Failure::plain(format!("not built within {} s", BUILD.as_secs())))??;
        *self.next.borrow_mut() = Some(live);
        Ok(())
    }

    /// The VM is out of memory: it is built again from its generation's bytes when the worker is idle.
    pub(super) fn condemn(&self, live: &Rc<Live>) {
        if live.rebuilding.replace(true) {
            return;
        }
        tracing::error!(
            generation = live.number,
            limit = live.snapshot.limits.memory,
            "scripts ran out of memory, building their VM again"
        );
        let (me, live) = (self.me.clone(), Rc::clone(live));
        tokio::task::spawn_local(async move {
            loop {
                tokio::task::yield_now().await;
                let Some(engine) = me.upgrade() else { return };
                if !engine.is_current(&live) {
                    return;
                }
                let purpose = Purpose::Rebuild {
                    before: Rc::clone(&live),
                };
                match load::build(&engine.hub, &live.snapshot, live.number, purpose).await {
                    Ok(built) if engine.is_current(&live) => return engine.replace(built),
                    Ok(_) => return,
                    Err(failure) => tracing::error!(%failure, "scripts cannot be built again"),
                }
                drop(engine);
                tokio::time::sleep(REBUILD).await;
            }
        });
    }

    fn is_current(&self, live: &Rc<Live>) -> bool {
        self.current
            .borrow()
            .as_ref()
            .is_some_and(|current| Rc::ptr_eq(current, live))
    }

    /// Looks after old VMs: cuts off those that are kept too long, closes those that nothing runs in.
    async fn sweep(&self) {
        let idle: Vec<Rc<Live>> = {
            let mut old = self.old.borrow_mut();
            for old in old
                .iter()
                .filter(|old| old.since.elapsed() >= old.live.snapshot.limits.old_generation_time)
            {
                cut_off(&old.live);
            }
            // Held by us alone: nothing runs in it and nothing will.
            old.extract_if(.., |old| Rc::strong_count(&old.live) == 1)
                .map(|old| old.live)
                .collect()
        };
        for live in idle {
            self.deinit(&live).await;
            if let Some(live) = Rc::into_inner(live) {
                self.closing.borrow_mut().push(live.into_vm());
            }
        }
        let closing = self.closing.take();
        let left: Vec<Vm> = closing
            .into_iter()
            .filter(|vm| !(0..GC_STEPS).any(|_| vm.gc_step()))
            .collect();
        self.closing.borrow_mut().extend(left);
    }

    /// Calls the `deinit` functions of a VM that is about to close.
    async fn deinit(&self, live: &Rc<Live>) {
        let functions: Vec<_> = live
            .registered()
            .map(|registered| registered.deinits.clone())
            .unwrap_or_default();
        for (script, function) in functions {
            let call = Rc::new(Call::alone(live, script, "deinit"));
            let running = Running::new(&self.hub, Rc::clone(&call), &function, MultiValue::new());
            if let Err(error) = finish(running, Some(live.snapshot.limits.hook_wait)).await {
                self.hub.complaints().note(&call, &error);
            }
        }
    }

    fn keeps_old(&self) -> bool {
        !self.old.borrow().is_empty() || !self.closing.borrow().is_empty()
    }

    fn status(&self) -> WorkerStatus {
        let Some(live) = self.current() else {
            return WorkerStatus::default();
        };
        let scripts = live
            .scripts
            .iter()
            .enumerate()
            .map(|(index, script)| ScriptLine {
                name: script.name.to_string(),
                file: script.file.to_string(),
                generation: live.number,
                handlers: POINTS
                    .iter()
                    .flat_map(|row| BANDS.map(|band| live.chain(row.point, band)))
                    .flatten()
                    .filter(|entry| entry.script == index)
                    .count(),
                calls: script.stats.calls.get(),
                errors: script.stats.errors.get(),
                busy: script.stats.busy.get(),
                required: script.required,
                parked: script.parked.get() || live.vm.condemned(),
            });
        let hooks = POINTS
            .iter()
            .flat_map(|row| BANDS.map(|band| (row, band)))
            .flat_map(|(row, band)| {
                let live = &live;
                live.chain(row.point, band)
                    .iter()
                    .map(move |entry| HookLine {
                        hook: row.name,
                        band: band.name(),
                        priority: entry.priority,
                        script: live
                            .scripts
                            .get(entry.script)
                            .map_or(String::new(), |script| script.name.to_string()),
                        filter: entry.filter.to_string(),
                        at: entry.at.clone(),
                    })
            });
        WorkerStatus {
            scripts: scripts.collect(),
            hooks: hooks.collect(),
        }
    }

    /// Runs a timer's function in the current generation.
    async fn ring(&self, timer: Timer) {
        let Some(live) = self.current() else { return };
        let Some((script, function)) = live.named(&timer.name) else {
            tracing::warn!(timer = ?timer.name, generation = live.number, "timer's function is gone");
            self.hub.timers().cancel(timer.id);
            return;
        };
        let call = Rc::new(Call::alone(&live, script, "timer"));
        let outcome = match to_lua(live.vm.lua(), &timer.data)
            .and_then(|data| data.into_lua(live.vm.lua()))
        {
            Ok(data) => {
                let args = MultiValue::from_iter([data]);
                finish(
                    Running::new(&self.hub, Rc::clone(&call), &function, args),
                    None,
                )
                .await
                .map(drop)
            }
            Err(error) => Err(RunError::Lua(error)),
        };
        if let Err(error) = outcome {
            dispatch::note(&self.hub, &call, &error);
        }
    }
}

fn cut_off(live: &Rc<Live>) {
    let pinned = Rc::strong_count(live).saturating_sub(1);
    if pinned > 0 && !live.is_cancelled() {
        tracing::warn!(
            generation = live.number,
            pinned,
            "old generation cut off: its functions waited too long"
        );
    }
    live.cancel();
}

impl Handler for Engine {
    fn describe(&self, point: Point, band: Band) -> Vec<String> {
        let Some(live) = self.current() else {
            return Vec::new();
        };
        live.chain(point, band)
            .iter()
            .map(|entry| {
                let name = live
                    .scripts
                    .get(entry.script)
                    .map_or("", |script| script.name.as_ref());
                let line = format!("script:{name} {} priority {}", entry.at, entry.priority);
                match entry.filter.to_string() {
                    filter if filter.is_empty() => line,
                    filter => format!("{line} {filter}"),
                }
            })
            .collect()
    }

    fn handles(&self, point: Point, band: Band) -> bool {
        dispatch::may_converse(&self.hub, point, band)
            || self
                .current()
                .is_some_and(|live| !live.chain(point, band).is_empty())
    }

    fn call(&self, point: Point, band: Band, event: Event) -> Called {
        let Some(live) = self.current() else {
            return Called::Now(crate::hook::Verdict::Next, event);
        };
        // Before anything is allocated for it.
        let nobody = !dispatch::may_converse(&self.hub, point, band)
            && !dispatch::wanted(&self.hub, &live, point, band, &event);
        if nobody {
            return Called::Now(crate::hook::Verdict::Next, event);
        }
        let mut run = Box::pin(dispatch::dispatch(
            self.hub.clone(),
            live,
            point,
            band,
            event,
        ));
        let mut inline = Context::from_waker(Waker::noop());
        match Pin::new(&mut run).poll(&mut inline) {
            Poll::Ready((verdict, event)) => Called::Now(verdict, event),
            Poll::Pending => Called::Wait(run),
        }
    }
}

/// Takes the coordinator's orders, and looks after old VMs in between.
async fn serve(engine: Weak<Engine>, mut orders: mpsc::Receiver<Order>) {
    loop {
        let busy = engine.upgrade().is_some_and(|engine| engine.keeps_old());
        let order = tokio::select! {
            order = orders.recv() => order,
            () = tokio::time::sleep(SWEEP), if busy => {
                let Some(engine) = engine.upgrade() else { return };
                engine.sweep().await;
                continue;
            }
        };
        let (Some(order), Some(engine)) = (order, engine.upgrade()) else {
            return;
        };
        match order {
            Order::Build {
                number,
                snapshot,
                reply,
            } => {
                let built = engine.build(number, snapshot).await;
                // The coordinator may have given up waiting.
                let _ = reply.send(built).await;
            }
            Order::Adopt => {
                engine.current();
            }
            Order::Discard => *engine.next.borrow_mut() = None,
            Order::Status(reply) => {
                let _ = reply.send(engine.status());
            }
            Order::CancelTimer(id) => {
                engine.hub.timers().cancel(id);
            }
        }
    }
}

/// Rings timers when they are due. Each runs as a task of its own, so that one that waits holds up no other.
async fn keep_time(engine: Weak<Engine>, hub: Hub) {
    loop {
        let timer = hub.timers().due().await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let Some(task) = hub.task() else {
            tracing::warn!(timer = ?timer.name, "timer skipped: too many functions run");
            continue;
        };
        tokio::task::spawn_local(async move {
            engine.ring(timer).await;
            drop(task);
        });
    }
}

#[cfg(test)]
impl Engine {
    /// What all workers share.
    pub(super) fn shared(&self) -> Arc<super::hub::Shared> {
        Arc::clone(self.hub.shared())
    }

    /// How many script errors there were.
    pub(super) fn errors(&self) -> u64 {
        self.hub.complaints().total()
    }

    /// How many timers wait, and how many old VMs.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.hub.timers().len(), self.old.borrow().len())
    }
}
