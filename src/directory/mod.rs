//! Which resources of which users are online: the only shared mutable map.
//!
//! Each bare JID with a session, or with work under way, has one [`Account`]. It holds the user's resources, their
//! [`Outbox`]es, and one *turn*: whatever must wait (an offline append, the flush at first presence) takes the turn, and
//! until it is given back every stanza for that user queues in the account's inbox. So nothing can be stranded between
//! "offline" and "just came online", and nothing overtakes (DESIGN §5 Account turn).
//!
//! Sessions register here, delivery finds them. The mutexes are short and never held across an await.

mod account;
mod blocks;
mod components;
mod outbox;
mod told;

pub use account::{About, Account, Outcome, Queued, Resource, Safe, Show, State, TurnWork, Work};
pub use blocks::{BLOCKING_NS, BlockChange, BlockError, Blocks};
pub use components::Component;
pub use outbox::{
    AckLimits, AckTooHigh, Acked, Closing, Copies, Drained, Insured, Item, Left, Numbered, Outbox,
    Packed, Position, Progress, Pushed, Resumable, Unacked, Wish,
};
pub use told::{DIRECTED_MAX, Told, Turned};

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::jid::Jid;
use crate::limit::Memory;
use components::Components;

/// Enough that workers rarely meet in one.
const SHARDS: usize = 64;

type Shard = Mutex<HashMap<Jid, Arc<Account>>>;

/// The map from bare JIDs to accounts.
pub struct Directory {
    shards: Vec<Shard>,
    hasher: RandomState,
    memory: Arc<Memory>,
    closed: AtomicBool,
    components: Components,
}

/// A user's last presence, as scripts ask for it (`xmpp.online`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// Whether any resource is available.
    pub available: bool,
    /// `<show/>` of the most available resource, `""` for plain available.
    pub show: String,
    /// `<status/>` of that resource.
    pub status: String,
}

/// A row of `session list`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The full JID.
    pub jid: Jid,
    /// The session's number.
    pub session: u64,
    /// Its presence priority; `None` while it is not available.
    pub priority: Option<i8>,
    /// `<show/>` of its presence: `""` for plain available.
    pub show: String,
    /// Bytes waiting to be written to it.
    pub outbox_bytes: usize,
    /// Whether it has no socket and waits to be resumed.
    pub detached: bool,
    /// Where it comes from.
    pub about: About,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory::new(Arc::default())
    }
}

impl Directory {
    /// Nobody is online. What waits in outboxes is charged to `memory`.
    #[must_use]
    pub fn new(memory: Arc<Memory>) -> Directory {
        Directory {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            memory,
            closed: AtomicBool::new(false),
            components: Components::default(),
        }
    }

    /// No session may be bound from now on: the server is stopping. Whoever locks an account after this sees every session
    /// that it will ever have.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether the server is stopping; asked under the mutex of the account that is to be changed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// An outbox that holds about `limit` bytes, for a session that is about to be bound.
    #[must_use]
    pub fn outbox(&self, limit: usize) -> Arc<Outbox> {
        Arc::new(Outbox::new(limit, &self.memory))
    }

    /// The outbox of a session that was saved, with what is in it; see [`Directory::outbox`].
    #[must_use]
    pub fn unpack(&self, packed: Packed, limit: usize, unacked: AckLimits) -> Arc<Outbox> {
        Arc::new(Outbox::unpack(packed, (limit, unacked), &self.memory))
    }

    /// The outbox of every live resource and component with its address, in no order.
    #[must_use]
    pub fn outboxes(&self) -> Vec<(Jid, Arc<Outbox>)> {
        let accounts = self.accounts();
        accounts
            .iter()
            .filter_map(|account| account.lock())
            .flat_map(|state| {
                let resources = state.resources().iter();
                resources
                    .map(|resource| (resource.jid.clone(), resource.outbox.clone()))
                    .collect::<Vec<_>>()
            })
            .chain(
                self.components()
                    .into_iter()
                    .map(|one| (one.jid, one.outbox)),
            )
            .collect()
    }

    fn shard(&self, bare: &str) -> &Shard {
        // Truncation is fine: only the low bits choose the shard.
        let hash = self.hasher.hash_one(bare) as usize;
        &self.shards[hash % SHARDS]
    }

    /// The account of that bare JID, if anything of it is live.
    #[must_use]
    pub fn find(&self, bare: &str) -> Option<Arc<Account>> {
        self.shard(bare).lock().get(bare).cloned()
    }

    /// The account of `jid`'s bare JID, made when there is none. It may be retired the moment this returns:
    /// [`Account::lock`] says so, and the caller asks again.
    #[must_use]
    pub fn open(&self, jid: &Jid) -> Arc<Account> {
        let bare = jid.bare_str();
        let mut shard = self.shard(bare).lock();
        if let Some(account) = shard.get(bare) {
            return account.clone();
        }
        let key = jid.to_bare();
        let account = Arc::new(Account::new(key.clone()));
        shard.insert(key, account.clone());
        account
    }

    /// Runs `with` on the live state of the account of `jid`'s bare JID.
    pub fn with<R>(&self, jid: &Jid, with: impl FnOnce(&Arc<Account>, &mut State) -> R) -> R {
        loop {
            let account = self.open(jid);
            if let Some(mut state) = account.lock() {
                return with(&account, &mut state);
            }
        }
    }

    /// Takes an account out of the map when nothing of it is live.
    pub fn retire(&self, account: &Account) {
        let bare = account.bare().as_str();
        let mut shard = self.shard(bare).lock();
        if account.retire_if_idle() {
            shard.remove(bare);
        }
    }

    /// Whether that user (bare JID) or that resource (full JID) has a stream here.
    #[must_use]
    pub fn connected(&self, jid: &Jid) -> bool {
        let Some(account) = self.find(jid.bare_str()) else {
            return false;
        };
        account.lock().is_some_and(|state| match jid.resource() {
            None => !state.resources().is_empty(),
            Some(_) => state.resource(jid).is_some(),
        })
    }

    /// The last presence of that user's most available resource; `None` when the user has no stream here.
    #[must_use]
    pub fn online(&self, bare: &str) -> Option<Online> {
        let account = self.find(bare)?;
        let state = account.lock()?;
        if state.resources().is_empty() {
            return None;
        }
        let best = state
            .resources()
            .iter()
            .filter(|resource| resource.priority.is_some())
            .max_by_key(|resource| resource.priority);
        Some(best.map_or_else(Online::default, |resource| Online {
            available: true,
            show: resource.show.show.clone(),
            status: resource.show.status.clone(),
        }))
    }

    /// Every live resource, in no order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let accounts = self.accounts();
        accounts
            .iter()
            .filter_map(|account| account.lock())
            .flat_map(|state| {
                state
                    .resources()
                    .iter()
                    .map(|resource| Entry {
                        jid: resource.jid.clone(),
                        session: resource.session,
                        priority: resource.priority,
                        show: resource.show.show.clone(),
                        outbox_bytes: resource.outbox.bytes(),
                        detached: resource.detached_at_ms.is_some(),
                        about: resource.about.clone(),
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Every account, in no order.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>())
            .collect()
    }
}
