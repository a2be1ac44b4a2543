//! The bus: per point an ordered list of handlers. One per worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::observe::Activity;

use super::{Called, Event, Handler, Point, Verdict, Waiting};

/// When a handler runs at a point. Scripts run around the native services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Band {
    /// Policy: before the server's own services.
    Early,
    /// The server's own services.
    Native,
    /// After the services, before the point's default.
    Late,
}

impl Band {
    /// The word that scripts and the console use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Band::Early => "early",
            Band::Native => "native",
            Band::Late => "late",
        }
    }

    /// The band of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Band> {
        [Band::Early, Band::Native, Band::Late]
            .into_iter()
            .find(|band| band.name() == name)
    }
}

/// Handlers by point, in band order and, inside a band, in the order of registration.
#[derive(Default)]
pub struct Bus {
    chains: [Vec<(Band, Rc<dyn Handler>)>; Point::COUNT],
    activity: Arc<Activity>,
}

/// What firing gave.
pub enum Fired {
    /// The first verdict that was not `Next`, or `Next`.
    Now(Verdict, Event),
    /// A handler waits. When it comes back with `Next`, [`Bus::fire`] goes on from `resume`.
    Wait {
        /// The waiting handler.
        waiting: Waiting,
        /// The place in the chain behind it.
        resume: usize,
    },
}

impl Bus {
    /// A bus that tells `activity` at which point a handler runs.
    #[must_use]
    pub fn new(activity: Arc<Activity>) -> Bus {
        Bus {
            activity,
            ..Bus::default()
        }
    }

    /// Puts `handler` at the end of `band` at `point`.
    pub fn register(&mut self, point: Point, band: Band, handler: Rc<dyn Handler>) {
        let chain = &mut self.chains[point as usize];
        let at = chain.partition_point(|(have, _)| *have <= band);
        chain.insert(at, (band, handler));
    }

    /// Runs the chain of `point` from place `start` (0: the beginning) until a verdict or the first wait.
    pub fn fire(&self, point: Point, start: usize, mut event: Event) -> Fired {
        let chain = &self.chains[point as usize];
        for (place, (band, handler)) in chain.iter().enumerate().skip(start) {
            if !handler.handles(point, *band) {
                continue;
            }
            self.activity.enter(point as usize);
            let called = handler.call(point, *band, event);
            self.activity.leave();
            match called {
                Called::Now(Verdict::Next, back) => event = back,
                Called::Now(verdict, back) => return Fired::Now(verdict, back),
                Called::Wait(waiting) => {
                    return Fired::Wait {
                        waiting,
                        resume: place + 1,
                    };
                }
            }
        }
        Fired::Now(Verdict::Next, event)
    }

    /// Whether any handler would run at `point`.
    #[must_use]
    pub fn listens(&self, point: Point) -> bool {
        self.chains[point as usize]
            .iter()
            .any(|(band, handler)| handler.handles(point, *band))
    }

    /// The chain of `point` as text, a line per function, in the order in which they run.
    #[must_use]
    pub fn describe(&self, point: Point) -> Vec<(Band, String)> {
        self.chains[point as usize]
            .iter()
            .flat_map(|(band, handler)| {
                handler
                    .describe(point, *band)
                    .into_iter()
                    .map(|line| (*band, line))
            })
            .collect()
    }
}
