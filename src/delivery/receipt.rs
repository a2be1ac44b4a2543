//! When is a stanza safe? (DESIGN §5 Receipt)

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::directory::{Account, Outbox, Outcome, Position};
use crate::stanza::{Stanza, StanzaError};

/// A promise about one stanza. Whatever acknowledges to its sender leaves only after the receipts of all earlier stanzas
/// are ready; other output flows on.
pub enum Receipt {
    /// Safe, or nothing that needs to be.
    Ready,
    /// Safe when its recipient's session has written it or, where the peer acknowledges, it is acknowledged; who cannot wait asks [`super::Delivery::insure`].
    Written {
        /// The recipient; `None`: a component, for which nothing is kept. If it ends, the sender gets an error.
        account: Option<Arc<Account>>,
        /// The outbox that holds it.
        outbox: Arc<Outbox>,
        /// Its place there.
        at: Position,
    },
    /// Safe, or refused, when the recipient's account turn says so.
    Stored {
        /// What the turn will say.
        outcome: oneshot::Receiver<Outcome>,
        /// The stanza, for the error that answers it.
        stanza: Stanza,
    },
    /// Safe when the spool has it too: its recipient was slow to take it.
    Insured(oneshot::Receiver<Outcome>),
    /// Safe when its recipient's session has taken it: the spool has no room for it. If the session ends, the account turn says
    /// what becomes of it.
    Taken {
        /// The recipient.
        account: Arc<Account>,
        /// The outbox that holds it.
        outbox: Arc<Outbox>,
        /// Its place there.
        at: Position,
    },
    /// Refused: the sender gets this error.
    Refused(StanzaError),
}

/// Where a stanza went, for the live trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Into that many outboxes.
    Outbox(usize),
    /// Into a component's outbox.
    Component,
    /// Into the recipient's account turn: to the spool, or to a resource that came online meanwhile.
    Spool,
    /// Nobody to give it to, and it is not kept.
    Nowhere,
    /// Refused.
    Refused,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fate::Outbox(1) => f.write_str("delivered"),
            Fate::Outbox(count) => write!(f, "delivered to {count} resources"),
            Fate::Component => f.write_str("given to the component"),
            Fate::Spool => f.write_str("spool"),
            Fate::Nowhere => f.write_str("nobody there, not kept"),
            Fate::Refused => f.write_str("refused"),
        }
    }
}
