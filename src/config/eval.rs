//! `config eval` and the difference between two configurations.

use std::fmt;
use std::net::IpAddr;

use super::fallback;
use super::merge::named;
use super::names::{Net, XMPP_PREFIX};
use super::nearest;
use super::place::{Effect, Naming, PLACES, Place};
use super::scope::{Chain, Scope};
use super::source::Location;
use super::syntax::{Scalar, Span};
use super::table::{self, OPTIONS, Opt, find};
use super::value::Value;
use super::{Config, Fault};

/// What holds for an option in a scope, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// The option, in Momentum's spelling.
    pub option: &'static str,
    /// The value as it would be written; `None`: it has none.
    pub value: Option<String>,
    /// Who says so.
    pub origin: ValueOrigin,
    /// The scopes that were asked, the innermost first, up to the one that answered.
    pub asked: Vec<String>,
}

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The configuration, here.
    Set(Location),
    /// The command line.
    CommandLine,
    /// Nobody: it is the default.
    Default,
}

/// `idle_time = 600 (etc/stanzad.conf:12; asked: Listen "*:5222", xmpp_listener)`
impl fmt::Display for Evaluated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("(no value)");
        write!(out, "{} = {value} (", self.option)?;
        match &self.origin {
            ValueOrigin::Set(at) => write!(out, "{at}")?,
            ValueOrigin::CommandLine => out.write_str("command line")?,
            ValueOrigin::Default => out.write_str("default")?,
        }
        write!(out, "; asked: {})", self.asked.join(", "))
    }
}

/// Why there is nothing to evaluate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// No such scope there.
    #[error("no scope `{word}` in {scope}{}", suggestion(near))]
    UnknownScope {
        /// The word given.
        word: String,
        /// Where it was looked for.
        scope: &'static str,
        /// The nearest that exists.
        near: Option<&'static str>,
    },
    /// Neither a scope nor an option.
    #[error(
        "neither a scope nor an option of {scope}: `{word}`{}",
        suggestion(near)
    )]
    UnknownWord {
        /// The word given.
        word: String,
        /// Where it was looked for.
        scope: &'static str,
        /// The nearest that exists.
        near: Option<&'static str>,
    },
    /// A scope's name is missing or makes no sense.
    #[error("{0}")]
    BadName(String),
    /// No such option at all.
    #[error("unknown option `{option}`{}", suggestion(near))]
    UnknownOption {
        /// The word given.
        option: String,
        /// The nearest that exists.
        near: Option<&'static str>,
    },
    /// The option has no meaning in that scope or around it.
    #[error("`{option}` is not an option of {scope} or the scopes around it")]
    Misplaced {
        /// The option.
        option: &'static str,
        /// The scope.
        scope: &'static str,
    },
}

fn suggestion(near: &Option<&'static str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// One step down: the kind of scope and the normal form of its name.
pub(super) type Step = (Place, String);

impl Config {
    /// What holds for `option` in the scope that `path` leads to, in the words of Momentum's console:
    /// `["xmpp_listener", "listen", "*:5222"]`, `["domain", "example.org"]`, `["xmpp_listener", "peer", "10.0.0.1"]`.
    /// A scope that the configuration does not have falls back like one that sets nothing.
    ///
    /// # Errors
    /// When the path or the option makes no sense.
    pub fn eval(&self, path: &[&str], option: &str) -> Result<Evaluated, EvalError> {
        let steps = steps(path)?;
        let opt = find(option).ok_or_else(|| EvalError::UnknownOption {
            option: option.to_owned(),
            near: nearest(option, OPTIONS.iter().map(|opt| opt.name)),
        })?;
        self.evaluate(&steps, opt)
    }

    /// What holds for an option where `steps` lead.
    pub(super) fn evaluate(
        &self,
        steps: &[Step],
        opt: &'static Opt,
    ) -> Result<Evaluated, EvalError> {
        let place = steps.last().map_or(Place::Global, |(place, _)| *place);
        let around = steps.iter().map(|(place, _)| *place).chain([Place::Global]);
        if !around.into_iter().any(|place| opt.legal_in(place)) {
            return Err(EvalError::Misplaced {
                option: opt.name,
                scope: place.info().title,
            });
        }
        if opt.name == table::DATA_DIR.name
            && let Some(dir) = &self.source.data_dir
        {
            return Ok(Evaluated {
                option: opt.name,
                value: Some(format!("\"{}\"", dir.display())),
                origin: ValueOrigin::CommandLine,
                asked: vec!["--data".to_owned()],
            });
        }
        Ok(self.answer(opt, &chain(&self.root, steps)))
    }

    fn answer(&self, opt: &'static Opt, chain: &Chain<'_>) -> Evaluated {
        let mut asked = Vec::new();
        for scope in chain.0.iter().filter(|scope| opt.legal_in(scope.place)) {
            asked.push(if scope.place == Place::Global {
                "global".to_owned()
            } else {
                scope.title()
            });
            let Some(setting) = scope.get(opt) else {
                continue;
            };
            let Some((at, _)) = self.files.locate(setting.at.file, setting.at.start) else {
                continue;
            };
            return Evaluated {
                option: opt.name,
                value: Some(setting.value.to_string()),
                origin: ValueOrigin::Set(at),
                asked,
            };
        }
        asked.push("default".to_owned());
        Evaluated {
            option: opt.name,
            value: opt.default_value().map(|value| value.to_string()),
            origin: ValueOrigin::Default,
            asked,
        }
    }

    /// What `new` changes, scope by scope; an option counts only if its value in force there changes.
    #[must_use]
    pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
        let mut changes = Vec::new();
        let pair = Pair {
            old: vec![&old.root],
            new: vec![&new.root],
        };
        compare(&pair, "", Place::Global, &mut changes);
        changes
    }
}

/// The scopes that `steps` lead to, the innermost first.
fn chain<'a>(root: &'a Scope, steps: &[Step]) -> Chain<'a> {
    let listener = root.all(Place::XmppListener).next();
    match (steps, listener) {
        ([(Place::Domain, name)], _) => {
            fallback::domain(root, name.strip_prefix(XMPP_PREFIX).unwrap_or(name))
        }
        ([_, (Place::XmppPeer, name)], Some(listener)) => match Net::parse(name) {
            Some(net) => fallback::peer(root, listener, None, net),
            None => Chain(vec![listener, root]),
        },
        ([_, (_, listen), (Place::XmppPeer, name)], Some(listener)) => {
            let listen = listener.child(Place::XmppListen, listen);
            match Net::parse(name) {
                Some(net) => fallback::peer(root, listener, listen, net),
                None => fallback::listen(root, listener, listen),
            }
        }
        _ => {
            let mut chain = vec![root];
            let mut here = Some(root);
            for (place, key) in steps {
                here = here.and_then(|scope| scope.child(*place, key));
                chain.extend(here);
            }
            chain.reverse();
            Chain(chain)
        }
    }
}

fn steps(path: &[&str]) -> Result<Vec<Step>, EvalError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut here = Place::Global;
    let mut words = path.iter().copied();
    while let Some(word) = words.next() {
        let (place, key) = step(here, word, &mut words)?;
        here = place;
        steps.push((place, key));
    }
    Ok(steps)
}

/// The step down from `here` that `word` and, if that kind of scope has one, the name behind it mean.
pub(super) fn step<'w>(
    here: Place,
    word: &str,
    words: &mut impl Iterator<Item = &'w str>,
) -> Result<Step, EvalError> {
    let place = here.child(word).ok_or_else(|| EvalError::UnknownScope {
        word: word.to_owned(),
        scope: here.info().title,
        near: nearest(word, here.children().map(|child| child.info().word)),
    })?;
    let text = match place.info().naming {
        Naming::None => None,
        _ => words.next(),
    };
    let scalar = text.map(|text| Scalar {
        text: peer_text(place, text),
        span: Span::NOWHERE,
    });
    let (_, key) = named(place, scalar).map_err(|fault| EvalError::BadName(explain(&fault)))?;
    Ok((place, key))
}

/// A peer is asked for by its address; a mapped IPv4 address is that IPv4 address.
fn peer_text(place: Place, text: &str) -> String {
    let ip = text.parse::<IpAddr>().ok();
    let net = ip
        .filter(|_| place == Place::XmppPeer)
        .and_then(fallback::single);
    net.map_or_else(|| text.to_owned(), |net| net.to_string())
}

fn explain(fault: &Fault) -> String {
    match fault.hint() {
        Some(hint) => format!("{fault}: {hint}"),
        None => fault.to_string(),
    }
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `xmpp_listener Listen "*:5222" idle_time`, or the scope alone when it came or went.
    pub path: String,
    /// The old value as it would be written; `None`: it had none, or the scope was not there.
    pub old: Option<String>,
    /// The new one.
    pub new: Option<String>,
    /// Whether a reload makes it so; otherwise a restart is needed.
    pub live: bool,
}

impl Change {
    /// `idle_time: 600 -> 60`
    #[must_use]
    pub fn difference(&self) -> String {
        let none = "(none)";
        let (old, new) = (self.old.as_deref(), self.new.as_deref());
        let (old, new) = (old.unwrap_or(none), new.unwrap_or(none));
        format!("{}: {old} -> {new}", self.path)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.difference())?;
        if !self.live {
            out.write_str(" (at the next start)")?;
        }
        Ok(())
    }
}

/// The same scope in both configurations, with the scopes around it, the innermost last.
struct Pair<'a> {
    old: Vec<&'a Scope>,
    new: Vec<&'a Scope>,
}

fn compare(pair: &Pair<'_>, path: &str, place: Place, changes: &mut Vec<Change>) {
    let (Some(old), Some(new)) = (pair.old.last(), pair.new.last()) else {
        return;
    };
    for opt in OPTIONS.iter().filter(|opt| opt.legal_in(place)) {
        let own = |scope: &Scope| scope.get(opt).map(|setting| setting.value.clone());
        let in_force = |around: &[&Scope]| {
            let chain = Chain(around.iter().rev().copied().collect());
            chain.value(opt)
        };
        let shown = |value: Option<Value>| value.map(|value| value.to_string());
        let (before, after) = (in_force(&pair.old), in_force(&pair.new));
        if own(old) != own(new) && before != after {
            changes.push(Change {
                path: join(path, opt.name),
                old: shown(before),
                new: shown(after),
                live: opt.effect == Effect::Live,
            });
        }
    }
    if place == Place::Scriptlet {
        changes.extend(reordered(old, new, path));
    }
    for child in PLACES.iter().map(|row| row.place) {
        for scope in old.all(child) {
            let path = join(path, &scope.title());
            match new.child(child, &scope.key) {
                Some(same) => {
                    let deeper = Pair {
                        old: pair.old.iter().copied().chain([scope]).collect(),
                        new: pair.new.iter().copied().chain([same]).collect(),
                    };
                    compare(&deeper, &path, child, changes);
                }
                None => changes.push(whole(path, child, false)),
            }
        }
        for scope in new.all(child) {
            if old.child(child, &scope.key).is_none() {
                changes.push(whole(join(path, &scope.title()), child, true));
            }
        }
    }
}

/// Scripts run in the order in which they stand: the only kind of scope whose order matters.
fn reordered(old: &Scope, new: &Scope, path: &str) -> Option<Change> {
    let kept = |here: &Scope, there: &Scope| {
        let names: Vec<String> = here
            .all(Place::Script)
            .filter(|script| there.child(Place::Script, &script.key).is_some())
            .map(|script| script.name.clone())
            .collect();
        names.join(", ")
    };
    let (before, after) = (kept(old, new), kept(new, old));
    (before != after).then(|| Change {
        path: join(path, "order"),
        old: Some(before),
        new: Some(after),
        live: true,
    })
}

/// A scope that came or went as a whole.
fn whole(path: String, place: Place, came: bool) -> Change {
    let there = || Some("present".to_owned());
    Change {
        path,
        old: if came { None } else { there() },
        new: if came { there() } else { None },
        live: place.info().effect == Effect::Live,
    }
}

pub(super) fn join(path: &str, step: &str) -> String {
    if path.is_empty() {
        step.to_owned()
    } else {
        format!("{path} {step}")
    }
}
