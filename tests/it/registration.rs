//! In-band registration: making, changing and removing accounts by a client (XEP-0077).

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::Barrier;
use std::thread;

use serde_json::Value;
use stanzad::xml::Element;

use crate::attacks::{ask, condition, ends_with, online};
use crate::harness::{Client, Login, Server, Setup, Via};

const OPEN: &str = "Registration = \"open\"\n";
const INVITE: &str = "Registration = \"invite\"\n";

fn start(config: &str) -> Server {
    Setup::new().config(config).start()
}

/// A stream under TLS that has not logged in.
fn newcomer(server: &Server) -> Client {
    let mut client = Client::connect(server.direct(), Via::Direct).unwrap();
    client.features().unwrap();
    client
}

fn query(inner: &str) -> String {
    format!("<query xmlns='jabber:iq:register'>{inner}</query>")
}

fn register(client: &mut Client, name: &str, password: &str) -> Element {
    let fields = format!("<username>{name}</username><password>{password}</password>");
    let query = query(&fields);
    ask(
        client,
        &format!("<iq type='set' id='q' to='localhost'>{query}</iq>"),
    )
}

fn is_done(answer: &Element) {
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    assert!(answer.elements().next().is_none(), "{answer}");
}

/// The login of `user` with `password`.
fn login(server: &Server, user: &str, password: &str) -> Login {
    let mut login = Login::direct(server.direct(), user).resource("desk");
    login.password = password.to_owned();
    login
}

fn is_refused(login: &Login) {
    let error = Client::login(login).err().expect("no login");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn a_newcomer_registers_and_logs_in_on_the_same_stream() {
    let server = start(OPEN);
    server.users(&["alice"]);
    let mut client = Client::connect(server.direct(), Via::Direct).unwrap();
    let features = client.features().unwrap();
    let offered = features.child("register", "http://jabber.org/features/iq-register");
    assert!(offered.is_some(), "{features}");
    let form = ask(
        &mut client,
        &format!("<iq type='get' id='q' to='localhost'>{}</iq>", query("")),
    );
    let form = form.child("query", "jabber:iq:register").unwrap();
    for field in ["instructions", "username", "password"] {
        assert!(form.child(field, "jabber:iq:register").is_some(), "{form}");
    }
    assert_eq!(condition(&register(&mut client, "alice", "x")), "conflict");
    assert_eq!(
        condition(&register(&mut client, "postmaster", "x")),
        "not-acceptable"
    );
    is_done(&register(&mut client, "Bea", "pass word"));
    client
        .authenticate(&login(&server, "bea", "pass word"))
        .unwrap();
    let bea = Client::online(&login(&server, "bea", "pass word")).unwrap();
    assert_eq!(bea.jid, "bea@localhost/desk");
}

#[test]
fn a_changed_password_closes_the_other_sessions() {
    let server = start("");
    server.users(&["alice"]);
    let mut phone = Client::online(&login(&server, "alice", "secret").resource("phone")).unwrap();
    let mut alice = online(&server, "alice");
    let told = ask(
        &mut alice,
        &format!("<iq type='get' id='q' to='localhost'>{}</iq>", query("")),
    );
    assert!(told.to_string().contains("<registered/>"), "{told}");
    assert!(told.to_string().contains("<username>alice</username>"));
    is_done(&register(&mut alice, "Alice", "other"));
    assert_eq!(ends_with(&mut phone), "not-authorized");
    alice.drain().unwrap();
    is_refused(&login(&server, "alice", "secret").resource("phone"));
    Client::login(&login(&server, "alice", "other").resource("phone")).unwrap();
    for empty in [
        "",
        "<username>alice</username>",
        "<username>alice</username><password/>",
    ] {
        let iq = format!("<iq type='set' id='q' to='localhost'>{}</iq>", query(empty));
        assert_eq!(condition(&ask(&mut alice, &iq)), "bad-request", "{empty}");
    }
    Client::login(&login(&server, "alice", "other").resource("phone")).unwrap();
}

#[test]
fn the_script_of_the_manual_refuses_changes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/registration.md");
    let page = fs::read_to_string(page).unwrap();
    let script = page.split("```lua\n").nth(1).unwrap();
    let script = script.split("```").next().unwrap();
    let setup =
        Setup::new().config("scriptlet \"scriptlet\" { script \"own\" { source = \"own\" } }\n");
    fs::create_dir_all(setup.scripts()).unwrap();
    fs::write(setup.scripts().join("own.lua"), script).unwrap();
    let server = setup.start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    assert_eq!(
        condition(&register(&mut alice, "alice", "other")),
        "not-allowed"
    );
    let told = format!("<iq type='get' id='q' to='localhost'>{}</iq>", query(""));
    assert_eq!(ask(&mut alice, &told).attr("type"), Some("result"));
}

#[test]
fn t97_a_password_is_changed_by_its_owner_alone() {
    let server = start("");
    server.users(&["alice", "mallory"]);
    let mut mallory = online(&server, "mallory");
    assert_eq!(
        condition(&register(&mut mallory, "alice", "mine")),
        "not-allowed"
    );
    for payload in [
        "<username>alice</username><password>mine</password>",
        "<remove/>",
    ] {
        let iq = format!(
            "<iq type='set' id='q' to='alice@localhost'>{}</iq>",
            query(payload)
        );
        assert_eq!(condition(&ask(&mut mallory, &iq)), "service-unavailable");
    }
    // With a name beside it, it is no removal of one's own either.
    let both = query("<remove/><username>alice</username>");
    let iq = format!("<iq type='set' id='q' to='localhost'>{both}</iq>");
    assert_eq!(condition(&ask(&mut mallory, &iq)), "bad-request");
    online(&server, "alice").drain().unwrap();

    // In the clear everybody on the way would read it.
    let mut clear = login(&server, "alice", "secret").resource("clear");
    clear.addr = server.plain();
    clear.via = Via::Plain;
    let mut clear = Client::online(&clear).unwrap();
    assert_eq!(
        condition(&register(&mut clear, "alice", "new")),
        "not-authorized"
    );
    Client::login(&login(&server, "alice", "secret").resource("again")).unwrap();
}

#[test]
fn t39_a_removed_account_leaves_nothing_and_no_session() {
    let server = start(OPEN);
    server.users(&["alice", "bob"]);
    let mut phone = Client::online(&login(&server, "alice", "secret").resource("phone")).unwrap();
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    let card = "<vCard xmlns='vcard-temp'><FN>Alice</FN></vCard>";
    is_done(&ask(
        &mut alice,
        &format!("<iq type='set' id='q'>{card}</iq>"),
    ));
    bob.say("alice@localhost", "m1", "are you there?").unwrap();
    alice.message().unwrap();
    // Its answer comes, then the stream ends; nothing behind the request has an effect.
    let remove = query("<remove/>");
    alice
        .send(&format!(
            "<iq type='get' id='before' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>\
             <iq type='set' id='gone'>{remove}</iq>\
             <message to='bob@localhost' type='chat' id='late'><body>late</body></message>"
        ))
        .unwrap();
    for id in ["before", "gone"] {
        let answer = alice.expect("an answer", |element| element.name() == "iq");
        let answer = answer.unwrap();
        assert_eq!(answer.attr("id"), Some(id), "{answer}");
        assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    }
    assert_eq!(ends_with(&mut alice), "not-authorized");
    assert_eq!(ends_with(&mut phone), "not-authorized");
    assert_eq!(bob.drain().unwrap().len(), 0);
    is_refused(&login(&server, "alice", "secret"));

    // Whoever has the name next finds nothing of it.
    is_done(&register(&mut newcomer(&server), "alice", "mine"));
    let mut alice = Client::online(&login(&server, "alice", "mine")).unwrap();
    assert_eq!(alice.kept.len(), 0);
    let own = "<iq type='get' id='q'><vCard xmlns='vcard-temp'/></iq>";
    assert_eq!(condition(&ask(&mut alice, own)), "item-not-found");
}

#[test]
fn t37_registrations_from_one_address_are_limited() {
    let server = start(&format!(
        "{OPEN}xmpp_listener {{ registrations_per_hour = 3 }}\n"
    ));
    server.users(&["alice"]);
    let mut tries = Vec::new();
    for n in 0..5 {
        // Each on a stream of its own; a name that is taken counts too.
        let name = match n {
            0 => "alice".to_owned(),
            n => format!("user{n}"),
        };
        let answer = register(&mut newcomer(&server), &name, "x");
        tries.push(match answer.attr("type") {
            Some("result") => "result".to_owned(),
            _ => condition(&answer).to_owned(),
        });
    }
    assert_eq!(
        tries,
        [
            "conflict",
            "result",
            "result",
            "resource-constraint",
            "resource-constraint"
        ]
    );
    // It is a limit on registering, not on logging in.
    online(&server, "alice").drain().unwrap();
}

/// A new invite: its id and its token.
fn invite(server: &Server, args: &[&str]) -> (String, String) {
    let ended = server.ctl(&[&["--json", "invite", "create"], args].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let made: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    assert!(text("uri").ends_with(&text("token")), "{made}");
    (text("id"), text("token"))
}

fn preauth(client: &mut Client, token: &str) -> Element {
    let preauth = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    ask(
        client,
        &format!("<iq type='set' id='q' to='localhost'>{preauth}</iq>"),
    )
}

/// Registers with the data form, in which the token is a field.
fn register_by_form(client: &mut Client, name: &str, token: &str) -> Element {
    let field =
        |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let fields = [
        field("username", name),
        field("password", "mine"),
        field("token", token),
    ];
    let form = format!(
        "<x xmlns='jabber:x:data' type='submit'>{}</x>",
        fields.concat()
    );
    ask(
        client,
        &format!("<iq type='set' id='q' to='localhost'>{}</iq>", query(&form)),
    )
}

#[test]
fn an_invite_lets_as_many_in_as_it_says() {
    let server = start(INVITE);
    let (id, token) = invite(&server, &["--uses", "2"]);
    assert_eq!(
        condition(&register(&mut newcomer(&server), "ann", "mine")),
        "forbidden"
    );
    let mut ann = newcomer(&server);
    is_done(&preauth(&mut ann, &token));
    is_done(&register(&mut ann, "ann", "mine"));
    Client::login(&login(&server, "ann", "mine")).unwrap();
    is_done(&register_by_form(&mut newcomer(&server), "ben", &token));
    Client::login(&login(&server, "ben", "mine")).unwrap();
    let late = register_by_form(&mut newcomer(&server), "cid", &token);
    assert_eq!(condition(&late), "forbidden");
    let ended = server.ctl(&["invite", "list"]);
    assert!(!ended.stdout.contains(&id), "{}", ended.stdout);

    let (id, token) = invite(&server, &["localhost", "--hours", "1"]);
    let ended = server.ctl(&["invite", "list"]);
    assert!(ended.stdout.contains(&id), "{}", ended.stdout);
    assert!(!ended.stdout.contains(&token), "{}", ended.stdout);
    let ended = server.ctl(&["invite", "revoke", &id]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let revoked = preauth(&mut newcomer(&server), &token);
    assert_eq!(condition(&revoked), "item-not-found");
    let ended = server.ctl(&["invite", "revoke", &id]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let ended = server.ctl(&["invite", "create", "elsewhere.example"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn t37_one_invite_is_not_used_twice_however_many_try() {
    const TRIES: usize = 12;
    let server = start(&format!(
        "{INVITE}xmpp_listener {{ registrations_per_hour = 0 }}\n"
    ));
    let (_, token) = invite(&server, &[]);
    // All have shown the token before anybody uses it.
    let start = Barrier::new(TRIES);
    let made: usize = thread::scope(|scope| {
        let tries: Vec<_> = (0..TRIES)
            .map(|n| {
                let (server, token, start) = (&server, &token, &start);
                scope.spawn(move || {
                    let mut client = newcomer(server);
                    let shown = preauth(&mut client, token);
                    start.wait();
                    is_done(&shown);
                    let answer = register(&mut client, &format!("user{n}"), "mine");
                    usize::from(answer.attr("type") == Some("result"))
                })
            })
            .collect();
        tries.into_iter().map(|made| made.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
    let ended = server.ctl(&["--json", "user", "list"]);
    let users: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(users.as_array().unwrap().len(), 1, "{users}");
}

#[test]
fn t36_tokens_do_not_repeat_and_are_not_kept() {
    let server = start(&format!(
        "{INVITE}Domain \"other.example\" {{ XMPP_Role = \"server\" }}\n"
    ));
    let tokens: BTreeSet<String> = (0..20).map(|_| invite(&server, &[]).1).collect();
    assert_eq!(tokens.len(), 20);
    let kept: Vec<u8> = ["stanzad.db", "stanzad.db-wal"]
        .iter()
        .filter_map(|name| fs::read(server.setup().data().join(name)).ok())
        .flatten()
        .collect();
    let holds = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    for token in &tokens {
        assert!(token.len() >= 32 && holds(&token[..8]), "{token}");
        assert!(!holds(&token[8..]), "a secret is on the disk");
    }
    // A token of another domain, of the right id with a wrong secret, of nothing.
    let right = tokens.first().unwrap();
    let (_, other) = invite(&server, &["other.example"]);
    for wrong in [
        other,
        format!("{}{}", &right[..8], "0".repeat(32)),
        right[..8].to_owned(),
        "\u{fc}".repeat(20),
        String::new(),
    ] {
        let answer = preauth(&mut newcomer(&server), &wrong);
        assert_eq!(condition(&answer), "item-not-found", "{wrong}");
    }
    is_done(&preauth(&mut newcomer(&server), right));
}

#[test]
fn t37_huge_fields_end_nothing_but_their_stream() {
    let server = start(OPEN);
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut client = newcomer(&server);
    for (name, password) in [
        ("x".repeat(2000), "x".to_owned()),
        ("x".repeat(65), "x".to_owned()),
        ("a\u{200b}\u{e000}".to_owned(), "x".to_owned()),
        ("fine".to_owned(), "a\u{e000}\u{fdd0}".to_owned()),
    ] {
        let answer = register(&mut client, &name, &password);
        assert_eq!(condition(&answer), "not-acceptable", "{name}");
    }
    let huge = query(&format!("<username>{}", "x".repeat(20_000)));
    let mut client = newcomer(&server);
    // The stream may end before all of it is written.
    let _ = client.send(&format!("<iq type='set' id='q'>{huge}"));
    assert_eq!(ends_with(&mut client), "policy-violation");
    alice.drain().unwrap();
}
