//! Block lists in force (XEP-0191): what is known of a user, and how its list changes.
//!
//! The list lives in the account's state beside the sessions it protects. It is read before the first session begins, and
//! whenever the turn looks whether its user exists, so that a blocked sender reaches neither a session nor the spool. It
//! changes in the turn: while a change is being stored everything for the user queues, and it is in force, and told to
//! the user's sessions, before anything of that goes on.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Delivery, turn};
use crate::directory::{Account, BlockChange, BlockError, Blocks, Item, Resource, State, Work};
use crate::jid::Jid;
use crate::net::Clock;
use crate::services::{BlockLists, Waits};
use crate::stanza::roster::Roster;
use crate::stanza::{Condition, Stanza, StanzaError};
use crate::store::{Store, StoreError};

/// Whether the recipient, whose state this is, blocks the sender.
pub(super) fn blocked(state: &State, stanza: &Stanza) -> bool {
    match (stanza.to(), stanza.from()) {
        (Some(to), Some(from)) => state.blocked(to, from),
        _ => false,
    }
}

/// For the holder of the turn: whether the user exists, and whom it blocks, asked once while the account is live.
pub(super) async fn learn(store: &Store, account: &Account) -> Result<bool, StoreError> {
    let known = account
        .lock()
        .and_then(|state| state.blocks().and(state.known()));
    if let Some(known) = known {
        return Ok(known);
    }
    let found = store.recipient(account.bare().as_str()).await?;
    let exists = found.is_some();
    if let Some(mut state) = account.lock() {
        state.set_known(Some(exists));
        account.set_blocks(&mut state, Some(found.into_iter().flatten().collect()));
    }
    Ok(exists)
}

/// For the holder of the turn: learns. When that fails, the stanzas that are queued for the sessions are refused: any of
/// them might come from somebody who is blocked.
pub(super) async fn know(store: &Store, account: &Account) {
    if let Err(error) = learn(store, account).await {
        tracing::error!(owner = %account.bare(), %error, "cannot read whom this user blocks");
        let refused = account.lock().map(|mut state| state.take_stanzas());
        for receipt in refused.into_iter().flatten() {
            // A sender that has gone no longer listens.
            let _ = receipt.send(Err(StanzaError::new(turn::condition(&error))));
        }
    }
}

/// For the holder of the turn: stores a change, puts it in force and tells the sessions that have asked for the list
/// (XEP-0191 §3.3). The last two are one step under the account's mutex: what comes behind the push obeys it. Gives the
/// presence that others are to see because of it.
async fn apply(
    store: &Store,
    clock: &Clock,
    account: &Arc<Account>,
    change: &BlockChange,
) -> Result<Vec<Stanza>, StoreError> {
    let owner = account.bare().as_str();
    if !learn(store, account).await? {
        return Err(StoreError::NotFound);
    }
    match change.clone() {
        BlockChange::Block(jids) => store.block_add(owner, jids).await?,
        BlockChange::Unblock(jids) => store.block_remove(owner, Some(jids)).await?,
        BlockChange::UnblockAll => store.block_remove(owner, None).await?,
    }
    // The change stands, whether or not those can be found who see it.
    let roster = super::roster::load(store, account)
        .await
        .inspect_err(|error| tracing::error!(%owner, %error, "a block is not shown to contacts"))
        .unwrap_or_default();
    let mut state = account.lock().ok_or(StoreError::Closed)?;
    let before = state.blocks().cloned().unwrap_or_default();
    let after = before.after(change);
    account.set_blocks(&mut state, Some(after.clone()));
    push(clock, &state, change);
    Ok(shown(account.bare(), &state, &roster, (&before, &after)))
}

fn fault(error: &StoreError) -> BlockError {
    match error {
        StoreError::NotFound => BlockError::NoSuchUser,
        StoreError::BlocksFull { most } => BlockError::Full(*most),
        StoreError::Overloaded => BlockError::Overloaded,
        _ => BlockError::Failed,
    }
}

/// The change as every session that has asked for the list hears it.
fn push(clock: &Clock, state: &State, change: &BlockChange) {
    let hears = |resource: &&Resource| resource.hears_blocks;
    for resource in state.resources().iter().filter(hears) {
        let mut push = Stanza::iq("set", &clock.random_id()).with_child(&change.element());
        push.set_to(Some(resource.jid.clone()));
        // A session whose outbox is full hears less than it asked for; what it blocks is blocked all the same.
        let _ = resource.outbox.push(Item {
            stanza: push,
            row: None,
        });
    }
}

/// The presence that a change calls for: who sees the user and is blocked now sees it go, who is blocked no longer sees it as it
/// is (XEP-0191 §3.3, §3.4). Directed presence is taken back, and not given again.
fn shown(
    owner: &Jid,
    state: &State,
    roster: &Roster,
    (before, after): (&Blocks, &Blocks),
) -> Vec<Stanza> {
    let gone = |peer: &Jid| !before.cover(owner, peer) && after.cover(owner, peer);
    let back = |peer: &Jid| before.cover(owner, peer) && !after.cover(owner, peer);
    let mut stanzas = Vec::new();
    for resource in state.resources() {
        let mut hides = resource.told.take_directed_to(gone);
        if let Some(presence) = &resource.presence {
            hides.retain(|to| {
                let contact = roster.get(to.bare_str());
                !contact.is_some_and(|item| item.subscription.from)
            });
            hides.extend(roster.subscribers().filter(|to| gone(to)).cloned());
            let shows = roster.subscribers().filter(|to| back(to));
            stanzas.extend(shows.map(|to| addressed(presence.clone(), resource, to.clone())));
        }
        let hides = hides.into_iter();
        stanzas.extend(hides.map(|to| addressed(Stanza::presence("unavailable"), resource, to)));
    }
    stanzas
}

fn addressed(mut presence: Stanza, resource: &Resource, to: Jid) -> Stanza {
    presence.set_from(Some(resource.jid.clone()));
    presence.set_to(Some(to));
    presence
}

/// What a user is told who sends something to somebody on its block list (XEP-0191 §3.3).
#[must_use]
pub fn blocked_error() -> StanzaError {
    StanzaError::new(Condition::NotAcceptable)
        .with_type(crate::stanza::ErrorType::Cancel)
        .with_detail("blocked", "urn:xmpp:blocking:errors")
}

impl Delivery {
    /// Ready when it is known whom the user of `jid` blocks: before that nothing reaches its sessions.
    ///
    /// # Errors
    /// The store could not tell.
    pub async fn know(self: &Rc<Self>, jid: &Jid) -> Result<(), BlockError> {
        let known = |_: &Arc<Account>, state: &mut State| state.blocks().is_some();
        if self.directory.with(jid, known) {
            return Ok(());
        }
        let store = self.store.clone();
        self.in_turn(jid, |account| async move {
            learn(&store, &account).await.map(drop)
        })
        .await
    }

    /// Changes whom the user of `jid` blocks; ready when that is durable, in force, and told to the user's sessions.
    ///
    /// # Errors
    /// The list is as it was.
    pub async fn block(self: &Rc<Self>, jid: &Jid, change: BlockChange) -> Result<(), BlockError> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let shown = self.in_turn(jid, |account| async move {
            apply(&store, &clock, &account, &change).await
        });
        // Past the router, which shows nothing of this user to whom it blocks. Contacts elsewhere wait for federation.
        for presence in shown.await? {
            self.deliver(presence);
        }
        Ok(())
    }

    /// Whether `owner` blocks `peer`, also when nothing of `owner` is live: for who answers on a user's behalf.
    ///
    /// # Errors
    /// The store could not tell.
    pub async fn covers(self: &Rc<Self>, owner: &Jid, peer: Jid) -> Result<bool, BlockError> {
        let live = self.directory.find(owner.bare_str());
        let known = live
            .as_ref()
            .and_then(|account| account.lock())
            .and_then(|state| {
                let blocks = state.blocks()?;
                Some(blocks.cover(owner, &peer))
            });
        if let Some(covered) = known {
            return Ok(covered);
        }
        let store = self.store.clone();
        self.in_turn(owner, |account| async move {
            learn(&store, &account).await?;
            let state = account.lock().ok_or(StoreError::Closed)?;
            Ok(state.blocked(account.bare(), &peer))
        })
        .await
    }

    /// Does something in the account's turn and waits for it.
    async fn in_turn<T, F>(
        self: &Rc<Self>,
        jid: &Jid,
        work: impl FnOnce(Arc<Account>) -> F + Send + 'static,
    ) -> Result<T, BlockError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + 'static,
    {
        let (done, waits) = oneshot::channel();
        let owner = jid.to_bare();
        let work: Work = Box::new(move |account| {
            Box::pin(async move {
                // Whoever asked may have gone: what is done is done.
                let _ = done.send(work(account).await);
            })
        });
        self.work(jid, work);
        let result = waits.await.unwrap_or(Err(StoreError::Closed));
        result.map_err(|error| {
            let fault = fault(&error);
            if fault == BlockError::Failed {
                tracing::error!(%owner, %error, "a block list cannot be read or changed");
            }
            fault
        })
    }

    /// The block list, for one of the user's sessions, which hears of its changes from here on (XEP-0191 §3.2).
    ///
    /// # Errors
    /// The store could not tell.
    pub async fn block_list(
        self: &Rc<Self>,
        jid: &Jid,
        session: u64,
    ) -> Result<Blocks, BlockError> {
        self.know(jid).await?;
        self.directory.with(jid, |_, state| {
            if let Some(resource) = state.session_mut(session) {
                resource.hears_blocks = true;
            }
            state.blocks().cloned().ok_or(BlockError::Failed)
        })
    }
}

impl BlockLists for Delivery {
    fn list(self: Rc<Self>, jid: Jid, session: u64) -> Waits<Blocks> {
        Box::pin(async move { self.block_list(&jid, session).await })
    }

    fn change(self: Rc<Self>, jid: Jid, change: BlockChange) -> Waits<()> {
        Box::pin(async move { self.block(&jid, change).await })
    }

    fn covers(self: Rc<Self>, owner: Jid, peer: Jid) -> Waits<bool> {
        Box::pin(async move { Delivery::covers(&self, &owner, peer).await })
    }
}
