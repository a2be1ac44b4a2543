//! XEP-0202: Entity Time. The server's clock, in UTC.

use super::{Answer, Request, Service, Target};
use crate::net::Clock;
use crate::stanza::{PayloadStart, format_time};
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

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        kind == "get" && matches!(target, Target::Server(_)) && payload.is("time", NS)
    }

    fn for_components(&self) -> bool {
        true
    }

    fn answer(&self, _request: &Request<'_>) -> Answer {
        let utc = Element::new("utc", NS).with_text(&format_time(self.clock.wall_ms()));
        let offset = Element::new("tzo", NS).with_text("+00:00");
        Answer::Now(Ok(Some(
            Element::new("time", NS).with_child(offset).with_child(utc),
        )))
    }
}
