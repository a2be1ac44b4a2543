//! Block lists: whom a user will not hear from.

use rusqlite::{Connection, params};

use super::{StoreError, sql, users};
use crate::jid::Jid;

pub(super) fn list(conn: &Connection, owner: &str) -> Result<Vec<Jid>, StoreError> {
    let found: Vec<String> = conn
        .prepare_cached("SELECT jid FROM blocks WHERE owner = ?1 ORDER BY jid")
        .and_then(|mut select| select.query_map([owner], |row| row.get(0))?.collect())
        .map_err(sql("read a block list"))?;
    found
        .into_iter()
        .map(|jid| {
            Jid::new(&jid).map_err(|_| StoreError::Damaged {
                what: "blocked address",
                key: jid,
            })
        })
        .collect()
}

/// The list of a user who exists.
pub(super) fn recipient(conn: &Connection, owner: &str) -> Result<Option<Vec<Jid>>, StoreError> {
    if users::exists(conn, owner)? {
        list(conn, owner).map(Some)
    } else {
        Ok(None)
    }
}

pub(super) fn add(
    conn: &Connection,
    owner: &str,
    jids: &[Jid],
    most: u64,
) -> Result<(), StoreError> {
    if !users::exists(conn, owner)? {
        return Err(StoreError::NotFound);
    }
    let mut insert = conn
        .prepare_cached("INSERT OR IGNORE INTO blocks VALUES (?1, ?2)")
        .map_err(sql("block an address"))?;
    for jid in jids {
        insert
            .execute(params![owner, jid.as_str()])
            .map_err(sql("block an address"))?;
    }
    let rows: i64 = conn
        .prepare_cached("SELECT count(*) FROM blocks WHERE owner = ?1")
        .and_then(|mut select| select.query_row([owner], |row| row.get(0)))
        .map_err(sql("count a block list"))?;
    if u64::try_from(rows).unwrap_or(u64::MAX) > most {
        return Err(StoreError::BlocksFull { most });
    }
    Ok(())
}

pub(super) fn remove(conn: &Connection, owner: &str, jids: &[Jid]) -> Result<(), StoreError> {
    let mut delete = conn
        .prepare_cached("DELETE FROM blocks WHERE owner = ?1 AND jid = ?2")
        .map_err(sql("unblock an address"))?;
    for jid in jids {
        delete
            .execute(params![owner, jid.as_str()])
            .map_err(sql("unblock an address"))?;
    }
    Ok(())
}

pub(super) fn delete_owner(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM blocks WHERE owner = ?1")
        .and_then(|mut delete| delete.execute([owner]))
        .map(|_| ())
        .map_err(sql("delete a block list"))
}
