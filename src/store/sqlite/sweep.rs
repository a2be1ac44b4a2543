//! Deleting what has expired, a batch at a time.

use rusqlite::{Connection, params};

use super::{StoreError, sql};

/// Most rows of each table that one batch deletes: waiting writers wait no longer than for these.
pub(super) const BATCH: usize = 500;

/// How long an expired invite stays: who showed it in time may still use it.
const INVITE_GRACE_MS: i64 = 86_400_000;

/// Deletes up to [`BATCH`] expired keys, and as many invites. Stanzas are not thrown away here: their senders are told.
pub(super) fn batch(conn: &Connection, now: i64) -> Result<usize, StoreError> {
    let limit = BATCH as i64;
    let sweeps = [
        (
            "DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            now,
        ),
        (
            "DELETE FROM invites WHERE id IN (SELECT id FROM invites WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            now.saturating_sub(INVITE_GRACE_MS),
        ),
    ];
    let mut swept = 0usize;
    for (statement, before) in sweeps {
        let rows = conn
            .prepare_cached(statement)
            .and_then(|mut sweep| sweep.execute(params![before, limit]))
            .map_err(sql("sweep what has expired"))?;
        swept = swept.saturating_add(rows);
    }
    Ok(swept)
}
