//! Rosters as data: contacts, the subscription with each, and how `jabber:iq:roster` writes them (RFC 6121 §2, appendix A).

mod item;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use item::{
    GROUP_BYTES, MAX_GROUPS, NAME_BYTES, REQUEST_BYTES, ROSTER_NS, RosterItem, RosterSet,
};
pub use subscription::Subscription;

use crate::jid::Jid;

/// What a user keeps about its contacts, sorted by address, and how often it changed.
///
/// Made to be shared as `Arc<Roster>`: a clone copies a pointer per contact, so that a change leaves whoever reads the
/// version before undisturbed, and a push holds the one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    version: u64,
    /// Sorted by address, each address once.
    items: Vec<Arc<RosterItem>>,
}

impl Roster {
    /// The roster of those items. Of two with one address the later counts.
    #[must_use]
    pub fn new(version: u64, items: Vec<RosterItem>) -> Roster {
        let mut items: Vec<_> = items.into_iter().map(Arc::new).collect();
        items.sort_by(|a, b| a.jid.cmp(&b.jid));
        items.dedup_by(|later, earlier| {
            let same = later.jid == earlier.jid;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Roster { version, items }
    }

    /// Grows by one with every change; 0: never changed, so empty.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The item of that address, a [`Jid`] or the text of one.
    #[must_use]
    pub fn get(&self, contact: impl AsRef<str>) -> Option<&Arc<RosterItem>> {
        let at = self.find(contact.as_ref()).ok()?;
        self.items.get(at)
    }

    /// Every item, sorted by address, those that are not listed included.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<RosterItem>> {
        self.items.iter()
    }

    /// How many items there are, those that are not listed included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts an item in place of the one of its address, if there is one. The roster then has `version`.
    pub fn put(&mut self, item: impl Into<Arc<RosterItem>>, version: u64) {
        let item = item.into();
        self.version = version;
        match self.find(item.jid.as_str()) {
            Ok(at) => {
                if let Some(old) = self.items.get_mut(at) {
                    *old = item;
                }
            }
            Err(at) => self.items.insert(at, item),
        }
    }

    /// Takes an item out, if there is one of that address; only then the roster has `version`.
    pub fn remove(&mut self, contact: impl AsRef<str>, version: u64) -> Option<Arc<RosterItem>> {
        let at = self.find(contact.as_ref()).ok()?;
        self.version = version;
        Some(self.items.remove(at))
    }

    /// What results and pushes show (RFC 6121 §2.1.4; see [`RosterItem::listed`]).
    pub fn listed(&self) -> impl Iterator<Item = &Arc<RosterItem>> {
        self.items.iter().filter(|item| item.listed)
    }

    /// Who gets the owner's presence.
    pub fn subscribers(&self) -> impl Iterator<Item = &Jid> {
        self.jids(|subscription| subscription.from)
    }

    /// Whose presence the owner gets.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Jid> {
        self.jids(|subscription| subscription.to)
    }

    /// The contacts whose request waits for the owner's answer (RFC 6121 §3.1.3).
    pub fn requests(&self) -> impl Iterator<Item = &Arc<RosterItem>> {
        self.items.iter().filter(|item| item.subscription.in_)
    }

    fn jids(&self, wanted: impl Fn(Subscription) -> bool) -> impl Iterator<Item = &Jid> {
        self.items
            .iter()
            .filter(move |item| wanted(item.subscription))
            .map(|item| &item.jid)
    }

    fn find(&self, contact: &str) -> Result<usize, usize> {
        self.items
            .binary_search_by(|item| item.jid.as_str().cmp(contact))
    }
}
