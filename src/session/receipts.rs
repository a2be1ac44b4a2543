//! Receipts in order, and the answers that wait for them (DESIGN §5 Receipt).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::delivery::{Delivery, Receipt};
use crate::directory::{Progress, Safe};
use crate::stanza::{Condition, Stanza, StanzaError};

/// How long an answer waits for a recipient to take a message before the message goes to the spool.
pub(super) const INSURE_AFTER_MS: u64 = 20;

/// Receipts and answers that may wait; a session reads no more until there are fewer.
const WAITING_MAX: usize = 4096;

/// One session's receipts.
#[derive(Default)]
pub(super) struct Receipts {
    waiting: VecDeque<Receipt>,
    /// How many receipts have been ready and forgotten.
    passed: u64,
    /// Answers, each with the number of receipts that must have passed before it leaves.
    gated: VecDeque<(u64, Stanza)>,
    /// Since when the first answer has waited.
    gated_since_ms: Option<u64>,
}

impl Receipts {
    /// Notes the receipt of the stanza just routed.
    pub(super) fn push(&mut self, receipt: Receipt) {
        if matches!(receipt, Receipt::Ready | Receipt::Refused(_)) {
            return;
        }
        while let Some(Receipt::Written { outbox, at, .. }) = self.waiting.front()
            && outbox.is_written(*at)
        {
            self.pop();
        }
        // Messages to one outbox are written in order: the last one speaks for all.
        if let Receipt::Written { outbox, at, .. } = &receipt
            && let Some(Receipt::Written {
                outbox: last,
                at: last_at,
                ..
            }) = self.waiting.back_mut()
            && Arc::ptr_eq(outbox, last)
            && self.gated.is_empty()
        {
            *last_at = *at;
            return;
        }
        self.waiting.push_back(receipt);
    }

    fn pop(&mut self) {
        self.waiting.pop_front();
        self.passed = self.passed.saturating_add(1);
    }

    /// Takes an answer that acknowledges everything before it. Gives it back when it may leave at once.
    pub(super) fn gate(&mut self, answer: Stanza, now_ms: u64) -> Option<Stanza> {
        if self.waiting.is_empty() {
            return Some(answer);
        }
        let after = self
            .passed
            .saturating_add(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX));
        self.gated.push_back((after, answer));
        self.gated_since_ms.get_or_insert(now_ms);
        None
    }

    /// Whether nothing waits, neither receipt nor answer.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.gated.is_empty()
    }

    /// Whether the session should read no more for now.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.len() > WAITING_MAX || self.gated.len() > WAITING_MAX
    }

    /// When an answer will have waited long enough for its recipients.
    pub(super) fn insure_at_ms(&self) -> Option<u64> {
        let written = matches!(self.waiting.front(), Some(Receipt::Written { .. }));
        self.gated_since_ms
            .filter(|_| written)
            .map(|since| since.saturating_add(INSURE_AFTER_MS))
    }

    /// Looks at the receipts in order; returns errors for refused stanzas and answers that may leave now, in order.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        delivery: &Rc<Delivery>,
        now_ms: u64,
    ) -> Vec<Stanza> {
        let mut out = Vec::new();
        let mut failed = false;
        let due = self
            .gated_since_ms
            .is_some_and(|since| now_ms >= since.saturating_add(INSURE_AFTER_MS));
        // Nobody asks for it: it will be looked at when the next stanza comes.
        let unasked = self.gated.is_empty() && self.waiting.len() == 1;
        while let Some(receipt) = self.waiting.front_mut() {
            if unasked && matches!(receipt, Receipt::Written { .. }) {
                break;
            }
            match look(receipt, cx, delivery, due) {
                Look::Waits => break,
                Look::Changed(next) => *receipt = next,
                Look::Ready => self.pop(),
                Look::Answered(error) => {
                    out.extend(error);
                    self.pop();
                }
                Look::Failed => {
                    failed = true;
                    self.pop();
                }
            }
        }
        if failed {
            self.fail_answers(&mut out);
        }
        while let Some((after, _)) = self.gated.front()
            && *after <= self.passed
        {
            out.extend(self.gated.pop_front().map(|(_, answer)| answer));
        }
        if self.gated.is_empty() {
            self.gated_since_ms = None;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            // An idle session keeps no capacity.
            self.waiting = VecDeque::new();
        }
        out
    }

    /// An earlier stanza could not be made safe: what would have acknowledged it becomes an error.
    fn fail_answers(&mut self, out: &mut Vec<Stanza>) {
        for (_, answer) in self.gated.drain(..) {
            let mut error = Stanza::iq("error", answer.id().unwrap_or_default());
            error.set_from(answer.from().cloned());
            error.set_to(answer.to().cloned());
            out.push(
                error.with_child(&StanzaError::new(Condition::InternalServerError).to_element()),
            );
        }
    }
}

/// What a look at one receipt shows.
enum Look {
    /// Not yet; the task is woken when it changes.
    Waits,
    /// Another promise has taken its place.
    Changed(Receipt),
    /// The stanza is safe.
    Ready,
    /// The stanza was refused; this tells its sender, if anything may.
    Answered(Option<Stanza>),
    /// Whether it is safe cannot be said, so nothing may acknowledge it.
    Failed,
}

fn look(receipt: &mut Receipt, cx: &mut Context<'_>, delivery: &Rc<Delivery>, due: bool) -> Look {
    match receipt {
        Receipt::Ready | Receipt::Refused(_) => Look::Ready,
        Receipt::Written {
            account,
            outbox,
            at,
        } => match outbox.poll_written(*at, cx.waker()) {
            Progress::Written => Look::Ready,
            Progress::Waits if !due => Look::Waits,
            // The account's turn knows: it stores what still waits, and what a session left behind it stored before.
            Progress::Waits | Progress::Ended => delivery
                .insure(account, outbox)
                .map_or(Look::Ready, |outcome| {
                    Look::Changed(Receipt::Insured(outcome))
                }),
        },
        Receipt::Insured(outcome) => match Pin::new(outcome).poll(cx) {
            Poll::Pending => Look::Waits,
            Poll::Ready(Ok(Ok(_))) => Look::Ready,
            Poll::Ready(Ok(Err(_)) | Err(_)) => Look::Failed,
        },
        Receipt::Stored { outcome, stanza } => match Pin::new(outcome).poll(cx) {
            Poll::Pending => Look::Waits,
            Poll::Ready(Ok(Ok(Safe::Now))) => Look::Ready,
            Poll::Ready(Ok(Ok(Safe::Written(account, outbox, at)))) => {
                Look::Changed(Receipt::Written {
                    account,
                    outbox,
                    at,
                })
            }
            Poll::Ready(Ok(Err(error))) => Look::Answered(stanza.error(&error)),
            Poll::Ready(Err(_)) => {
                Look::Answered(stanza.error(&StanzaError::new(Condition::InternalServerError)))
            }
        },
    }
}
