//! Users: their address and what is derived of their password, never the password.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, spool, sql};
use crate::jid::Jid;
use crate::sasl::{Credentials, ScramKeys};
use crate::store::spool::{Kind, Owner};

pub(super) fn create(
    conn: &Connection,
    bare: &Jid,
    keys: &Credentials,
    now: i64,
) -> Result<(), StoreError> {
    let made = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .and_then(|mut insert| {
            let (sha1, sha256) = (&keys.sha1, &keys.sha256);
            insert.execute(params![
                bare.bare_str(),
                bare.domain(),
                now,
                sha1.salt,
                sha1.iterations,
                sha1.stored_key,
                sha1.server_key,
                sha256.salt,
                sha256.iterations,
                sha256.stored_key,
                sha256.server_key,
            ])
        })
        .map_err(sql("create a user"))?;
    if made == 0 {
        Err(StoreError::Exists)
    } else {
        Ok(())
    }
}

pub(super) fn set_credentials(
    conn: &Connection,
    bare: &str,
    keys: &Credentials,
) -> Result<(), StoreError> {
    let changed = conn
        .prepare_cached(
            "UPDATE users SET
                 sha1_salt = ?2, sha1_iterations = ?3, sha1_stored_key = ?4, sha1_server_key = ?5,
                 sha256_salt = ?6, sha256_iterations = ?7, sha256_stored_key = ?8, sha256_server_key = ?9
             WHERE bare = ?1",
        )
        .and_then(|mut update| {
            let (sha1, sha256) = (&keys.sha1, &keys.sha256);
            update.execute(params![
                bare,
                sha1.salt,
                sha1.iterations,
                sha1.stored_key,
                sha1.server_key,
                sha256.salt,
                sha256.iterations,
                sha256.stored_key,
                sha256.server_key,
            ])
        })
        .map_err(sql("change credentials"))?;
    if changed == 0 {
        Err(StoreError::NotFound)
    } else {
        Ok(())
    }
}

pub(super) fn delete(conn: &Connection, bare: &str) -> Result<(), StoreError> {
    let deleted = conn
        .prepare_cached("DELETE FROM users WHERE bare = ?1")
        .and_then(|mut delete| delete.execute([bare]))
        .map_err(sql("delete a user"))?;
    if deleted == 0 {
        Err(StoreError::NotFound)
    } else {
        spool::delete_owner(conn, &Owner::new(Kind::User, bare.to_owned()))
    }
}

pub(super) fn credentials(
    conn: &Connection,
    bare: &str,
) -> Result<Option<Credentials>, StoreError> {
    conn.prepare_cached(
        "SELECT sha1_salt, sha1_iterations, sha1_stored_key, sha1_server_key,
                sha256_salt, sha256_iterations, sha256_stored_key, sha256_server_key
         FROM users WHERE bare = ?1",
    )
    .and_then(|mut select| {
        select
            .query_row([bare], |row| {
                Ok(Credentials {
                    sha1: keys(row, 0)?,
                    sha256: keys(row, 4)?,
                })
            })
            .optional()
    })
    .map_err(sql("look up a user"))
}

fn keys(row: &Row<'_>, first: usize) -> rusqlite::Result<ScramKeys> {
    Ok(ScramKeys {
        salt: row.get(first)?,
        iterations: row.get(first.saturating_add(1))?,
        stored_key: row.get(first.saturating_add(2))?,
        server_key: row.get(first.saturating_add(3))?,
    })
}

pub(super) fn exists(conn: &Connection, bare: &str) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM users WHERE bare = ?1")
        .and_then(|mut select| select.exists([bare]))
        .map_err(sql("look up a user"))
}

pub(super) fn list(conn: &Connection, domain: Option<&str>) -> Result<Vec<Jid>, StoreError> {
    let names: Vec<String> = conn
        .prepare_cached(
            "SELECT bare FROM users WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, bare",
        )
        .and_then(|mut select| select.query_map([domain], |row| row.get(0))?.collect())
        .map_err(sql("list users"))?;
    names
        .into_iter()
        .map(|name| {
            Jid::new(&name).map_err(|_| StoreError::Damaged {
                what: "user",
                key: name,
            })
        })
        .collect()
}
