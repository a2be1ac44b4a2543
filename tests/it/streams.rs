//! What a stream does with what it gets: a precise error for bad input, an answer to every iq, `from` as it was proved.

use std::time::Duration;

use stanzad::xml::Element;

use crate::harness::{Client, Login, Server, Setup, Via};

const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// How long nothing has to come before we say that nothing comes.
const QUIET: Duration = Duration::from_millis(300);

fn online(server: &Server, user: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource("desk")).unwrap()
}

/// The stream error that `xml` brings, and that the stream ends behind it.
fn stream_error(mut client: Client, xml: &str) -> String {
    // The server may have heard enough, and closed, before everything is sent.
    let _ = client.send(xml);
    let error = client
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    let condition = error.elements().find(|element| element.ns() == STREAMS);
    let condition = condition.unwrap().name().to_owned();
    client
        .expect("the end", |_| false)
        .expect_err("a stream error ends the stream");
    condition
}

fn condition(stanza: &Element) -> &str {
    assert_eq!(stanza.attr("type"), Some("error"), "{stanza}");
    let error = stanza.child("error", stanza.ns()).unwrap();
    let condition = error.elements().find(|element| element.ns() == STANZAS);
    condition.unwrap().name()
}

#[test]
fn stream_header_answers_with_an_id_a_version_and_our_name() {
    let server = Server::start();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(server.starttls(), Via::Plain).unwrap();
        client.features().unwrap();
        let header = client.header().unwrap();
        assert_eq!(header.from.as_deref(), Some("localhost"));
        assert_eq!(header.version.as_deref(), Some("1.0"));
        ids.push(header.id.clone().unwrap());
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn bad_input_gets_its_stream_error() {
    let server = Server::start();
    server.users(&["alice"]);
    for (xml, expected) in [
        ("<message><body>no end</message>", "not-well-formed"),
        ("<!DOCTYPE lol [<!ENTITY a 'b'>]>", "restricted-xml"),
        ("<?php echo 1 ?>", "restricted-xml"),
        ("<!-- a comment -->", "restricted-xml"),
        ("<message><body>&lol;</body></message>", "not-well-formed"),
        ("text between stanzas", "bad-format"),
        ("<stanza/>", "unsupported-stanza-type"),
    ] {
        let condition = stream_error(online(&server, "alice"), xml);
        let alike = expected == "bad-format" && condition == "not-well-formed";
        assert!(condition == expected || alike, "{xml}: {condition}");
    }
    let huge = format!("<message><body>{}</body></message>", "x".repeat(300_000));
    assert_eq!(
        stream_error(online(&server, "alice"), &huge),
        "policy-violation"
    );
    let deep = format!("<message>{}", "<a>".repeat(200));
    assert_eq!(
        stream_error(online(&server, "alice"), &deep),
        "policy-violation"
    );
}

#[test]
fn unknown_host_is_refused() {
    let server = Server::start();
    let mut client = Client::connect_to(server.starttls(), "elsewhere.example").unwrap();
    let error = client
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    assert!(error.child("host-unknown", STREAMS).is_some(), "{error}");
}

#[test]
fn from_is_what_the_stream_proved() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let (mut alice, mut bob) = (online(&server, "alice"), online(&server, "bob"));
    alice.say("bob@localhost", "m1", "hello").unwrap();
    assert_eq!(
        bob.message().unwrap().attr("from"),
        Some("alice@localhost/desk")
    );
    alice
        .send("<message from='alice@localhost' to='bob@localhost' type='chat' id='m2'><body>bare</body></message>")
        .unwrap();
    assert_eq!(
        bob.message().unwrap().attr("from"),
        Some("alice@localhost/desk")
    );
    // RFC 6120 §8.1.2.1: somebody else's address ends the stream, or is replaced; it never arrives.
    alice
        .send("<message from='eve@localhost' to='bob@localhost' type='chat' id='m3'><body>forged</body></message>")
        .unwrap();
    if let Some(forged) = bob.next_within(QUIET).unwrap() {
        assert_eq!(
            forged.attr("from"),
            Some("alice@localhost/desk"),
            "{forged}"
        );
    }
}

#[test]
fn every_iq_is_answered() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    for to in [
        "localhost",
        "bob@localhost",
        "bob@localhost/gone",
        "nobody@localhost",
        "nobody@localhost/x",
        "alice@localhost",
    ] {
        let request = format!(
            "<iq type='get' id='q' to='{to}'><query xmlns='urn:stanzad:test:unknown'/></iq>"
        );
        let answer = alice.ask("q", &request).unwrap();
        assert_eq!(condition(&answer), "service-unavailable", "{to}");
        assert_eq!(answer.attr("from"), Some(to));
    }
    let unaddressed = alice
        .ask(
            "q",
            "<iq type='get' id='q'><query xmlns='urn:stanzad:test:unknown'/></iq>",
        )
        .unwrap();
    assert_eq!(condition(&unaddressed), "service-unavailable");

    // From one client to another, and back.
    alice
        .send("<iq type='get' id='p' to='bob@localhost/desk'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let request = bob
        .expect("request", |element| element.name() == "iq")
        .unwrap();
    assert_eq!(request.attr("from"), Some("alice@localhost/desk"));
    bob.send("<iq type='result' id='p' to='alice@localhost/desk'/>")
        .unwrap();
    let answer = alice
        .expect("answer", |element| element.attr("id") == Some("p"))
        .unwrap();
    assert_eq!(answer.attr("type"), Some("result"));

    let bad = alice
        .ask("b", "<iq type='get' id='b' to='localhost'/>")
        .unwrap();
    assert_eq!(condition(&bad), "bad-request");
}

#[test]
fn malformed_address_is_a_stanza_error() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    alice
        .send("<message to='@@localhost' id='m' type='chat'><body>hello</body></message>")
        .unwrap();
    let answer = alice.message().unwrap();
    assert_eq!(condition(&answer), "jid-malformed");
    alice.drain().expect("the stream goes on");
}

/// A session stops reading while its own answers crowd its outbox. When one turn writes them all, nothing else wakes it: it
/// must go on by itself with what it has read already.
#[test]
fn a_session_reads_on_after_its_answers_were_written_in_one_turn() {
    const REQUESTS: usize = 300;
    let config = "outbox_size = 65536\nmax_stanzas_per_turn = 1000\n\
                  xmpp_listener { max_stanza_size = 65536 }\n";
    let server = Setup::new().config(config).start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let requests: String = (0..REQUESTS)
        .map(|id| format!("<iq type='get' id='{id}' to='localhost'>{info}</iq>"))
        .collect();
    alice.send(&requests).unwrap();
    for id in 0..REQUESTS {
        let answer = alice
            .expect("answer", |element| element.name() == "iq")
            .unwrap();
        assert_eq!(answer.attr("id"), Some(id.to_string().as_str()));
    }
}

/// RFC 6120 §4.7.4, §8.1.5: the language of a stream is that of its stanzas, for whoever gets them and whenever; a stanza's
/// own goes before it.
#[test]
fn the_language_of_a_stream_is_on_its_stanzas() {
    let server = Server::start();
    server.users(&["alice", "bob", "carol"]);
    let speaks = |header: &str| {
        let mut alice = Client::connect_to(server.plain(), &format!("localhost{header}")).unwrap();
        alice.features().unwrap();
        assert_eq!(alice.header().unwrap().lang.as_deref(), Some("en"));
        alice
            .authenticate(&Login::direct(server.plain(), "alice"))
            .unwrap();
        alice.open().unwrap();
        alice.features().unwrap();
        let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        assert_eq!(alice.ask("b", bind).unwrap().attr("type"), Some("result"));
        alice
    };
    let mut bob = online(&server, "bob");
    let mut german = speaks("' xml:lang='de-CH");
    german.say("bob@localhost", "m", "hallo").unwrap();
    assert_eq!(bob.message().unwrap().attr("xml:lang"), Some("de-CH"));
    german
        .send("<message to='bob@localhost' xml:lang='cs'><body>ahoj</body></message>")
        .unwrap();
    assert_eq!(bob.message().unwrap().attr("xml:lang"), Some("cs"));
    german.send("<presence to='bob@localhost'/>").unwrap();
    let presence = bob
        .expect("presence", |element| {
            element.name() == "presence"
                && element
                    .attr("from")
                    .is_some_and(|from| from.starts_with("alice@"))
        })
        .unwrap();
    assert_eq!(presence.attr("xml:lang"), Some("de-CH"));
    german.say("carol@localhost", "m", "hallo").unwrap();
    german.drain().unwrap();
    let carol = online(&server, "carol");
    assert_eq!(carol.kept[0].attr("xml:lang"), Some("de-CH"));

    // What is no language is none: the header of a stream does not make each of its stanzas as long as itself.
    let long = format!("' xml:lang='{}", "x".repeat(9_000));
    for header in ["", "' xml:lang='", "' xml:lang='a b", &long] {
        let mut alice = speaks(header);
        alice.say("bob@localhost", "m", "hm").unwrap();
        let message = bob.message().unwrap();
        assert_eq!(message.attr("xml:lang"), None, "{message}");
    }
}
