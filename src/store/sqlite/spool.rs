//! The spool: stanzas that wait, in order, within a quota.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, sql};
use crate::store::spool::{Owner, Quota};
use crate::store::{RowId, SpoolRow};

pub(super) fn append(
    conn: &Connection,
    rows: &[SpoolRow],
    quota: Quota,
    now: i64,
) -> Result<Vec<RowId>, StoreError> {
    let mut ids = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        ids.push(insert(conn, row)?);
        if !fits(conn, &row.owner, quota, now)? {
            return Err(StoreError::Quota { row: index });
        }
    }
    Ok(ids)
}

pub(super) fn insert(conn: &Connection, row: &SpoolRow) -> Result<RowId, StoreError> {
    let values = params![
        row.owner.kind().code(),
        row.owner.name(),
        row.from.as_ref().map(crate::jid::Jid::as_str),
        row.stored_at,
        row.expires_at,
        row.stanza.len() as i64,
        &row.stanza[..],
    ];
    conn.prepare_cached(
        "INSERT INTO spool (kind, owner, sender, stored_at, expires_at, bytes, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .and_then(|mut insert| insert.insert(values))
    .map(RowId)
    .map_err(sql("append to the spool"))
}

/// Whether what the owner has now is within the quota.
pub(super) fn fits(
    conn: &Connection,
    owner: &Owner,
    quota: Quota,
    now: i64,
) -> Result<bool, StoreError> {
    let (rows, bytes) = total(conn, owner)?;
    if rows <= quota.rows && bytes <= quota.bytes {
        return Ok(true);
    }
    // Rows that nobody will get any more must not keep others out; nor may they pile up while nobody gives them back.
    let (gone_rows, gone_bytes) = expired(conn, owner, now)?;
    Ok(rows.saturating_sub(gone_rows.min(quota.rows)) <= quota.rows
        && bytes.saturating_sub(gone_bytes.min(quota.bytes)) <= quota.bytes)
}

fn total(conn: &Connection, owner: &Owner) -> Result<(u64, u64), StoreError> {
    sums(
        conn,
        "SELECT rows, bytes FROM spool_owners WHERE kind = ?1 AND owner = ?2",
        params![owner.kind().code(), owner.name()],
    )
}

fn expired(conn: &Connection, owner: &Owner, now: i64) -> Result<(u64, u64), StoreError> {
    sums(
        conn,
        "SELECT count(*), ifnull(sum(bytes), 0) FROM spool WHERE kind = ?1 AND owner = ?2 AND expires_at <= ?3",
        params![owner.kind().code(), owner.name(), now],
    )
}

/// Rows and bytes; SQLite counts in signed numbers, these are never negative.
fn sums(
    conn: &Connection,
    query: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<(u64, u64), StoreError> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(query)
        .and_then(|mut select| {
            select
                .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(sql("count the spool"))?;
    let (rows, bytes) = found.unwrap_or_default();
    Ok((
        u64::try_from(rows).unwrap_or(0),
        u64::try_from(bytes).unwrap_or(0),
    ))
}

pub(super) fn fetch(
    conn: &Connection,
    owner: &Owner,
    after: RowId,
    limit: usize,
    now: i64,
) -> Result<Vec<(RowId, Bytes)>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT id, stanza FROM spool
         WHERE kind = ?1 AND owner = ?2 AND id > ?3 AND (expires_at IS NULL OR expires_at > ?4)
         ORDER BY id LIMIT ?5",
    )
    .and_then(|mut select| {
        let bounds = params![owner.kind().code(), owner.name(), after.0, now, limit];
        select
            .query_map(bounds, |row| {
                Ok((RowId(row.get(0)?), Bytes::from(row.get::<_, Vec<u8>>(1)?)))
            })?
            .collect()
    })
    .map_err(sql("read the spool"))
}

pub(super) fn delete(conn: &Connection, rows: &[RowId]) -> Result<usize, StoreError> {
    let mut deleted = 0usize;
    for row in rows {
        deleted = deleted.saturating_add(usize::from(delete_one(conn, *row)?));
    }
    Ok(deleted)
}

/// Whether it was there.
pub(super) fn delete_one(conn: &Connection, row: RowId) -> Result<bool, StoreError> {
    conn.prepare_cached("DELETE FROM spool WHERE id = ?1")
        .and_then(|mut delete| delete.execute([row.0]))
        .map(|deleted| deleted > 0)
        .map_err(sql("delete from the spool"))
}

pub(super) fn delete_owner(conn: &Connection, owner: &Owner) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM spool WHERE kind = ?1 AND owner = ?2")
        .and_then(|mut delete| delete.execute(params![owner.kind().code(), owner.name()]))
        .map(|_| ())
        .map_err(sql("delete a queue"))
}

pub(super) fn count(conn: &Connection, owner: &Owner) -> Result<u64, StoreError> {
    total(conn, owner).map(|(rows, _)| rows)
}
