//! XEP-0199: XMPP Ping. To the server and to one's own account.

use super::{Outcome, Service, Target};
use crate::stanza::PayloadStart;

const NS: &str = "urn:xmpp:ping";

pub(super) struct Ping;

impl Service for Ping {
    fn name(&self) -> &'static str {
        "xep0199_ping"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        !matches!(target, Target::Account(_)) && kind == "get" && payload.is("ping", NS)
    }

    fn for_components(&self) -> bool {
        true
    }

    fn always(&self) -> Option<Outcome> {
        Some(Ok(None))
    }
}
