//! What a session is writing: many stanzas per write, kept until the operating system has them.

use std::io;
use std::task::{Context, Poll};

use super::Buffers;
use crate::directory::{Outbox, Position};
use crate::hook::PeerKind;
use crate::net::tls::Tls;
use crate::stanza::Stanza;

/// Stanzas taken from the outbox for one write: about four TLS records.
const WRITE_BYTES: usize = 64 * 1024;

/// Bytes on their way to the socket.
pub(super) struct Writing {
    /// Appends a stanza as this peer's stream takes it.
    write: fn(&Stanza, &mut Vec<u8>),
    bytes: Vec<u8>,
    sent: usize,
    flushing: bool,
    /// The place of the last stanza in `bytes`.
    last: Option<Position>,
}

impl Writing {
    /// Nothing yet, for a peer of that kind.
    pub(super) fn new(kind: PeerKind) -> Writing {
        Writing {
            write: match kind {
                PeerKind::Component => Stanza::write_component,
                PeerKind::Client | PeerKind::Internal => Stanza::write_to,
            },
            bytes: Vec::new(),
            sent: 0,
            flushing: false,
            last: None,
        }
    }

    /// Whether everything has been written and flushed.
    pub(super) fn is_idle(&self) -> bool {
        !self.flushing
    }

    /// The place of the last stanza that was taken and is not written yet.
    pub(super) fn last(&self) -> Option<Position> {
        self.last
    }

    /// The outbox is no longer this socket's: it is not told of what is written.
    pub(super) fn forget_place(&mut self) {
        self.last = None;
    }

    /// Adds bytes that are no stanza.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.flushing = true;
    }

    /// Takes stanzas from `outbox`; false when there are none, and then its next one wakes the task of `cx`.
    pub(super) fn fill(&mut self, cx: &Context<'_>, outbox: &Outbox, buffers: &Buffers) -> usize {
        let Some(drained) = outbox.drain(WRITE_BYTES, cx.waker()) else {
            return 0;
        };
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take_write();
        }
        for (_, stanza) in drained.iter() {
            (self.write)(stanza, &mut self.bytes);
        }
        self.last = drained.last().map(|(at, _)| *at);
        self.flushing = true;
        drained.len()
    }

    /// Writes and flushes; ready when the operating system has everything.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &mut Tls) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..)
            && !rest.is_empty()
        {
            match io.poll_write(cx, rest) {
                Poll::Ready(Ok(count)) => self.sent = self.sent.saturating_add(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        match io.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.flushing = false;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    /// After a complete write: the place of the last stanza in it, and the buffer goes back.
    pub(super) fn take_written(&mut self, buffers: &Buffers) -> Option<Position> {
        self.sent = 0;
        if self.bytes.capacity() > 0 {
            buffers.give_write(std::mem::take(&mut self.bytes));
        }
        self.last.take()
    }
}
