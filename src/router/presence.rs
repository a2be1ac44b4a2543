//! Presence that a client sends: its own, to somebody, and subscriptions (RFC 6121 §3, §4).

use std::rc::Rc;
use std::sync::Arc;

use super::{Ended, Next, Routed, Router, refuse};
use crate::directory::Turned;
use crate::hook::{Event, Peer, PeerKind, Point};
use crate::jid::Jid;
use crate::stanza::{Condition, Kind, Stanza};

/// The longest presence that the server shows to others for a session, in bytes: it keeps it while the session lasts.
const SHOWN_MAX: usize = 16_384;

impl Router {
    /// Presence without `to` takes effect for the session (RFC 6121 §4.2); other presence is routed.
    pub(super) fn presence(&self, mut event: Event) -> Next {
        let Some(stanza) = event.stanza.as_mut() else {
            return Next::End(event, Ended::quietly("no stanza"));
        };
        let Some(to) = stanza.to().cloned() else {
            return self.own_presence(event);
        };
        match stanza.type_() {
            type_ @ ("" | "unavailable") if !event.peer.told.one(&to, type_.is_empty()) => {
                return refuse(event, Condition::ResourceConstraint);
            }
            _ => between_bare(stanza, &event.peer.jid),
        }
        Next::Point(Point::Route, event)
    }

    /// Presence of somebody who is not ours, for somebody: routed.
    pub(super) fn presence_from_outside(&self, mut event: Event) -> Next {
        if let Some(stanza) = event.stanza.as_mut()
            && let Some(from) = stanza.from().cloned()
        {
            between_bare(stanza, &from);
        }
        Next::Point(Point::Route, event)
    }

    fn own_presence(&self, mut event: Event) -> Next {
        let Some(stanza) = event.stanza.as_ref() else {
            return Next::End(event, Ended::quietly("no stanza"));
        };
        let available = match stanza.type_() {
            "" if stanza.size() > SHOWN_MAX => return refuse(event, Condition::PolicyViolation),
            "" => true,
            "unavailable" => false,
            // Everything else is for somebody, and this is for nobody.
            _ => return refuse(event, Condition::BadRequest),
        };
        self.delivery.presence(
            &event.peer.jid,
            event.peer.id,
            available.then(|| stanza.clone()),
        );
        let leaves = !available && event.peer.told.is_seen();
        let turned = event.peer.told.everybody(available);
        if leaves {
            self.delivery.left(&event.peer.jid, &stanza.status());
        }
        self.tell_own(&event.peer, stanza.clone());
        match point(turned) {
            Some(point) => Next::Point(point, event),
            None => {
                event.stanza = event.stanza.filter(|_| event.trace.is_some());
                Next::End(event, Ended::quietly("took effect"))
            }
        }
    }

    /// RFC 6121 §4.2.2: the user's own available resources hear it, the one that speaks included.
    fn tell_own(&self, peer: &Peer, mut stanza: Stanza) {
        stanza.set_to(Some(peer.jid.to_bare()));
        self.delivery.deliver(stanza);
    }

    /// Whether a script tells somebody of a user's presence whom that user blocks, perhaps since the script looked.
    pub(super) fn shows_to_blocked(&self, event: &Event) -> bool {
        let Some(stanza) = event.stanza.as_ref() else {
            return false;
        };
        let shows = event.peer.kind == PeerKind::Internal
            && stanza.kind() == Kind::Presence
            && matches!(stanza.type_(), "" | "unavailable" | "probe");
        let (true, Some(from), Some(to)) = (shows, stanza.from(), stanza.to()) else {
            return false;
        };
        let account = self.delivery.directory().find(from.bare_str());
        account.is_some_and(|account| account.blocks(to))
    }

    /// A session has ended. If others believe that it is available, they hear that it is not (RFC 6121 §4.5.2).
    pub fn gone(self: &Rc<Self>, peer: &Arc<Peer>) {
        let Some(point) = point(peer.told.everybody(false)) else {
            return;
        };
        let mut stanza = Stanza::presence("unavailable");
        stanza.set_from(Some(peer.jid.clone()));
        self.tell_own(peer, stanza.clone());
        let event = Event {
            peer: peer.clone(),
            stanza: Some(stanza),
            replies: Vec::new(),
            hops: 0,
            trace: None,
        };
        if let Routed::Wait(parked) = self.run(point, 0, event) {
            self.finish_later(parked);
        }
    }
}

/// RFC 6121 §3.1.2: subscriptions are between bare addresses, whatever their sender wrote.
fn between_bare(stanza: &mut Stanza, from: &Jid) {
    if matches!(
        stanza.type_(),
        "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed"
    ) {
        stanza.set_from(Some(from.to_bare()));
        stanza.set_to(stanza.to().map(Jid::to_bare));
    }
}

fn point(turned: Turned) -> Option<Point> {
    match turned {
        Turned::Initial => Some(Point::InitialPresence),
        Turned::Subsequent => Some(Point::SubsequentPresence),
        Turned::Unavailable => Some(Point::UnavailablePresence),
        Turned::Nothing => None,
    }
}

pub(super) fn is_presence(event: &Event) -> bool {
    let stanza = event.stanza.as_ref();
    stanza.is_some_and(|stanza| stanza.kind() == Kind::Presence)
}

pub(super) fn is_probe(event: &Event) -> bool {
    is_presence(event)
        && event
            .stanza
            .as_ref()
            .is_some_and(|stanza| stanza.type_() == "probe")
}

/// Presence about a subscription, or one that asks for presence.
pub(super) fn is_subscription(event: &Event) -> bool {
    is_presence(event)
        && event.stanza.as_ref().is_some_and(|stanza| {
            matches!(
                stanza.type_(),
                "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed" | "probe"
            )
        })
}
