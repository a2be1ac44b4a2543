//! Rosters and presence as two people and their clients see them (RFC 6121 §2 to §4).

use stanzad::xml::Element;

use crate::harness::{Client, Login, Server, Setup};

const ROSTER: &str = "jabber:iq:roster";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

fn login(server: &Server, user: &str, resource: &str) -> Client {
    Client::login(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

fn online(server: &Server, user: &str, resource: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

/// Asks for the roster, so that pushes come; the query of the result.
fn roster(client: &mut Client) -> Option<Element> {
    let result = client
        .ask(
            "get",
            "<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>",
        )
        .unwrap();
    assert_eq!(result.attr("type"), Some("result"), "{result}");
    result.child("query", ROSTER).cloned()
}

fn contacts(query: &Element) -> Vec<(String, String)> {
    query
        .elements()
        .map(|item| {
            let attr = |name| item.attr(name).unwrap_or_default().to_owned();
            (attr("jid"), attr("subscription"))
        })
        .collect()
}

/// The item of the next push.
fn pushed(client: &mut Client) -> Element {
    let push = client
        .expect("a push", |element| {
            element.name() == "iq" && element.attr("type") == Some("set")
        })
        .unwrap();
    assert!(
        push.attr("from").is_none(),
        "a push is from the account's own server: {push}"
    );
    let query = push.child("query", ROSTER).unwrap();
    query.elements().next().unwrap().clone()
}

fn presence(client: &mut Client, kind: Option<&str>, from: &str) -> Element {
    let what = format!("presence {kind:?} from {from}");
    client
        .expect(&what, |element| {
            element.name() == "presence"
                && element.attr("type") == kind
                && element.attr("from") == Some(from)
        })
        .unwrap()
}

/// Everything that has come before the answer to a ping.
fn until_now(client: &mut Client) -> Vec<Element> {
    client
        .send("<iq type='get' id='now' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let element = client.expect("anything", |_| true).unwrap();
        if element.attr("id") == Some("now") {
            return seen;
        }
        seen.push(element);
    }
}

/// Makes the two see each other. They have asked for their rosters: only then they hear `subscribed` (RFC 6121 §3.1.6).
fn befriend(one: &mut Client, other: &mut Client) {
    roster(one);
    roster(other);
    let bare = |jid: &str| jid.split('/').next().unwrap().to_owned();
    let (a, b) = (bare(&one.jid), bare(&other.jid));
    let grant = |asks: &mut Client, answers: &mut Client, from: &str, to: &str| {
        asks.send(&format!("<presence type='subscribe' to='{to}'/>"))
            .unwrap();
        presence(answers, Some("subscribe"), from);
        answers
            .send(&format!("<presence type='subscribed' to='{from}'/>"))
            .unwrap();
        presence(asks, Some("subscribed"), to);
        presence(asks, None, &answers.jid.clone());
    };
    grant(one, other, &a, &b);
    grant(other, one, &b, &a);
}

#[test]
fn without_the_script_there_is_no_roster() {
    let server = Setup::new().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "desk");
    let answer = alice
        .ask(
            "get",
            "<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>",
        )
        .unwrap();
    assert_eq!(answer.attr("type"), Some("error"));
    let error = answer.child("error", answer.ns()).unwrap();
    assert!(
        error.child("service-unavailable", STANZAS).is_some(),
        "{answer}"
    );
}

#[test]
fn two_people_become_contacts_and_see_each_other_come_and_go() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice", "desk");
    let mut bob = online(&server, "bob", "phone");
    befriend(&mut alice, &mut bob);
    assert_eq!(
        contacts(&roster(&mut alice).unwrap()),
        [("bob@localhost".to_owned(), "both".to_owned())]
    );

    bob.send("<presence><show>away</show><status>tea</status></presence>")
        .unwrap();
    let away = presence(&mut alice, None, "bob@localhost/phone");
    assert_eq!(away.child("status", away.ns()).unwrap().text(), "tea");
    assert_eq!(away.attr("to"), Some("alice@localhost"));

    // A second resource sees who is there, with what they said last.
    let mut second = login(&server, "alice", "tablet");
    second.send("<presence/>").unwrap();
    let shown = presence(&mut second, None, "bob@localhost/phone");
    assert!(shown.child("status", shown.ns()).is_some());
    presence(&mut bob, None, "alice@localhost/tablet");

    // A connection that breaks says nothing; the server does.
    drop(second);
    presence(&mut bob, Some("unavailable"), "alice@localhost/tablet");
    alice
        .send("<presence type='unavailable'><status>bye</status></presence>")
        .unwrap();
    let gone = presence(&mut bob, Some("unavailable"), "alice@localhost/desk");
    assert!(gone.child("status", gone.ns()).is_some());
    // Said once, not again at the end of the stream.
    alice.close().unwrap();
    assert!(until_now(&mut bob).is_empty());
}

#[test]
fn a_request_waits_with_what_it_said_until_it_is_answered() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice", "desk");
    alice
        .send("<presence type='subscribe' to='bob@localhost'><status>croquet?</status></presence>")
        .unwrap();
    until_now(&mut alice);
    for _ in 0..2 {
        let mut bob = login(&server, "bob", "phone");
        let query = roster(&mut bob).unwrap();
        assert!(contacts(&query).is_empty(), "who only asks is no contact");
        bob.send("<presence/>").unwrap();
        let request = presence(&mut bob, Some("subscribe"), "alice@localhost");
        let status = request.child("status", request.ns()).unwrap();
        assert_eq!(status.text(), "croquet?");
        bob.close().unwrap();
    }
    let mut bob = online(&server, "bob", "phone");
    bob.send("<presence type='unsubscribed' to='alice@localhost'/>")
        .unwrap();
    until_now(&mut bob);
    bob.close().unwrap();
    let mut bob = online(&server, "bob", "phone");
    assert!(
        until_now(&mut bob)
            .iter()
            .all(|element| element.attr("type") != Some("subscribe"))
    );
}

#[test]
fn edits_reach_the_resources_that_have_asked_and_no_others() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice"]);
    let mut desk = online(&server, "alice", "desk");
    let mut phone = online(&server, "alice", "phone");
    let mut deaf = online(&server, "alice", "deaf");
    roster(&mut desk);
    roster(&mut phone);
    until_now(&mut deaf);
    let set = "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='hatter@tea.example' name='The Hatter'><group>Tea &amp; cake</group></item></query></iq>";
    let result = desk.ask("s", set).unwrap();
    assert_eq!(result.attr("type"), Some("result"));
    let item = pushed(&mut phone);
    assert_eq!(item.attr("name"), Some("The Hatter"));
    assert_eq!(item.elements().next().unwrap().text(), "Tea & cake");
    phone
        .ask("r", "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='hatter@tea.example' subscription='remove'/></query></iq>")
        .unwrap();
    let removed = desk
        .expect("a removal", |element| {
            element.to_string().contains("remove")
        })
        .unwrap();
    assert!(removed.to_string().contains("hatter@tea.example"));
    assert!(
        until_now(&mut deaf)
            .iter()
            .all(|element| element.name() != "iq")
    );
}

#[test]
fn a_roster_that_is_known_is_not_sent_again() {
    let server = Server::start();
    server.users(&["alice"]);
    let ask = |client: &mut Client, version: &str| {
        let xml =
            format!("<iq type='get' id='v'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>");
        let result = client.ask("v", &xml).unwrap();
        result
            .child("query", ROSTER)
            .map(|query| query.attr("ver").unwrap().to_owned())
    };
    let mut alice = online(&server, "alice", "desk");
    let add = |client: &mut Client, jid: &str| {
        let xml = format!(
            "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='{jid}'/></query></iq>"
        );
        client.ask("s", &xml).unwrap();
    };
    add(&mut alice, "one@x.example");
    let first = ask(&mut alice, "").unwrap();
    assert_eq!(ask(&mut alice, &first), None);
    add(&mut alice, "two@x.example");
    let second = ask(&mut alice, &first).unwrap();
    assert_ne!(first, second);
    alice.close().unwrap();
    let mut alice = online(&server, "alice", "desk");
    assert_eq!(
        ask(&mut alice, &second),
        None,
        "a version outlives the session"
    );
}

#[test]
fn bad_roster_sets_are_refused_with_their_reason() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "desk");
    let long = "x".repeat(2_000);
    for (items, condition) in [
        ("", "bad-request"),
        (
            "<item jid='a@x.example'/><item jid='b@x.example'/>",
            "bad-request",
        ),
        ("<item name='nobody'/>", "bad-request"),
        ("<item jid='@@'/>", "jid-malformed"),
        (
            "<item jid='a@x.example'><group>g</group><group>g</group></item>",
            "bad-request",
        ),
        ("<item jid='a@x.example'><group/></item>", "not-acceptable"),
        (
            &format!("<item jid='a@x.example' name='{long}'/>"),
            "not-acceptable",
        ),
        (
            "<item jid='a@x.example' subscription='remove'/>",
            "item-not-found",
        ),
        ("<item jid='alice@localhost'/>", "not-allowed"),
    ] {
        let xml =
            format!("<iq type='set' id='bad'><query xmlns='jabber:iq:roster'>{items}</query></iq>");
        let answer = alice.ask("bad", &xml).unwrap();
        assert_eq!(answer.attr("type"), Some("error"), "{items}");
        let error = answer.child("error", answer.ns()).unwrap();
        assert!(
            error.child(condition, STANZAS).is_some(),
            "{items}: {answer}"
        );
    }
    assert!(contacts(&roster(&mut alice).unwrap()).is_empty());
}

#[test]
fn directed_presence_is_taken_back_when_the_session_ends() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob", "phone");
    let mut alice = online(&server, "alice", "desk");
    alice
        .send("<presence to='bob@localhost'><status>only you</status></presence>")
        .unwrap();
    presence(&mut bob, None, "alice@localhost/desk");
    alice.send("<presence><show>dnd</show></presence>").unwrap();
    until_now(&mut alice);
    assert!(
        until_now(&mut bob).is_empty(),
        "a stranger hears no broadcast"
    );
    drop(alice);
    presence(&mut bob, Some("unavailable"), "alice@localhost/desk");

    // Taken back by the client itself: not again at the end.
    let mut alice = online(&server, "alice", "desk");
    alice
        .send("<presence to='bob@localhost'/><presence to='bob@localhost' type='unavailable'/>")
        .unwrap();
    presence(&mut bob, Some("unavailable"), "alice@localhost/desk");
    alice.close().unwrap();
    assert!(until_now(&mut bob).is_empty());
}

#[test]
fn a_session_that_takes_over_a_resource_takes_back_its_presence() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice", "desk");
    let mut bob = online(&server, "bob", "phone");
    befriend(&mut alice, &mut bob);
    // Bound, and no presence yet: the older session ends with `conflict`, and contacts still see the resource.
    let newer = login(&server, "alice", "desk");
    let conflict = alice
        .expect("its end", |element| element.name() == "error")
        .unwrap();
    assert!(conflict.to_string().contains("conflict"));
    drop(newer);
    presence(&mut bob, Some("unavailable"), "alice@localhost/desk");
}

#[test]
fn a_probe_tells_a_stranger_nothing() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice", "desk");
    let mut bob = online(&server, "bob", "phone");
    for nobody in ["bob@localhost", "nobody@localhost"] {
        alice
            .send(&format!("<presence type='probe' to='{nobody}'/>"))
            .unwrap();
    }
    // The answer, `unsubscribed`, ends a subscription that only alice's side believes in; there is none.
    assert!(until_now(&mut alice).is_empty());
    assert!(
        until_now(&mut bob).is_empty(),
        "a probe is the server's business"
    );
    befriend(&mut alice, &mut bob);
    alice
        .send("<presence type='probe' to='bob@localhost'/>")
        .unwrap();
    presence(&mut alice, None, "bob@localhost/phone");
    bob.close().unwrap();
    presence(&mut alice, Some("unavailable"), "bob@localhost/phone");
    alice
        .send("<presence type='probe' to='bob@localhost'/>")
        .unwrap();
    presence(&mut alice, Some("unavailable"), "bob@localhost");
}

#[test]
fn a_subscription_to_nobody_changes_nothing_there() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "desk");
    roster(&mut alice);
    alice
        .send("<presence type='subscribe' to='nobody@localhost'/>")
        .unwrap();
    assert_eq!(pushed(&mut alice).attr("ask"), Some("subscribe"));
    assert!(
        until_now(&mut alice).is_empty(),
        "whether somebody is a user stays unsaid"
    );
    server.users(&["nobody"]);
    let mut nobody = online(&server, "nobody", "desk");
    assert!(
        until_now(&mut nobody)
            .iter()
            .all(|element| element.attr("type") != Some("subscribe"))
    );
}

#[test]
fn requests_are_granted_without_asking_where_the_operator_says_so() {
    let setup = Setup::new().shipped_scripts();
    let script = setup.scripts().join("msys/xmpp/presence.lua");
    let text = std::fs::read_to_string(&script).unwrap();
    let rule = "  return jid.new(owner):domain() == jid.new(contact):domain()\n";
    let manual = include_str!("../../docs/scripting.md");
    assert!(manual.contains(rule), "the manual shows this rule");
    let edited = text.replacen("  return false\n", rule, 1);
    assert_ne!(text, edited);
    std::fs::write(&script, edited).unwrap();
    let server = setup.start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob", "phone");
    roster(&mut bob);
    let mut alice = online(&server, "alice", "desk");
    roster(&mut alice);
    alice
        .send("<presence type='subscribe' to='bob@localhost'/>")
        .unwrap();
    presence(&mut alice, Some("subscribed"), "bob@localhost");
    presence(&mut alice, None, "bob@localhost/phone");
    let seen = until_now(&mut bob);
    assert!(
        seen.iter()
            .all(|element| element.attr("type") != Some("subscribe")),
        "nobody asks bob"
    );
    let item = seen
        .iter()
        .filter_map(|push| push.child("query", ROSTER))
        .next_back();
    let item = item.and_then(|query| query.elements().next()).unwrap();
    assert_eq!(item.attr("subscription"), Some("from"), "{item}");
}

/// How often the script has been called, on all workers.
fn calls(server: &Server, script: &str) -> u64 {
    let told = server.ctl(&["script", "list", "--json"]);
    let scripts: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let scripts = scripts.as_array().or(scripts["scripts"].as_array());
    let rows = scripts.unwrap_or_else(|| panic!("{}", told.stdout));
    let row = rows.iter().find(|row| row["name"] == script).unwrap();
    row["calls"].as_u64().unwrap()
}

#[test]
fn a_change_enters_lua_once_however_many_contacts_there_are() {
    const CONTACTS: usize = 1_000;
    const CHANGES: usize = 5;
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob", "carol"]);
    let mut roster = serde_json::Map::new();
    for n in 0..CONTACTS {
        let jid = match n {
            0 => "bob@localhost".to_owned(),
            1 => "carol@localhost".to_owned(),
            n => format!("contact{n}@localhost"),
        };
        roster.insert(jid, serde_json::json!({ "subscription": "from" }));
    }
    let roster = serde_json::Value::Object(roster).to_string();
    let ended = server.ctl_with_input(&["roster", "import", "alice@localhost", "-"], &roster);
    assert_eq!(ended.code, Some(0), "{}", ended.message());
    let mut contacts = [
        online(&server, "bob", "phone"),
        online(&server, "carol", "desk"),
    ];
    let mut alice = online(&server, "alice", "desk");
    for contact in &mut contacts {
        presence(contact, None, "alice@localhost/desk");
    }
    let before = calls(&server, "xmpp-presence");
    for n in 0..CHANGES {
        alice
            .send(&format!("<presence><status>{n}</status></presence>"))
            .unwrap();
    }
    for contact in &mut contacts {
        for n in 0..CHANGES {
            let heard = presence(contact, None, "alice@localhost/desk");
            let status = heard.child("status", heard.ns()).unwrap();
            assert_eq!(status.text(), n.to_string(), "in order, each once");
        }
    }
    assert_eq!(calls(&server, "xmpp-presence") - before, CHANGES as u64);
}
