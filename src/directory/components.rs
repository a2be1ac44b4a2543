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
