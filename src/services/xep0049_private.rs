//! XEP-0049: Private XML Storage. One document for each root element, by its name and namespace.

use std::rc::Rc;
use std::sync::Arc;

use super::{Answer, Request, Service, Target, from_document, not_stored, to_document};
use crate::config::Config;
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::store::Store;
use crate::xml::Element;

const NS: &str = "jabber:iq:private";

/// The kind of its documents.
const KIND: &str = "private";

/// Elements that one request may set.
const MAX_AT_ONCE: usize = 16;

pub(super) struct Private {
    store: Store,
    config: Rc<dyn Fn() -> Arc<Config>>,
}

impl Private {
    pub(super) fn new(store: Store, config: Rc<dyn Fn() -> Arc<Config>>) -> Private {
        Private { store, config }
    }

    /// XEP-0049 §4: one element is asked for; what was never set is answered as it was asked.
    fn get(&self, owner: &str, query: &Element) -> Answer {
        let mut asked = query.elements();
        let (Some(asked), None) = (asked.next(), asked.next()) else {
            return Answer::refuse(Condition::NotAcceptable);
        };
        let name = document(asked);
        let found = self.store.document_get(owner, KIND, &name);
        let (owner, empty) = (owner.to_owned(), Element::new(asked.name(), asked.ns()));
        Answer::wait(async move {
            let data = found.await.map_err(|error| not_stored(&error))?;
            let kept = data.and_then(|data| from_document(&data, &owner, &name));
            Ok(Some(
                Element::new("query", NS).with_child(kept.unwrap_or(empty)),
            ))
        })
    }

    /// XEP-0049 §3: every element is kept under its name, or none is. An empty one takes no place.
    fn set(&self, owner: &str, query: &Element) -> Answer {
        let limits = (self.config)();
        let limits = limits.limits();
        let mut documents = Vec::new();
        for element in query.elements() {
            // Without a namespace of its own it has that of the query (XEP-0049 §3).
            if element.ns() == NS || documents.len() >= MAX_AT_ONCE {
                return Answer::refuse(Condition::NotAcceptable);
            }
            let empty = element.attrs().is_empty() && element.children().is_empty();
            let data = match to_document(element, limits.private_max_size) {
                Ok(_) if empty => None,
                Ok(data) => Some(data),
                Err(error) => return Answer::Now(Err(error)),
            };
            documents.push((document(element), data));
        }
        if documents.is_empty() {
            return Answer::refuse(Condition::NotAcceptable);
        }
        let done = self
            .store
            .document_set(owner, KIND, documents, limits.private_max_elements);
        Answer::stored(done)
    }
}

/// A name has no space, so no two elements share a document.
fn document(element: &Element) -> String {
    format!("{} {}", element.name(), element.ns())
}

impl Service for Private {
    fn name(&self) -> &'static str {
        "xep0049_private"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, _kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        !matches!(target, Target::Server(_)) && payload.is("query", NS)
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        if request.target != Target::Own {
            // XEP-0049 §4, whether there is such a user or not.
            return Answer::Now(Err(StanzaError::new(Condition::Forbidden)));
        }
        let owner = request.peer.jid.bare_str();
        match request.kind {
            "get" => self.get(owner, request.payload),
            _ => self.set(owner, request.payload),
        }
    }
}
