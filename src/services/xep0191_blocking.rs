//! XEP-0191: Blocking Command. The lists are kept and enforced by delivery; here they are read and changed, and what comes
//! from those who are blocked is kept from whoever answers or decides for a user.

use std::rc::Rc;
use std::sync::Arc;

use super::{Answer, BlockLists, Outcome, Request, Service, Target};
use crate::directory::{BLOCKING_NS, BlockChange, BlockError, Directory};
use crate::hook::{Band, Called, Event, Handler, Point, Verdict};
use crate::jid::Jid;
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::xml::Element;

pub(super) struct Blocking {
    lists: Rc<dyn BlockLists>,
}

impl Blocking {
    pub(super) fn new(lists: Rc<dyn BlockLists>) -> Blocking {
        Blocking { lists }
    }
}

impl Service for Blocking {
    fn name(&self) -> &'static str {
        "xep0191_blocking"
    }

    fn features(&self) -> &'static [&'static str] {
        &[BLOCKING_NS]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        let names: &[&str] = match kind {
            "get" => &["blocklist"],
            _ => &["block", "unblock"],
        };
        target == Target::Own && names.iter().any(|name| payload.is(name, BLOCKING_NS))
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let (lists, jid) = (self.lists.clone(), request.peer.jid.clone());
        if request.kind == "get" {
            let session = request.peer.id;
            return Answer::wait(async move {
                let list = lists.list(jid, session).await;
                list.map(|list| Some(list.element())).map_err(refusal)
            });
        }
        match change(request.payload) {
            Ok(change) => Answer::wait(async move {
                let changed = lists.change(jid, change).await;
                changed.map(|()| None).map_err(refusal)
            }),
            Err(condition) => Answer::refuse(condition),
        }
    }
}

/// What a request asks for. One bad address, and nothing of it is done.
fn change(payload: &Element) -> Result<BlockChange, Condition> {
    let items = payload.elements();
    let jids = items
        .filter(|item| item.is("item", BLOCKING_NS))
        .map(|item| {
            let jid = item.attr("jid").ok_or(Condition::BadRequest)?;
            Jid::new(jid).map_err(|_| Condition::JidMalformed)
        })
        .collect::<Result<Vec<Jid>, Condition>>()?;
    match (payload.name(), jids.is_empty()) {
        // XEP-0191 §3.3: to block nobody is a mistake; §3.5: to unblock nobody means all.
        ("block", true) => Err(Condition::BadRequest),
        ("block", false) => Ok(BlockChange::Block(jids)),
        (_, true) => Ok(BlockChange::UnblockAll),
        (_, false) => Ok(BlockChange::Unblock(jids)),
    }
}

fn refusal(error: BlockError) -> StanzaError {
    let condition = match error {
        BlockError::Full(_) | BlockError::Overloaded => Condition::ResourceConstraint,
        BlockError::NoSuchUser => Condition::ItemNotFound,
        BlockError::Failed => Condition::InternalServerError,
    };
    StanzaError::new(condition).with_text(error.to_string())
}

/// An answer on behalf of `owner`, which `peer` gets only if it is not blocked: else what `nobody` says
/// (XEP-0191 §3.3).
pub(super) async fn unless_blocked(
    lists: Rc<dyn BlockLists>,
    (owner, peer): (Jid, Jid),
    answer: impl Future<Output = Outcome>,
    nobody: Condition,
) -> Outcome {
    match lists.covers(owner, peer).await {
        Ok(false) => answer.await,
        Ok(true) => Err(StanzaError::new(nobody)),
        Err(error) => Err(refusal(error)),
    }
}

/// Drops subscriptions and probes of those whom their recipient blocks, before any script decides about them.
pub(super) struct Screen {
    lists: Rc<dyn BlockLists>,
    directory: Arc<Directory>,
}

impl Screen {
    pub(super) fn new(lists: Rc<dyn BlockLists>, directory: Arc<Directory>) -> Screen {
        Screen { lists, directory }
    }

    /// Whether the recipient blocks the sender, if that is known without waiting.
    fn known(&self, owner: &Jid, peer: &Jid) -> Option<bool> {
        let account = self.directory.find(owner.bare_str())?;
        let state = account.lock()?;
        state.blocks().map(|blocks| blocks.cover(owner, peer))
    }
}

impl Handler for Screen {
    fn describe(&self, point: Point, band: Band) -> Vec<String> {
        let here = self.handles(point, band);
        Vec::from_iter(here.then(|| "xep0191_blocking".to_owned()))
    }

    fn handles(&self, point: Point, band: Band) -> bool {
        point == Point::SubscriptionRecv && band == Band::Early
    }

    fn call(&self, _point: Point, _band: Band, event: Event) -> Called {
        let parties = event
            .stanza
            .as_ref()
            .and_then(|stanza| Some((stanza.to()?.clone(), stanza.from()?.clone())));
        let Some((owner, peer)) = parties else {
            return Called::Now(Verdict::Next, event);
        };
        match self.known(&owner, &peer) {
            Some(blocked) => Called::Now(verdict(blocked), event),
            None => {
                let lists = self.lists.clone();
                Called::Wait(Box::pin(async move {
                    // Presence has no error for a store that fails: it is lost, as if its recipient were.
                    let blocked = lists.covers(owner, peer).await.unwrap_or(true);
                    (verdict(blocked), event)
                }))
            }
        }
    }
}

fn verdict(blocked: bool) -> Verdict {
    if blocked {
        Verdict::Drop
    } else {
        Verdict::Next
    }
}
