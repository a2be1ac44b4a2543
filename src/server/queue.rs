//! What the console lists of the spool, and what it does with what waits there.

use std::future::Future;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::backend::failed;
use super::local::Local;
use super::{Common, Workers};
use crate::control::{
    Attempt, GivenUp, QueueRow, QueueStanza, QueueTotal, Refused, Thrown, Waiting,
};
use crate::delivery::{self, Returned};
use crate::hook::Outbox;
use crate::jid::Jid;
use crate::stanza::format_time;
use crate::store::spool::Owner;
use crate::store::{RowId, SpoolEntry, SpoolTotal, StoreError};

/// Rows asked of the store at a time, so that a long listing holds up nobody who logs in.
const PAGE: usize = 500;

/// Messages that go back together.
const BOUNCE_PAGE: usize = 50;

/// At most `limit` queues behind that of `after`.
pub(super) async fn totals(
    common: &Common,
    domain: Option<&str>,
    mut after: Option<Owner>,
    limit: usize,
) -> Result<Vec<QueueTotal>, StoreError> {
    let mut totals: Vec<QueueTotal> = Vec::new();
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

/// At most `limit` messages of a queue behind that of number `after`.
pub(super) async fn rows(
    common: &Common,
    owner: &Owner,
    after: i64,
    limit: usize,
) -> Result<Vec<QueueRow>, StoreError> {
    let mut rows: Vec<QueueRow> = Vec::new();
    while rows.len() < limit {
        let after = rows.last().map_or(after, |row| row.id);
        let wanted = PAGE.min(limit - rows.len());
        let page = common.store.spool_rows(owner, RowId::from(after), wanted);
        let page = page.await?;
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
    let (entry, stanza) = found.map_err(failed)?.ok_or_else(|| missing(id))?;
    Ok(QueueStanza {
        owner: entry.owner.to_string(),
        row: row(entry),
        stanza: String::from_utf8_lossy(&stanza).into_owned(),
    })
}

/// Throws away one message, or all that waits for a user when it begins.
pub(super) async fn delete(common: &Common, what: Waiting) -> Result<Thrown, Refused> {
    let (user, mut rows) = rows_of(common, &what).await?;
    let mut thrown = Thrown {
        owner: user.to_string(),
        deleted: 0,
        underway: 0,
    };
    while let Some(page) = rows.next(common).await? {
        let some = delivery::discard(&common.directory, &common.store, &user, page).await;
        let some = some.map_err(failed)?;
        thrown.deleted = thrown.deleted.saturating_add(some.deleted);
        thrown.underway = thrown.underway.saturating_add(some.underway);
    }
    if thrown.deleted == 0 && thrown.underway == 0 {
        return Err(missing(name(&what)));
    }
    Ok(thrown)
}

/// Lets a user's session fetch what waits.
pub(super) async fn retry(
    common: &Common,
    workers: &Workers,
    what: Waiting,
) -> Result<Attempt, Refused> {
    let (user, _) = rows_of(common, &what).await?;
    let owner = user.clone();
    let retried = on_worker(workers, move |local| async move {
        let retried = local.delivery().retry(&user).await;
        retried.map_err(failed)
    });
    let retried = retried.await??;
    if retried.given == 0 && retried.waits == 0 {
        return Err(missing(name(&what)));
    }
    Ok(Attempt {
        owner: owner.to_string(),
        session: retried.session.map(|jid| jid.to_string()),
        given: retried.given,
        waits: retried.waits,
        why: retried.why,
    })
}

/// Gives one message back to its sender, or all that waits for a user when it begins.
pub(super) async fn bounce(
    common: &Common,
    workers: &Workers,
    what: Waiting,
    reason: &str,
) -> Result<GivenUp, Refused> {
    let (user, mut rows) = rows_of(common, &what).await?;
    let mut sum = GivenUp {
        owner: user.to_string(),
        bounced: 0,
        silent: 0,
        underway: 0,
    };
    while let Some(page) = rows.next(common).await? {
        for ids in page.chunks(BOUNCE_PAGE) {
            let (user, ids, why) = (user.clone(), ids.to_vec(), delivery::given_up(reason));
            let store = common.store.clone();
            let some = on_worker(workers, move |local| async move {
                let mut rows = Vec::with_capacity(ids.len());
                for id in ids {
                    let found = store.spool_row(id).await.map_err(failed)?;
                    rows.extend(found.map(|(_, stanza)| (id, stanza)));
                }
                let returned = local.delivery().bounce(&user, rows, &why).await;
                returned
                    .map(|returned| told(&local, returned))
                    .map_err(failed)
            });
            let some = some.await??;
            sum.bounced = sum.bounced.saturating_add(some.bounced);
            sum.silent = sum.silent.saturating_add(some.silent);
            sum.underway = sum.underway.saturating_add(some.underway);
        }
    }
    if sum.bounced == 0 && sum.silent == 0 && sum.underway == 0 {
        return Err(missing(name(&what)));
    }
    Ok(sum)
}

/// Routes the errors for those who have no queue here.
pub(super) fn told(local: &Local, mut returned: Returned) -> Returned {
    let elsewhere = std::mem::take(&mut returned.elsewhere);
    if !elsewhere.is_empty() {
        local.queue().send_all(elsewhere, 0);
    }
    returned
}

/// Does something on a worker, whether or not the console waits for its end.
pub(super) async fn on_worker<T, F>(
    workers: &Workers,
    work: impl FnOnce(Rc<Local>) -> F + Send + 'static,
) -> Result<T, Refused>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (tell, told) = oneshot::channel();
    let worker = workers
        .first()
        .ok_or_else(|| Refused::Failed("no worker runs".into()))?;
    worker.run(move |local| {
        let work = work(local.clone());
        tokio::task::spawn_local(async move {
            // Nobody listens if the console has given up.
            let _ = tell.send(work.await);
        });
    });
    told.await.map_err(failed)
}

/// The rows that a command means, a page at a time: those that are there when it begins, and what comes meanwhile.
enum Pages {
    One(Option<RowId>),
    All(Owner, Option<RowId>),
}

impl Pages {
    async fn next(&mut self, common: &Common) -> Result<Option<Vec<RowId>>, Refused> {
        let (owner, after) = match self {
            Pages::One(row) => return Ok(row.take().map(|row| vec![row])),
            Pages::All(owner, after) => (owner, after),
        };
        let Some(from) = *after else {
            return Ok(None);
        };
        let page = common.store.spool_rows(owner, from, PAGE).await;
        let page = page.map_err(failed)?;
        *after = page
            .last()
            .map(|entry| entry.id)
            .filter(|_| page.len() >= PAGE);
        let ids: Vec<RowId> = page.iter().map(|entry| entry.id).collect();
        Ok((!ids.is_empty()).then_some(ids))
    }
}

/// The user for whom that waits, and its rows.
async fn rows_of(common: &Common, what: &Waiting) -> Result<(Jid, Pages), Refused> {
    let (owner, pages) = match what {
        Waiting::Owner(owner) => (owner.clone(), Pages::All(owner.clone(), Some(RowId::START))),
        Waiting::Row(id) => {
            let row = RowId::from(*id);
            let found = common.store.spool_row(row).await.map_err(failed)?;
            let (entry, _) = found.ok_or_else(|| missing(id))?;
            (entry.owner, Pages::One(Some(row)))
        }
    };
    let user = owner.user_jid();
    let user = user.ok_or_else(|| Refused::Unserved(owner.to_string()))?;
    Ok((user, pages))
}

fn name(what: &Waiting) -> String {
    match what {
        Waiting::Row(id) => id.to_string(),
        Waiting::Owner(owner) => owner.to_string(),
    }
}

fn missing(what: impl ToString) -> Refused {
    Refused::NotQueued(what.to_string())
}

fn total(total: SpoolTotal) -> QueueTotal {
    QueueTotal {
        owner: total.owner.to_string(),
        kind: total.owner.kind().name(),
        messages: total.rows,
        bytes: total.bytes,
        oldest_at: format_time(total.oldest_at),
        tries: total.tries,
        next_at: total.next_at.map(format_time),
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
