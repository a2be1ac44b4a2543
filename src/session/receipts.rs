//! Receipts in order, and the answers that wait for them (DESIGN §5 Receipt).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::delivery::{Delivery, Receipt};
use crate::directory::{Account, Outbox, Progress, Safe};
use crate::stanza::{Condition, Kind, Stanza, StanzaError};

/// How long an answer waits for a recipient to take a message before the message goes to the spool.
pub(super) const INSURE_AFTER_MS: u64 = 20;

/// Receipts and answers that may wait; a session reads no more until there are fewer.
const WAITING_MAX: usize = 4096;

/// One session's receipts.
#[derive(Default)]
pub(super) struct Receipts {
    waiting: VecDeque<Waiting>,
    /// How many receipts have been ready and forgotten.
    passed: u64,
    /// The number of the last stanza that is safe with all before it, where they are counted.
    handled: u64,
    /// The number of a stanza cannot be told, because it cannot be said whether it is safe.
    failed: bool,
    /// Answers, each with the number of receipts that must have passed before it leaves.
    gated: VecDeque<(u64, Stanza)>,
    /// Since when the first answer has waited.
    gated_since_ms: Option<u64>,
    /// Since when the peer has waited to hear how much is handled.
    asked_since_ms: Option<u64>,
}

/// A receipt, and the number of the last stanza that is handled when it is ready: receipts are in order.
struct Waiting {
    receipt: Receipt,
    number: u64,
}

impl Receipts {
    /// Goes on behind `handled` stanzas.
    pub(super) fn since(handled: u64) -> Receipts {
        Receipts {
            handled,
            ..Receipts::default()
        }
    }

    /// Notes the receipt of the stanza just routed, and its number (0: it is not counted).
    pub(super) fn push(&mut self, receipt: Receipt, number: u64) {
        if matches!(receipt, Receipt::Ready | Receipt::Refused(_)) {
            match self.waiting.back_mut() {
                None => self.handled = number,
                Some(last) => last.number = number,
            }
            return;
        }
        while let Some(Waiting {
            receipt: Receipt::Written { outbox, at, .. },
            ..
        }) = self.waiting.front()
            && outbox.is_safe(*at)
        {
            self.pop();
        }
        // Messages to one outbox are written in order: the last one speaks for all.
        if let Receipt::Written { outbox, at, .. } = &receipt
            && let Some(Waiting {
                receipt:
                    Receipt::Written {
                        outbox: last,
                        at: last_at,
                        ..
                    },
                number: last_number,
            }) = self.waiting.back_mut()
            && Arc::ptr_eq(outbox, last)
            && self.gated.is_empty()
            && self.asked_since_ms.is_none()
        {
            *last_at = *at;
            *last_number = number;
            return;
        }
        self.waiting.push_back(Waiting { receipt, number });
    }

    fn pop(&mut self) {
        if let Some(passed) = self.waiting.pop_front() {
            self.handled = passed.number;
        }
        self.passed = self.passed.saturating_add(1);
    }

    /// The number of the last stanza that is safe with all before it.
    pub(super) fn handled(&self) -> u64 {
        self.handled
    }

    /// Whether there was a stanza that can never be said to be safe: what is handled is not told any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes an answer to the session's own peer, and gives it back when it may leave at once: an iq's acknowledges
    /// everything before it, so it waits until that is safe.
    pub(super) fn answer(&mut self, answer: Stanza, now_ms: u64) -> Option<Stanza> {
        if answer.kind() == Kind::Iq {
            self.gate(answer, now_ms)
        } else {
            Some(answer)
        }
    }

    fn gate(&mut self, answer: Stanza, now_ms: u64) -> Option<Stanza> {
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

    /// Notes since when the peer has waited to hear how much is handled.
    pub(super) fn asked(&mut self, since_ms: Option<u64>) {
        self.asked_since_ms = since_ms;
    }

    /// Since when somebody has waited for the receipts.
    fn wanted_since_ms(&self) -> Option<u64> {
        [self.gated_since_ms, self.asked_since_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// When somebody will have waited long enough for the recipients.
    pub(super) fn insure_at_ms(&self) -> Option<u64> {
        let first = self.waiting.front().map(|waiting| &waiting.receipt);
        let written = matches!(first, Some(Receipt::Written { .. }));
        self.wanted_since_ms()
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
            .wanted_since_ms()
            .is_some_and(|since| now_ms >= since.saturating_add(INSURE_AFTER_MS));
        // Nobody asks for it: it will be looked at when the next stanza comes.
        let unasked = self.wanted_since_ms().is_none() && self.waiting.len() == 1;
        while let Some(Waiting { receipt, .. }) = self.waiting.front_mut() {
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
                    self.failed = true;
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

/// Asks the recipient's account turn to see to what waits in `outbox`.
fn insured(delivery: &Rc<Delivery>, account: &Arc<Account>, outbox: &Arc<Outbox>) -> Look {
    match delivery.insure(account, outbox) {
        Some(outcome) => Look::Changed(Receipt::Insured(outcome)),
        None => Look::Ready,
    }
}

fn look(receipt: &mut Receipt, cx: &mut Context<'_>, delivery: &Rc<Delivery>, due: bool) -> Look {
    match receipt {
        Receipt::Ready | Receipt::Refused(_) => Look::Ready,
        Receipt::Written {
            account,
            outbox,
            at,
        } => match outbox.poll_safe(*at, cx.waker()) {
            Progress::Safe => Look::Ready,
            Progress::Waits if !due => Look::Waits,
            // The account's turn knows: it stores what still waits, and what a session left behind it stored before. Nobody
            // stores anything for a component.
            Progress::Waits | Progress::Ended => match account {
                Some(account) => insured(delivery, account, outbox),
                None => Look::Ready,
            },
        },
        Receipt::Taken {
            account,
            outbox,
            at,
        } => match outbox.poll_safe(*at, cx.waker()) {
            Progress::Safe => Look::Ready,
            Progress::Waits => Look::Waits,
            Progress::Ended => insured(delivery, account, outbox),
        },
        Receipt::Insured(outcome) => match Pin::new(outcome).poll(cx) {
            Poll::Pending => Look::Waits,
            Poll::Ready(Ok(Ok(Safe::Written(account, outbox, at)))) => {
                Look::Changed(Receipt::Taken {
                    account,
                    outbox,
                    at,
                })
            }
            Poll::Ready(Ok(Ok(_))) => Look::Ready,
            Poll::Ready(Ok(Err(_)) | Err(_)) => Look::Failed,
        },
        Receipt::Stored { outcome, stanza } => match Pin::new(outcome).poll(cx) {
            Poll::Pending => Look::Waits,
            Poll::Ready(Ok(Ok(Safe::Now))) => Look::Ready,
            Poll::Ready(Ok(Ok(Safe::Written(account, outbox, at)))) => {
                Look::Changed(Receipt::Written {
                    account: Some(account),
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
