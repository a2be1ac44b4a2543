//! One run of one Lua function: whose it is, how it ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mlua::{Function, MultiValue, Table};

use crate::hook::Peer;
use crate::stanza::Stanza;

use super::conversation::Conversation;
use super::hub::Hub;
use super::live::Live;
use super::sandbox::{self, ScriptError};

/// What a running function belongs to. Every API function finds it as the hub's current call.
pub(super) struct Call {
    /// The VM it runs in, kept alive by it.
    pub(super) live: Rc<Live>,
    /// The script, by place in [`Live::scripts`].
    pub(super) script: usize,
    /// The hook's name, or `init`, `timer`, `conversation`, `spawn`.
    pub(super) what: &'static str,
    /// Who caused it.
    pub(super) peer: Option<Arc<Peer>>,
    /// The stanza that caused it.
    pub(super) stanza: Option<Stanza>,
    /// Hops of the stanza that caused it; a conversation's grows with what it receives.
    pub(super) hops: Cell<u8>,
    /// `script.call()`: a table of the script's for this call alone.
    pub(super) locals: RefCell<Option<Table>>,
    /// A message has come in a conversation: what follows has a budget of its own.
    pub(super) renewed: Cell<bool>,
    /// The conversation that it is.
    pub(super) conversation: Option<Rc<Conversation>>,
}

impl Call {
    /// A call that no stanza caused.
    pub(super) fn alone(live: &Rc<Live>, script: usize, what: &'static str) -> Call {
        Call {
            live: Rc::clone(live),
            script,
            what,
            peer: None,
            stanza: None,
            hops: Cell::new(0),
            locals: RefCell::new(None),
            renewed: Cell::new(false),
            conversation: None,
        }
    }
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("{0}")]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Lua(#[from] mlua::Error),
    #[error("waited longer than hook_wait ({} s)", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("cancelled: its generation is too old")]
    Cancelled,
    #[error("its VM ran out of memory and is being built again")]
    Condemned,
    #[error("parked: it could not be loaded into its new VM")]
    Parked,
    #[error("{0}")]
    Verdict(#[from] super::verdict::VerdictError),
}

/// A run under way. Whenever it is polled it is the hub's current call, and its time is counted for its script.
pub(super) struct Running {
    hub: Hub,
    call: Rc<Call>,
    inner: sandbox::Call<MultiValue>,
}

impl Running {
    pub(super) fn new(hub: &Hub, call: Rc<Call>, function: &Function, args: MultiValue) -> Running {
        let mut inner = call.live.vm.call(function, args);
        if matches!(call.what, "load" | "init" | "selftest") {
            inner = inner.loading();
        }
        Running {
            hub: hub.clone(),
            call,
            inner,
        }
    }
}

impl Future for Running {
    type Output = Result<MultiValue, ScriptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outer = self.hub.enter(Some(Rc::clone(&self.call)));
        if self.call.renewed.take() {
            self.inner.renew();
        }
        let begun = Instant::now();
        let polled = Pin::new(&mut self.inner).poll(cx);
        if let Some(script) = self.call.live.scripts.get(self.call.script) {
            script
                .stats
                .busy
                .set(script.stats.busy.get() + begun.elapsed());
        }
        if polled.is_pending() {
            self.hub.tidy().note_wait();
        }
        self.hub.enter(outer);
        polled
    }
}

/// Runs to the end: inline if it does not wait, else for at most `wait` (`None`: as long as its VM is wanted).
pub(super) async fn finish(
    mut running: Running,
    wait: Option<Duration>,
) -> Result<MultiValue, RunError> {
    if let Some(done) = poll_fn(|cx| Poll::Ready(ready(Pin::new(&mut running).poll(cx)))).await {
        return Ok(done?);
    }
    let live = Rc::clone(&running.call.live);
    let limit = async {
        match wait {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                wait
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = &mut running => Ok(done?),
        () = live.cancelled() => Err(RunError::Cancelled),
        wait = limit => Err(RunError::TimedOut(wait)),
    }
}

fn ready<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
