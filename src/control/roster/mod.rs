//! A roster as an operator writes it: a JSON object, contact -> name, groups, pending requests and subscription, the record
//! that Momentum kept. Reading finds every fault before it gives up.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::jid::Jid;
use crate::stanza::StanzaError;
use crate::stanza::roster::{Roster, RosterItem, Subscription};

/// Faults that are told; of more only the number is.
const FAULTS: usize = 200;
/// Characters of what was given that a fault repeats.
const REPEATED: usize = 80;
/// What a contact may say.
const FIELDS: [&str; 4] = ["name", "groups", "pending_requests", "subscription"];
/// What `pending_requests` may say.
const PENDING: [&str; 4] = ["in", "out", "approved", "listed"];

/// What is wrong with a record: a line for each fault, with the contact and the field.
#[derive(Debug)]
pub struct BadRecord(Vec<String>);

impl fmt::Display for BadRecord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = &self.0;
        let count = faults.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(out, "{count} fault{plural}, nothing was imported")?;
        for fault in faults.iter().take(FAULTS) {
            write!(out, "\n  {fault}")?;
        }
        match count.saturating_sub(FAULTS) {
            0 => Ok(()),
            more => write!(out, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for BadRecord {}

/// The members of a JSON object as they stand there, those that are there twice included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Members, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of contacts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        given.deserialize_map(Reader)
    }
}

/// The contacts of a record, sorted by address; those with a request do not have its stanza yet.
///
/// # Errors
/// Every fault of the record.
pub(super) fn read(record: &str) -> Result<Vec<RosterItem>, BadRecord> {
    let members: Members = serde_json::from_str(record)
        .map_err(|error| BadRecord(vec![format!("not a JSON object of contacts: {error}")]))?;
    let mut faults = Vec::new();
    let mut items: BTreeMap<Jid, RosterItem> = BTreeMap::new();
    for (contact, fields) in members.0 {
        let mut tell = |fault: String| faults.push(format!("{}: {fault}", quoted(&contact)));
        let item = item(&contact, &fields, &mut tell);
        let Some(item) = item else { continue };
        if let Some(twice) = items.insert(item.jid.clone(), item) {
            tell(format!("{} stands there twice", twice.jid));
        }
    }
    if faults.is_empty() {
        Ok(items.into_values().collect())
    } else {
        Err(BadRecord(faults))
    }
}

/// One contact; `None` without an address that could be compared with others.
fn item(contact: &str, fields: &Value, tell: &mut impl FnMut(String)) -> Option<RosterItem> {
    let jid = Jid::new(contact);
    if let Err(error) = &jid {
        tell(format!("not an address: {error}"));
    }
    let none = Map::new();
    let fields = fields.as_object().unwrap_or_else(|| {
        tell(format!("{} where an object should be", kind(fields)));
        &none
    });
    for unknown in fields.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        let known = FIELDS.join(", ");
        tell(format!(
            "no field is called {}; there are {known}",
            quoted(unknown)
        ));
    }
    let mut field = |name: &str, fault: String| tell(format!("{name}: {fault}"));
    let mut item = RosterItem::new(jid.ok()?);
    match fields.get("name").map(name).transpose() {
        Ok(name) => item.name = name.flatten(),
        Err(fault) => field("name", fault),
    }
    match fields.get("groups").map(groups).transpose() {
        Ok(groups) => item.groups = groups.unwrap_or_default(),
        Err(fault) => field("groups", fault),
    }
    let agreed = fields.get("subscription").map(subscription).transpose();
    let agreed = agreed.unwrap_or_else(|fault| {
        field("subscription", fault);
        None
    });
    item.listed = true;
    match pending(fields.get("pending_requests"), agreed.unwrap_or_default()) {
        Ok((state, listed)) => (item.subscription, item.listed) = (state, listed),
        Err(fault) => field("pending_requests", fault),
    }
    Some(item)
}

fn name(given: &Value) -> Result<Option<Box<str>>, String> {
    match given {
        Value::Null => Ok(None),
        Value::String(name) => RosterItem::checked_name(name).map_err(text),
        other => Err(format!("{} where a text should be", kind(other))),
    }
}

fn groups(given: &Value) -> Result<Box<[Box<str>]>, String> {
    match given {
        // What Lua makes of an empty list.
        Value::Object(none) if none.is_empty() => Ok(Box::default()),
        Value::Array(groups) => {
            let odd = groups.iter().find(|group| !group.is_string());
            match odd {
                Some(odd) => Err(format!("{} where a text should be", kind(odd))),
                None => RosterItem::checked_groups(groups.iter().filter_map(Value::as_str))
                    .map_err(text),
            }
        }
        other => Err(format!("{} where a list of texts should be", kind(other))),
    }
}

fn subscription(given: &Value) -> Result<Subscription, String> {
    let (to, from) = match given.as_str() {
        Some("none") => (false, false),
        Some("to") => (true, false),
        Some("from") => (false, true),
        Some("both") => (true, true),
        Some(other) => return Err(format!("{} is not none, to, from or both", quoted(other))),
        None => {
            return Err(format!(
                "{} where none, to, from or both should be",
                kind(given)
            ));
        }
    };
    Ok(Subscription {
        to,
        from,
        ..Subscription::NONE
    })
}

/// The whole state, and whether the contact is listed.
fn pending(given: Option<&Value>, agreed: Subscription) -> Result<(Subscription, bool), String> {
    let none = Map::new();
    let given = match given {
        None => &none,
        // What Lua makes of an empty table.
        Some(Value::Array(list)) if list.is_empty() => &none,
        Some(Value::Object(given)) => given,
        Some(other) => return Err(format!("{} where an object should be", kind(other))),
    };
    if let Some(unknown) = given.keys().find(|key| !PENDING.contains(&key.as_str())) {
        let known = PENDING.join(", ");
        return Err(format!(
            "none is called {}; there are {known}",
            quoted(unknown)
        ));
    }
    let said = |key: &str| match given.get(key) {
        None => Ok(None),
        Some(Value::Bool(said)) => Ok(Some(*said)),
        Some(other) => Err(format!(
            "{key}: {} where true or false should be",
            kind(other)
        )),
    };
    let state = Subscription {
        out: said("out")?.unwrap_or(false),
        in_: said("in")?.unwrap_or(false),
        approved: said("approved")?.unwrap_or(false),
        ..agreed
    };
    if !state.is_valid() {
        let pairs = [
            ("in", state.in_),
            ("out", state.out),
            ("approved", state.approved),
        ];
        let given: Vec<&str> = pairs
            .iter()
            .filter(|pair| pair.1)
            .map(|pair| pair.0)
            .collect();
        let given = given.join(" and ");
        return Err(format!(
            "{given} cannot be with the subscription {}",
            state.attr()
        ));
    }
    let listed = said("listed")?.unwrap_or(true);
    if !listed && state.name() != "none+in" {
        return Err("only a contact that asks and nothing else is not listed".to_owned());
    }
    Ok((state, listed))
}

/// The record of a roster.
pub(super) fn record(roster: &Roster) -> Value {
    let contacts = roster.iter().map(|item| {
        let state = item.subscription;
        let mut pending = Map::new();
        let facts = [
            ("in", state.in_),
            ("out", state.out),
            ("approved", state.approved),
        ];
        for (name, _) in facts.iter().filter(|(_, fact)| *fact) {
            pending.insert((*name).to_owned(), Value::Bool(true));
        }
        if !item.listed {
            pending.insert("listed".to_owned(), Value::Bool(false));
        }
        let fields = json!({
            "name": item.name.as_deref(),
            "groups": groups_of(item),
            "pending_requests": pending,
            "subscription": state.attr(),
        });
        (item.jid.to_string(), fields)
    });
    Value::Object(contacts.collect())
}

/// A row of `roster show` for each contact.
pub(super) fn rows(roster: &Roster) -> Vec<Value> {
    let row = |item: &RosterItem| {
        let mut row = json!({
            "jid": item.jid.as_str(),
            "name": item.name.as_deref(),
            "state": item.subscription.name(),
            "groups": groups_of(item),
        });
        if !item.listed {
            row["listed"] = Value::Bool(false);
        }
        row
    };
    roster.iter().map(|item| row(item)).collect()
}

fn groups_of(item: &RosterItem) -> Vec<&str> {
    item.groups.iter().map(AsRef::as_ref).collect()
}

fn text(error: StanzaError) -> String {
    error
        .text
        .unwrap_or_else(|| error.condition.name().to_owned())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What was given, on one line, not all of it if it is long.
fn quoted(given: &str) -> String {
    let mut short: String = given.chars().take(REPEATED).collect();
    if short.len() < given.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

#[cfg(test)]
mod tests;
