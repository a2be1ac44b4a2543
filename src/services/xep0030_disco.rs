//! XEP-0030: Service Discovery of the server and of one's own account. The one node is that of the server's capabilities
//! (XEP-0115); there are no items.

use super::xep0115_caps::{self, Caps};
use super::{Answer, Request, Service, Target};
use crate::stanza::Condition;
use crate::xml::Element;

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// What disco announces for itself, and for what the engine does without a service: messages kept for the absent
/// (XEP-0160).
pub(super) const FEATURES: &[&str] = &[INFO, ITEMS, xep0115_caps::NS, "msgoffline"];

/// The name in identities.
const NAME: &str = "stanzad";

pub(super) struct Disco {
    features: Vec<&'static str>,
    caps: Caps,
}

impl Disco {
    pub(super) fn new(mut features: Vec<&'static str>) -> Disco {
        features.sort_unstable();
        let [category, kind] = identity(Target::Server);
        Disco {
            caps: Caps::new(&[[category, kind, "", NAME]], &features),
            features,
        }
    }

    /// What the server's streams announce.
    pub(super) fn caps(&self) -> Element {
        self.caps.element()
    }

    fn info(&self, target: Target<'_>, node: Option<&str>) -> Element {
        let [category, kind] = identity(target);
        let identity = Element::new("identity", INFO)
            .with_attr("category", category)
            .with_attr("type", kind)
            .with_attr("name", NAME);
        let mut query = Element::new("query", INFO);
        query.set_attr("node", node);
        query.push(identity);
        for feature in &self.features {
            query.push(Element::new("feature", INFO).with_attr("var", feature));
        }
        query
    }
}

fn identity(target: Target<'_>) -> [&'static str; 2] {
    match target {
        Target::Server => ["server", "im"],
        Target::Own | Target::Account(_) => ["account", "registered"],
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
        let items = request.payload.is("query", ITEMS);
        let node = request.payload.attr("node");
        if let Some(node) = node
            && (items || request.target != Target::Server || node != self.caps.node())
        {
            return Answer::refuse(Condition::ItemNotFound);
        }
        Answer::Now(Ok(Some(if items {
            Element::new("query", ITEMS)
        } else {
            self.info(request.target, node)
        })))
    }
}
