//! Durable state: users, their rosters, the spool, small keys and secrets. One interface, engines behind it (DESIGN §8).
//!
//! [`Store`] is a cheap handle for any thread. Each method queues one operation and gives an [`Answer`]; nothing blocks.
//! A write's answer comes after its COMMIT was synced to disk, so whoever has it may promise safety (DESIGN §5 Receipt);
//! operations that arrive while a sync is under way share the next one. While the disk hangs, answers stay pending; when a
//! commit fails, everyone in it gets the error and the store goes on.

mod answer;
mod dir;
mod engine;
mod error;
pub mod spool;
mod sqlite;
#[cfg(test)]
mod suite;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use answer::Answer;
pub use error::StoreError;
pub use spool::{RowId, SpoolEntry, SpoolRow, SpoolTotal};

use crate::jid::Jid;
use crate::sasl::Credentials;
use crate::stanza::roster::{Roster, RosterItem};
use engine::Engine;

/// The longest key of the key-value store, in bytes.
pub const KV_KEY_BYTES: usize = 1_024;

/// Most addresses that one user may block.
const BLOCK_ROWS: u64 = 1_000;

/// The longest name of a document, in bytes.
pub const DOCUMENT_NAME_BYTES: usize = 1_024;

/// Most invites that wait to be used.
const INVITES_MAX: u64 = 10_000;

/// Sorts after every character that a key may hold: the end of a prefix's range.
const AFTER_ANY: char = char::MAX;

/// The wall clock: milliseconds since 1970-01-01 UTC. Passed in, so that tests move it by hand.
pub type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Bounds of a store, and its clock.
#[derive(Clone)]
pub struct StoreOptions {
    /// Asked when an operation is done, to tell what has expired.
    pub now: WallClock,
    /// Most addresses that a user may block.
    pub block_rows: u64,
    /// Most contacts that a user may list.
    pub roster_items: u64,
    /// Most contacts that are only there because they asked: strangers cannot fill what the user itself may use.
    pub roster_requests: u64,
    /// Most bytes of addresses, names and groups in a roster.
    pub roster_bytes: u64,
    /// Longest value of a key, in bytes.
    pub kv_value_bytes: usize,
    /// Most keys.
    pub kv_rows: u64,
    /// Most bytes of all keys and values together.
    pub kv_bytes: u64,
    /// Most operations waiting, for writes and for reads each; more are refused with [`StoreError::Overloaded`].
    pub queue_ops: usize,
    /// Most bytes that waiting operations may hold, for writes and for reads each.
    pub queue_bytes: usize,
    /// Threads that read.
    pub readers: usize,
}

impl StoreOptions {
    /// The defaults, with a clock.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> StoreOptions {
        StoreOptions {
            now: Arc::new(now),
            block_rows: BLOCK_ROWS,
            roster_items: 5_000,
            roster_requests: 500,
            roster_bytes: 2 << 20,
            kv_value_bytes: 64 << 10,
            kv_rows: 1_000_000,
            kv_bytes: 256 << 20,
            queue_ops: 16_384,
            queue_bytes: 64 << 20,
            readers: 2,
        }
    }
}

/// An invitation to register at a domain (XEP-0445).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its name, which is no secret.
    pub id: String,
    /// Where it lets somebody register.
    pub domain: String,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// How often it may still be used; at least once.
    pub uses: u32,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_at: i64,
    /// From when on it is refused, likewise. It is deleted a day later.
    pub expires_at: i64,
}

/// What the store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed: each cost one sync.
    pub commits: u64,
    /// Write operations in those transactions that succeeded.
    pub writes: u64,
    /// Write operations that failed, alone or with their transaction.
    pub failed_writes: u64,
    /// Transactions that could not be committed.
    pub failed_commits: u64,
    /// Read operations.
    pub reads: u64,
    /// Expired keys and invites that were swept.
    pub swept: u64,
    /// Operations waiting just now.
    pub queued: u64,
}

/// A handle on the store; clones share it. [`Store::close`] it before the program ends: what is queued is then done first.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    kv_value_bytes: usize,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the SQLite store in `dir`, making the directory (0700) and its files (0600) where they are missing and bringing an
    /// older schema up to date. Blocks: for start-up.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another daemon holds `dir`, [`StoreError::Newer`], [`StoreError::Io`], [`StoreError::Sql`].
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        let kv_value_bytes = options.kv_value_bytes;
        let engine = Arc::new(sqlite::Sqlite::open(dir, options)?);
        Ok(Store {
            engine,
            kv_value_bytes,
        })
    }

    /// Makes a user. Fails with [`StoreError::Exists`].
    pub fn user_create(&self, bare: &Jid, credentials: Credentials) -> Answer<()> {
        self.engine.user_create(bare.to_bare(), credentials)
    }

    /// Replaces a user's credentials. Fails with [`StoreError::NotFound`].
    pub fn user_set_credentials(&self, bare: &str, credentials: Credentials) -> Answer<()> {
        self.engine
            .user_set_credentials(bare.to_owned(), credentials)
    }

    /// Deletes a user with block list, documents, roster, spool and keys (those made with [`user_key`]), all or nothing. Fails
    /// with [`StoreError::NotFound`].
    pub fn user_delete(&self, bare: &str) -> Answer<()> {
        self.engine.user_delete(bare.to_owned(), user_key(bare, ""))
    }

    /// A user's credentials, if there is such a user.
    pub fn user(&self, bare: &str) -> Answer<Option<Credentials>> {
        self.engine.user(bare.to_owned())
    }

    /// Whether there is such a user.
    pub fn user_exists(&self, bare: &str) -> Answer<bool> {
        self.engine.user_exists(bare.to_owned())
    }

    /// All users, of one domain or of all, sorted.
    pub fn users(&self, domain: Option<&str>) -> Answer<Vec<Jid>> {
        self.engine.users(domain.map(str::to_owned))
    }

    /// The block list of a user, sorted; `None` when there is no such user. One look for what delivery must know of somebody.
    pub fn recipient(&self, bare: &str) -> Answer<Option<Vec<Jid>>> {
        self.engine.recipient(bare.to_owned())
    }

    /// The addresses that a user blocks (XEP-0191), sorted; none for who does not exist.
    pub fn block_list(&self, owner: &str) -> Answer<Vec<Jid>> {
        self.engine.block_list(owner.to_owned())
    }

    /// Blocks addresses, all or none; those that are blocked already do not matter. Fails with [`StoreError::NotFound`],
    /// [`StoreError::BlocksFull`].
    pub fn block_add(&self, owner: &str, jids: Vec<Jid>) -> Answer<()> {
        self.engine.block_add(owner.to_owned(), jids)
    }

    /// Unblocks addresses, or with `None` all of them; those that were not blocked do not matter.
    pub fn block_remove(&self, owner: &str, jids: Option<Vec<Jid>>) -> Answer<()> {
        self.engine.block_remove(owner.to_owned(), jids)
    }

    /// Makes a user and takes one use of an invite, or does neither. Fails with [`StoreError::Exists`] and
    /// [`StoreError::InviteSpent`]; whether the invite has expired is looked at when it is shown, not here (XEP-0445).
    pub fn user_create_invited(
        &self,
        bare: &Jid,
        credentials: Credentials,
        invite: &str,
    ) -> Answer<()> {
        self.engine
            .user_create_invited(bare.to_bare(), credentials, invite.to_owned())
    }

    /// Keeps an invite. Fails with [`StoreError::Exists`] (its id is taken), [`StoreError::TooManyInvites`].
    pub fn invite_create(&self, invite: Invite) -> Answer<()> {
        self.engine.invite_create(invite)
    }

    /// An invite, expired or not.
    pub fn invite(&self, id: &str) -> Answer<Option<Invite>> {
        self.engine.invite(id.to_owned())
    }

    /// Every invite, the oldest first.
    pub fn invites(&self) -> Answer<Vec<Invite>> {
        self.engine.invites()
    }

    /// Deletes an invite; the answer says whether it was there.
    pub fn invite_revoke(&self, id: &str) -> Answer<bool> {
        self.engine.invite_revoke(id.to_owned())
    }

    /// A document of `owner` (a bare JID): of some kind, by its name.
    pub fn document_get(
        &self,
        owner: &str,
        kind: &'static str,
        name: &str,
    ) -> Answer<Option<Bytes>> {
        self.engine
            .document_get(owner.to_owned(), kind, name.to_owned())
    }

    /// Takes every document of that kind, whosever it is: gives their data and deletes them.
    pub fn document_take(&self, kind: &'static str) -> Answer<Vec<Bytes>> {
        self.engine.document_take(kind)
    }

    /// Sets documents of a user, or deletes them where there are no data; all or none. Afterwards the user has `most` of
    /// that kind at most. Fails with [`StoreError::TooManyDocuments`], [`StoreError::NotFound`] (no such user),
    /// [`StoreError::NotAllowed`] (a name that is too long). The size of the data is the caller's to bound.
    pub fn document_set(
        &self,
        owner: &str,
        kind: &'static str,
        documents: Vec<(String, Option<Bytes>)>,
        most: u64,
    ) -> Answer<()> {
        if documents
            .iter()
            .any(|(name, _)| name.len() > DOCUMENT_NAME_BYTES)
        {
            return Answer::refused(StoreError::NotAllowed {
                what: "name of a document",
                most: DOCUMENT_NAME_BYTES,
            });
        }
        self.engine
            .document_set(owner.to_owned(), kind, documents, most)
    }

    /// The roster of `owner` (a bare JID); empty with version 0 when nobody of that name ever changed one.
    pub fn roster(&self, owner: &str) -> Answer<Roster> {
        self.engine.roster(owner.to_owned())
    }

    /// Writes a contact in place of the one of its address and tells the roster's new version: the first is the clock's
    /// milliseconds, each later one greater by one. Fails with [`StoreError::NotFound`] when there is no such user,
    /// [`StoreError::RosterFull`].
    pub fn roster_put(&self, owner: &Jid, item: RosterItem) -> Answer<u64> {
        self.engine.roster_put(owner.clone(), item)
    }

    /// Deletes a contact and tells the roster's new version; `None`: there was none of that address, nothing changed.
    pub fn roster_remove(&self, owner: &Jid, contact: &Jid) -> Answer<Option<u64>> {
        self.engine.roster_remove(owner.clone(), contact.clone())
    }

    /// Writes many contacts as one change, all or none, and with `replace` deletes every other. Tells and fails as
    /// [`Store::roster_put`].
    pub fn roster_import(&self, owner: &Jid, items: Vec<RosterItem>, replace: bool) -> Answer<u64> {
        self.engine.roster_import(owner.clone(), items, replace)
    }

    /// Deletes a bounded number of expired keys and invites, and tells how many. The store does so by itself once a minute.
    pub fn sweep(&self) -> Answer<usize> {
        self.engine.sweep()
    }

    /// The value of a key.
    pub fn kv_get(&self, key: &str) -> Answer<Option<Bytes>> {
        self.engine.kv_get(key.to_owned())
    }

    /// Sets a key, until `expires_at` (milliseconds since 1970 UTC). Fails with [`StoreError::NotAllowed`], [`StoreError::KvFull`].
    pub fn kv_set(&self, key: &str, value: Bytes, expires_at: Option<i64>) -> Answer<()> {
        if value.len() > self.kv_value_bytes {
            return Answer::refused(StoreError::NotAllowed {
                what: "value",
                most: self.kv_value_bytes,
            });
        }
        match check_key(key) {
            Ok(()) => self.engine.kv_set(key.to_owned(), value, expires_at),
            Err(error) => Answer::refused(error),
        }
    }

    /// Deletes a key; the answer says whether it was there.
    pub fn kv_delete(&self, key: &str) -> Answer<bool> {
        self.engine.kv_delete(key.to_owned())
    }

    /// Adds `by` to the decimal number under `key` (0 if it is missing or expired) and tells the sum. The key keeps its expiry.
    /// Fails with [`StoreError::NotNumber`], [`StoreError::NotAllowed`], [`StoreError::KvFull`].
    pub fn kv_incr(&self, key: &str, by: i64) -> Answer<i64> {
        match check_key(key) {
            Ok(()) => self.engine.kv_incr(key.to_owned(), by),
            Err(error) => Answer::refused(error),
        }
    }

    /// At most `limit` keys that start with `prefix`, and their values, sorted by key.
    pub fn kv_list(&self, prefix: &str, limit: usize) -> Answer<Vec<(String, Bytes)>> {
        self.engine.kv_list(prefix.to_owned(), limit)
    }

    /// Random bytes that are made once and kept: salts that must not change, keys for signing.
    pub fn secret(&self, name: &'static str) -> Answer<[u8; 32]> {
        self.engine.secret(name)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Refuses what comes later, does what is queued, syncs and lets go of the data directory. Fails when the last sync did.
    pub fn close(&self) -> Answer<()> {
        self.engine.close()
    }
}

/// The key under which something is kept for a user: it is deleted with the user.
#[must_use]
pub fn user_key(bare: &str, name: &str) -> String {
    // A bare JID has no slash, so no user's prefix starts another's.
    format!("user/{bare}/{name}")
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.len() > KV_KEY_BYTES || key.chars().any(|c| c.is_control() || c == AFTER_ANY) {
        return Err(StoreError::NotAllowed {
            what: "key",
            most: KV_KEY_BYTES,
        });
    }
    Ok(())
}
