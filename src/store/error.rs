//! What can go wrong in the store, in words an operator can act on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store could not be opened, or did not do an operation. Cheap to clone: one failed commit answers many waiters.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory of the store cannot be used.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as in "cannot create".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another daemon has the same data directory open.
    #[error("the data directory {dir} is in use{}", holder(*pid), dir = dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it, where it left its number.
        pid: Option<u32>,
    },
    /// The data were written by a later version of this program.
    #[error("{path} has schema {found}, this program knows up to {known}: use the newer program", path = path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version in the file.
        found: u32,
        /// The latest schema version this program knows.
        known: u32,
    },
    /// The engine failed: a statement, a commit or a sync. Nothing of the operation was kept.
    #[error("cannot {doing}: {source}")]
    Sql {
        /// What was tried, as in "commit".
        doing: &'static str,
        /// What the engine said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The disk, or the engine's own limit on its size, is full.
    #[error("no space is left for the store")]
    Full,
    /// A record in the store cannot be understood.
    #[error("the store holds a damaged {what}: {key}")]
    Damaged {
        /// The kind of record.
        what: &'static str,
        /// Which one.
        key: String,
    },
    /// More is waiting to be written or read than the configured bound; nothing was queued.
    #[error("the store is overloaded")]
    Overloaded,
    /// The store was closed before the operation was done.
    #[error("the store is closed")]
    Closed,
    /// The owner of a spool row may not have more rows or bytes. No row of that call was kept.
    #[error("the spool of the owner of row {row} is full")]
    Quota {
        /// Index, in the call's rows, of the first row that did not fit.
        row: usize,
    },
    /// The user may not have more contacts, not more requests of contacts that it does not list, or not more text in them.
    /// Nothing was changed.
    #[error("the roster is full: at most {most} {what}")]
    RosterFull {
        /// What there are too many of, as in `contacts`.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// A user may not block more addresses. Nothing of that call was kept.
    #[error("the block list is full: at most {most} addresses")]
    BlocksFull {
        /// The limit.
        most: u64,
    },
    /// There are as many invites as allowed.
    #[error("there are {most} invites already: revoke some")]
    TooManyInvites {
        /// The limit.
        most: u64,
    },
    /// There is no such invite any more.
    #[error("the invite is used up or revoked")]
    InviteSpent,
    /// The owner of a document may not have more of them. Nothing of that call was kept.
    #[error("the owner has {most} documents already")]
    TooManyDocuments {
        /// The limit.
        most: u64,
    },
    /// The key-value store has reached its bound on keys or bytes.
    #[error("the key-value store is full")]
    KvFull,
    /// A key or value is longer than allowed, or a key holds a character that keys may not.
    #[error("the {what} is not allowed: at most {most} bytes, no control characters")]
    NotAllowed {
        /// `key`, `value`, ...
        what: &'static str,
        /// The limit in bytes.
        most: usize,
    },
    /// An increment of a value that is no number, or that would leave the range of `i64`.
    #[error("the value is no number that can be increased so")]
    NotNumber,
    /// The user exists already.
    #[error("the user exists already")]
    Exists,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The system's source of random bytes failed.
    #[error("the system gave no random bytes")]
    Random,
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io {
            doing,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || " by another process".to_owned(),
        |pid| format!(" by process {pid}"),
    )
}
