//! External components (XEP-0114), as a gateway, its users and the operator see them.

use stanzad::xml::Element;

use crate::attacks::{QUIET, ask, condition, ends_with, online, stream_error, until};
use crate::harness::{Client, Login, Server, Setup, Via};

pub const GATEWAY: &str = "gw.localhost";
pub const COMPONENT: &str = "jabber:component:accept";

/// Four workers, on which sessions are spread one by one, and a gateway whose secret is `hush`.
pub fn setup() -> Setup {
    Setup::new()
        .workers(4)
        .shipped_scripts()
        .config("component \"gw.localhost\" { secret = \"hush\" }\n")
        .config("component \"other.localhost\" { secret = \"psst\" }\n")
        .config("admins = ( \"alice@localhost\" )\n")
}

pub fn gateway(server: &Server) -> Client {
    Client::component(server.plain(), Via::Plain, GATEWAY, "hush").unwrap()
}

/// The next stanza of that name.
pub fn next(client: &mut Client, name: &str) -> Element {
    client
        .expect(name, |element| element.name() == name)
        .unwrap()
}

/// Presence of that type from that address.
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

pub fn body(message: &Element) -> String {
    let body = message.child("body", message.ns());
    body.unwrap_or_else(|| panic!("{message}")).text().into()
}

/// The workers of all who are connected, by address.
fn workers(server: &Server) -> Vec<(String, u64)> {
    ["session list", "component list"]
        .iter()
        .flat_map(|command| {
            let mut args = vec!["--json"];
            args.extend(command.split(' '));
            let rows: serde_json::Value = serde_json::from_str(&server.ctl(&args).stdout).unwrap();
            rows.as_array().unwrap().clone()
        })
        .filter_map(|row| Some((row["jid"].as_str()?.to_owned(), row["worker"].as_u64()?)))
        .collect()
}

#[test]
fn messages_and_requests_go_both_ways_between_workers() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    let placed = workers(&server);
    assert!(
        placed.len() == 2 && placed[0].1 != placed[1].1,
        "{placed:?}"
    );

    for to in ["gw.localhost", "mum@gw.localhost", "mum@gw.localhost/home"] {
        alice.say(to, "m", "hi").unwrap();
        let message = next(&mut gw, "message");
        assert_eq!(message.ns(), COMPONENT);
        assert_eq!(message.attr("to"), Some(to));
        assert_eq!(message.attr("from"), Some("alice@localhost/desk"));
        assert_eq!(body(&message), "hi");
        gw.send(&format!(
            "<message from='{to}' to='alice@localhost' type='chat'><body>so {to}</body></message>"
        ))
        .unwrap();
        let answer = alice.message().unwrap();
        assert_eq!(answer.ns(), "jabber:client");
        assert_eq!(answer.attr("from"), Some(to));
        assert_eq!(body(&answer), format!("so {to}"));
    }

    alice
        .send("<iq type='get' id='v' to='gw.localhost'><query xmlns='jabber:iq:version'/></iq>")
        .unwrap();
    let request = next(&mut gw, "iq");
    assert_eq!(request.attr("from"), Some("alice@localhost/desk"));
    gw.send(
        "<iq type='result' id='v' from='gw.localhost' to='alice@localhost/desk'>\
         <query xmlns='jabber:iq:version'><name>gateway</name></query></iq>",
    )
    .unwrap();
    let answer = next(&mut alice, "iq");
    assert_eq!(answer.attr("from"), Some(GATEWAY));
    assert!(answer.to_string().contains("gateway"), "{answer}");

    gw.send(
        "<iq type='get' id='v' from='mum@gw.localhost/x' to='alice@localhost/desk'>\
         <query xmlns='jabber:iq:version'/></iq>",
    )
    .unwrap();
    let request = next(&mut alice, "iq");
    assert_eq!(request.attr("from"), Some("mum@gw.localhost/x"));
    alice
        .send("<iq type='result' id='v' to='mum@gw.localhost/x'/>")
        .unwrap();
    let answer = next(&mut gw, "iq");
    assert_eq!(answer.attr("to"), Some("mum@gw.localhost/x"));
    assert_eq!(answer.attr("from"), Some("alice@localhost/desk"));
}

#[test]
fn the_namespaces_of_both_streams_are_exchanged_exactly() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    let inside = |own: &str, other: &str| {
        format!(
            "<body xmlns='{own}'>one</body><subject xmlns='{other}'>none</subject>\
             <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>two</body></message></forwarded>\
             <x xmlns='{COMPONENT}-not'/><p:thread xmlns:p='{own}'>t</p:thread>"
        )
    };
    let check = |message: &Element, own: &str, other: &str| {
        assert_eq!(message.ns(), own);
        assert_eq!(body(message), "one");
        assert!(message.child("subject", own).is_none(), "{message}");
        assert_eq!(message.child("subject", other).unwrap().text(), "none");
        assert_eq!(message.child("thread", own).unwrap().text(), "t");
        let forwarded = message.child("forwarded", "urn:xmpp:forward:0").unwrap();
        let copy = forwarded.child("message", "jabber:client").unwrap();
        assert_eq!(copy.child("body", "jabber:client").unwrap().text(), "two");
        assert_eq!(message.elements().count(), 5, "{message}");
    };
    alice
        .send(&format!(
            "<message to='mum@gw.localhost' id='a'>{}</message>",
            inside("jabber:client", COMPONENT)
        ))
        .unwrap();
    check(&next(&mut gw, "message"), COMPONENT, "jabber:client");
    gw.send(&format!(
        "<message xmlns='{COMPONENT}' from='mum@gw.localhost' to='alice@localhost/desk' id='b'>{}</message>",
        inside(COMPONENT, "jabber:client")
    ))
    .unwrap();
    check(&alice.message().unwrap(), "jabber:client", COMPONENT);

    // A client's stanza has no place on a component's stream.
    let client = "<message xmlns='jabber:client' from='gw.localhost' to='alice@localhost'/>";
    assert_eq!(stream_error(&mut gw, client), "unsupported-stanza-type");
}

#[test]
fn a_later_connection_takes_the_place_of_the_older() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut older = gateway(&server);
    alice.say(GATEWAY, "1", "one").unwrap();
    assert_eq!(body(&next(&mut older, "message")), "one");
    let mut newer = gateway(&server);
    assert_eq!(ends_with(&mut older), "conflict");
    alice.say(GATEWAY, "2", "two").unwrap();
    assert_eq!(body(&next(&mut newer, "message")), "two");
    // The end of the older has taken nothing from the newer.
    until("one component", || workers(&server).len() == 2);
    alice.say(GATEWAY, "3", "three").unwrap();
    assert_eq!(body(&next(&mut newer, "message")), "three");
}

#[test]
fn what_is_sent_to_a_component_that_is_away_comes_back() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let away = |alice: &mut Client| {
        alice.send("<presence to='gw.localhost'/>").unwrap();
        alice.say("mum@gw.localhost", "q", "hi").unwrap();
        let error = alice.message().unwrap();
        assert_eq!(condition(&error), "remote-server-timeout");
        assert!(error.to_string().contains("type='wait'"), "{error}");
        let error = ask(
            alice,
            "<iq type='get' id='q' to='gw.localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        );
        assert_eq!(condition(&error), "remote-server-timeout");
    };
    away(&mut alice);
    let mut gw = gateway(&server);
    alice.say("mum@gw.localhost", "m", "hi").unwrap();
    assert_eq!(body(&next(&mut gw, "message")), "hi");
    gw.close().unwrap();
    away(&mut alice);
    // An error or an answer is not answered.
    alice
        .send("<iq type='result' id='r' to='gw.localhost'/>")
        .unwrap();
    alice
        .send("<message type='error' to='gw.localhost'><error type='cancel'/></message>")
        .unwrap();
    assert_eq!(alice.next_within(QUIET).unwrap(), None);
}

/// The most bytes that the two ends of a connection hold between them.
fn socket_buffers() -> usize {
    let most = |name: &str| {
        let sizes = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        let most = sizes.split_ascii_whitespace().next_back().unwrap();
        most.parse::<usize>().unwrap()
    };
    most("tcp_wmem") + most("tcp_rmem")
}

#[test]
fn what_a_component_did_not_take_before_it_ended_comes_back() {
    // More than the sockets hold between the server and one that does not read: whatever was written when the outbox is
    // full, not all of it can have been.
    let size = socket_buffers() + (1 << 20);
    let server = setup()
        .config(&format!(
            "outbox_stall = 3600\ncomponent \"gw.localhost\" {{ outbox_size = {size} }}\n"
        ))
        .start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let gw = gateway(&server);
    let text = "x".repeat(200_000);
    let mut sent = 0;
    let full = loop {
        alice.say(GATEWAY, &format!("m{sent}"), &text).unwrap();
        sent += 1;
        // Who asks is answered although the component does not read.
        let pong = "<iq type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>";
        alice.send(pong).unwrap();
        let told = alice.expect("an answer", |_| true).unwrap();
        if told.name() == "message" {
            break told;
        }
        assert!(sent < 1000, "the component takes everything");
    };
    assert_eq!(condition(&full), "resource-constraint");
    assert_eq!(full.attr("id"), Some(format!("m{}", sent - 1).as_str()));
    next(&mut alice, "iq");
    drop(gw);
    let back = alice.message().unwrap();
    assert_eq!(condition(&back), "remote-server-timeout");
    assert_eq!(back.attr("from"), Some(GATEWAY));
    until("nothing of it is left", || workers(&server).len() == 1);
}

#[test]
fn a_roster_contact_may_be_a_components_user() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    let roster = "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>";
    ask(&mut alice, roster);

    // Alice subscribes to mum; mum lets her, and asks in turn.
    alice
        .send("<presence type='subscribe' to='mum@gw.localhost/any'/>")
        .unwrap();
    let asked = presence(&mut gw, Some("subscribe"), "alice@localhost");
    assert_eq!(asked.attr("to"), Some("mum@gw.localhost"));
    gw.send("<presence type='subscribed' from='mum@gw.localhost/x' to='alice@localhost/y'/>")
        .unwrap();
    presence(&mut alice, Some("subscribed"), "mum@gw.localhost");
    gw.send(
        "<presence from='mum@gw.localhost/home' to='alice@localhost'><show>away</show></presence>",
    )
    .unwrap();
    let seen = presence(&mut alice, None, "mum@gw.localhost/home");
    assert_eq!(seen.child("show", "jabber:client").unwrap().text(), "away");
    gw.send("<presence type='subscribe' from='mum@gw.localhost' to='alice@localhost'/>")
        .unwrap();
    presence(&mut alice, Some("subscribe"), "mum@gw.localhost");
    alice
        .send("<presence type='subscribed' to='mum@gw.localhost'/>")
        .unwrap();
    presence(&mut gw, Some("subscribed"), "alice@localhost");
    let shown = presence(&mut gw, None, "alice@localhost/desk");
    assert_eq!(shown.attr("to"), Some("mum@gw.localhost"));
    let answer = ask(&mut alice, roster).to_string();
    assert!(
        answer.contains("mum@gw.localhost") && answer.contains("subscription='both'"),
        "{answer}"
    );

    // A change of presence, a probe and its answer, the going and the coming back.
    alice.send("<presence><show>dnd</show></presence>").unwrap();
    let shown = presence(&mut gw, None, "alice@localhost/desk");
    assert_eq!(shown.child("show", COMPONENT).unwrap().text(), "dnd");
    gw.send("<presence type='probe' from='mum@gw.localhost' to='alice@localhost'/>")
        .unwrap();
    let shown = presence(&mut gw, None, "alice@localhost/desk");
    assert_eq!(shown.child("show", COMPONENT).unwrap().text(), "dnd");
    gw.send("<presence type='probe' from='stranger@gw.localhost' to='alice@localhost'/>")
        .unwrap();
    presence(&mut gw, Some("unsubscribed"), "alice@localhost");
    alice.close().unwrap();
    presence(&mut gw, Some("unavailable"), "alice@localhost/desk");
    let mut alice = online(&server, "alice");
    presence(&mut gw, None, "alice@localhost/desk");
    let probe = presence(&mut gw, Some("probe"), "alice@localhost");
    assert_eq!(probe.attr("to"), Some("mum@gw.localhost"));

    // Removing the contact ends both ends of it.
    ask(
        &mut alice,
        "<iq type='set' id='q'><query xmlns='jabber:iq:roster'>\
         <item jid='mum@gw.localhost' subscription='remove'/></query></iq>",
    );
    presence(&mut gw, Some("unavailable"), "alice@localhost/desk");
    presence(&mut gw, Some("unsubscribe"), "alice@localhost");
    presence(&mut gw, Some("unsubscribed"), "alice@localhost");
}

#[test]
fn messages_for_users_who_are_away_wait_and_for_nobody_come_back() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let say = |to: &str| {
        format!(
            "<message from='mum@gw.localhost' to='{to}' type='chat' id='q'><body>hi</body></message>"
        )
    };
    gw.send(&say("alice@localhost")).unwrap();
    gw.send(&say("nobody@localhost")).unwrap();
    let error = next(&mut gw, "message");
    assert_eq!(condition(&error), "service-unavailable");
    assert_eq!(error.attr("to"), Some("mum@gw.localhost"));
    let alice = Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    assert_eq!(alice.kept.len(), 1);
    assert_eq!(body(&alice.kept[0]), "hi");
    assert_eq!(alice.kept[0].attr("from"), Some("mum@gw.localhost"));
}

#[test]
fn the_server_answers_a_component_as_far_as_that_concerns_it() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let ask = |gw: &mut Client, to: &str, kind: &str, payload: &str| {
        ask(
            gw,
            &format!("<iq type='{kind}' id='q' from='mum@gw.localhost/x' to='{to}'>{payload}</iq>"),
        )
    };
    for payload in [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<time xmlns='urn:xmpp:time'/>",
        "<query xmlns='jabber:iq:last'/>",
    ] {
        let answer = ask(&mut gw, "localhost", "get", payload);
        assert_eq!(answer.attr("type"), Some("result"), "{answer}");
        assert_eq!(answer.attr("to"), Some("mum@gw.localhost/x"));
        assert_eq!(answer.attr("from"), Some("localhost"));
        assert_eq!(answer.ns(), COMPONENT);
    }
    let last = "<query xmlns='jabber:iq:last'/>";
    let answer = ask(&mut gw, "alice@localhost", "get", last);
    assert_eq!(condition(&answer), "forbidden");
}

#[test]
fn whom_a_user_blocks_at_a_component_finds_nobody() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    let block = "<iq type='set' id='q'><block xmlns='urn:xmpp:blocking'><item jid='spam@gw.localhost'/></block></iq>";
    assert_eq!(ask(&mut alice, block).attr("type"), Some("result"));
    let say = |from: &str| {
        format!(
            "<message from='{from}' to='alice@localhost' type='chat' id='m'><body>{from}</body></message>"
        )
    };
    gw.send(&say("spam@gw.localhost/x")).unwrap();
    let error = next(&mut gw, "message");
    assert_eq!(condition(&error), "service-unavailable");
    gw.send("<presence type='subscribe' from='spam@gw.localhost' to='alice@localhost'/>")
        .unwrap();
    gw.send(&say("mum@gw.localhost")).unwrap();
    let next = alice.expect("what comes next", |_| true).unwrap();
    assert_eq!(body(&next), "mum@gw.localhost");
    alice.say("spam@gw.localhost", "m", "hi").unwrap();
    assert_eq!(condition(&alice.message().unwrap()), "not-acceptable");
}

#[test]
fn a_gateway_says_when_something_was_sent_elsewhere() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    for from in ["from='gw.localhost'", "from='room@gw.localhost'", ""] {
        let delay = format!("<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z' {from}/>");
        let old = format!("<x xmlns='jabber:x:delay' stamp='20200102T03:04:05' {from}/>");
        gw.send(&format!(
            "<message from='mum@gw.localhost' to='alice@localhost/desk'><body>hi</body>{delay}{old}</message>\
             <presence from='mum@gw.localhost' to='alice@localhost/desk'>{delay}{old}</presence>"
        ))
        .unwrap();
        for name in ["message", "presence"] {
            let got = next(&mut alice, name);
            for (name, ns) in [("delay", "urn:xmpp:delay"), ("x", "jabber:x:delay")] {
                let child = got.child(name, ns).unwrap_or_else(|| panic!("{got}"));
                assert!(child.attr("stamp").unwrap().starts_with("2020"), "{got}");
            }
        }
    }
}

#[test]
fn scripts_see_what_components_send() {
    let setup =
        setup().config("scriptlet \"scriptlet\" { script \"filter\" { source = \"filter\" } }\n");
    std::fs::create_dir_all(setup.scripts()).unwrap();
    std::fs::write(
        setup.scripts().join("filter.lua"),
        r#"
        local function judge(session, stanza)
          if session:kind() == "component" and stanza:from():get() == "spam@gw.localhost" then
            return xmpp.reject("policy-violation", tostring(session:jid()))
          end
        end
        xmpp.registerModule("filter", {
          component_message_recv = judge,
          component_iq_recv = judge,
          component_presence_recv = function() return xmpp.DROP end,
        })
        "#,
    )
    .unwrap();
    let server = setup.start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    let mut alice = online(&server, "alice");
    gw.send("<message from='spam@gw.localhost' to='alice@localhost'><body>buy</body></message>")
        .unwrap();
    let error = next(&mut gw, "message");
    assert_eq!(condition(&error), "policy-violation");
    assert!(error.to_string().contains(">gw.localhost<"), "{error}");
    let error = ask(
        &mut gw,
        "<iq type='get' id='q' from='spam@gw.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert_eq!(condition(&error), "policy-violation");
    gw.send("<presence from='mum@gw.localhost' to='alice@localhost'/>")
        .unwrap();
    // What answers to a name answers a component's users too.
    gw.send("<message from='mum@gw.localhost' to='echo@localhost' type='chat'><body>hello</body></message>")
        .unwrap();
    let echo = next(&mut gw, "message");
    assert_eq!(echo.attr("to"), Some("mum@gw.localhost"));
    assert!(body(&echo).contains("hello"), "{echo}");
    gw.send("<message from='mum@gw.localhost' to='alice@localhost'><body>hi</body></message>")
        .unwrap();
    let first = alice.expect("what comes first", |_| true).unwrap();
    assert_eq!(body(&first), "hi");
}
