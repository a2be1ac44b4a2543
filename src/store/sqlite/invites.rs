//! Invitations to register.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, sql};
use crate::jid::Jid;
use crate::store::{INVITES_MAX, Invite};

pub(super) fn create(conn: &Connection, invite: &Invite) -> Result<(), StoreError> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM invites")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(sql("count invites"))?;
    if u64::try_from(count).is_ok_and(|count| count >= INVITES_MAX) {
        return Err(StoreError::TooManyInvites { most: INVITES_MAX });
    }
    let made = conn
        .prepare_cached("INSERT OR IGNORE INTO invites VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut insert| {
            insert.execute(params![
                invite.id,
                invite.domain,
                invite.hash,
                invite.uses,
                invite.created_at,
                invite.expires_at,
            ])
        })
        .map_err(sql("make an invite"))?;
    if made == 0 {
        Err(StoreError::Exists)
    } else {
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        id: row.get(0)?,
        domain: row.get(1)?,
        hash: row.get(2)?,
        uses: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}

pub(super) fn get(conn: &Connection, id: &str) -> Result<Option<Invite>, StoreError> {
    conn.prepare_cached("SELECT * FROM invites WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], read).optional())
        .map_err(sql("look up an invite"))
}

pub(super) fn list(conn: &Connection) -> Result<Vec<Invite>, StoreError> {
    conn.prepare_cached("SELECT * FROM invites ORDER BY created_at, id")
        .and_then(|mut select| select.query_map([], read)?.collect())
        .map_err(sql("list invites"))
}

pub(super) fn revoke(conn: &Connection, id: &str) -> Result<bool, StoreError> {
    conn.prepare_cached("DELETE FROM invites WHERE id = ?1")
        .and_then(|mut delete| delete.execute([id]))
        .map(|deleted| deleted > 0)
        .map_err(sql("revoke an invite"))
}

/// Takes one use for a user of the invite's domain. Its expiry was looked at when it was shown (XEP-0445).
pub(super) fn spend(conn: &Connection, id: &str, user: &Jid) -> Result<(), StoreError> {
    let last = conn
        .prepare_cached("DELETE FROM invites WHERE id = ?1 AND domain = ?2 AND uses = 1")
        .and_then(|mut delete| delete.execute([id, user.domain()]))
        .map_err(sql("use an invite"))?;
    let one = conn
        .prepare_cached(
            "UPDATE invites SET uses = uses - 1 WHERE id = ?1 AND domain = ?2 AND uses > 1",
        )
        .and_then(|mut update| match last {
            0 => update.execute([id, user.domain()]),
            _ => Ok(last),
        })
        .map_err(sql("use an invite"))?;
    if one == 0 {
        Err(StoreError::InviteSpent)
    } else {
        Ok(())
    }
}
