//! Which stanzas a handler wants, decided before Lua is entered.
//!
//! A filter looks at the stanza's start tag and, for `payload` and `body`, at its bytes: no tree is made where those tell.

use std::fmt;

use mlua::{Error as LuaError, LuaString, Table, Value};

use crate::hook::Point;
use crate::jid::Jid;
use crate::stanza::{Kind, Stanza};

use super::Host;
use super::nearest::nearest;

/// Most values of one option.
const MAX_VALUES: usize = 4_096;
/// Longest namespace, in bytes.
const MAX_NS_BYTES: usize = 1_024;
/// How many addresses the console shows of one filter.
const SHOWN: usize = 3;

/// An option of a hook: its name, its type in LuaLS's notation, what it does.
pub(super) type HookOption = (&'static str, &'static str, &'static str);

/// Everything that the second argument of `hook` may say.
pub(super) const OPTIONS: &[HookOption] = &[
    (
        "priority",
        "integer",
        "Higher runs first inside a band; 0 is usual.",
    ),
    (
        "band",
        "\"early\"|\"late\"",
        "Before the server's own services, which is usual, or after them.",
    ),
    (
        "kind",
        "\"message\"|\"presence\"|\"iq\"",
        "Only stanzas of this kind: for `route` and `deliver`, which see all three.",
    ),
    (
        "type",
        "string|string[]",
        "Only stanzas of this type, or one of these, as it is written. A message without one is `normal`, such a presence `available`.",
    ),
    (
        "payload",
        "string",
        "Only stanzas whose first child element is in this namespace.",
    ),
    (
        "to",
        "string|string[]",
        "Only stanzas to this address, or one of these, or their resources: NAME stands for NAME at every domain of this server, NAME@DOMAIN for itself. An empty list: none at all.",
    ),
    (
        "body",
        "boolean",
        "true: only stanzas with a body; false: only those without.",
    ),
];

/// What a handler wants. The empty one wants everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    kind: Option<Kind>,
    types: Option<Box<[&'static str]>>,
    payload: Option<Box<str>>,
    to: Option<Addresses>,
    body: Option<bool>,
}

/// Both sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Addresses {
    /// Local parts, at any domain of ours.
    names: Box<[Box<str>]>,
    /// Bare addresses.
    bare: Box<[Box<str>]>,
}

impl Filter {
    /// Reads the options of a handler at `point`; those that are no filter are somebody else's to read.
    ///
    /// # Errors
    /// An option that there is not, with the nearest that there is; a value that could never match.
    pub(super) fn read(options: &Table, point: Point) -> mlua::Result<Filter> {
        for pair in options.pairs::<Value, Value>() {
            check_name(&pair?.0)?;
        }
        let filter = Filter {
            kind: kind(options, point)?,
            types: types(options, point)?,
            payload: payload(options)?,
            to: to(options)?,
            body: body(options)?,
        };
        if filter != Filter::default()
            && point.info().args.iter().all(|(name, _)| *name != "stanza")
        {
            return Err(LuaError::runtime(format!(
                "{} has no stanza to filter by",
                point.name()
            )));
        }
        Ok(filter)
    }

    /// Whether the handler wants this event: a stanza that cannot be judged is for the handler to judge.
    pub(super) fn wants(&self, stanza: Option<&Stanza>, host: &dyn Host) -> bool {
        let Some(stanza) = stanza else { return true };
        self.kind.is_none_or(|kind| kind == stanza.kind())
            && self.wants_type(stanza)
            && self.wants_to(stanza, host)
            && self
                .body
                .is_none_or(|wanted| stanza.has_body().map_or(true, |has| has == wanted))
            && self.payload.as_deref().is_none_or(|wanted| {
                stanza.payload_start().map_or(true, |payload| {
                    payload.is_some_and(|payload| payload.ns() == wanted)
                })
            })
    }

    fn wants_type(&self, stanza: &Stanza) -> bool {
        let Some(types) = &self.types else {
            return true;
        };
        let written = match (stanza.type_(), stanza.kind()) {
            ("", Kind::Message) => "normal",
            ("", Kind::Presence) => "available",
            (written, _) => written,
        };
        types.contains(&written)
    }

    fn wants_to(&self, stanza: &Stanza, host: &dyn Host) -> bool {
        let Some(wanted) = &self.to else { return true };
        let Some(to) = stanza.to() else { return false };
        let among = |list: &[Box<str>], text: &str| {
            list.binary_search_by(|have| have.as_ref().cmp(text))
                .is_ok()
        };
        among(&wanted.bare, to.bare_str())
            || to
                .local()
                .is_some_and(|name| among(&wanted.names, name) && host.serves(to.domain()))
    }
}

/// As a script would write it; empty for the one that wants everything.
impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.kind.map(|kind| format!("kind = {:?}", kind.name())));
        parts.extend(
            self.types
                .as_deref()
                .map(|types| format!("type = {}", list(types.iter().copied()))),
        );
        parts.extend(self.payload.as_ref().map(|ns| format!("payload = {ns:?}")));
        parts.extend(self.to.as_ref().map(|to| {
            let all = to.names.iter().chain(&to.bare).map(AsRef::as_ref);
            format!("to = {}", list(all))
        }));
        parts.extend(self.body.map(|body| format!("body = {body}")));
        if parts.is_empty() {
            return Ok(());
        }
        write!(out, "{{ {} }}", parts.join(", "))
    }
}

fn list<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<&str> = values.collect();
    match values.as_slice() {
        [one] => format!("{one:?}"),
        many => {
            let mut shown: Vec<String> = many
                .iter()
                .take(SHOWN)
                .map(|one| format!("{one:?}"))
                .collect();
            let more = many.len().saturating_sub(SHOWN);
            if more > 0 {
                shown.push(format!("{more} more"));
            }
            format!("{{{}}}", shown.join(", "))
        }
    }
}

fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"))
}

fn check_name(key: &Value) -> mlua::Result<()> {
    let names = || OPTIONS.iter().map(|(name, ..)| *name);
    let name = match key {
        Value::String(name) => name.to_string_lossy(),
        other => other.to_string()?,
    };
    if names().any(|known| known == name) {
        return Ok(());
    }
    Err(LuaError::runtime(format!(
        "there is no hook option \"{name}\"{}",
        did_you_mean(&name, names())
    )))
}

/// The kind of stanza that the point sees, where it is always the same.
fn kind_of(point: Point) -> Option<Kind> {
    match point {
        Point::ClientMessageRecv | Point::ComponentMessageRecv => Some(Kind::Message),
        Point::ClientPresenceRecv | Point::ComponentPresenceRecv => Some(Kind::Presence),
        Point::ClientIqRecv | Point::ComponentIqRecv => Some(Kind::Iq),
        _ => None,
    }
}

fn kind(options: &Table, point: Point) -> mlua::Result<Option<Kind>> {
    let Some(word) = options.raw_get::<Option<String>>("kind")? else {
        return Ok(None);
    };
    let kind = Kind::from_name(&word).ok_or_else(|| {
        LuaError::runtime(format!(
            "there is no kind of stanza \"{word}\": it is \"message\", \"presence\" or \"iq\""
        ))
    })?;
    if kind_of(point).is_some_and(|only| only != kind) {
        return Err(LuaError::runtime(format!(
            "{} never sees stanzas of kind \"{word}\"",
            point.name()
        )));
    }
    Ok(Some(kind))
}

fn types(options: &Table, point: Point) -> mlua::Result<Option<Box<[&'static str]>>> {
    let Some(words) = words(options, "type")? else {
        return Ok(None);
    };
    let kinds = match kind(options, point)?.or(kind_of(point)) {
        Some(kind) => vec![kind],
        None => vec![Kind::Message, Kind::Presence, Kind::Iq],
    };
    let available = kinds.contains(&Kind::Presence).then_some("available");
    let known: Vec<&'static str> = kinds
        .iter()
        .flat_map(|kind| kind.types().iter().copied())
        .chain(available)
        .collect();
    let types = words.iter().map(|word| {
        let found = known.iter().find(|known| **known == word.as_str());
        found.copied().ok_or_else(|| {
            LuaError::runtime(format!(
                "no stanza here has the type \"{word}\"{}",
                did_you_mean(word, known.iter().copied())
            ))
        })
    });
    types.collect::<mlua::Result<_>>().map(Some)
}

fn payload(options: &Table) -> mlua::Result<Option<Box<str>>> {
    let Some(ns) = options.raw_get::<Option<String>>("payload")? else {
        return Ok(None);
    };
    if ns.is_empty() || ns.len() > MAX_NS_BYTES {
        return Err(LuaError::runtime(
            "payload is a namespace, such as \"jabber:iq:roster\"",
        ));
    }
    Ok(Some(ns.into()))
}

fn body(options: &Table) -> mlua::Result<Option<bool>> {
    match options.raw_get::<Value>("body")? {
        Value::Nil => Ok(None),
        Value::Boolean(wanted) => Ok(Some(wanted)),
        _ => Err(LuaError::runtime(
            "body is true (only with a body) or false (only without)",
        )),
    }
}

fn to(options: &Table) -> mlua::Result<Option<Addresses>> {
    let Some(words) = words(options, "to")? else {
        return Ok(None);
    };
    let (mut names, mut bare) = (Vec::new(), Vec::new());
    for word in words {
        let refused = |why: String| LuaError::runtime(format!("to = \"{word}\": {why}"));
        if word.contains('/') {
            return Err(refused("write it without a resource".into()));
        }
        if word.contains('@') {
            let address = Jid::new(&word).map_err(|error| refused(error.to_string()))?;
            bare.push(address.as_str().into());
        } else {
            let address = Jid::from_parts(Some(&word), "localhost", None)
                .map_err(|error| refused(error.to_string()))?;
            names.extend(address.local().map(Box::from));
        }
    }
    let sorted = |mut list: Vec<Box<str>>| {
        list.sort_unstable();
        list.dedup();
        list.into_boxed_slice()
    };
    Ok(Some(Addresses {
        names: sorted(names),
        bare: sorted(bare),
    }))
}

/// A string, or a list of strings.
fn words(options: &Table, option: &str) -> mlua::Result<Option<Vec<String>>> {
    let refused = || LuaError::runtime(format!("{option} is a string or a list of strings"));
    let text = |text: &LuaString| Ok(text.to_str().map_err(|_| refused())?.to_owned());
    match options.raw_get::<Value>(option)? {
        Value::Nil => Ok(None),
        Value::String(one) => Ok(Some(vec![text(&one)?])),
        Value::Table(many) => {
            let length = many.raw_len();
            if length > MAX_VALUES {
                return Err(LuaError::runtime(format!(
                    "{option} has more than {MAX_VALUES} values"
                )));
            }
            if many.pairs::<Value, Value>().count() != length {
                return Err(refused());
            }
            many.sequence_values::<Value>()
                .map(|value| match value? {
                    Value::String(one) => text(&one),
                    _ => Err(refused()),
                })
                .collect::<mlua::Result<_>>()
                .map(Some)
        }
        _ => Err(refused()),
    }
}
