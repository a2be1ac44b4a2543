//! Messages that wait are delivered, or go back to their senders once: by the operator, by time, and whenever the server is killed.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use stanzad::xml::Element;

use crate::attacks::condition;
use crate::console::{json, online};
use crate::harness::{Client, Login, PATIENCE, Server, Setup};

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// Alice says each to bob, who is away.
fn keep(server: &Server, ids: &[&str]) -> Client {
    let mut alice = online(server, "alice");
    for id in ids {
        alice
            .say("bob@localhost", id, &format!("text of {id}"))
            .unwrap();
    }
    assert!(alice.drain().unwrap().is_empty());
    alice
}

fn ids(messages: &[Element]) -> Vec<&str> {
    let ids = messages.iter().map(|message| message.attr("id").unwrap());
    ids.collect()
}

/// The text of an error that says `service-unavailable`.
fn said(error: &Element) -> String {
    assert_eq!(condition(error), "service-unavailable");
    let error = error.child("error", error.ns()).unwrap();
    error.child("text", STANZAS).unwrap().text().into_owned()
}

/// Until nothing waits for anybody: rows go when they have been written, which is a moment later.
fn until_nothing_waits(server: &Server) {
    let until = Instant::now() + PATIENCE;
    while json(server, &["queue", "list"]).as_array().unwrap() != &[] as &[serde_json::Value] {
        assert!(
            Instant::now() < until,
            "{}",
            server.ctl(&["queue", "list"]).stdout
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_the_operator_gives_up_goes_back_once_with_the_reason() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = keep(&server, &["one", "two", "three"]);
    let rows = json(&server, &["queue", "list", "bob@localhost"]);
    let two = rows[1]["id"].to_string();
    let given = json(
        &server,
        &["queue", "bounce", &two, "--reason", "bob has moved"],
    );
    assert_eq!(
        (&given["owner"], &given["bounced"], &given["underway"]),
        (&"bob@localhost".into(), &1.into(), &0.into())
    );
    let error = alice.message().unwrap();
    assert_eq!(error.attr("id"), Some("two"));
    assert_eq!(error.attr("from"), Some("bob@localhost"));
    assert_eq!(said(&error), "bob has moved");
    let twice = server.ctl(&["queue", "bounce", &two]);
    assert_eq!(twice.code, Some(1));
    assert!(twice.stderr.contains("nothing waits"), "{}", twice.stderr);

    let given = json(&server, &["queue", "bounce", "bob@localhost"]);
    assert_eq!(given["bounced"], 2);
    let rest = [alice.message().unwrap(), alice.message().unwrap()];
    assert_eq!(ids(&rest), ["one", "three"]);
    assert!(said(&rest[0]).contains("operator"));
    assert!(alice.drain().unwrap().is_empty());
    assert!(online(&server, "bob").kept.is_empty());
    until_nothing_waits(&server);
    let none = server.ctl(&["queue", "bounce", "bob@localhost"]);
    assert_eq!(none.code, Some(1));
    let long = server.ctl(&["queue", "bounce", "bob@localhost", "--reason", "a\nb"]);
    assert!(long.stderr.contains("cannot be sent"), "{}", long.stderr);
}

#[test]
fn a_sender_is_told_once_whenever_the_server_is_killed() {
    let mut server = Server::start();
    server.users(&["alice", "bob"]);
    keep(&server, &["one", "two"]).close().unwrap();
    server.kill();
    server.restart();
    let rows = json(&server, &["queue", "list", "bob@localhost"]);
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows:#}");
    let given = json(&server, &["queue", "bounce", "bob@localhost"]);
    assert_eq!(given["bounced"], 2);
    server.kill();
    server.restart();
    // Nobody was there to hear it: the errors wait, and the messages are gone.
    let owed = json(&server, &["queue", "list"]);
    assert_eq!(owed[0]["owner"], "alice@localhost");
    assert_eq!(
        (owed[0]["messages"].as_u64(), owed[1].is_null()),
        (Some(2), true)
    );
    assert!(online(&server, "bob").kept.is_empty());
    let alice = online(&server, "alice");
    assert_eq!(ids(&alice.kept), ["one", "two"]);
    assert_eq!(condition(&alice.kept[0]), "service-unavailable");
    alice.close().unwrap();
    until_nothing_waits(&server);
    server.kill();
    server.restart();
    assert!(online(&server, "alice").kept.is_empty());
}

#[test]
fn what_expires_goes_back_to_its_sender() {
    let setup = Setup::new().shipped_scripts();
    let server = setup.config("offline_expiration = 1\n").start();
    server.users(&["alice", "bob"]);
    let mut alice = keep(&server, &["one", "two"]);
    alice
        .send("<message to='bob@localhost' type='headline' id='news'><body>n</body></message>")
        .unwrap();
    let errors = [alice.message().unwrap(), alice.message().unwrap()];
    assert_eq!(ids(&errors), ["one", "two"]);
    assert!(said(&errors[0]).contains("before its time was over"));
    assert!(alice.drain().unwrap().is_empty());
    assert!(online(&server, "bob").kept.is_empty());
    until_nothing_waits(&server);
    let summary = json(&server, &["summary"]);
    assert_eq!(summary["counters"]["bounced"], 2);
}

#[test]
fn what_expires_while_the_server_is_down_goes_back_at_its_start() {
    let setup = Setup::new().shipped_scripts();
    let times = setup.directory().join("times.conf");
    fs::write(&times, "offline_expiration = 1\n").unwrap();
    let mut server = setup.config("include \"times.conf\"\n").start();
    server.users(&["alice", "bob"]);
    let alice = keep(&server, &["one"]);
    server.kill();
    drop(alice);
    // Its second passes, and nobody is there who could tell.
    std::thread::sleep(Duration::from_millis(1_100));
    fs::write(&times, "offline_expiration = 3600\n").unwrap();
    server.restart();
    let until = Instant::now() + PATIENCE;
    while json(&server, &["queue", "list"])[0]["owner"] != "alice@localhost" {
        assert!(Instant::now() < until, "the message did not go back");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(online(&server, "bob").kept.is_empty());
    let alice = online(&server, "alice");
    assert_eq!(ids(&alice.kept), ["one"]);
    assert!(said(&alice.kept[0]).contains("before its time was over"));
}

#[test]
fn a_retry_says_why_messages_wait() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let nothing = server.ctl(&["queue", "retry", "bob@localhost"]);
    assert_eq!(nothing.code, Some(1));
    let _alice = keep(&server, &["one", "two"]);
    let tried = json(&server, &["queue", "retry", "bob@localhost"]);
    assert_eq!((&tried["waits"], &tried["given"]), (&2.into(), &0.into()));
    assert_eq!(tried["why"], "the user is not logged in");
    assert!(tried["session"].is_null());

    let mut bob = Client::login(&Login::direct(server.direct(), "bob")).unwrap();
    bob.send("<presence><priority>-1</priority></presence>")
        .unwrap();
    bob.drain().unwrap();
    let rows = json(&server, &["queue", "list", "bob@localhost"]);
    let text = server.ctl(&["queue", "retry", &rows[1]["id"].to_string()]);
    assert_eq!(text.code, Some(0));
    assert!(
        text.stdout.contains("no session takes messages"),
        "{}",
        text.stdout
    );
    bob.send("<presence/>").unwrap();
    let got = [bob.message().unwrap(), bob.message().unwrap()];
    assert_eq!(ids(&got), ["one", "two"]);
    until_nothing_waits(&server);
    for what in ["localhost", "bob@localhost/desk", "planet:mars"] {
        let wrong = server.ctl(&["queue", "retry", what]);
        assert_eq!(wrong.code, Some(1));
        assert!(wrong.stderr.contains("names no queue"), "{}", wrong.stderr);
    }
    let unserved = server.ctl(&["queue", "bounce", "domain:example.net"]);
    assert!(
        unserved.stderr.contains("does not serve"),
        "{}",
        unserved.stderr
    );
}

/// Bob has begun to fetch and does not read: what he is being given is his, the rest goes back, and nothing does both.
#[test]
fn what_is_being_delivered_is_not_given_back() {
    // More than the sockets' buffers and an outbox take, less than a quota.
    const MESSAGES: usize = 150;
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let body = "x".repeat(100_000);
    for n in 0..MESSAGES {
        alice.say("bob@localhost", &n.to_string(), &body).unwrap();
    }
    assert!(alice.drain().unwrap().is_empty());
    let mut bob = Client::login(&Login::direct(server.direct(), "bob")).unwrap();
    bob.send("<presence/>").unwrap();
    let first = bob.message().unwrap();
    let given = json(&server, &["queue", "bounce", "bob@localhost"]);
    let count = |key: &str| given[key].as_u64().unwrap();
    assert!(count("underway") > 0 && count("bounced") > 0, "{given:#}");

    let back: BTreeSet<String> = (0..count("bounced"))
        .map(|_| alice.message().unwrap().attr("id").unwrap().to_owned())
        .collect();
    let mut got = BTreeSet::from([first.attr("id").unwrap().to_owned()]);
    while got.len() + back.len() < MESSAGES {
        got.insert(bob.message().unwrap().attr("id").unwrap().to_owned());
    }
    assert!(got.is_disjoint(&back), "delivered and given back");
    assert!(bob.drain().unwrap().is_empty() && alice.drain().unwrap().is_empty());
    until_nothing_waits(&server);
}
