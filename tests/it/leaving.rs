//! An account is removed: its contacts hear of it, and nobody inherits them.

use serde_json::{Value, json};
use stanzad::xml::Element;

use crate::attacks::{ask, condition, ends_with, online, until};
use crate::harness::{Client, Server, Setup};

const ROSTER: &str = "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>";

/// Bob and carol, who is away, are contacts of alice; she asks dave to be one.
fn start() -> Server {
    let server = Setup::new().shipped_scripts().workers(4).start();
    server.users(&["alice", "bob", "carol", "dave"]);
    let both = json!({ "subscription": "both" });
    let alice = json!({ "alice@localhost": both });
    let others = json!({ "bob@localhost": both, "carol@localhost": both });
    for (user, record) in [("alice", &others), ("bob", &alice), ("carol", &alice)] {
        let jid = format!("{user}@localhost");
        let ended = server.ctl_with_input(&["roster", "import", &jid], &record.to_string());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    server
}

/// What `user` has of alice, as it is on disk.
fn subscription(server: &Server, user: &str) -> String {
    let ended = server.ctl(&["roster", "export", &format!("{user}@localhost")]);
    let record: Value = serde_json::from_str(&ended.stdout).unwrap();
    let contact = &record["alice@localhost"];
    let pending = contact["pending_requests"].to_string();
    let state = contact["subscription"].as_str().unwrap_or("none");
    match pending.contains("true") {
        true => format!("{state} {pending}"),
        false => state.to_owned(),
    }
}

fn hears(client: &mut Client, kind: Option<&str>, from: &str) {
    client
        .expect(&format!("presence {kind:?} from {from}"), |element| {
            element.name() == "presence"
                && element.attr("type") == kind
                && element.attr("from") == Some(from)
        })
        .unwrap();
}

fn contacts_hear(remove: impl FnOnce(&Server, &mut Client)) {
    let server = start();
    let mut bob = online(&server, "bob");
    let mut dave = online(&server, "dave");
    // Only who asks for its roster hears of subscriptions (RFC 6121 §2.2).
    for client in [&mut bob, &mut dave] {
        assert_eq!(ask(client, ROSTER).attr("type"), Some("result"));
    }
    let mut alice = online(&server, "alice");
    hears(&mut bob, None, "alice@localhost/desk");
    alice
        .send("<presence type='subscribe' to='dave@localhost'/>")
        .unwrap();
    hears(&mut dave, Some("subscribe"), "alice@localhost");

    remove(&server, &mut alice);
    assert_eq!(ends_with(&mut alice), "not-authorized");
    hears(&mut bob, Some("unavailable"), "alice@localhost/desk");
    let pushed = |element: &Element| {
        let query = element.child("query", "jabber:iq:roster");
        let item = query.and_then(|query| query.elements().next());
        item.is_some_and(|item| item.attr("subscription") == Some("none"))
    };
    bob.expect("a push", pushed).unwrap();
    hears(&mut dave, Some("unsubscribe"), "alice@localhost");
    for user in ["bob", "carol", "dave"] {
        until(user, || subscription(&server, user) == "none");
    }

    // Whoever has the name next is a stranger to them.
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let roster = ask(&mut alice, ROSTER);
    let query = roster.child("query", "jabber:iq:roster").unwrap();
    assert_eq!(query.elements().count(), 0, "{roster}");
    let last = "<iq type='get' id='q' to='bob@localhost'><query xmlns='jabber:iq:last'/></iq>";
    assert_eq!(condition(&ask(&mut alice, last)), "forbidden");
}

#[test]
fn contacts_hear_that_a_user_has_removed_its_account() {
    contacts_hear(|_, alice| {
        let remove =
            "<iq type='set' id='q'><query xmlns='jabber:iq:register'><remove/></query></iq>";
        assert_eq!(ask(alice, remove).attr("type"), Some("result"));
    });
}

#[test]
fn contacts_hear_that_the_operator_has_removed_a_user() {
    contacts_hear(|server, _| {
        let ended = server.ctl(&["user", "delete", "alice@localhost"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    });
}
