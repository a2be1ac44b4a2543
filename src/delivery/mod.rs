//! Makes a route so: a live outbox, the spool, or an error to the sender.
//!
//! [`Delivery::deliver`] answers with a [`Receipt`]: the stanza is safe now, or will be. Whatever must wait happens in the
//! recipient's account turn (`turn.rs`), which runs as a task of the worker that took it.

mod blocking;
mod bounce;
mod component;
mod discard;
mod place;
mod receipt;
mod retry;
mod roster;
#[cfg(test)]
mod tests;
mod turn;

pub use blocking::blocked_error;
pub use bounce::{Expired, Returned, given_up};
pub use discard::{Discarded, discard};
pub use receipt::{Fate, Receipt};
pub use retry::Retried;
pub use roster::LocalRosters;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::directory::{
    About, Account, AckLimits, Directory, Left, Outbox, Packed, Queued, Resource, Show, State,
    Told, Work,
};
use crate::jid::Jid;
use crate::net::Clock;
use crate::observe::Counters;
use crate::services;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};
use crate::store::Store;
use crate::store::spool::Quota;
use place::Placed;

/// Rows fetched from the spool at a time.
const FLUSH_PAGE: usize = 100;

/// What delivery needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds after which a stored message is not delivered any more; `None`: never.
    pub offline_expiration_s: Option<u64>,
    /// How much is stored for one user.
    pub offline_quota: Quota,
    /// Bytes that wait for one session before messages go to the spool instead.
    pub outbox_bytes: usize,
    /// Sessions that one user may have.
    pub sessions_per_user: usize,
}

/// Account turns under way, all workers together: drain waits until there are none.
#[derive(Default)]
pub struct Turns(AtomicUsize);

impl Turns {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn begin(self: &Arc<Self>) -> TurnGuard {
        self.0.fetch_add(1, Ordering::AcqRel);
        TurnGuard(self.clone())
    }
}

struct TurnGuard(Arc<Turns>);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What delivery works with. One per worker; the directory and the store are shared.
pub struct Delivery {
    directory: Arc<Directory>,
    store: Store,
    clock: Clock,
    turns: Arc<Turns>,
    counters: Arc<Counters>,
    settings: Box<dyn Fn() -> Settings>,
}

/// What became of a stanza.
pub struct Delivered {
    /// When it is safe.
    pub receipt: Receipt,
    /// Where it went, for the live trace.
    pub fate: Fate,
    /// The stanza, if it was refused: its error answers it.
    pub back: Option<Stanza>,
}

impl Delivered {
    fn refused(error: StanzaError, stanza: Stanza) -> Delivered {
        Delivered {
            receipt: Receipt::Refused(error),
            fate: Fate::Refused,
            back: Some(stanza),
        }
    }
}

/// Why a session could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The user has as many sessions as allowed.
    TooMany,
    /// The server is stopping.
    Stopping,
}

impl Delivery {
    /// A worker's delivery. `settings` is asked for each use, so that a reload takes effect.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        store: Store,
        clock: Clock,
        (turns, counters): (Arc<Turns>, Arc<Counters>),
        settings: Box<dyn Fn() -> Settings>,
    ) -> Delivery {
        Delivery {
            directory,
            store,
            clock,
            turns,
            counters,
            settings,
        }
    }

    /// The map of who is online.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Gives a stanza, whose `to` is a user of ours, to that user by RFC 6121 §8.5: to a resource, or the spool, or
    /// not at all.
    pub fn deliver(self: &Rc<Self>, stanza: Stanza) -> Delivered {
        let Some(to) = stanza.to().cloned() else {
            return Delivered::refused(StanzaError::new(Condition::JidMalformed), stanza);
        };
        let mut idle = None;
        let delivered = self.directory.with(&to, |account, state| {
            if state.turn_taken() || !state.is_ready() {
                return self.queue(account, state, stanza);
            }
            match place::place(state, stanza) {
                Placed::Taken { outbox, at, count } => Delivered {
                    receipt: Receipt::Written {
                        account: Some(account.clone()),
                        outbox,
                        at,
                    },
                    fate: Fate::Outbox(count),
                    back: None,
                },
                Placed::Store(stanza) => self.queue(account, state, stanza),
                Placed::Nowhere => {
                    idle = Some(account.clone());
                    Delivered {
                        receipt: Receipt::Ready,
                        fate: Fate::Nowhere,
                        back: None,
                    }
                }
                Placed::Refused(error, stanza) => {
                    idle = Some(account.clone());
                    Delivered::refused(error, stanza)
                }
            }
        });
        if let Some(account) = idle {
            // Made for this stanza alone, perhaps: names that peers invent must not stay.
            self.directory.retire(&account);
        }
        delivered
    }

    /// Puts a stanza into the account's inbox and sees to it that somebody takes the turn.
    fn queue(
        self: &Rc<Self>,
        account: &Arc<Account>,
        state: &mut State,
        stanza: Stanza,
    ) -> Delivered {
        let (receipt, outcome) = oneshot::channel();
        let kept = stanza.clone();
        if state.queue(Queued::Stanza { stanza, receipt }).is_err() {
            return Delivered::refused(StanzaError::new(Condition::ResourceConstraint), kept);
        }
        self.start_turn(account, state);
        Delivered {
            receipt: Receipt::Stored {
                outcome,
                stanza: kept,
            },
            fate: Fate::Spool,
            back: None,
        }
    }

    fn start_turn(self: &Rc<Self>, account: &Arc<Account>, state: &mut State) {
        if state.take_turn() {
            let guard = self.turns.begin();
            tokio::task::spawn_local(turn::run(self.clone(), account.clone(), guard));
        }
    }

    /// Registers a session; [`Delivery::know`] must say yes before it begins. An older session of the same full JID is removed and asked to end with `conflict`
    /// (RFC 6120 §7.7.2.2); what it had not written goes on to this one or to the spool, before anything newer: not when the
    /// older session has noticed, which may wait for its socket.
    ///
    /// # Errors
    /// When the user has too many sessions, or the server is stopping.
    pub fn bind(
        self: &Rc<Self>,
        jid: &Jid,
        session: u64,
        about: About,
    ) -> Result<(Arc<Outbox>, Arc<Told>), BindError> {
        let settings = (self.settings)();
        let outbox = self.directory.outbox(settings.outbox_bytes);
        let mut bounces = Vec::new();
        let bound = self.directory.with(jid, |account, state| {
            if self.directory.is_closed() {
                return Err(BindError::Stopping);
            }
            let older = state.resource(jid).map(|older| older.session);
            if older.is_none() && state.resources().len() >= settings.sessions_per_user {
                // One that may never be resumed makes room for one that is here.
                let Some((oldest, _)) = state.detached() else {
                    return Err(BindError::TooMany);
                };
                oldest.outbox.close(crate::directory::Closing::Expired);
            }
            let older = older.and_then(|session| state.unbind(session));
            let told = older.as_ref().map(|older| older.told.inherit());
            let told = Arc::new(told.unwrap_or_default());
            if let Some(older) = older {
                older.outbox.close(crate::directory::Closing::Conflict);
                bounces = self.hand_on(account, state, &older.outbox);
            }
            state.bind(Resource {
                jid: jid.clone(),
                session,
                priority: None,
                show: Show::default(),
                presence: None,
                interested: false,
                told: told.clone(),
                outbox: outbox.clone(),
                about,
                hears_blocks: false,
                resume_id: None,
                detached_at_ms: None,
            });
            Ok((outbox.clone(), told))
        });
        // Without the mutex: who asked may be another session of the same user.
        for bounce in bounces {
            self.deliver(bounce);
        }
        bound
    }

    /// The outbox of a session that was saved, with what is in it.
    #[must_use]
    pub fn restored_outbox(&self, packed: Packed, unacked: AckLimits) -> Arc<Outbox> {
        let limit = (self.settings)().outbox_bytes;
        self.directory.unpack(packed, limit, unacked)
    }

    /// Keeps a document of the user of `jid`; ready when it is durable.
    pub fn keep_document(
        &self,
        jid: &Jid,
        kind: &'static str,
        document: (String, Bytes),
        most: u64,
    ) -> crate::store::Answer<()> {
        let (name, data) = document;
        self.store
            .document_set(jid.bare_str(), kind, vec![(name, Some(data))], most)
    }

    /// Unregisters a session that has ended. Messages that it had not written go on to another resource or to the spool;
    /// the returned stanzas are errors for those who asked it something.
    #[must_use]
    pub fn unbind(self: &Rc<Self>, jid: &Jid, session: u64, outbox: &Arc<Outbox>) -> Vec<Stanza> {
        let bounces = self.directory.with(jid, |account, state| {
            let gone = state.unbind(session);
            if gone.is_some_and(|gone| gone.told.is_seen()) && !state.is_seen() {
                services::left(&self.store, jid, self.clock.wall_ms(), "");
            }
            self.hand_on(account, state, outbox)
        });
        if let Some(account) = self.directory.find(jid.bare_str()) {
            self.directory.retire(&account);
        }
        bounces
    }

    /// Closes the outbox of a session that has left the directory, and sees to what is in it; gives the errors for those who
    /// asked it something. The second time there is nothing in it.
    fn hand_on(
        self: &Rc<Self>,
        account: &Arc<Account>,
        state: &mut State,
        outbox: &Arc<Outbox>,
    ) -> Vec<Stanza> {
        let mut messages = Vec::new();
        let mut rows = Vec::new();
        let mut bounces = Vec::new();
        let mut others_wait = false;
        for ((at, stanza), row) in outbox.finish() {
            let row = match outbox.give_up_copy(at) {
                // Twice would be once too often.
                Some(Left::Arrived) => continue,
                Some(Left::Waits) => {
                    others_wait = true;
                    continue;
                }
                Some(Left::Last(row)) => row,
                None => row,
            };
            match (row, stanza.kind()) {
                (Some(row), _) => rows.push(row),
                (None, Kind::Message) => messages.push((at, stanza)),
                (None, Kind::Iq) => {
                    bounces.extend(stanza.error(&StanzaError::new(Condition::ServiceUnavailable)));
                }
                (None, Kind::Presence) => {}
            }
        }
        // What has a row is older than what has none, so it goes first.
        let mut work = false;
        if others_wait {
            // Who asked for this session's copy to be safe is answered behind that.
            let others: Vec<_> = state
                .resources()
                .iter()
                .map(|other| other.outbox.clone())
                .collect();
            for outbox in others {
                let (receipt, _) = oneshot::channel();
                state.queue_first(Queued::Insure { outbox, receipt });
            }
            work = true;
        }
        if !messages.is_empty() {
            state.queue_first(Queued::Unsent {
                outbox: outbox.clone(),
                messages,
            });
            work = true;
        }
        if !rows.is_empty() {
            work |= state.give_back(&rows);
        }
        if work {
            self.start_turn(account, state);
        }
        bounces
    }

    /// A session's own presence takes effect; `None` for unavailable. The first that makes it reachable fetches what
    /// waits in the spool (XEP-0160).
    pub fn presence(self: &Rc<Self>, jid: &Jid, session: u64, presence: Option<Stanza>) {
        self.directory.with(jid, |account, state| {
            let presence = Queued::Presence { session, presence };
            if state.turn_taken() {
                // Never full: the inbox bounds stanzas only.
                let _ = state.queue(presence);
                return;
            }
            if turn::apply_presence(state, presence) {
                let _ = state.queue(Queued::Flush { session });
                self.start_turn(account, state);
            }
        });
    }

    /// A session of `jid` was available and is no longer, [`Told`] says so already: notes when its user went, unless it has
    /// others.
    pub fn left(&self, jid: &Jid, words: &str) {
        // Under the mutex of the account: of two that go at once, the second finds the first gone.
        self.directory.with(jid, |_, state| {
            if !state.is_seen() {
                services::left(&self.store, jid, self.clock.wall_ms(), words);
            }
        });
    }

    /// Runs `work` in the account turn of `jid`'s user: nothing reaches or changes the account meanwhile.
    pub fn work(self: &Rc<Self>, jid: &Jid, work: Work) {
        self.directory.with(jid, |account, state| {
            let _ = state.queue(Queued::Work(work));
            self.start_turn(account, state);
        });
    }

    /// A session whose outbox had overflowed has room again.
    pub fn catch_up(self: &Rc<Self>, jid: &Jid, session: u64) {
        self.directory.with(jid, |account, state| {
            let _ = state.queue(Queued::Flush { session });
            self.start_turn(account, state);
        });
    }

    /// Makes the messages that wait in `outbox` safe now, instead of when they are written.
    #[must_use]
    pub fn insure(
        self: &Rc<Self>,
        account: &Arc<Account>,
        outbox: &Arc<Outbox>,
    ) -> Option<oneshot::Receiver<crate::directory::Outcome>> {
        // A retired account has no sessions: its outboxes were finished and their messages queued or stored.
        let mut state = account.lock()?;
        let (receipt, outcome) = oneshot::channel();
        let _ = state.queue(Queued::Insure {
            outbox: outbox.clone(),
            receipt,
        });
        self.start_turn(account, &mut state);
        Some(outcome)
    }

    /// Deletes spool rows whose stanzas a session has written.
    pub fn delete_rows(self: &Rc<Self>, bare: &Jid, rows: Vec<i64>) {
        if rows.is_empty() {
            return;
        }
        let Some(account) = self.directory.find(bare.bare_str()) else {
            return;
        };
        let delivery = self.clone();
        let guard = self.turns.begin();
        tokio::task::spawn_local(async move {
            let ids = rows.iter().copied().map(Into::into).collect();
            if let Err(error) = delivery.store.spool_delete(ids).await {
                tracing::error!(owner = %account.bare(), %error, "cannot delete delivered messages: they will come again");
            }
            discard::release(&account, rows);
            delivery.directory.retire(&account);
            drop(guard);
        });
    }
}
