//! XEP-0202: Entity Time. The server's clock, in UTC.

use super::{Request, Service, Target};
use crate::net::Clock;
use crate::stanza::{StanzaError, format_time};
use crate::xml::Element;

const NS: &str = "urn:xmpp:time";

pub(super) struct Time {
    clock: Clock,
}

impl Time {
    pub(super) fn new(clock: Clock) -> Time {
        Time { clock }
    }
}

impl Service for Time {
    fn name(&self) -> &'static str {
        "xep0202_time"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &Element, target: Target) -> bool {
        kind == "get" && target == Target::Server && payload.is("time", NS)
    }

    fn answer(&self, _request: &Request<'_>) -> Result<Option<Element>, StanzaError> {
        let utc = Element::new("utc", NS).with_text(&format_time(self.clock.wall_ms()));
        let offset = Element::new("tzo", NS).with_text("+00:00");
        Ok(Some(
            Element::new("time", NS).with_child(offset).with_child(utc),
        ))
    }
}
