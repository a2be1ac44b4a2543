//! Deleting what has expired, a batch at a time.

use rusqlite::{Connection, params};

use super::{StoreError, sql};

/// Most rows of each table that one batch deletes: waiting writers wait no longer than for these.
pub(super) const BATCH: usize = 500;

/// Deletes up to [`BATCH`] expired spool rows and as many expired keys.
pub(super) fn batch(conn: &Connection, now: i64) -> Result<usize, StoreError> {
    let limit = BATCH as i64;
    let sweep = |statement: &str| conn.prepare_cached(statement)?.execute(params![now, limit]);
    let rows = sweep(
        "DELETE FROM spool WHERE id IN (SELECT id FROM spool WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    );
    let keys =
        rows.and_then(|rows| {
            sweep("DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)")
                .map(|keys| rows.saturating_add(keys))
        });
    keys.map_err(sql("sweep what has expired"))
}
