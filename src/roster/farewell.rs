//! What the contacts of a user hear when its account is removed.

use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::stanza::roster::Roster;

/// Takes back every subscription of `owner`, as if it had removed each contact (RFC 6121 §2.5.2), behind the going of its
/// `available` sessions (full JIDs). At most two stanzas a contact and one a session more, in order.
#[must_use]
pub fn farewell(owner: &Jid, roster: &Roster, available: &[Jid]) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    for item in roster.iter() {
        let state = item.subscription;
        let mut say = |kind: &str, from: &Jid| {
            let mut stanza = Stanza::presence(kind);
            stanza.set_from(Some(from.clone()));
            stanza.set_to(Some(item.jid.clone()));
            stanzas.push(stanza);
        };
        if state.from {
            available
                .iter()
                .for_each(|session| say("unavailable", session));
        }
        if state.to || state.out {
            say("unsubscribe", owner);
        }
        if state.from || state.in_ {
            say("unsubscribed", owner);
        }
    }
    stanzas
}
