//! What a change makes of a roster: planned without doing anything, so that it can be stored first and shown then.

use std::sync::Arc;

use super::{Event, Machine, RosterError};
use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::stanza::roster::{Roster, RosterItem, Subscription};

/// A change of somebody's roster.
#[derive(Clone, Debug)]
pub enum Change {
    /// The owner names a contact and puts it into groups (RFC 6121 §2.3, §2.4). The subscription stays.
    Put {
        /// The contact.
        jid: Jid,
        /// Its name.
        name: Option<Box<str>>,
        /// Its groups.
        groups: Box<[Box<str>]>,
    },
    /// The owner removes a contact (RFC 6121 §2.5).
    Remove(Jid),
    /// The owner sends one of the four.
    Sent {
        /// To whom.
        contact: Jid,
        /// Which.
        event: Event,
        /// What it does.
        machine: Arc<Machine>,
    },
    /// One of the four has come for the owner.
    Received {
        /// The stanza, between bare addresses.
        stanza: Stanza,
        /// From whom.
        contact: Jid,
        /// Which.
        event: Event,
        /// What it does.
        machine: Arc<Machine>,
    },
    /// Contacts come from outside (`stanzactl roster import`).
    Import {
        /// Contacts, each once.
        items: Vec<RosterItem>,
        /// Whether those not among them go.
        replace: bool,
    },
}

/// What a change has changed.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The contact before, if it was there.
    pub before: Option<Arc<RosterItem>>,
    /// The subscription after.
    pub after: Subscription,
    /// Whether the stanza goes on ([`super::Step::pass`]).
    pub passed: bool,
}

/// What has to be stored.
#[derive(Clone, Debug)]
pub enum Write {
    /// A contact as it is now.
    Put(RosterItem),
    /// A contact goes.
    Remove(Jid),
    /// Many at once.
    Import {
        /// The contacts.
        items: Vec<RosterItem>,
        /// Whether those not among them go.
        replace: bool,
    },
}

/// Which of the owner's resources get a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The available ones (RFC 6121 §3.1.3).
    Available,
    /// The available ones that have asked for the roster (RFC 6121 §2.2, §3.1.6).
    Interested,
}

/// What to do, in this order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Store this. `None`: nothing changes.
    pub write: Option<Write>,
    /// Give the owner this stanza.
    pub deliver: Option<(Stanza, Audience)>,
    /// Push the contact to those who have asked for the roster.
    pub push: bool,
    /// What to tell whoever asked for the change.
    pub changed: Changed,
}

/// Plans `change` of `roster`.
///
/// # Errors
/// [`RosterError::NoItem`] for removing what is not there.
pub fn plan(roster: &Roster, change: Change) -> Result<Plan, RosterError> {
    match change {
        Change::Put { jid, name, groups } => Ok(put(roster, jid, name, groups)),
        Change::Remove(jid) => remove(roster, jid),
        Change::Sent {
            contact,
            event,
            machine,
        } => Ok(step(roster, contact, (event, &machine), None)),
        Change::Received {
            stanza,
            contact,
            event,
            machine,
        } => Ok(step(roster, contact, (event, &machine), Some(stanza))),
        Change::Import { items, replace } => Ok(Plan {
            write: Some(Write::Import { items, replace }),
            push: true,
            ..Plan::default()
        }),
    }
}

fn put(roster: &Roster, jid: Jid, name: Option<Box<str>>, groups: Box<[Box<str>]>) -> Plan {
    let before = roster.get(&jid).cloned();
    let mut item = owned(before.as_ref(), jid);
    item.name = name;
    item.groups = groups;
    item.listed = true;
    Plan {
        push: true,
        changed: Changed {
            after: item.subscription,
            before,
            passed: false,
        },
        write: Some(Write::Put(item)),
        deliver: None,
    }
}

fn remove(roster: &Roster, jid: Jid) -> Result<Plan, RosterError> {
    // A contact that only asks is not in the roster as its owner sees it (RFC 6121 §A.1).
    let before = roster.get(&jid).filter(|item| item.listed);
    let before = before.cloned().ok_or(RosterError::NoItem)?;
    Ok(Plan {
        write: Some(Write::Remove(jid)),
        deliver: None,
        push: true,
        changed: Changed {
            before: Some(before),
            after: Subscription::NONE,
            passed: false,
        },
    })
}

/// The contact, to be changed.
fn owned(item: Option<&Arc<RosterItem>>, jid: Jid) -> RosterItem {
    item.map_or_else(|| RosterItem::new(jid), |item| RosterItem::clone(item))
}

fn step(
    roster: &Roster,
    contact: Jid,
    (event, machine): (Event, &Machine),
    stanza: Option<Stanza>,
) -> Plan {
    let before = roster.get(&contact).cloned();
    let state = before
        .as_ref()
        .map_or(Subscription::NONE, |item| item.subscription);
    let step = machine.step(event, state);
    let was_listed = before.as_ref().is_some_and(|item| item.listed);
    let mut item = owned(before.as_ref(), contact);
    match (&stanza, step.after.in_) {
        (Some(stanza), true) if event == Event::Subscribe && step.pass => item.ask(stanza),
        (_, true) => {}
        (_, false) => item.answered(),
    }
    item.subscription = step.after;
    let Subscription {
        to,
        from,
        out,
        approved,
        ..
    } = step.after;
    // Who was subscribed once stays a contact until the owner removes it.
    item.listed |= to || from || out || approved;
    let changes = step.after != state;
    let gone = changes && item.subscription == Subscription::NONE && !item.listed;
    let write = match (changes, gone) {
        (false, _) => None,
        (true, true) => Some(Write::Remove(item.jid.clone())),
        (true, false) => Some(Write::Put(item.clone())),
    };
    // `in` and its request are the server's own business.
    let visible = |state: Subscription| (state.attr(), state.out, state.approved);
    let push = item.listed && (!was_listed || visible(state) != visible(step.after));
    let audience = match event {
        Event::Subscribe => Audience::Available,
        _ => Audience::Interested,
    };
    Plan {
        write,
        deliver: stanza
            .filter(|_| step.pass)
            .map(|stanza| (stanza, audience)),
        push,
        changed: Changed {
            before,
            after: step.after,
            passed: step.pass,
        },
    }
}
