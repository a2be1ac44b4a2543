//! Which components are connected (XEP-0114): one at a time for each that the configuration names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{About, Closing, Directory, Outbox};
use crate::jid::Jid;

/// A connected component.
#[derive(Clone)]
pub struct Component {
    /// Its domain.
    pub jid: Jid,
    /// Its session's number.
    pub session: u64,
    /// Where stanzas for its domain go.
    pub outbox: Arc<Outbox>,
    /// What the operator sees of it.
    pub about: About,
}

/// Bounded by the configuration: only what it names is ever attached.
pub(super) type Components = Mutex<HashMap<Jid, Component>>;

impl Directory {
    /// Registers a component. The one that spoke for the same domain until now is asked to end with `conflict`; what it had
    /// not written goes to this one before anything newer. True when there was one.
    pub fn attach(&self, component: Component) -> bool {
        let outbox = component.outbox.clone();
        let mut components = self.components.lock();
        let Some(older) = components.insert(component.jid.clone(), component) else {
            return false;
        };
        older.outbox.close(Closing::Conflict);
        for ((_, stanza), _) in older.outbox.finish() {
            // It waited already, and the older bounds how much that is.
            outbox.push_answer(stanza);
        }
        true
    }

    /// Removes a component, unless another session has taken its place.
    pub fn detach(&self, jid: &Jid, session: u64) {
        if let Entry::Occupied(entry) = self.components.lock().entry(jid.clone())
            && entry.get().session == session
        {
            entry.remove();
        }
    }

    /// The outbox of the component that speaks for `domain`, if it is connected.
    #[must_use]
    pub fn component(&self, domain: &str) -> Option<Arc<Outbox>> {
        let components = self.components.lock();
        components
            .get(domain)
            .map(|component| component.outbox.clone())
    }

    /// Every connected component, in no order.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        self.components.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::directory::{Item, Pushed};
    use crate::limit::Memory;
    use crate::stanza::Stanza;

    fn push(outbox: &Outbox, id: &str) -> Pushed {
        let mut stanza = Stanza::message(Jid::new("gw.example.org").unwrap());
        stanza.set_id(Some(id));
        outbox.push(Item { stanza, row: None })
    }

    fn attach(directory: &Directory, session: u64) -> (Arc<Outbox>, bool) {
        let outbox = directory.outbox(100_000);
        let replaced = directory.attach(Component {
            jid: Jid::new("gw.example.org").unwrap(),
            session,
            outbox: outbox.clone(),
            about: About::default(),
        });
        (outbox, replaced)
    }

    #[test]
    fn who_takes_the_place_gets_what_is_older_first() {
        let directory = Directory::new(Arc::new(Memory::default()));
        let (older, replaced) = attach(&directory, 1);
        assert!(!replaced);
        for id in ["written", "underway"] {
            assert!(matches!(push(&older, id), Pushed::At(_)));
            let drained = older.drain(1, Waker::noop()).unwrap();
            if id == "written" {
                let _ = older.written(drained[0].0);
            }
        }
        for id in ["waits", "waits too"] {
            assert!(matches!(push(&older, id), Pushed::At(_)));
        }

        let (newer, replaced) = attach(&directory, 2);
        assert!(replaced && older.is_closing());
        assert!(matches!(push(&older, "late"), Pushed::Closed(_)));
        let found = directory.component("gw.example.org").unwrap();
        assert!(matches!(push(&found, "new"), Pushed::At(_)));
        let drained = newer.drain(usize::MAX, Waker::noop()).unwrap();
        let ids: Vec<_> = drained.iter().filter_map(|(_, one)| one.id()).collect();
        assert_eq!(ids, ["underway", "waits", "waits too", "new"]);

        // The end of the older takes nothing from the newer.
        let jid = Jid::new("gw.example.org").unwrap();
        directory.detach(&jid, 1);
        assert!(directory.component("gw.example.org").is_some());
        directory.detach(&jid, 2);
        assert!(directory.component("gw.example.org").is_none());
    }
}
