//! The two namespaces of stanzas: `jabber:client`, and `jabber:component:accept` on the streams of components.
//!
//! A stanza and those children that are part of it (`<body/>`, `<show/>`, `<error/>`) are in the namespace of their stream;
//! what is wrapped in something else (`<forwarded/>`) keeps the one that it says. Inside the server all is `jabber:client`.
//! Where bytes name neither namespace, all that is unprefixed and says nothing is in the stream's, and the bytes serve both
//! kinds of stream. Where they do, the tree is rewritten: an element that names the other stream's namespace means nothing
//! to its sender's server and must not come to mean something on the way.

use super::Stanza;
use crate::xml::{CLIENT_NS, COMPONENT_NS, Element};

/// Whether the bytes of a content, in which namespaces stand without references, may declare one of the two.
pub(super) fn names_a_content_ns(inner: &[u8]) -> bool {
    memchr::memmem::find(inner, CLIENT_NS.as_bytes()).is_some()
        || memchr::memmem::find(inner, COMPONENT_NS.as_bytes()).is_some()
}

/// Moves a stanza to the other namespace, and what is in the other to this one. Twice is not at all.
pub(super) fn exchange(root: &mut Element) {
    let mut open = vec![root];
    while let Some(element) = open.pop() {
        let other = match element.ns() {
            CLIENT_NS => COMPONENT_NS,
            COMPONENT_NS => CLIENT_NS,
            _ => continue,
        };
        element.set_ns(other);
        open.extend(element.elements_mut());
    }
}

impl Stanza {
    /// Appends the stanza, for a stream whose default namespace is `jabber:component:accept` (XEP-0114).
    pub fn write_component(&self, out: &mut Vec<u8>) {
        if !names_a_content_ns(&self.inner) {
            return self.write_to(out);
        }
        let Ok(tree) = self.element() else {
            // More namespaces than we follow: nobody can say what that is.
            let mut empty = self.clone();
            empty.inner = bytes::Bytes::new();
            return empty.write_to(out);
        };
        let mut tree = tree.clone();
        exchange(&mut tree);
        tree.write_to(out, COMPONENT_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::ParseError;
    use crate::xml::{Frame, Framer, Header, Limits};

    fn read(ns: &str, text: &str) -> Result<Stanza, ParseError> {
        let header = Header {
            ns: ns.to_owned(),
            ..Header::default()
        };
        let mut framer = Framer::new(Limits::BOUND);
        let mut open = &b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>"[..];
        framer.next(&mut open).unwrap();
        match framer.next(&mut text.as_bytes()) {
            Ok(Some(Frame::Stanza(raw))) => Stanza::from_raw(&raw, &header),
            other => panic!("{other:?}"),
        }
    }

    fn for_component(stanza: &Stanza) -> String {
        let mut out = Vec::new();
        stanza.write_component(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Written in one stream, and in the other: OWN is the stream's namespace, OTHER the other's.
    const PAIRS: [(&str, &str); 6] = [
        ("<body>b</body>", "<body>b</body>"),
        (
            "<x xmlns='x'><body>b</body></x>",
            "<x xmlns='x'><body>b</body></x>",
        ),
        ("<body xmlns='OWN'>b</body>", "<body>b</body>"),
        (
            "<body xmlns='OTHER'>b</body>",
            "<body xmlns='OTHER'>b</body>",
        ),
        (
            "<x xmlns='x'><m xmlns='OWN'/><m xmlns='OTHER'/></x>",
            "<x xmlns='x'><m xmlns='OTHER'/><m xmlns='OWN'/></x>",
        ),
        (
            "<a><b xmlns='OTHER'><c xmlns='OWN'/></b></a>",
            "<a><b xmlns='OTHER'><c xmlns='OWN'/></b></a>",
        ),
    ];

    #[test]
    fn what_is_in_the_streams_namespace_moves_and_nothing_else() {
        for (own, other) in [(CLIENT_NS, COMPONENT_NS), (COMPONENT_NS, CLIENT_NS)] {
            for (written, there) in PAIRS {
                let written = written.replace("OWN", own).replace("OTHER", other);
                let there = there
                    .replace("OWN", "SWAP")
                    .replace("OTHER", own)
                    .replace("SWAP", other);
                let message = |inside: &str| format!("<message id='1'>{inside}</message>");
                let stanza = read(own, &message(&written)).unwrap();
                let same = read(other, &message(&there)).unwrap();
                assert_eq!(
                    stanza.element().unwrap(),
                    same.element().unwrap(),
                    "{written}"
                );
                let again = read(COMPONENT_NS, &for_component(&stanza)).unwrap();
                assert_eq!(
                    again.element().unwrap(),
                    stanza.element().unwrap(),
                    "{written}"
                );
            }
        }
    }

    #[test]
    fn bytes_that_name_neither_namespace_are_forwarded_as_they_came() {
        let inside = "<body>b &amp; c</body><x xmlns=\"x\"/>";
        let stanza = read(COMPONENT_NS, &format!("<message>{inside}</message>")).unwrap();
        assert_eq!(&stanza.inner()[..], inside.as_bytes());
        assert_eq!(
            for_component(&stanza),
            format!("<message>{inside}</message>")
        );
    }

    #[test]
    fn a_stanza_of_the_other_stream_is_none() {
        for (own, other) in [(CLIENT_NS, COMPONENT_NS), (COMPONENT_NS, CLIENT_NS)] {
            let text = format!("<message xmlns='{other}'><body>b</body></message>");
            assert!(matches!(read(own, &text), Err(ParseError::NotStanza(_))));
        }
    }
}
