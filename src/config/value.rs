//! Typed values: what an option may hold, and reading it from the tree.

use std::fmt;

use super::listed;
use super::nearest;
use super::syntax::{Node, Scalar, Span};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Seconds,
    Millis,
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Count => "number",
            Unit::Seconds => "seconds",
            Unit::Millis => "milliseconds",
            Unit::Bytes => "bytes",
        }
    }

    /// How many of this unit a suffix that people write elsewhere means.
    fn suffix(self, suffix: &str) -> Option<u64> {
        let per = |size: u64| Some(size);
        match (self, suffix) {
            (Unit::Seconds, "s" | "sec") => per(1),
            (Unit::Seconds, "m" | "min") => per(60),
            (Unit::Seconds, "h") => per(3600),
            (Unit::Seconds, "d") => per(86_400),
            (Unit::Millis, "ms") => per(1),
            (Unit::Millis, "s") => per(1000),
            (Unit::Bytes, "b") => per(1),
            (Unit::Bytes, "k" | "kb" | "kib") => per(1 << 10),
            (Unit::Bytes, "m" | "mb" | "mib") => per(1 << 20),
            (Unit::Bytes, "g" | "gb" | "gib") => per(1 << 30),
            _ => None,
        }
    }
}

/// What an option may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true false on off enabled disabled 1 0`.
    Bool,
    /// A whole number in a range.
    Number(Unit, u64, u64),
    /// Like [`Kind::Number`], where 0 also stands, with this meaning.
    NumberOr(Unit, u64, u64, &'static str),
    /// A file mode in octal digits.
    Mode,
    /// Any text that is not empty.
    Text,
    /// A file or directory.
    Path,
    /// Text that is never shown.
    Secret,
    /// One of these words, whatever its case.
    Word(&'static [&'static str]),
    /// A list of these words, whatever their case.
    Words(&'static [&'static str]),
    /// A list of addresses of users.
    Users,
    /// A list of URIs by which people are reached.
    Uris,
    /// A dictionary: `[ uri = "store:" ]`. Its keys, and the words that each takes.
    Dict(&'static [(&'static str, &'static [&'static str])]),
}

/// The type as the manual and the diagnostics name it.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => out.write_str("boolean"),
            Kind::Number(unit, min, max) => write!(out, "{} {min}..{max}", unit.name()),
            Kind::NumberOr(unit, min, max, zero) => {
                write!(out, "{} {min}..{max}, or 0: {zero}", unit.name())
            }
            Kind::Mode => out.write_str("octal mode 0000..0777"),
            Kind::Text => out.write_str("text"),
            Kind::Path => out.write_str("path"),
            Kind::Secret => out.write_str("secret text"),
            Kind::Word(words) => write!(out, "one of {}", words.join(", ")),
            Kind::Words(words) => write!(out, "list of {}", words.join(", ")),
            Kind::Users => out.write_str("list of user addresses"),
            Kind::Uris => out.write_str("list of URIs"),
            Kind::Dict(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(key, words)| format!("{key} ({})", words.join(", ")))
                    .collect();
                write!(out, "dictionary with {}", keys.join(", "))
            }
        }
    }
}

/// An option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A switch.
    Bool(bool),
    /// A number in the option's unit.
    Number(u64),
    /// A file mode.
    Mode(u32),
    /// Text, a path or a word in the table's spelling.
    Text(String),
    /// Text that is never shown.
    Secret(String),
    /// Words in the table's spelling.
    List(Vec<String>),
    /// Keys and values, in order.
    Dict(Vec<(String, String)>),
}

/// The value as it would be written in a configuration, unless it is a secret.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(out, "{value}"),
            Value::Number(value) => write!(out, "{value}"),
            Value::Mode(value) => write!(out, "0{value:o}"),
            Value::Text(value) => write!(out, "\"{}\"", escape(value)),
            Value::Secret(_) => out.write_str("(secret)"),
            Value::List(values) => {
                out.write_str("(")?;
                for value in values {
                    write!(out, " \"{}\"", escape(value))?;
                }
                out.write_str(" )")
            }
            Value::Dict(pairs) => {
                out.write_str("[")?;
                for (key, value) in pairs {
                    write!(out, " {key} = \"{}\"", escape(value))?;
                }
                out.write_str(" ]")
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Why a value does not fit its option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueFault {
    #[error("`{option}` wants {want}, not {got}")]
    Shape {
        option: &'static str,
        want: Kind,
        got: &'static str,
    },
    #[error("`{option}` wants {want}, not `{got}`")]
    Type {
        option: &'static str,
        want: Kind,
        got: String,
        meant: Option<u64>,
    },
    #[error("`{option}` is out of range: {got}")]
    Range {
        option: &'static str,
        want: Kind,
        got: String,
    },
    #[error("`{got}` is not a value of `{option}`")]
    Word {
        option: &'static str,
        got: String,
        known: &'static [&'static str],
        near: Option<&'static str>,
    },
    #[error("`{got}` is not a key of `{option}`")]
    Key {
        option: &'static str,
        got: String,
        known: Vec<&'static str>,
    },
    #[error("the key `{key}` stands twice in `{option}`")]
    KeyTwice {
        option: &'static str,
        key: &'static str,
    },
    #[error("`{option}` needs the key `{key}`")]
    KeyMissing {
        option: &'static str,
        key: &'static str,
    },
    #[error("`{got}` is not the address of a user")]
    User { got: String },
    #[error("`{got}` is no URI by which somebody is reached")]
    Uri { got: String },
    #[error("`{option}` has more than {most} entries")]
    TooMany { option: &'static str, most: usize },
    #[error("`{option}` is empty")]
    Empty { option: &'static str },
}

/// A value fault at its place.
pub(super) type Misfit = Box<(ValueFault, Span)>;

impl ValueFault {
    pub(super) fn at(self, span: Span) -> Misfit {
        Box::new((self, span))
    }

    /// The fault's name for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            ValueFault::Shape { .. } | ValueFault::Type { .. } => "wrong-type",
            ValueFault::Range { .. } => "out-of-range",
            ValueFault::Word { .. } => "unknown-value",
            ValueFault::Key { .. } => "unknown-key",
            ValueFault::KeyTwice { .. } => "key-twice",
            ValueFault::KeyMissing { .. } => "missing-key",
            ValueFault::User { .. } => "bad-address",
            ValueFault::Uri { .. } => "bad-uri",
            ValueFault::TooMany { .. } => "list-too-long",
            ValueFault::Empty { .. } => "empty-value",
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            ValueFault::Shape { want, .. } => Some(
                match want {
                    Kind::Words(_) | Kind::Users | Kind::Uris => "a list is written ( \"a\" \"b\" )",
                    Kind::Dict(_) => "a dictionary is written [ uri = \"store:\" ]",
                    _ => "write one value, without brackets",
                }
                .to_owned(),
            ),
            ValueFault::Type {
                meant: Some(meant), ..
            } => Some(format!("there are no unit suffixes: write {meant}")),
            ValueFault::Type {
                want: Kind::Bool,
                got,
                ..
            } => Some(format!("write {}", meant_switch(got))),
            ValueFault::Type {
                want: Kind::Mode, ..
            } => Some("write octal digits, like 0600".to_owned()),
            ValueFault::Type { got, .. } => Some(match meant_number(got) {
                Some(number) => format!("write a whole number in plain digits: {number}"),
                None => "write digits only".to_owned(),
            }),
            ValueFault::Range { want, .. } => Some(format!("allowed: {want}")),
            ValueFault::Word { known, near, .. } => Some(match near {
                Some(near) => format!("did you mean `{near}`? known: {}", known.join(", ")),
                None => format!("known: {}", known.join(", ")),
            }),
            ValueFault::Key { known, .. } => Some(format!("known: {}", known.join(", "))),
            ValueFault::KeyTwice { .. } => Some("remove one of them".to_owned()),
            ValueFault::KeyMissing { key, .. } => Some(format!("write [ {key} = \"store:\" ]")),
            ValueFault::User { .. } => Some("write user@domain: \"alice@example.org\"".to_owned()),
            ValueFault::Uri { .. } => Some(
                "write \"mailto:help@example.org\", \"xmpp:help@example.org\" or \"https://example.org/help\""
                    .to_owned(),
            ),
            ValueFault::TooMany { .. } => Some("remove some".to_owned()),
            ValueFault::Empty { .. } => Some("give it a value or remove the line".to_owned()),
        }
    }
}

/// What people write elsewhere for a switch.
fn meant_switch(got: &str) -> &'static str {
    match got.to_ascii_lowercase().as_str() {
        "yes" | "y" | "t" | "enable" => "true",
        "no" | "n" | "f" | "none" | "disable" => "false",
        _ => "true or false",
    }
}

/// The number that `1.5`, `1_000` or `0x10` would mean elsewhere, rounded up.
fn meant_number(got: &str) -> Option<u64> {
    if let Some(digits) = got.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    if let Some((whole, part)) = got.split_once('.') {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        return whole.parse::<u64>().ok()?.checked_add(1).filter(|_| digits);
    }
    got.contains('_')
        .then(|| got.replace('_', "").parse().ok())?
}

/// Reads the value of `option`, which holds `kind`, from the tree.
pub(super) fn read(option: &'static str, kind: Kind, node: &Node) -> Result<Value, Misfit> {
    let shape = |got| ValueFault::Shape {
        option,
        want: kind,
        got,
    };
    match (kind, node) {
        (Kind::Words(known), Node::List(items, _)) => words(option, known, items),
        // One word stands for a list of one.
        (Kind::Words(known), Node::Scalar(item)) => {
            words(option, known, std::slice::from_ref(item))
        }
        (Kind::Users | Kind::Uris, Node::List(items, span)) => {
            listed::entries(option, kind, items, *span)
        }
        (Kind::Users | Kind::Uris, Node::Scalar(item)) => {
            listed::entries(option, kind, std::slice::from_ref(item), item.span)
        }
        (Kind::Dict(keys), Node::Dict(pairs, span)) => dict(option, keys, pairs, *span),
        (Kind::Dict(_), Node::Scalar(item)) => Err(shape("a single value").at(item.span)),
        (_, Node::List(_, span)) => Err(shape("a list").at(*span)),
        (_, Node::Dict(_, span)) => Err(shape("a dictionary").at(*span)),
        (_, Node::Scalar(item)) => {
            scalar(option, kind, &item.text).map_err(|fault| fault.at(item.span))
        }
    }
}

/// Reads a value that is not a list or dictionary.
pub(super) fn scalar(option: &'static str, kind: Kind, text: &str) -> Result<Value, ValueFault> {
    let wrong = |meant| ValueFault::Type {
        option,
        want: kind,
        got: text.to_owned(),
        meant,
    };
    match kind {
        Kind::Bool => boolean(text).map(Value::Bool).ok_or_else(|| wrong(None)),
        Kind::Number(unit, min, max) => {
            number(option, kind, text, unit, |n| (min..=max).contains(&n))
        }
        Kind::NumberOr(unit, min, max, _) => number(option, kind, text, unit, |n| {
            n == 0 || (min..=max).contains(&n)
        }),
        Kind::Mode => match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Value::Mode(mode)),
            Ok(_) => Err(ValueFault::Range {
                option,
                want: kind,
                got: text.to_owned(),
            }),
            Err(_) => Err(wrong(None)),
        },
        Kind::Text | Kind::Path | Kind::Secret if text.is_empty() => {
            Err(ValueFault::Empty { option })
        }
        Kind::Secret => Ok(Value::Secret(text.to_owned())),
        Kind::Text | Kind::Path | Kind::Dict(_) => Ok(Value::Text(text.to_owned())),
        Kind::Users | Kind::Uris => listed::entry(kind, text).map(Value::Text),
        Kind::Word(known) | Kind::Words(known) => {
            word(option, known, text).map(|word| Value::Text(word.to_owned()))
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "enabled" | "1" => Some(true),
        "false" | "off" | "disabled" | "0" => Some(false),
        _ => None,
    }
}

fn number(
    option: &'static str,
    kind: Kind,
    text: &str,
    unit: Unit,
    fits: impl Fn(u64) -> bool,
) -> Result<Value, ValueFault> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(value) if fits(value) => Ok(Value::Number(value)),
        // Too big for 64 bits, or negative, is out of range as well.
        _ if only_digits => Err(ValueFault::Range {
            option,
            want: kind,
            got: text.to_owned(),
        }),
        _ => Err(ValueFault::Type {
            option,
            want: kind,
            got: text.to_owned(),
            meant: with_suffix(text, unit),
        }),
    }
}

/// The number that `10m` would mean.
fn with_suffix(text: &str, unit: Unit) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, suffix) = text.split_at_checked(at)?;
    let size = unit.suffix(&suffix.trim().to_ascii_lowercase())?;
    digits.parse::<u64>().ok()?.checked_mul(size)
}

fn word(
    option: &'static str,
    known: &'static [&'static str],
    text: &str,
) -> Result<&'static str, ValueFault> {
    known
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| ValueFault::Word {
            option,
            got: text.to_owned(),
            known,
            near: nearest(text, known.iter().copied()),
        })
}

fn words(
    option: &'static str,
    known: &'static [&'static str],
    items: &[Scalar],
) -> Result<Value, Misfit> {
    let mut values: Vec<String> = Vec::new();
    for item in items {
        let word = word(option, known, &item.text).map_err(|fault| fault.at(item.span))?;
        if !values.iter().any(|have| have == word) {
            values.push(word.to_owned());
        }
    }
    Ok(Value::List(values))
}

fn dict(
    option: &'static str,
    keys: &'static [(&'static str, &'static [&'static str])],
    pairs: &[(Scalar, Scalar)],
    span: Span,
) -> Result<Value, Misfit> {
    let mut values: Vec<(String, String)> = Vec::new();
    for (key, value) in pairs {
        let Some((name, known)) = keys.iter().find(|(k, _)| k.eq_ignore_ascii_case(&key.text))
        else {
            let fault = ValueFault::Key {
                option,
                got: key.text.clone(),
                known: keys.iter().map(|(k, _)| *k).collect(),
            };
            return Err(fault.at(key.span));
        };
        let word = word(name, known, &value.text).map_err(|fault| fault.at(value.span))?;
        if values.iter().any(|(have, _)| have == name) {
            return Err(ValueFault::KeyTwice { option, key: name }.at(key.span));
        }
        values.push(((*name).to_owned(), word.to_owned()));
    }
    for (key, _) in keys {
        if !values.iter().any(|(have, _)| have == key) {
            return Err(ValueFault::KeyMissing { option, key }.at(span));
        }
    }
    Ok(Value::Dict(values))
}
