//! One turn of a session: what happens between two wake-ups.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{CLOSE_TIME, End, HELD_MAX, Session};
use crate::delivery::Receipt;
use crate::directory::{Closing, Wish};
use crate::hook::PeerKind;
use crate::jid::Jid;
use crate::router::{Outcome, Parked, Routed};
use crate::stanza::{Address, ParseError, Stanza};
use crate::stream::StreamCondition;
use crate::stream::sm::{Managed, Management};
use crate::xml::{Frame, Raw};

/// A stanza that was read behind one whose hook waits.
pub(super) enum Held {
    /// To be routed.
    Stanza(Stanza),
    /// No stanza that can be routed; this answers it, if anything does.
    Refused(Option<Box<Stanza>>),
}

impl Held {
    fn size(&self) -> usize {
        match self {
            Held::Stanza(stanza) => stanza.size(),
            Held::Refused(answer) => answer.as_ref().map_or(0, |answer| answer.size()),
        }
    }
}

impl Session {
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) {
        if let Some(wish) = self.outbox.wish(cx.waker()) {
            self.end = Some(match wish {
                Wish::End(closing) => End::asked(closing),
                Wish::HandOver => End::Resumed,
            });
            return;
        }
        self.poll_parked(cx);
        self.poll_receipts(cx);
        if self.end.is_none() {
            self.poll_read(cx);
            // Whatever a stanza of this turn waits for must be polled once to wake us.
            self.poll_parked(cx);
        }
        if self.end.is_none() {
            // Receipts that this turn's stanzas made may be ready already; others must be polled once to wake us.
            self.poll_receipts(cx);
            self.poll_write(cx);
        }
        if self.end.is_none() && self.is_leaving() {
            self.leave();
        }
        if self.end.is_none() {
            self.outbox.hold(self.held_bytes());
            self.poll_deadline(cx);
        }
    }

    /// Read and not routed yet: part of a stanza, whole ones behind it, those that wait for a script.
    fn held_bytes(&self) -> usize {
        let held = self.held.iter().map(Held::size);
        held.fold(self.framer.buffered(), usize::saturating_add)
            .saturating_add(self.leftover.len())
    }

    /// Goes on with the stanza whose hook waits, and with those held behind it.
    fn poll_parked(&mut self, cx: &mut Context<'_>) {
        while let Some(parked) = self.parked.as_mut() {
            let Poll::Ready((verdict, event)) = parked.waiting.as_mut().poll(cx) else {
                return;
            };
            let at = parked.at;
            self.parked = None;
            let routed = self.shared.router.resume(at, verdict, event);
            self.settle(routed);
            while self.parked.is_none()
                && !self.is_leaving()
                && let Some(held) = self.held.pop_front()
            {
                match held {
                    Held::Stanza(stanza) => self.route(stanza),
                    Held::Refused(answer) => self.refuse(answer),
                }
            }
            if self.held.is_empty() {
                // An idle session keeps no room for what is rare.
                self.held = VecDeque::new();
            }
        }
    }

    fn poll_receipts(&mut self, cx: &mut Context<'_>) {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        let ready = self
            .receipts
            .poll(cx, self.shared.router.delivery(), now_ms);
        for stanza in ready {
            self.outbox.push_answer(stanza);
        }
        self.tell_handled(now_ms);
    }

    /// Reads and routes, at most so many stanzas, and nothing while answers of its own crowd the outbox.
    fn poll_read(&mut self, cx: &mut Context<'_>) {
        let mut left = self.shared.stanzas_per_turn;
        self.paused = false;
        if !self.leftover.is_empty() && self.may_read() {
            let input = std::mem::take(&mut self.leftover);
            self.take_input(&input, &mut left);
        }
        while self.end.is_none() && self.leftover.is_empty() && self.may_read() {
            let mut buffer = self.shared.buffers.take_read();
            let read = self.io.poll_read(cx, &mut buffer);
            match read {
                Poll::Pending => {
                    self.shared.buffers.give_read(buffer);
                    return;
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.read_at_ms = self.shared.timers.clock().monotonic_ms();
                    let input = buffer.get(..count).unwrap_or_default();
                    self.take_input(input, &mut left);
                }
                Poll::Ready(Ok(_)) => self.end = Some(End::Lost),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(jid = %self.peer.jid, %error, "the socket failed");
                    self.end = Some(End::Broken);
                }
            }
            self.shared.buffers.give_read(buffer);
        }
        if self.end.is_none() && !self.leftover.is_empty() && self.may_read() {
            // The turn is over, not the input: others first.
            cx.waker().wake_by_ref();
        }
        self.paused = self.end.is_none() && !self.may_read();
    }

    fn is_leaving(&self) -> bool {
        self.peer.revoked.load(Ordering::Relaxed)
    }

    /// Ends a session whose account is gone, when everything it was told is written, or the time for that is over.
    fn leave(&mut self) {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        let by_ms = *self.leave_by_ms.get_or_insert(after(now_ms, CLOSE_TIME));
        let written =
            self.receipts.is_empty() && self.outbox.bytes() == 0 && self.writing.is_idle();
        if written || now_ms >= by_ms {
            self.end = Some(End::asked(Closing::Revoked));
        }
    }

    fn may_read(&self) -> bool {
        !self.is_leaving()
            && !self.outbox.is_crowded()
            && !self.receipts.is_crowded()
            && self.held.len() < HELD_MAX
    }

    /// Cuts `input` into stanzas and routes them; keeps what the turn does not come to.
    fn take_input(&mut self, mut input: &[u8], left: &mut usize) {
        while self.end.is_none() {
            if *left == 0 || !self.may_read() {
                self.leftover.extend_from_slice(input);
                return;
            }
            match self.framer.next(&mut input) {
                Ok(Some(Frame::Stanza(raw))) => {
                    *left = left.saturating_sub(1);
                    self.take_stanza(&raw);
                }
                Ok(Some(Frame::Whitespace)) => {}
                Ok(Some(Frame::End)) => self.end = Some(End::ByPeer),
                Ok(Some(Frame::Header(_))) => {
                    self.end = Some(End::Error(StreamCondition::NotWellFormed, None));
                }
                Ok(None) => return,
                Err(error) => {
                    let condition = StreamCondition::of(&error);
                    self.end = Some(End::Error(condition, error.application_condition()));
                }
            }
        }
    }

    fn take_stanza(&mut self, raw: &Raw) {
        match Stanza::from_raw(raw, &self.header) {
            Ok(stanza) => self.admit(stanza),
            // XEP-0114 has no features, so that nothing beside stanzas was offered.
            Err(ParseError::NotStanza(_)) if self.peer.kind == PeerKind::Component => {
                self.end = Some(End::Error(StreamCondition::UnsupportedStanzaType, None));
            }
            Err(ParseError::NotStanza(element)) => match Management::read(&element) {
                Managed::Yes(said) => self.manage(said),
                Managed::Malformed => {
                    self.end = Some(End::Error(StreamCondition::BadFormat, None));
                }
                Managed::No => {
                    self.end = Some(End::Error(StreamCondition::UnsupportedStanzaType, None));
                }
            },
            Err(ParseError::Xml(error)) => {
                let condition = StreamCondition::of(&error);
                self.end = Some(End::Error(condition, error.application_condition()));
            }
            Err(ParseError::BadAddress {
                which: Address::From,
                ..
            }) => self.end = Some(End::Error(StreamCondition::InvalidFrom, None)),
            Err(ParseError::BadAddress { reply, .. }) => {
                // There is no address that the error could come from; to a component it must come from one.
                let component = self.peer.kind == PeerKind::Component;
                let from = component.then(|| self.peer.jid.clone());
                self.complain(reply.map(|mut reply| {
                    reply.set_from(from);
                    reply
                }));
            }
            Err(ParseError::BadStanza { reply, .. }) => self.complain(reply),
        }
    }

    /// Answers a stanza that is none: whoever claims to have sent it, if the stream may speak for that.
    fn complain(&mut self, reply: Option<Box<Stanza>>) {
        let mut reply = reply;
        if let Some(reply) = &mut reply {
            match self.sender(reply.to(), reply.from()) {
                Ok(from) => reply.set_to(Some(from)),
                Err(condition) => {
                    self.end = Some(End::Error(condition, None));
                    return;
                }
            }
        }
        self.count_received();
        if self.parked.is_some() {
            self.held.push_back(Held::Refused(reply));
        } else {
            self.refuse(reply);
        }
    }

    /// Who sends a stanza with these addresses, of those for whom the stream has proved that it speaks.
    ///
    /// # Errors
    /// The stream ends: it claims to speak for others (RFC 6120 §8.1.2.1), or an address is not there (XEP-0114 §3).
    fn sender(&self, from: Option<&Jid>, to: Option<&Jid>) -> Result<Jid, StreamCondition> {
        let own = &self.peer.jid;
        match (self.peer.kind, from) {
            (PeerKind::Component, None) => Err(StreamCondition::ImproperAddressing),
            (PeerKind::Component, Some(from)) if !self.peer.is_at(from) => {
                Err(StreamCondition::InvalidFrom)
            }
            (PeerKind::Component, Some(from)) => {
                let to = to.ok_or(StreamCondition::ImproperAddressing);
                to.map(|_| from.clone())
            }
            (_, Some(from)) if from != own && from.as_str() != own.bare_str() => {
                Err(StreamCondition::InvalidFrom)
            }
            _ => Ok(own.clone()),
        }
    }

    /// Stamps `from` with what the stream proved.
    fn admit(&mut self, mut stanza: Stanza) {
        match self.sender(stanza.from(), stanza.to()) {
            Ok(from) => stanza.set_from(Some(from)),
            Err(condition) => {
                self.end = Some(End::Error(condition, None));
                return;
            }
        }
        self.count_received();
        if self.parked.is_some() {
            self.held.push_back(Held::Stanza(stanza));
        } else {
            self.route(stanza);
        }
    }

    /// What could not be routed counts as handled: its sender has its error.
    fn refuse(&mut self, answer: Option<Box<Stanza>>) {
        let number = self.count_settled();
        self.receipts.push(Receipt::Ready, number);
        if let Some(answer) = answer {
            self.answer(*answer);
        }
    }

    fn route(&mut self, stanza: Stanza) {
        let routed = self.shared.router.route(&self.peer, stanza, 0);
        self.settle(routed);
    }

    fn settle(&mut self, routed: Routed) {
        match routed {
            Routed::Done(Outcome { answers, receipt }) => {
                let number = self.count_settled();
                self.receipts.push(receipt, number);
                for answer in answers {
                    self.answer(answer);
                }
                if number > 0 {
                    // Who asked behind this one hears of it before those behind it are routed.
                    self.tell_handled(self.shared.timers.clock().monotonic_ms());
                }
            }
            Routed::Wait(Parked { waiting, at }) => self.parked = Some(Parked { waiting, at }),
        }
        self.shared.router.drain();
    }

    fn answer(&mut self, answer: Stanza) {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        if let Some(answer) = self.receipts.answer(answer, now_ms) {
            self.outbox.push_answer(answer);
        }
    }

    /// Writes until the socket takes no more or the outbox is empty.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        loop {
            if !self.writing.is_idle() {
                match self.writing.poll(cx, &mut self.io) {
                    Poll::Pending => return,
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(jid = %self.peer.jid, %error, "the socket failed");
                        self.end = Some(End::Broken);
                        return;
                    }
                    Poll::Ready(Ok(())) => self.note_written(),
                }
            }
            let taken = self.writing.fill(cx, &self.outbox, &self.shared.buffers);
            self.follow_up(taken);
            if self.writing.is_idle() {
                break;
            }
            let counters = self.shared.router.counters();
            counters.stanzas_out.add(taken as u64);
        }
        let overflow = self.outbox.overflow();
        if overflow.is_some() && overflow != self.caught_up {
            self.caught_up = overflow;
            match self.peer.kind {
                // Nothing waits in the spool for a component: who sent it was told.
                PeerKind::Component => self.outbox.caught_up(),
                PeerKind::Client | PeerKind::Internal => {
                    let delivery = self.shared.router.delivery();
                    delivery.catch_up(&self.peer.jid, self.peer.id);
                }
            }
        }
        if self.paused && self.may_read() {
            // Reading had stopped because of what has now been written.
            cx.waker().wake_by_ref();
        }
    }

    /// The operating system has everything: receipts become ready, spool rows go.
    pub(super) fn note_written(&mut self) {
        if let Some(upto) = self.writing.take_written(&self.shared.buffers) {
            let rows = self.outbox.written(upto);
            let delivery = self.shared.router.delivery();
            delivery.delete_rows(&self.peer.jid, rows);
        }
        self.said_all();
    }

    /// The next of: silence, an outbox that stays full, an answer that has waited for its recipients.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        // Full, or it has been: what overflowed is in the spool, and a small outbox is empty while its last write hangs.
        let full = || self.outbox.is_crowded() || self.outbox.overflowed();
        self.full_since_ms = if !self.writing.is_idle() && full() {
            self.full_since_ms.or(Some(now_ms))
        } else {
            None
        };
        let stall_at = self
            .full_since_ms
            .map(|since| after(since, self.shared.outbox_stall));
        let idle_at = self
            .settings
            .idle_time
            .map(|idle| after(self.read_at_ms, idle));
        if stall_at.is_some_and(|at| now_ms >= at) {
            tracing::info!(jid = %self.peer.jid, "closing a session that does not read");
            self.end = Some(End::Stuck(StreamCondition::PolicyViolation));
            return;
        }
        if idle_at.is_some_and(|at| now_ms >= at) {
            self.end = Some(End::Stuck(StreamCondition::ConnectionTimeout));
            return;
        }
        let manage_at = self.poll_management(now_ms);
        if self.end.is_some() {
            return;
        }
        let next = [
            stall_at,
            idle_at,
            manage_at,
            self.leave_by_ms,
            self.receipts.insure_at_ms(),
        ]
        .into_iter()
        .flatten()
        .min();
        match next {
            None => self.deadline.disarm(),
            Some(at) => {
                if self.deadline.poll_at(cx, at).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
        }
    }
}

pub(super) fn after(since_ms: u64, time: Duration) -> u64 {
    since_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
