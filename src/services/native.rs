//! The services as one handler on the bus: what a request asks, and of whom, is looked at once for all of them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::xep0191_blocking::unless_blocked;
use super::{Answer, BlockLists, Outcome, Request, Service, Target};
use crate::config::Config;
use crate::hook::{Band, Called, Event, Handler, PeerKind, Point, TraceStep, Verdict};
use crate::jid::Jid;
use crate::stanza::{Kind, Stanza, StanzaError};

/// Services in the order in which they are asked, and what tells which domains are ours.
pub(super) struct Native {
    services: Vec<Rc<dyn Service>>,
    config: Rc<dyn Fn() -> Arc<Config>>,
    blocks: Rc<dyn BlockLists>,
}

impl Native {
    pub(super) fn new(
        services: Vec<Rc<dyn Service>>,
        config: Rc<dyn Fn() -> Arc<Config>>,
        blocks: Rc<dyn BlockLists>,
    ) -> Native {
        Native {
            services,
            config,
            blocks,
        }
    }

    /// The target, if the stanza is a request to us.
    fn target<'a>(&self, event: &Event, stanza: &'a Stanza) -> Option<Target<'a>> {
        if stanza.kind() != Kind::Iq || !matches!(stanza.type_(), "get" | "set") {
            return None;
        }
        let client = event.peer.kind == PeerKind::Client;
        match stanza.to() {
            None => client.then_some(Target::Own),
            Some(to) if to.is_full() => None,
            Some(to) if client && to.as_str() == event.peer.jid.bare_str() => Some(Target::Own),
            Some(to) if (self.config)().is_local_domain(to.domain()) => Some(of_ours(to)),
            Some(_) => None,
        }
    }

    /// The answer of the first service that takes the request, if one does.
    fn answer(&self, event: &Event) -> Option<(&Rc<dyn Service>, Answer)> {
        let stanza = event.stanza.as_ref()?;
        let target = self.target(event, stanza)?;
        let kind = stanza.type_();
        let start = stanza.payload_start().ok()??;
        let mut services = self.services.iter();
        let service = services.find(|service| service.takes(kind, &start, target))?;
        if let Some(outcome) = service.always() {
            return Some((service, Answer::Now(outcome)));
        }
        let payload = stanza.payload()?;
        let from = stanza.from().unwrap_or(&event.peer.jid);
        let answer = service.answer(&Request {
            kind,
            payload,
            target,
            peer: &event.peer,
            from,
        });
        let answer = match (target, answer) {
            // What is answered at once is the same for every account, and for none.
            (Target::Account(owner), Answer::Wait(waits)) => {
                let parties = (owner.clone(), from.clone());
                let nobody = service.nobody();
                Answer::wait(unless_blocked(self.blocks.clone(), parties, waits, nobody))
            }
            (_, answer) => answer,
        };
        Some((service, answer))
    }
}

/// A domain, or an account of it.
fn of_ours(to: &Jid) -> Target<'_> {
    match to.local() {
        None => Target::Server(to.domain()),
        Some(_) => Target::Account(to),
    }
}

/// The error that answers `stanza`.
fn refusal(service: &dyn Service, stanza: &Stanza, error: &StanzaError) -> Option<Stanza> {
    match stanza.payload().and_then(|payload| service.echo(payload)) {
        None => stanza.error(error),
        Some(echo) => {
            let mut reply = stanza.reply();
            reply.set_type("error");
            Some(reply.with_child(&echo).with_child(&error.to_element()))
        }
    }
}

/// Puts the answer into the event.
fn conclude(
    service: &dyn Service,
    point: Point,
    started: Option<Instant>,
    outcome: Outcome,
    mut event: Event,
) -> (Verdict, Event) {
    let reply = event.stanza.as_ref().and_then(|stanza| match outcome {
        Ok(answer) => {
            let mut reply = stanza.reply();
            if let Some(answer) = answer {
                reply.append(&answer);
            }
            Some(reply)
        }
        Err(error) => refusal(service, stanza, &error),
    });
    event.replies.extend(reply);
    if let (Some(started), Some(trace)) = (started, &mut event.trace) {
        trace.push(TraceStep {
            point: point.name(),
            handler: Arc::from(service.name()),
            verdict: Verdict::Done.name(),
            took: started.elapsed(),
        });
    }
    (Verdict::Done, event)
}

impl Handler for Native {
    fn describe(&self, point: Point, band: Band) -> Vec<String> {
        if !self.handles(point, band) {
            return Vec::new();
        }
        let names = self.services.iter().map(|service| service.name());
        names.map(str::to_owned).collect()
    }

    fn handles(&self, point: Point, band: Band) -> bool {
        matches!(point, Point::ClientIqRecv | Point::ComponentIqRecv) && band == Band::Native
    }

    fn call(&self, point: Point, _band: Band, event: Event) -> Called {
        let started = event.trace.is_some().then(Instant::now);
        match self.answer(&event) {
            None => Called::Now(Verdict::Next, event),
            Some((service, Answer::Now(outcome))) => {
                let (verdict, event) = conclude(&**service, point, started, outcome, event);
                Called::Now(verdict, event)
            }
            Some((service, Answer::Wait(waiting))) => {
                let service = service.clone();
                Called::Wait(Box::pin(async move {
                    let outcome = waiting.await;
                    conclude(&*service, point, started, outcome, event)
                }))
            }
        }
    }
}
