//! XEP-0030: Service Discovery of the server and of one's own account. The one node is that of the server's capabilities
//! (XEP-0115); there are no items, and of others' accounts nothing but that is told.

use std::cell::RefCell;
use std::rc::Rc;

use super::xep0115_caps::{self, Caps};
use super::{Announced, Answer, Request, Service, Target};
use crate::stanza::Condition;
use crate::xml::Element;

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// What disco announces for itself, and for what the engine does without a service: messages kept for the absent
/// (XEP-0160).
pub(super) const FEATURES: &[&str] = &[INFO, ITEMS, xep0115_caps::NS, "msgoffline"];

/// The name in identities.
const NAME: &str = "stanzad";

pub(super) struct Disco {
    native: Vec<&'static str>,
    scripts: Announced,
    told: RefCell<Rc<Told>>,
}

/// What is told, for as long as the scripts announce the same.
struct Told {
    scripts: Rc<[String]>,
    features: Vec<String>,
    caps: Caps,
    /// As XML.
    stream_feature: Rc<str>,
}

impl Told {
    fn new(native: &[&'static str], scripts: Rc<[String]>) -> Told {
        let all = native.iter().copied();
        let mut features: Vec<&str> = all.chain(scripts.iter().map(String::as_str)).collect();
        features.sort_unstable();
        features.dedup();
        let [category, kind] = identity(Target::Server(""));
        let caps = Caps::new(&[[category, kind, "", NAME]], &features);
        Told {
            features: features.into_iter().map(str::to_owned).collect(),
            stream_feature: caps.element().to_string().into(),
            caps,
            scripts,
        }
    }
}

impl Disco {
    /// Of services with these features, and of scripts.
    pub(super) fn new(native: Vec<&'static str>, scripts: Announced) -> Disco {
        let told = Told::new(&native, scripts());
        Disco {
            native,
            scripts,
            told: RefCell::new(Rc::new(told)),
        }
    }

    /// What the server's streams announce now, as XML.
    pub(super) fn stream_feature(&self) -> Rc<str> {
        self.told().stream_feature.clone()
    }

    fn told(&self) -> Rc<Told> {
        let scripts = (self.scripts)();
        let mut told = self.told.borrow_mut();
        if !Rc::ptr_eq(&told.scripts, &scripts) {
            *told = Rc::new(Told::new(&self.native, scripts));
        }
        told.clone()
    }

    fn info(told: &Told, target: Target<'_>, node: Option<&str>) -> Element {
        let [category, kind] = identity(target);
        let identity = Element::new("identity", INFO)
            .with_attr("category", category)
            .with_attr("type", kind)
            .with_attr("name", NAME);
        let mut query = Element::new("query", INFO);
        query.set_attr("node", node);
        query.push(identity);
        for feature in &told.features {
            query.push(Element::new("feature", INFO).with_attr("var", feature));
        }
        query
    }
}

fn identity(target: Target<'_>) -> [&'static str; 2] {
    match target {
        Target::Server(_) => ["server", "im"],
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
        kind == "get" && (payload.is("query", ITEMS) || (ours && payload.is("query", INFO)))
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let told = self.told();
        let items = request.payload.is("query", ITEMS);
        let node = request.payload.attr("node");
        if let Target::Account(_) = request.target {
            // XEP-0030 §8: empty for an account that does not exist or does not show itself, so for every one.
            let mut query = Element::new("query", ITEMS);
            query.set_attr("node", node);
            return Answer::Now(Ok(Some(query)));
        }
        if let Some(node) = node
            && (items || !matches!(request.target, Target::Server(_)) || node != told.caps.node())
        {
            return Answer::refuse(Condition::ItemNotFound);
        }
        Answer::Now(Ok(Some(if items {
            Element::new("query", ITEMS)
        } else {
            Disco::info(&told, request.target, node)
        })))
    }
}
