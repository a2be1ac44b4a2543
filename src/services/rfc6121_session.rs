//! RFC 3921 §3: the session request of old clients, which RFC 6121 turned into a no-op.

use super::{Outcome, Service, Target};
use crate::stanza::PayloadStart;

const NS: &str = "urn:ietf:params:xml:ns:xmpp-session";

pub(super) struct Session;

impl Service for Session {
    fn name(&self) -> &'static str {
        "rfc6121_session"
    }

    fn features(&self) -> &'static [&'static str] {
        &[]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        !matches!(target, Target::Account(_)) && kind == "set" && payload.is("session", NS)
    }

    fn always(&self) -> Option<Outcome> {
        Some(Ok(None))
    }
}
