//! One user's live state: resources, inbox, turn.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::{Blocks, Numbered, Outbox, Position, Told};
use crate::jid::Jid;
use crate::stanza::roster::Roster;
use crate::stanza::{Stanza, StanzaError};

/// Stanzas that may queue for one user while its turn is taken; more are refused with `resource-constraint`.
const INBOX_MAX: usize = 4096;

/// One user (bare JID). Shared by all workers.
pub struct Account {
    bare: Jid,
    state: Mutex<State>,
    /// Whether the block list has entries: what its own sessions ask for each stanza, without the mutex.
    blocks_somebody: AtomicBool,
}

/// What senders and the user's own sessions read and change, under the account's mutex.
#[derive(Default)]
pub struct State {
    resources: SmallVec<[Resource; 1]>,
    inbox: VecDeque<Queued>,
    turn: bool,
    retired: bool,
    /// Spool rows that some outbox carries: not to be fetched again while it does.
    carried: BTreeSet<i64>,
    /// Whether the store said that this user exists: asked once while the account is live.
    known: Option<bool>,
    /// Whom the user blocks: read once while the account is live.
    blocks: Option<Blocks>,
    /// The user's roster, once somebody needed it and while somebody is there.
    roster: Option<Arc<Roster>>,
}

/// What a session's last presence said.
#[derive(Clone, Debug, Default)]
pub struct Show {
    /// `<show/>`, empty for plain available.
    pub show: String,
    /// `<status/>`.
    pub status: String,
}

/// What the operator sees of a session beside its address.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The peer's address.
    pub addr: Option<SocketAddr>,
    /// `TLSv1.3` or `TLSv1.2`.
    pub tls: Option<&'static str>,
    /// The worker that carries it.
    pub worker: usize,
    /// When it was bound, by the monotonic clock.
    pub bound_at_ms: u64,
}

/// One bound session.
pub struct Resource {
    /// The full JID.
    pub jid: Jid,
    /// The session's number.
    pub session: u64,
    /// Presence priority; `None` until the first presence and after `unavailable`.
    pub priority: Option<i8>,
    /// What the last presence said.
    pub show: Show,
    /// The last available presence, as it is shown to others; `None` while there is none.
    pub presence: Option<Stanza>,
    /// Whether the session has asked for the roster: it gets the pushes (RFC 6121 §2.2).
    pub interested: bool,
    /// Who has been told that it is available.
    pub told: Arc<Told>,
    /// Where stanzas for this session go.
    pub outbox: Arc<Outbox>,
    /// What the operator sees of it.
    pub about: About,
    /// Whether it has asked for the block list, and so hears of its changes (XEP-0191 §3.3).
    pub hears_blocks: bool,
    /// The secret name under which it can be resumed (XEP-0198 §5), if it can.
    pub resume_id: Option<Box<str>>,
    /// Since when it has had no socket, by the monotonic clock.
    pub detached_at_ms: Option<u64>,
}

/// A stanza's fate as its sender learns it: safe, or an error to send back.
pub type Outcome = Result<Safe, StanzaError>;

/// When a stanza is safe.
pub enum Safe {
    /// Now: its row is committed, or it is of no kind that is kept.
    Now,
    /// When this outbox, of that account, has written it.
    Written(Arc<Account>, Arc<Outbox>, Position),
}

/// Something that waits for the turn.
pub enum Queued {
    /// A stanza for this user, with the place where its sender waits for a receipt.
    Stanza {
        /// The stanza.
        stanza: Stanza,
        /// Told when the stanza is safe, or why it is not.
        receipt: oneshot::Sender<Outcome>,
    },
    /// A session says that it is available, or no longer.
    Presence {
        /// The session.
        session: u64,
        /// The presence; `None`: unavailable.
        presence: Option<Stanza>,
    },
    /// Something that waits while nothing else may change or reach this account.
    Work(Work),
    /// A session could not take all that was sent to it and has room again: fetch what went to the spool meanwhile.
    Flush {
        /// The session.
        session: u64,
    },
    /// Messages that an ended session had not been able to write: they are older than everything queued.
    Unsent {
        /// Where they waited.
        outbox: Arc<Outbox>,
        /// The messages, with their places there.
        messages: Vec<Numbered>,
    },
    /// Spool rows that have been deleted since their stanzas were written: no outbox carries them any more.
    Release(Vec<i64>),
    /// Somebody wants the messages that wait in this outbox to be safe now: they go to the spool too.
    Insure {
        /// The outbox.
        outbox: Arc<Outbox>,
        /// Told when they are safe.
        receipt: oneshot::Sender<Outcome>,
    },
}

/// Work of the account turn. It runs on whichever worker holds the turn; the account is locked only where it locks it.
pub type Work = Box<dyn FnOnce(Arc<Account>) -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static>;

/// What the holder of a turn does next.
pub enum TurnWork {
    /// The queue is empty: the turn has been given back.
    Finished,
    /// The next things, oldest first.
    Next(VecDeque<Queued>),
}

/// The account's state, locked.
pub struct Locked<'a>(MutexGuard<'a, State>);

impl Deref for Locked<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Account {
    pub(super) fn new(bare: Jid) -> Account {
        Account {
            bare,
            state: Mutex::default(),
            blocks_somebody: AtomicBool::new(false),
        }
    }

    /// The user's bare JID.
    #[must_use]
    pub fn bare(&self) -> &Jid {
        &self.bare
    }

    /// The state, or `None` when the account has left the directory: ask the directory again.
    #[must_use]
    pub fn lock(&self) -> Option<Locked<'_>> {
        let state = self.state.lock();
        (!state.retired).then_some(Locked(state))
    }

    /// Puts a block list in force; `None`: it must be read from the store. `state` is this account's.
    pub fn set_blocks(&self, state: &mut State, blocks: Option<Blocks>) {
        let somebody = blocks.as_ref().is_some_and(|blocks| !blocks.is_empty());
        self.blocks_somebody.store(somebody, Ordering::Release);
        state.blocks = blocks;
    }

    /// Whether this user blocks `peer`, for stanzas that the user sends. One load where nobody is blocked.
    #[must_use]
    pub fn blocks(&self, peer: &Jid) -> bool {
        self.blocks_somebody.load(Ordering::Acquire)
            && self
                .lock()
                .is_some_and(|state| state.blocked(&self.bare, peer))
    }

    pub(super) fn retire_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        let idle = state.resources.is_empty()
            && state.inbox.is_empty()
            && !state.turn
            && state.carried.is_empty();
        if idle {
            state.retired = true;
        }
        idle
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Account({})", self.bare)
    }
}

impl State {
    /// The bound sessions, in order of binding.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The session bound to that full JID.
    #[must_use]
    pub fn resource(&self, full: &Jid) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.jid == *full)
    }

    /// The session of that number.
    pub fn session_mut(&mut self, session: u64) -> Option<&mut Resource> {
        self.resources
            .iter_mut()
            .find(|resource| resource.session == session)
    }

    /// Available resources with a priority that is not negative: those that messages to the bare JID reach
    /// (RFC 6121 §8.5.2.1.1).
    pub fn reachable(&self) -> impl Iterator<Item = &Resource> {
        self.resources
            .iter()
            .filter(|resource| resource.priority.is_some_and(|priority| priority >= 0))
    }

    /// Whether those who may see the user believe that it is there.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.resources
            .iter()
            .any(|resource| resource.told.is_seen())
    }

    /// Adds a session. A session with the same full JID must have been removed before.
    pub fn bind(&mut self, resource: Resource) {
        self.resources.push(resource);
    }

    /// Removes a session.
    pub fn unbind(&mut self, session: u64) -> Option<Resource> {
        let at = self
            .resources
            .iter()
            .position(|resource| resource.session == session)?;
        let gone = self.resources.remove(at);
        if self.resources.is_empty() {
            self.roster = None;
        }
        Some(gone)
    }

    /// The session that can be resumed under that name. Takes as long whatever the names have in common.
    #[must_use]
    pub fn resumable(&self, id: &str) -> Option<&Resource> {
        let mut found = None;
        for resource in &self.resources {
            let own = resource.resume_id.as_deref().unwrap_or_default();
            if !own.is_empty() && bool::from(own.as_bytes().ct_eq(id.as_bytes())) {
                found = Some(resource);
            }
        }
        found
    }

    /// Of the sessions without a socket that are not ending, the one that has been so for longest, and how many there are.
    #[must_use]
    pub fn detached(&self) -> Option<(&Resource, usize)> {
        let detached = || {
            let resources = self.resources.iter();
            resources.filter(|resource| {
                resource.detached_at_ms.is_some() && !resource.outbox.is_closing()
            })
        };
        let oldest = detached().min_by_key(|resource| resource.detached_at_ms)?;
        Some((oldest, detached().count()))
    }

    /// Takes the turn. False when somebody holds it.
    #[must_use]
    pub fn take_turn(&mut self) -> bool {
        !std::mem::replace(&mut self.turn, true)
    }

    /// Whether somebody holds the turn: everything new must be queued.
    #[must_use]
    pub fn turn_taken(&self) -> bool {
        self.turn
    }

    /// Queues `work` behind what is already queued.
    ///
    /// # Errors
    /// Gives `work` back when the inbox is full.
    pub fn queue(&mut self, work: Queued) -> Result<(), Queued> {
        // Only stanzas come in unbounded numbers; a session's own work is bounded by the number of sessions.
        if self.inbox.len() >= INBOX_MAX && matches!(work, Queued::Stanza { .. }) {
            return Err(work);
        }
        self.inbox.push_back(work);
        Ok(())
    }

    /// Queues `work` before everything else: it is older than that.
    pub fn queue_first(&mut self, work: Queued) {
        self.inbox.push_front(work);
    }

    /// The message that waited at that place of an ended session's outbox is in the spool: it need not go there again.
    /// False when it is not among what is unsent.
    pub fn unsent_is_stored(&mut self, outbox: &Arc<Outbox>, at: Position) -> bool {
        self.inbox.iter_mut().any(|queued| match queued {
            Queued::Unsent {
                outbox: from,
                messages,
            } if Arc::ptr_eq(from, outbox) => {
                let before = messages.len();
                messages.retain(|(place, _)| *place != at);
                messages.len() < before
            }
            _ => false,
        })
    }

    /// For the holder of the turn: everything queued, or the turn is given back.
    #[must_use]
    pub fn turn_work(&mut self) -> TurnWork {
        if self.inbox.is_empty() {
            self.turn = false;
            return TurnWork::Finished;
        }
        TurnWork::Next(std::mem::take(&mut self.inbox))
    }

    /// Puts work back that the holder of the turn took and did not come to, before everything queued since.
    pub fn put_back(&mut self, work: VecDeque<Queued>) {
        for item in work.into_iter().rev() {
            self.inbox.push_front(item);
        }
    }

    /// Notes that an outbox carries a spool row. False when one does already.
    pub fn carry(&mut self, row: i64) -> bool {
        self.carried.insert(row)
    }

    /// Whether some outbox carries that spool row.
    #[must_use]
    pub fn carries(&self, row: i64) -> bool {
        self.carried.contains(&row)
    }

    /// An outbox no longer carries these rows: they are deleted, or may be fetched again.
    pub fn release(&mut self, rows: &[i64]) {
        for row in rows {
            self.carried.remove(row);
        }
    }

    /// Rows that a session did not write may be fetched again: queues that for another reachable session, before
    /// everything else. False when there is none.
    pub fn give_back(&mut self, rows: &[i64]) -> bool {
        self.release(rows);
        let heir = self.reachable().next().map(|resource| resource.session);
        if let Some(session) = heir {
            self.queue_first(Queued::Flush { session });
        }
        heir.is_some()
    }

    /// The block list, as far as it has been read.
    #[must_use]
    pub fn blocks(&self) -> Option<&Blocks> {
        self.blocks.as_ref()
    }

    /// Whether `owner`, whose state this is, blocks `peer`. An unknown list blocks nobody: who delivers to a session asks
    /// [`State::is_ready`] first.
    #[must_use]
    pub fn blocked(&self, owner: &Jid, peer: &Jid) -> bool {
        self.blocks
            .as_ref()
            .is_some_and(|blocks| blocks.cover(owner, peer))
    }

    /// Whether stanzas may go to the sessions: there are none, or it is known whom the user blocks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.blocks.is_some() || self.resources.is_empty()
    }

    /// For the holder of the turn: takes every queued stanza's receipt out of the inbox, and the stanza with it.
    pub fn take_stanzas(&mut self) -> Vec<oneshot::Sender<Outcome>> {
        let mut taken = Vec::new();
        for queued in std::mem::take(&mut self.inbox) {
            match queued {
                Queued::Stanza { receipt, .. } => taken.push(receipt),
                other => self.inbox.push_back(other),
            }
        }
        taken
    }

    /// The session bound to that full JID, to change.
    pub fn resource_mut(&mut self, full: &Jid) -> Option<&mut Resource> {
        let mut resources = self.resources.iter_mut();
        resources.find(|resource| resource.jid == *full)
    }

    /// The roster, if it is kept here.
    #[must_use]
    pub fn roster(&self) -> Option<&Arc<Roster>> {
        self.roster.as_ref()
    }

    /// Keeps the roster, for the holder of the turn; `None` forgets it, for anybody.
    pub fn set_roster(&mut self, roster: Option<Arc<Roster>>) {
        self.roster = roster;
    }

    /// Whether the user exists, as far as has been asked.
    #[must_use]
    pub fn known(&self) -> Option<bool> {
        self.known
    }

    /// Remembers whether the user exists. A live account of a user who is made or deleted is told anew.
    pub fn set_known(&mut self, known: Option<bool>) {
        self.known = known;
    }
}
