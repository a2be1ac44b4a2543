//! Commands whose form is out: who was given it, and until when it may come back (T76).

use std::collections::HashMap;

use crate::jid::Jid;
use crate::net::Clock;

/// Forms that one user may have open. The oldest gives way to the next.
pub(super) const OPEN_MAX: usize = 8;

/// How long somebody may take to fill in a form.
pub(super) const OPEN_MS: u64 = 600_000;

/// A form that is out.
struct Open {
    id: String,
    /// The full address of whoever asked: the form is of no use to anybody else.
    jid: Jid,
    /// Where it was asked.
    domain: String,
    node: &'static str,
    until_ms: u64,
}

/// Why a session goes on no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Never given to this user at this place, ended, or given up for a later one.
    Unknown,
    /// It took too long.
    Expired,
}

/// The sessions of a worker's users. A session is known to the worker on which it began.
pub(super) struct Sessions {
    clock: Clock,
    /// By bare address, the oldest first.
    open: HashMap<Jid, Vec<Open>>,
}

impl Sessions {
    pub(super) fn new(clock: Clock) -> Sessions {
        Sessions {
            clock,
            open: HashMap::new(),
        }
    }

    /// A session of `jid` with the command `node` at `domain`: its id, which nobody can guess.
    pub(super) fn begin(&mut self, jid: &Jid, domain: &str, node: &'static str) -> String {
        let now_ms = self.clock.monotonic_ms();
        self.open.retain(|_, open| {
            open.retain(|session| session.until_ms > now_ms);
            !open.is_empty()
        });
        let id = self.clock.random_id();
        let open = self.open.entry(jid.to_bare()).or_default();
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push(Open {
            id: id.clone(),
            jid: jid.clone(),
            domain: domain.to_owned(),
            node,
            until_ms: now_ms.saturating_add(OPEN_MS),
        });
        id
    }

    /// Whether `id` is a session of `jid` with that command at that domain.
    pub(super) fn check(
        &self,
        id: &str,
        jid: &Jid,
        (domain, node): (&str, &str),
    ) -> Result<(), Lost> {
        let open = self.open.get(jid.bare_str());
        let session = open
            .into_iter()
            .flatten()
            .find(|session| session.id == id)
            .filter(|session| session.jid == *jid)
            .filter(|session| session.domain == domain && session.node == node)
            .ok_or(Lost::Unknown)?;
        if session.until_ms <= self.clock.monotonic_ms() {
            return Err(Lost::Expired);
        }
        Ok(())
    }

    /// Forgets a session.
    pub(super) fn end(&mut self, id: &str, jid: &Jid) {
        if let Some(open) = self.open.get_mut(jid.bare_str()) {
            open.retain(|session| session.id != id);
            if open.is_empty() {
                self.open.remove(jid.bare_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::net::TimeSource;

    #[derive(Default)]
    struct Hand(AtomicU64, AtomicU64);

    impl TimeSource for Hand {
        fn monotonic_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        fn wall_ms(&self) -> i64 {
            0
        }

        fn random(&self, out: &mut [u8]) {
            let next = self.1.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            for (to, from) in out.iter_mut().zip(next.iter().cycle()) {
                *to = *from;
            }
        }
    }

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    const PLACE: (&str, &str) = ("x", "node");

    #[test]
    fn t76_a_session_is_of_one_stream_one_place_and_one_time() {
        let hand = Arc::new(Hand::default());
        let mut sessions = Sessions::new(Clock::new(hand.clone()));
        let alice = jid("alice@x/desk");
        let id = sessions.begin(&alice, "x", "node");
        assert_eq!(sessions.check(&id, &alice, PLACE), Ok(()));
        for (id, who, place) in [
            ("0", "alice@x/desk", PLACE),
            (&id, "alice@x/phone", PLACE),
            (&id, "bob@x/desk", PLACE),
            (&id, "alice@x/desk", ("y", "node")),
            (&id, "alice@x/desk", ("x", "other")),
        ] {
            assert_eq!(sessions.check(id, &jid(who), place), Err(Lost::Unknown));
        }
        hand.0.store(OPEN_MS - 1, Ordering::Relaxed);
        assert_eq!(sessions.check(&id, &alice, PLACE), Ok(()));
        hand.0.store(OPEN_MS, Ordering::Relaxed);
        assert_eq!(sessions.check(&id, &alice, PLACE), Err(Lost::Expired));
        let next = sessions.begin(&jid("bob@x/desk"), "x", "node");
        assert_eq!(sessions.open.len(), 1, "what is over is not kept");
        sessions.end(&next, &jid("bob@x/desk"));
        assert!(sessions.open.is_empty());
    }

    #[test]
    fn t76_sessions_of_one_user_are_bounded() {
        let mut sessions = Sessions::new(Clock::new(Arc::new(Hand::default())));
        let (alice, bob) = (jid("alice@x/desk"), jid("bob@x/desk"));
        let bobs = sessions.begin(&bob, "x", "node");
        let ids: Vec<String> = (0..=OPEN_MAX)
            .map(|_| sessions.begin(&alice, "x", "node"))
            .collect();
        let known = |id: &String| sessions.check(id, &alice, PLACE).is_ok();
        assert!(!known(&ids[0]), "the oldest gives way");
        assert!(ids[1..].iter().all(known));
        assert_eq!(sessions.check(&bobs, &bob, PLACE), Ok(()));
    }
}
