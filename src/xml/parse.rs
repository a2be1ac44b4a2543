//! From framed bytes to a tree (Namespaces in XML): prefixes resolved, reserved ones enforced.
//!
//! Everything here runs behind the framer's machine, so the text is well-formed; what is left to refuse is in the
//! namespaces. No recursion: a peer chooses the depth.

use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::element::Attribute;
use super::{
    Bound, Element, Error, Fault, Header, Limits, MAX_BINDINGS, Restricted, XML_NS, XMLNS_NS,
    chars, decode_attr, framer,
};

impl Element {
    /// Parses one element, as strictly as a bound stream's framer does. `default_ns` and `prefixes` are in force around it, as
    /// a stream header declared them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        bytes: &[u8],
        default_ns: &str,
        prefixes: &[(String, String)],
    ) -> Result<Element, Error> {
        let (range, _) = framer::check_document(bytes, Limits::BOUND)?;
        Element::parse_framed(bytes.get(range).unwrap_or_default(), default_ns, prefixes)
    }

    /// [`Element::parse`] for bytes that a framer, or [`super::Raw::check`], has passed.
    pub(crate) fn parse_framed(
        bytes: &[u8],
        default_ns: &str,
        prefixes: &[(String, String)],
    ) -> Result<Element, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::Utf8)?;
        let mut scope = Scope::default();
        scope.bindings.push((None, default_ns.into()));
        for (prefix, ns) in prefixes {
            scope
                .bindings
                .push((Some(prefix.as_str().into()), ns.as_str().into()));
        }
        tree(text, scope)
    }
}

/// The namespace declarations in force; no prefix: the default namespace. An empty prefix in its place would be compared by
/// the C library, which takes a fault for nothing at no address: half the time of a parse.
#[derive(Default)]
struct Scope {
    bindings: Vec<(Option<Box<str>>, Arc<str>)>,
}

impl Scope {
    fn lookup(&self, prefix: Option<&str>) -> Option<Arc<str>> {
        let mut bindings = self.bindings.iter().rev();
        match bindings.find(|(have, _)| have.as_deref() == prefix) {
            Some((_, ns)) => Some(ns.clone()),
            None if prefix == Some("xml") => Some(XML_NS.into()),
            None => prefix.is_none().then(|| "".into()),
        }
    }

    /// Namespaces in XML §2.2, §3, §5. White space and control characters in a namespace name are refused too: there are
    /// parsers that use one to part it from the local name.
    fn bind(&mut self, prefix: Option<&str>, ns: &str) -> Result<(), Error> {
        let reserved = ns == XML_NS || ns == XMLNS_NS;
        let good = match prefix {
            Some("xml") if ns == XML_NS => return Ok(()),
            Some("xml" | "xmlns") => false,
            None => !reserved,
            Some(_) => !reserved && !ns.is_empty(),
        };
        if !good || ns.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Fault::Namespace.into());
        }
        if self.bindings.len() >= MAX_BINDINGS {
            return Err(Error::Limit {
                what: Bound::Bindings,
                max: MAX_BINDINGS,
            });
        }
        self.bindings.push((prefix.map(Box::from), ns.into()));
        Ok(())
    }
}

/// A stream header: the start tag at the beginning of `bytes`.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Utf8)?;
    let mut scope = Scope::default();
    let element = match Reader::from_str(text).read_event() {
        Ok(Event::Start(tag)) => start(&tag, &mut scope)?,
        _ => return Err(Error::NotStream),
    };
    let get = |name| element.attr(name).map(str::to_owned);
    Ok(Header {
        to: get("to"),
        from: get("from"),
        id: get("id"),
        version: get("version"),
        lang: get("xml:lang").filter(|tag| is_language(tag)),
        ns: scope.lookup(None).unwrap_or_default().to_string(),
        stream_ns: element.ns().to_owned(),
        prefixes: scope
            .bindings
            .iter()
            .filter_map(|(prefix, ns)| Some((prefix.as_deref()?.to_owned(), ns.to_string())))
            .collect(),
    })
}

/// Whether this may be a language tag (BCP 47 §2.1, §4.4.1: no need for more than 35 characters). The one of a header is put
/// on every stanza of its stream, so that one as long as a header may be would make each of them as long.
fn is_language(tag: &str) -> bool {
    tag.len() <= 35
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn tree(text: &str, mut scope: Scope) -> Result<Element, Error> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    // Each with the number of bindings that were in force around it.
    let mut open: Vec<(Element, usize)> = Vec::new();
    loop {
        let around = scope.bindings.len();
        let done = match reader.read_event().map_err(|_| Fault::Tag)? {
            Event::Start(tag) => {
                open.push((start(&tag, &mut scope)?, around));
                continue;
            }
            Event::Empty(tag) => (start(&tag, &mut scope)?, around),
            Event::End(_) => open.pop().ok_or(Fault::EndTag)?,
            Event::Text(text) => {
                append(&mut open, &text.xml10_content());
                continue;
            }
            Event::CData(text) => {
                append(&mut open, &text.xml10_content());
                continue;
            }
            Event::GeneralRef(name) => {
                let c = chars::resolve(name.as_bytes()).ok_or(Fault::Reference)?;
                append(&mut open, c.encode_utf8(&mut [0; 4]));
                continue;
            }
            Event::Eof => return Err(Fault::Unfinished.into()),
            Event::Comment(_) | Event::DocType(_) => {
                return Err(Error::Restricted(Restricted::Declaration));
            }
            Event::Decl(_) | Event::PI(_) => {
                return Err(Error::Restricted(Restricted::ProcessingInstruction));
            }
        };
        let (element, around) = done;
        scope.bindings.truncate(around);
        match open.last_mut() {
            Some((parent, _)) => parent.append(element),
            None => return Ok(element),
        }
    }
}

fn append(open: &mut [(Element, usize)], text: &str) {
    if let Some((element, _)) = open.last_mut() {
        element.append_text(text);
    }
}

/// An element without content from its start tag, whose declarations go into `scope`.
fn start(tag: &BytesStart<'_>, scope: &mut Scope) -> Result<Element, Error> {
    let mut attributes = Vec::new();
    let mut prefixed = false;
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| Fault::Tag)?;
        let (key, value) = (attribute.key.into_inner(), decode_attr(&attribute.value));
        if key == "xmlns" {
            scope.bind(None, &value)?;
        } else if let Some(prefix) = key.strip_prefix("xmlns:") {
            scope.bind(Some(prefix), &value)?;
        } else {
            prefixed |= key.contains(':');
            attributes.push(Attribute::new(None, key.into(), value.into()));
        }
    }
    if prefixed {
        resolve(&mut attributes, scope)?;
    }
    let name = tag.name().into_inner();
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    let ns = scope.lookup(prefix).ok_or(Fault::Prefix)?;
    Ok(Element::from_parts(local, ns, attributes))
}

/// Replaces prefixes by namespaces and refuses two attributes of one name (Namespaces in XML §6.3).
fn resolve(attributes: &mut [Attribute], scope: &Scope) -> Result<(), Error> {
    for attribute in attributes.iter_mut() {
        if let Some((prefix, local)) = attribute.name().split_once(':') {
            let ns = scope.lookup(Some(prefix)).ok_or(Fault::Prefix)?;
            *attribute = Attribute::new(Some(ns), local.into(), attribute.value().into());
        }
    }
    let mut names: Vec<_> = attributes.iter().map(|a| (a.ns(), a.name())).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Fault::DuplicateAttribute.into());
    }
    Ok(())
}
