//! A component's stream (XEP-0114): a header, a handshake, and no features between them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Component, ComponentStreams};
use crate::sasl::{Failure, proves};
use crate::xml::{COMPONENT_NS, Element, Header};

use super::header::{self, Judged};
use super::{FailedLogin, Negotiation, Next, State, StreamCondition};

/// Where components may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Components {
    /// Not on this socket.
    Nowhere,
    /// On an encrypted stream.
    Encrypted,
    /// Here, encrypted or not.
    Here,
}

impl Components {
    /// Those that come from `peer` to a socket with that `component_streams`.
    #[must_use]
    pub fn of(streams: ComponentStreams, peer: IpAddr) -> Components {
        match streams {
            ComponentStreams::None => Components::Nowhere,
            ComponentStreams::Local if peer.to_canonical().is_loopback() => Components::Here,
            ComponentStreams::Tls | ComponentStreams::Local => Components::Encrypted,
            ComponentStreams::Any => Components::Here,
        }
    }
}

impl Negotiation {
    /// Judges a component's header, and answers with one of ours.
    pub(super) fn component_header(&mut self, header: &Header, out: &mut Vec<u8>) -> Next {
        self.content_ns = COMPONENT_NS;
        match self.judge_component(header) {
            Ok(component) => {
                self.domain = Some(component.jid.domain().to_owned());
                self.write_header(None, out);
                self.state = State::Component(component);
                Next::Read
            }
            Err((condition, reason)) => self.refuse(condition, reason, out),
        }
    }

    fn judge_component(&self, header: &Header) -> Judged<Arc<Component>> {
        match self.rules.components {
            Components::Nowhere => Err((
                StreamCondition::InvalidNamespace,
                "components may not connect here",
            )),
            Components::Encrypted if !self.encrypted => {
                Err((StreamCondition::PolicyViolation, "a component without TLS"))
            }
            Components::Encrypted | Components::Here => {
                let domain = header::domain(header)?;
                (self.rules.component)(domain.domain()).ok_or((
                    StreamCondition::HostUnknown,
                    "opened for a domain that is no component's",
                ))
            }
        }
    }

    /// What comes behind the header.
    pub(super) fn handshake(
        &mut self,
        component: Arc<Component>,
        element: &Element,
        out: &mut Vec<u8>,
    ) -> Next {
        if !element.is("handshake", COMPONENT_NS) {
            return self.refuse(
                StreamCondition::NotAuthorized,
                "an element before the handshake",
                out,
            );
        }
        if !proves(&element.text(), &self.stream_id, &component.secret) {
            self.failed = Some(FailedLogin {
                mechanism: None,
                user: Some(component.jid.clone()),
                failure: Failure::NotAuthorized,
            });
            return self.refuse(StreamCondition::NotAuthorized, "a wrong handshake", out);
        }
        self.state = State::Attaching(component.clone());
        Next::Attach(component)
    }

    /// The driver has made it known: whatever is sent to the component from here on reaches it.
    pub(super) fn attached(&mut self, component: Arc<Component>, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(b"<handshake/>");
        Next::Attached(component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_clear_text_stays_on_this_machine() {
        for (streams, here, elsewhere) in [
            (
                ComponentStreams::None,
                Components::Nowhere,
                Components::Nowhere,
            ),
            (
                ComponentStreams::Local,
                Components::Here,
                Components::Encrypted,
            ),
            (
                ComponentStreams::Tls,
                Components::Encrypted,
                Components::Encrypted,
            ),
            (ComponentStreams::Any, Components::Here, Components::Here),
        ] {
            for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
                let peer = peer.parse().unwrap();
                assert_eq!(Components::of(streams, peer), here, "{peer}");
            }
            for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1"] {
                let peer = peer.parse().unwrap();
                assert_eq!(Components::of(streams, peer), elsewhere, "{peer}");
            }
        }
    }
}
