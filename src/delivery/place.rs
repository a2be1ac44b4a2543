//! The delivery table for local users (RFC 6121 §8.5), applied to an account's state.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::directory::{Copies, Item, Outbox, Position, Pushed, Resource, State};
use crate::stanza::{Condition, Kind, Stanza, StanzaError};

/// Where a stanza has gone, or has to go.
pub(super) enum Placed {
    /// Into `count` outboxes; this is the first.
    Taken {
        outbox: Arc<Outbox>,
        at: Position,
        count: usize,
    },
    /// Into the spool, if the user exists.
    Store(Stanza),
    /// Dropped, as the RFC wants.
    Nowhere,
    /// Back to the sender.
    Refused(StanzaError, Stanza),
}

/// What to do with a stanza that no resource can take.
enum Absent {
    Store,
    Nowhere,
    Refuse(Condition),
}

/// Puts `stanza` into the outboxes that the RFC names.
pub(super) fn place(state: &State, stanza: Stanza) -> Placed {
    place_by(state, stanza, absent_full)
}

/// The same for a message that had been taken for a resource which is gone since: what RFC 6121 §8.5.3.2.1 would have
/// refused then is meant for the user now.
pub(super) fn place_again(state: &State, stanza: Stanza) -> Placed {
    place_by(state, stanza, absent_bare)
}

/// `absent` says what a full JID without that resource means.
fn place_by(state: &State, stanza: Stanza, absent: fn(&Stanza) -> Absent) -> Placed {
    let Some(to) = stanza.to() else {
        return Placed::Refused(StanzaError::new(Condition::JidMalformed), stanza);
    };
    if stanza.from().is_some_and(|from| state.blocked(to, from)) {
        return push(SmallVec::new(), absent_to_blocked(&stanza), stanza);
    }
    let (targets, absent) = if to.resource().is_some() {
        match state.resource(to) {
            // Whether or not it has sent presence (RFC 6121 §8.5.3.1).
            Some(resource) => {
                let one: Targets = SmallVec::from_iter([resource.outbox.clone()]);
                (one, absent_bare(&stanza))
            }
            None => match absent(&stanza) {
                // RFC 6121 §8.5.3.2.1: a chat message for a resource that is gone is meant for the user.
                Absent::Store => bare_targets(state, &stanza),
                other => (SmallVec::new(), other),
            },
        }
    } else {
        bare_targets(state, &stanza)
    };
    push(targets, absent, stanza)
}

type Targets = SmallVec<[Arc<Outbox>; 2]>;

fn bare_targets(state: &State, stanza: &Stanza) -> (Targets, Absent) {
    let absent = absent_bare(stanza);
    let targets = match stanza.kind() {
        Kind::Message => match stanza.message_type() {
            "groupchat" | "error" => SmallVec::new(),
            "headline" => outboxes(state.reachable()),
            _ => most_available(state),
        },
        Kind::Presence => outboxes(
            state
                .resources()
                .iter()
                .filter(|resource| resource.priority.is_some()),
        ),
        // The server answers for the user: services have had their chance.
        Kind::Iq => SmallVec::new(),
    };
    (targets, absent)
}

/// The reachable resources of the highest priority (RFC 6121 §8.5.2.1.1).
fn most_available(state: &State) -> Targets {
    let best = state
        .reachable()
        .filter_map(|resource| resource.priority)
        .max();
    outboxes(
        state
            .reachable()
            .filter(|resource| resource.priority == best),
    )
}

fn outboxes<'a>(resources: impl Iterator<Item = &'a Resource>) -> Targets {
    resources.map(|resource| resource.outbox.clone()).collect()
}

/// RFC 6121 §8.5.2.1, §8.5.2.2: what a bare JID without a fitting resource means.
fn absent_bare(stanza: &Stanza) -> Absent {
    match stanza.kind() {
        Kind::Message => match stanza.message_type() {
            "groupchat" => Absent::Refuse(Condition::ServiceUnavailable),
            "headline" | "error" => Absent::Nowhere,
            _ => Absent::Store,
        },
        Kind::Presence => Absent::Nowhere,
        Kind::Iq => absent_iq(stanza),
    }
}

/// RFC 6121 §8.5.3.2: what a full JID without that resource means.
fn absent_full(stanza: &Stanza) -> Absent {
    match (stanza.kind(), stanza.message_type()) {
        (Kind::Message, "normal") => Absent::Refuse(Condition::ServiceUnavailable),
        _ => absent_bare(stanza),
    }
}

/// XEP-0191 §3.3: whoever is blocked finds what stands at an address that nobody has, whatever is there.
fn absent_to_blocked(stanza: &Stanza) -> Absent {
    match absent_bare(stanza) {
        Absent::Store => Absent::Refuse(Condition::ServiceUnavailable),
        other => other,
    }
}

fn absent_iq(stanza: &Stanza) -> Absent {
    if matches!(stanza.type_(), "get" | "set") {
        Absent::Refuse(Condition::ServiceUnavailable)
    } else {
        Absent::Nowhere
    }
}

fn push(mut targets: Targets, absent: Absent, stanza: Stanza) -> Placed {
    let mut taken: Option<(Arc<Outbox>, Position)> = None;
    let mut count = 0usize;
    let mut full = false;
    // Nearly always there is one target: it gets the stanza itself, the others copies.
    let last = targets.pop();
    let several = stanza.kind() == Kind::Message && !targets.is_empty();
    let copies = several.then(Copies::default);
    let put = |outbox: &Outbox, stanza: Stanza| match &copies {
        Some(copies) => outbox.push_copy(item(stanza), copies),
        None => outbox.push(item(stanza)),
    };
    for outbox in targets {
        match put(&outbox, stanza.clone()) {
            Pushed::At(at) => {
                count = count.saturating_add(1);
                taken.get_or_insert((outbox, at));
            }
            Pushed::Full(_) => full = true,
            Pushed::Coalesced | Pushed::Closed(_) => {}
        }
    }
    let stanza = match last {
        None => Some(stanza),
        Some(outbox) => match put(&outbox, stanza) {
            Pushed::At(at) => {
                count = count.saturating_add(1);
                taken.get_or_insert((outbox, at));
                None
            }
            Pushed::Coalesced => None,
            Pushed::Full(item) => {
                full = true;
                Some(item.stanza)
            }
            Pushed::Closed(item) => Some(item.stanza),
        },
    };
    match (taken, stanza, absent) {
        (Some((outbox, at)), ..) => Placed::Taken { outbox, at, count },
        (None, Some(stanza), Absent::Store) => Placed::Store(stanza),
        (None, Some(stanza), Absent::Refuse(_)) if full => {
            Placed::Refused(StanzaError::new(Condition::ResourceConstraint), stanza)
        }
        (None, Some(stanza), Absent::Refuse(condition)) => {
            Placed::Refused(StanzaError::new(condition), stanza)
        }
        (None, None, _) | (None, Some(_), Absent::Nowhere) => Placed::Nowhere,
    }
}

/// Puts a stanza of the server's own into one outbox. One that is full drops it: its session is about to end, or catches up
/// at its next login.
pub(super) fn give(outbox: &Outbox, stanza: Stanza) {
    match outbox.push(item(stanza)) {
        Pushed::At(_) | Pushed::Coalesced | Pushed::Full(_) | Pushed::Closed(_) => {}
    }
}

pub(super) fn item(stanza: Stanza) -> Item {
    Item { stanza, row: None }
}
