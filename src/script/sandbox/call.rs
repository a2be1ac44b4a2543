//! One call into a VM, metered while it runs and not while it waits.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use mlua::thread::AsyncThread;
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Thread};

use super::budget::{Budget, Trip, Used};
use super::error::{Place, Report, ScriptError, is_memory};

/// Coroutines that are kept for the next call. Only those that came to their end are: they hold nothing.
const SPARE: usize = 8;

/// Budgets of a call that loads, starts or tests a script. A large file of the operator's must load; one that never ends
/// is found on the thread that tries scripts, before any worker sees it.
const LOADING: u32 = 4;

/// What every call of a VM shares.
pub(super) struct Shared {
    pub(super) lua: Lua,
    pub(super) budget: Rc<Budget>,
    /// The prelude's function that every coroutine starts with.
    root: Function,
    spare: RefCell<Vec<Thread>>,
}

impl Shared {
    pub(super) fn new(lua: Lua, budget: Rc<Budget>, root: Function) -> Shared {
        Shared {
            lua,
            budget,
            root,
            spare: RefCell::new(Vec::new()),
        }
    }

    fn thread(&self) -> mlua::Result<Thread> {
        let spare = self.spare.borrow_mut().pop();
        let root = self.root.clone();
        match spare {
            Some(thread) => thread.reset(root).map(|()| thread),
            None => self.lua.create_thread(root),
        }
    }

    fn keep(&self, thread: Thread) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(thread);
        }
    }
}

/// A function at work. Each poll runs it to its end or to its next wait under what is left of its budget.
///
/// Dropping it abandons the call: its coroutine is never resumed again and is left to the collector, with the waits it
/// was in. Its `__close` handlers do not run, because nothing bounds how many there are.
pub struct Call<R> {
    shared: Rc<Shared>,
    function: Function,
    used: Used,
    state: State<R>,
}

enum State<R> {
    /// It could not be set up.
    Failed(mlua::Error),
    Running(Thread, AsyncThread<R>),
    Done,
}

impl<R: FromLuaMulti> Call<R> {
    pub(super) fn new(
        shared: &Rc<Shared>,
        function: &Function,
        args: impl IntoLuaMulti,
    ) -> Call<R> {
        let state = shared.thread().and_then(|thread| {
            let running = thread.clone().into_async::<R>((function.clone(), args))?;
            Ok(State::Running(thread, running))
        });
        Call {
            shared: Rc::clone(shared),
            function: function.clone(),
            used: Used::default(),
            state: state.unwrap_or_else(State::Failed),
        }
    }

    /// Where the called function is defined.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of_function(&self.function)
    }

    /// Gives it as many budgets as loading a script has: it runs at a save, not for a stanza.
    #[must_use]
    pub fn loading(mut self) -> Call<R> {
        self.used = Used::of(LOADING);
        self
    }

    /// Gives it a budget of its own from the next poll on: a conversation has got its next message, which is new work.
    pub fn renew(&mut self) {
        self.used = Used::default();
    }

    fn stopped(&self, trip: Trip) -> ScriptError {
        let memory = self.shared.budget.limits().memory;
        ScriptError::from_trip(trip, &self.place(), memory)
    }

    fn failed(&self, error: &mlua::Error) -> ScriptError {
        if is_memory(error) {
            let mut trip = self.shared.budget.exhausted();
            trip.place = Report::of(error).place.or(trip.place);
            return self.stopped(trip);
        }
        ScriptError::from_lua(error, &self.place())
    }
}

impl<R: FromLuaMulti> Future for Call<R> {
    type Output = Result<R, ScriptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (thread, mut running) = match std::mem::replace(&mut self.state, State::Done) {
            State::Running(thread, running) => (thread, running),
            State::Failed(error) => return Poll::Ready(Err(self.failed(&error))),
            State::Done => return Poll::Pending,
        };
        let (lua, budget) = (&self.shared.lua, &self.shared.budget);
        let outer = budget.arm(lua, self.used);
        let polled = Pin::new(&mut running).poll(cx);
        let (used, trip) = budget.disarm(lua, outer);
        self.used = used;
        if let Some(trip) = trip {
            // The thread may be frozen in the middle of anything: it is dropped, not resumed.
            return Poll::Ready(Err(self.stopped(trip)));
        }
        match polled {
            Poll::Ready(Ok(result)) => {
                self.shared.keep(thread);
                Poll::Ready(Ok(result))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(&error))),
            Poll::Pending => {
                self.state = State::Running(thread, running);
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let State::Running(..) = self.state {
            self.state = State::Done;
            // An abandoned wait holds its future until the collector finds it: help it along.
            let _ = self.shared.lua.gc_step();
        }
    }
}
