//! The operator wants what waits for a user delivered now.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::Delivery;
use super::bounce::best;
use crate::directory::{Queued, State};
use crate::jid::Jid;
use crate::store::spool::Owner;
use crate::store::{RowId, StoreError};

/// Rows that are looked at together.
const PAGE: usize = 500;

/// What a retry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The session that fetched what it could, if one is there.
    pub session: Option<Jid>,
    /// Rows that a session is being given now, or was given since the retry began.
    pub given: u64,
    /// Rows that wait on.
    pub waits: u64,
    /// Why they do.
    pub why: Option<&'static str>,
}

impl Delivery {
    /// Lets the most available session of `user` fetch what waits, all of it and in order, as far as it can take it.
    ///
    /// # Errors
    /// The store could not tell what waits.
    pub async fn retry(self: &Rc<Self>, user: &Jid) -> Result<Retried, StoreError> {
        let before = self.store.spool_count(&Owner::user(user)).await?;
        let (done, flushed) = oneshot::channel::<()>();
        let (session, some) = self.directory.with(user, |account, state| {
            let best = best(state);
            if let Some((session, _)) = best {
                let _ = state.queue(Queued::Flush { session });
                let told = Box::pin(async move { drop(done) });
                let _ = state.queue(Queued::Work(Box::new(move |_| told)));
                self.start_turn(account, state);
            }
            (best.map(|(_, jid)| jid), !state.resources().is_empty())
        });
        // Dropped by the turn, behind the flush; or there is nothing to wait for.
        let _ = flushed.await;
        let waits = self.free_rows(user).await?;
        if let Some(account) = self.directory.find(user.bare_str()) {
            self.directory.retire(&account);
        }
        let why = match (&session, some) {
            _ if waits == 0 => None,
            (Some(_), _) => {
                Some("the session has as much as it can take: the rest follows as it reads")
            }
            (None, true) => {
                Some("no session takes messages: none is available with a priority of 0 or more")
            }
            (None, false) => Some("the user is not logged in"),
        };
        Ok(Retried {
            session,
            given: before.saturating_sub(waits),
            waits,
            why,
        })
    }

    /// How many rows no session is being given.
    async fn free_rows(&self, user: &Jid) -> Result<u64, StoreError> {
        let owner = Owner::user(user);
        let mut free = 0u64;
        let mut after = RowId::START;
        loop {
            let page = self.store.spool_rows(&owner, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            let is_free = |state: &State| {
                let rows = page.iter().filter(|row| !state.carries(row.id.into()));
                rows.count()
            };
            let here = self.directory.find(user.bare_str());
            let here = here
                .as_ref()
                .and_then(|account| account.lock())
                .map(|state| is_free(&state));
            free = free.saturating_add(here.unwrap_or(page.len()) as u64);
            if page.len() < PAGE {
                break;
            }
        }
        Ok(free)
    }
}
