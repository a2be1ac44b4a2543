//! A user becomes available on one worker while messages for it are being stored by another: none is stranded, none
//! doubled, none overtakes (DESIGN §5 Account turn).

use std::hint::spin_loop;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::harness::{Client, Login, Mechanism, Setup, Via};
use crate::shim::{Disk, Syncs};

const ROUNDS: usize = 10_000;
/// Messages of each round: some come before the user does, some behind.
const BURST: usize = 3;
/// How far apart the two sides start, at most.
const SPREAD_US: u16 = 400;
/// Each worker has its own pool and listener, so that the two users never share one.
const PLACES: &str = r#"
ThreadPool "west" { Concurrency = 1 }
ThreadPool "east" { Concurrency = 1 }
xmpp_listener {
  Listen "127.0.0.4:0" { tls = "offered" pool_name = "west" }
  Listen "127.0.0.5:0" { tls = "offered" pool_name = "east" }
}
"#;

/// Busy for a random time: sleeping is too coarse.
fn spin(random: &SystemRandom) {
    let mut bytes = [0; 2];
    random.fill(&mut bytes).unwrap();
    let until =
        Instant::now() + Duration::from_micros(u64::from(u16::from_le_bytes(bytes) % SPREAD_US));
    while Instant::now() < until {
        spin_loop();
    }
}

fn login(setup: &crate::harness::Server, host: &str, user: &str) -> Client {
    let mut login = Login::direct(setup.listening(host), user).mechanism(Mechanism::ScramSha1);
    login.via = Via::Plain;
    Client::login(&login).unwrap()
}

fn send_bursts(mut romeo: Client, start: &Barrier) {
    let random = SystemRandom::new();
    for round in 0..ROUNDS {
        start.wait();
        for n in round * BURST..(round + 1) * BURST {
            spin(&random);
            romeo
                .say("juliet@localhost", &n.to_string(), "wherefore")
                .unwrap();
        }
        let answers = romeo.drain().unwrap();
        assert!(answers.is_empty(), "round {round}: {answers:?}");
    }
}

#[test]
fn a_user_who_comes_while_messages_are_stored_gets_each_once_and_in_order() {
    let (setup, disk) = Disk::under(Setup::new().config(PLACES));
    let server = setup.start();
    server.users(&["romeo", "juliet"]);
    disk.set(Syncs::Skip);
    let mut juliet = login(&server, "127.0.0.4:", "juliet");
    let romeo = login(&server, "127.0.0.5:", "romeo");
    let start = Arc::new(Barrier::new(2));
    let sender = {
        let start = Arc::clone(&start);
        thread::spawn(move || send_bursts(romeo, &start))
    };

    let random = SystemRandom::new();
    let (mut stored, mut split) = (0, 0);
    for round in 0..ROUNDS {
        start.wait();
        spin(&random);
        juliet.send("<presence/>").unwrap();
        let mut delayed = 0;
        for n in round * BURST..(round + 1) * BURST {
            let message = juliet
                .message()
                .unwrap_or_else(|error| panic!("message {n}: {error}"));
            assert_eq!(
                message.attr("id"),
                Some(n.to_string().as_str()),
                "round {round}: {message}"
            );
            delayed += usize::from(message.child("delay", "urn:xmpp:delay").is_some());
        }
        stored += delayed;
        split += usize::from(delayed > 0 && delayed < BURST);
        juliet.send("<presence type='unavailable'/>").unwrap();
        let more = juliet.drain().unwrap();
        assert!(more.is_empty(), "round {round}: {more:?}");
    }
    sender.join().unwrap();
    eprintln!(
        "{ROUNDS} rounds: {stored} messages stored, in {split} rounds the user came in the middle"
    );
    // Otherwise this test has shown nothing.
    assert!(
        split > ROUNDS / 100,
        "the race was met in {split} rounds only"
    );
}
