//! Rosters: contacts of a user, within a limit, and a version that every change makes greater.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, sql, users};
use crate::jid::Jid;
use crate::stanza::roster::{Roster, RosterItem, Subscription};
use crate::store::StoreOptions;

pub(super) fn load(conn: &Connection, owner: &str) -> Result<Roster, StoreError> {
    // One statement, so that items and version are of one moment.
    let mut select = conn
        .prepare_cached(
            "SELECT version, contact, name, groups, subscription, roster.listed, request
             FROM roster_version LEFT JOIN roster USING (owner) WHERE owner = ?1 ORDER BY contact",
        )
        .map_err(sql("read a roster"))?;
    let mut rows = select.query([owner]).map_err(sql("read a roster"))?;
    let mut version = 0;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(sql("read a roster"))? {
        version = unsigned(row, 0).map_err(sql("read a roster"))?;
        let contact: Option<String> = row.get(1).map_err(sql("read a roster"))?;
        let Some(contact) = contact else { continue };
        let item = item(row, &contact).map_err(sql("read a roster"))?;
        items.push(item.ok_or_else(|| StoreError::Damaged {
            what: "roster item",
            key: format!("{owner} {contact}"),
        })?);
    }
    Ok(Roster::new(version, items))
}

/// The item of a row; `None` when it is not what we write.
fn item(row: &Row<'_>, contact: &str) -> rusqlite::Result<Option<RosterItem>> {
    let groups: Option<Vec<Box<str>>> = match row.get_ref(3)?.as_str_or_null()? {
        Some(groups) => serde_json::from_str(groups).ok(),
        None => Some(Vec::new()),
    };
    let subscription = Subscription::from_name(row.get_ref(4)?.as_str()?);
    let (Ok(jid), Some(groups), Some(subscription)) = (Jid::new(contact), groups, subscription)
    else {
        return Ok(None);
    };
    let request: Option<Vec<u8>> = row.get(6)?;
    Ok(Some(RosterItem {
        jid,
        name: row.get(2)?,
        groups: groups.into(),
        subscription,
        listed: row.get(5)?,
        request: request.map(|request| Box::new(Bytes::from(request))),
    }))
}

pub(super) fn put(
    conn: &Connection,
    owner: &str,
    item: &RosterItem,
    options: &StoreOptions,
) -> Result<u64, StoreError> {
    let version = change(conn, owner, (options.now)())?;
    write(conn, owner, item)?;
    fits(conn, owner, options)?;
    Ok(version)
}

pub(super) fn remove(
    conn: &Connection,
    owner: &str,
    contact: &str,
    now: i64,
) -> Result<Option<u64>, StoreError> {
    if delete(conn, owner, contact)? {
        change(conn, owner, now).map(Some)
    } else {
        Ok(None)
    }
}

pub(super) fn import(
    conn: &Connection,
    owner: &str,
    items: &[RosterItem],
    replace: bool,
    options: &StoreOptions,
) -> Result<u64, StoreError> {
    let version = change(conn, owner, (options.now)())?;
    if replace {
        let kept: BTreeSet<&str> = items.iter().map(|item| item.jid.as_str()).collect();
        for contact in contacts(conn, owner)? {
            if !kept.contains(contact.as_str()) {
                delete(conn, owner, &contact)?;
            }
        }
    }
    for item in items {
        write(conn, owner, item)?;
    }
    fits(conn, owner, options)?;
    Ok(version)
}

/// Makes the version of a user's roster greater. The first is the clock's, so that one of an earlier user of that name,
/// which a client may remember, is not told again.
fn change(conn: &Connection, owner: &str, now: i64) -> Result<u64, StoreError> {
    if !users::exists(conn, owner)? {
        return Err(StoreError::NotFound);
    }
    conn.prepare_cached(
        "INSERT INTO roster_version (owner, version) VALUES (?1, max(?2, 1))
         ON CONFLICT DO UPDATE SET version = version + 1 RETURNING version",
    )
    .and_then(|mut upsert| upsert.query_row(params![owner, now], |row| unsigned(row, 0)))
    .map_err(sql("change a roster"))
}

fn write(conn: &Connection, owner: &str, item: &RosterItem) -> Result<(), StoreError> {
    let names: Vec<&str> = item.groups.iter().map(AsRef::as_ref).collect();
    let groups = (!names.is_empty()).then(|| serde_json::Value::from(names).to_string());
    conn.prepare_cached(
        "INSERT INTO roster VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET name = excluded.name, groups = excluded.groups,
             subscription = excluded.subscription, listed = excluded.listed, request = excluded.request",
    )
    .and_then(|mut upsert| {
        upsert.execute(params![
            owner,
            item.jid.as_str(),
            item.name,
            groups,
            item.subscription.name(),
            item.listed,
            item.request.as_deref().map(|request| &request[..]),
        ])
    })
    .map(|_| ())
    .map_err(sql("write a contact"))
}

fn delete(conn: &Connection, owner: &str, contact: &str) -> Result<bool, StoreError> {
    conn.prepare_cached("DELETE FROM roster WHERE owner = ?1 AND contact = ?2")
        .and_then(|mut delete| delete.execute([owner, contact]))
        .map(|deleted| deleted > 0)
        .map_err(sql("delete a contact"))
}

fn contacts(conn: &Connection, owner: &str) -> Result<Vec<String>, StoreError> {
    conn.prepare_cached("SELECT contact FROM roster WHERE owner = ?1")
        .and_then(|mut select| select.query_map([owner], |row| row.get(0))?.collect())
        .map_err(sql("read a roster"))
}

fn fits(conn: &Connection, owner: &str, options: &StoreOptions) -> Result<(), StoreError> {
    let found: Option<[u64; 3]> = conn
        .prepare_cached("SELECT listed, unlisted, bytes FROM roster_version WHERE owner = ?1")
        .and_then(|mut select| {
            select
                .query_row([owner], |row| {
                    Ok([unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?])
                })
                .optional()
        })
        .map_err(sql("count a roster"))?;
    let limits = [
        (options.roster_items, "contacts"),
        (options.roster_requests, "requests of strangers"),
        (options.roster_bytes, "bytes of addresses, names and groups"),
    ];
    let counts = found.unwrap_or_default();
    match counts
        .into_iter()
        .zip(limits)
        .find(|(count, (most, _))| count > most)
    {
        Some((_, (most, what))) => Err(StoreError::RosterFull { what, most }),
        None => Ok(()),
    }
}

/// SQLite's numbers have a sign; ours are never below zero.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// With the version: the next user of that name begins with the clock's.
pub(super) fn delete_owner(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    let delete = |statement: &str| conn.prepare_cached(statement)?.execute([owner]);
    delete("DELETE FROM roster WHERE owner = ?1")
        .and_then(|_| delete("DELETE FROM roster_version WHERE owner = ?1"))
        .map(|_| ())
        .map_err(sql("delete a user's roster"))
}
