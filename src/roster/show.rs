//! Who sees whose presence.

use std::collections::BTreeSet;

use super::{RosterError, Rosters};
use crate::hook::Peer;
use crate::jid::Jid;
use crate::stanza::Stanza;

/// Who gets a session's own presence: the contacts that are subscribed to it (RFC 6121 §4.2.2, §4.4.2), and, when it is no
/// longer available, whom it has sent presence to beside them (§4.6.3).
///
/// # Errors
/// The store failed.
pub async fn audience(
    rosters: &dyn Rosters,
    peer: &Peer,
    available: bool,
) -> Result<Vec<Jid>, RosterError> {
    let directed = if available {
        BTreeSet::new()
    } else {
        peer.told.take_directed()
    };
    let roster = match rosters.cached(&peer.jid) {
        Some(roster) => roster,
        None => rosters.roster(&peer.jid).await?,
    };
    let mut to: Vec<Jid> = roster.subscribers().cloned().collect();
    to.extend(directed.into_iter().filter(|jid| {
        let contact = roster.get(jid.bare_str());
        !contact.is_some_and(|item| item.subscription.from)
    }));
    Ok(to)
}

/// What a session that has become available is shown: the other resources of its account, and its contacts (RFC 6121
/// §4.2.2, §4.3). Contacts of ours are looked at here; those elsewhere are asked, with a probe.
///
/// # Errors
/// The store failed.
pub async fn contacts_presence(
    rosters: &dyn Rosters,
    session: &Jid,
) -> Result<Vec<Stanza>, RosterError> {
    let mut shown: Vec<Stanza> = rosters
        .presences(session)
        .into_iter()
        .filter(|presence| presence.from() != Some(session))
        .map(|presence| addressed(presence, session))
        .collect();
    let owner = session.to_bare();
    let roster = rosters.roster(session).await?;
    for contact in roster.subscriptions() {
        if rosters.serves(contact.domain()) {
            shown.extend(presences_to(rosters, contact, &owner, session).await?);
        } else {
            let mut probe = Stanza::presence("probe");
            probe.set_from(Some(owner.clone()));
            shown.push(addressed(probe, contact));
        }
    }
    Ok(shown)
}

/// The presences of `owner` that `who` may see, addressed to `to`: none unless `who` is subscribed.
///
/// # Errors
/// The store failed.
pub async fn presences_to(
    rosters: &dyn Rosters,
    owner: &Jid,
    who: &Jid,
    to: &Jid,
) -> Result<Vec<Stanza>, RosterError> {
    let presences = rosters.presences(owner);
    if presences.is_empty() {
        return Ok(presences);
    }
    let roster = match rosters.cached(owner) {
        Some(roster) => roster,
        None => rosters.roster(owner).await?,
    };
    let sees = roster.get(who).is_some_and(|item| item.subscription.from);
    let presences = presences.into_iter().filter(|_| sees);
    Ok(presences.map(|presence| addressed(presence, to)).collect())
}

fn addressed(mut stanza: Stanza, to: &Jid) -> Stanza {
    stanza.set_to(Some(to.clone()));
    stanza
}
