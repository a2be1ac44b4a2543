//! Tree to merged scopes: includes are followed, names and values checked against the tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::diagnostic::Report;
use super::fault::Fault;
use super::foreign::foreign;
use super::include::Opened;
use super::names::{self, DomainFault};
use super::nearest;
use super::pattern::{Pattern, is_pattern};
use super::place::{Naming, PLACES, Place};
use super::scope::{Scope, Setting};
use super::source::{BUILT_IN, File, Files, Origin, ReadFault, read as read_file};
use super::syntax::{Item, Node, Scalar, Span, parse};
use super::table::{OPTIONS, Opt, find};
use super::value::{Kind, Value, read};

/// What reading gave: always a tree, however much was wrong.
pub(super) struct Merged {
    pub(super) root: Scope,
    pub(super) files: Files,
    pub(super) report: Report,
}

/// Whether the files that a text includes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Includes {
    Follow,
    /// For texts that must not reach the file system.
    Ignore,
}

/// Reads the text of `origin` and everything that it includes.
pub(super) fn merge(origin: &Origin, includes: Includes) -> Merged {
    let mut reader = Reader {
        files: Files::default(),
        report: Report::default(),
        opened: Opened::default(),
        includes,
    };
    let mut root = Scope::new(Place::Global, String::new(), String::new(), Span::NOWHERE);
    match first_file(origin) {
        Ok(file) => {
            if let Origin::File(path) = origin {
                reader.opened.main(path);
            }
            reader.file(file, &mut root);
            reader.local_changes(&mut root);
        }
        Err(fault) => reader.report.nowhere(fault),
    }
    Merged {
        root,
        files: reader.files,
        report: reader.report,
    }
}

fn memory(name: &str, text: &str) -> File {
    File {
        name: name.to_owned(),
        dir: PathBuf::new(),
        text: text.to_owned(),
    }
}

fn first_file(origin: &Origin) -> Result<File, ReadFault> {
    match origin {
        Origin::File(path) => read_file(path),
        Origin::BuiltIn => Ok(memory("built in", BUILT_IN)),
        Origin::Text { name, text } => Ok(memory(name, text)),
    }
}

/// Reads files into scopes.
pub(super) struct Reader {
    pub(super) files: Files,
    pub(super) report: Report,
    pub(super) opened: Opened,
    pub(super) includes: Includes,
}

impl Reader {
    pub(super) fn file(&mut self, file: File, scope: &mut Scope) {
        let text = file.text.clone();
        let number = self.files.add(file);
        let parsed = parse(number, &text);
        for (fault, span) in parsed.faults {
            self.report.at(span, fault);
        }
        self.items(parsed.items, scope);
    }

    fn items(&mut self, items: Vec<Item>, scope: &mut Scope) {
        let mut seen: BTreeMap<String, Option<Span>> = BTreeMap::new();
        for item in items {
            match item {
                Item::Option { name, value } => {
                    self.set_twice(&name, &mut seen);
                    self.option(&name, &value, scope);
                }
                Item::Scope { word, name, items } => self.scope(&word, name, items, scope),
                Item::Include { path } => match self.includes {
                    Includes::Follow => self.include(&path, scope),
                    Includes::Ignore => {}
                },
            }
        }
    }

    /// Between one pair of braces an option that stands twice is a slip; it is reported once.
    fn set_twice(&mut self, name: &Scalar, seen: &mut BTreeMap<String, Option<Span>>) {
        let first = seen
            .entry(name.text.to_ascii_lowercase())
            .or_insert(Some(name.span));
        if let Some(first) = first.take_if(|first| *first != name.span) {
            let at = self.files.locate(first.file, first.start);
            let fault = Fault::SetTwice {
                name: name.text.clone(),
                at: at.map(|(at, _)| at.to_string()).unwrap_or_default(),
            };
            self.report.at(name.span, fault);
        }
    }

    fn option(&mut self, name: &Scalar, value: &Node, scope: &mut Scope) {
        let opt = match find(&name.text) {
            Some(opt) if opt.legal_in(scope.place) => opt,
            known => {
                let fault = option_fault(&name.text, value, known, scope.place);
                self.report.at(name.span, fault);
                return;
            }
        };
        match read(opt.name, opt.kind, value) {
            Ok(read) => {
                let at = value.span();
                match not_expanded(opt, &read) {
                    Some(fault) => self.report.at(at, fault),
                    None => scope.set(opt, Setting { value: read, at }),
                }
            }
            Err(misfit) => {
                let (fault, span) = *misfit;
                self.report.at(span, fault);
            }
        }
    }

    fn scope(&mut self, word: &Scalar, name: Option<Scalar>, items: Vec<Item>, scope: &mut Scope) {
        let Some(place) = scope.place.child(&word.text) else {
            let fault = scope_fault(&word.text, scope.place);
            self.report.at(word.span, fault);
            return;
        };
        if place == Place::XmppListener && scope.child(Place::Xmpp, "").is_none() {
            self.report.at(word.span, Fault::XmppMissing);
            // One complaint is enough: from here on it counts as written.
            scope.open(Place::Xmpp, "", String::new(), word.span);
        }
        let at = name.as_ref().map_or(word.span, |name| name.span);
        let (name, key) = match named(place, name) {
            Ok(name_and_key) => name_and_key,
            Err(fault) => {
                let at = fault.within().map_or(at, |part| self.files.part(at, part));
                self.report.at(at, fault);
                // What is inside is still checked, but belongs to nothing.
                let mut nowhere = Scope::new(place, String::new(), String::new(), at);
                self.items(items, &mut nowhere);
                return;
            }
        };
        let child = scope.open(place, &name, key, at);
        self.items(items, child);
    }
}

/// The name that a scope of this kind gets, and its normal form.
pub(super) fn named(place: Place, name: Option<Scalar>) -> Result<(String, String), Fault> {
    let word = place.info().word;
    let naming = place.info().naming;
    let Some(Scalar { text, .. }) = name.filter(|name| !name.text.is_empty()) else {
        return match naming {
            Naming::None => Ok((String::new(), String::new())),
            _ => Err(Fault::NameMissing {
                scope: word,
                example: example(naming),
            }),
        };
    };
    let key = match naming {
        Naming::None => return Err(Fault::NameForbidden { scope: word }),
        Naming::Fixed(right) if text != right => {
            return Err(Fault::NameFixed { scope: word, right });
        }
        Naming::Fixed(_) | Naming::Text => text.clone(),
        Naming::Tcp if names::tcp(&text).is_none() => return Err(tcp_fault(text)),
        Naming::Tcp => text.clone(),
        Naming::Socket if looks_like_tcp(&text) => return Err(Fault::ControlTcp { name: text }),
        Naming::Socket => text.clone(),
        Naming::Net => match names::Net::parse(&text) {
            Some(net) => net.to_string(),
            None => return Err(Fault::NetName { name: text }),
        },
        // The prefix and the pattern that a wildcard stands for are names of `Domain` only.
        Naming::Host if text.starts_with(['#', '*']) => {
            return Err(Fault::DomainName { name: text });
        }
        Naming::Domain if is_pattern(&text) => match Pattern::compile(&text) {
            Ok(_) => text.clone(),
            Err((fault, at)) => return Err(Fault::Pattern { fault, at }),
        },
        Naming::Domain | Naming::Host => {
            names::domain(&text).map_err(|fault| domain_fault(fault, text.clone()))?
        }
    };
    Ok((text, key))
}

fn domain_fault(fault: DomainFault, name: String) -> Fault {
    match fault {
        DomainFault::OtherProtocol => Fault::DomainProtocol { name },
        DomainFault::PrefixedPattern => Fault::PrefixedPattern,
        DomainFault::BadPrefix => Fault::DomainPrefix { name },
        DomainFault::Wildcard => Fault::DomainWildcard { name },
        DomainFault::Decorated(bare) => Fault::DomainDecorated { name, bare },
        DomainFault::NotAName => Fault::DomainName { name },
    }
}

/// What is wrong with a socket's address.
fn tcp_fault(name: String) -> Fault {
    let (host, port) = name.rsplit_once(':').unwrap_or((&name, ""));
    if name.starts_with(['/', '.']) {
        return Fault::ListenPath { name };
    }
    if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        if port.parse::<u16>().is_err() {
            return Fault::ListenPort { name };
        }
        if host.parse::<std::net::Ipv6Addr>().is_ok() {
            let bracketed = format!("[{host}]:{port}");
            return Fault::ListenBrackets { name, bracketed };
        }
    }
    Fault::ListenName { name }
}

/// `127.0.0.1:2025`, `localhost:2025`: Momentum's console could do that.
fn looks_like_tcp(text: &str) -> bool {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit())) && !text.starts_with('/')
}

fn example(naming: Naming) -> &'static str {
    match naming {
        Naming::None | Naming::Text => "name",
        Naming::Fixed(word) => word,
        Naming::Tcp => "*:5222",
        Naming::Socket => "stanzad.sock",
        Naming::Net => "192.0.2.0/24",
        Naming::Domain => "example.org",
        Naming::Host => "gw.example.org",
    }
}

/// A path that a shell would have changed.
fn not_expanded(opt: &'static Opt, value: &Value) -> Option<Fault> {
    let Value::Text(text) = value else {
        return None;
    };
    let variable = |behind: &str| behind.starts_with(|c: char| c == '{' || c.is_alphabetic());
    let shell = text.starts_with('~') || text.split('$').skip(1).any(variable);
    (opt.kind == Kind::Path && shell).then(|| Fault::NotExpanded {
        name: opt.name,
        path: text.clone(),
    })
}

fn titles(places: impl Iterator<Item = Place>) -> String {
    let list: Vec<&str> = places.map(|place| place.info().title).collect();
    list.join(", ")
}

/// What to say about an option that is not legal here.
fn option_fault(name: &str, value: &Node, known: Option<&'static Opt>, here: Place) -> Fault {
    let scope = here.info().title;
    if let Some(opt) = known {
        let pair = match opt.name {
            "enable" => Some("enabled"),
            "enabled" => Some("enable"),
            _ => None,
        };
        let right = pair.and_then(find).filter(|other| other.legal_in(here));
        return match right {
            Some(right) => Fault::EnablePair {
                written: opt.name,
                right: right.name,
                scope,
            },
            None => Fault::MisplacedOption {
                name: opt.name,
                scope,
                legal: titles(opt.places.iter().copied()),
            },
        };
    }
    if let Some(row) = PLACES
        .iter()
        .find(|row| row.word.eq_ignore_ascii_case(name))
    {
        let instance = match value {
            Node::Scalar(scalar) if row.naming != Naming::None => Some(scalar.text.clone()),
            _ => None,
        };
        return Fault::ScopeAsOption {
            name: row.word,
            instance,
        };
    }
    if let Some(foreign) = foreign(name) {
        return Fault::Foreign {
            word: foreign.word,
            instead: foreign.instead,
        };
    }
    let here_first = OPTIONS
        .iter()
        .filter(|opt| opt.legal_in(here))
        .map(|opt| opt.name);
    let anywhere = OPTIONS.iter().map(|opt| opt.name);
    Fault::UnknownOption {
        name: name.to_owned(),
        scope,
        near: nearest(name, here_first).or_else(|| nearest(name, anywhere)),
    }
}

/// What to say about a scope that is not legal here.
fn scope_fault(word: &str, here: Place) -> Fault {
    let scope = here.info().title;
    let mut known = PLACES
        .iter()
        .filter(|row| row.word.eq_ignore_ascii_case(word))
        .peekable();
    if let Some(row) = known.peek() {
        let name = row.word;
        return Fault::MisplacedScope {
            name,
            scope,
            legal: titles(known.flat_map(|row| row.parents.iter().copied())),
        };
    }
    if let Some(opt) = find(word) {
        return Fault::OptionAsScope { name: opt.name };
    }
    if let Some(foreign) = foreign(word) {
        return Fault::Foreign {
            word: foreign.word,
            instead: foreign.instead,
        };
    }
    let here_first = here.children().map(|child| child.info().word);
    let anywhere = PLACES.iter().map(|row| row.word);
    Fault::UnknownScope {
        name: word.to_owned(),
        scope,
        near: nearest(word, here_first).or_else(|| nearest(word, anywhere)),
    }
}
