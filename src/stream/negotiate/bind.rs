//! Resource binding (RFC 6120 §7).

use crate::jid::Jid;
use crate::sasl::Mechanism;
use crate::stanza::{Condition, ParseError, Stanza, StanzaError};
use crate::xml::Element;

use super::{BIND_NS, Negotiation, Next, State, StreamCondition};

impl Negotiation {
    /// The client asks for a resource, or for any (RFC 6120 §7.6, §7.7).
    pub(super) fn bind(&mut self, iq: Element, out: &mut Vec<u8>) -> Next {
        let (Some(user), Some(mechanism)) = (self.user.clone(), self.mechanism) else {
            return self.refuse(
                StreamCondition::NotAuthorized,
                "a bind before the login",
                out,
            );
        };
        let iq = match Stanza::from_element(iq) {
            Ok(iq) => iq,
            Err(ParseError::BadStanza { reply, .. } | ParseError::BadAddress { reply, .. }) => {
                return self.bind_refused(reply.as_deref(), out);
            }
            Err(_) => return self.bind_refused(None, out),
        };
        let wish = iq
            .child("bind", BIND_NS)
            .and_then(|bind| bind.child("resource", BIND_NS))
            .map(|resource| resource.text().into_owned())
            .filter(|wish| !wish.is_empty());
        match wish.map(|wish| user.with_resource(&wish)).transpose() {
            Ok(wish) => {
                let wish = wish.and_then(|full| full.resource().map(str::to_owned));
                self.state = State::Binding(iq, mechanism);
                Next::Bind(user, wish)
            }
            // RFC 6120 §7.7.2.1.
            Err(_) => {
                let answer = iq.error(&StanzaError::new(Condition::BadRequest));
                self.bind_refused(answer.as_ref(), out)
            }
        }
    }

    /// The driver has asked the server for the resource.
    pub(super) fn resource(
        &mut self,
        iq: &Stanza,
        mechanism: Mechanism,
        outcome: Result<Jid, StanzaError>,
        out: &mut Vec<u8>,
    ) -> Next {
        match outcome {
            Ok(jid) => {
                let text = Element::new("jid", BIND_NS).with_text(jid.as_str());
                iq.reply()
                    .with_child(&Element::new("bind", BIND_NS).with_child(text))
                    .write_to(out);
                Next::Bound(jid, mechanism)
            }
            Err(error) => self.bind_refused(iq.error(&error).as_ref(), out),
        }
    }

    /// The client may ask again, a few times (RFC 6120 §7.7.2).
    fn bind_refused(&mut self, answer: Option<&Stanza>, out: &mut Vec<u8>) -> Next {
        let Some(answer) = answer else {
            return self.refuse(StreamCondition::BadFormat, "a bind that is no stanza", out);
        };
        answer.write_to(out);
        self.state = State::Features;
        self.count_failure(out)
    }
}
