//! Whom a user will not hear from (XEP-0191), and how that list changes.

use std::collections::HashSet;
use std::sync::Arc;

use crate::jid::Jid;
use crate::xml::Element;

/// The namespace of XEP-0191.
pub const BLOCKING_NS: &str = "urn:xmpp:blocking";

/// One user's block list. Cheap to clone; an empty one costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks(Option<Arc<HashSet<Jid>>>);

/// A change of a block list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockChange {
    /// Block these too.
    Block(Vec<Jid>),
    /// Block these no longer.
    Unblock(Vec<Jid>),
    /// Block nobody any more.
    UnblockAll,
}

/// Why a block list could not be read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// More addresses than one user may block; the list is as it was.
    #[error("the block list is full: at most {0} addresses")]
    Full(u64),
    /// The store has too much to do; the list is as it was.
    #[error("the store is overloaded")]
    Overloaded,
    /// The store failed, and the log says how; the list is as it was.
    #[error("the store failed")]
    Failed,
}

impl BlockChange {
    /// The change as the protocol writes it (XEP-0191 §3.3 to §3.5).
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            BlockChange::Block(jids) => items("block", jids),
            BlockChange::Unblock(jids) => items("unblock", jids),
            BlockChange::UnblockAll => items("unblock", &[]),
        }
    }
}

fn items(name: &str, jids: &[Jid]) -> Element {
    let mut list = Element::new(name, BLOCKING_NS);
    for jid in jids {
        list.push(Element::new("item", BLOCKING_NS).with_attr("jid", jid.as_str()));
    }
    list
}

impl FromIterator<Jid> for Blocks {
    fn from_iter<I: IntoIterator<Item = Jid>>(jids: I) -> Blocks {
        let jids: HashSet<Jid> = jids.into_iter().collect();
        Blocks((!jids.is_empty()).then(|| Arc::new(jids)))
    }
}

impl Blocks {
    /// Whether nobody is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the list of `owner` (bare or full) keeps `peer` out: it has the address itself, its bare address or its domain
    /// (XEP-0191 §4: an entry with a resource matches that resource only). The owner's own resources and the owner's
    /// server are never kept out (XEP-0191 §3.5).
    #[must_use]
    pub fn cover(&self, owner: &Jid, peer: &Jid) -> bool {
        let Some(jids) = &self.0 else { return false };
        let listed = jids.contains(peer.as_str())
            || jids.contains(peer.bare_str())
            || jids.contains(peer.domain());
        listed && peer.bare_str() != owner.bare_str() && peer.as_str() != owner.domain()
    }

    /// The addresses, sorted.
    #[must_use]
    pub fn list(&self) -> Vec<Jid> {
        let mut jids: Vec<Jid> = self
            .0
            .iter()
            .flat_map(|jids| jids.iter().cloned())
            .collect();
        jids.sort_unstable();
        jids
    }

    /// The list as the protocol writes it (XEP-0191 §3.2).
    #[must_use]
    pub fn element(&self) -> Element {
        items("blocklist", &self.list())
    }

    /// The list after `change`.
    #[must_use]
    pub fn after(&self, change: &BlockChange) -> Blocks {
        let have = self.0.iter().flat_map(|jids| jids.iter());
        match change {
            BlockChange::Block(jids) => have.chain(jids).cloned().collect(),
            BlockChange::Unblock(jids) => have.filter(|jid| !jids.contains(jid)).cloned().collect(),
            BlockChange::UnblockAll => Blocks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn blocks(jids: &[&str]) -> Blocks {
        jids.iter().map(|text| jid(text)).collect()
    }

    /// Every form of entry against every form of sender (XEP-0191 §4).
    #[test]
    fn an_entry_matches_what_it_names_and_what_is_below_it() {
        let peers = [
            "a@x.example/r",
            "a@x.example/s",
            "a@x.example",
            "b@x.example/r",
            "x.example/r",
            "x.example",
            "a@sub.x.example",
        ];
        let cases = [
            ("a@x.example/r", "yes no no no no no no"),
            ("a@x.example", "yes yes yes no no no no"),
            ("x.example/r", "no no no no yes no no"),
            ("x.example", "yes yes yes yes yes yes no"),
        ];
        for (entry, expected) in cases {
            let list = blocks(&[entry]);
            let found: Vec<&str> = peers
                .iter()
                .map(|peer| list.cover(&jid("me@here.example"), &jid(peer)))
                .map(|covered| if covered { "yes" } else { "no" })
                .collect();
            assert_eq!(found.join(" "), expected, "{entry}");
        }
    }

    #[test]
    fn ones_own_resources_and_server_are_never_kept_out() {
        let me = jid("me@here.example/pda");
        let list = blocks(&["here.example", "me@here.example", "me@here.example/pc"]);
        assert!(!list.cover(&me, &jid("me@here.example/pc")));
        assert!(!list.cover(&me, &jid("me@here.example")));
        assert!(!list.cover(&me, &jid("here.example")));
        assert!(list.cover(&me, &jid("you@here.example/pc")));
        assert!(list.cover(&me, &jid("here.example/echo")));
    }

    #[test]
    fn lists_change() {
        let list = Blocks::default();
        assert!(list.is_empty());
        let list = list.after(&BlockChange::Block(vec![
            jid("b.example"),
            jid("a.example"),
        ]));
        let list = list.after(&BlockChange::Block(vec![
            jid("b.example"),
            jid("c.example"),
        ]));
        let names = |list: &Blocks| list.list().iter().map(Jid::to_string).collect::<Vec<_>>();
        assert_eq!(names(&list), ["a.example", "b.example", "c.example"]);
        let list = list.after(&BlockChange::Unblock(vec![
            jid("b.example"),
            jid("z.example"),
        ]));
        assert_eq!(names(&list), ["a.example", "c.example"]);
        assert!(list.after(&BlockChange::UnblockAll).is_empty());
    }
}
