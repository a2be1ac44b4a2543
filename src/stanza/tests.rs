use bytes::Bytes;

use super::*;
use crate::xml::{Frame, Framer, Header, Limits};

/// Reads `text` behind the header of a client's stream.
fn read(text: &str) -> Result<Stanza, ParseError> {
    let (raw, header) = frame(text);
    Stanza::from_raw(&raw, &header)
}

fn frame(text: &str) -> (xml::Raw, Header) {
    let mut framer = Framer::new(Limits::BOUND);
    let mut open = &b"<stream:stream xmlns='jabber:client' xmlns:p='urn:p' xml:lang='de' \
        xmlns:stream='http://etherx.jabber.org/streams'>"[..];
    let Ok(Some(Frame::Header(header))) = framer.next(&mut open) else {
        panic!("header");
    };
    match framer.next(&mut text.as_bytes()) {
        Ok(Some(Frame::Stanza(raw))) => (raw, header),
        other => panic!("{text}: {other:?}"),
    }
}

fn text(stanza: &Stanza) -> String {
    String::from_utf8(stanza.to_bytes().to_vec()).unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

const MESSAGE: &str = "<message to='Bob@example.com./x&amp;y' type='chat' id='a&quot;1'>\
    <body>Hi &amp; bye</body><x xmlns='urn:x'/></message>";

#[test]
fn content_is_forwarded_as_it_came() {
    let (raw, header) = frame(MESSAGE);
    let mut stanza = Stanza::from_raw(&raw, &header).unwrap();
    assert_eq!(stanza.kind(), Kind::Message);
    assert_eq!(stanza.type_(), "chat");
    assert_eq!(stanza.id(), Some("a\"1"));
    assert_eq!(stanza.to(), Some(&jid("bob@example.com/x&y")));
    assert_eq!(stanza.lang(), Some("de"));
    assert!(stanza.tree.get().is_none(), "no tree for a message");
    let inner = stanza.inner();
    assert_eq!(
        inner.as_ptr(),
        raw.bytes[inner.as_ptr() as usize - raw.bytes.as_ptr() as usize..].as_ptr()
    );
    stanza.set_from(Some(jid("alice@example.com/a")));
    assert_eq!(
        text(&stanza),
        "<message from='alice@example.com/a' to='bob@example.com/x&amp;y' type='chat' id='a&quot;1' \
         xml:lang='de'><body>Hi &amp; bye</body><x xmlns='urn:x'/></message>"
    );
    assert_eq!(stanza.body().as_deref(), Some("Hi & bye"));
    assert!(stanza.has_child("x", "urn:x") && !stanza.has_child("x", "urn:y"));
    let mut addressed = Vec::new();
    stanza.write_addressed(&mut addressed, &jid("carol@example.com"));
    let copy = Stanza::from_bytes(&Bytes::from(addressed)).unwrap();
    assert_eq!(copy.to(), Some(&jid("carol@example.com")));
    assert_eq!(copy.inner(), stanza.inner());
}

#[test]
fn body_is_read_without_a_tree_where_that_gives_the_same() {
    for (inside, plain) in [
        ("<body>hi</body>", true),
        ("<body xml:lang='en' >h > i</body><x xmlns='urn:x'/>", true),
        ("<body xml:lang='/>'></body>", true),
        ("<body>a &lt; b</body>", false),
        ("<body>a\r\nb</body>", false),
        ("<body><![CDATA[a]]></body>", false),
        ("<body>a<b/>c</body>", false),
        ("<body/>", false),
        (" <body>hi</body>", false),
        ("<bodyguard>no</bodyguard><body>hi</body>", false),
        ("<body xmlns='urn:x'>no</body><body>hi</body>", false),
        ("<x xmlns='urn:x'/>", false),
        ("", false),
    ] {
        let stanza = read(&format!("<message>{inside}</message>")).unwrap();
        let body = stanza.body().map(Cow::into_owned);
        assert_eq!(stanza.tree.get().is_none(), plain, "{inside}");
        let tree = stanza.element().unwrap().child("body", CLIENT_NS);
        assert_eq!(
            body,
            tree.map(|child| child.text().into_owned()),
            "{inside}"
        );
    }
}

#[test]
fn what_a_stanza_is_about_is_told_without_a_tree_where_that_gives_the_same() {
    for (inside, body, ns) in [
        ("<query xmlns='jabber:iq:roster'/>", true, true),
        (
            "<query a='/>' xmlns = \"jabber:iq:roster\">x</query>",
            true,
            true,
        ),
        ("\n <q xmlns='urn:q'/><body>hi</body>", false, true),
        ("<body>hi</body>", true, true),
        ("<body>a &lt; b</body>", false, true),
        ("<thread>nobody</thread>", false, true),
        (
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            true,
            true,
        ),
        ("<x:q xmlns:x='urn:x'/>", false, false),
        ("text <q xmlns='urn:x'/>", true, false),
        ("<![CDATA[text]]><q xmlns='urn:x'/>", true, false),
        ("only text", true, false),
        ("<q xmlns=''/>", true, true),
        ("", true, true),
        (" ", true, true),
    ] {
        let text = format!("<message>{inside}</message>");
        let stanza = read(&text).unwrap();
        let told = stanza.has_body().unwrap();
        assert_eq!(stanza.tree.get().is_none(), body, "body of {inside}");
        assert_eq!(told, stanza.body().is_some(), "{inside}");
        let stanza = read(&text).unwrap();
        let start = stanza.payload_start().unwrap();
        let told = start.map(|payload| payload.ns().to_owned());
        assert_eq!(stanza.tree.get().is_none(), ns, "namespace in {inside}");
        let payload = stanza.payload().map(|child| child.ns().to_owned());
        assert_eq!(told, payload, "{inside}");
    }
}

#[test]
fn empty_stanzas() {
    for (came, goes) in [
        ("<presence/>", "<presence xml:lang='de'/>"),
        ("<presence></presence>", "<presence xml:lang='de'/>"),
        (
            "<presence xmlns='jabber:client' type='' />",
            "<presence xml:lang='de'/>",
        ),
        ("<message xml:lang='en'/>", "<message xml:lang='en'/>"),
    ] {
        assert_eq!(text(&read(came).unwrap()), goes);
    }
}

#[test]
fn what_the_start_tag_says_besides_survives() {
    let stanza =
        read("<message foo='1' p:bar='2' xml:space='preserve' to='b@c'><p:x/></message>").unwrap();
    assert_eq!(
        text(&stanza),
        "<message to='b@c' xml:lang='de' foo='1' xmlns:ns1='urn:p' ns1:bar='2' xml:space='preserve'>\
         <x xmlns='urn:p'/></message>"
    );
    let again = Stanza::from_bytes(&stanza.to_bytes()).unwrap();
    assert_eq!(again.element().unwrap(), stanza.element().unwrap());
}

#[test]
fn prefixes_of_the_stream_are_written_out() {
    let stanza =
        read("<c:message xmlns:c='jabber:client'><c:body>x</c:body><p:a q='1'/></c:message>")
            .unwrap();
    assert_eq!(
        text(&stanza),
        "<message xml:lang='de'><body>x</body><a xmlns='urn:p' q='1'/></message>"
    );
    assert!(matches!(
        read("<message><q:a/></message>"),
        Err(ParseError::Xml(_))
    ));
}

#[test]
fn t13_no_raw_carriage_return_is_forwarded() {
    let stanza =
        read("<message id='\r'><body a='\rx'>a\rb\r\nc&#13;<![CDATA[]\r\n]]></body></message>")
            .unwrap();
    assert_eq!(
        text(&stanza),
        "<message id=' ' xml:lang='de'><body a=' x'>a\nb\nc&#13;]\n</body></message>"
    );
}

#[test]
fn other_elements_are_no_stanzas() {
    for text in [
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<message xmlns='jabber:server'/>",
        "<p:message/>",
        "<body/>",
    ] {
        assert!(
            matches!(read(text), Err(ParseError::NotStanza(_))),
            "{text}"
        );
    }
}

#[test]
fn bad_addresses_are_answered() {
    let Err(ParseError::BadAddress { which, reply, .. }) =
        read("<message from='a@b' to='x@@y' id='1'><body>secret</body></message>")
    else {
        panic!("accepted");
    };
    assert_eq!(which, Address::To);
    assert_eq!(
        text(&reply.unwrap()),
        "<message to='a@b' type='error' id='1'><error type='modify'>\
         <jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    );
    for text in [
        "<message to='@y' type='error'/>",
        "<iq to='@y' type='result' id='1'/>",
        "<message from='@b'/>",
    ] {
        let Err(ParseError::BadAddress { reply, .. }) = read(text) else {
            panic!("{text}");
        };
        assert!(reply.is_none(), "{text}");
    }
}

#[test]
fn rules_of_rfc_6120_8_2_3() {
    for (text, expected, answered) in [
        ("<iq type='get'><a/></iq>", BadStanza::MissingId, true),
        ("<iq id='1'><a/></iq>", BadStanza::UnknownType, true),
        (
            "<iq id='1' type='foo'><a/></iq>",
            BadStanza::UnknownType,
            true,
        ),
        ("<iq id='1' type='get'/>", BadStanza::Payload, true),
        (
            "<iq id='1' type='set'><a/><b/></iq>",
            BadStanza::Payload,
            true,
        ),
        (
            "<iq id='1' type='result'><a/><b/></iq>",
            BadStanza::Payload,
            false,
        ),
        ("<presence type='foo'/>", BadStanza::UnknownType, true),
    ] {
        let Err(ParseError::BadStanza { reason, reply }) = read(text) else {
            panic!("{text}");
        };
        assert_eq!((reason, reply.is_some()), (expected, answered), "{text}");
    }
    for text in [
        "<iq id='1' type='get'> <a/> </iq>",
        "<iq id='1' type='result'/>",
        "<iq id='1' type='error'><a/><error type='cancel'/></iq>",
        "<presence type='probe'/>",
        "<message type='foo'/>",
    ] {
        assert!(read(text).is_ok(), "{text}");
    }
    assert_eq!(
        read("<message type='foo'/>").unwrap().message_type(),
        "normal"
    );
}

#[test]
fn errors_go_back_without_the_payload() {
    let mut stanza =
        read("<iq from='a@b/c' to='d' type='get' id='7'><secret xmlns='x'/></iq>").unwrap();
    let error = StanzaError::new(Condition::ItemNotFound).with_text("no <such> item");
    let reply = stanza.error(&error).unwrap();
    assert_eq!(
        text(&reply),
        "<iq from='d' to='a@b/c' type='error' id='7'><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no &lt;such&gt; item</text></error></iq>"
    );
    let read_back = StanzaError::from_element(reply.child("error", CLIENT_NS).unwrap());
    assert_eq!(read_back, error);
    assert!(reply.error(&error).is_none());
    assert!(stanza.reply().error(&error).is_none());
    assert_eq!(
        text(&stanza.reply()),
        "<iq from='d' to='a@b/c' type='result' id='7'/>"
    );
    stanza.set_type("set");
    assert!(stanza.is_request() && stanza.payload().is_some());
}

#[test]
fn conditions_have_names_of_their_own() {
    assert_eq!(Condition::ALL.len(), 22);
    for condition in Condition::ALL {
        assert_eq!(Condition::from_name(condition.name()), Some(*condition));
    }
}

#[test]
fn edits_touch_no_clone_and_fail_whole() {
    let mut stanza = read(MESSAGE).unwrap();
    let clone = stanza.clone();
    let before = text(&clone);
    stanza
        .edit(|tree| {
            tree.set_attr("to", Some("CAROL@example.com"));
            tree.child_mut("body", CLIENT_NS)
                .unwrap()
                .set_text("changed");
        })
        .unwrap();
    assert_eq!(stanza.to(), Some(&jid("carol@example.com")));
    assert_eq!(stanza.body().as_deref(), Some("changed"));
    assert_eq!(text(&clone), before);
    let good = text(&stanza);
    assert!(stanza.edit(|tree| tree.set_attr("to", Some("@"))).is_err());
    assert_eq!(text(&stanza), good);
    assert_eq!(
        stanza.element().unwrap().attr("to"),
        Some("carol@example.com")
    );
}

#[test]
fn setters_and_tree_agree() {
    let mut stanza = Stanza::message(jid("a@b")).with_body("x");
    stanza.element().unwrap();
    let clone = stanza.clone();
    for _ in 0..2 {
        stanza.set_from(Some(jid("c@d/e")));
        stanza.set_to(None);
        stanza.set_id(Some("i"));
        stanza.set_type("groupchat");
        stanza.set_lang(Some("fr"));
        stanza.add_delay("b", "2026-01-02T03:04:05Z");
        let tree = stanza.element().unwrap().clone();
        assert_eq!(
            Some(&tree),
            Stanza::from_bytes(&stanza.to_bytes())
                .unwrap()
                .element()
                .ok()
        );
        assert_eq!(
            tree.child("delay", "urn:xmpp:delay").unwrap().attr("from"),
            Some("b")
        );
    }
    assert_eq!(
        text(&clone),
        "<message to='a@b' type='chat'><body>x</body></message>"
    );
    assert!(stanza.size() >= stanza.to_bytes().len());
}

#[test]
fn t44_forged_stanza_ids_are_replaced() {
    let mut stanza = read(
        "<message to='a@localhost'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='A@LOCALHOST.' id='forged'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='room@muc' id='theirs'/><stanza-id xmlns='urn:xmpp:sid:0' id='by-nobody'/>\
         <s:stanza-id xmlns:s='urn:xmpp:sid&#58;0' by='a@localhost' id='hidden'/></message>",
    )
    .unwrap();
    stanza.stanza_id(&jid("a@localhost"), "ours").unwrap();
    let ids: Vec<_> = stanza
        .element()
        .unwrap()
        .elements()
        .filter(|child| child.name() == "stanza-id")
        .filter_map(|child| child.attr("id"))
        .collect();
    assert_eq!(ids, ["theirs", "ours"]);
}

#[test]
fn requests_are_counted_and_named_without_a_tree_where_they_are_plain() {
    for (inside, children, tree) in [
        ("<ping xmlns='urn:xmpp:ping'/>", 1, false),
        (" <ping xmlns=\"urn:xmpp:ping\" a='/>'></ping>", 1, false),
        ("<ping xmlns='urn:xmpp:ping'/> ", 1, true),
        ("<ping xmlns='urn:xmpp:ping'><x/></ping>", 1, true),
        ("<a></a><a></a>", 2, true),
        ("<a/><a/>", 2, true),
        ("<a/>text", 1, true),
        ("<p:a xmlns:p='urn:p'/>", 1, true),
        ("", 0, false),
        ("text", 0, true),
    ] {
        let stanza = read(&format!("<message>{inside}</message>")).unwrap();
        assert_eq!(stanza.count_children().unwrap(), children, "{inside}");
        assert_eq!(stanza.tree.get().is_some(), tree, "{inside}");
        let start = stanza.payload_start().unwrap();
        let (start, child) = (start.as_ref(), stanza.payload());
        assert_eq!(start.is_some(), child.is_some(), "{inside}");
        if let (Some(start), Some(child)) = (start, child) {
            assert!(start.is(child.name(), child.ns()), "{inside}");
            assert!(!start.is(child.name(), "urn:other"), "{inside}");
            assert_eq!(start.attr("a").as_deref(), child.attr("a"), "{inside}");
        }
    }
}
