//! Small keys and values, and secrets.

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, sql};
use crate::store::{AFTER_ANY, StoreOptions};

pub(super) fn get(conn: &Connection, key: &str, now: i64) -> Result<Option<Bytes>, StoreError> {
    conn.prepare_cached(
        "SELECT value FROM kv WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
    )
    .and_then(|mut select| {
        select
            .query_row(params![key, now], |row| row.get::<_, Vec<u8>>(0))
            .optional()
    })
    .map(|value| value.map(Bytes::from))
    .map_err(sql("read a key"))
}

pub(super) fn set(
    conn: &Connection,
    key: &str,
    value: &[u8],
    expires_at: Option<i64>,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO kv VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at",
    )
    .and_then(|mut upsert| upsert.execute(params![key, value, expires_at]))
    .map_err(sql("set a key"))?;
    let (rows, bytes): (i64, i64) = conn
        .prepare_cached("SELECT rows, bytes FROM kv_total")
        .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(sql("count the keys"))?;
    let within = |have: i64, most: u64| u64::try_from(have).is_ok_and(|have| have <= most);
    if within(rows, options.kv_rows) && within(bytes, options.kv_bytes) {
        Ok(())
    } else {
        Err(StoreError::KvFull)
    }
}

pub(super) fn delete(conn: &Connection, key: &str) -> Result<bool, StoreError> {
    conn.prepare_cached("DELETE FROM kv WHERE key = ?1")
        .and_then(|mut delete| delete.execute([key]))
        .map(|deleted| deleted > 0)
        .map_err(sql("delete a key"))
}

pub(super) fn incr(
    conn: &Connection,
    key: &str,
    by: i64,
    options: &StoreOptions,
    now: i64,
) -> Result<i64, StoreError> {
    let found: Option<(Vec<u8>, Option<i64>)> = conn
        .prepare_cached("SELECT value, expires_at FROM kv WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)")
        .and_then(|mut select| {
            select.query_row(params![key, now], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(sql("read a key"))?;
    let (value, expires_at) = found.unwrap_or_else(|| (b"0".to_vec(), None));
    let number: Option<i64> = std::str::from_utf8(&value)
        .ok()
        .and_then(|text| text.parse().ok());
    let sum = number
        .and_then(|number| number.checked_add(by))
        .ok_or(StoreError::NotNumber)?;
    set(conn, key, sum.to_string().as_bytes(), expires_at, options)?;
    Ok(sum)
}

pub(super) fn list(
    conn: &Connection,
    prefix: &str,
    limit: usize,
    now: i64,
) -> Result<Vec<(String, Bytes)>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT key, value FROM kv
         WHERE key >= ?1 AND key < ?2 AND (expires_at IS NULL OR expires_at > ?3)
         ORDER BY key LIMIT ?4",
    )
    .and_then(|mut select| {
        select
            .query_map(params![prefix, end_of(prefix), now, limit], |row| {
                Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
            })?
            .collect()
    })
    .map_err(sql("list keys"))
}

pub(super) fn delete_prefix(conn: &Connection, prefix: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM kv WHERE key >= ?1 AND key < ?2")
        .and_then(|mut delete| delete.execute(params![prefix, end_of(prefix)]))
        .map(|_| ())
        .map_err(sql("delete a user's keys"))
}

/// Text that sorts after all keys with this prefix and before all others behind them.
fn end_of(prefix: &str) -> String {
    format!("{prefix}{AFTER_ANY}")
}

pub(super) fn secret(conn: &Connection, name: &str) -> Result<[u8; 32], StoreError> {
    let mut fresh = [0u8; 32];
    SystemRandom::new()
        .fill(&mut fresh)
        .map_err(|_| StoreError::Random)?;
    conn.prepare_cached("INSERT OR IGNORE INTO secrets VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![name, fresh]))
        .map_err(sql("make a secret"))?;
    conn.prepare_cached("SELECT secret FROM secrets WHERE name = ?1")
        .and_then(|mut select| select.query_row([name], |row| row.get(0)))
        .map_err(sql("read a secret"))
}
