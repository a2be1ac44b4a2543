//! Our framer and parser against rxml, an independent parser of the same restricted XML: they must accept and reject the
//! same streams and see the same trees, however the bytes are cut into reads. A difference is how stanzas are smuggled.
//!
//! What we refuse on purpose and rxml accepts: see [`ours_alone`]. Nothing that rxml refuses is accepted.

use proptest::prelude::*;
use stanzad::jid::Jid;
use stanzad::stanza::{Condition, Stanza, StanzaError};
use stanzad::xml::{Element, Frame, Framer, Header, Limits};

use crate::fuzz::oracle::{
    End, OPEN, Tree, compare, compare_cuts, compare_headers, ours, read_alone, theirs,
};

/// Character data as it may be written.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -;=?-\\\\^-~\\t\\n\\r]{0,12}".prop_map(|text| text.replace('&', "&amp;")),
        "[a-zé߀-߿⁰-⁹가-각😀-😏\u{7f}\u{85}\u{fffd}]{1,8}",
        Just("]]".to_owned()),
        Just("<![CDATA[a]]b<&>]]]]>".to_owned()),
        Just("<![CDATA[]]>".to_owned()),
        "&(amp|lt|gt|apos|quot|#9|#13|#233|#x1F600|#x0010FFFF);",
    ]
}

fn attributes() -> impl Strategy<Value = String> {
    let names = vec![
        "a", "b", "p:a", "p:b", "xml:lang", "é", "id", "_-.1", "xmlns", "xmlns:q", "xmlns:p",
    ];
    let value = "(urn:[a-z]{1,3}|&amp;|&#65;|x|>){1,3}";
    let one = (value, any::<bool>(), "[ \\n]{0,1}");
    (
        proptest::sample::subsequence(names, 0..5),
        proptest::collection::vec(one, 5),
    )
        .prop_map(|(names, values)| {
            names
                .into_iter()
                .zip(values)
                .map(|(name, (value, double, space))| {
                    let quote = if double { '"' } else { '\'' };
                    format!(" {space}{name}{space}={space}{quote}{value}{quote}")
                })
                .collect()
        })
}

/// A well-formed element; every prefix is declared by the header or by itself.
fn element() -> impl Strategy<Value = String> {
    let name = "a|message|p:b|xml:c|élan|x-1\\._";
    let leaf = (name, attributes(), " {0,1}")
        .prop_map(|(name, attributes, space)| format!("<{name}{attributes}{space}/>"));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let content = proptest::collection::vec(prop_oneof![inner, text()], 0..4);
        (name, attributes(), content, " {0,1}").prop_map(|(name, attributes, content, space)| {
            format!(
                "<{name}{attributes}{space}>{}</{name}{space}>",
                content.concat()
            )
        })
    })
}

fn body() -> impl Strategy<Value = String> {
    proptest::collection::vec((element(), "[ \\n]{0,2}"), 1..4).prop_map(|stanzas| {
        stanzas
            .into_iter()
            .map(|(stanza, space)| stanza + &space)
            .collect()
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1..40usize, 0..5)
}

/// What mutations put in.
const SNIPPETS: &[&[u8]] = &[
    b"<",
    b">",
    b"&",
    b"/",
    b"'",
    b"\"",
    b"=",
    b":",
    b" ",
    b"\r\n",
    b"]]>",
    b"]",
    b"<![CDATA[",
    b"<!--",
    b"-->",
    b"<?xml",
    b"<?",
    b"<!DOCTYPE",
    b"&#0;",
    b"&#xFFFF;",
    b"&#x10FFFF;",
    b"&bogus;",
    b"&#",
    b";",
    b"\xC0\xBC",
    b"\xEB",
    b"\xEF\xBF\xBE",
    b"\xEF\xBF\xBD",
    b"\xED\xA0\x80",
    b"\xF4\x8F\xBF\xBF",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b"\xC2\xB7",
    b"\xC3\xA9",
    b"<a>",
    b"</a>",
    b"<a/>",
    b"</",
    b"/>",
    b"</stream:stream>",
    b"<stream:stream>",
    b" xmlns=''",
    b" xmlns='urn:x'",
    b" xmlns:p='urn:q'",
    b" p:a=''",
    b" q:a=''",
    b" a=''",
    b"xml:",
    b"xmlns:",
    b"q:",
    b"1",
    b"-",
    b".",
    b"<stream:x/>",
];

#[derive(Clone, Debug)]
enum Mutation {
    Insert(usize, usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Byte(usize, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<usize>(), 0..SNIPPETS.len()).prop_map(|(at, snippet)| Mutation::Insert(at, snippet)),
        1 => (any::<usize>(), 1..6usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (any::<usize>(), 1..12usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
    ]
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let size = bytes.len() + 1;
        match *mutation {
            Mutation::Insert(at, snippet) => {
                let at = at % size;
                bytes.splice(at..at, SNIPPETS[snippet].iter().copied());
            }
            Mutation::Remove(at, length) => {
                let at = at % size;
                bytes.drain(at..(at + length).min(size - 1));
            }
            Mutation::Repeat(at, length) => {
                let at = at % size;
                let part = bytes[at..(at + length).min(size - 1)].to_vec();
                bytes.splice(at..at, part);
            }
            Mutation::Byte(at, byte) => {
                let at = at % size;
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
        }
    }
    bytes
}

/// A tree built by hand from texts of every kind.
fn built() -> impl Strategy<Value = Element> {
    let name = prop_oneof!["[a-z]{1,3}", "\\PC{0,4}", any::<String>()];
    let ns = prop_oneof![
        Just("jabber:client".to_owned()),
        "urn:[a-c]",
        Just(String::new()),
        any::<String>()
    ];
    let attribute = (
        prop_oneof!["[a-c]|xml:[a-c]|xmlns", any::<String>()],
        any::<String>(),
    );
    let leaf = (
        name,
        ns,
        proptest::collection::vec(attribute, 0..3),
        any::<String>(),
    );
    let leaf = leaf.prop_map(|(name, ns, attributes, text)| {
        attributes
            .iter()
            .fold(Element::new(&name, &ns), |element, (name, value)| {
                element.with_attr(name, value)
            })
            .with_text(&text)
    });
    leaf.prop_recursive(4, 16, 3, |inner| {
        (inner.clone(), proptest::collection::vec(inner, 0..3))
            .prop_map(|(parent, children)| children.into_iter().fold(parent, Element::with_child))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn well_formed_streams_are_read_alike(body in body(), cuts in cuts()) {
        let stream = format!("{OPEN}{body}</stream:stream>").into_bytes();
        prop_assert_eq!(ours(&stream, &cuts).1, End::Closed, "{}", body);
        compare(&stream, &cuts);
        compare_cuts(&stream);
    }

    #[test]
    fn stanzas_that_came_are_forwarded_alike(content in body(), forward_type in "chat|normal|foo") {
        let stream = format!("{OPEN}<message type='{forward_type}' to='a@b' p:x='1' p:y='&lt;'>{content}</message>\
            <message type='{forward_type}' to='a@b'>{content}</message>");
        let mut framer = Framer::new(Limits::BOUND);
        let mut input = stream.as_bytes();
        let mut header = Header::default();
        let (came, _) = theirs(stream.as_bytes(), &[]);
        let mut came = came.into_iter();
        while let Ok(Some(frame)) = framer.next(&mut input) {
            match frame {
                Frame::Header(got) => header = got,
                Frame::Stanza(raw) => {
                    let stanza = Stanza::from_raw(&raw, &header).expect("a stanza");
                    let went = read_alone(&stanza.to_bytes());
                    let sent = came.next();
                    prop_assert_eq!(Some(&went), sent.as_ref());
                    prop_assert_eq!(&went, &Tree::of(stanza.element().expect("a tree")));
                }
                _ => {}
            }
        }
        prop_assert_eq!(came.len(), 0);
    }

    #[test]
    fn what_we_write_parses_alone(child in built(), body in any::<String>(), id in any::<String>(), reason in any::<String>()) {
        let mut stanza = Stanza::message(Jid::new("a@b/<&'\">").expect("an address")).with_body(&body);
        stanza.set_id(Some(&id));
        stanza.append(&child);
        let tree = read_alone(&stanza.to_bytes());
        prop_assert_eq!(tree, Tree::of(stanza.element().expect("a tree")));
        let error = StanzaError::new(Condition::BadRequest).with_text(reason);
        read_alone(&stanza.error(&error).expect("a reply").to_bytes());
        let mut alone = Vec::new();
        child.write_to(&mut alone, "jabber:client");
        prop_assert_eq!(read_alone(&alone), Tree::of(&child));
    }
}

#[test]
fn a_prefix_without_a_namespace_is_refused_when_its_element_is_complete() {
    for body in [
        "<a xmlns:p=''/>",
        "<a xmlns:p=''>",
        "<a><b p:c='' xmlns:p=''/></a>",
    ] {
        let stream = [OPEN.as_bytes(), body.as_bytes()].concat();
        compare(&stream, &[]);
        compare_cuts(&stream);
        let complete = !matches!(ours(&stream, &[]), (_, End::Open));
        assert_eq!(complete, body != "<a xmlns:p=''>", "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_streams_are_read_alike(
        body in body(),
        mutations in proptest::collection::vec(mutation(), 1..5),
        cuts in cuts(),
    ) {
        let body = mutate(body.into_bytes(), &mutations);
        let stream = [OPEN.as_bytes(), &body].concat();
        compare(&stream, &cuts);
        compare_cuts(&stream);
    }

    #[test]
    fn mutated_headers_are_read_alike(mutations in proptest::collection::vec(mutation(), 1..4), cuts in cuts()) {
        let stream = mutate(format!("{OPEN}<a/>").into_bytes(), &mutations);
        compare_headers(&stream, &cuts);
    }
}
