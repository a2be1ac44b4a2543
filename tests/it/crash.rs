//! kill -9 at any moment loses nothing that was acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use stanzad::xml::Element;

use crate::harness::{Client, Login, Mechanism, Server, Setup};

const ROUNDS: usize = 20;
/// Messages between two pings.
const BATCH: usize = 10;
/// The kill comes at a random moment within this time.
const SPREAD_MS: u64 = 400;
const STANZA_ID: &str = "urn:xmpp:sid:0";

fn random_moment() -> Duration {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).unwrap();
    Duration::from_millis(u64::from_le_bytes(bytes) % SPREAD_MS)
}

fn login(server: &Server, user: &str) -> Login {
    Login::direct(server.direct(), user).mechanism(Mechanism::Plain)
}

/// Sends messages to bob, a ping behind each batch, until the daemon dies. Gives how many the answered pings cover.
fn stream_until_killed(mut alice: Client, round: usize, server: &mut Server) -> usize {
    let pid = server.pid();
    let kill = std::thread::spawn(move || {
        let until = Instant::now() + random_moment();
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    });
    let mut sent = 0;
    let mut answered = 0;
    let end = loop {
        let batch = (sent..sent + BATCH).try_for_each(|number| {
            alice.say("bob@localhost", &format!("{round}-{number}"), "kept")
        });
        sent += BATCH;
        match batch.and_then(|()| alice.drain()) {
            Ok(messages) => {
                assert!(messages.is_empty(), "no message bounced: {messages:?}");
                answered = sent;
            }
            Err(error) => break error,
        }
    };
    kill.join().unwrap();
    assert!(!matches!(end.kind(), std::io::ErrorKind::TimedOut), "{end}");
    server.wait();
    answered
}

fn numbers(messages: &[Element], round: usize) -> Vec<usize> {
    let prefix = format!("{round}-");
    messages
        .iter()
        .map(|message| {
            let id = message.attr("id").unwrap();
            let number = id.strip_prefix(&prefix);
            number
                .unwrap_or_else(|| panic!("{id} in round {round}"))
                .parse()
                .unwrap()
        })
        .collect()
}

#[test]
fn acknowledged_messages_survive_kill_9() {
    let setup = Setup::new().shipped_scripts();
    let mut server = setup.config("offline_max_messages = 1000000\n").start();
    server.users(&["alice", "bob"]);
    let mut covered = 0;
    for round in 0..ROUNDS {
        let alice = Client::online(&login(&server, "alice")).unwrap();
        let answered = stream_until_killed(alice, round, &mut server);
        server.restart();
        let bob = Client::online(&login(&server, "bob")).unwrap();
        let got = numbers(&bob.kept, round);
        // In order and unique, and all that an answered ping stands behind.
        let expected: Vec<usize> = (0..got.len()).collect();
        assert_eq!(got, expected, "round {round}");
        assert!(
            got.len() >= answered,
            "round {round}: {answered} acknowledged, {} delivered",
            got.len()
        );
        covered += answered;
        bob.close().unwrap();
    }
    assert!(covered > 0, "no ping was ever answered before the kill");
    eprintln!("{covered} acknowledged messages, {ROUNDS} kills, none lost");
}

#[test]
fn messages_survive_kill_9_during_their_fetch() {
    const KEPT: usize = 200;
    let mut server = Server::start();
    server.users(&["alice", "bob"]);
    for round in 0..ROUNDS {
        let mut alice = Client::online(&login(&server, "alice")).unwrap();
        for number in 0..KEPT {
            alice
                .say("bob@localhost", &format!("{round}-{number}"), "kept")
                .unwrap();
        }
        alice.drain().unwrap();

        let mut bob = Client::login(&login(&server, "bob")).unwrap();
        bob.send("<presence/>").unwrap();
        let mut stanza_ids = BTreeMap::new();
        // Somewhere in the middle of the fetch; a different place each round.
        let until = KEPT * (round + 1) / (ROUNDS + 1);
        while stanza_ids.len() < until {
            remember(&mut stanza_ids, &bob.message().unwrap());
        }
        server.kill();
        // What had been written before the kill is still readable.
        while let Ok(message) = bob.message() {
            remember(&mut stanza_ids, &message);
        }

        server.restart();
        let bob = Client::online(&login(&server, "bob")).unwrap();
        for message in &bob.kept {
            remember(&mut stanza_ids, message);
        }
        assert_eq!(stanza_ids.len(), KEPT, "round {round}: each at least once");
        bob.close().unwrap();
    }
}

/// Notes the stanza-id of a message; one that came before must have the same.
fn remember(ids: &mut BTreeMap<String, String>, message: &Element) {
    let id = message.attr("id").unwrap().to_owned();
    let stanza_id = message.child("stanza-id", STANZA_ID).expect("a stanza-id");
    let now = stanza_id.attr("id").unwrap().to_owned();
    let before = ids.entry(id.clone()).or_insert_with(|| now.clone());
    assert_eq!(*before, now, "message {id} came twice with two stanza-ids");
}
