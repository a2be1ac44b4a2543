//! A session without a socket (XEP-0198 §5): it waits for its client to come back, and for what its stanzas wait for.
//!
//! Also the way of a session from one socket to the next: whoever resumes asks for it through its outbox, and gets it when
//! what its client sent before is done with, or cannot be waited for.

use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::counters::Inbound;
use super::saved::{SAVED_KIND, SAVED_MAX, Saved};
use crate::directory::{Closing, Outbox, Outcome, Position, Resumable, Wish};
use crate::hook::Peer;
use crate::net::Deadline;
use crate::router::{Parked, Routed};
use crate::session::receipts::Receipts;
use crate::session::turn::after;
use crate::session::{End, Registered, Session, Shared, unregister};

/// How long a script that waits is waited for when somebody resumes; its stanza is sent again by the client then.
const HOOK_TIME: Duration = Duration::from_secs(2);

/// How long the disk is waited for, likewise.
const SAFE_TIME: Duration = Duration::from_secs(5);

/// A session that keeps neither socket nor buffers.
pub(in crate::session) struct Detached {
    shared: Rc<Shared>,
    peer: Arc<Peer>,
    outbox: Arc<Outbox>,
    inbound: Inbound,
    receipts: Receipts,
    parked: Option<Parked>,
    resume_time: Duration,
    until_ms: u64,
    deadline: Deadline,
    /// Since when somebody has asked to go on in its place, or the server has been stopping.
    asked_since_ms: Option<u64>,
    /// What waits behind this place is not in the spool yet.
    insured: Position,
    insuring: Option<oneshot::Receiver<Outcome>>,
}

impl Session {
    /// Whether it stays when its socket is gone.
    pub(in crate::session) fn is_resumable(&self) -> bool {
        let resumable = self.sm.as_ref().is_some_and(|sm| sm.resume_time.is_some());
        resumable && !self.peer.revoked.load(Ordering::Relaxed) && !self.receipts.has_failed()
    }

    /// Parts from the socket, which is still to be closed. What was read and not routed is not counted: the client sends
    /// it again.
    pub(in crate::session) fn detach(&mut self) -> Option<Detached> {
        let sm = self.sm.take()?;
        let resume_time = sm.resume_time?;
        self.held.clear();
        self.leftover = Vec::new();
        self.outbox.hold(0);
        self.writing.forget_place();
        if self.end == Some(End::Lost) {
            // Nothing is closed but a socket.
            self.end = Some(End::Broken);
        }
        let detached = Detached {
            shared: self.shared.clone(),
            peer: self.peer.clone(),
            outbox: self.outbox.clone(),
            inbound: sm.inbound,
            receipts: std::mem::take(&mut self.receipts),
            parked: self.parked.take(),
            resume_time,
            until_ms: self.in_ms(resume_time),
            deadline: self.shared.timers.deadline(),
            asked_since_ms: None,
            insured: Position(0),
            insuring: None,
        };
        Some(detached)
    }
}

/// How a session without a socket is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Somebody goes on with it.
    Taken,
    /// Nobody does.
    Ended,
    /// The server stops, and it may go on when that starts again.
    Stopped,
}

/// What became of saving a session.
enum Saving {
    Done,
    /// Something has come for it that is not on disk.
    Again,
    /// It ends.
    Impossible,
}

/// Keeps a session that was handed over, and whose new socket has failed before it could go on; or one that was restored,
/// until `until_ms`.
pub(in crate::session) fn keep(
    shared: Rc<Shared>,
    registered: &Registered,
    resumable: Resumable,
    until_ms: Option<u64>,
) {
    registered.outbox.put_back();
    let clock = shared.timers.clock();
    let full_time = || after(clock.monotonic_ms(), resumable.resume_time);
    let until_ms = until_ms.unwrap_or_else(full_time);
    let resume_time = resumable.resume_time;
    let handled = resumable.handled;
    let peer = Arc::new(registered.peer(&shared, (None, None), resumable.vars));
    let detached = Detached {
        peer,
        outbox: registered.outbox.clone(),
        inbound: Inbound::since(handled),
        receipts: Receipts::since(handled),
        parked: None,
        resume_time,
        until_ms,
        deadline: shared.timers.deadline(),
        asked_since_ms: None,
        insured: Position(0),
        insuring: None,
        shared,
    };
    detached.start();
}

impl Detached {
    /// Runs it as a task of this worker, and lets the directory know.
    pub(in crate::session) fn start(self) {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        let most = (self.shared.sm)().detached_most;
        let delivery = self.shared.router.delivery();
        delivery.directory().with(&self.peer.jid, |_, state| {
            if let Some(resource) = state.session_mut(self.peer.id) {
                resource.detached_at_ms = Some(now_ms);
            }
            // Bounds what a user leaves behind (T34).
            if let Some((oldest, count)) = state.detached()
                && count > most
            {
                oldest.outbox.close(Closing::Expired);
            }
        });
        self.shared.router.counters().detached.one();
        tracing::debug!(jid = %self.peer.jid, "the session waits for its client to come back");
        tokio::task::spawn_local(self.run());
    }

    async fn run(mut self) {
        loop {
            let over = poll_fn(|cx| {
                let poll = catch_unwind(AssertUnwindSafe(|| self.poll(cx)));
                poll.unwrap_or_else(|_| {
                    self.shared.router.counters().panics.one();
                    tracing::error!(jid = %self.peer.jid, "a panic ends this session");
                    Poll::Ready(Over::Ended)
                })
            })
            .await;
            let saving = match over {
                Over::Taken => return,
                Over::Stopped => self.save().await,
                Over::Ended => Saving::Impossible,
            };
            match saving {
                Saving::Done => return,
                Saving::Again => {}
                Saving::Impossible => break,
            }
        }
        tracing::debug!(jid = %self.peer.jid, "the session ends without its client");
        unregister(&self.shared, &self.peer, &self.outbox);
    }

    /// Ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let now_ms = self.shared.timers.clock().monotonic_ms();
        let wish = self.outbox.wish(cx.waker());
        let stops = wish == Some(Wish::End(Closing::Shutdown));
        match wish {
            Some(Wish::End(_)) if !stops => return Poll::Ready(Over::Ended),
            Some(_) => {
                self.asked_since_ms.get_or_insert(now_ms);
            }
            None => self.asked_since_ms = None,
        }
        if self.asked_since_ms.is_none() && now_ms >= self.until_ms {
            return Poll::Ready(Over::Ended);
        }
        self.poll_parked(cx, now_ms);
        // Who wants to go on waits for the disk, not for the recipients.
        self.receipts.asked(self.asked_since_ms.map(|_| 0));
        let ready = self
            .receipts
            .poll(cx, self.shared.router.delivery(), now_ms);
        for stanza in ready {
            self.outbox.push_answer(stanza);
        }
        if self.receipts.has_failed() {
            return Poll::Ready(Over::Ended);
        }
        self.poll_insure(cx);
        if let Some(since) = self.asked_since_ms {
            let mut done = self.parked.is_none() && self.receipts.is_empty();
            // What is saved is on disk as messages first.
            done &= !stops || self.insuring.is_none();
            if done || now_ms >= after(since, SAFE_TIME) {
                if stops {
                    return Poll::Ready(Over::Stopped);
                }
                if self.hand_over() {
                    return Poll::Ready(Over::Taken);
                }
            }
        }
        let next = match self.asked_since_ms {
            None => self.until_ms,
            Some(since) if self.parked.is_some() => after(since, HOOK_TIME),
            Some(since) => after(since, SAFE_TIME),
        };
        if self.deadline.poll_at(cx, next).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Goes on with the stanza whose hook waits; whoever resumes does not wait for it long.
    fn poll_parked(&mut self, cx: &mut Context<'_>, now_ms: u64) {
        while let Some(parked) = self.parked.as_mut() {
            let Poll::Ready((verdict, event)) = parked.waiting.as_mut().poll(cx) else {
                break;
            };
            let at = parked.at;
            self.parked = None;
            match self.shared.router.resume(at, verdict, event) {
                Routed::Wait(parked) => self.parked = Some(parked),
                Routed::Done(outcome) => {
                    let number = self.inbound.settled();
                    self.receipts.push(outcome.receipt, number);
                    for answer in outcome.answers {
                        if let Some(answer) = self.receipts.answer(answer, now_ms) {
                            self.outbox.push_answer(answer);
                        }
                    }
                }
            }
            self.shared.router.drain();
        }
        if self
            .asked_since_ms
            .is_some_and(|since| now_ms >= after(since, HOOK_TIME))
        {
            self.parked = None;
        }
    }

    /// Saves it for the next start.
    async fn save(&mut self) -> Saving {
        let clock = self.shared.timers.clock();
        let left_ms = self.until_ms.saturating_sub(clock.monotonic_ms());
        let expires_at = clock.wall_ms().saturating_add_unsigned(left_ms);
        let delivery = self.shared.router.delivery().clone();
        let document = delivery.directory().with(&self.peer.jid, |_, state| {
            // Nothing comes for it while the account is locked.
            if self.outbox.has_uninsured(self.insured) {
                return Err(Saving::Again);
            }
            let resource = state.session_mut(self.peer.id);
            let resource = resource.ok_or(Saving::Impossible)?;
            let packed = self.outbox.pack().ok_or(Saving::Impossible)?;
            let resumable = Resumable {
                handled: self.receipts.handled(),
                resume_time: self.resume_time,
                vars: std::mem::take(&mut *self.peer.vars.lock()),
            };
            Ok(Saved::new(resource, packed, resumable, expires_at).document())
        });
        let kept = match document {
            Err(saving) => return saving,
            // Queued before the session leaves the directory: who waits for that closes the store behind it.
            Ok(Ok(document)) => {
                delivery.keep_document(&self.peer.jid, SAVED_KIND, document, SAVED_MAX)
            }
            Ok(Err(error)) => {
                tracing::error!(jid = %self.peer.jid, %error, "a session is not saved");
                return Saving::Impossible;
            }
        };
        delivery.directory().with(&self.peer.jid, |_, state| {
            state.unbind(self.peer.id);
        });
        if let Err(error) = kept.await {
            tracing::error!(jid = %self.peer.jid, %error, "a session is not saved: its client cannot resume it");
        }
        Saving::Done
    }

    /// True when somebody has taken it.
    fn hand_over(&mut self) -> bool {
        let resumable = Resumable {
            handled: self.receipts.handled(),
            resume_time: self.resume_time,
            vars: std::mem::take(&mut *self.peer.vars.lock()),
        };
        match self.outbox.hand_over(resumable) {
            Ok(()) => true,
            Err(resumable) => {
                // Whoever asked has gone again.
                *self.peer.vars.lock() = resumable.vars;
                self.asked_since_ms = None;
                false
            }
        }
    }

    /// Messages for it go to the spool at once: nothing but the disk says that they are safe, and their stamp is to say
    /// when they came.
    fn poll_insure(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(insuring) = &mut self.insuring {
                match Pin::new(insuring).poll(cx) {
                    Poll::Pending => return,
                    // What could not be stored still waits here; senders who want to know ask again.
                    Poll::Ready(_) => self.insuring = None,
                }
            }
            if !self.outbox.has_uninsured(self.insured) {
                return;
            }
            self.insured = self.outbox.last();
            let Some(account) = &self.peer.account else {
                return;
            };
            let delivery = self.shared.router.delivery();
            self.insuring = delivery.insure(account, &self.outbox);
            if self.insuring.is_none() {
                return;
            }
        }
    }
}
