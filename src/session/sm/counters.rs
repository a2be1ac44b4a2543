//! What a peer has sent on a stream with acknowledgements, and when it is told how much of it is handled (XEP-0198 §4).
//!
//! Numbers only, no I/O: the same for every kind of stream.

use std::collections::VecDeque;

/// How long a peer that asks waits at most for what it sent before to be safe; then it is told how far things are.
const ANSWER_MS: u64 = 1_000;

/// Requests that are kept apart; more are answered together with the last.
const ASKS_MAX: usize = 8;

/// Counts stanzas by their number, from 1 on: those read, those routed, and the peer's requests to know.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: u64,
    settled: u64,
    /// Read before counting began, and not routed yet.
    earlier: usize,
    asks: VecDeque<Ask>,
}

/// A request that is not fully answered.
#[derive(Debug)]
struct Ask {
    /// The last stanza before it.
    upto: u64,
    since_ms: u64,
    /// It was answered with less than it asked about: it is told again when that is handled.
    late: bool,
}

impl Inbound {
    /// Counts from here on; `earlier` stanzas have been read and not been routed yet.
    pub(super) fn begin(earlier: usize) -> Inbound {
        Inbound {
            earlier,
            ..Inbound::default()
        }
    }

    /// Goes on behind `handled` stanzas: what was read and not handled comes again.
    pub(super) fn since(handled: u64) -> Inbound {
        Inbound {
            received: handled,
            settled: handled,
            ..Inbound::default()
        }
    }

    /// A stanza has been read.
    pub(super) fn received(&mut self) {
        self.received = self.received.saturating_add(1);
    }

    /// The next stanza, in the order of their reading, has been routed or refused. Its number; 0: it is not counted.
    pub(super) fn settled(&mut self) -> u64 {
        if self.earlier > 0 {
            self.earlier = self.earlier.saturating_sub(1);
            return 0;
        }
        self.settled = self.settled.saturating_add(1);
        self.settled
    }

    /// The peer asks how far things are.
    pub(super) fn ask(&mut self, now_ms: u64) {
        let upto = self.received;
        if self.asks.len() >= ASKS_MAX
            && let Some(last) = self.asks.back_mut()
        {
            last.upto = upto;
            return;
        }
        self.asks.push_back(Ask {
            upto,
            since_ms: now_ms,
            late: false,
        });
    }

    /// How many answers are due now that everything up to `handled` is safe.
    pub(super) fn due(&mut self, handled: u64, now_ms: u64) -> usize {
        let mut due = 0usize;
        while self.asks.pop_front_if(|ask| ask.upto <= handled).is_some() {
            due = due.saturating_add(1);
        }
        for ask in &mut self.asks {
            if !ask.late && now_ms >= ask.since_ms.saturating_add(ANSWER_MS) {
                ask.late = true;
                due = due.saturating_add(1);
            }
        }
        if self.asks.is_empty() && self.asks.capacity() > 0 {
            self.asks = VecDeque::new();
        }
        due
    }

    /// Since when the first request has waited.
    pub(super) fn asked_since_ms(&self) -> Option<u64> {
        self.asks.front().map(|ask| ask.since_ms)
    }

    /// When the next request has waited too long.
    pub(super) fn answer_by_ms(&self) -> Option<u64> {
        let waits = self.asks.iter().find(|ask| !ask.late)?;
        Some(waits.since_ms.saturating_add(ANSWER_MS))
    }
}

/// A number as `h` says it.
pub(in crate::session) fn h(number: u64) -> u32 {
    // Modulo 2^32, as the XEP wants.
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a stream, and how many answers are due.
    enum Step {
        Read(usize),
        Settle(&'static [u64]),
        Ask(u64),
        Due {
            handled: u64,
            at: u64,
            answers: usize,
        },
    }
    use Step::{Ask as A, Due as D, Read as R, Settle as S};

    fn due(handled: u64, at: u64, answers: usize) -> Step {
        D {
            handled,
            at,
            answers,
        }
    }

    fn play(name: &str, earlier: usize, steps: &[Step]) {
        let mut inbound = Inbound::begin(earlier);
        for (number, step) in steps.iter().enumerate() {
            match step {
                R(count) => (0..*count).for_each(|_| inbound.received()),
                S(numbers) => {
                    for wanted in *numbers {
                        assert_eq!(inbound.settled(), *wanted, "{name}, step {number}");
                    }
                }
                A(at) => inbound.ask(*at),
                D {
                    handled,
                    at,
                    answers,
                } => {
                    let told = inbound.due(*handled, *at);
                    assert_eq!(told, *answers, "{name}, step {number}");
                }
            }
        }
    }

    #[test]
    fn who_asks_is_answered_when_everything_before_is_handled() {
        play("nothing sent", 0, &[A(5), due(0, 5, 1), due(0, 9999, 0)]);
        play(
            "two requests, each for what came before it",
            0,
            &[
                R(1),
                A(0),
                R(2),
                A(0),
                due(0, 1, 0),
                due(2, 2, 1),
                due(2, 3, 0),
                due(3, 4, 1),
            ],
        );
        play(
            "what came before the count is not counted",
            2,
            &[R(1), A(0), S(&[0, 0, 1]), due(1, 0, 1)],
        );
    }

    #[test]
    fn who_waits_too_long_is_told_how_far_things_are_and_again_when_they_are_done() {
        play(
            "late",
            0,
            &[
                R(2),
                A(100),
                due(1, 1_099, 0),
                due(1, 1_100, 1),
                due(1, 5_000, 0),
                due(2, 5_001, 1),
                due(2, 5_002, 0),
            ],
        );
    }

    #[test]
    fn requests_are_bounded() {
        let mut inbound = Inbound::begin(0);
        for _ in 0..1_000 {
            inbound.received();
            inbound.ask(0);
        }
        assert_eq!(inbound.due(999, 0), ASKS_MAX - 1);
        assert_eq!(inbound.due(1_000, 0), 1);
        assert_eq!(inbound.asked_since_ms(), None);
    }

    #[test]
    fn h_wraps() {
        assert_eq!(h(u64::from(u32::MAX)), u32::MAX);
        assert_eq!(h(u64::from(u32::MAX) + 3), 2);
    }
}
