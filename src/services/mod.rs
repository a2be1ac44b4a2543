//! What the server itself answers, one protocol a file, each a set of hook handlers.
//!
//! A [`Service`] answers iq requests that are addressed to the server: to its domain, to nobody, or to the sender's own
//! bare JID. [`register`] puts them on the bus at `client_iq_recv`; what none of them takes goes on its way.

mod rfc6121_session;
mod xep0030_disco;
mod xep0092_version;
mod xep0199_ping;
mod xep0202_time;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::hook::{Band, Bus, Called, Event, Handler, Point, TraceStep, Verdict};
use crate::jid::Jid;
use crate::net::Clock;
use crate::stanza::{Kind, Stanza, StanzaError};
use crate::xml::Element;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The server: no `to`, or a domain of ours.
    Server,
    /// The sender's own account: its bare JID, or no `to`.
    Own,
}

/// One protocol's answers.
trait Service {
    /// The protocol, as `stanzactl hooks` and `trace` name it: `xep0199_ping`.
    fn name(&self) -> &'static str;

    /// Namespaces that disco announces for it.
    fn features(&self) -> &'static [&'static str];

    /// Whether `payload` in a request of that type, to that target, is its business.
    fn takes(&self, kind: &str, payload: &Element, target: Target) -> bool;

    /// Answers with a payload (`None`: an empty result), or an error.
    fn answer(&self, request: &Request<'_>) -> Result<Option<Element>, StanzaError>;
}

/// A request that a service has taken.
struct Request<'a> {
    payload: &'a Element,
    target: Target,
}

/// Puts every service on a worker's bus.
pub fn register(bus: &mut Bus, clock: &Clock, config: &Rc<dyn Fn() -> Arc<Config>>) {
    let ping: Rc<dyn Service> = Rc::new(xep0199_ping::Ping);
    let others: Vec<Rc<dyn Service>> = vec![
        Rc::new(xep0092_version::Version),
        Rc::new(xep0202_time::Time::new(clock.clone())),
        Rc::new(rfc6121_session::Session),
    ];
    let mut features: Vec<&'static str> = xep0030_disco::FEATURES.to_vec();
    features.extend(ping.features());
    features.extend(others.iter().flat_map(|service| service.features()));
    let disco: Rc<dyn Service> = Rc::new(xep0030_disco::Disco::new(features));
    for service in [ping, disco].into_iter().chain(others) {
        let name = Arc::from(service.name());
        let handler = Rc::new(Native {
            service,
            name,
            config: config.clone(),
        });
        bus.register(Point::ClientIqRecv, Band::Native, handler);
    }
}

/// A service as a handler on the bus.
struct Native {
    service: Rc<dyn Service>,
    name: Arc<str>,
    config: Rc<dyn Fn() -> Arc<Config>>,
}

impl Native {
    /// The target, if the stanza is a request to us.
    fn target(&self, event: &Event, stanza: &Stanza) -> Option<Target> {
        if stanza.kind() != Kind::Iq || !matches!(stanza.type_(), "get" | "set") {
            return None;
        }
        match stanza.to() {
            None => Some(Target::Own),
            Some(to) if to.as_str() == event.peer.jid.bare_str() => Some(Target::Own),
            Some(to) if is_domain(to) && (self.config)().is_local_domain(to.domain()) => {
                Some(Target::Server)
            }
            Some(_) => None,
        }
    }

    /// The answer, if this service has one.
    fn answer(&self, event: &Event) -> Option<Stanza> {
        let stanza = event.stanza.as_ref()?;
        let target = self.target(event, stanza)?;
        let payload = stanza.payload()?;
        if !self.service.takes(stanza.type_(), payload, target) {
            return None;
        }
        match self.service.answer(&Request { payload, target }) {
            Ok(answer) => {
                let mut reply = stanza.reply();
                if let Some(answer) = answer {
                    reply.append(&answer);
                }
                Some(reply)
            }
            Err(error) => stanza.error(&error),
        }
    }
}

impl Handler for Native {
    fn describe(&self, point: Point, band: Band) -> Vec<String> {
        if self.handles(point, band) {
            vec![self.name.to_string()]
        } else {
            Vec::new()
        }
    }

    fn handles(&self, point: Point, band: Band) -> bool {
        point == Point::ClientIqRecv && band == Band::Native
    }

    fn call(&self, point: Point, _band: Band, mut event: Event) -> Called {
        let started = event.trace.is_some().then(Instant::now);
        let verdict = match self.answer(&event) {
            Some(reply) => {
                event.replies.push(reply);
                Verdict::Done
            }
            None => Verdict::Next,
        };
        if let (Some(started), Some(trace), Verdict::Done) = (started, &mut event.trace, &verdict) {
            trace.push(TraceStep {
                point: point.name(),
                handler: self.name.clone(),
                verdict: verdict.name(),
                took: started.elapsed(),
            });
        }
        Called::Now(verdict, event)
    }
}

fn is_domain(jid: &Jid) -> bool {
    jid.local().is_none() && jid.resource().is_none()
}
