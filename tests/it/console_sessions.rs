//! `stanzactl session`: who is logged in, and how somebody is sent away.

use std::io::ErrorKind;

use crate::console::{json, online, row};
use crate::harness::{Client, Login, Server, Setup};

const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

fn online_as(server: &Server, user: &str, resource: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

/// The condition and the text of the stream error that must come, and then the end of the stream.
fn sent_away(client: &mut Client) -> (String, String) {
    let error = client
        .expect("a stream error", |element| element.name() == "error")
        .unwrap();
    let end = client.expect("the end", |_| false).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    let condition = error.elements().find(|child| child.name() != "text");
    let text = error.child("text", STREAMS);
    (
        condition.unwrap().name().to_owned(),
        text.map(|text| text.text().into_owned())
            .unwrap_or_default(),
    )
}

#[test]
fn sessions_are_listed_with_priority_and_tls() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    alice
        .send("<presence><priority>7</priority></presence>")
        .unwrap();
    alice.drain().unwrap();
    let _bob = Client::login(&Login::direct(server.direct(), "bob").resource("quiet")).unwrap();

    let sessions = json(&server, &["session", "list"]);
    let alice = row(&sessions, "jid", "alice@localhost/desk").unwrap();
    assert_eq!(alice["priority"], 7);
    assert_eq!(alice["tls"], "TLSv1.3");
    assert!(alice["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let bob = row(&sessions, "jid", "bob@localhost/quiet").unwrap();
    assert!(bob["priority"].is_null(), "bound, not available");
}

#[test]
fn sessions_of_one_user_resource_or_domain_are_listed() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob"]);
    let mut desk = online_as(&server, "alice", "desk");
    let _phone = online_as(&server, "alice", "phone");
    let _bob = online(&server, "bob");
    desk.send("<presence><show>away</show></presence>").unwrap();
    desk.drain().unwrap();

    let all = json(&server, &["session", "list"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3);
    let mut workers: Vec<_> = all.iter().map(|row| row["worker"].as_u64()).collect();
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(workers.len(), 3, "each on a worker of its own");

    let count = |of: &str| {
        let rows = json(&server, &["session", "list", of]);
        rows.as_array().unwrap().len()
    };
    assert_eq!(count("alice@localhost"), 2);
    assert_eq!(count("alice@localhost/phone"), 1);
    assert_eq!(count("localhost"), 3);
    assert_eq!(count("nobody@localhost"), 0);

    let rows = json(&server, &["session", "list", "alice@localhost"]);
    let desk = row(&rows, "jid", "alice@localhost/desk").unwrap();
    assert_eq!(desk["show"], "away");
    assert_eq!(desk["waiting_bytes"], 0);
    assert!(desk["since"].as_str().unwrap().ends_with('Z'), "{desk:#}");
    assert_eq!(
        row(&rows, "jid", "alice@localhost/phone").unwrap()["show"],
        ""
    );

    let text = server.ctl(&["session", "list"]).stdout;
    assert!(text.starts_with("JID "), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn a_kicked_session_reads_why_and_the_others_stay() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob"]);
    let mut desk = online_as(&server, "alice", "desk");
    let mut phone = online_as(&server, "alice", "phone");
    let mut bob = online(&server, "bob");

    let kicked = json(
        &server,
        &[
            "session",
            "kick",
            "alice@localhost/desk",
            "time",
            "<to>",
            "go",
        ],
    );
    assert_eq!(kicked["sessions_closed"], 1);
    assert_eq!(
        sent_away(&mut desk),
        ("policy-violation".to_owned(), "time <to> go".to_owned())
    );
    bob.say("alice@localhost", "still", "there?").unwrap();
    let heard = phone.message().unwrap();
    assert_eq!(heard.attr("id"), Some("still"), "the other session stays");

    let mut desk = online_as(&server, "alice", "desk");
    let kicked = json(&server, &["session", "kick", "alice@localhost"]);
    assert_eq!(kicked["sessions_closed"], 2);
    let reason = "the operator has ended this session".to_owned();
    for client in [&mut desk, &mut phone] {
        let why = sent_away(client);
        assert_eq!(why, ("policy-violation".to_owned(), reason.clone()));
    }
    assert!(bob.drain().is_ok());
}

#[test]
fn kicking_nobody_says_who_is_there() {
    let server = Server::start();
    server.users(&["alice"]);
    let _alice = online(&server, "alice");
    let nobody = server.ctl(&["session", "kick", "bob@localhost"]);
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody.stderr.contains("bob@localhost has no session"),
        "{}",
        nobody.stderr
    );
    assert!(
        nobody.stderr.contains("stanzactl session list"),
        "{}",
        nobody.stderr
    );
    let other = server.ctl(&["session", "kick", "alice@localhost/phone"]);
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.contains("logged in: alice@localhost/desk"),
        "{}",
        other.stderr
    );
    assert_eq!(server.ctl(&["session", "kick", "localhost"]).code, Some(1));
    let bell = server.ctl(&["session", "kick", "alice@localhost", "\u{7}"]);
    assert_eq!(bell.code, Some(1));
    assert!(bell.stderr.contains("reason"), "{}", bell.stderr);
}
