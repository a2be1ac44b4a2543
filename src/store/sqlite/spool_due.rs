//! What time brings to a queue: rows expire and are given back, an owner is tried again.

use bytes::Bytes;
use rusqlite::{Connection, Rows, params};

use super::{StoreError, spool, sql, users};
use crate::store::RowId;
use crate::store::spool::{Bounce, Bounced, Due, Kind, Owner, PAGE_BYTES, Quota};

pub(super) fn due(
    conn: &Connection,
    kind: Kind,
    limit: usize,
    now: i64,
) -> Result<Vec<Due>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT owner, tries FROM spool_owners WHERE kind = ?1 AND next_at <= ?2 ORDER BY next_at LIMIT ?3",
    )
    .and_then(|mut select| {
        select
            .query_map(params![kind.code(), now, limit], |row| {
                Ok(Due {
                    owner: Owner::new(kind, row.get(0)?),
                    tries: u32::try_from(row.get::<_, i64>(1)?).unwrap_or(u32::MAX),
                })
            })?
            .collect()
    })
    .map_err(sql("look what is due"))
}

pub(super) fn expired(
    conn: &Connection,
    owner: &Owner,
    limit: usize,
    now: i64,
) -> Result<Vec<(RowId, Bytes)>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT id, stanza FROM spool WHERE kind = ?1 AND owner = ?2 AND expires_at <= ?3 ORDER BY expires_at, id LIMIT ?4",
    )
    .and_then(|mut select| {
        page(select.query(params![owner.kind().code(), owner.name(), now, limit])?)
    })
    .map_err(sql("read what has expired"))
}

/// Rows until there are no more, or [`PAGE_BYTES`] of stanzas are reached.
fn page(mut rows: Rows<'_>) -> rusqlite::Result<Vec<(RowId, Bytes)>> {
    let mut page = Vec::new();
    let mut room = PAGE_BYTES;
    while room > 0
        && let Some(row) = rows.next()?
    {
        let stanza = Bytes::from(row.get::<_, Vec<u8>>(1)?);
        room = room.saturating_sub(stanza.len());
        page.push((RowId(row.get(0)?), stanza));
    }
    Ok(page)
}

pub(super) fn bounce(
    conn: &Connection,
    bounces: &[Bounce],
    quota: Quota,
    now: i64,
) -> Result<Vec<Bounced>, StoreError> {
    let fates = bounces.iter().map(|bounce| {
        if !spool::delete_one(conn, bounce.row)? {
            return Ok(Bounced::Missing);
        }
        let Some(error) = &bounce.error else {
            return Ok(Bounced::Deleted);
        };
        let owner = &error.owner;
        if owner.kind() == Kind::User && !users::exists(conn, owner.name())? {
            return Ok(Bounced::NotKept);
        }
        let id = spool::insert(conn, error)?;
        if spool::fits(conn, owner, quota, now)? {
            return Ok(Bounced::Kept(id));
        }
        spool::delete_one(conn, id)?;
        Ok(Bounced::NotKept)
    });
    fates.collect()
}

/// Until `until` at the latest, or until a row expires that has not yet.
pub(super) fn defer(
    conn: &Connection,
    owner: &Owner,
    until: Option<i64>,
    now: i64,
) -> Result<(), StoreError> {
    // Settled, what has expired already is due at once; deferred, it is what the owner was deferred for.
    let (after, tries) = match until {
        None => (i64::MIN, "0"),
        Some(_) => (now, "tries + 1"),
    };
    conn.prepare_cached(&format!(
        "UPDATE spool_owners SET tries = {tries}, next_at =
             (SELECT min(at) FROM
                 (SELECT min(expires_at) AS at FROM spool
                  WHERE kind = ?1 AND owner = ?2 AND expires_at IS NOT NULL AND expires_at > ?3
                  UNION ALL SELECT ?4))
         WHERE kind = ?1 AND owner = ?2"
    ))
    .and_then(|mut update| update.execute(params![owner.kind().code(), owner.name(), after, until]))
    .map(|_| ())
    .map_err(sql("put a queue off"))
}
