//! What a peer may not say because only a server does: whoever got it would believe that we said it (T43 to T47).
//!
//! A message costs two searches of its bytes, one more where it has an id of some kind: 50 to 150 ns. Only where they find
//! something is the tree made and looked at.

use memchr::memmem::Finder;

use crate::hook::PeerKind;
use crate::jid::Jid;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};
use crate::xml::{Element, Node};

const ROSTER_NS: &str = "jabber:iq:roster";
const STANZA_ID_NS: &str = "urn:xmpp:sid:0";
const DELAY_NS: &str = "urn:xmpp:delay";
const OLD_DELAY_NS: &str = "jabber:x:delay";
const CARBONS_NS: &str = "urn:xmpp:carbons:2";
const ARCHIVE_NS: &str = "urn:xmpp:mam:";

/// What all of these begin with.
const PREFIX: &str = "urn:xmpp:";
const NAMESPACES: [&str; 4] = [STANZA_ID_NS, DELAY_NS, CARBONS_NS, ARCHIVE_NS];

/// What becomes of an element in a message or presence of a client or a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It passes.
    Stays,
    /// It is taken out; the rest passes.
    Goes,
    /// The whole stanza is refused.
    Refused,
    /// So it is, unless a component sends it.
    Archive,
}

/// Finds those elements. One per worker: the searches are made once.
pub(super) struct Screen {
    prefix: Finder<'static>,
    id: Finder<'static>,
    old_delay: Finder<'static>,
}

impl Default for Screen {
    fn default() -> Screen {
        Screen {
            prefix: Finder::new(PREFIX),
            id: Finder::new("stanza-id"),
            old_delay: Finder::new(OLD_DELAY_NS),
        }
    }
}

impl Screen {
    /// Takes out of a stanza what claims to be by a domain of ours, as `serves` tells them. A component speaks for its own, and
    /// may have archives that answer users, as rooms do.
    ///
    /// # Errors
    /// What the sender is told of a stanza that is nothing but such a claim.
    pub(super) fn check(
        &self,
        kind: PeerKind,
        stanza: &mut Stanza,
        serves: &dyn Fn(&str) -> bool,
    ) -> Result<(), StanzaError> {
        if stanza.kind() == Kind::Iq {
            return check_roster(stanza, serves);
        }
        if self.speaks_for_servers(stanza.inner()) {
            return clean(kind, stanza, serves);
        }
        Ok(())
    }

    /// Whether the bytes have a namespace that [`fate`] looks for. Names and namespaces are written without references.
    fn speaks_for_servers(&self, inner: &[u8]) -> bool {
        let found = |at: usize| {
            let rest = inner.get(at..).unwrap_or_default();
            match NAMESPACES.iter().find(|ns| rest.starts_with(ns.as_bytes())) {
                // Ids of other kinds have it too, and most messages one of those.
                Some(&STANZA_ID_NS) => self.id.find(inner).is_some(),
                Some(_) => true,
                None => false,
            }
        };
        self.prefix.find_iter(inner).any(found) || self.old_delay.find(inner).is_some()
    }
}

fn clean(
    kind: PeerKind,
    stanza: &mut Stanza,
    serves: &dyn Fn(&str) -> bool,
) -> Result<(), StanzaError> {
    let Ok(tree) = stanza.element() else {
        // It does not parse, and whoever needs the tree says so.
        return Ok(());
    };
    let from = stanza.from();
    let fates: Vec<Fate> = tree
        .elements()
        .map(|child| match fate(child, from, serves) {
            Fate::Archive if kind == PeerKind::Component => Fate::Stays,
            Fate::Archive => Fate::Refused,
            other => other,
        })
        .collect();
    if fates.contains(&Fate::Refused) {
        return Err(StanzaError::new(Condition::NotAllowed));
    }
    if fates.contains(&Fate::Goes) {
        let mut fates = fates.into_iter();
        let edited = stanza.edit(|tree| {
            tree.retain(|node| match node {
                Node::Element(_) => fates.next() != Some(Fate::Goes),
                Node::Text(_) => true,
            });
        });
        // It was a stanza, and loses an element: it still is one.
        return edited.map_err(|_| StanzaError::new(Condition::InternalServerError));
    }
    Ok(())
}

fn fate(child: &Element, from: Option<&Jid>, serves: &dyn Fn(&str) -> bool) -> Fate {
    // Of a domain of ours, and not the sender's own: a client may say that it held a message back itself.
    let is_ours = |claimed: Option<&str>| {
        let claimed = claimed.and_then(|claimed| Jid::new(claimed).ok());
        claimed.is_some_and(|claimed| {
            serves(claimed.domain())
                && from.is_none_or(|from| claimed.bare_str() != from.bare_str())
        })
    };
    match (child.name(), child.ns()) {
        // XEP-0359 §6: also one by the sender's account, which is not the sender.
        ("stanza-id", STANZA_ID_NS) => {
            let by = child.attr("by").and_then(|by| Jid::new(by).ok());
            if by.is_none_or(|by| serves(by.domain())) {
                Fate::Goes
            } else {
                Fate::Stays
            }
        }
        ("delay", DELAY_NS) | ("x", OLD_DELAY_NS) if is_ours(child.attr("from")) => Fate::Goes,
        ("sent" | "received", CARBONS_NS) => Fate::Refused,
        ("result", ns) if ns.starts_with(ARCHIVE_NS) => Fate::Archive,
        _ => Fate::Stays,
    }
}

/// RFC 6121 §2.1.5: nobody reads or changes the roster of another, and nobody but the server pushes one to a client (T45,
/// §8.5.3.2.3). The answer is the same whoever is there (T48).
fn check_roster(iq: &Stanza, serves: &dyn Fn(&str) -> bool) -> Result<(), StanzaError> {
    let (true, Some(to)) = (iq.is_request(), iq.to()) else {
        return Ok(());
    };
    let own = iq.from().is_some_and(|from| to.as_str() == from.bare_str());
    if own || to.local().is_none() || !serves(to.domain()) {
        return Ok(());
    }
    match iq.payload_start() {
        Ok(Some(payload)) if payload.ns() == ROSTER_NS => Err(StanzaError::new(if to.is_full() {
            Condition::ServiceUnavailable
        } else {
            Condition::Forbidden
        })),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn screened(inner: &str) -> Option<String> {
        screened_from(PeerKind::Client, "a@here/r", inner)
    }

    fn screened_from(kind: PeerKind, from: &str, inner: &str) -> Option<String> {
        let text = format!("<message from='{from}' to='b@here'>{inner}</message>");
        let mut stanza = Stanza::from_bytes(&Bytes::from(text)).unwrap();
        let screen = Screen::default();
        screen
            .check(kind, &mut stanza, &|domain| domain == "here")
            .ok()?;
        Some(String::from_utf8(stanza.inner().to_vec()).unwrap())
    }

    #[test]
    fn t47_what_only_servers_say_is_taken_out_or_refused() {
        const ID: &str = "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by=";
        const DELAY: &str = "<delay xmlns='urn:xmpp:delay' stamp='9999-12-31T23:59:59Z' from=";
        const OLD: &str = "<x xmlns='jabber:x:delay' stamp='20991231T23:59:59' from=";
        for (start, claim, goes) in [
            (ID, "here", true),
            (ID, "HERE.", true),
            (ID, "b@here", true),
            (ID, "a@here", true),
            (ID, "@@", true),
            (ID, "room@there", false),
            (DELAY, "here", true),
            (DELAY, "b@here", true),
            (DELAY, "a@here", false),
            (DELAY, "a@here/r", false),
            (DELAY, "there", false),
            (OLD, "here", true),
            (OLD, "there", false),
        ] {
            let claimed = format!("{start}'{claim}'/>");
            let got = screened(&format!("<body>x</body>{claimed}")).unwrap();
            assert_eq!(!got.contains(claim), goes, "{claimed}");
            assert!(got.contains("<body>x</body>"), "{got}");
            // Two of them: all go (T46).
            let twice = screened(&format!("{claimed}<body>x</body>{claimed}")).unwrap();
            assert_eq!(!twice.contains(claim), goes, "{claimed}");
            // Inside of something else it claims nothing.
            let inside = format!("<forwarded xmlns='urn:xmpp:forward:0'>{claimed}</forwarded>");
            assert_eq!(screened(&inside).unwrap(), inside);
        }
        let by_nobody = "<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>";
        assert_eq!(screened(by_nobody).unwrap(), "");
    }

    #[test]
    fn t43_t44_copies_and_archives_of_others_are_refused() {
        for claim in [
            "<received xmlns='urn:xmpp:carbons:2'/>",
            "<body>x</body><sent xmlns='urn:xmpp:carbons:2'/>",
            "<c:received xmlns:c='urn:xmpp:carbons:2'/>",
            "<received xmlns='urn:xmpp:carbons&#58;2'/>",
            "<result xmlns='urn:xmpp:mam:2' queryid='1'/>",
            "<result xmlns='urn:xmpp:mam:1'/>",
        ] {
            assert_eq!(screened(claim), None, "{claim}");
        }
        for harmless in [
            "<private xmlns='urn:xmpp:carbons:2'/>",
            "<body>urn:xmpp:carbons:2 received urn:xmpp:mam:2</body>",
            "<origin-id xmlns='urn:xmpp:sid:0' id='stanza-id'/>",
        ] {
            assert_eq!(screened(harmless).unwrap(), harmless);
        }
    }

    #[test]
    fn t44_t55_a_component_has_archives_and_ids_of_its_own() {
        let screened = |inner| screened_from(PeerKind::Component, "room@there/nick", inner);
        for own in [
            "<result xmlns='urn:xmpp:mam:2' queryid='1'/>",
            "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@there'/>",
            "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T00:00:00Z' from='room@there'/>",
        ] {
            assert_eq!(screened(own).unwrap(), own);
        }
        for ours in [
            "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='b@here'/>",
            "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T00:00:00Z' from='here'/>",
        ] {
            assert_eq!(screened(ours).unwrap(), "");
        }
        assert_eq!(screened("<sent xmlns='urn:xmpp:carbons:2'/>"), None);
    }
}
