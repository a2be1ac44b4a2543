//! Rosters and presence: what decides nothing. Sets, loops, storage and pushes; the decisions are `msys.xmpp.presence`.
//!
//! A roster changes in its owner's account turn: read, planned ([`Plan`]), stored, then shown to the owner's resources, with
//! nothing in between. A subscription is two such changes, one at each end, joined by a stanza; nobody holds two turns. The
//! rosters of users who are online are kept beside their sessions, so that presence reads no disk.
//!
//! [`Rosters`] is implemented higher up, by `delivery`, which owns the turns.

mod change;
mod farewell;
mod machine;
mod push;
mod show;

pub use change::{Audience, Change, Changed, Plan, Write, plan};
pub use farewell::farewell;
pub use machine::{Event, Machine, Step};
pub use push::{Pushed, result};
pub use show::{audience, contacts_presence, presences_to};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::stanza::roster::Roster;
use crate::store::StoreError;

/// A future of one worker.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Rosters and presence of local users, wherever their sessions are.
pub trait Rosters {
    /// The roster of `owner` (the bare part counts); empty for a user who does not exist.
    fn roster<'a>(&'a self, owner: &'a Jid) -> LocalFuture<'a, Result<Arc<Roster>, RosterError>>;

    /// The same if it is at hand.
    fn cached(&self, owner: &Jid) -> Option<Arc<Roster>>;

    /// Changes the roster of `owner`, in its turn. The change is on disk, and its pushes are in the outboxes, when this is
    /// ready.
    fn change<'a>(
        &'a self,
        owner: &'a Jid,
        change: Change,
    ) -> LocalFuture<'a, Result<Changed, RosterError>>;

    /// Answers a roster get of the session `request` is from, and from then on pushes to it (RFC 6121 §2.1.3, §2.2).
    fn answer<'a>(&'a self, request: &'a Stanza) -> LocalFuture<'a, Result<(), RosterError>>;

    /// Gives a session the subscription requests that wait for its user (RFC 6121 §3.1.3).
    fn requests<'a>(&'a self, session: &'a Jid) -> LocalFuture<'a, Result<(), RosterError>>;

    /// The last presence of each available resource of `owner`.
    fn presences(&self, owner: &Jid) -> Vec<Stanza>;

    /// Whether `domain` is one of ours.
    fn serves(&self, domain: &str) -> bool;
}

/// Why a roster could not be read or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RosterError {
    /// The user does not exist.
    #[error("there is no such user")]
    NoUser,
    /// The roster has as many contacts as it may have.
    #[error("the roster is full")]
    Full,
    /// What a [`Change::Remove`] names is not there.
    #[error("the roster has no such contact")]
    NoItem,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Gone,
}
