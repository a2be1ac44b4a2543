//! RFC 3921 §3: the session request of old clients, which RFC 6121 turned into a no-op.

use super::{Answer, Request, Service, Target};
use crate::xml::Element;

const NS: &str = "urn:ietf:params:xml:ns:xmpp-session";

pub(super) struct Session;

impl Service for Session {
    fn name(&self) -> &'static str {
        "rfc6121_session"
    }

    fn features(&self) -> &'static [&'static str] {
        &[]
    }

    fn takes(&self, kind: &str, payload: &Element, target: Target<'_>) -> bool {
        !matches!(target, Target::Account(_)) && kind == "set" && payload.is("session", NS)
    }

    fn answer(&self, _request: &Request<'_>) -> Answer {
        Answer::Now(Ok(None))
    }
}
