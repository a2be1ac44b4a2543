//! XEP-0030: Service Discovery of the server and of one's own account. The one node is that of the server's capabilities
//! (XEP-0115); the items are the connected components below the domain, and of others' accounts nothing but that there are
//! none is told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::xep0115_caps::{self, Caps};
use super::{Announced, Answer, Request, Service, Target, xep0157_contacts};
use crate::config::Config;
use crate::directory::Directory;
use crate::form::Form;
use crate::jid::Jid;
use crate::stanza::{Condition, PayloadStart};
use crate::xml::Element;

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// What disco announces for itself, and for what the engine does without a service: messages kept for the absent
/// (XEP-0160).
pub(super) const FEATURES: &[&str] = &[INFO, ITEMS, xep0115_caps::NS, "msgoffline"];

/// The name in identities.
const NAME: &str = "stanzad";

/// What the server is: category and type.
const SERVER: [&str; 2] = ["server", "im"];

/// How many different answers are kept: what domains say of themselves mostly is the same.
const TOLD_MAX: usize = 8;

pub(super) struct Disco {
    native: Vec<&'static str>,
    scripts: Announced,
    config: Rc<dyn Fn() -> Arc<Config>>,
    /// The latest last.
    told: RefCell<Vec<Rc<Told>>>,
    directory: Arc<Directory>,
}

/// What is told of a domain, for as long as the scripts announce the same and it has the same contacts.
struct Told {
    scripts: Rc<[String]>,
    contacts: Option<Form>,
    features: Vec<String>,
    caps: Caps,
    /// As XML.
    stream_feature: Rc<str>,
}

impl Told {
    fn new(native: &[&'static str], scripts: Rc<[String]>, contacts: Option<Form>) -> Told {
        let all = native.iter().copied();
        let mut features: Vec<&str> = all.chain(scripts.iter().map(String::as_str)).collect();
        features.sort_unstable();
        features.dedup();
        let [category, kind] = SERVER;
        let identity = [category, kind, "", NAME];
        let caps = Caps::new(&[identity], &features, contacts.as_ref());
        Told {
            features: features.into_iter().map(str::to_owned).collect(),
            stream_feature: caps.element().to_string().into(),
            caps,
            contacts,
            scripts,
        }
    }
}

impl Disco {
    /// Of services with these features, of scripts, and of what the configuration says of each domain.
    pub(super) fn new(
        native: Vec<&'static str>,
        scripts: Announced,
        config: Rc<dyn Fn() -> Arc<Config>>,
        directory: Arc<Directory>,
    ) -> Disco {
        Disco {
            native,
            scripts,
            config,
            directory,
            told: RefCell::default(),
        }
    }

    /// What the streams of `domain` announce now, as XML.
    pub(super) fn stream_feature(&self, domain: &str) -> Rc<str> {
        self.told(domain).stream_feature.clone()
    }

    fn told(&self, domain: &str) -> Rc<Told> {
        let scripts = (self.scripts)();
        let contacts = xep0157_contacts::form(&(self.config)(), domain);
        let mut all = self.told.borrow_mut();
        all.retain(|told| Rc::ptr_eq(&told.scripts, &scripts));
        if let Some(told) = all.iter().find(|told| told.contacts == contacts) {
            return told.clone();
        }
        if all.len() >= TOLD_MAX {
            all.remove(0);
        }
        let told = Rc::new(Told::new(&self.native, scripts, contacts));
        all.push(told.clone());
        told
    }

    /// XEP-0030 §4: what is there beside the server. Of a user there is nothing.
    fn items(&self, domain: Option<&str>) -> Element {
        let below = |jid: &Jid| {
            let name = domain.and_then(|domain| jid.domain().strip_suffix(domain));
            name.is_some_and(|name| name.ends_with('.'))
        };
        let components = self.directory.components().into_iter();
        let mut found: Vec<Jid> = components.map(|one| one.jid).filter(below).collect();
        found.sort();
        let mut query = Element::new("query", ITEMS);
        for jid in found {
            query.push(Element::new("item", ITEMS).with_attr("jid", jid.as_str()));
        }
        query
    }

    fn info(told: &Told, target: Target<'_>, node: Option<&str>) -> Element {
        let (category, kind, contacts) = match target {
            Target::Server(_) => (SERVER[0], SERVER[1], told.contacts.as_ref()),
            Target::Own | Target::Account(_) => ("account", "registered", None),
        };
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
        if let Some(contacts) = contacts {
            query.push(contacts.to_element());
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

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        let ours = !matches!(target, Target::Account(_));
        kind == "get" && (payload.is("query", ITEMS) || (ours && payload.is("query", INFO)))
    }

    fn for_components(&self) -> bool {
        true
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let domain = match request.target {
            Target::Server(domain) => domain,
            Target::Own | Target::Account(_) => request.peer.jid.domain(),
        };
        let told = self.told(domain);
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
            self.items(match request.target {
                Target::Server(domain) => Some(domain),
                Target::Own | Target::Account(_) => None,
            })
        } else {
            Disco::info(&told, request.target, node)
        })))
    }
}
