//! One event through the scripts of one band.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mlua::{IntoLua, MultiValue};

use crate::config::OnError;
use crate::hook::{Band, Event, Peer, Point, TraceStep, Verdict};
use crate::stanza::{Condition, Kind, StanzaError};

use super::api::stanza::LuaStanza;
use super::conversation::{Offered, Said};
use super::hub::Hub;
use super::live::{Entry, Live};
use super::run::{Call, RunError, Running, finish};
use super::verdict::verdict;

/// Runs the handlers of `band` at `point` until a verdict other than next.
pub(super) async fn dispatch(
    hub: Hub,
    live: Rc<Live>,
    point: Point,
    band: Band,
    mut event: Event,
) -> (Verdict, Event) {
    if may_converse(&hub, point, band) {
        if let Some(verdict) = converse(&hub, point, &mut event) {
            return (verdict, event);
        }
        if !wanted(&hub, &live, point, band, &event) {
            return (Verdict::Next, event);
        }
    }
    let handle = event
        .stanza
        .take()
        .map(|stanza| LuaStanza::writable(stanza, point));
    let args = arguments(&live, &event.peer, handle.as_ref());
    let mut outcome = Verdict::Next;
    for entry in live.chain(point, band) {
        // Asked at its turn: a handler before it may have changed the stanza.
        let wants = match &handle {
            Some(handle) => entry.filter.wants(Some(&handle.look()), hub.host()),
            None => true,
        };
        if !wants {
            continue;
        }
        let begun = Instant::now();
        let call = Rc::new(Call {
            live: Rc::clone(&live),
            script: entry.script,
            what: point.name(),
            peer: Some(event.peer.clone()),
            stanza: handle.as_ref().map(LuaStanza::snapshot),
            hops: Cell::new(event.hops),
            locals: RefCell::new(None),
            renewed: Cell::new(false),
            conversation: None,
        });
        let result = match &args {
            Ok(args) => handle_one(&hub, &call, point, entry, args.clone()).await,
            Err(error) => Err(RunError::Lua(error.clone())),
        };
        let (verdict, word) = match result {
            Ok(verdict) => {
                let word = verdict.name();
                (verdict, word)
            }
            Err(error) => {
                note(&hub, &call, &error);
                (fate(&live, entry.script, point, &error), "error")
            }
        };
        if let (Some(trace), Some(script)) = (&mut event.trace, live.scripts.get(entry.script)) {
            trace.push(TraceStep {
                point: point.name(),
                handler: script.label.clone(),
                verdict: word,
                took: begun.elapsed(),
            });
        }
        if !matches!(verdict, Verdict::Next) {
            outcome = verdict;
            break;
        }
    }
    event.stanza = handle.map(|handle| handle.close());
    (outcome, event)
}

/// Whether any function of the chain wants the event as it comes. If none does none runs, so none changes it for another.
pub(super) fn wanted(hub: &Hub, live: &Live, point: Point, band: Band, event: &Event) -> bool {
    live.chain(point, band)
        .iter()
        .any(|entry| entry.filter.wants(event.stanza.as_ref(), hub.host()))
}

/// What every handler of a chain is given: the same session and stanza.
fn arguments(
    live: &Live,
    peer: &Arc<Peer>,
    stanza: Option<&LuaStanza>,
) -> mlua::Result<MultiValue> {
    let mut args = MultiValue::with_capacity(2);
    if live.vm.condemned() {
        // Nobody will be called, and every allocation in there costs a whole collection.
        return Ok(args);
    }
    let lua = live.vm.lua();
    args.push_back(live.session(peer)?.into_lua(lua)?);
    if let Some(stanza) = stanza {
        args.push_back(stanza.clone().charged_to(lua)?.into_lua(lua)?);
    }
    Ok(args)
}

async fn handle_one(
    hub: &Hub,
    call: &Rc<Call>,
    point: Point,
    entry: &Entry,
    args: MultiValue,
) -> Result<Verdict, RunError> {
    let live = &call.live;
    if live.vm.condemned() {
        return Err(RunError::Condemned);
    }
    let function = entry.function.as_ref().ok_or(RunError::Parked)?;
    if let Some(script) = live.scripts.get(entry.script) {
        script
            .stats
            .calls
            .set(script.stats.calls.get().saturating_add(1));
    }
    let running = Running::new(hub, Rc::clone(call), function, args);
    let values = finish(running, Some(live.snapshot.limits.hook_wait)).await?;
    Ok(verdict(&values, point.info())?)
}

/// Counts and logs an error; a VM that is out of memory is condemned.
pub(super) fn note(hub: &Hub, call: &Rc<Call>, error: &RunError) {
    if let RunError::Lua(error) = error {
        call.live.vm.witness(error);
    }
    hub.complaints().note(call, error);
    if call.live.vm.condemned()
        && let Some(engine) = hub.engine()
    {
        engine.condemn(&call.live);
    }
}

/// The fate of the stanza of a handler that failed: its script decides, and a required script fails closed.
fn fate(live: &Live, script: usize, point: Point, error: &RunError) -> Verdict {
    let closed = live
        .scripts
        .get(script)
        .is_some_and(|script| script.required || script.on_error == OnError::Reject);
    if !closed || !point.info().verdicts.contains(&"reject") {
        return Verdict::Next;
    }
    Verdict::Reject(StanzaError::new(match error {
        RunError::TimedOut(_) | RunError::Cancelled | RunError::Condemned => {
            Condition::ResourceConstraint
        }
        RunError::Script(_) | RunError::Lua(_) | RunError::Parked | RunError::Verdict(_) => {
            Condition::InternalServerError
        }
    }))
}

/// Whether an open conversation may want what comes by here: conversations hear before any handler.
pub(super) fn may_converse(hub: &Hub, point: Point, band: Band) -> bool {
    matches!(
        point,
        Point::ClientMessageRecv | Point::ComponentMessageRecv
    ) && band == Band::Early
        && hub.shared().conversations.any()
}

/// Gives the message to the conversation that it belongs to.
fn converse(hub: &Hub, point: Point, event: &mut Event) -> Option<Verdict> {
    let stanza = event.stanza.take()?;
    if stanza.kind() != Kind::Message || stanza.body().is_none() {
        event.stanza = Some(stanza);
        return None;
    }
    let kept = stanza.clone();
    let offered = hub.shared().conversations.offer(Said {
        stanza,
        hops: event.hops,
    });
    event.stanza = Some(kept);
    let verdict = match offered {
        Offered::Nobody => return None,
        Offered::Taken => Verdict::Done,
        Offered::Full => Verdict::Reject(
            StanzaError::new(Condition::ResourceConstraint)
                .with_text("too many messages wait for an answer"),
        ),
    };
    if let Some(trace) = &mut event.trace {
        trace.push(TraceStep {
            point: point.name(),
            handler: "script:conversation".into(),
            verdict: verdict.name(),
            took: std::time::Duration::ZERO,
        });
    }
    Some(verdict)
}
