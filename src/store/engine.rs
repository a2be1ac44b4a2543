//! What a storage engine does for [`super::Store`]. SQLite is the first; the suite in `suite.rs` runs against any.

use bytes::Bytes;

use super::spool::{Bounce, Bounced, Due, Kind, Owner, Quota};
use super::{Answer, Invite, RowId, SpoolEntry, SpoolRow, SpoolTotal, Stats};
use crate::jid::Jid;
use crate::sasl::Credentials;
use crate::stanza::roster::{Roster, RosterItem};

/// A storage engine. No method blocks: each queues the operation, or refuses it at once when too much is queued.
///
/// Writes are answered after they are durable, in one atomic step each: a failing one leaves no trace and does not touch others.
/// Reads see everything that was answered before they were asked. Keys and values have been checked by the door.
pub(super) trait Engine: Send + Sync {
    fn user_create(&self, bare: Jid, credentials: Credentials) -> Answer<()>;
    fn user_set_credentials(&self, bare: String, credentials: Credentials) -> Answer<()>;
    /// With the user's block list, documents, roster, spool and the keys that start with `prefix`.
    fn user_delete(&self, bare: String, prefix: String) -> Answer<()>;
    fn user(&self, bare: String) -> Answer<Option<Credentials>>;
    fn user_exists(&self, bare: String) -> Answer<bool>;
    fn users(&self, domain: Option<String>) -> Answer<Vec<Jid>>;

    /// The block list of a user who exists.
    fn recipient(&self, bare: String) -> Answer<Option<Vec<Jid>>>;
    fn block_list(&self, owner: String) -> Answer<Vec<Jid>>;
    fn block_add(&self, owner: String, jids: Vec<Jid>) -> Answer<()>;
    /// Those, or all.
    fn block_remove(&self, owner: String, jids: Option<Vec<Jid>>) -> Answer<()>;
    /// Makes a user and takes one use of an invite to the user's domain, or does neither.
    fn user_create_invited(
        &self,
        bare: Jid,
        credentials: Credentials,
        invite: String,
    ) -> Answer<()>;
    fn invite_create(&self, invite: Invite) -> Answer<()>;
    fn invite(&self, id: String) -> Answer<Option<Invite>>;
    /// The oldest first.
    fn invites(&self) -> Answer<Vec<Invite>>;
    fn invite_revoke(&self, id: String) -> Answer<bool>;

    fn document_get(
        &self,
        owner: String,
        kind: &'static str,
        name: String,
    ) -> Answer<Option<Bytes>>;
    /// All or none; the owner must be a user if anything is set.
    fn document_take(&self, kind: &'static str) -> Answer<Vec<Bytes>>;

    fn document_set(
        &self,
        owner: String,
        kind: &'static str,
        documents: Vec<(String, Option<Bytes>)>,
        most: u64,
    ) -> Answer<()>;

    fn spool_append(&self, rows: Vec<SpoolRow>, quota: Quota) -> Answer<Vec<RowId>>;
    fn spool_fetch(&self, owner: Owner, after: RowId, limit: usize) -> Answer<Vec<(RowId, Bytes)>>;
    fn spool_delete(&self, rows: Vec<RowId>) -> Answer<usize>;
    fn spool_count(&self, owner: Owner) -> Answer<u64>;
    fn spool_summary(
        &self,
        domain: Option<String>,
        after: Option<Owner>,
        limit: usize,
    ) -> Answer<Vec<SpoolTotal>>;
    fn spool_rows(&self, owner: Owner, after: RowId, limit: usize) -> Answer<Vec<SpoolEntry>>;
    fn spool_row(&self, row: RowId) -> Answer<Option<(SpoolEntry, Bytes)>>;
    fn spool_due(&self, kind: Kind, limit: usize) -> Answer<Vec<Due>>;
    fn spool_expired(&self, owner: Owner, limit: usize) -> Answer<Vec<(RowId, Bytes)>>;
    fn spool_bounce(&self, bounces: Vec<Bounce>, quota: Quota) -> Answer<Vec<Bounced>>;
    /// Until then, counting a try; or until the next row expires, forgetting the tries.
    fn spool_defer(&self, owner: Owner, until: Option<i64>) -> Answer<()>;
    /// Deletes a bounded number of expired keys and invites, and tells how many.
    fn sweep(&self) -> Answer<usize>;

    /// Items and version of one moment; empty with version 0 for a roster that never changed.
    fn roster(&self, owner: String) -> Answer<Roster>;
    fn roster_put(&self, owner: Jid, item: RosterItem) -> Answer<u64>;
    fn roster_remove(&self, owner: Jid, contact: Jid) -> Answer<Option<u64>>;
    fn roster_import(&self, owner: Jid, items: Vec<RosterItem>, replace: bool) -> Answer<u64>;

    fn kv_get(&self, key: String) -> Answer<Option<Bytes>>;
    fn kv_set(&self, key: String, value: Bytes, expires_at: Option<i64>) -> Answer<()>;
    fn kv_delete(&self, key: String) -> Answer<bool>;
    fn kv_incr(&self, key: String, by: i64) -> Answer<i64>;
    fn kv_list(&self, prefix: String, limit: usize) -> Answer<Vec<(String, Bytes)>>;

    fn secret(&self, name: &'static str) -> Answer<[u8; 32]>;

    fn stats(&self) -> Stats;
    /// Takes no more, does what is queued, and releases the data directory.
    fn close(&self) -> Answer<()>;
}
