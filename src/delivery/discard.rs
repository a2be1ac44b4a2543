//! Rows leave a user's queue without having reached it: thrown away, or held while they are given back (`bounce.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::directory::{Account, Directory, Queued};
use crate::jid::Jid;
use crate::store::{RowId, Store, StoreError};

/// What became of rows that were to be thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// They are gone: nobody gets them.
    pub deleted: usize,
    /// A session is being given these just now: they stay until it has them.
    pub underway: usize,
}

/// Rows that no session is given until they are let go: as if an outbox carried them. A flush passes them over, and the
/// account stays in the directory.
pub(super) struct Held {
    account: Arc<Account>,
    rows: BTreeSet<i64>,
    /// How many of those asked for a session is being given: they are not held.
    pub(super) underway: usize,
}

impl Held {
    /// Holds those of `rows` that no session is being given.
    pub(super) fn take(directory: &Directory, bare: &Jid, rows: &[RowId]) -> Held {
        let (account, held) = directory.with(bare, |account, state| {
            let held: BTreeSet<i64> = rows
                .iter()
                .map(|row| i64::from(*row))
                .filter(|row| state.carry(*row))
                .collect();
            (account.clone(), held)
        });
        Held {
            account,
            underway: rows.len().saturating_sub(held.len()),
            rows: held,
        }
    }

    /// Whether that row is held.
    pub(super) fn has(&self, row: RowId) -> bool {
        self.rows.contains(&i64::from(row))
    }

    /// Lets all of them go.
    pub(super) fn let_go(self, directory: &Directory) {
        release(&self.account, self.rows.into_iter().collect());
        directory.retire(&self.account);
    }
}

/// Deletes spool rows of the user `bare` that no session is being given. No flush finds them meanwhile, so what is
/// counted as deleted is not delivered.
///
/// # Errors
/// The store's; nothing is deleted then.
pub async fn discard(
    directory: &Directory,
    store: &Store,
    bare: &Jid,
    rows: Vec<RowId>,
) -> Result<Discarded, StoreError> {
    let held = Held::take(directory, bare, &rows);
    let underway = held.underway;
    let free = rows.into_iter().filter(|row| held.has(*row)).collect();
    let deleted = store.spool_delete(free).await;
    held.let_go(directory);
    Ok(Discarded {
        deleted: deleted?,
        underway,
    })
}

/// Nothing carries these rows any more.
pub(super) fn release(account: &Account, rows: Vec<i64>) {
    if let Some(mut state) = account.lock() {
        // A flush under way may have fetched these rows before they were deleted: it must not find them free.
        if state.turn_taken() {
            let _ = state.queue(Queued::Release(rows));
        } else {
            state.release(&rows);
        }
    }
}
