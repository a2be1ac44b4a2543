//! The spool: stanzas on disk until they reach whom they wait for, as mail waits in a queue.
//!
//! One table for every [`Kind`] of [`Owner`]. What waits for one owner is its queue: in order of arrival, within a [`Quota`] that
//! the caller of [`Store::spool_append`] says. Time brings two things to a queue: a row expires, or it is time to try again. Both
//! are one number of the owner, [`SpoolTotal::next_at`]: when somebody has to look. Whoever serves a kind asks
//! [`Store::spool_due`], gives back what [`Store::spool_expired`] names by [`Store::spool_bounce`], and says with
//! [`Store::spool_settle`] or [`Store::spool_defer`] when to look again. The store itself throws no row away.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::{Answer, Store, StoreError};
use crate::jid::Jid;

/// Stanzas that are read at a time, in bytes: what comes behind waits for the next call.
pub(super) const PAGE_BYTES: usize = 4 << 20;

/// The longest name of an owner, in bytes: a bare JID's.
const OWNER_BYTES: usize = 2_047;

/// A row's place in the spool: later rows have greater numbers, and no number is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub(super) i64);

impl RowId {
    /// Before every row.
    pub const START: RowId = RowId(0);
}

impl From<RowId> for i64 {
    fn from(row: RowId) -> i64 {
        row.0
    }
}

impl From<i64> for RowId {
    fn from(row: i64) -> RowId {
        RowId(row)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a queue waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A user of ours who is away (XEP-0160).
    User,
    /// A domain that is served elsewhere and cannot be reached.
    Domain,
    /// A login of ours elsewhere that is not connected.
    Account,
    /// Where events go.
    Destination,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::User, Kind::Domain, Kind::Account, Kind::Destination];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Domain => "domain",
            Kind::Account => "account",
            Kind::Destination => "destination",
        }
    }

    /// Its number on disk: never changed, never used for another.
    pub(super) fn code(self) -> i64 {
        match self {
            Kind::User => 1,
            Kind::Domain => 2,
            Kind::Account => 3,
            Kind::Destination => 4,
        }
    }

    pub(super) fn from_code(code: i64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Whose a queue is. Sorted by kind, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    kind: Kind,
    name: String,
}

impl Owner {
    /// The user of that address; only its bare part counts.
    #[must_use]
    pub fn user(jid: &Jid) -> Owner {
        Owner {
            kind: Kind::User,
            name: jid.bare_str().to_owned(),
        }
    }

    pub(super) fn new(kind: Kind, name: String) -> Owner {
        Owner { kind, name }
    }

    /// The owner as [`Owner`] displays it: a user by its bare address, others by kind and name, as in `domain:example.net`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Owner> {
        if let Some((kind, name)) = text.split_once(':')
            && let Some(kind) = Kind::ALL.into_iter().find(|known| known.name() == kind)
            && kind != Kind::User
        {
            let fits = !name.is_empty() && name.len() <= OWNER_BYTES;
            return fits.then(|| Owner::new(kind, name.to_owned()));
        }
        let jid = Jid::new(text).ok()?;
        let bare = jid.local().is_some() && jid.resource().is_none();
        bare.then(|| Owner::user(&jid))
    }

    /// The bare address, if this is a user.
    #[must_use]
    pub fn user_jid(&self) -> Option<Jid> {
        (self.kind == Kind::User)
            .then(|| Jid::new(&self.name).ok())
            .flatten()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A user's bare JID, a domain, the name of an account or destination.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::User => f.write_str(&self.name),
            kind => write!(f, "{}:{}", kind.name(), self.name),
        }
    }
}

/// How much may wait for one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most rows.
    pub rows: u64,
    /// Most bytes of their stanzas.
    pub bytes: u64,
}

/// A stanza that is to wait.
#[derive(Clone, Debug)]
pub struct SpoolRow {
    /// For whom.
    pub owner: Owner,
    /// The complete element, self-contained under `jabber:client`, stamped with delay and stanza-id already.
    pub stanza: Bytes,
    /// Who sent it, for the operator's eyes.
    pub from: Option<Jid>,
    /// When it was stored, in milliseconds since 1970 UTC.
    pub stored_at: i64,
    /// From when on it is no longer delivered, likewise.
    pub expires_at: Option<i64>,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolTotal {
    /// Whose it is.
    pub owner: Owner,
    /// How many rows, expired ones that were not given back yet included.
    pub rows: u64,
    /// Bytes of their stanzas.
    pub bytes: u64,
    /// When the first of them was stored, in milliseconds since 1970 UTC.
    pub oldest_at: i64,
    /// How often in a row it has been deferred.
    pub tries: u32,
    /// When somebody looks at it next, likewise: then a row expires, or it is tried again. `None`: time changes nothing.
    pub next_at: Option<i64>,
}

/// A row without its stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Its place.
    pub id: RowId,
    /// For whom it waits.
    pub owner: Owner,
    /// Who sent it.
    pub from: Option<String>,
    /// When it was stored, in milliseconds since 1970 UTC.
    pub stored_at: i64,
    /// From when on it is no longer delivered, likewise.
    pub expires_at: Option<i64>,
    /// Bytes of its stanza.
    pub bytes: u64,
}

/// A queue that somebody has to look at now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose it is.
    pub owner: Owner,
    /// How often in a row it has been deferred.
    pub tries: u32,
}

/// A row that is given up, and what its sender is told.
#[derive(Clone, Debug)]
pub struct Bounce {
    /// The row.
    pub row: RowId,
    /// The error, in the queue of who sent the row; `None`: nobody is told.
    pub error: Option<SpoolRow>,
}

/// What became of a [`Bounce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounced {
    /// The row was not there any more; no error was kept.
    Missing,
    /// The row is deleted, and nobody is told.
    Deleted,
    /// The row is deleted, and the error waits for its owner.
    Kept(RowId),
    /// The row is deleted. The error could not be kept: its owner is no user, or its queue is full.
    NotKept,
}

/// How long to wait after that many tries: `first`, and twice as long each time, up to `most`.
#[must_use]
pub fn interval(tries: u32, first: Duration, most: Duration) -> Duration {
    let factor = 1u32.checked_shl(tries).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

impl Store {
    /// Appends rows in their order, all or none; the answer has their places. What has expired does not count against `quota`, up to
    /// as much again. Fails with [`StoreError::Quota`].
    pub fn spool_append(&self, rows: Vec<SpoolRow>, quota: Quota) -> Answer<Vec<RowId>> {
        self.engine.spool_append(rows, quota)
    }

    /// At most `limit` rows of `owner` behind `after`, in order, without the expired. Fewer than `limit`: that was all.
    pub fn spool_fetch(
        &self,
        owner: &Owner,
        after: RowId,
        limit: usize,
    ) -> Answer<Vec<(RowId, Bytes)>> {
        self.engine.spool_fetch(owner.clone(), after, limit)
    }

    /// Deletes rows; those that are gone already do not matter. The answer says how many there were.
    pub fn spool_delete(&self, rows: Vec<RowId>) -> Answer<usize> {
        self.engine.spool_delete(rows)
    }

    /// How many rows `owner` has, expired ones that were not given back yet included.
    pub fn spool_count(&self, owner: &Owner) -> Answer<u64> {
        self.engine.spool_count(owner.clone())
    }

    /// At most `limit` queues behind that of `after`, sorted by owner: all, or those of a domain and its users. Fewer than `limit`: that
    /// was all.
    pub fn spool_summary(
        &self,
        domain: Option<&str>,
        after: Option<&Owner>,
        limit: usize,
    ) -> Answer<Vec<SpoolTotal>> {
        let domain = domain.map(str::to_owned);
        self.engine.spool_summary(domain, after.cloned(), limit)
    }

    /// At most `limit` rows of `owner` behind `after`, in order, expired ones that were not given back yet included. Fewer than
    /// `limit`: that was all.
    pub fn spool_rows(&self, owner: &Owner, after: RowId, limit: usize) -> Answer<Vec<SpoolEntry>> {
        self.engine.spool_rows(owner.clone(), after, limit)
    }

    /// One row and its stanza, if it is there.
    pub fn spool_row(&self, row: RowId) -> Answer<Option<(SpoolEntry, Bytes)>> {
        self.engine.spool_row(row)
    }

    /// At most `limit` queues of that kind that somebody has to look at now, the one that has waited longest first.
    pub fn spool_due(&self, kind: Kind, limit: usize) -> Answer<Vec<Due>> {
        self.engine.spool_due(kind, limit)
    }

    /// At most `limit` rows of `owner` that have expired, the longest first, with their stanzas. Fewer where these are large, but one at
    /// least where there is one.
    pub fn spool_expired(&self, owner: &Owner, limit: usize) -> Answer<Vec<(RowId, Bytes)>> {
        self.engine.spool_expired(owner.clone(), limit)
    }

    /// Deletes each row and puts the error for its sender into that one's queue, in one step: nobody is told twice and nobody is
    /// forgotten, whenever the server is killed. The answer has the fate of each, in their order.
    pub fn spool_bounce(&self, bounces: Vec<Bounce>, quota: Quota) -> Answer<Vec<Bounced>> {
        self.engine.spool_bounce(bounces, quota)
    }

    /// Somebody has looked at this queue and has nothing to do but wait for the next row to expire.
    pub fn spool_settle(&self, owner: &Owner) -> Answer<()> {
        self.engine.spool_defer(owner.clone(), None)
    }

    /// Somebody has looked at this queue in vain: it is due again at `at` (milliseconds since 1970 UTC), or earlier if a row expires
    /// before that.
    pub fn spool_defer(&self, owner: &Owner, at: i64) -> Answer<()> {
        self.engine.spool_defer(owner.clone(), Some(at))
    }
}

impl StoreError {
    pub(super) fn damaged_kind(code: i64) -> StoreError {
        StoreError::Damaged {
            what: "kind of queue",
            key: code.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_read_as_they_are_written() {
        for text in [
            "juliet@example.org",
            "domain:example.net",
            "account:asterisk",
            "destination:on call",
        ] {
            let owner = Owner::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(owner.to_string(), text);
        }
        let juliet = Owner::parse("Juliet@Example.ORG").unwrap();
        assert_eq!(juliet.to_string(), "juliet@example.org");
        assert_eq!(
            Owner::parse("domain:x").map(|owner| owner.kind()),
            Some(Kind::Domain)
        );
        for text in [
            "",
            "example.org",
            "juliet@example.org/balcony",
            "domain:",
            "planet:mars",
            "17",
        ] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
    }

    #[test]
    fn kinds_keep_their_numbers() {
        let codes = Kind::ALL.map(|kind| (kind.name(), kind.code()));
        let expected = [
            ("user", 1),
            ("domain", 2),
            ("account", 3),
            ("destination", 4),
        ];
        assert_eq!(codes, expected);
        assert_eq!(Kind::from_code(2), Some(Kind::Domain));
        assert_eq!(Kind::from_code(0), None);
    }

    #[test]
    fn intervals_double_to_a_bound() {
        let (first, most) = (Duration::from_secs(5), Duration::from_secs(600));
        let seconds = |tries| interval(tries, first, most).as_secs();
        assert_eq!(
            [0, 1, 2, 6, 7, 31, 32, 900].map(seconds),
            [5, 10, 20, 320, 600, 600, 600, 600]
        );
    }
}
