//! What waits to be written to one session: bounded in bytes, filled by anybody, emptied by its session.
//!
//! A stanza is *safe* when it has been written or, once the peer acknowledges ([`Outbox::enable_acks`]), when it has been
//! acknowledged. Until then the outbox keeps it: whoever waits for it may want it in the spool, and what an ended session
//! leaves goes on to another.

mod acks;
mod copies;
mod handover;
mod insurance;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};

pub use acks::{AckLimits, AckTooHigh, Acked, Unacked};
pub use copies::{Copies, Left};
pub use handover::{Packed, Resumable, Wish};
pub use insurance::Insured;

use crate::limit::{Charge, Memory};
use crate::stanza::{Kind, Stanza};
use acks::Acks;
use handover::Handover;

/// What an entry costs beside its bytes.
const ITEM_OVERHEAD: usize = 128;

/// Presence may exceed the limit by this factor, because it coalesces per sender; what is more is thrown away, or refused where
/// it tells no state.
const PRESENCE_SLACK: usize = 2;

/// A stanza for one session.
#[derive(Clone)]
pub struct Item {
    /// The stanza, addressed.
    pub stanza: Stanza,
    /// The spool row that holds it too, deleted once it is safe.
    pub row: Option<i64>,
}

/// A stanza under way from the outbox to the socket, with its place.
pub type Numbered = (Position, Stanza);

/// Why somebody else ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Another session has bound the same resource (RFC 6120 §7.7.2.2).
    Conflict,
    /// The operator ended it; the text tells the peer why.
    Kicked(Arc<str>),
    /// The user's account is gone, or its password was changed.
    Revoked,
    /// Its domain is not served any more.
    HostGone,
    /// The server stops.
    Shutdown,
    /// It made the server keep too much while memory was short.
    Memory,
    /// Its client has too many sessions without a socket; this was the oldest.
    Expired,
}

/// Where a stanza stands in an outbox: [`Outbox::is_safe`] says when the recipient has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// What [`Outbox::push`] did.
pub enum Pushed {
    /// Taken.
    At(Position),
    /// Taken, in place of older presence of the same sender, or thrown away as such.
    Coalesced,
    /// No room: the caller stores it, or tells its sender.
    Full(Item),
    /// The session has ended.
    Closed(Item),
}

/// How a stanza in an outbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has been written, or acknowledged where the peer acknowledges.
    Safe,
    /// It waits.
    Waits,
    /// The session has ended before that: it went on to another resource or to the spool.
    Ended,
}

/// What the session takes for one write: the place of the last is told to [`Outbox::written`] after the write. The outbox
/// shares it until then, because who waits for these stanzas may want them in the spool.
pub type Drained = Arc<Vec<Numbered>>;

/// The queue between senders and one session. Shared by all workers.
pub struct Outbox {
    state: Mutex<State>,
    /// The last place up to which everything is safe.
    safe: AtomicU64,
    bytes: AtomicUsize,
    /// Bytes that the session has read and not handled yet.
    held: AtomicUsize,
    limit: usize,
}

struct State {
    queue: VecDeque<Numbered>,
    /// Drained and not written yet: older than the queue.
    underway: Option<Drained>,
    /// What it costs.
    underway_bytes: usize,
    /// Once the peer acknowledges: what it was sent and has not acknowledged, newer than what is under way, older than the
    /// queue.
    acks: Option<Box<Acks>>,
    /// The last place that was drained.
    drained: u64,
    /// What waits, what is under way, what is unacknowledged, what is held.
    charge: Charge,
    /// Spool rows of stanzas that are not safe yet, by place.
    rows: BTreeMap<u64, i64>,
    /// Messages that went to other sessions too, by place.
    copies: BTreeMap<u64, Copies>,
    pushed: u64,
    waker: Option<Waker>,
    waiters: Vec<(u64, Waker)>,
    closing: Option<Closing>,
    handover: Handover,
    closed: bool,
    overflowed: bool,
    /// How often it has overflowed.
    overflows: u64,
}

impl Outbox {
    /// An empty outbox that holds about `limit` bytes, charged to `memory`.
    #[must_use]
    pub fn new(limit: usize, memory: &Arc<Memory>) -> Outbox {
        Outbox {
            state: Mutex::new(State::new(memory.charge())),
            safe: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            limit,
        }
    }

    /// All that the server keeps for this session, in bytes: what waits, what is being written, what is unacknowledged,
    /// what is held.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.state.lock().charge.bytes()
    }

    /// For the session: it has read `bytes` that it has not handled yet.
    pub fn hold(&self, bytes: usize) {
        if self.held.swap(bytes, Ordering::Relaxed) != bytes {
            self.recharge(&mut self.state.lock());
        }
    }

    /// Called under the mutex by whoever has changed what is kept.
    fn recharge(&self, state: &mut State) {
        let held = self.held.load(Ordering::Relaxed);
        let unacked = state.acks.as_ref().map_or(0, |acks| acks.bytes());
        let kept = self.bytes().saturating_add(state.underway_bytes);
        state
            .charge
            .set(kept.saturating_add(unacked).saturating_add(held));
    }

    fn set_bytes(&self, state: &mut State, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.recharge(state);
    }

    /// Bytes that wait, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the session should read no more from its peer until some of this has been written.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.bytes() > self.limit / 2
    }

    /// Adds a stanza and wakes the session if it slept. Nobody waits here.
    pub fn push(&self, item: Item) -> Pushed {
        self.push_one(item, None)
    }

    fn push_one(&self, item: Item, copies: Option<&Copies>) -> Pushed {
        let size = cost(&item.stanza);
        let mut state = self.state.lock();
        if state.closed {
            return Pushed::Closed(item);
        }
        let bytes = self.bytes();
        let owes = item.stanza.kind() == Kind::Message && state.unacked() >= Unacked::TooMuch;
        if bytes.saturating_add(size) > self.limit || state.overflowed || owes {
            if item.stanza.kind() != Kind::Presence {
                // A lone stanza larger than the whole outbox still goes to a session that is idle.
                if !state.queue.is_empty() || state.overflowed || owes {
                    // The session counts the time from now on.
                    let first = state.overflow(item.stanza.kind());
                    let waker = state.waker.take_if(|_| first);
                    drop(state);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    return Pushed::Full(item);
                }
            } else if let Some(older) = state.coalesce(&item) {
                let bytes = bytes.saturating_sub(older).saturating_add(size);
                self.set_bytes(&mut state, bytes);
                return Pushed::Coalesced;
            } else if bytes > self.limit.saturating_mul(PRESENCE_SLACK) {
                return if tells_state(&item.stanza) {
                    Pushed::Coalesced
                } else {
                    Pushed::Full(item)
                };
            }
        }
        self.set_bytes(&mut state, bytes.saturating_add(size));
        state.pushed = state.pushed.saturating_add(1);
        let at = Position(state.pushed);
        if let Some(row) = item.row {
            state.rows.insert(at.0, row);
        }
        if let Some(copies) = copies {
            state.copies.insert(at.0, copies.held());
        }
        state.queue.push_back((at, item.stanza));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Pushed::At(at)
    }

    /// Asks the session to end.
    pub fn close(&self, why: Closing) {
        let mut state = self.state.lock();
        state.closing.get_or_insert(why);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For the session: up to about `max_bytes` of what waits, or `None`; then `waker` is woken by the next arrival. What it
    /// drained before has been written.
    pub fn drain(&self, max_bytes: usize, waker: &Waker) -> Option<Drained> {
        let mut state = self.state.lock();
        if state.queue.is_empty() {
            remember(&mut state.waker, waker);
            return None;
        }
        let mut stanzas = Vec::new();
        let mut taken = 0usize;
        if self.bytes() <= max_bytes {
            // All of it, with its memory: an idle session keeps no queue.
            taken = self.bytes();
            stanzas = Vec::from(std::mem::take(&mut state.queue));
        }
        while taken < max_bytes
            && let Some(numbered) = state.queue.pop_front()
        {
            taken = taken.saturating_add(cost(&numbered.1));
            stanzas.push(numbered);
        }
        self.bytes
            .store(self.bytes().saturating_sub(taken), Ordering::Relaxed);
        state.drained = stanzas.last().map_or(state.drained, |(at, _)| at.0);
        let drained = Arc::new(stanzas);
        if let Some(acks) = &mut state.acks {
            acks.note_sent(&drained, taken);
        } else {
            state.underway_bytes = taken;
            state.underway = Some(drained.clone());
        }
        Some(drained)
    }

    /// Whether somebody has asked the session to end.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// For the session: everything up to `upto` has been given to the operating system. Returns the spool rows that
    /// are not needed any more.
    #[must_use]
    pub fn written(&self, upto: Position) -> Vec<i64> {
        let mut state = self.state.lock();
        // A session drains again only when everything drained before has been written.
        state.underway = None;
        state.underway_bytes = 0;
        self.recharge(&mut state);
        let safe = match &state.acks {
            // What is counted is safe when it is acknowledged.
            Some(acks) => upto.0.min(acks.from),
            None => upto.0,
        };
        self.make_safe(state, safe)
    }

    /// Everything up to `upto` is safe.
    fn make_safe(&self, mut state: MutexGuard<'_, State>, upto: u64) -> Vec<i64> {
        if upto <= self.safe.load(Ordering::Relaxed) {
            return Vec::new();
        }
        // Under the mutex, so that a row noted by `insured` is seen either there or here.
        self.safe.store(upto, Ordering::Release);
        let mut rows = if state.rows.is_empty() {
            Vec::new()
        } else {
            let later = state.rows.split_off(&upto.saturating_add(1));
            let done = std::mem::replace(&mut state.rows, later);
            done.into_values().collect()
        };
        if !state.copies.is_empty() {
            let later = state.copies.split_off(&upto.saturating_add(1));
            let done = std::mem::replace(&mut state.copies, later);
            rows.extend(done.into_values().filter_map(Copies::arrived));
        }
        if !state.waiters.is_empty() {
            let (due, rest) = std::mem::take(&mut state.waiters)
                .into_iter()
                .partition::<Vec<_>, _>(|(at, _)| *at <= upto);
            state.waiters = rest;
            drop(state);
            for (_, waker) in due {
                waker.wake();
            }
        }
        rows
    }

    /// For the session: its peer acknowledges from here on. Stanzas drained after this are kept until then.
    pub fn enable_acks(&self, limits: AckLimits) {
        let mut state = self.state.lock();
        let from = state.drained;
        state.acks = Some(Box::new(Acks::new(from, limits)));
    }

    /// For the session: its peer has handled `h` stanzas since acknowledgements were enabled.
    ///
    /// # Errors
    /// More than were sent; nothing is changed.
    pub fn ack(&self, h: u32) -> Result<Acked, AckTooHigh> {
        let mut state = self.state.lock();
        let Some(acks) = &mut state.acks else {
            return Err(AckTooHigh { h, sent: 0 });
        };
        let (count, last) = acks.ack(h)?;
        let left = acks.level();
        self.recharge(&mut state);
        let rows = last.map_or_else(Vec::new, |last| self.make_safe(state, last.0));
        Ok(Acked { count, left, rows })
    }

    /// The place of the last stanza that was put here.
    #[must_use]
    pub fn last(&self) -> Position {
        Position(self.state.lock().pushed)
    }

    /// How much is unacknowledged.
    #[must_use]
    pub fn unacked(&self) -> Unacked {
        self.state.lock().unacked()
    }

    /// Adds an answer to something that the session itself asked, whatever the limit: it reads nothing more while its
    /// outbox is crowded, so these are bounded by one turn.
    pub fn push_answer(&self, stanza: Stanza) {
        let size = cost(&stanza);
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let bytes = self.bytes().saturating_add(size);
        self.set_bytes(&mut state, bytes);
        state.pushed = state.pushed.saturating_add(1);
        let at = Position(state.pushed);
        state.queue.push_back((at, stanza));
    }

    /// Whether the stanza at `at` is safe.
    #[must_use]
    pub fn is_safe(&self, at: Position) -> bool {
        self.safe.load(Ordering::Acquire) >= at.0
    }

    /// How the stanza at `at` stands; wakes `waker` when that changes.
    #[must_use]
    pub fn poll_safe(&self, at: Position, waker: &Waker) -> Progress {
        if self.is_safe(at) {
            return Progress::Safe;
        }
        let mut state = self.state.lock();
        if self.is_safe(at) {
            return Progress::Safe;
        }
        if state.closed {
            return Progress::Ended;
        }
        if !state.waiters.iter().any(|(_, have)| have.will_wake(waker)) {
            state.waiters.push((at.0, waker.clone()));
        }
        Progress::Waits
    }

    /// The session has ended and the outbox takes no more. Returns what was not safe, in order, with the spool rows
    /// that hold it.
    #[must_use]
    pub fn finish(&self) -> Vec<(Numbered, Option<i64>)> {
        let mut state = self.state.lock();
        state.closed = true;
        state.handover = Handover::No;
        state.underway_bytes = 0;
        let unacked = state.acks.as_mut().map(|acks| acks.take());
        self.held.store(0, Ordering::Relaxed);
        self.set_bytes(&mut state, 0);
        let waiters = std::mem::take(&mut state.waiters);
        let underway = state.underway.take();
        let queue = std::mem::take(&mut state.queue);
        let mut rows = std::mem::take(&mut state.rows);
        drop(state);
        for (_, waker) in waiters {
            waker.wake();
        }
        underway
            .iter()
            .flat_map(|drained| drained.iter().cloned())
            .chain(unacked.into_iter().flatten())
            .chain(queue)
            .map(|(at, stanza)| {
                let row = rows.remove(&at.0);
                ((at, stanza), row)
            })
            .collect()
    }

    /// Whether messages have gone to the spool because this outbox was full; cleared by the flush that fetches them.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.state.lock().overflowed
    }

    /// Like [`Outbox::overflowed`], with a number that is another for each time: the session asks once for each, when its
    /// peer has acknowledged enough for there to be room.
    #[must_use]
    pub fn overflow(&self) -> Option<u64> {
        let state = self.state.lock();
        let room = state.overflowed && state.unacked() <= Unacked::Little;
        room.then_some(state.overflows)
    }

    /// The flush has caught up: new messages may come directly again.
    pub fn caught_up(&self) {
        self.state.lock().overflowed = false;
    }
}

fn cost(stanza: &Stanza) -> usize {
    stanza.size().saturating_add(ITEM_OVERHEAD)
}

/// Whether it says no more than how its sender is: the next such presence says all that is still true. Subscriptions, probes
/// and errors stand each for itself.
fn tells_state(presence: &Stanza) -> bool {
    matches!(presence.type_(), "" | "unavailable")
}

impl State {
    fn new(charge: Charge) -> State {
        State {
            queue: VecDeque::new(),
            underway: None,
            underway_bytes: 0,
            acks: None,
            drained: 0,
            charge,
            rows: BTreeMap::new(),
            copies: BTreeMap::new(),
            pushed: 0,
            waker: None,
            waiters: Vec::new(),
            closing: None,
            handover: Handover::No,
            closed: false,
            overflowed: false,
            overflows: 0,
        }
    }

    fn unacked(&self) -> Unacked {
        let acks = self.acks.as_ref();
        acks.map_or(Unacked::Nothing, |acks| acks.level())
    }

    /// Whether it has just begun.
    fn overflow(&mut self, kind: Kind) -> bool {
        let first = kind == Kind::Message && !self.overflowed;
        if first {
            self.overflowed = true;
            self.overflows = self.overflows.saturating_add(1);
        }
        first
    }

    /// Replaces waiting presence of the same sender for the same address (DESIGN §5 Outbox) and says what that had cost. Not
    /// across a subscription, which the newer presence may follow from.
    fn coalesce(&mut self, item: &Item) -> Option<usize> {
        if !tells_state(&item.stanza) {
            return None;
        }
        let ends = |stanza: &Stanza| (stanza.from().cloned(), stanza.to().cloned());
        let way = ends(&item.stanza);
        let older = self
            .queue
            .iter_mut()
            .rev()
            .find(|(_, have)| have.kind() == Kind::Presence && ends(have) == way);
        let (_, older) = older.filter(|(_, older)| tells_state(older))?;
        let cost = cost(older);
        *older = item.stanza.clone();
        Some(cost)
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(have) if have.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
}

#[cfg(test)]
mod tests;
