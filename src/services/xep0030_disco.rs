//! XEP-0030: Service Discovery of the server and of one's own account. There are no nodes and no items.

use super::{Answer, Request, Service, Target};
use crate::stanza::Condition;
use crate::xml::Element;

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// What disco announces for itself, and for what the engine does without a service: messages kept for the absent
/// (XEP-0160).
pub(super) const FEATURES: &[&str] = &[INFO, ITEMS, "msgoffline"];

pub(super) struct Disco {
    features: Vec<&'static str>,
}

impl Disco {
    pub(super) fn new(mut features: Vec<&'static str>) -> Disco {
        features.sort_unstable();
        Disco { features }
    }

    fn info(&self, target: Target<'_>) -> Element {
        let (category, kind) = match target {
            Target::Server => ("server", "im"),
            Target::Own | Target::Account(_) => ("account", "registered"),
        };
        let identity = Element::new("identity", INFO)
            .with_attr("category", category)
            .with_attr("type", kind)
            .with_attr("name", "stanzad");
        let mut query = Element::new("query", INFO).with_child(identity);
        for feature in &self.features {
            query.push(Element::new("feature", INFO).with_attr("var", feature));
        }
        query
    }
}

impl Service for Disco {
    fn name(&self) -> &'static str {
        "xep0030_disco"
    }

    fn features(&self) -> &'static [&'static str] {
        FEATURES
    }

    fn takes(&self, kind: &str, payload: &Element, target: Target<'_>) -> bool {
        let ours = !matches!(target, Target::Account(_));
        ours && kind == "get" && (payload.is("query", INFO) || payload.is("query", ITEMS))
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        if request.payload.attr("node").is_some() {
            return Answer::refuse(Condition::ItemNotFound);
        }
        Answer::Now(Ok(Some(if request.payload.is("query", INFO) {
            self.info(request.target)
        } else {
            Element::new("query", ITEMS)
        })))
    }
}
