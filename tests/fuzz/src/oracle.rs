//! rxml, an independent parser of the same restricted XML, beside our framer and parser: they must accept and reject the same
//! streams and see the same trees, however the bytes are cut into reads. A difference is how stanzas are smuggled.
//!
//! What we refuse on purpose and rxml accepts: see [`ours_alone`]. Nothing that rxml refuses is accepted.

use std::collections::BTreeMap;

use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser};
use stanzad::xml::{Element, Error, Fault, Frame, Framer, Header, Limits, Node};

/// A client's stream header with a prefix for its stanzas.
pub const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:p='urn:p' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// An element as both sides can say it.
#[derive(Debug, Default, PartialEq)]
pub struct Tree {
    name: (String, String),
    attributes: BTreeMap<(String, String), String>,
    children: Vec<Child>,
}

#[derive(Debug, PartialEq)]
pub enum Child {
    Element(Tree),
    Text(String),
}

impl Tree {
    fn push_text(&mut self, text: &str) {
        if let Some(Child::Text(last)) = self.children.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.children.push(Child::Text(text.to_owned()));
        }
    }

    pub fn of(element: &Element) -> Tree {
        let mut tree = Tree {
            name: (element.ns().to_owned(), element.name().to_owned()),
            ..Tree::default()
        };
        for attribute in element.attrs() {
            let name = (attribute.ns().to_owned(), attribute.name().to_owned());
            tree.attributes.insert(name, attribute.value().to_owned());
        }
        for child in element.children() {
            match child {
                Node::Element(child) => tree.children.push(Child::Element(Tree::of(child))),
                Node::Text(text) => tree.push_text(text),
            }
        }
        tree
    }
}

/// How a stream stood after its last byte.
#[derive(Debug, PartialEq)]
pub enum End<E> {
    /// Before the end of the stream header; we wait for all of an XML declaration before we judge it.
    Unopened,
    Open,
    Closed,
    Refused(E),
}

impl End<Error> {
    fn condition(&self) -> &'static str {
        match self {
            End::Unopened => "unopened",
            End::Open => "open",
            End::Closed => "closed",
            End::Refused(error) => error.condition(),
        }
    }
}

/// What our framer and parser make of `stream`, read in pieces of `cuts` bytes, again and again.
pub fn ours(stream: &[u8], cuts: &[usize]) -> (Vec<Tree>, End<Error>) {
    let mut framer = Framer::new(Limits::BOUND);
    let mut header = Header::default();
    let mut trees = Vec::new();
    let mut end = End::Unopened;
    for mut input in pieces(stream, cuts) {
        loop {
            match framer.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Frame::Whitespace)) => {}
                Ok(Some(Frame::Header(got))) => {
                    header = got;
                    end = End::Open;
                }
                Ok(Some(Frame::End)) => end = End::Closed,
                Ok(Some(Frame::Stanza(raw))) => {
                    match Element::parse(&raw.bytes, &header.ns, &header.prefixes) {
                        Ok(element) => trees.push(Tree::of(&element)),
                        Err(error) => {
                            assert!(!raw.self_contained, "forwarded unseen: {error}");
                            return (trees, End::Refused(error));
                        }
                    }
                }
                Err(error) => return (trees, End::Refused(error)),
            }
        }
    }
    (trees, end)
}

/// What rxml makes of it.
pub fn theirs(stream: &[u8], cuts: &[usize]) -> (Vec<Tree>, End<rxml::Error>) {
    let mut parser = Parser::new();
    let mut trees = Vec::new();
    let mut open: Vec<Tree> = Vec::new();
    for mut input in pieces(stream, cuts) {
        loop {
            match parser.parse(&mut input, false) {
                Err(EndOrError::NeedMoreData) => break,
                Err(EndOrError::Error(error)) => return (trees, End::Refused(error)),
                Ok(None) => return (trees, End::Closed),
                Ok(Some(Event::XmlDeclaration(..))) => {}
                Ok(Some(Event::StartElement(_, (ns, name), attributes))) => open.push(Tree {
                    name: (ns.as_str().to_owned(), name.to_string()),
                    attributes: attributes
                        .iter()
                        .map(|((ns, name), value)| {
                            ((ns.as_str().to_owned(), name.to_string()), value.clone())
                        })
                        .collect(),
                    children: Vec::new(),
                }),
                Ok(Some(Event::Text(_, text))) => {
                    if let Some(element) = open.last_mut() {
                        element.push_text(&text);
                    }
                }
                Ok(Some(Event::EndElement(_))) => {
                    let element = open.pop().expect("an open element");
                    match open.len() {
                        0 => return (trees, End::Closed),
                        1 => trees.push(element),
                        _ => open
                            .last_mut()
                            .expect("a parent")
                            .children
                            .push(Child::Element(element)),
                    }
                }
            }
        }
    }
    (trees, End::Open)
}

/// `stream` in pieces of `cuts` bytes, again and again; without cuts the whole of it.
pub fn pieces<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    for cut in cuts
        .iter()
        .cycle()
        .take(if cuts.is_empty() { 0 } else { stream.len() })
    {
        let (piece, behind) = rest.split_at((*cut).clamp(1, rest.len().max(1)).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// What XMPP or our own policy forbids, or rxml does not look at.
fn ours_alone(error: Error) -> bool {
    match error {
        // RFC 6120 §4.4: between stanzas there is white space only. RFC 6120 §13.12: limits.
        Error::TextBetweenStanzas | Error::TooBig(_) | Error::Limit { .. } => true,
        // Reserved prefixes and names, and separators in namespace names, which rxml lets pass.
        Error::NotWellFormed(Fault::Namespace) => true,
        // rxml takes the last of two `xmlns`.
        Error::NotWellFormed(Fault::DuplicateAttribute) => true,
        _ => false,
    }
}

/// rxml 0.14 forgets to normalise a line end behind `]` in a CDATA section, and refuses a carriage return in an attribute value
/// unless a line feed follows. We forward none of either: such stanzas are written again.
fn has_odd_return(text: &str) -> bool {
    text.contains("]\r") || text.replace("\r\n", "").contains('\r')
}

/// We look at prefixes and their namespaces when the element is complete, they at its start tag.
fn is_prefix_fault(end: &End<rxml::Error>) -> bool {
    matches!(
        end,
        End::Refused(
            rxml::Error::UndeclaredNamespacePrefix(_)
                | rxml::Error::DuplicateAttribute
                | rxml::Error::EmptyNamespaceUri
                | rxml::Error::ReservedNamespacePrefix
                | rxml::Error::ReservedNamespaceName
        )
    )
}

/// Compares both on a stream whose header is one of ours.
///
/// # Panics
/// When they differ.
pub fn compare(stream: &[u8], cuts: &[usize]) {
    let text = String::from_utf8_lossy(stream);
    if has_odd_return(&text) {
        return;
    }
    let (our_trees, our_end) = ours(stream, cuts);
    let (their_trees, their_end) = theirs(stream, cuts);
    let shared = our_trees.len();
    assert!(
        shared <= their_trees.len(),
        "more stanzas than rxml: {text}\n{our_trees:?}\n{their_trees:?}\n{our_end:?} {their_end:?}"
    );
    assert_eq!(&our_trees[..], &their_trees[..shared], "{text}");
    match (our_end, their_end) {
        (End::Refused(error), _) if ours_alone(error) => {}
        (End::Refused(_), End::Refused(_))
        | (End::Open, End::Open)
        | (End::Closed, End::Closed) => {
            assert_eq!(shared, their_trees.len(), "{text}");
        }
        // Behind the end of the stream rxml was not asked.
        (End::Refused(Error::NotWellFormed(Fault::AfterEnd)), End::Closed) => {}
        // They look at a token when it is complete, we at its bytes. What matters: neither went on to a stanza.
        (End::Refused(_), End::Open) => assert_eq!(shared, their_trees.len(), "{text}"),
        (End::Open, their_end) if is_prefix_fault(&their_end) => {}
        (our_end, their_end) => panic!("{text}\nours {our_end:?}\ntheirs {their_end:?}"),
    }
}

/// However a stream is cut, it is the same; of two faults in one run of text either may be told.
///
/// # Panics
/// When it is another one.
pub fn compare_cuts(stream: &[u8]) {
    let text = String::from_utf8_lossy(stream);
    for cuts in [&[1][..], &[3, 1, 64]] {
        let ((trees, end), (whole_trees, whole_end)) = (ours(stream, cuts), ours(stream, &[]));
        assert_eq!(trees, whole_trees, "{text}");
        assert_eq!(end.condition(), whole_end.condition(), "{text}");
    }
}

/// Compares both on a stream with any header. XMPP has more to ask of a header than XML has, so what we refuse may be good for
/// rxml; what we read it must read too.
///
/// # Panics
/// When they differ.
pub fn compare_headers(stream: &[u8], cuts: &[usize]) {
    let text = String::from_utf8_lossy(stream);
    if has_odd_return(&text) {
        return;
    }
    let (our_trees, our_end) = ours(stream, cuts);
    // White space in front is allowed (XML 1.0 §2.8), and refused by rxml 0.14 when a read ends in it.
    let (their_trees, their_end) = theirs(stream.trim_ascii_start(), cuts);
    if matches!(our_end, End::Refused(_)) {
        assert!(our_trees.len() <= their_trees.len(), "{text}");
        assert_eq!(&our_trees[..], &their_trees[..our_trees.len()], "{text}");
    } else if our_end != End::Unopened && !is_prefix_fault(&their_end) {
        assert!(
            !matches!(their_end, End::Refused(_)),
            "{text}: {their_end:?}"
        );
        assert_eq!(our_trees, their_trees, "{text}");
    }
}

/// `written` as rxml reads it behind a client's stream header.
///
/// # Panics
/// When it is not exactly one element, and the end.
pub fn read_alone(written: &[u8]) -> Tree {
    let stream = [
        OPEN.replace(" xmlns:p='urn:p'", "").as_bytes(),
        written,
        b"</stream:stream>",
    ]
    .concat();
    let (mut trees, end) = theirs(&stream, &[]);
    let text = String::from_utf8_lossy(written);
    assert_eq!((trees.len(), end), (1, End::Closed), "{text}");
    trees.remove(0)
}
