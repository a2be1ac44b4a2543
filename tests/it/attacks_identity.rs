//! Attacks on who somebody is: resources, rights that end, `from`, what strangers learn (docs/security.md, T20 to T62).

use crate::attacks::{QUIET, ask, condition, ends_with, online, stream_error};
use crate::harness::{Client, Login, Server, Via};

#[test]
fn t32_resources_are_bounded_and_their_accounts_own() {
    const MOST: usize = 10;
    let server = Server::start();
    server.users(&["alice", "mallory"]);
    let login = |user: &str, resource: &str| {
        Client::login(&Login::direct(server.direct(), user).resource(resource))
    };
    let mut desk = login("alice", "desk").unwrap();
    // The same resource of another account, and an address as a resource, are nothing to alice.
    let same = login("mallory", "desk").unwrap();
    assert_eq!(same.jid, "mallory@localhost/desk");
    let address = login("mallory", "alice@localhost/desk").unwrap();
    assert_eq!(address.jid, "mallory@localhost/alice@localhost/desk");
    desk.drain().expect("alice stays");

    for bad in [
        "x".repeat(1024),
        "a\u{7f}b".to_owned(),
        "a\u{200b}\u{e000}\u{fdd0}".to_owned(),
    ] {
        let error = login("mallory", &bad)
            .err()
            .expect("no such resource")
            .to_string();
        assert!(
            error.contains("bad-request") || error.contains("jid-malformed"),
            "{error}"
        );
    }
    let sessions: Vec<Client> = (2..MOST)
        .map(|number| login("mallory", &number.to_string()).unwrap())
        .collect();
    let error = login("mallory", "one more")
        .err()
        .expect("too many")
        .to_string();
    assert!(error.contains("resource-constraint"), "{error}");
    desk.drain().expect("alice stays");
    drop(sessions);
}

#[test]
fn t37_nobody_registers_where_registration_is_closed() {
    let server = Server::start();
    server.users(&["alice"]);
    let register = "<iq type='set' id='q' to='localhost'><query xmlns='jabber:iq:register'>\
                    <username>alice</username><password>mine</password></query></iq>";
    let mut stranger = Client::connect(server.direct(), Via::Direct).unwrap();
    let features = stranger.features().unwrap();
    assert!(!features.to_string().contains("register"), "{features}");
    assert_eq!(condition(&ask(&mut stranger, register)), "not-allowed");
    online(&server, "alice").drain().unwrap();
}

#[test]
fn t39_sessions_end_with_their_right() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut sessions = [
        online(&server, "alice"),
        Client::login(&Login::direct(server.direct(), "alice").resource("phone")).unwrap(),
    ];
    let mut bob = online(&server, "bob");
    let ended = server.ctl_with_input(
        &["user", "passwd", "alice@localhost", "--password-stdin"],
        "other\n",
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for session in &mut sessions {
        assert_eq!(ends_with(session), "not-authorized");
    }
    assert!(Client::login(&Login::direct(server.direct(), "alice")).is_err());

    let ended = server.ctl(&["user", "delete", "bob@localhost"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ends_with(&mut bob), "not-authorized");
    assert!(Client::login(&Login::direct(server.direct(), "bob")).is_err());
}

#[test]
fn t40_from_is_stamped_or_ends_the_stream() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob");
    let _phone = Client::login(&Login::direct(server.direct(), "alice").resource("phone")).unwrap();
    let stanzas = |from: &str| {
        [
            format!(
                "<message from='{from}' to='bob@localhost' type='chat' id='forged'><body>x</body></message>"
            ),
            format!("<presence from='{from}' to='bob@localhost' id='forged'/>"),
            format!(
                "<iq from='{from}' to='bob@localhost/desk' type='get' id='forged'><query xmlns='x'/></iq>"
            ),
        ]
    };
    for from in ["bob@localhost", "alice@localhost/phone", "localhost", "@@"] {
        for stanza in stanzas(from) {
            let mut alice = online(&server, "alice");
            assert_eq!(
                stream_error(&mut alice, &stanza),
                "invalid-from",
                "{stanza}"
            );
        }
    }
    assert_eq!(bob.drain().unwrap().len(), 0, "nothing forged has arrived");

    // Their own address, however written: replaced by what the stream proved.
    let mut alice = online(&server, "alice");
    for from in [
        "alice@localhost",
        "Alice@LOCALHOST",
        "alice@localhost.",
        "alice@localhost/desk",
    ] {
        for stanza in stanzas(from) {
            alice.send(&stanza).unwrap();
            let got = bob
                .expect("the stanza", |element| element.attr("id") == Some("forged"))
                .unwrap();
            assert_eq!(got.attr("from"), Some("alice@localhost/desk"));
        }
    }
}

#[test]
fn t48_strangers_do_not_learn_who_is_there() {
    let server = Server::start();
    server.users(&["alice", "carol", "mallory"]);
    let mut alice = online(&server, "alice");
    let mut mallory = online(&server, "mallory");
    // alice is there, carol is not, nobody does not exist.
    let users = ["alice", "carol", "nobody"];
    for payload in [
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
    ] {
        for resource in ["", "/gone"] {
            let answers = users.map(|user| {
                let to = format!("{user}@localhost{resource}");
                let xml = format!("<iq type='get' id='q' to='{to}'>{payload}</iq>");
                ask(&mut mallory, &xml).to_string().replace(user, "USER")
            });
            assert_eq!(answers[0], answers[1], "{payload}");
            assert_eq!(answers[0], answers[2], "{payload}");
        }
    }
    for user in users {
        mallory
            .send(&format!(
                "<presence type='probe' to='{user}@localhost' id='probe'/>"
            ))
            .unwrap();
        mallory
            .send(&format!(
                "<presence to='{user}@localhost/gone' id='probe'/>"
            ))
            .unwrap();
    }
    while let Some(element) = mallory.next_within(QUIET).unwrap() {
        assert!(
            element
                .attr("from")
                .is_none_or(|from| from.starts_with("mallory@")),
            "{element}"
        );
    }
    alice.drain().unwrap();
}

#[test]
fn t49_errors_and_results_are_never_answered() {
    let server = Server::start();
    server.users(&["mallory", "carol"]);
    let mut mallory = online(&server, "mallory");
    let error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for to in [
        "nobody@localhost",
        "carol@localhost",
        "carol@localhost/gone",
        "localhost",
        "x@elsewhere.example",
        "@@",
    ] {
        for stanza in [
            format!("<iq type='error' id='loop' to='{to}'>{error}</iq>"),
            format!("<iq type='result' id='loop' to='{to}'/>"),
            format!("<message type='error' id='loop' to='{to}'>{error}</message>"),
            format!("<presence type='error' id='loop' to='{to}'>{error}</presence>"),
        ] {
            mallory.send(&stanza).unwrap();
        }
    }
    mallory
        .send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let first = mallory.expect("an answer", |element| {
        element
            .attr("id")
            .is_some_and(|id| id == "loop" || id == "last")
    });
    assert_eq!(first.unwrap().attr("id"), Some("last"));
    // Nor is one kept and answered later.
    assert_eq!(mallory.drain().unwrap().len(), 0);
}

#[test]
fn t57_t62_other_domains_are_not_reached() {
    let server = Server::start();
    server.users(&["mallory"]);
    let mut mallory = online(&server, "mallory");
    for to in [
        "x@elsewhere.example",
        "127.0.0.1",
        "x@localhost.elsewhere.example",
        "sub.localhost",
    ] {
        let answer = ask(
            &mut mallory,
            &format!("<iq type='get' id='q' to='{to}'><query xmlns='x'/></iq>"),
        );
        assert_eq!(condition(&answer), "remote-server-not-found", "{to}");
    }
}
