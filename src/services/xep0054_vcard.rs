//! XEP-0054: vcard-temp. One card a user; everybody may read it, its owner alone may change it.

use std::rc::Rc;
use std::sync::Arc;

use super::{Answer, Request, Service, Target, from_document, not_stored, to_document};
use crate::config::Config;
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::store::Store;
use crate::xml::Element;

const NS: &str = "vcard-temp";

/// The kind of its documents; there is one, without a name.
const KIND: &str = "vcard";

pub(super) struct Vcard {
    store: Store,
    config: Rc<dyn Fn() -> Arc<Config>>,
}

impl Vcard {
    pub(super) fn new(store: Store, config: Rc<dyn Fn() -> Arc<Config>>) -> Vcard {
        Vcard { store, config }
    }

    /// `none` answers where there is no card: one look-up, the same for users without a card and for nobody.
    fn get(&self, owner: &str, none: Condition) -> Answer {
        let found = self.store.document_get(owner, KIND, "");
        let owner = owner.to_owned();
        Answer::wait(async move {
            let data = found.await.map_err(|error| not_stored(&error))?;
            data.and_then(|data| from_document(&data, &owner, KIND))
                .map(Some)
                .ok_or(StanzaError::new(none))
        })
    }

    /// An empty card deletes the old one.
    fn set(&self, owner: &str, card: &Element) -> Answer {
        let most = (self.config)().limits().vcard_max_size;
        let data = match to_document(card, most) {
            Ok(_) if card.children().is_empty() => None,
            Ok(data) => Some(data),
            Err(error) => return Answer::Now(Err(error)),
        };
        let card = vec![(String::new(), data)];
        Answer::stored(self.store.document_set(owner, KIND, card, 1))
    }
}

impl Service for Vcard {
    fn name(&self) -> &'static str {
        "xep0054_vcard"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, _kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        !matches!(target, Target::Server(_)) && payload.is("vCard", NS)
    }

    fn for_components(&self) -> bool {
        true
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        match (request.kind, request.target) {
            ("get", Target::Account(owner)) => {
                // XEP-0054 §3.3: the same for users without a card and for nobody.
                self.get(owner.as_str(), Condition::ServiceUnavailable)
            }
            ("get", _) => self.get(request.peer.jid.bare_str(), Condition::ItemNotFound),
            // XEP-0054 §3.2.
            (_, Target::Account(_)) => Answer::refuse(Condition::Forbidden),
            _ => self.set(request.peer.jid.bare_str(), request.payload),
        }
    }
}
