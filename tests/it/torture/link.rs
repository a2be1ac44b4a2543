//! A user's connection, with stream management or without.

use std::io;

use stanzad::xml::Element;

use crate::harness::{Loss, Managed, Management, Peer, Remains};

/// One that is bound.
pub enum Link {
    Managed(Box<Managed>),
    Plain(Box<Peer>),
}

impl Link {
    /// The next element, for [`Link::take`]. Cancelling loses nothing.
    pub async fn next(&mut self) -> io::Result<Element> {
        match self {
            Self::Managed(managed) => managed.next().await,
            Self::Plain(peer) => peer.next().await,
        }
    }

    /// Gives a stanza back, and deals with what belongs to stream management.
    pub async fn take(&mut self, element: Element) -> io::Result<Option<Element>> {
        match self {
            Self::Managed(managed) => managed.take(element).await,
            Self::Plain(_) => Ok(Some(element)),
        }
    }

    /// Sends one stanza.
    pub async fn send(&mut self, stanza: &str) -> io::Result<()> {
        match self {
            Self::Managed(managed) => managed.send(stanza).await,
            Self::Plain(peer) => peer.send(stanza).await,
        }
    }

    /// The stream management, if there is one.
    pub fn managed(&mut self) -> Option<&mut Managed> {
        match self {
            Self::Managed(managed) => Some(managed),
            Self::Plain(_) => None,
        }
    }

    /// See [`Peer::lose`].
    pub async fn lose(
        self,
        how: Loss,
        stanza: &str,
        part: u8,
    ) -> (Option<Management>, io::Result<Remains>) {
        match self {
            Self::Managed(managed) => {
                let (management, remains) = managed.lose(how, stanza, part).await;
                (Some(management), remains)
            }
            Self::Plain(peer) => (None, peer.lose(how, stanza, part).await),
        }
    }

    /// What outlives it, if anything does; its socket is closed.
    pub fn end(self) -> Option<Management> {
        match self {
            Self::Managed(managed) => Some(managed.into_management()),
            Self::Plain(_) => None,
        }
    }

    /// Closes the stream for good.
    pub async fn close(self) -> io::Result<()> {
        match self {
            Self::Managed(managed) => managed.close().await,
            Self::Plain(peer) => peer.close().await,
        }
    }
}
