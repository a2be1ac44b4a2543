//! The account turn: what one user's stanzas wait for, done in order by one task (DESIGN §5 Account turn).

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::blocking;
use super::place::{self, Placed};
use super::{Delivery, FLUSH_PAGE, TurnGuard};
use crate::directory::{
    Account, Copies, Insured, Item, Outbox, Outcome, Position, Pushed, Queued, Safe, Show, State,
    TurnWork, Work,
};
use crate::jid::Jid;
use crate::stanza::{Condition, Stanza, StanzaError, format_time};
use crate::store::spool::Owner;
use crate::store::{RowId, SpoolRow, StoreError};

/// What the turn must do outside the account's mutex.
enum Step {
    /// Everything taken is done.
    Nothing,
    /// Append these to the spool.
    Append(Batch),
    /// Give a session what the spool holds.
    Flush(u64),
    /// Somebody else's work.
    Work(Work),
    /// Ask the store about the user.
    Know,
}

/// Messages on their way into the spool, in one append.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    /// Left by an ended session, and for nobody else: their senders hear so.
    bounced: Vec<Entry>,
    insured: Vec<(Arc<Outbox>, oneshot::Sender<Outcome>)>,
}

struct Entry {
    stanza: Stanza,
    origin: Origin,
}

/// Where a message on its way into the spool comes from.
enum Origin {
    /// From a sender who waits for the receipt.
    Sender(oneshot::Sender<Outcome>),
    /// From a session that has ended.
    Unsent,
    /// Still in a live outbox, at this place, and maybe in others: the row is deleted when it is written.
    Waiting(Arc<Outbox>, Position, Option<Copies>),
}

/// Works until the account's inbox is empty, then gives the turn back.
pub(super) async fn run(delivery: Rc<Delivery>, account: Arc<Account>, guard: TurnGuard) {
    loop {
        let work = match account.lock() {
            Some(mut state) => state.turn_work(),
            None => TurnWork::Finished,
        };
        let TurnWork::Next(work) = work else { break };
        match sort(&account, work) {
            Step::Nothing => {}
            Step::Append(batch) => append(&delivery, &account, batch).await,
            Step::Flush(session) => flush(&delivery, &account, session).await,
            Step::Work(work) => work(account.clone()).await,
            Step::Know => blocking::know(&delivery.store, &account).await,
        }
    }
    delivery.directory.retire(&account);
    drop(guard);
}

/// A session's presence takes effect. True when it has just become reachable.
pub(super) fn apply_presence(state: &mut State, presence: Queued) -> bool {
    let Queued::Presence { session, presence } = presence else {
        return false;
    };
    let Some(resource) = state.session_mut(session) else {
        return false;
    };
    let reachable = |priority: Option<i8>| priority.is_some_and(|priority| priority >= 0);
    let before = reachable(resource.priority);
    resource.priority = presence.as_ref().map(Stanza::priority);
    resource.show = presence.as_ref().map_or_else(Show::default, |stanza| Show {
        show: stanza.show(),
        status: stanza.status(),
    });
    resource.presence = presence.map(|mut stanza| {
        stanza.forget_tree();
        stanza
    });
    !before && reachable(resource.priority)
}

/// Does everything that needs no waiting, oldest first, up to the first thing that does; puts the rest back.
fn sort(account: &Arc<Account>, mut work: VecDeque<Queued>) -> Step {
    let Some(mut state) = account.lock() else {
        return Step::Nothing;
    };
    let mut batch = Batch::default();
    while let Some(next) = work.pop_front() {
        match next {
            // These read what the batch writes, or must be known of before what comes after: the batch goes first.
            Queued::Presence { .. } | Queued::Flush { .. } | Queued::Work(_)
                if !batch.is_empty() =>
            {
                work.push_front(next);
                break;
            }
            Queued::Stanza { .. } if !state.is_ready() => {
                work.push_front(next);
                if !batch.is_empty() {
                    break;
                }
                state.put_back(work);
                return Step::Know;
            }
            Queued::Stanza { stanza, receipt } => {
                place_queued(account, &state, &mut batch, (stanza, receipt));
            }
            Queued::Unsent { messages, .. } => {
                for (_, stanza) in messages {
                    place_unsent(&state, &mut batch, stanza);
                }
            }
            Queued::Release(rows) => state.release(&rows),
            Queued::Insure { outbox, receipt } => {
                insure(&mut batch, &outbox);
                batch.insured.push((outbox, receipt));
            }
            Queued::Flush { session } => {
                state.put_back(work);
                return Step::Flush(session);
            }
            Queued::Work(one) => {
                state.put_back(work);
                return Step::Work(one);
            }
            presence @ Queued::Presence { session, .. } => {
                if apply_presence(&mut state, presence) {
                    state.put_back(work);
                    return Step::Flush(session);
                }
            }
        }
    }
    state.put_back(work);
    if batch.is_empty() {
        Step::Nothing
    } else {
        Step::Append(batch)
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.bounced.is_empty() && self.insured.is_empty()
    }
}

/// A message that an ended session had not written goes to the next, or to the spool, or back if its sender has been
/// blocked since.
fn place_unsent(state: &State, batch: &mut Batch, stanza: Stanza) {
    // The append looks again who is blocked, and tells the sender.
    let placed = if state.is_ready() && !blocking::blocked(state, &stanza) {
        place::place_again(state, stanza)
    } else {
        Placed::Store(stanza)
    };
    let unsent = |stanza| Entry {
        stanza,
        origin: Origin::Unsent,
    };
    match placed {
        Placed::Store(stanza) => {
            insure_overflowed(state, batch);
            batch.entries.push(unsent(stanza));
        }
        Placed::Refused(_, stanza) => batch.bounced.push(unsent(stanza)),
        Placed::Taken { .. } | Placed::Nowhere => {}
    }
}

fn place_queued(
    account: &Arc<Account>,
    state: &State,
    batch: &mut Batch,
    (stanza, receipt): (Stanza, oneshot::Sender<Outcome>),
) {
    // A sender that has gone no longer listens: its receipt may be dropped unread.
    match place::place(state, stanza) {
        Placed::Taken { outbox, at, .. } => {
            let _ = receipt.send(Ok(Safe::Written(account.clone(), outbox, at)));
        }
        Placed::Nowhere => {
            let _ = receipt.send(Ok(Safe::Now));
        }
        Placed::Store(stanza) => {
            insure_overflowed(state, batch);
            batch.entries.push(Entry {
                stanza,
                origin: Origin::Sender(receipt),
            });
        }
        Placed::Refused(error, _) => {
            let _ = receipt.send(Err(error));
        }
    }
}

/// What waits in an overflowed outbox is older than what goes to the spool because of that: it goes there first, so that
/// the order holds whatever becomes of the session.
fn insure_overflowed(state: &State, batch: &mut Batch) {
    for resource in state.reachable() {
        if resource.outbox.overflowed() {
            insure(batch, &resource.outbox);
        }
    }
}

fn insure(batch: &mut Batch, outbox: &Arc<Outbox>) {
    for ((at, stanza), copies) in outbox.uninsured() {
        let already = batch.entries.iter().any(|entry| {
            matches!(&entry.origin, Origin::Waiting(have, place, _)
                if Arc::ptr_eq(have, outbox) && *place == at)
        });
        if !already {
            batch.entries.push(Entry {
                stanza,
                origin: Origin::Waiting(outbox.clone(), at, copies),
            });
        }
    }
}

/// Appends a batch and tells everybody concerned.
async fn append(delivery: &Rc<Delivery>, account: &Arc<Account>, batch: Batch) {
    let Batch {
        entries,
        bounced,
        insured,
    } = batch;
    refuse(delivery, bounced, Condition::ServiceUnavailable);
    let result = match blocking::learn(&delivery.store, account).await {
        Ok(true) => {
            let (blocked, entries) = part_blocked(account, entries);
            refuse(delivery, blocked, Condition::ServiceUnavailable);
            append_rows(delivery, account, entries).await
        }
        Ok(false) => {
            refuse(delivery, entries, Condition::ServiceUnavailable);
            Ok(Vec::new())
        }
        Err(error) => {
            report(account, &error);
            refuse(delivery, entries, condition(&error));
            Err(condition(&error))
        }
    };
    for (outbox, receipt) in insured {
        let safe = |refused: &Refused| safe(account, &outbox, refused);
        // Who asked may have gone.
        let _ = receipt.send(
            result
                .as_ref()
                .map(safe)
                .map_err(|it| StanzaError::new(*it)),
        );
    }
}

/// Where messages wait that the spool had no room for.
type Refused = Vec<(Arc<Outbox>, Position)>;

/// When everything is safe that waited in `outbox`.
fn safe(account: &Arc<Account>, outbox: &Arc<Outbox>, refused: &Refused) -> Safe {
    let mut here = refused.iter().filter(|(at, _)| Arc::ptr_eq(at, outbox));
    match here.next_back() {
        None => Safe::Now,
        Some((_, last)) => Safe::Written(account.clone(), outbox.clone(), *last),
    }
}

/// Apart, in order: what comes from those whom the user blocks, and the rest. What waits in a session's outbox was there
/// before they were blocked.
fn part_blocked(account: &Account, entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let state = account.lock();
    let Some(state) = state.filter(|state| state.blocks().is_some_and(|list| !list.is_empty()))
    else {
        return (Vec::new(), entries);
    };
    entries.into_iter().partition(|entry| {
        !matches!(entry.origin, Origin::Waiting(..)) && blocking::blocked(&state, &entry.stanza)
    })
}

async fn append_rows(
    delivery: &Rc<Delivery>,
    account: &Arc<Account>,
    mut entries: Vec<Entry>,
) -> Result<Refused, Condition> {
    let mut refused = Refused::new();
    let quota = (delivery.settings)().offline_quota;
    while !entries.is_empty() {
        let rows = entries
            .iter()
            .map(|entry| row(delivery, account.bare(), &entry.stanza))
            .collect();
        match delivery.store.spool_append(rows, quota).await {
            Ok(ids) => {
                delivery.counters.spooled.add(ids.len() as u64);
                note(delivery, account, entries, &ids);
                return Ok(refused);
            }
            // Nothing of the call was kept: what fits goes again without the rest, which is refused.
            Err(StoreError::Quota { row }) => {
                let rest = entries.split_off(row.min(entries.len().saturating_sub(1)));
                tracing::warn!(owner = %account.bare(), refused = rest.len(), "the offline store of this user is full");
                let waiting = rest.iter().filter_map(|entry| match &entry.origin {
                    Origin::Waiting(outbox, at, _) => Some((outbox.clone(), *at)),
                    Origin::Sender(_) | Origin::Unsent => None,
                });
                refused.splice(0..0, waiting);
                refuse(delivery, rest, Condition::ResourceConstraint);
            }
            Err(error) => {
                report(account, &error);
                refuse(delivery, entries, condition(&error));
                return Err(condition(&error));
            }
        }
    }
    Ok(refused)
}

/// A spool row of the user `owner` (a bare JID): stamped with when and by whom it was stored (XEP-0203) and with an id that stays the same however often
/// it is delivered (XEP-0359).
pub(super) fn row(delivery: &Delivery, owner: &Jid, stanza: &Stanza) -> SpoolRow {
    let now = delivery.clock.wall_ms();
    let mut stanza = stanza.clone();
    // It parsed when it came in: content that does not parse now keeps no forged id either, having no elements.
    let _ = stanza.stanza_id(owner, &delivery.clock.random_id());
    stanza.add_delay(owner.domain(), &format_time(now));
    let expires = (delivery.settings)().offline_expiration_s.map(|seconds| {
        now.saturating_add(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX))
    });
    SpoolRow {
        stanza: stanza.to_bytes(),
        from: stanza.from().cloned(),
        owner: Owner::user(owner),
        stored_at: now,
        expires_at: expires,
    }
}

/// The rows are committed: receipts are ready, and outboxes learn which of their messages are safe.
fn note(delivery: &Rc<Delivery>, account: &Arc<Account>, entries: Vec<Entry>, ids: &[RowId]) {
    let mut late = Vec::new();
    let mut unsent = Vec::new();
    for (entry, id) in entries.into_iter().zip(ids) {
        match entry.origin {
            Origin::Sender(receipt) => {
                let _ = receipt.send(Ok(Safe::Now));
            }
            Origin::Unsent => {}
            Origin::Waiting(outbox, at, copies) => {
                let row = i64::from(*id);
                // The turn is held, so the account is in the directory.
                let Some(mut state) = account.lock() else {
                    continue;
                };
                state.carry(row);
                match outbox.insured(at, row) {
                    Insured::Waits => {}
                    Insured::Ended if state.unsent_is_stored(&outbox, at) => unsent.push(row),
                    // Another session waits to send it.
                    Insured::Ended if copies.is_some_and(|copies| copies.insure(row)) => {}
                    Insured::Ended | Insured::Safe => late.push(row),
                }
            }
        }
    }
    if !unsent.is_empty()
        && let Some(mut state) = account.lock()
    {
        state.give_back(&unsent);
    }
    delivery.delete_rows(account.bare(), late);
}

fn refuse(delivery: &Rc<Delivery>, entries: Vec<Entry>, condition: Condition) {
    for entry in entries {
        let error = StanzaError::new(condition);
        match entry.origin {
            Origin::Sender(receipt) => {
                let _ = receipt.send(Err(error));
            }
            // Its sender may have no receipt for it any more: the error goes out by itself.
            Origin::Unsent => {
                if let Some(error) = entry.stanza.error(&error) {
                    delivery.deliver(error);
                }
            }
            // It still waits for its session.
            Origin::Waiting(..) => {}
        }
    }
}

pub(super) fn condition(error: &StoreError) -> Condition {
    match error {
        StoreError::Full | StoreError::Overloaded => Condition::ResourceConstraint,
        _ => Condition::InternalServerError,
    }
}

fn report(account: &Account, error: &StoreError) {
    tracing::error!(owner = %account.bare(), %error, "cannot store messages");
}

/// Gives a session everything the spool holds for its user, in order, until its outbox is full.
async fn flush(delivery: &Rc<Delivery>, account: &Arc<Account>, session: u64) {
    let outbox = account.lock().and_then(|mut state| {
        let resource = state.session_mut(session)?;
        resource.priority?;
        Some(resource.outbox.clone())
    });
    let Some(outbox) = outbox else { return };
    if let Err(error) = blocking::learn(&delivery.store, account).await {
        tracing::error!(owner = %account.bare(), %error, "cannot fetch stored messages");
        return;
    }
    // New messages queue behind the turn, so the outbox may take directly again from here on.
    outbox.caught_up();
    let mut after = RowId::START;
    let owner = Owner::user(account.bare());
    loop {
        let page = match delivery.store.spool_fetch(&owner, after, FLUSH_PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%owner, %error, "cannot fetch stored messages");
                return;
            }
        };
        let Some((last, _)) = page.last() else { return };
        after = *last;
        for (id, bytes) in page {
            if !push_row(delivery, account, &outbox, (id, &bytes)) {
                return;
            }
        }
    }
}

/// Puts one spool row into an outbox. False when it takes no more.
fn push_row(
    delivery: &Rc<Delivery>,
    account: &Arc<Account>,
    outbox: &Outbox,
    (id, bytes): (RowId, &bytes::Bytes),
) -> bool {
    let row = i64::from(id);
    let Some(mut state) = account.lock() else {
        return false;
    };
    if !state.carry(row) {
        return true;
    }
    let stanza = match Stanza::from_bytes(bytes) {
        Ok(stanza) => stanza,
        Err(error) => {
            // A row that cannot be read would be tried at each login for ever (T13).
            tracing::error!(owner = %account.bare(), row, %error, "a stored message cannot be read and is deleted");
            drop(state);
            delivery.delete_rows(account.bare(), vec![row]);
            return true;
        }
    };
    if blocking::blocked(&state, &stanza) {
        // Blocked since it came: kept, it would be in the way of others for ever (XEP-0191 §3.3).
        drop(state);
        delivery.delete_rows(account.bare(), vec![row]);
        return true;
    }
    match outbox.push(Item {
        stanza,
        row: Some(row),
    }) {
        Pushed::At(_) | Pushed::Coalesced => true,
        Pushed::Full(_) | Pushed::Closed(_) => {
            state.release(&[row]);
            false
        }
    }
}
