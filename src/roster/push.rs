//! Roster results and pushes (RFC 6121 §2.1.3, §2.1.6, §2.6).

use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::stanza::roster::{ROSTER_NS, Roster, RosterItem};
use crate::xml::Element;

/// What a push shows.
#[derive(Clone, Copy, Debug)]
pub enum Pushed<'a> {
    /// The contact as it is now.
    Item(&'a RosterItem),
    /// The contact is gone.
    Removed(&'a Jid),
}

impl Pushed<'_> {
    /// The push, for `to` to be set: `from` is left out, which means the account's own server.
    #[must_use]
    pub fn stanza(&self, version: u64) -> Stanza {
        let item = match self {
            Pushed::Item(item) => item.to_element(),
            Pushed::Removed(jid) => RosterItem::removed(jid),
        };
        let query = Element::new("query", ROSTER_NS)
            .with_attr("ver", &version.to_string())
            .with_child(item);
        Stanza::iq("set", &format!("push-{version}")).with_child(&query)
    }
}

/// The result of a roster get: empty when the client has this version already (RFC 6121 §2.6.2).
#[must_use]
pub fn result(roster: &Roster, request: &Stanza) -> Stanza {
    let mut reply = request.reply();
    let asked = request.payload().and_then(|query| query.attr("ver"));
    let version = roster.version().to_string();
    if asked == Some(version.as_str()) {
        return reply;
    }
    let mut query = Element::new("query", ROSTER_NS);
    if asked.is_some() {
        query = query.with_attr("ver", &version);
    }
    for item in roster.listed() {
        query.push(item.to_element());
    }
    reply.append(&query);
    reply
}
