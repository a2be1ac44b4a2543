//! What a session has told others of itself.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::jid::Jid;

/// Addresses that one session may have sent directed presence to and not taken back; more are refused.
pub const DIRECTED_MAX: usize = 1_000;

/// Whether a session is available, and who else believes it (RFC 6121 §4.6). A session that takes over a full JID
/// takes this over too: nobody is told that the older one went, so all must hear when the newer one does.
#[derive(Debug, Default)]
pub struct Told(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    available: bool,
    /// Somebody was told of a session that this one has replaced.
    inherited: bool,
    directed: BTreeSet<Jid>,
}

/// What a presence of the session's own has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It has become available.
    Initial,
    /// It was available, and still is.
    Subsequent,
    /// It is no longer available, and somebody has to hear.
    Unavailable,
    /// It was not available, and nobody thought so.
    Nothing,
}

impl Told {
    /// What the session that takes over from this one knows.
    #[must_use]
    pub fn inherit(&self) -> Told {
        let mut state = self.0.lock();
        Told(Mutex::new(State {
            available: false,
            inherited: std::mem::take(&mut state.available) | state.inherited,
            directed: std::mem::take(&mut state.directed),
        }))
    }

    /// What is known, to be kept: whether the session is available, whether somebody was told of one that it replaced, and
    /// to whom presence was directed.
    #[must_use]
    pub fn parts(&self) -> (bool, bool, Vec<Jid>) {
        let state = self.0.lock();
        let directed = state.directed.iter().cloned().collect();
        (state.available, state.inherited, directed)
    }

    /// What was kept.
    #[must_use]
    pub fn of_parts(available: bool, inherited: bool, directed: Vec<Jid>) -> Told {
        Told(Mutex::new(State {
            available,
            inherited,
            directed: directed.into_iter().take(DIRECTED_MAX).collect(),
        }))
    }

    /// Notes presence to everybody.
    #[must_use]
    pub fn everybody(&self, available: bool) -> Turned {
        let mut state = self.0.lock();
        let before = std::mem::replace(&mut state.available, available);
        match (before, available) {
            (false, true) => Turned::Initial,
            (true, true) => Turned::Subsequent,
            (true, false) => {
                state.inherited = false;
                Turned::Unavailable
            }
            (false, false) => {
                let inherited = std::mem::take(&mut state.inherited);
                if inherited || !state.directed.is_empty() {
                    Turned::Unavailable
                } else {
                    Turned::Nothing
                }
            }
        }
    }

    /// Notes presence to one. False when it is one too many.
    #[must_use]
    pub fn one(&self, to: &Jid, available: bool) -> bool {
        let directed = &mut self.0.lock().directed;
        if !available {
            directed.remove(to);
            return true;
        }
        directed.contains(to) || (directed.len() < DIRECTED_MAX && directed.insert(to.clone()))
    }

    /// Takes the addresses of directed presence: they are about to hear that the session is unavailable.
    #[must_use]
    pub fn take_directed(&self) -> BTreeSet<Jid> {
        std::mem::take(&mut self.0.lock().directed)
    }

    /// Takes those addresses of directed presence: they are about to hear that the session is unavailable.
    #[must_use]
    pub fn take_directed_to(&self, take: impl Fn(&Jid) -> bool) -> Vec<Jid> {
        let directed = &mut self.0.lock().directed;
        directed.extract_if(.., |to| take(to)).collect()
    }

    /// Whether those who may see the user believe that the session is available.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        let state = self.0.lock();
        state.available || state.inherited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_initial_then_subsequent_then_gone() {
        let told = Told::default();
        assert_eq!(told.everybody(false), Turned::Nothing);
        assert_eq!(told.everybody(true), Turned::Initial);
        assert_eq!(told.everybody(true), Turned::Subsequent);
        assert_eq!(told.everybody(false), Turned::Unavailable);
        assert_eq!(told.everybody(true), Turned::Initial);
    }

    #[test]
    fn directed_presence_alone_is_taken_back() {
        let told = Told::default();
        let (room, other) = (Jid::new("room@x/me").unwrap(), Jid::new("other@x").unwrap());
        assert!(told.one(&room, true) && told.one(&other, true) && told.one(&other, false));
        assert_eq!(told.everybody(false), Turned::Unavailable);
        assert_eq!(told.take_directed().into_iter().collect::<Vec<_>>(), [room]);
        assert_eq!(told.everybody(false), Turned::Nothing);
    }

    #[test]
    fn who_takes_over_takes_back_what_the_other_has_said() {
        let older = Told::default();
        let _ = older.everybody(true);
        let newer = older.inherit();
        assert!(!older.is_seen() && newer.is_seen());
        assert_eq!(older.everybody(false), Turned::Nothing);
        assert_eq!(newer.everybody(false), Turned::Unavailable);
        assert!(!newer.is_seen());
        let newest = {
            let _ = newer.everybody(true);
            newer.inherit().inherit()
        };
        assert_eq!(newest.everybody(true), Turned::Initial);
    }

    #[test]
    fn directed_presence_is_bounded() {
        let told = Told::default();
        let to = |n: usize| Jid::new(&format!("u{n}@x")).unwrap();
        assert!((0..DIRECTED_MAX).all(|n| told.one(&to(n), true)));
        assert!(!told.one(&to(DIRECTED_MAX), true));
        assert!(told.one(&to(1), true));
    }
}
