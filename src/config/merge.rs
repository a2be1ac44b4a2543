//! Tree to merged scopes: includes are followed, names and values checked against the tables.

use std::path::{Path, PathBuf};

use super::diagnostic::Report;
use super::fault::Fault;
use super::names::{self, DomainFault};
use super::nearest;
use super::place::{Naming, PLACES, Place};
use super::scope::{Scope, Setting};
use super::source::{
    BUILT_IN, File, Files, MAX_FILES, MAX_INCLUDE_DEPTH, Origin, ReadFault, read as read_file,
};
use super::syntax::{Item, Node, Scalar, Span, parse};
use super::table::{OPTIONS, Opt, find};
use super::value::read;

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
        open: Vec::new(),
        includes,
    };
    let mut root = Scope::new(Place::Global, String::new(), String::new(), Span::NOWHERE);
    match first_file(origin) {
        Ok(file) => {
            if let Origin::File(path) = origin {
                reader.open.extend(path.canonicalize());
            }
            reader.file(file, &mut root);
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

struct Reader {
    files: Files,
    report: Report,
    /// The files being read, to notice loops.
    open: Vec<PathBuf>,
    includes: Includes,
}

impl Reader {
    fn file(&mut self, file: File, scope: &mut Scope) {
        let text = file.text.clone();
        let number = self.files.add(file);
        let parsed = parse(number, &text);
        for (fault, span) in parsed.faults {
            self.report.at(span, fault);
        }
        self.items(parsed.items, scope);
    }

    fn items(&mut self, items: Vec<Item>, scope: &mut Scope) {
        for item in items {
            match item {
                Item::Option { name, value } => self.option(&name, &value, scope),
                Item::Scope { word, name, items } => self.scope(&word, name, items, scope),
                Item::Include { path } => match self.includes {
                    Includes::Follow => self.include(&path, scope),
                    Includes::Ignore => {}
                },
            }
        }
    }

    fn option(&mut self, name: &Scalar, value: &Node, scope: &mut Scope) {
        let opt = match find(&name.text) {
            Some(opt) if opt.legal_in(scope.place) => opt,
            known => {
                let fault = option_fault(&name.text, known, scope.place);
                self.report.at(name.span, fault);
                return;
            }
        };
        match read(opt.name, opt.kind, value) {
            Ok(value_read) => scope.set(
                opt,
                Setting {
                    value: value_read,
                    at: value.span(),
                },
            ),
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

    /// A file in place, or every visible file of a directory in lexical order.
    fn include(&mut self, path: &Scalar, scope: &mut Scope) {
        let base = self.files.get(path.span.file).map(|file| &file.dir);
        let target = base.map_or_else(|| PathBuf::from(&path.text), |dir| dir.join(&path.text));
        if !target.is_dir() {
            self.include_file(&target, path.span, scope);
            return;
        }
        match listing(&target) {
            Ok(paths) => {
                for each in paths {
                    self.include_file(&each, path.span, scope);
                }
            }
            Err(cause) => self.report.at(
                path.span,
                ReadFault::Io {
                    path: target.display().to_string(),
                    cause,
                },
            ),
        }
    }

    fn include_file(&mut self, path: &Path, at: Span, scope: &mut Scope) {
        let shown = || path.display().to_string();
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(cause) => {
                let path = shown();
                self.report.at(at, ReadFault::Io { path, cause });
                return;
            }
        };
        let fault = if self.open.contains(&real) {
            Fault::IncludeLoop { path: shown() }
        } else if self.open.len() >= MAX_INCLUDE_DEPTH {
            Fault::IncludeDepth {
                max: MAX_INCLUDE_DEPTH,
            }
        } else if self.files.len() >= MAX_FILES {
            Fault::TooManyFiles { max: MAX_FILES }
        } else {
            match read_file(path) {
                Ok(file) => {
                    self.open.push(real);
                    self.file(file, scope);
                    self.open.pop();
                    return;
                }
                Err(fault) => fault.into(),
            }
        };
        self.report.at(at, fault);
    }
}

fn listing(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
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
        Naming::Tcp if names::tcp(&text).is_none() => {
            return Err(Fault::ListenName { name: text });
        }
        Naming::Tcp => text.clone(),
        Naming::Socket if looks_like_tcp(&text) => return Err(Fault::ControlTcp { name: text }),
        Naming::Socket => text.clone(),
        Naming::Net => match names::Net::parse(&text) {
            Some(net) => net.to_string(),
            None => return Err(Fault::NetName { name: text }),
        },
        Naming::Domain => match names::domain(&text) {
            Ok(domain) => domain,
            Err(DomainFault::Regex) => return Err(Fault::DomainRegex),
            Err(DomainFault::OtherProtocol) => return Err(Fault::DomainProtocol { name: text }),
            Err(DomainFault::NotAName) => return Err(Fault::DomainName { name: text }),
        },
    };
    Ok((text, key))
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
    }
}

fn titles(places: impl Iterator<Item = Place>) -> String {
    let list: Vec<&str> = places.map(|place| place.info().title).collect();
    list.join(", ")
}

/// What to say about an option that is not legal here.
fn option_fault(name: &str, known: Option<&'static Opt>, here: Place) -> Fault {
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
        return Fault::ScopeAsOption { name: row.word };
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
    let here_first = here.children().map(|child| child.info().word);
    let anywhere = PLACES.iter().map(|row| row.word);
    Fault::UnknownScope {
        name: word.to_owned(),
        scope,
        near: nearest(word, here_first).or_else(|| nearest(word, anywhere)),
    }
}
