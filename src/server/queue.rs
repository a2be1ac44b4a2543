//! What the console lists of the spool, and how it throws away what waits.

use super::Common;
use crate::control::{QueueRow, QueueStanza, QueueTotal, Refused, Thrown};
use crate::delivery;
use crate::jid::Jid;
use crate::stanza::format_time;
use crate::store::spool::Owner;
use crate::store::{RowId, SpoolEntry, SpoolTotal, StoreError};

/// Rows asked of the store at a time, so that a long listing holds up nobody who logs in.
const PAGE: usize = 500;

/// At most `limit` users for whom something waits.
pub(super) async fn totals(
    common: &Common,
    domain: Option<&str>,
    limit: usize,
) -> Result<Vec<QueueTotal>, StoreError> {
    let mut totals: Vec<QueueTotal> = Vec::new();
    let mut after = None;
    while totals.len() < limit {
        let wanted = PAGE.min(limit - totals.len());
        let page = common.store.spool_summary(domain, after.as_ref(), wanted);
        let page = page.await?;
        let short = page.len() < wanted;
        after = page.last().map(|total| total.owner.clone());
        totals.extend(page.into_iter().map(total));
        if short {
            break;
        }
    }
    Ok(totals)
}

/// At most `limit` messages that wait for one user.
pub(super) async fn rows(
    common: &Common,
    jid: &Jid,
    limit: usize,
) -> Result<Vec<QueueRow>, StoreError> {
    let mut rows: Vec<QueueRow> = Vec::new();
    while rows.len() < limit {
        let after = rows.last().map_or(RowId::START, |row| RowId::from(row.id));
        let wanted = PAGE.min(limit - rows.len());
        let page = common
            .store
            .spool_rows(&Owner::user(jid), after, wanted)
            .await?;
        let short = page.len() < wanted;
        rows.extend(page.into_iter().map(row));
        if short {
            break;
        }
    }
    Ok(rows)
}

/// One message, with its stanza.
pub(super) async fn show(common: &Common, id: i64) -> Result<QueueStanza, Refused> {
    let found = common.store.spool_row(RowId::from(id)).await;
    let (entry, stanza) = found
        .map_err(super::backend::failed)?
        .ok_or_else(|| Refused::NotQueued(id.to_string()))?;
    Ok(QueueStanza {
        jid: entry.owner.to_string(),
        row: row(entry),
        stanza: String::from_utf8_lossy(&stanza).into_owned(),
    })
}

/// Throws one message away.
pub(super) async fn delete(common: &Common, id: i64) -> Result<Thrown, Refused> {
    let missing = || Refused::NotQueued(id.to_string());
    let row = RowId::from(id);
    let found = common.store.spool_row(row).await;
    let (entry, _) = found.map_err(super::backend::failed)?.ok_or_else(missing)?;
    let owner = Jid::new(entry.owner.name()).map_err(super::backend::failed)?;
    let thrown = throw(common, &owner, vec![row]).await?;
    // Somebody may have been given it since we looked.
    if thrown.deleted == 0 && thrown.underway == 0 {
        return Err(missing());
    }
    Ok(thrown)
}

/// Throws away all that waits for a user: what is there when it begins.
pub(super) async fn clear(common: &Common, jid: &Jid) -> Result<Thrown, Refused> {
    let mut thrown = Thrown {
        jid: jid.to_string(),
        deleted: 0,
        underway: 0,
    };
    let mut after = RowId::START;
    loop {
        let page = common
            .store
            .spool_rows(&Owner::user(jid), after, PAGE)
            .await;
        let page = page.map_err(super::backend::failed)?;
        let ids: Vec<RowId> = page.iter().map(|entry| entry.id).collect();
        let Some(last) = ids.last() else { break };
        after = *last;
        let short = ids.len() < PAGE;
        let some = throw(common, jid, ids).await?;
        thrown.deleted = thrown.deleted.saturating_add(some.deleted);
        thrown.underway = thrown.underway.saturating_add(some.underway);
        if short {
            break;
        }
    }
    if thrown.deleted == 0 && thrown.underway == 0 {
        return Err(Refused::NotQueued(jid.to_string()));
    }
    Ok(thrown)
}

async fn throw(common: &Common, owner: &Jid, rows: Vec<RowId>) -> Result<Thrown, Refused> {
    let done = delivery::discard(&common.directory, &common.store, owner, rows).await;
    let done = done.map_err(super::backend::failed)?;
    Ok(Thrown {
        jid: owner.to_string(),
        deleted: done.deleted,
        underway: done.underway,
    })
}

fn total(total: SpoolTotal) -> QueueTotal {
    QueueTotal {
        jid: total.owner.to_string(),
        messages: total.rows,
        bytes: total.bytes,
        oldest_at: format_time(total.oldest_at),
    }
}

fn row(entry: SpoolEntry) -> QueueRow {
    QueueRow {
        id: entry.id.into(),
        from: entry.from,
        stored_at: format_time(entry.stored_at),
        expires_at: entry.expires_at.map(format_time),
        bytes: entry.bytes,
    }
}
