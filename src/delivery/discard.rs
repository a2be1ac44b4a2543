//! The operator throws waiting messages away.

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
    let (account, free) = directory.with(bare, |account, state| {
        // As if an outbox carried them: a flush passes them over, and the account stays in the directory.
        let free: Vec<i64> = rows
            .iter()
            .map(|row| i64::from(*row))
            .filter(|row| state.carry(*row))
            .collect();
        (account.clone(), free)
    });
    let underway = rows.len().saturating_sub(free.len());
    let ids = free.iter().copied().map(RowId::from).collect();
    let deleted = store.spool_delete(ids).await;
    release(&account, free);
    directory.retire(&account);
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
