//! XEP-0092: Software Version. The operating system is not told.

use super::{Answer, Request, Service, Target};
use crate::stanza::PayloadStart;
use crate::xml::Element;

const NS: &str = "jabber:iq:version";

pub(super) struct Version;

impl Service for Version {
    fn name(&self) -> &'static str {
        "xep0092_version"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        kind == "get" && matches!(target, Target::Server(_)) && payload.is("query", NS)
    }

    fn for_components(&self) -> bool {
        true
    }

    fn answer(&self, _request: &Request<'_>) -> Answer {
        let version = Element::new("version", NS).with_text(env!("CARGO_PKG_VERSION"));
        let name = Element::new("name", NS).with_text("stanzad");
        Answer::Now(Ok(Some(
            Element::new("query", NS)
                .with_child(name)
                .with_child(version),
        )))
    }
}
