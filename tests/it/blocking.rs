//! Whom a user does not want to hear from (XEP-0191), with 4 workers: sessions of one user land on different ones.

use std::thread;

use stanzad::xml::Element;

use crate::attacks::{ask, condition, online};
use crate::harness::{Client, Login, PATIENCE, Server, Setup};

const NS: &str = "urn:xmpp:blocking";
const ERRORS: &str = "urn:xmpp:blocking:errors";
const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

/// Messages that are under way while the block is made.
const FLOOD: usize = 400;
/// How often that race is run.
const RACES: usize = 5;

fn start(users: &[&str]) -> Server {
    let server = Setup::new().workers(4).start();
    server.users(users);
    server
}

/// `user` at another resource than `online` gives.
fn at(server: &Server, user: &str, resource: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

/// Sends a request of XEP-0191 and gives its answer; what came before it is thrown away.
fn request(client: &mut Client, type_: &str, name: &str, jids: &[&str]) -> Element {
    let items: String = jids
        .iter()
        .map(|jid| format!("<item jid='{jid}'/>"))
        .collect();
    ask(
        client,
        &format!("<iq type='{type_}' id='q'><{name} xmlns='{NS}'>{items}</{name}></iq>"),
    )
}

fn set(client: &mut Client, name: &str, jids: &[&str]) {
    let answer = request(client, "set", name, jids);
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    assert!(answer.elements().next().is_none(), "{answer}");
}

fn items(list: &Element) -> Vec<&str> {
    let items = list.elements().filter(|item| item.is("item", NS));
    items.filter_map(|item| item.attr("jid")).collect()
}

/// The block list; the session hears of its changes from here on.
fn list(client: &mut Client) -> Vec<String> {
    let answer = request(client, "get", "blocklist", &[]);
    let list = answer.child("blocklist", NS).unwrap();
    items(list).into_iter().map(str::to_owned).collect()
}

/// Everything that the server had sent when it answered a ping.
fn heard(client: &mut Client) -> Vec<Element> {
    client
        .send(&format!("<iq type='get' id='fence'>{PING}</iq>"))
        .unwrap();
    let mut heard = Vec::new();
    loop {
        let element = client.expect("answer to a ping", |_| true).unwrap();
        if element.attr("id") == Some("fence") {
            return heard;
        }
        heard.push(element);
    }
}

/// The push that a session gets.
fn push(client: &mut Client) -> Element {
    client
        .expect("push", |element| {
            element.name() == "iq"
                && element.attr("type") == Some("set")
                && element.elements().any(|child| child.ns() == NS)
        })
        .unwrap()
}

/// A message to `to`, and the error that answers it.
fn refused(client: &mut Client, to: &str) -> Element {
    client.say(to, "refused", "are you there?").unwrap();
    client
        .expect("error", |element| element.attr("id") == Some("refused"))
        .unwrap()
}

/// What `client` hears that tries everything on `user`, with the user's name left out.
fn tries(client: &mut Client, user: &str) -> Vec<String> {
    let mut tried = String::new();
    for to in [
        format!("{user}@localhost"),
        format!("{user}@localhost/desk"),
    ] {
        for type_ in ["chat", "normal", "groupchat", "headline", "error"] {
            tried +=
                &format!("<message id='{type_}' type='{type_}' to='{to}'><body>?</body></message>");
        }
        for type_ in [
            "probe",
            "subscribe",
            "subscribed",
            "unsubscribed",
            "unavailable",
        ] {
            tried += &format!("<presence type='{type_}' to='{to}'/>");
        }
        tried += &format!("<presence to='{to}'/><iq type='result' id='r' to='{to}'/>");
        for payload in [
            PING,
            "<vCard xmlns='vcard-temp'/>",
            "<query xmlns='jabber:iq:last'/>",
            "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        ] {
            tried += &format!("<iq type='get' id='i' to='{to}'>{payload}</iq>");
        }
    }
    client.send(&tried).unwrap();
    let answers = heard(client);
    let answers = answers.iter().map(Element::to_string);
    answers.map(|text| text.replace(user, "USER")).collect()
}

/// T48: the answers to somebody who is blocked are those that somebody gets who asks for a user that does not exist, byte by
/// byte, whether the owner is there or not.
#[test]
fn t48_who_is_blocked_hears_what_is_heard_of_nobody() {
    let server = start(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let card = "<iq type='set' id='q'><vCard xmlns='vcard-temp'><FN>Alice</FN></vCard></iq>";
    assert_eq!(ask(&mut alice, card).attr("type"), Some("result"));
    set(&mut alice, "block", &["bob@localhost"]);
    let mut bob = online(&server, "bob");
    let nobody = tries(&mut bob, "nobody");
    assert!(nobody.len() > 8, "{nobody:#?}");
    assert_eq!(tries(&mut bob, "alice"), nobody);
    let came = heard(&mut alice);
    assert!(came.is_empty(), "{came:?}");
    alice.close().unwrap();
    assert_eq!(tries(&mut bob, "alice"), nobody);
    assert!(online(&server, "alice").kept.is_empty());
}

#[test]
fn who_is_blocked_finds_nobody_there() {
    let server = start(&["alice", "bob"]);
    let mut bob = online(&server, "bob");
    {
        let mut alice = online(&server, "alice");
        set(&mut alice, "block", &["bob@localhost"]);
        for to in ["alice@localhost", "alice@localhost/desk"] {
            assert_eq!(condition(&refused(&mut bob, to)), "service-unavailable");
            let answer = ask(
                &mut bob,
                &format!("<iq type='get' id='q' to='{to}'>{PING}</iq>"),
            );
            assert_eq!(condition(&answer), "service-unavailable");
            for type_ in [
                "",
                " type='subscribe'",
                " type='probe'",
                " type='unavailable'",
            ] {
                bob.send(&format!("<presence to='{to}'{type_}/>")).unwrap();
            }
            // An answer that nobody asked for.
            bob.send(&format!("<iq type='result' id='r' to='{to}'/>"))
                .unwrap();
        }
        assert!(heard(&mut bob).is_empty(), "presence is never answered");
        let came = heard(&mut alice);
        assert!(came.is_empty(), "{came:?}");
        alice.close().unwrap();
    }
    // Away, and after a restart: nothing is kept for her either.
    assert_eq!(
        condition(&refused(&mut bob, "alice@localhost")),
        "service-unavailable"
    );
    drop(bob);
    let mut server = server;
    server.kill();
    server.restart();
    let mut bob = online(&server, "bob");
    assert_eq!(
        condition(&refused(&mut bob, "alice@localhost")),
        "service-unavailable"
    );
    bob.send("<presence to='alice@localhost' type='subscribe'/>")
        .unwrap();
    assert!(heard(&mut bob).is_empty());
    let mut alice = online(&server, "alice");
    assert!(alice.kept.is_empty(), "{:?}", alice.kept);
    assert_eq!(list(&mut alice), ["bob@localhost"]);
    set(&mut alice, "unblock", &["bob@localhost"]);
    bob.say("alice@localhost", "m", "at last").unwrap();
    assert_eq!(alice.message().unwrap().attr("id"), Some("m"));
}

#[test]
fn a_user_cannot_write_to_whom_it_blocks() {
    let server = start(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    set(&mut alice, "block", &["bob@localhost/desk", "example.org"]);
    for to in [
        "bob@localhost/desk",
        "carol@example.org",
        "example.org/echo",
    ] {
        let kinds = [
            format!("<message id='q' to='{to}'><body>hi</body></message>"),
            format!("<presence id='q' to='{to}'/>"),
            format!("<iq type='get' id='q' to='{to}'>{PING}</iq>"),
        ];
        for stanza in kinds {
            alice.send(&stanza).unwrap();
            let answer = alice
                .expect("error", |element| element.attr("id") == Some("q"))
                .unwrap();
            assert_eq!(answer.attr("from"), Some(to));
            assert_eq!(condition(&answer), "not-acceptable");
            let error = answer.child("error", answer.ns()).unwrap();
            assert_eq!(error.attr("type"), Some("cancel"));
            assert!(error.child("blocked", ERRORS).is_some(), "{answer}");
        }
    }
    // An entry with a resource is about that resource alone.
    alice.say("bob@localhost", "m", "hi").unwrap();
    assert_eq!(bob.message().unwrap().attr("id"), Some("m"));
}

#[test]
fn ones_own_sessions_and_server_cannot_be_blocked_out() {
    let server = start(&["alice", "bob"]);
    let mut desk = online(&server, "alice");
    let mut phone = at(&server, "alice", "phone");
    let mut bob = online(&server, "bob");
    set(
        &mut desk,
        "block",
        &["localhost", "alice@localhost", "alice@localhost/phone"],
    );
    phone.say("alice@localhost/desk", "m", "to myself").unwrap();
    assert_eq!(desk.message().unwrap().attr("id"), Some("m"));
    desk.say("alice@localhost/phone", "n", "to myself").unwrap();
    assert_eq!(phone.message().unwrap().attr("id"), Some("n"));
    let pong = ask(
        &mut desk,
        &format!("<iq type='get' id='q' to='localhost'>{PING}</iq>"),
    );
    assert_eq!(pong.attr("type"), Some("result"), "{pong}");
    // Everybody else there is blocked with the domain.
    let answer = refused(&mut bob, "alice@localhost/desk");
    assert_eq!(condition(&answer), "service-unavailable");
}

#[test]
fn changes_are_pushed_to_those_who_asked_for_the_list() {
    let server = start(&["alice"]);
    let mut desk = online(&server, "alice");
    let mut phone = at(&server, "alice", "phone");
    let mut watch = at(&server, "alice", "watch");
    assert!(list(&mut desk).is_empty());
    assert!(list(&mut phone).is_empty());
    let both = ["bob@localhost", "spam.example"];
    set(&mut watch, "block", &["BOB@localhost", "spam.example."]);
    set(&mut desk, "unblock", &both[..1]);
    set(&mut desk, "unblock", &[]);
    heard(&mut watch);
    // In the order of the changes, whoever made them; the addresses as the server knows them.
    for (name, jids) in [
        ("block", &both[..]),
        ("unblock", &both[..1]),
        ("unblock", &[]),
    ] {
        let push = push(&mut phone);
        let child = push.child(name, NS).unwrap_or_else(|| panic!("{push}"));
        assert_eq!(items(child), jids);
        assert_eq!(push.attr("to"), Some("alice@localhost/phone"));
        assert_eq!(push.attr("from"), None, "from the account itself");
    }
    set(&mut watch, "block", &both[1..]);
    let pushed = push(&mut desk);
    assert_eq!(items(pushed.child("block", NS).unwrap()), both[1..]);
    let unasked = heard(&mut watch);
    assert!(unasked.is_empty(), "{unasked:?}");
    assert_eq!(list(&mut watch), both[1..]);
}

#[test]
fn mistakes_change_nothing() {
    let server = start(&["alice"]);
    let mut alice = online(&server, "alice");
    set(&mut alice, "block", &["bob@localhost"]);
    for (name, jids, expected) in [
        ("block", &[][..], "bad-request"),
        ("block", &["carol@localhost", "@"], "jid-malformed"),
        ("unblock", &["bob@localhost", "a b@c"], "jid-malformed"),
    ] {
        let answer = request(&mut alice, "set", name, jids);
        assert_eq!(condition(&answer), expected, "{name} {jids:?}");
    }
    let no_jid = format!("<iq type='set' id='q'><unblock xmlns='{NS}'><item/></unblock></iq>");
    assert_eq!(condition(&ask(&mut alice, &no_jid)), "bad-request");
    assert_eq!(list(&mut alice), ["bob@localhost"]);
    // Of somebody else, or of the server: nobody answers.
    for to in ["carol@localhost", "localhost"] {
        let other = format!("<iq type='get' id='q' to='{to}'><blocklist xmlns='{NS}'/></iq>");
        assert_eq!(condition(&ask(&mut alice, &other)), "service-unavailable");
    }
}

#[test]
fn a_block_list_is_bounded() {
    let server = start(&["alice"]);
    let mut alice = online(&server, "alice");
    for part in 0..4 {
        let jids: Vec<String> = (0..250).map(|n| format!("{part}-{n}.example")).collect();
        let jids: Vec<&str> = jids.iter().map(String::as_str).collect();
        set(&mut alice, "block", &jids);
    }
    let answer = request(&mut alice, "set", "block", &["one.too.many.example"]);
    assert_eq!(condition(&answer), "resource-constraint");
    // What is there already is not one more.
    set(&mut alice, "block", &["0-0.example"]);
    assert_eq!(list(&mut alice).len(), 1000);
}

#[test]
fn directed_presence_is_taken_back_from_whom_is_blocked() {
    let server = start(&["alice", "bob", "carol"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    let mut carol = online(&server, "carol");
    for to in ["bob@localhost/desk", "carol@localhost/desk"] {
        alice.send(&format!("<presence to='{to}'/>")).unwrap();
    }
    let of_alice = |type_: Option<&'static str>| {
        move |element: &Element| {
            element.name() == "presence"
                && element.attr("from") == Some("alice@localhost/desk")
                && element.attr("type") == type_
        }
    };
    bob.expect("presence", of_alice(None)).unwrap();
    carol.expect("presence", of_alice(None)).unwrap();
    set(&mut alice, "block", &["bob@localhost"]);
    bob.expect("unavailable", of_alice(Some("unavailable")))
        .unwrap();
    // Blocked twice he hears it once, and he does not hear when she goes.
    set(&mut alice, "block", &["localhost/x", "bob@localhost/desk"]);
    alice.close().unwrap();
    let again = heard(&mut bob);
    assert!(again.is_empty(), "{again:?}");
    let early = heard(&mut carol);
    assert!(
        !early.iter().any(|element| element.attr("type").is_none()),
        "carol is not concerned: {early:?}"
    );
}

/// A script that decides about subscriptions is not asked about those of blocked senders, whether the owner is there or not.
#[test]
fn scripts_do_not_hear_of_subscriptions_of_the_blocked() {
    let setup = Setup::new()
        .workers(4)
        .config("scriptlet \"scriptlet\" { script \"asked\" { source = \"asked\" } }\n");
    std::fs::create_dir_all(setup.scripts()).unwrap();
    std::fs::write(
        setup.scripts().join("asked.lua"),
        "hook('subscription_recv', 0, function(session, presence)\n  \
           xmpp:send(\"<message to='\" .. tostring(presence:from()) .. \"'><body>asked</body></message>\")\n  \
           return 'done'\nend)\n",
    )
    .unwrap();
    let server = setup.start();
    server.users(&["alice", "bob", "carol"]);
    let mut alice = online(&server, "alice");
    set(&mut alice, "block", &["bob@localhost"]);
    let mut bob = online(&server, "bob");
    let mut carol = online(&server, "carol");
    let subscribe = "<presence to='alice@localhost' type='subscribe'/>";
    for there in [true, false] {
        bob.send(subscribe).unwrap();
        let came = bob.drain().unwrap();
        assert!(came.is_empty(), "there: {there}: {came:?}");
        carol.send(subscribe).unwrap();
        let asked = carol.message().unwrap();
        assert!(asked.to_string().contains("asked"), "{asked}");
        if there {
            alice.send("<presence type='unavailable'/>").unwrap();
            heard(&mut alice);
            drop(server.ctl(&["session", "kick", "alice@localhost"]));
        }
    }
}

#[test]
fn the_operator_changes_lists_too() {
    let server = start(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    assert!(list(&mut alice).is_empty());
    let ended = server.ctl(&[
        "--json",
        "block",
        "add",
        "alice@localhost",
        "bob@localhost",
        "spam.example",
    ]);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["addresses"][0], "bob@localhost", "{told}");
    let push = push(&mut alice);
    let pushed = items(push.child("block", NS).unwrap());
    assert_eq!(pushed, ["bob@localhost", "spam.example"]);
    let answer = refused(&mut bob, "alice@localhost");
    assert_eq!(condition(&answer), "service-unavailable");
    let listed = server.ctl(&["block", "list", "alice@localhost"]).stdout;
    assert!(listed.contains("bob@localhost") && listed.contains("spam.example"));
    server.ctl(&["block", "remove", "alice@localhost", "bob@localhost"]);
    bob.say("alice@localhost", "m", "hi").unwrap();
    assert_eq!(alice.message().unwrap().attr("id"), Some("m"));
    server.ctl(&["block", "remove", "alice@localhost"]);
    assert!(list(&mut alice).is_empty());
    let nobody = server.ctl(&["block", "add", "nobody@localhost", "bob@localhost"]);
    assert!(
        nobody.stderr.contains("there is no user"),
        "{}",
        nobody.stderr
    );
}

/// The push comes behind everything that was before the block, and before nothing of the blocked. Each message has come, or
/// its sender knows that it has not.
#[test]
fn no_message_comes_behind_the_push() {
    let server = start(&["alice", "bob"]);
    let mut desk = online(&server, "alice");
    let mut phone = at(&server, "alice", "phone");
    let mut bob = online(&server, "bob");
    assert!(list(&mut desk).is_empty());
    for race in 0..RACES {
        let flood = thread::spawn(move || {
            for id in 0..FLOOD {
                bob.say("alice@localhost/desk", &format!("{race}-{id}"), "!")
                    .unwrap();
            }
            let errors = bob.drain().unwrap();
            (bob, errors)
        });
        // Some have come.
        desk.message().unwrap();
        let mut came = 1;
        phone
            .send(&format!(
                "<iq type='set' id='q'><block xmlns='{NS}'><item jid='bob@localhost'/></block></iq>"
            ))
            .unwrap();
        loop {
            let next = desk.expect("push", |_| true).unwrap();
            match next.name() {
                "message" => came += 1,
                _ => {
                    assert!(next.child("block", NS).is_some(), "{next}");
                    break;
                }
            }
        }
        let (back, errors) = flood.join().unwrap();
        bob = back;
        let late = desk.drain().unwrap();
        assert!(late.is_empty(), "race {race}: {late:?}");
        for error in &errors {
            assert_eq!(condition(error), "service-unavailable");
        }
        assert_eq!(came + errors.len(), FLOOD, "race {race}");
        set(&mut phone, "unblock", &[]);
        push(&mut desk);
    }
    assert!(desk.next_within(PATIENCE / 100).unwrap().is_none());
}

/// Contacts see a block as going away and its end as coming back; between the two they see nothing, and who was asked for a
/// subscription meanwhile is not asked again.
#[test]
fn contacts_see_a_block_as_going_away() {
    let setup = Setup::new().workers(4).config(
        "scriptlet \"scriptlet\" { script \"presence\" { source = \"msys.xmpp.presence\" } }\n",
    );
    let server = setup.start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    let presence = |from: &'static str, type_: Option<&'static str>| {
        move |element: &Element| {
            element.name() == "presence"
                && element.attr("from") == Some(from)
                && element.attr("type") == type_
        }
    };
    for (seer, seen, request) in [("alice", "bob", true), ("bob", "alice", false)] {
        let (asks, grants) = match request {
            true => (&mut alice, &mut bob),
            false => (&mut bob, &mut alice),
        };
        asks.send(&format!(
            "<presence type='subscribe' to='{seen}@localhost'/>"
        ))
        .unwrap();
        grants
            .expect("request", |element| {
                element.attr("type") == Some("subscribe")
            })
            .unwrap();
        grants
            .send(&format!(
                "<presence type='subscribed' to='{seer}@localhost'/>"
            ))
            .unwrap();
        asks.expect("presence", |element| {
            element.name() == "presence" && element.attr("type").is_none()
        })
        .unwrap();
    }
    heard(&mut bob);
    set(&mut alice, "block", &["bob@localhost"]);
    bob.expect(
        "unavailable",
        presence("alice@localhost/desk", Some("unavailable")),
    )
    .unwrap();
    alice.send("<presence><show>dnd</show></presence>").unwrap();
    let mut phone = at(&server, "alice", "phone");
    phone.send("<presence type='unavailable'/>").unwrap();
    heard(&mut phone);
    heard(&mut alice);
    let came = heard(&mut bob);
    assert!(came.is_empty(), "{came:?}");
    // A login shows him nothing either, nor her anything of him.
    bob.close().unwrap();
    let mut bob = online(&server, "bob");
    let came = heard(&mut bob);
    assert!(
        !came
            .iter()
            .any(|element| element.to_string().contains("alice")),
        "{came:?}"
    );
    let came = heard(&mut alice);
    assert!(
        !came
            .iter()
            .any(|element| element.to_string().contains("bob")),
        "{came:?}"
    );
    set(&mut alice, "unblock", &["bob@localhost"]);
    let back = bob
        .expect("presence", presence("alice@localhost/desk", None))
        .unwrap();
    assert!(back.to_string().contains("dnd"), "as it is now: {back}");
}
