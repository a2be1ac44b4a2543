//! The spool: stanzas that wait for their recipient, in order, within a quota.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, sql};
use crate::store::{RowId, SpoolRow, StoreOptions};

/// The kind of row that waits for a user who is offline. Remote domains, accounts and destinations get their own.
pub(super) const OFFLINE_USER: i64 = 1;

pub(super) fn append(
    conn: &Connection,
    rows: &[SpoolRow],
    options: &StoreOptions,
    now: i64,
) -> Result<Vec<RowId>, StoreError> {
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO spool (kind, owner, sender, stored_at, expires_at, bytes, stanza)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(sql("append to the spool"))?;
    let mut ids = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let owner = row.owner.bare_str();
        let values = params![
            OFFLINE_USER,
            owner,
            row.from.as_ref().map(crate::jid::Jid::as_str),
            row.stored_at,
            row.expires_at,
            row.stanza.len() as i64,
            &row.stanza[..],
        ];
        ids.push(RowId(
            insert.insert(values).map_err(sql("append to the spool"))?,
        ));
        if !fits(conn, owner, options)? {
            // Rows that nobody will get any more must not keep others out.
            forget_expired(conn, owner, now)?;
            if !fits(conn, owner, options)? {
                return Err(StoreError::Quota { row: index });
            }
        }
    }
    Ok(ids)
}

/// Whether what the owner has now is within the quota.
fn fits(conn: &Connection, owner: &str, options: &StoreOptions) -> Result<bool, StoreError> {
    let (rows, bytes) = total(conn, owner)?;
    Ok(rows <= options.spool_rows && bytes <= options.spool_bytes)
}

fn total(conn: &Connection, owner: &str) -> Result<(u64, u64), StoreError> {
    let total: Option<(i64, i64)> = conn
        .prepare_cached("SELECT rows, bytes FROM spool_total WHERE kind = ?1 AND owner = ?2")
        .and_then(|mut select| {
            select
                .query_row(params![OFFLINE_USER, owner], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
        })
        .map_err(sql("count the spool"))?;
    let (rows, bytes) = total.unwrap_or_default();
    Ok((
        u64::try_from(rows).unwrap_or(0),
        u64::try_from(bytes).unwrap_or(0),
    ))
}

fn forget_expired(conn: &Connection, owner: &str, now: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM spool WHERE kind = ?1 AND owner = ?2 AND expires_at <= ?3")
        .and_then(|mut delete| delete.execute(params![OFFLINE_USER, owner, now]))
        .map(|_| ())
        .map_err(sql("sweep the spool"))
}

pub(super) fn fetch(
    conn: &Connection,
    owner: &str,
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
        select
            .query_map(params![OFFLINE_USER, owner, after.0, now, limit], |row| {
                Ok((RowId(row.get(0)?), Bytes::from(row.get::<_, Vec<u8>>(1)?)))
            })?
            .collect()
    })
    .map_err(sql("read the spool"))
}

pub(super) fn delete(conn: &Connection, rows: &[RowId]) -> Result<usize, StoreError> {
    let mut delete = conn
        .prepare_cached("DELETE FROM spool WHERE id = ?1")
        .map_err(sql("delete from the spool"))?;
    let mut deleted = 0usize;
    for row in rows {
        deleted = deleted.saturating_add(
            delete
                .execute([row.0])
                .map_err(sql("delete from the spool"))?,
        );
    }
    Ok(deleted)
}

pub(super) fn delete_owner(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM spool WHERE kind = ?1 AND owner = ?2")
        .and_then(|mut delete| delete.execute(params![OFFLINE_USER, owner]))
        .map(|_| ())
        .map_err(sql("delete a user's spool"))
}

pub(super) fn count(conn: &Connection, owner: &str) -> Result<u64, StoreError> {
    total(conn, owner).map(|(rows, _)| rows)
}
