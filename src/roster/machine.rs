//! The subscription state machine (RFC 6121 Appendix A), as a table that a script fills.

use crate::stanza::roster::Subscription;

/// What happens to a subscription: the four types of presence that speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Asks for the other's presence.
    Subscribe,
    /// Grants one's own.
    Subscribed,
    /// Wants the other's no more.
    Unsubscribe,
    /// Takes back or denies one's own.
    Unsubscribed,
}

impl Event {
    /// In the order of the RFC.
    pub const ALL: [Event; 4] = [
        Event::Subscribe,
        Event::Unsubscribe,
        Event::Subscribed,
        Event::Unsubscribed,
    ];

    /// The presence type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Event::Subscribe => "subscribe",
            Event::Subscribed => "subscribed",
            Event::Unsubscribe => "unsubscribe",
            Event::Unsubscribed => "unsubscribed",
        }
    }

    /// The event of that presence type.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Event> {
        Event::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// What one state makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state after it.
    pub after: Subscription,
    /// Whether the stanza goes on: outbound to the contact, inbound to the owner's resources.
    pub pass: bool,
}

/// A step for each state and event. What was not [`Machine::set`] changes nothing and is not passed on.
#[derive(Clone, Debug)]
pub struct Machine {
    steps: Vec<(Event, Subscription, Step)>,
}

impl Default for Machine {
    fn default() -> Machine {
        let mut steps = Vec::new();
        for event in Event::ALL {
            for state in Subscription::ALL {
                let step = Step {
                    after: state,
                    pass: false,
                };
                steps.push((event, state, step));
            }
        }
        Machine { steps }
    }
}

impl Machine {
    /// Says what `event` does in state `before`.
    pub fn set(&mut self, event: Event, before: Subscription, step: Step) {
        for row in &mut self.steps {
            if row.0 == event && row.1 == before {
                row.2 = step;
            }
        }
    }

    /// What `event` does in state `before`.
    #[must_use]
    pub fn step(&self, event: Event, before: Subscription) -> Step {
        self.steps
            .iter()
            .find(|row| row.0 == event && row.1 == before)
            .map_or(
                Step {
                    after: before,
                    pass: false,
                },
                |row| row.2,
            )
    }
}
