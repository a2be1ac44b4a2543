//! The spool as the operator sees it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, sql};
use crate::store::spool::{Kind, Owner};
use crate::store::{RowId, SpoolEntry, SpoolTotal};

/// A row as read, whose kind may be of a later version.
type Read<T> = rusqlite::Result<Result<T, StoreError>>;

pub(super) fn summary(
    conn: &Connection,
    domain: Option<&str>,
    after: Option<&Owner>,
    limit: usize,
) -> Result<Vec<SpoolTotal>, StoreError> {
    let (kind, name) = after.map_or((0, ""), |owner| (owner.kind().code(), owner.name()));
    let found: Vec<Result<SpoolTotal, StoreError>> = conn
        .prepare_cached(
            "SELECT kind, owner, rows, bytes,
                 (SELECT stored_at FROM spool WHERE spool.kind = spool_owners.kind AND spool.owner = spool_owners.owner
                  ORDER BY id LIMIT 1),
                 tries, next_at
             FROM spool_owners
             WHERE (kind, owner) > (?1, ?2)
                 AND (?3 IS NULL OR kind <= 2 AND substr(owner, instr(owner, '@') + 1) = ?3)
             ORDER BY kind, owner LIMIT ?4",
        )
        .and_then(|mut select| {
            let bounds = params![kind, name, domain, count(limit)];
            select.query_map(bounds, total)?.collect()
        })
        .map_err(sql("list the spool"))?;
    found.into_iter().collect()
}

fn total(row: &Row<'_>) -> Read<SpoolTotal> {
    let owner = match owner(row, 0)? {
        Ok(owner) => owner,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(SpoolTotal {
        owner,
        rows: size(row, 2)?,
        bytes: size(row, 3)?,
        oldest_at: row.get::<_, Option<i64>>(4)?.unwrap_or_default(),
        tries: u32::try_from(row.get::<_, i64>(5)?).unwrap_or(u32::MAX),
        next_at: row.get(6)?,
    }))
}

pub(super) fn rows(
    conn: &Connection,
    owner: &Owner,
    after: RowId,
    limit: usize,
) -> Result<Vec<SpoolEntry>, StoreError> {
    let found: Vec<Result<SpoolEntry, StoreError>> = conn
        .prepare_cached(
            "SELECT id, kind, owner, sender, stored_at, expires_at, bytes FROM spool
             WHERE kind = ?1 AND owner = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
        )
        .and_then(|mut select| {
            let bounds = params![owner.kind().code(), owner.name(), after.0, count(limit)];
            select.query_map(bounds, entry)?.collect()
        })
        .map_err(sql("list the spool"))?;
    found.into_iter().collect()
}

pub(super) fn row(
    conn: &Connection,
    row: RowId,
) -> Result<Option<(SpoolEntry, Bytes)>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT id, kind, owner, sender, stored_at, expires_at, bytes, stanza FROM spool WHERE id = ?1",
        )
        .and_then(|mut select| {
            select
                .query_row([row.0], |row| {
                    Ok((entry(row)?, Bytes::from(row.get::<_, Vec<u8>>(7)?)))
                })
                .optional()
        })
        .map_err(sql("read the spool"))?;
    found
        .map(|(entry, stanza)| Ok((entry?, stanza)))
        .transpose()
}

fn entry(row: &Row<'_>) -> Read<SpoolEntry> {
    let owner = match owner(row, 1)? {
        Ok(owner) => owner,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(SpoolEntry {
        id: RowId(row.get(0)?),
        owner,
        from: row.get(3)?,
        stored_at: row.get(4)?,
        expires_at: row.get(5)?,
        bytes: size(row, 6)?,
    }))
}

/// Kind and name, from that column on.
fn owner(row: &Row<'_>, column: usize) -> Read<Owner> {
    let code = row.get(column)?;
    let name = row.get(column.saturating_add(1))?;
    let kind = Kind::from_code(code).ok_or_else(|| StoreError::damaged_kind(code));
    Ok(kind.map(|kind| Owner::new(kind, name)))
}

/// SQLite counts in signed numbers; these are never negative.
fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
