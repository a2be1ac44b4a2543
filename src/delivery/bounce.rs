//! Messages that did not reach their user go back to their senders: expired ones, and those that the operator gives up.
//!
//! The store deletes the row and puts the error into its sender's queue in one step, so that a sender is told once however
//! the server ends. From there the error goes as any message does: at once to the session that it answers, to another of that
//! user's, or at the next login. A row that a session is being given is left alone: either it arrives, or it comes back to the queue.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::discard::Held;
use super::{Delivery, blocking, turn};
use crate::directory::{Item, Pushed, Queued, State};
use crate::jid::Jid;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};
use crate::store::spool::{self, Bounce, Bounced, Due};
use crate::store::{RowId, StoreError};

/// Queues and rows of each that one look at what has expired handles at most.
const LOOK_QUEUES: usize = 100;
const LOOK_ROWS: usize = 100;

/// When to look again at what has expired while a session was being given it: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What became of rows that were to go back.
#[derive(Debug, Default)]
pub struct Returned {
    /// Their senders have been told, or will be.
    pub bounced: usize,
    /// They are gone, and nobody is owed an error for them.
    pub silent: usize,
    /// A session is being given these just now: they stay until it has them.
    pub underway: usize,
    /// Errors for senders that have no queue here, for the caller to route.
    pub elsewhere: Vec<Stanza>,
}

/// What one look at what has expired did.
#[derive(Debug, Default)]
pub struct Expired {
    /// What became of the rows.
    pub returned: Returned,
    /// Whether there is more to do at once.
    pub more: bool,
}

impl Returned {
    fn add(&mut self, other: Returned) {
        self.bounced = self.bounced.saturating_add(other.bounced);
        self.silent = self.silent.saturating_add(other.silent);
        self.underway = self.underway.saturating_add(other.underway);
        self.elsewhere.extend(other.elsewhere);
    }
}

/// What the sender of an expired message is told. It is what stands for a user who does not exist as well: who may not see
/// a recipient's presence is told no more about it (RFC 6120 §8.3.3.13).
fn expired() -> StanzaError {
    StanzaError::new(Condition::ServiceUnavailable)
        .with_text("nobody came for this message before its time was over")
}

/// What the sender is told whose message the operator gives up.
#[must_use]
pub fn given_up(reason: &str) -> StanzaError {
    StanzaError::new(Condition::ServiceUnavailable).with_text(reason)
}

/// The error for the sender of a row. `None` where none is owed: errors, headlines and messages of rooms do not bounce, nor does
/// what nobody sent or nobody can read (RFC 6120 §8.3.1, XEP-0160 §3).
fn answer(row: RowId, stanza: &Bytes, why: &StanzaError) -> Option<Stanza> {
    let stanza = Stanza::from_bytes(stanza)
        .inspect_err(
            |error| tracing::error!(%row, %error, "a stored message cannot be read and is deleted"),
        )
        .ok()?;
    let owed = stanza.kind() == Kind::Message && matches!(stanza.message_type(), "chat" | "normal");
    (owed && stanza.from().is_some())
        .then(|| stanza.error(why))
        .flatten()
}

impl Delivery {
    /// Gives rows of `user`'s queue back to their senders with `why`, once each, except those that a session is being given.
    ///
    /// # Errors
    /// The store's; nothing has changed then.
    pub async fn bounce(
        self: &Rc<Self>,
        user: &Jid,
        rows: Vec<(RowId, Bytes)>,
        why: &StanzaError,
    ) -> Result<Returned, StoreError> {
        let _guard = self.turns.begin();
        let ids: Vec<RowId> = rows.iter().map(|(id, _)| *id).collect();
        let held = Held::take(&self.directory, user, &ids);
        let mut returned = Returned {
            underway: held.underway,
            ..Returned::default()
        };
        let mut errors = Vec::new();
        let mut bounces = Vec::new();
        for (id, stanza) in rows.iter().filter(|(id, _)| held.has(*id)) {
            let error = answer(*id, stanza, why);
            let sender = error.as_ref().and_then(Stanza::to).map(Jid::to_bare);
            bounces.push(Bounce {
                row: *id,
                error: sender
                    .zip(error.as_ref())
                    .map(|(sender, error)| turn::row(self, &sender, error)),
            });
            errors.push(error);
        }
        let quota = (self.settings)().offline_quota;
        let fates = self.store.spool_bounce(bounces, quota).await;
        held.let_go(&self.directory);
        let mut kept: BTreeMap<Jid, Vec<(RowId, Stanza)>> = BTreeMap::new();
        for (fate, error) in fates?.into_iter().zip(errors) {
            match (fate, error) {
                (Bounced::Missing, _) => {}
                (Bounced::Kept(id), Some(error)) => {
                    returned.bounced = returned.bounced.saturating_add(1);
                    if let Some(to) = error.to().cloned() {
                        kept.entry(to).or_default().push((id, error));
                    }
                }
                (Bounced::NotKept, Some(error)) => {
                    returned.bounced = returned.bounced.saturating_add(1);
                    returned.elsewhere.push(error);
                }
                _ => returned.silent = returned.silent.saturating_add(1),
            }
        }
        let bounced = u64::try_from(returned.bounced).unwrap_or(u64::MAX);
        self.counters.bounced.add(bounced);
        for (to, errors) in kept {
            self.hand_over(&to, errors);
        }
        Ok(returned)
    }

    /// Gives stored errors to the session that they answer; what it cannot take, or if it is gone, another of that user's fetches.
    fn hand_over(self: &Rc<Self>, to: &Jid, errors: Vec<(RowId, Stanza)>) {
        let account = self.directory.with(to, |account, state| {
            let taken = !state.turn_taken()
                && state.is_ready()
                && errors
                    .into_iter()
                    .all(|(row, error)| push(state, to, row.into(), error));
            let heir = best(state).map(|(session, _)| session);
            if let Some(session) = heir.filter(|_| !taken) {
                let _ = state.queue(Queued::Flush { session });
                self.start_turn(account, state);
            }
            account.clone()
        });
        self.directory.retire(&account);
    }

    /// Gives back what has expired in the queues of users, a bounded number of rows. What a session is being given then is
    /// looked at again after a growing interval.
    ///
    /// # Errors
    /// The store's; what was done before stands.
    pub async fn expire(self: &Rc<Self>) -> Result<Expired, StoreError> {
        let due = self.store.spool_due(spool::Kind::User, LOOK_QUEUES).await?;
        let mut expired_now = Expired {
            more: due.len() >= LOOK_QUEUES,
            ..Expired::default()
        };
        for queue in due {
            let returned = self.expire_queue(&queue).await?;
            expired_now.more |= returned.bounced > 0 || returned.silent > 0;
            expired_now.returned.add(returned);
        }
        Ok(expired_now)
    }

    async fn expire_queue(self: &Rc<Self>, queue: &Due) -> Result<Returned, StoreError> {
        let rows = self.store.spool_expired(&queue.owner, LOOK_ROWS).await?;
        let returned = match queue.owner.user_jid() {
            Some(user) => self.bounce(&user, rows, &expired()).await?,
            None => {
                tracing::error!(owner = %queue.owner, "a queue is named like no user and stays");
                Returned {
                    underway: rows.len(),
                    ..Returned::default()
                }
            }
        };
        if returned.underway == 0 {
            self.store.spool_settle(&queue.owner).await?;
        } else {
            let wait = spool::interval(queue.tries, AGAIN.0, AGAIN.1);
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            let at = self.clock.wall_ms().saturating_add(wait);
            self.store.spool_defer(&queue.owner, at).await?;
        }
        Ok(returned)
    }
}

/// Puts a stored error into the outbox of the session `to`. False when there is none, or it does not take it now.
fn push(state: &mut State, to: &Jid, row: i64, error: Stanza) -> bool {
    let Some(outbox) = state
        .resource(to)
        .map(|resource| resource.outbox.clone())
        .filter(|_| !blocking::blocked(state, &error))
    else {
        return false;
    };
    if !state.carry(row) {
        return true;
    }
    let item = Item {
        stanza: error,
        row: Some(row),
    };
    match outbox.push(item) {
        Pushed::At(_) | Pushed::Coalesced => true,
        Pushed::Full(_) | Pushed::Closed(_) => {
            state.release(&[row]);
            false
        }
    }
}

/// The session that fetches what waits: the most available one, and its address.
pub(super) fn best(state: &State) -> Option<(u64, Jid)> {
    let best = state.reachable().max_by_key(|resource| resource.priority)?;
    Some((best.session, best.jid.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_waits_for_is_answered() {
        let owed = |stanza: &'static str| {
            let bytes = Bytes::from_static(stanza.as_bytes());
            answer(RowId::from(1), &bytes, &expired())
        };
        let chat =
            "<message from='romeo@x/y' to='juliet@x/z' id='7' type='chat'><body>o</body></message>";
        let error = owed(chat).unwrap();
        assert_eq!((error.type_(), error.id()), ("error", Some("7")));
        assert_eq!(error.to().map(Jid::as_str), Some("romeo@x/y"));
        assert_eq!(error.from().map(Jid::as_str), Some("juliet@x/z"));
        let what = error.child("error", crate::xml::CLIENT_NS);
        let what = StanzaError::from_element(what.unwrap());
        assert_eq!(what, expired());
        assert!(owed("<message from='romeo@x' to='juliet@x'/>").is_some());
        for silent in [
            "<message from='romeo@x' to='juliet@x' type='error'/>",
            "<message from='romeo@x' to='juliet@x' type='headline'/>",
            "<message from='room@x/romeo' to='juliet@x' type='groupchat'/>",
            "<message to='juliet@x'/>",
            "<presence from='romeo@x' to='juliet@x'/>",
            "<iq from='romeo@x' to='juliet@x' type='get' id='1'><q xmlns='q'/></iq>",
            "no stanza",
        ] {
            assert!(owed(silent).is_none(), "{silent}");
        }
    }
}
