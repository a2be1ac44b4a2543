//! Rosters of local users, changed in their account turns.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Delivery, blocking, place};
use crate::directory::{Account, Resource, State};
use crate::jid::Jid;
use crate::roster::{
    Audience, Change, Changed, LocalFuture, Plan, Pushed, RosterError, Rosters, Write, plan, result,
};
use crate::stanza::Stanza;
use crate::stanza::roster::Roster;
use crate::store::{Store, StoreError};

type Answer<T> = oneshot::Sender<Result<T, RosterError>>;

/// A worker's way to rosters.
pub struct LocalRosters {
    delivery: Rc<Delivery>,
    serves: Box<dyn Fn(&str) -> bool>,
}

impl LocalRosters {
    /// `serves` says whether a domain is ours.
    #[must_use]
    pub fn new(delivery: Rc<Delivery>, serves: Box<dyn Fn(&str) -> bool>) -> LocalRosters {
        LocalRosters { delivery, serves }
    }

    /// Runs `work` in `owner`'s turn and waits for its answer.
    async fn in_turn<T, F>(&self, owner: &Jid, work: F) -> Result<T, RosterError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&Store, &Arc<Account>) -> Result<T, RosterError> + Send + 'static,
    {
        let (reply, answer): (Answer<T>, _) = oneshot::channel();
        let store = self.delivery.store.clone();
        self.delivery.work(
            owner,
            Box::new(move |account| {
                Box::pin(async move {
                    let done = work(&store, &account).await;
                    // Who asked may have gone meanwhile.
                    let _ = reply.send(done);
                })
            }),
        );
        answer.await.unwrap_or(Err(RosterError::Gone))
    }
}

impl Rosters for LocalRosters {
    fn roster<'a>(&'a self, owner: &'a Jid) -> LocalFuture<'a, Result<Arc<Roster>, RosterError>> {
        Box::pin(async move {
            if let Some(roster) = self.cached(owner) {
                return Ok(roster);
            }
            if self.delivery.directory.connected(&owner.to_bare()) {
                return self.in_turn(owner, load).await;
            }
            let roster = self.delivery.store.roster(owner.bare_str()).await?;
            Ok(Arc::new(roster))
        })
    }

    fn cached(&self, owner: &Jid) -> Option<Arc<Roster>> {
        let account = self.delivery.directory.find(owner.bare_str())?;
        let state = account.lock()?;
        state.roster().cloned()
    }

    fn change<'a>(
        &'a self,
        owner: &'a Jid,
        change: Change,
    ) -> LocalFuture<'a, Result<Changed, RosterError>> {
        Box::pin(self.in_turn(owner, async move |store, account| {
            apply(store, account, change).await
        }))
    }

    fn answer<'a>(&'a self, request: &'a Stanza) -> LocalFuture<'a, Result<(), RosterError>> {
        Box::pin(async move {
            let Some(session) = request.from() else {
                return Ok(());
            };
            let request = request.clone();
            let full = session.clone();
            self.in_turn(session, async move |store, account| {
                let roster = load(store, account).await?;
                if let Some(mut state) = account.lock()
                    && let Some(resource) = state.resource_mut(&full)
                {
                    // In one step: no push can come between what it is told now and what it is told next.
                    resource.interested = true;
                    resource.outbox.push_answer(result(&roster, &request));
                }
                Ok(())
            })
            .await
        })
    }

    fn requests<'a>(&'a self, session: &'a Jid) -> LocalFuture<'a, Result<(), RosterError>> {
        Box::pin(async move {
            let full = session.clone();
            self.in_turn(session, async move |store, account| {
                let roster = load(store, account).await?;
                if let Some(state) = account.lock()
                    && let Some(resource) = state.resource(&full)
                {
                    let requests = roster.requests().filter_map(|item| item.request.as_ref());
                    for request in requests.filter_map(|bytes| Stanza::from_bytes(bytes).ok()) {
                        if !blocking::blocked(&state, &request) {
                            place::give(&resource.outbox, request);
                        }
                    }
                }
                Ok(())
            })
            .await
        })
    }

    fn presences(&self, owner: &Jid) -> Vec<Stanza> {
        let account = self.delivery.directory.find(owner.bare_str());
        let state = account.as_ref().and_then(|account| account.lock());
        state.map_or_else(Vec::new, |state| {
            let resources = state.resources().iter();
            resources
                .filter_map(|resource| resource.presence.clone())
                .collect()
        })
    }

    fn serves(&self, domain: &str) -> bool {
        (self.serves)(domain)
    }
}

/// The roster, kept with the account while somebody is there to need it.
pub(super) async fn load(
    store: &Store,
    account: &Arc<Account>,
) -> Result<Arc<Roster>, RosterError> {
    let kept = account.lock().and_then(|state| state.roster().cloned());
    if let Some(roster) = kept {
        return Ok(roster);
    }
    let roster = Arc::new(store.roster(account.bare().as_str()).await?);
    keep(account, &roster);
    Ok(roster)
}

fn keep(account: &Account, roster: &Arc<Roster>) {
    if let Some(mut state) = account.lock() {
        let live = !state.resources().is_empty();
        state.set_roster(live.then(|| roster.clone()));
    }
}

async fn apply(
    store: &Store,
    account: &Arc<Account>,
    change: Change,
) -> Result<Changed, RosterError> {
    let before = load(store, account).await?;
    let plan = plan(&before, change)?;
    let now = match &plan.write {
        None => before.clone(),
        Some(write) => {
            let now = Arc::new(written(store, account.bare(), &before, write).await?);
            keep(account, &now);
            now
        }
    };
    if let Some(state) = account.lock() {
        show(&state, (&before, &now), &plan);
    }
    Ok(plan.changed)
}

/// Stores a change; gives the roster after it.
async fn written(
    store: &Store,
    owner: &Jid,
    roster: &Roster,
    write: &Write,
) -> Result<Roster, RosterError> {
    let stored = match write {
        Write::Put(item) => store.roster_put(owner, item.clone()).await.map(|version| {
            let mut roster = roster.clone();
            roster.put(item.clone(), version);
            roster
        }),
        Write::Remove(jid) => store.roster_remove(owner, jid).await.map(|version| {
            let mut roster = roster.clone();
            roster.remove(jid, version.unwrap_or(roster.version()));
            roster
        }),
        Write::Import { items, replace } => {
            match store.roster_import(owner, items.clone(), *replace).await {
                Ok(_) => store.roster(owner.bare_str()).await,
                Err(error) => Err(error),
            }
        }
    };
    stored.map_err(|error| match error {
        StoreError::NotFound => RosterError::NoUser,
        StoreError::RosterFull { .. } => RosterError::Full,
        other => RosterError::Store(other),
    })
}

/// What the owner's resources see of a change, in the order of RFC 6121 §3.1.6: the stanza, then the push.
fn show(state: &State, (before, now): (&Roster, &Roster), plan: &Plan) {
    if let Some((stanza, audience)) = &plan.deliver {
        let there = |resource: &&Resource| {
            resource.priority.is_some() && (*audience == Audience::Available || resource.interested)
        };
        for resource in state.resources().iter().filter(there) {
            place::give(&resource.outbox, stanza.clone());
        }
    }
    if !plan.push {
        return;
    }
    match &plan.write {
        Some(Write::Put(item)) => push(state, &Pushed::Item(item), now.version()),
        Some(Write::Remove(jid)) => push(state, &Pushed::Removed(jid), now.version()),
        Some(Write::Import { items, .. }) => {
            for gone in before.listed().filter(|item| now.get(&item.jid).is_none()) {
                push(state, &Pushed::Removed(&gone.jid), now.version());
            }
            for item in items.iter().filter(|item| item.listed) {
                push(state, &Pushed::Item(item), now.version());
            }
        }
        None => {}
    }
}

fn push(state: &State, what: &Pushed<'_>, version: u64) {
    let interested = || {
        let resources = state.resources().iter();
        resources.filter(|resource| resource.interested)
    };
    if interested().next().is_none() {
        return;
    }
    let stanza = what.stanza(version);
    for resource in interested() {
        let mut copy = stanza.clone();
        copy.set_to(Some(resource.jid.clone()));
        place::give(&resource.outbox, copy);
    }
}
