//! Whom the user knows: contacts of the roster, and whoever showed a presence.

use std::collections::BTreeMap;

use super::line::clean;
use crate::xml::Element;

const ROSTER_NS: &str = "jabber:iq:roster";

/// Addresses that are kept, and resources of each. Presences of more are not shown.
const MAX_KNOWN: usize = 2000;

/// What is known of one bare address.
#[derive(Debug, Default)]
struct Contact {
    /// The roster's `subscription`; empty for somebody who is not in it.
    subscription: String,
    /// Whether we have asked and wait.
    asked: bool,
    /// By resource, what it says: `online`, `away: lunch`.
    states: BTreeMap<String, String>,
    /// What was told last of the address.
    told: String,
}

/// The contacts, by bare address.
#[derive(Debug, Default)]
pub(super) struct Contacts(BTreeMap<String, Contact>);

impl Contacts {
    /// The request for the roster (RFC 6121 §2.1.3).
    pub(super) fn query() -> Element {
        Element::new("query", ROSTER_NS)
    }

    /// Takes the items of a roster or of a push; false: there are none of it.
    pub(super) fn take(&mut self, iq: &Element) -> bool {
        let Some(query) = iq.child("query", ROSTER_NS) else {
            return false;
        };
        for item in query.elements().filter(|item| item.is("item", ROSTER_NS)) {
            let Some(jid) = item.attr("jid") else {
                continue;
            };
            let subscription = item.attr("subscription").unwrap_or("none");
            if let Some(contact) = self.contact(jid) {
                contact.subscription = match subscription {
                    "remove" => String::new(),
                    other => clean(other),
                };
                contact.asked = item.attr("ask") == Some("subscribe");
            }
        }
        true
    }

    fn contact(&mut self, bare: &str) -> Option<&mut Contact> {
        if self.0.len() >= MAX_KNOWN && !self.0.contains_key(bare) {
            return None;
        }
        Some(self.0.entry(bare.to_owned()).or_default())
    }

    /// Notes what a resource says, `None` that it has gone. Gives the news, if it is some: a state of the whole address.
    pub(super) fn presence(
        &mut self,
        bare: &str,
        resource: &str,
        state: Option<String>,
    ) -> Option<String> {
        let contact = self.contact(bare)?;
        match state {
            Some(state) => {
                if contact.states.len() < MAX_KNOWN || contact.states.contains_key(resource) {
                    contact.states.insert(resource.to_owned(), state);
                }
            }
            None if resource.is_empty() => contact.states.clear(),
            None => {
                contact.states.remove(resource);
            }
        }
        let now = contact.now();
        let before = std::mem::replace(&mut contact.told, now.clone());
        let news = before != now && !(before.is_empty() && now == GONE);
        news.then_some(now)
    }

    /// A line for each, for `/who`.
    pub(super) fn list(&self) -> Vec<String> {
        let seen =
            |contact: &Contact| !contact.subscription.is_empty() || !contact.states.is_empty();
        self.0
            .iter()
            .filter(|(_, contact)| seen(contact))
            .map(|(jid, contact)| {
                let note = match (contact.subscription.as_str(), contact.asked) {
                    (_, true) => "  (asked, not answered yet)",
                    ("from", _) => "  (sees you; you do not see them: /add)",
                    ("none", _) => "  (neither sees the other)",
                    _ => "",
                };
                format!("{} {}{note}", clean(jid), contact.now())
            })
            .collect()
    }
}

const GONE: &str = "is offline";

impl Contact {
    /// All resources in a phrase.
    fn now(&self) -> String {
        let mut states: Vec<&str> = self.states.values().map(String::as_str).collect();
        states.sort_unstable();
        states.dedup();
        if states.is_empty() {
            GONE.to_owned()
        } else {
            format!("is {}", states.join(" and "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presences_are_told_once_and_per_address() {
        let mut contacts = Contacts::default();
        let mut say = |resource: &str, state: Option<&str>| {
            contacts.presence("bob@x", resource, state.map(str::to_owned))
        };
        assert_eq!(say("desk", None), None, "never seen, still gone: no news");
        assert_eq!(say("desk", Some("online")).unwrap(), "is online");
        assert_eq!(say("phone", Some("online")), None);
        assert_eq!(say("phone", Some("away")).unwrap(), "is away and online");
        assert_eq!(say("desk", None).unwrap(), "is away");
        assert_eq!(say("phone", None).unwrap(), "is offline");
    }

    #[test]
    fn strangers_without_end_are_not_kept() {
        let mut contacts = Contacts::default();
        for number in 0..MAX_KNOWN + 10 {
            contacts.presence(&format!("u{number}@x"), "r", Some("online".to_owned()));
        }
        assert_eq!(contacts.list().len(), MAX_KNOWN);
    }
}
