//! Documents of users, by name.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, sql};

pub(super) fn get(
    conn: &Connection,
    owner: &str,
    kind: &str,
    name: &str,
) -> Result<Option<Bytes>, StoreError> {
    conn.prepare_cached("SELECT data FROM documents WHERE owner = ?1 AND kind = ?2 AND name = ?3")
        .and_then(|mut select| {
            select
                .query_row([owner, kind, name], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map(|data| data.map(Bytes::from))
        .map_err(sql("read a document"))
}

/// Gives every document of that kind, and deletes them.
pub(super) fn take(conn: &Connection, kind: &str) -> Result<Vec<Bytes>, StoreError> {
    conn.prepare_cached("DELETE FROM documents WHERE kind = ?1 RETURNING data")
        .and_then(|mut delete| {
            delete
                .query_map([kind], |row| Ok(Bytes::from(row.get::<_, Vec<u8>>(0)?)))?
                .collect()
        })
        .map_err(sql("take documents"))
}

/// Sets each document, or deletes it where there are no data.
pub(super) fn set(
    conn: &Connection,
    owner: &str,
    kind: &str,
    documents: &[(String, Option<Bytes>)],
    most: u64,
) -> Result<(), StoreError> {
    for (name, data) in documents {
        match data {
            Some(data) => put(conn, owner, kind, name, data)?,
            None => delete(conn, owner, kind, name)?,
        }
    }
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM documents WHERE owner = ?1 AND kind = ?2")
        .and_then(|mut select| select.query_row([owner, kind], |row| row.get(0)))
        .map_err(sql("count documents"))?;
    if u64::try_from(count).is_ok_and(|count| count <= most) {
        Ok(())
    } else {
        Err(StoreError::TooManyDocuments { most })
    }
}

/// Only for a user who is there: one who is deleted meanwhile leaves nothing behind.
fn put(
    conn: &Connection,
    owner: &str,
    kind: &str,
    name: &str,
    data: &[u8],
) -> Result<(), StoreError> {
    let set = conn
        .prepare_cached(
            "INSERT INTO documents SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM users WHERE bare = ?1)
             ON CONFLICT DO UPDATE SET data = excluded.data",
        )
        .and_then(|mut upsert| upsert.execute(params![owner, kind, name, data]))
        .map_err(sql("set a document"))?;
    if set == 0 {
        Err(StoreError::NotFound)
    } else {
        Ok(())
    }
}

fn delete(conn: &Connection, owner: &str, kind: &str, name: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM documents WHERE owner = ?1 AND kind = ?2 AND name = ?3")
        .and_then(|mut delete| delete.execute([owner, kind, name]))
        .map(|_| ())
        .map_err(sql("delete a document"))
}

pub(super) fn delete_owner(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM documents WHERE owner = ?1")
        .and_then(|mut delete| delete.execute([owner]))
        .map(|_| ())
        .map_err(sql("delete a user's documents"))
}
