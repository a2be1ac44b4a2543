//! Components (XEP-0114).

use super::*;
use crate::sasl::handshake;
use crate::xml::COMPONENT_NS;

const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' to='gw.example.org'>";

fn clear() -> Stream {
    stream(StartTls::Required, &Mechanism::ALL, false)
}

fn id(said: &str) -> String {
    let (_, behind) = said.split_once(" id='").unwrap();
    behind.split_once('\'').unwrap().0.to_owned()
}

fn proof(id: &str, secret: &str) -> String {
    format!(
        "<handshake>{}</handshake>",
        handshake(id, secret.as_bytes())
    )
}

#[test]
fn a_component_shakes_hands() {
    let mut stream = clear();
    let said = stream.say(OPEN);
    let id = id(&said);
    assert_eq!(
        said,
        format!(
            "<?xml version='1.0'?><stream:stream xmlns='{COMPONENT_NS}' \
             xmlns:stream='http://etherx.jabber.org/streams' id='{id}' from='gw.example.org'>"
        )
    );
    assert_eq!(stream.say(&proof(&id, "hush")), "<handshake/>");
    assert_eq!(stream.over, Some(Over::Attached("gw.example.org".into())));
    assert_eq!(stream.asked, ["attach gw.example.org"]);
}

#[test]
fn t55_without_the_secret_nobody_is_a_component() {
    for wrong in [
        "<handshake/>".to_owned(),
        "<handshake>hush</handshake>".to_owned(),
        "<handshake xmlns='jabber:client'>x</handshake>".to_owned(),
        proof("", "hush"),
        proof("another id", "hush"),
    ] {
        let mut stream = clear();
        stream.say(OPEN);
        let said = stream.say(&wrong);
        assert_refused(&stream, &said, StreamCondition::NotAuthorized);
        assert!(stream.asked.is_empty());
    }
    let mut stream = clear();
    let id = id(&stream.say(OPEN));
    let said = stream.say(&proof(&id, "hush!"));
    assert_refused(&stream, &said, StreamCondition::NotAuthorized);
    let failed = stream.negotiation.take_failed_login().unwrap();
    assert_eq!(failed.user, Some(Jid::new("gw.example.org").unwrap()));
}

#[test]
fn t17_nothing_but_a_handshake_is_taken_from_a_component_before_it() {
    for early in [
        "<message from='gw.example.org' to='anna@example.org'><body>x</body></message>",
        "<stream:features/>",
        STARTTLS,
        BIND,
        &plain("\0anna\0secret"),
    ] {
        let mut stream = clear();
        stream.say(OPEN);
        let said = stream.say(early);
        assert_refused(&stream, &said, StreamCondition::NotAuthorized);
        assert!(stream.asked.is_empty(), "{:?}", stream.asked);
    }
}

#[test]
fn components_connect_where_they_may() {
    let open = |components: Components, encrypted: bool| {
        let mut stream = stream(StartTls::Offered, &Mechanism::ALL, encrypted);
        stream.negotiation.rules.components = components;
        let said = stream.say(OPEN);
        assert!(said.contains(COMPONENT_NS), "{said}");
        (stream, said)
    };
    for (components, encrypted) in [
        (Components::Here, false),
        (Components::Here, true),
        (Components::Encrypted, true),
    ] {
        let (mut stream, said) = open(components, encrypted);
        assert_eq!(stream.say(&proof(&id(&said), "hush")), "<handshake/>");
    }
    let (stream, said) = open(Components::Encrypted, false);
    assert_refused(&stream, &said, StreamCondition::PolicyViolation);
    for encrypted in [false, true] {
        let (stream, said) = open(Components::Nowhere, encrypted);
        assert_refused(&stream, &said, StreamCondition::InvalidNamespace);
    }
}

#[test]
fn t56_domains_that_are_no_components_are_unknown() {
    for (to, told) in [
        ("to='example.org'", StreamCondition::HostUnknown),
        ("to='x.gw.example.org'", StreamCondition::HostUnknown),
        ("to='a@gw.example.org'", StreamCondition::ImproperAddressing),
        ("to='gw.example.org/x'", StreamCondition::ImproperAddressing),
        ("to=''", StreamCondition::ImproperAddressing),
        ("", StreamCondition::ImproperAddressing),
    ] {
        let mut stream = clear();
        let said = stream.say(&OPEN.replace("to='gw.example.org'", to));
        assert_refused(&stream, &said, told);
    }
    let mut stream = clear();
    let said = stream.say(&OPEN.replace("gw.example", "GW.Example"));
    assert!(said.ends_with(" from='gw.example.org'>"), "{said}");
}

#[test]
fn t18_a_login_does_not_become_a_component() {
    let mut stream = secure();
    stream.say(HEADER);
    assert_eq!(stream.say(&plain("\0anna\0secret")), success());
    let said = stream.say(OPEN);
    assert_refused(&stream, &said, StreamCondition::InvalidNamespace);
}
