//! The spool as the operator sees it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::spool::OFFLINE_USER;
use super::{StoreError, sql};
use crate::store::{RowId, SpoolEntry, SpoolTotal};

pub(super) fn summary(
    conn: &Connection,
    domain: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<SpoolTotal>, StoreError> {
    conn.prepare_cached(
        "SELECT owner, rows, bytes,
             (SELECT stored_at FROM spool WHERE spool.kind = spool_total.kind AND spool.owner = spool_total.owner
              ORDER BY id LIMIT 1)
         FROM spool_total
         WHERE kind = ?1 AND owner > ?2 AND (?3 IS NULL OR substr(owner, instr(owner, '@') + 1) = ?3)
         ORDER BY owner LIMIT ?4",
    )
    .and_then(|mut select| {
        let bounds = params![OFFLINE_USER, after, domain, count(limit)];
        select
            .query_map(bounds, |row| {
                Ok(SpoolTotal {
                    owner: row.get(0)?,
                    rows: size(row, 1)?,
                    bytes: size(row, 2)?,
                    oldest_at: row.get::<_, Option<i64>>(3)?.unwrap_or_default(),
                })
            })?
            .collect()
    })
    .map_err(sql("list the spool"))
}

pub(super) fn rows(
    conn: &Connection,
    owner: &str,
    after: RowId,
    limit: usize,
) -> Result<Vec<SpoolEntry>, StoreError> {
    conn.prepare_cached(
        "SELECT id, owner, sender, stored_at, expires_at, bytes FROM spool
         WHERE kind = ?1 AND owner = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )
    .and_then(|mut select| {
        let bounds = params![OFFLINE_USER, owner, after.0, count(limit)];
        select.query_map(bounds, entry)?.collect()
    })
    .map_err(sql("list the spool"))
}

pub(super) fn row(
    conn: &Connection,
    row: RowId,
) -> Result<Option<(SpoolEntry, Bytes)>, StoreError> {
    conn.prepare_cached(
        "SELECT id, owner, sender, stored_at, expires_at, bytes, stanza FROM spool WHERE kind = ?1 AND id = ?2",
    )
    .and_then(|mut select| {
        select
            .query_row(params![OFFLINE_USER, row.0], |row| {
                Ok((entry(row)?, Bytes::from(row.get::<_, Vec<u8>>(6)?)))
            })
            .optional()
    })
    .map_err(sql("read the spool"))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<SpoolEntry> {
    Ok(SpoolEntry {
        id: RowId(row.get(0)?),
        owner: row.get(1)?,
        from: row.get(2)?,
        stored_at: row.get(3)?,
        expires_at: row.get(4)?,
        bytes: size(row, 5)?,
    })
}

/// SQLite counts in signed numbers; these are never negative.
fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
