//! One contact.

use bytes::Bytes;

use super::Subscription;
use crate::jid::Jid;
use crate::stanza::{Condition, Stanza, StanzaError};
use crate::xml::{Element, is_text};

/// The namespace of rosters (RFC 6121 §2).
pub const ROSTER_NS: &str = "jabber:iq:roster";
/// The longest name that an owner may give a contact, in bytes.
pub const NAME_BYTES: usize = 1_023;
/// The longest name of a group, in bytes.
pub const GROUP_BYTES: usize = 1_023;
/// Most groups that a contact may be in.
pub const MAX_GROUPS: usize = 50;
/// The longest request that is kept as it came; of a longer one only the addresses and the id stay.
pub const REQUEST_BYTES: usize = 8 << 10;

/// What an owner's roster says about one contact. 72 bytes, and 40 of them hold nothing for a contact without name,
/// groups and request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// The contact, normally bare.
    pub jid: Jid,
    /// What the owner calls it; never empty.
    pub name: Option<Box<str>>,
    /// The groups that the owner put it into, each once, none empty.
    pub groups: Box<[Box<str>]>,
    /// What is agreed and asked.
    pub subscription: Subscription,
    /// Whether the owner has put the contact into the roster, or asked or answered it. An item that is only there
    /// because the contact asked (`none+in`) is not shown to clients (RFC 6121 §A.1).
    pub listed: bool,
    /// The contact's `subscribe`, self-contained under `jabber:client`, while `subscription.in_`: every new session of
    /// the owner gets it (RFC 6121 §3.1.3). Set it with [`RosterItem::ask`].
    pub request: Option<Box<Bytes>>,
}

/// What a client's roster set asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterSet {
    /// That the contact is there with this name and these groups (RFC 6121 §2.3, §2.4).
    Put {
        /// The contact.
        jid: Jid,
        /// As [`RosterItem::name`].
        name: Option<Box<str>>,
        /// As [`RosterItem::groups`].
        groups: Box<[Box<str>]>,
    },
    /// That the contact is gone, with every subscription (RFC 6121 §2.5).
    Remove(Jid),
}

impl RosterItem {
    /// A contact without name, groups or subscription, not listed.
    #[must_use]
    pub fn new(jid: Jid) -> RosterItem {
        RosterItem {
            jid,
            name: None,
            groups: Box::default(),
            subscription: Subscription::NONE,
            listed: false,
            request: None,
        }
    }

    /// Notes that the contact asked with `subscribe`, a presence of that type. One longer than [`REQUEST_BYTES`] is kept
    /// without its content, so that strangers cannot fill the store.
    pub fn ask(&mut self, subscribe: &Stanza) {
        self.subscription.in_ = true;
        let whole = subscribe.to_bytes();
        let kept = if whole.len() <= REQUEST_BYTES {
            whole
        } else {
            let mut short = Stanza::presence("subscribe");
            short.set_from(subscribe.from().cloned());
            short.set_to(subscribe.to().cloned());
            let short_id = subscribe.id().filter(|id| id.len() <= NAME_BYTES);
            short.set_id(short_id);
            short.to_bytes()
        };
        self.request = Some(Box::new(kept));
    }

    /// Gives an item that comes without its request, from outside, the one of the item `before` it; where there is none, a
    /// plain one. Takes away what should not be there.
    pub fn keep_request(&mut self, owner: &Jid, before: Option<&RosterItem>) {
        if !self.subscription.in_ {
            self.request = None;
        } else if self.request.is_none() {
            self.request = before.and_then(|before| before.request.clone());
            if self.request.is_none() {
                let mut plain = Stanza::presence("subscribe");
                plain.set_from(Some(self.jid.clone()));
                plain.set_to(Some(owner.to_bare()));
                self.ask(&plain);
            }
        }
    }

    /// Notes that the contact's request is answered or withdrawn.
    pub fn answered(&mut self) {
        self.subscription.in_ = false;
        self.request = None;
    }

    /// The element `item` of results and pushes (RFC 6121 §2.1.2).
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut item = Element::new("item", ROSTER_NS)
            .with_attr("jid", self.jid.as_str())
            .with_attr("subscription", self.subscription.attr());
        if let Some(name) = &self.name {
            item.set_attr("name", Some(name));
        }
        if self.subscription.out {
            item.set_attr("ask", Some("subscribe"));
        }
        if self.subscription.approved {
            item.set_attr("approved", Some("true"));
        }
        for group in &self.groups {
            item.push(Element::new("group", ROSTER_NS).with_text(group));
        }
        item
    }

    /// The element `item` of a push that says that `jid` is gone (RFC 6121 §2.5.2).
    #[must_use]
    pub fn removed(jid: &Jid) -> Element {
        Element::new("item", ROSTER_NS)
            .with_attr("jid", jid.as_str())
            .with_attr("subscription", "remove")
    }

    /// What a roster set asks for, given its `query`. Only the contact, its name, its groups and `subscription='remove'`
    /// are a client's to say; what else stands there is ignored (RFC 6121 §2.1.2).
    ///
    /// # Errors
    /// As RFC 6121 §2.3.3 says: `bad-request` for other than one item, no address, or a group twice; `jid-malformed`;
    /// `not-acceptable` for an empty group, too many groups, or a name or group that is too long.
    pub fn from_set(query: &Element) -> Result<RosterSet, StanzaError> {
        let mut items = query.elements().filter(|child| child.is("item", ROSTER_NS));
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(bad_request("a roster set has exactly one item"));
        };
        let jid = item
            .attr("jid")
            .ok_or_else(|| bad_request("the item has no jid"))?;
        let jid = Jid::new(jid).map_err(|error| {
            StanzaError::new(Condition::JidMalformed).with_text(error.to_string())
        })?;
        if item.attr("subscription") == Some("remove") {
            return Ok(RosterSet::Remove(jid));
        }
        let groups = item.elements().filter(|child| child.is("group", ROSTER_NS));
        Ok(RosterSet::Put {
            jid,
            name: RosterItem::checked_name(item.attr("name").unwrap_or_default())?,
            groups: RosterItem::checked_groups(groups.map(Element::text))?,
        })
    }

    /// A contact's name from outside; an empty one is none.
    ///
    /// # Errors
    /// `not-acceptable`: too long, or with a character that XML cannot carry.
    pub fn checked_name(name: &str) -> Result<Option<Box<str>>, StanzaError> {
        check("name", name, NAME_BYTES)?;
        Ok((!name.is_empty()).then(|| name.into()))
    }

    /// A contact's groups from outside.
    ///
    /// # Errors
    /// `not-acceptable`: too many, or one that is empty, too long or has a character that XML cannot carry. `bad-request`:
    /// one stands there twice.
    pub fn checked_groups(
        given: impl Iterator<Item = impl AsRef<str>>,
    ) -> Result<Box<[Box<str>]>, StanzaError> {
        let mut groups: Vec<Box<str>> = Vec::new();
        for group in given {
            let group = group.as_ref();
            if group.is_empty() {
                return Err(not_acceptable("a group has no name".to_owned()));
            }
            check("group", group, GROUP_BYTES)?;
            if groups.iter().any(|other| **other == *group) {
                return Err(bad_request("a group stands there twice"));
            }
            if groups.len() >= MAX_GROUPS {
                let text = format!("there are more than {MAX_GROUPS} groups");
                return Err(not_acceptable(text));
            }
            groups.push(group.into());
        }
        Ok(groups.into())
    }
}

fn check(what: &str, text: &str, most: usize) -> Result<(), StanzaError> {
    if text.len() > most {
        let text = format!("a {what} has at most {most} bytes");
        return Err(not_acceptable(text));
    }
    if !is_text(text) {
        let text = format!("the {what} has a character that XML cannot carry");
        return Err(not_acceptable(text));
    }
    Ok(())
}

fn bad_request(text: &str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_text(text)
}

fn not_acceptable(text: String) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).with_text(text)
}
