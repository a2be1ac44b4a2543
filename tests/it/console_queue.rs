//! `stanzactl queue`: what waits for users who are away.

use serde_json::Value;

use crate::console::{json, online, row};
use crate::harness::Server;

#[test]
fn what_waits_is_listed_and_shown() {
    let server = Server::start();
    server.users(&["alice", "bob", "carol"]);
    assert_eq!(json(&server, &["queue", "list"]), Value::Array(Vec::new()));
    let mut alice = online(&server, "alice");
    for (to, id) in [
        ("bob", "one"),
        ("bob", "two"),
        ("bob", "three"),
        ("carol", "other"),
    ] {
        alice
            .say(&format!("{to}@localhost"), id, &format!("text of {id}"))
            .unwrap();
    }
    alice.drain().unwrap();

    let totals = json(&server, &["queue", "list"]);
    let bob = row(&totals, "owner", "bob@localhost").unwrap();
    assert_eq!(bob["messages"], 3);
    assert!(bob["bytes"].as_u64().unwrap() > 300, "{bob:#}");
    assert!(bob["oldest_at"].as_str().unwrap().ends_with('Z'), "{bob:#}");
    assert_eq!(
        row(&totals, "owner", "carol@localhost").unwrap()["messages"],
        1
    );
    assert_eq!(json(&server, &["queue", "list", "localhost"]), totals);

    let waiting = json(&server, &["queue", "list", "bob@localhost"]);
    let ids: Vec<String> = waiting
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(waiting[0]["from"], "alice@localhost/desk");
    let shown = json(&server, &["queue", "show", &ids[1]]);
    assert_eq!(shown["owner"], "bob@localhost");
    let stanza = shown["stanza"].as_str().unwrap();
    // No listing has what people write.
    for listing in [&["queue", "list"][..], &["queue", "list", "bob@localhost"]] {
        for said in [
            server.ctl(listing).stdout,
            json(&server, listing).to_string(),
        ] {
            assert!(!said.contains("text of"), "{said}");
        }
    }
    assert!(
        stanza.contains("text of two") && stanza.contains("urn:xmpp:delay"),
        "{stanza}"
    );
}

#[test]
fn what_waits_is_thrown_away() {
    let server = Server::start();
    server.users(&["alice", "bob", "carol"]);
    let mut alice = online(&server, "alice");
    for (to, id) in [
        ("bob", "one"),
        ("bob", "two"),
        ("bob", "three"),
        ("carol", "x"),
    ] {
        let to = format!("{to}@localhost");
        alice.say(&to, id, "hello").unwrap();
    }
    alice.drain().unwrap();
    let waiting = json(&server, &["queue", "list", "bob@localhost"]);
    let two = waiting[1]["id"].to_string();

    let deleted = json(&server, &["queue", "delete", &two]);
    assert_eq!(
        (&deleted["owner"], &deleted["deleted"]),
        (&"bob@localhost".into(), &1.into())
    );
    let twice = server.ctl(&["queue", "delete", &two]);
    assert_eq!(twice.code, Some(1));
    assert!(
        twice.stderr.contains("stanzactl queue list"),
        "{}",
        twice.stderr
    );
    let bob = online(&server, "bob");
    let kept: Vec<_> = bob.kept.iter().map(|message| message.attr("id")).collect();
    assert_eq!(kept, [Some("one"), Some("three")]);

    let deleted = json(&server, &["queue", "delete", "carol@localhost"]);
    assert_eq!(
        (&deleted["deleted"], &deleted["underway"]),
        (&1.into(), &0.into())
    );
    assert!(online(&server, "carol").kept.is_empty());
    let nothing = server.ctl(&["queue", "delete", "carol@localhost"]);
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.stderr.contains("nothing waits: carol@localhost"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn long_queues_are_listed_to_a_limit() {
    let server = Server::start();
    server.users(&["alice", "bob", "carol"]);
    let mut alice = online(&server, "alice");
    for id in 0..5 {
        alice
            .say("bob@localhost", &id.to_string(), "hello")
            .unwrap();
    }
    alice.say("carol@localhost", "last", "hello").unwrap();
    alice.drain().unwrap();
    let listed = |args: &[&str]| {
        let ended = server.ctl(&[&["--json", "queue", "list"], args].concat());
        let rows: Value = serde_json::from_str(&ended.stdout).unwrap();
        (rows.as_array().unwrap().len(), ended.stderr)
    };
    assert_eq!(listed(&["bob@localhost"]), (5, String::new()));
    let all = json(&server, &["queue", "list", "bob@localhost"]);
    let after = all[2]["id"].to_string();
    let rest = json(
        &server,
        &["queue", "list", "bob@localhost", "--after", &after],
    );
    assert_eq!(rest.as_array().unwrap()[..], all.as_array().unwrap()[3..]);
    let rest = json(&server, &["queue", "list", "--after", "bob@localhost"]);
    assert_eq!(rest[0]["owner"], "carol@localhost");
    assert_eq!(
        (&rest[0]["kind"], &rest[0]["tries"]),
        (&"user".into(), &0.into())
    );
    assert!(
        rest[0]["next_at"].as_str().unwrap().ends_with('Z'),
        "it expires"
    );
    assert_eq!(listed(&["domain:localhost"]), (0, String::new()));
    assert_eq!(
        listed(&["bob@localhost", "--limit", "5"]),
        (5, String::new())
    );
    for args in [&["bob@localhost", "--limit", "2"][..], &["--limit", "1"]] {
        let (count, said) = listed(args);
        assert_eq!(count.to_string(), args.last().unwrap().to_string());
        assert!(said.contains("there are more"), "{said}");
    }
    let text = server.ctl(&["queue", "list", "bob@localhost"]).stdout;
    assert!(text.starts_with("ID  FROM "), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert_eq!(server.ctl(&["queue", "show", "x"]).code, Some(1));
    assert_eq!(
        server.ctl(&["queue", "list", "--limit", "none"]).code,
        Some(1)
    );
}
