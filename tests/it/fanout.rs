//! Lists: everybody gets a message once, and nobody else's errors.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use stanzad::xml::Element;

use crate::harness::{Client, Login, Mechanism, Server, Setup};

const MEMBERS: usize = 200;
/// The members from this one on are away.
const AWAY: usize = 120;
const MESSAGES: usize = 3;

fn login(server: &Server, user: &str) -> Login {
    Login::direct(server.direct(), user).mechanism(Mechanism::Plain)
}

fn online(server: &Server, user: &str) -> Client {
    Client::online(&login(server, user)).unwrap()
}

fn body(message: &Element) -> String {
    let body = message.child("body", message.ns());
    body.unwrap_or_else(|| panic!("no body: {message}"))
        .text()
        .into_owned()
}

/// Starts a daemon on four workers whose lists are these.
fn serving(lists: &str) -> Server {
    let setup = Setup::new().workers(4).shipped_scripts();
    fs::write(setup.scripts().join("fanout.lua"), script(lists)).unwrap();
    setup.start()
}

fn script(lists: &str) -> String {
    format!("require(\"msys.fanout\").serve {{ {lists} }}\n")
}

/// The next messages of a list, with those that had been kept for the client.
fn from_list(client: &mut Client, list: &str, count: usize) -> Vec<String> {
    let mut messages = std::mem::take(&mut client.kept);
    while messages.len() < count {
        messages.push(client.message().unwrap());
    }
    for message in &messages {
        assert_eq!(message.attr("from"), Some(list), "{message}");
    }
    messages.iter().map(body).collect()
}

#[test]
fn two_hundred_members_get_each_message_once_and_in_order() {
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("m{number}")).collect();
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}@localhost\""))
        .collect();
    let (half, rest) = quoted.split_at(MEMBERS / 2);
    // The second list holds some of the first once more, and each holds the other.
    let server = serving(&format!(
        "[\"all@localhost\"] = {{ members = {{ \"half@localhost\", {}, {} }} }}, [\"half@localhost\"] = {{ members = {{ {}, \"all@localhost\" }} }}",
        rest.join(", "),
        half[..10].join(", "),
        half.join(", ")
    ));
    server.users(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut there: BTreeMap<usize, Client> = (0..AWAY)
        .map(|number| (number, online(&server, &names[number])))
        .collect();
    let writer = there.get_mut(&0).unwrap();
    for number in 0..MESSAGES {
        writer
            .say("all@localhost", &format!("id{number}"), &number.to_string())
            .unwrap();
    }
    assert!(
        writer.drain().unwrap().is_empty(),
        "the writer hears nothing"
    );
    let expected: Vec<String> = (0..MESSAGES)
        .map(|number| format!("m0: {number}"))
        .collect();
    for (number, name) in names.iter().enumerate().skip(1) {
        let mut client = there
            .remove(&number)
            .unwrap_or_else(|| online(&server, name));
        assert_eq!(
            from_list(&mut client, "all@localhost", MESSAGES),
            expected,
            "{name}"
        );
        // Whatever came twice would be here by now.
        assert!(client.drain().unwrap().is_empty(), "{name} heard more");
    }
}

#[test]
fn a_list_refuses_strangers_and_swallows_what_comes_back() {
    let server = serving(
        "[\"team@localhost\"] = { members = { \"alice@localhost\", \"bob@localhost\", \"ghost@localhost\", \"bot@localhost\" } }",
    );
    server.users(&["alice", "bob", "eve"]);
    let (mut alice, mut bob, mut eve) = (
        online(&server, "alice"),
        online(&server, "bob"),
        online(&server, "eve"),
    );
    eve.say("team@localhost", "e1", "buy").unwrap();
    let refusal = eve.message().unwrap();
    assert_eq!(
        (refusal.attr("type"), refusal.attr("id")),
        (Some("error"), Some("e1"))
    );
    let text = refusal.to_string();
    assert!(
        text.contains("forbidden") && text.contains("You may not write to team@localhost."),
        "{text}"
    );

    // A list is no stranger to who may write to it, and one to who may not.
    for (client, wanted) in [(&mut eve, "unsubscribed"), (&mut bob, "subscribed")] {
        // Who has asked for the roster hears about subscriptions.
        client
            .ask(
                "roster",
                "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
            )
            .unwrap();
        client
            .send("<presence type='subscribe' to='team@localhost'/>")
            .unwrap();
        let answer = client.expect("the list's answer", |element| {
            element.name() == "presence" && element.attr("from") == Some("team@localhost")
        });
        assert_eq!(answer.unwrap().attr("type"), Some(wanted));
    }
    let place = server.log().place();
    alice
        .send("<message to='team@localhost' type='chat' id='a1'><body>hi</body><request xmlns='urn:xmpp:receipts'/></message>")
        .unwrap();
    let heard = bob.message().unwrap();
    assert_eq!(body(&heard), "alice: hi");
    assert!(
        heard.child("request", "urn:xmpp:receipts").is_none(),
        "{heard}"
    );
    let addresses = heard
        .child("addresses", "http://jabber.org/protocol/address")
        .unwrap();
    let writer = addresses.elements().next().unwrap();
    assert_eq!(
        (writer.attr("type"), writer.attr("jid")),
        (Some("ofrom"), Some("alice@localhost"))
    );
    // A member's error and a member's chat state go nowhere either.
    bob.send("<message to='team@localhost' type='error' id='a1'><error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>").unwrap();
    server.log().wait_from(place, "a word about bob", |line| {
        line.contains("team@localhost does not reach bob@localhost")
    });
    bob.send("<message to='team@localhost' type='chat'><received xmlns='urn:xmpp:receipts' id='a1'/></message>").unwrap();
    bob.say("team@localhost", "b1", "hello").unwrap();
    assert_eq!(
        body(&alice.message().unwrap()),
        "bob: hello",
        "the first thing alice hears"
    );
    for client in [&mut alice, &mut bob, &mut eve] {
        let more = client.drain().unwrap();
        assert!(more.is_empty(), "{more:?}");
    }
}

#[test]
fn a_list_is_there_with_the_save() {
    let server = serving("");
    server.users(&["alice", "bob"]);
    let (mut alice, mut bob) = (online(&server, "alice"), online(&server, "bob"));
    alice.say("team@localhost", "a1", "hi").unwrap();
    assert_eq!(alice.message().unwrap().attr("type"), Some("error"));
    let save = |lists: &str, wanted: &str| {
        let place = server.log().place();
        fs::write(server.setup().scripts().join("fanout.lua"), script(lists)).unwrap();
        server
            .log()
            .wait_from(place, wanted, |line| line.contains(wanted));
    };
    save(
        "[\"team@localhost\"] = { members = { \"bob@localhost\" }, senders = \"local\" }",
        " live on 4 workers, ",
    );
    alice.say("team@localhost", "a2", "hi").unwrap();
    assert_eq!(body(&bob.message().unwrap()), "alice: hi");
    // A mistake changes nothing.
    save(
        "[\"team@localhost\"] = { members = { \"bob\" } }",
        "bob is no address",
    );
    alice.say("team@localhost", "a3", "still").unwrap();
    assert_eq!(body(&bob.message().unwrap()), "alice: still");
    assert!(
        alice
            .next_within(Duration::from_millis(1))
            .unwrap()
            .is_none()
    );
}
