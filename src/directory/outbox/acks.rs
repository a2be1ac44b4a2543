//! What was sent to a peer that acknowledges what it has handled (XEP-0198 §4), and what of it is not acknowledged yet.

use std::collections::VecDeque;

use super::{Numbered, Position, cost};

/// A peer that owes acknowledgements for this many times its bound of bytes is given nothing more: it is closed at once.
const HOPELESS: usize = 4;

/// Capacity that is kept when everything is acknowledged.
const SPARE: usize = 16;

/// The peer says that it has handled more than it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{h} stanzas acknowledged, {sent} sent")]
pub struct AckTooHigh {
    /// What the peer says that it has handled.
    pub h: u32,
    /// What it was sent.
    pub sent: u32,
}

/// How many stanzas were sent to one peer, and how many of them it has acknowledged, modulo 2^32 (XEP-0198 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    acked: u32,
    unacked: u32,
}

impl Sent {
    /// `count` more were sent.
    pub(super) fn add(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.unacked = self.unacked.saturating_add(count);
    }

    /// How many were sent, acknowledged or not.
    pub(super) fn sent(self) -> u32 {
        self.acked.wrapping_add(self.unacked)
    }

    /// How many stanzas `h` acknowledges that were not acknowledged before.
    ///
    /// # Errors
    /// More than were sent, or fewer than were acknowledged already: modulo 2^32 that is the same.
    pub(super) fn would_ack(self, h: u32) -> Result<usize, AckTooHigh> {
        let more = h.wrapping_sub(self.acked);
        if more > self.unacked {
            let sent = self.sent();
            return Err(AckTooHigh { h, sent });
        }
        Ok(more as usize)
    }

    /// The peer has handled `h` stanzas. How many of them are new.
    ///
    /// # Errors
    /// See [`Sent::would_ack`]; nothing is changed.
    pub(super) fn ack(&mut self, h: u32) -> Result<usize, AckTooHigh> {
        let more = self.would_ack(h)?;
        self.unacked = self.unacked.saturating_sub(h.wrapping_sub(self.acked));
        self.acked = h;
        Ok(more)
    }

    /// What is not acknowledged was lost with its stream, and will be sent again.
    pub(super) fn rewind(&mut self) {
        self.unacked = 0;
    }
}

/// How much a peer may leave unacknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckLimits {
    /// Stanzas above which new messages go to the spool.
    pub stanzas: usize,
    /// The same in bytes.
    pub bytes: usize,
}

/// How much is unacknowledged, compared with [`AckLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unacked {
    /// Nothing.
    Nothing,
    /// At most half of what is allowed: there is room for what went to the spool.
    Little,
    /// More than that.
    Much,
    /// All that is allowed, or more.
    TooMuch,
    /// So much that the session must end.
    Hopeless,
}

/// What an acknowledgement has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// How many stanzas were not acknowledged before.
    pub count: usize,
    /// How much is unacknowledged still.
    pub left: Unacked,
    /// Spool rows that are not needed any more.
    pub rows: Vec<i64>,
}

/// The stanzas that a peer has been sent, and has not acknowledged.
pub(super) struct Acks {
    /// The last place that was drained before counting began.
    pub(super) from: u64,
    sent: Sent,
    unacked: VecDeque<Numbered>,
    bytes: usize,
    limits: AckLimits,
}

impl Acks {
    pub(super) fn new(from: u64, limits: AckLimits) -> Acks {
        Acks {
            from,
            sent: Sent::default(),
            unacked: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    /// Of a peer that has acknowledged `acked` stanzas before.
    pub(super) fn restored(acked: u32, limits: AckLimits) -> Acks {
        Acks {
            sent: Sent { acked, unacked: 0 },
            ..Acks::new(0, limits)
        }
    }

    /// The last number that the peer has acknowledged.
    pub(super) fn acked(&self) -> u32 {
        self.sent.acked
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Numbered> {
        self.unacked.iter()
    }

    pub(super) fn note_sent(&mut self, stanzas: &[Numbered], bytes: usize) {
        self.unacked.extend(stanzas.iter().cloned());
        self.bytes = self.bytes.saturating_add(bytes);
        self.sent.add(stanzas.len());
    }

    /// How many stanzas `h` acknowledges that were not acknowledged before, and the place of the last of them.
    pub(super) fn ack(&mut self, h: u32) -> Result<(usize, Option<Position>), AckTooHigh> {
        let count = self.sent.ack(h)?;
        let mut last = None;
        for (at, stanza) in self.unacked.drain(..count.min(self.unacked.len())) {
            self.bytes = self.bytes.saturating_sub(cost(&stanza));
            last = Some(at);
        }
        if self.unacked.is_empty() {
            self.bytes = 0;
            self.unacked.shrink_to(SPARE);
        }
        Ok((count, last))
    }

    pub(super) fn could_ack(&self, h: u32) -> Result<(), AckTooHigh> {
        self.sent.would_ack(h).map(drop)
    }

    /// Takes everything, to be sent again or to go elsewhere.
    pub(super) fn take(&mut self) -> VecDeque<Numbered> {
        self.sent.rewind();
        self.bytes = 0;
        std::mem::take(&mut self.unacked)
    }

    pub(super) fn level(&self) -> Unacked {
        let AckLimits { stanzas, bytes } = self.limits;
        if self.unacked.is_empty() {
            Unacked::Nothing
        } else if self.bytes >= bytes.saturating_mul(HOPELESS) {
            Unacked::Hopeless
        } else if self.unacked.len() >= stanzas || self.bytes >= bytes {
            Unacked::TooMuch
        } else if self.unacked.len() > stanzas / 2 || self.bytes > bytes / 2 {
            Unacked::Much
        } else {
            Unacked::Little
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row: acknowledged and unacknowledged before, what the peer says, and what comes of it: how many, or the error's
    /// number of sent stanzas.
    #[test]
    fn an_acknowledgement_counts_modulo_two_to_the_32() {
        let max = u32::MAX;
        type Row = ((u32, u32), u32, Result<usize, u32>);
        let rows: &[Row] = &[
            ((0, 0), 0, Ok(0)),
            ((0, 0), 1, Err(0)),
            ((0, 3), 0, Ok(0)),
            ((0, 3), 2, Ok(2)),
            ((0, 3), 3, Ok(3)),
            ((0, 3), 4, Err(3)),
            ((5, 3), 5, Ok(0)),
            ((5, 3), 4, Err(8)),
            ((5, 3), 8, Ok(3)),
            ((5, 3), 9, Err(8)),
            ((max, 2), max, Ok(0)),
            ((max, 2), 0, Ok(1)),
            ((max, 2), 1, Ok(2)),
            ((max, 2), 2, Err(1)),
            ((max - 1, 1), max, Ok(1)),
            ((max - 1, 1), 0, Err(max)),
        ];
        for ((acked, unacked), h, wanted) in rows.iter().copied() {
            let before = Sent { acked, unacked };
            let mut sent = before;
            let told = sent.ack(h);
            assert_eq!(told.map_err(|error| error.sent), wanted, "{before:?} {h}");
            match told {
                Ok(count) => {
                    assert_eq!(sent.acked, h);
                    assert_eq!(sent.unacked as usize, unacked as usize - count);
                    assert_eq!(sent.sent(), before.sent());
                }
                Err(error) => {
                    assert_eq!(error.h, h);
                    assert_eq!(sent, before, "an error changes nothing");
                }
            }
        }
    }

    #[test]
    fn what_is_sent_again_is_counted_again() {
        let mut sent = Sent {
            acked: u32::MAX,
            unacked: 0,
        };
        sent.add(5);
        assert_eq!(sent.ack(1), Ok(2));
        sent.rewind();
        assert_eq!((sent.acked, sent.sent()), (1, 1));
        assert!(sent.ack(2).is_err());
        sent.add(3);
        assert_eq!(sent.ack(4), Ok(3));
    }
}
