//! Stanzas for components (XEP-0114): into the component's outbox, or an error to the sender. Nothing is kept for one that is
//! not connected: what it is for (a gateway to somewhere else) does not wait either.

use std::sync::Arc;

use super::place::item;
use super::{Delivered, Delivery, Fate, Receipt};
use crate::directory::{About, Component, Outbox, Pushed};
use crate::jid::Jid;
use crate::stanza::{Condition, Kind, Stanza, StanzaError};

/// What a sender is told whose stanza the component did not get: it is known here and not there now. Try again later
/// (RFC 6120 §8.3.3.16).
fn away() -> StanzaError {
    StanzaError::new(Condition::RemoteServerTimeout).with_text("the component is not connected")
}

impl Delivery {
    /// Gives a stanza to the component that speaks for the domain of its `to`.
    pub fn to_component(&self, mut stanza: Stanza) -> Delivered {
        let domain = stanza.to().map(|to| to.domain().to_owned());
        // An outbox that has closed belongs to a session that has left the directory: the next look gives another one, or none.
        while let Some(outbox) = domain
            .as_deref()
            .and_then(|domain| self.directory.component(domain))
        {
            match outbox.push(item(stanza)) {
                Pushed::At(at) => {
                    return Delivered {
                        receipt: Receipt::Written {
                            account: None,
                            outbox,
                            at,
                        },
                        fate: Fate::Component,
                        back: None,
                    };
                }
                Pushed::Coalesced => return nowhere(),
                Pushed::Full(item) => {
                    let full = StanzaError::new(Condition::ResourceConstraint);
                    return Delivered::refused(full, item.stanza);
                }
                Pushed::Closed(item) => stanza = item.stanza,
            }
        }
        match stanza.kind() {
            Kind::Presence => nowhere(),
            Kind::Message | Kind::Iq => Delivered::refused(away(), stanza),
        }
    }

    /// Registers a component that has proved who it is. An older session of the same one is asked to end with `conflict`:
    /// mostly it is one that its component has lost already. What it had not written goes to this one.
    #[must_use]
    pub fn attach(&self, jid: &Jid, session: u64, about: About, outbox_size: usize) -> Arc<Outbox> {
        let outbox = self.directory.outbox(outbox_size);
        let replaced = self.directory.attach(Component {
            jid: jid.clone(),
            session,
            outbox: outbox.clone(),
            about,
        });
        if replaced {
            tracing::warn!(component = %jid, "another connection takes the place of this component's");
        }
        outbox
    }

    /// Unregisters a component's session that has ended. What it had not written goes to the one that has taken its place;
    /// else the returned errors are for those who sent it.
    #[must_use]
    pub fn detach(&self, jid: &Jid, session: u64, outbox: &Outbox) -> Vec<Stanza> {
        self.directory.detach(jid, session);
        let unsent = outbox.finish().into_iter();
        unsent
            .filter_map(|((_, stanza), _)| {
                let Delivered { receipt, back, .. } = self.to_component(stanza);
                match (receipt, back) {
                    (Receipt::Refused(error), Some(stanza)) => stanza.error(&error),
                    _ => None,
                }
            })
            .collect()
    }
}

fn nowhere() -> Delivered {
    Delivered {
        receipt: Receipt::Ready,
        fate: Fate::Nowhere,
        back: None,
    }
}
