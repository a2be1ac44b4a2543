//! The framer, the parser and the writer, by row of the threat list (`t01` to `t13`) where one fits.

use super::*;

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A framer behind the header of a client's stream.
fn framer(limits: Limits) -> Framer {
    let mut framer = Framer::new(limits);
    let mut input = OPEN.as_bytes();
    assert!(matches!(
        framer.next(&mut input),
        Ok(Some(Frame::Header(_)))
    ));
    assert!(input.is_empty());
    framer
}

/// What becomes of `text` behind a header: the stanzas, and the error that ends them.
fn frames(text: impl AsRef<[u8]>) -> (Vec<Raw>, Option<Error>) {
    collect(&mut framer(Limits::BOUND), text.as_ref())
}

fn collect(framer: &mut Framer, mut input: &[u8]) -> (Vec<Raw>, Option<Error>) {
    let mut stanzas = Vec::new();
    loop {
        match framer.next(&mut input) {
            Ok(Some(Frame::Stanza(raw))) => stanzas.push(raw),
            Ok(Some(_)) => {}
            Ok(None) => return (stanzas, None),
            Err(error) => return (stanzas, Some(error)),
        }
    }
}

fn fault(text: impl AsRef<[u8]>) -> Option<Error> {
    frames(text).1
}

fn parse(text: &str) -> Result<Element, Error> {
    Element::parse(text.as_bytes(), CLIENT_NS, &[])
}

#[test]
fn a_stream() {
    let mut framer = Framer::new(Limits::BEFORE_AUTH);
    let text = format!("{OPEN} \n<a/><b x='1'>t</b>\n</stream:stream >\n");
    let mut input = text.as_bytes();
    let Ok(Some(Frame::Header(header))) = framer.next(&mut input) else {
        panic!("header");
    };
    assert_eq!(header.to.as_deref(), Some("localhost"));
    assert_eq!(header.version.as_deref(), Some("1.0"));
    assert_eq!(header.lang.as_deref(), Some("en"));
    assert_eq!((&*header.ns, &*header.stream_ns), (CLIENT_NS, STREAM_NS));
    assert_eq!(
        header.prefixes,
        [("stream".to_owned(), STREAM_NS.to_owned())]
    );
    let mut seen = Vec::new();
    while let Some(frame) = framer.next(&mut input).unwrap() {
        seen.push(match frame {
            Frame::Whitespace => "space".to_owned(),
            Frame::Stanza(raw) => String::from_utf8(raw.bytes.to_vec()).unwrap(),
            Frame::End => "end".to_owned(),
            Frame::Header(_) => "header".to_owned(),
        });
    }
    assert_eq!(
        seen,
        ["space", "<a/>", "<b x='1'>t</b>", "space", "end", "space"]
    );
    let after = framer.next(&mut &b"<a/>"[..]);
    assert_eq!(after.err(), Some(Error::NotWellFormed(Fault::AfterEnd)));
}

#[test]
fn attributes_are_kept_or_dropped() {
    let mut element = parse("<a b='1' c='2' xml:lang='de'/>").unwrap();
    element.retain_attrs(|attribute| attribute.value() != "2");
    let kept: Vec<_> = element.attrs().iter().map(Attribute::name).collect();
    assert_eq!(kept, ["b", "lang"]);
}

/// XML 1.0 §2.4: `]]>` may stand anywhere but in text, and brackets before anything else.
#[test]
fn brackets() {
    for (text, content) in [
        ("<a>x]</a>", "x]"),
        ("<a>]]</a>", "]]"),
        ("<a>]]&gt;]</a>", "]]>]"),
        ("<a>]<![CDATA[]]]]>]</a>", "]]]]"),
        ("<a b=']]>' c=\"]]>\">]</a>", "]"),
    ] {
        let whole = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(whole.text(), content, "{text}");
        let mut framer = framer(Limits::BOUND);
        let frames = text.bytes().map(|byte| framer.next(&mut &[byte][..]));
        let frames: Vec<_> = frames.filter_map(|frame| frame.unwrap()).collect();
        assert!(matches!(&frames[..], [Frame::Stanza(raw)] if raw.bytes == text));
    }
    assert_eq!(parse("<a>]]></a>"), Err(Fault::CdataEnd.into()));
    assert_eq!(parse("<a>]]]></a>"), Err(Fault::CdataEnd.into()));
}

#[test]
fn restart_expects_a_header() {
    let mut framer = framer(Limits::BEFORE_AUTH);
    assert!(matches!(framer.next(&mut &b"<half"[..]), Ok(None)));
    assert_eq!(framer.buffered(), 5);
    framer.restart();
    assert_eq!(framer.buffered(), 0);
    assert!(matches!(
        framer.next(&mut OPEN.as_bytes()),
        Ok(Some(Frame::Header(_)))
    ));
}

#[test]
fn headers_that_are_none() {
    for (text, condition) in [
        ("<stream/>", "bad-format"),
        ("<stream:features xmlns:stream='x'>", "bad-format"),
        ("GET / HTTP/1.1\r\n", "bad-format"),
        ("</stream:stream>", "not-well-formed"),
        ("<stream:stream xmlns='jabber:client'>", "not-well-formed"),
        ("<stream:stream xmlns:stream=''>", "not-well-formed"),
        ("\u{feff}<stream xmlns='x'>", "unsupported-encoding"),
        (
            "<?xml version='1.0' encoding='latin1'?>",
            "unsupported-encoding",
        ),
        ("<?xml version='1.1'?>", "not-well-formed"),
        ("<?xml encoding='utf-8'?>", "not-well-formed"),
        (
            "<?xml version='1.0' standalone='yes' encoding='utf-8'?>",
            "not-well-formed",
        ),
    ] {
        let error = Framer::new(Limits::BEFORE_AUTH).next(&mut text.as_bytes());
        assert_eq!(
            error.err().map(|error| error.condition()),
            Some(condition),
            "{text}"
        );
    }
    for text in [
        "<?xml version='1.0'?><stream xmlns='x'>",
        "<?xml version = \"1.0\" encoding='utf-8' standalone='no' ?>\n<stream>",
    ] {
        let frame = Framer::new(Limits::BEFORE_AUTH).next(&mut text.as_bytes());
        assert!(matches!(frame, Ok(Some(Frame::Header(_)))), "{text}");
    }
}

#[test]
fn t01_t02_document_types_are_refused_everywhere() {
    for text in [
        "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>",
        "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>",
        "<m><!ENTITY a 'b'></m>",
        "<m><!ELEMENT m ANY></m>",
    ] {
        assert_eq!(
            fault(text).map(|e| e.condition()),
            Some("restricted-xml"),
            "{text}"
        );
        assert_eq!(
            parse(text).map_err(|e| e.condition()),
            Err("restricted-xml"),
            "{text}"
        );
        let first = Framer::new(Limits::BEFORE_AUTH).next(&mut "<!DOCTYPE x>".as_bytes());
        assert_eq!(
            first.err(),
            Some(Error::Restricted(Restricted::Declaration))
        );
    }
}

#[test]
fn t03_references() {
    let refused = [
        "&foo;",
        "&#0;",
        "&#xD800;",
        "&#x110000;",
        "&#xFFFE;",
        "& ",
        "&;",
        "&#;",
        "&#x;",
        "&#xg;",
        "&#+1;",
        "&#12a;",
        "&amp",
        "&#x00000000041;",
        "&AMP;",
        "&#X41;",
    ];
    for reference in refused {
        for text in [
            format!("<m>{reference}</m>"),
            format!("<m a='{reference}'/>"),
        ] {
            let error = Some(Error::NotWellFormed(Fault::Reference));
            assert_eq!(fault(&text), error, "{text}");
            assert_eq!(parse(&text).err(), error, "{text}");
        }
    }
    let text = "<m a='&lt;&#x9;&#13;'>&amp;&lt;&gt;&apos;&quot;&#65;&#x1F600;&#x0010FFFF;</m>";
    let element = parse(text).unwrap();
    assert_eq!(element.text(), "&<>'\"A\u{1f600}\u{10ffff}");
    assert_eq!(element.attr("a"), Some("<\t\r"));
}

#[test]
fn t04_instructions_and_comments() {
    for text in [
        "<?php ?>",
        "<m><?php ?></m>",
        "<m><!-- x --></m>",
        "<!-- x -->",
        "<?xml version='1.0'?>",
    ] {
        assert_eq!(
            fault(text).map(|e| e.condition()),
            Some("restricted-xml"),
            "{text}"
        );
    }
    let mut framer = framer(Limits::BOUND);
    assert_eq!(collect(&mut framer, b"<m><!"), (vec![], None));
    assert_eq!(
        collect(&mut framer, b"-").1,
        Some(Error::Restricted(Restricted::Declaration))
    );
    let late = format!(" {OPEN}");
    let error = Framer::new(Limits::BOUND).next(&mut late.as_bytes()).err();
    assert_eq!(
        error,
        Some(Error::Restricted(Restricted::ProcessingInstruction))
    );
    assert_eq!(
        parse("<?xml version='1.0'?><m/>").map_err(|e| e.condition()),
        Err("restricted-xml")
    );
}

#[test]
fn t05_size_is_limited_while_framing() {
    let limits = Limits {
        stanza_bytes: 100,
        ..Limits::BEFORE_AUTH
    };
    let exact = format!("<m>{}</m>", "x".repeat(93));
    for step in [1, 30, 100, 1000] {
        let mut framer = Framer::new(Limits::BEFORE_AUTH);
        framer.next(&mut OPEN.as_bytes()).unwrap();
        framer.set_limits(limits);
        for piece in exact.as_bytes().chunks(step) {
            assert_eq!(collect(&mut framer, piece).1, None);
        }
        let endless = "<m>".to_owned() + &"x".repeat(400);
        let mut most = 0;
        let error = endless.as_bytes().chunks(step).find_map(|piece| {
            let error = collect(&mut framer, piece).1;
            most = most.max(framer.buffered());
            error
        });
        assert_eq!(error, Some(Error::TooBig(100)), "reads of {step}");
        assert!(most <= 100);
        assert_eq!(framer.buffered(), 0);
    }
    assert_eq!(Error::TooBig(1).condition(), "policy-violation");
    assert_eq!(
        Error::TooBig(1).application_condition(),
        Some("stanza-too-big")
    );
}

#[test]
fn t07_t08_t09_t10_counts_are_limited() {
    let limits = Limits::BEFORE_AUTH;
    let attributes = |count: usize| -> String {
        let list: String = (0..count).map(|n| format!(" a{n}=''")).collect();
        format!("<m{list}/>")
    };
    for (good, bad, what, max) in [
        (
            "<a>".repeat(16) + &"</a>".repeat(16),
            "<a>".repeat(100_000),
            Bound::Depth,
            limits.depth,
        ),
        (
            format!("<a>{}</a>", "<b/>".repeat(31)),
            format!("<a>{}</a>", "<b/>".repeat(32)),
            Bound::Elements,
            limits.elements,
        ),
        (
            attributes(20),
            attributes(21),
            Bound::Attributes,
            limits.attributes,
        ),
        (
            format!("<{}/>", "n".repeat(128)),
            format!("<m {}", "n".repeat(129)),
            Bound::Name,
            limits.name_bytes,
        ),
    ] {
        assert_eq!(collect(&mut framer(limits), good.as_bytes()).1, None);
        let error = collect(&mut framer(limits), bad.as_bytes()).1;
        assert_eq!(error, Some(Error::Limit { what, max }));
        assert_eq!(error.map(|e| e.condition()), Some("policy-violation"));
    }
}

#[test]
fn t08_trees_of_any_depth_are_copied_compared_written_and_dropped() {
    let mut element = Element::new("leaf", "x").with_text("t");
    for _ in 0..100_000 {
        element = Element::new("a", "x").with_child(element).with_text("t");
    }
    let copy = element.clone();
    assert!(copy == element);
    let mut written = Vec::new();
    copy.write_to(&mut written, "x");
    assert_eq!(
        written.len(),
        100_000 * "<a>t</a>".len() + "<leaf>t</leaf>".len()
    );
}

#[test]
fn t09_namespaces() {
    use Fault::{DuplicateAttribute, Namespace, Prefix};
    for (text, fault) in [
        ("<m a='' a=''/>", DuplicateAttribute),
        ("<m xmlns='a' xmlns='b'/>", DuplicateAttribute),
        (
            "<m xmlns:p='u' xmlns:q='u' p:a='' q:a=''/>",
            DuplicateAttribute,
        ),
        ("<p:m/>", Prefix),
        ("<m p:a=''/>", Prefix),
        ("<m><a xmlns:p='u'/><p:b/></m>", Prefix),
        ("<xmlns:m/>", Prefix),
        ("<m xmlns:p=''/>", Namespace),
        ("<m xmlns:xml='u'/>", Namespace),
        ("<m xmlns:xmlns='u'/>", Namespace),
        (
            "<m xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
            Namespace,
        ),
        ("<m xmlns='http://www.w3.org/2000/xmlns/'/>", Namespace),
        ("<m xmlns='u&#10;v'/>", Namespace),
        ("<m xmlns='u v'/>", Namespace),
    ] {
        assert_eq!(
            parse(text).err(),
            Some(Error::NotWellFormed(fault)),
            "{text}"
        );
        let (stanzas, error) = frames(text);
        match stanzas.first() {
            // What the framer cannot judge is left to the parser, and not forwarded as bytes.
            Some(raw) => assert!(!raw.self_contained, "{text}"),
            None => assert!(error.is_some(), "{text}"),
        }
    }
    let many: String = (0..60).map(|n| format!(" xmlns:p{n}='u'")).collect();
    let text = format!("<a{many}><b{many}><c{many}/></b></a>");
    let max = MAX_BINDINGS;
    assert_eq!(
        parse(&text).err(),
        Some(Error::Limit {
            what: Bound::Bindings,
            max
        })
    );
    let element =
        parse("<p:m xmlns:p='u' p:a='1' a='2' xml:lang='de'><b xmlns=''/></p:m>").unwrap();
    assert!(element.is("m", "u"));
    assert_eq!(element.attr("a"), Some("2"));
    assert_eq!(element.attr_ns("a", "u"), Some("1"));
    assert_eq!(element.attr("xml:lang"), Some("de"));
    assert!(element.child("b", "").is_some());
}

#[test]
fn t10_one_byte_at_a_time_is_linear() {
    // A quadratic framer would look at 10^10 bytes here.
    let body = "x".repeat(Limits::BOUND.stanza_bytes - 100);
    for text in [
        format!("<m><b>{body}</b></m>"),
        format!("<m a='{body}'/>"),
        format!("<m><![CDATA[{}]]></m>", "]".repeat(body.len())),
    ] {
        let mut framer = framer(Limits::BOUND);
        let mut stanzas = 0;
        for byte in text.as_bytes().chunks(1) {
            let (got, error) = collect(&mut framer, byte);
            assert_eq!(error, None);
            stanzas += got.len();
        }
        assert_eq!(stanzas, 1);
    }
}

#[test]
fn t12_nothing_is_smuggled() {
    use Fault::{Char, EndTag, LessThan, Name, Tag, Utf8};
    for (bytes, fault) in [
        (&b"<m>\xEB\x3C\x2F</m>"[..], Utf8),
        (b"<m>\xC0\xBC</m>", Utf8),
        (b"<m>\xF8\x88\x80\x80\x80</m>", Utf8),
        (b"<m>\xED\xA0\x80</m>", Utf8),
        (b"<m>\xE2\x82</m>", Utf8),
        (b"<m a='\xC3'/>", Utf8),
        (b"<m\xC3(/>", Utf8),
        (b"<m>\x00</m>", Char),
        (b"<m a='\x0b'/>", Char),
        (b"<m>\xEF\xBF\xBE</m>", Char),
        (b"<m><![CDATA[\xEF\xBF\xBF]]></m>", Char),
        (b"<m>]]></m>", Fault::CdataEnd),
        (b"<m a='<'/>", LessThan),
        (b"<m></n>", EndTag),
        (b"<m></mm>", EndTag),
        (b"<mm></m>", EndTag),
        (b"<m></m x=''>", EndTag),
        (b"<m a=''b=''/>", Tag),
        (b"<m a/>", Tag),
        (b"<m a=b/>", Tag),
        (b"<m/ >", Tag),
        (b"< m/>", Name),
        (b"<1/>", Name),
        (b"<a:b:c/>", Name),
        (b"<:a/>", Name),
        (b"<a:/>", Name),
        (b"<a:1/>", Name),
        (b"<m -a=''/>", Name),
        (b"<m \xC2\xB7=''/>", Name),
        (b"</other>", EndTag),
    ] {
        let text = String::from_utf8_lossy(bytes);
        let expected = Some(Error::NotWellFormed(fault));
        assert_eq!(frames(bytes).1, expected, "{text}");
        let mut framer = framer(Limits::BOUND);
        let split = bytes
            .chunks(1)
            .find_map(|byte| collect(&mut framer, byte).1);
        assert_eq!(split, expected, "{text} by the byte");
        assert_eq!(
            framer.next(&mut &b"<m/>"[..]).err(),
            expected,
            "it stays broken"
        );
    }
    for text in ["x", "&amp;", "<![CDATA[x]]>", "<m/>x"] {
        assert_eq!(fault(text), Some(Error::TextBetweenStanzas), "{text}");
    }
    let (stanzas, error) = frames("<m><![CDATA[]]]]><![CDATA[></b>]]></m><stream:stream>");
    assert_eq!(error, None);
    let tree = Element::parse(&stanzas[0].bytes, CLIENT_NS, &[]).unwrap();
    assert_eq!(tree.text(), "]]></b>");
}

#[test]
fn self_contained_means_no_prefix_and_plain_namespaces() {
    for (text, expected) in [
        (
            "<m xmlns='jabber:client' xml:lang='en'><b xmlns='urn:x'>t</b></m>",
            true,
        ),
        ("<m><b xmlns=''/></m>", true),
        ("<m><stream:b/></m>", false),
        ("<m xmlns:p='u'/>", false),
        ("<m xmlns:p='u' p:a=''/>", false),
        ("<m xmlns='a&amp;b'/>", false),
        ("<m>a\nb</m>", true),
        ("<m>a\r\nb</m>", false),
        ("<m a='\r'/>", false),
        (
            "<m><b xmlns='http://www.w3.org/XML/1998/namespace'/></m>",
            false,
        ),
    ] {
        let (stanzas, _) = frames(text);
        assert_eq!(
            stanzas.first().map(|raw| raw.self_contained),
            Some(expected),
            "{text}"
        );
    }
    // One stanza does not spoil the next.
    let (stanzas, _) = frames("<stream:a/><b/>");
    assert!(!stanzas[0].self_contained && stanzas[1].self_contained);
}

#[test]
fn white_space_is_normalised() {
    let element = parse("<m a=' x\r\ny\nz\t'>a\r\nb\rc&#13;</m>").unwrap();
    assert_eq!(element.attr("a"), Some(" x y z "));
    assert_eq!(element.text(), "a\nb\nc\r");
}

#[test]
fn t13_what_is_put_in_can_be_read_back() {
    let mut element = Element::new("1 <b>", "urn:x\n\u{0}")
        .with_attr("a b", "\u{b}\u{fffe}<&'\"\r\n\t")
        .with_attr("xmlns", "urn:forged")
        .with_attr("xml:lang", "de")
        .with_text("\u{0}\u{ffff}]]>\r\u{efff}\u{ff}");
    element.push(Element::new("", "http://www.w3.org/2000/xmlns/"));
    element.push(Element::new("x", XML_NS).with_text("t"));
    let text = element.to_string();
    let again = Element::parse(text.as_bytes(), "", &[]).unwrap();
    assert_eq!(again, element, "{text}");
    assert!(again.is("_1__b_", "urn:x__"));
    assert_eq!(again.attr("a_b"), Some("\u{fffd}\u{fffd}<&'\"\r\n\t"));
    assert_eq!(again.text(), "\u{fffd}\u{fffd}]]>\r\u{efff}\u{ff}");
    let mut raw = Vec::new();
    escape_text(&mut raw, "a\u{1}b\u{ffff}");
    assert_eq!(raw, "a\u{fffd}b\u{fffd}".as_bytes());
}

#[test]
fn children() {
    let mut element = parse("<m>a<b/>c<b n='2'/><d xmlns='u'/></m>").unwrap();
    assert_eq!(element.text(), "ac");
    assert_eq!(element.elements().count(), 3);
    assert_eq!(
        element
            .remove_child("b", CLIENT_NS)
            .map(|b| b.attrs().len()),
        Some(0)
    );
    let second = element.child_mut("b", CLIENT_NS).unwrap();
    second.set_attr("n", None);
    second.set_text("x");
    element.push_front(Element::new("first", CLIENT_NS));
    element.retain(|node| !matches!(node, Node::Element(child) if child.is("d", "u")));
    let mut out = Vec::new();
    element.write_to(&mut out, CLIENT_NS);
    assert_eq!(out, b"<m><first/>ac<b>x</b></m>");
}

#[test]
fn a_document_is_one_element() {
    assert_eq!(
        parse(" <a/>\n").map(|a| a.name().to_owned()),
        Ok("a".to_owned())
    );
    for (text, fault) in [
        ("", Fault::Unfinished),
        ("<a>", Fault::Unfinished),
        ("<a/><b/>", Fault::AfterEnd),
        ("<a/>x", Fault::AfterEnd),
        ("x", Fault::Tag),
        ("</a>", Fault::EndTag),
    ] {
        assert_eq!(
            parse(text).err(),
            Some(Error::NotWellFormed(fault)),
            "{text}"
        );
    }
    let huge = format!("<a>{}</a>", "x".repeat(Limits::BOUND.stanza_bytes));
    assert_eq!(
        parse(&huge).err(),
        Some(Error::TooBig(Limits::BOUND.stanza_bytes))
    );
}
