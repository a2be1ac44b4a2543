//! XEP-0012: Last Activity. How long the server runs, and how long ago a user went, with its last words: for those who may
//! see its presence, and nobody else.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Outcome, Request, Service, Target, from_document, not_stored};
use crate::directory::Directory;
use crate::jid::Jid;
use crate::net::Clock;
use crate::roster::{RosterError, Rosters};
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::store::Store;
use crate::xml::Element;

const NS: &str = "jabber:iq:last";

/// The kind of its documents; there is one, without a name.
const KIND: &str = "last";

/// What is kept of a status, in bytes: every going writes it.
const WORDS_MAX: usize = 1_024;

pub(super) struct Last {
    known: Rc<Known>,
}

/// What the answers come from.
struct Known {
    clock: Clock,
    store: Store,
    directory: Arc<Directory>,
    rosters: Rc<dyn Rosters>,
}

impl Last {
    pub(super) fn new(
        clock: Clock,
        store: Store,
        directory: Arc<Directory>,
        rosters: Rc<dyn Rosters>,
    ) -> Last {
        Last {
            known: Rc::new(Known {
                clock,
                store,
                directory,
                rosters,
            }),
        }
    }
}

impl Known {
    /// XEP-0012 §3. Who may not see `owner` hears the same whether there is such a user or not (§8).
    async fn of(&self, owner: &Jid, peer: &Jid) -> Outcome {
        let roster = self.rosters.roster(owner).await;
        let roster = roster.map_err(|error| unread(&error))?;
        let sees = roster
            .get(peer.bare_str())
            .is_some_and(|item| item.subscription.from);
        if !sees {
            return Err(StanzaError::new(Condition::Forbidden));
        }
        if self.is_there(owner) {
            return Ok(Some(query(0, "")));
        }
        // Reads overtake writes: behind a write that changes nothing, what was noted is there. Without a change nothing is synced.
        let noted = self
            .store
            .document_set(owner.bare_str(), KIND, Vec::new(), 1);
        noted.await.map_err(|error| not_stored(&error))?;
        let found = self.store.document_get(owner.bare_str(), KIND, "").await;
        let found = found.map_err(|error| not_stored(&error))?;
        let left = found.and_then(|data| from_document(&data, owner.bare_str(), KIND));
        let at_ms = left
            .as_ref()
            .and_then(|left| left.attr("at")?.parse::<i64>().ok());
        let (Some(left), Some(at_ms)) = (left, at_ms) else {
            // Never here since the server notes it.
            return Err(StanzaError::new(Condition::ItemNotFound));
        };
        // The clock may have been set back since.
        let ms = self.clock.wall_ms().saturating_sub(at_ms);
        Ok(Some(query(
            u64::try_from(ms).unwrap_or(0) / 1000,
            &left.text(),
        )))
    }

    fn is_there(&self, owner: &Jid) -> bool {
        let account = self.directory.find(owner.bare_str());
        let state = account.as_ref().and_then(|account| account.lock());
        state.is_some_and(|state| state.is_seen())
    }
}

/// Notes that a user has gone: its last resource is no longer available. Does not wait for the disk; a crash may lose it.
pub fn left(store: &Store, owner: &Jid, at_ms: i64, words: &str) {
    let words = words.get(..words.floor_char_boundary(WORDS_MAX));
    let left = Element::new("query", NS)
        .with_attr("at", &at_ms.to_string())
        .with_text(words.unwrap_or_default());
    let left = vec![(String::new(), Some(Bytes::from(left.to_string())))];
    // Nobody waits: without it the user seems to have gone earlier, or not to have been here.
    drop(store.document_set(owner.bare_str(), KIND, left, 1));
}

fn query(seconds: u64, words: &str) -> Element {
    let query = Element::new("query", NS).with_attr("seconds", &seconds.to_string());
    match words {
        "" => query,
        words => query.with_text(words),
    }
}

fn unread(error: &RosterError) -> StanzaError {
    match error {
        RosterError::Store(error) => not_stored(error),
        error => {
            tracing::error!(%error, "a roster is not read");
            StanzaError::new(Condition::InternalServerError)
        }
    }
}

impl Service for Last {
    fn name(&self) -> &'static str {
        "xep0012_last"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, _target: Target<'_>) -> bool {
        kind == "get" && payload.is("query", NS)
    }

    fn nobody(&self) -> Condition {
        Condition::Forbidden
    }

    fn for_components(&self) -> bool {
        true
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        match request.target {
            // XEP-0012 §5.
            Target::Server(_) => {
                let seconds = self.known.clock.monotonic_ms() / 1000;
                Answer::Now(Ok(Some(query(seconds, ""))))
            }
            // §3: it has a connected resource, the one that asks.
            Target::Own => Answer::Now(Ok(Some(query(0, "")))),
            Target::Account(owner) => {
                let (known, owner, asks) =
                    (self.known.clone(), owner.clone(), request.from.clone());
                Answer::wait(async move { known.of(&owner, &asks).await })
            }
        }
    }
}
