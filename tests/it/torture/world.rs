//! What the users of a run and the one who torments them know in common.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use crate::harness::{Login, Mechanism, Server, Via};

use super::Habit;
use super::ledger::Ledger;
use super::random::Random;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everybody talks, and connections die.
    Load,
    /// Nobody says anything new: what was said is acknowledged, and what was asked answered.
    Finish,
    /// Everybody gets what is still on its way.
    Fence,
    /// Everybody leaves, and looks whether anything is left.
    Leave,
    /// It is over.
    Over,
}

/// One user, as seen by the others.
pub struct Seen {
    pub habit: Habit,
    /// The connection is to be lost.
    pub doomed: Cell<bool>,
    pub connected: Cell<bool>,
    /// In which life of the server its session began.
    pub life: Cell<Option<usize>>,
    /// The phase that it has got through.
    pub through: Cell<Option<Phase>>,
    /// The number of its connection.
    pub connection: Cell<usize>,
}

/// Counted along the way.
#[derive(Debug, Default)]
pub struct Figures {
    pub resumed: Cell<usize>,
    pub began_anew: Cell<usize>,
    pub pings: Cell<usize>,
    /// Questions that had two answers, while the server was stopped between them.
    pub answered_again: Cell<usize>,
}

/// The run.
pub struct World {
    pub users: Vec<Seen>,
    pub ledger: RefCell<Ledger>,
    pub phase: Cell<Phase>,
    /// How often the server was killed, and forgot its sessions.
    pub life: Cell<usize>,
    /// How often the server went, in whatever way.
    pub gone: Cell<usize>,
    pub up: Cell<bool>,
    pub figures: Figures,
    places: RefCell<Vec<(SocketAddr, Via)>>,
}

/// One more.
pub fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// The name of a user.
pub fn name(user: usize) -> String {
    format!("u{user}")
}

/// The resource that every user binds: who logs in anew takes the place of the session before.
pub const RESOURCE: &str = "r";

impl World {
    pub fn new(habits: impl Iterator<Item = Habit>) -> Self {
        let users: Vec<Seen> = habits
            .map(|habit| Seen {
                habit,
                doomed: Cell::new(false),
                connected: Cell::new(false),
                life: Cell::new(None),
                through: Cell::new(None),
                connection: Cell::new(0),
            })
            .collect();
        Self {
            ledger: RefCell::new(Ledger::new(users.len())),
            users,
            phase: Cell::new(Phase::Load),
            life: Cell::new(0),
            gone: Cell::new(0),
            up: Cell::new(false),
            figures: Figures::default(),
            places: RefCell::default(),
        }
    }

    /// The server serves, at these addresses from now on.
    pub fn is_up(&self, server: &Server, places: &[(&str, Via)]) {
        let places = places.iter();
        *self.places.borrow_mut() = places
            .map(|(host, via)| (server.listening(host), *via))
            .collect();
        self.up.set(true);
    }

    /// Where a user logs in next: on any worker, with TLS or without.
    pub fn login(&self, user: usize, random: &mut Random) -> Login {
        let places = self.places.borrow();
        let (addr, via) = places[random.index(places.len())];
        let mut login = Login::direct(addr, &name(user))
            .mechanism(Mechanism::ScramSha1)
            .resource(RESOURCE);
        login.via = via;
        login
    }

    /// Whether every user has got through this phase.
    pub fn all_through(&self) -> bool {
        let through = Some(self.phase.get());
        self.users.iter().all(|user| user.through.get() >= through)
    }

    /// Who has not, for a fault.
    pub fn who_is_late(&self) -> Vec<String> {
        let late = self.users.iter().enumerate();
        late.filter(|(_, seen)| seen.through.get() < Some(self.phase.get()))
            .map(|(user, seen)| format!("{} who {:?}", name(user), seen.habit))
            .collect()
    }
}
