//! XEP-0199: XMPP Ping. To the server and to one's own account.

use super::{Request, Service, Target};
use crate::stanza::StanzaError;
use crate::xml::Element;

const NS: &str = "urn:xmpp:ping";

pub(super) struct Ping;

impl Service for Ping {
    fn name(&self) -> &'static str {
        "xep0199_ping"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &Element, _target: Target) -> bool {
        kind == "get" && payload.is("ping", NS)
    }

    fn answer(&self, _request: &Request<'_>) -> Result<Option<Element>, StanzaError> {
        Ok(None)
    }
}
