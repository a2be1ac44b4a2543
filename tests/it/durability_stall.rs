//! A recipient who is online and does not read: what was acknowledged to the sender is in the spool as well, wherever on its
//! way to the socket it got stuck; and who reads again gets the rest once and in order, from the outbox and the spool.

use std::collections::BTreeSet;

use stanzad::xml::Element;

use crate::harness::{Client, Login, Mechanism, Setup};

/// More than the sockets' buffers take, less than a spool's quota.
const MESSAGES: usize = 150;
const BODY_BYTES: usize = 100_000;
/// For one who reads again: as many bytes in more messages, so that outbox and spool take turns often.
const SMALL_MESSAGES: usize = 900;
const SMALL_BODY_BYTES: usize = 16_000;

fn number(message: &Element) -> usize {
    message.attr("id").unwrap().parse().unwrap()
}

#[test]
fn what_a_stalled_recipient_was_sent_survives_a_kill() {
    let mut server = Setup::new().start();
    server.users(&["romeo", "juliet"]);
    let login = |addr, user: &str| Login::direct(addr, user).mechanism(Mechanism::Plain);
    let mut juliet = Client::online(&login(server.direct(), "juliet")).unwrap();
    let mut romeo = Client::online(&login(server.direct(), "romeo")).unwrap();
    let body = "x".repeat(BODY_BYTES);
    for n in 0..MESSAGES {
        romeo
            .say("juliet@localhost", &n.to_string(), &body)
            .unwrap();
        // An answered ping, and no error before it: the message is safe.
        assert!(romeo.drain().unwrap().is_empty());
    }
    server.kill();
    let read = std::iter::from_fn(|| juliet.message().ok());
    let before: Vec<usize> = read.map(|message| number(&message)).collect();
    assert!(
        before.len() < MESSAGES,
        "juliet's socket took everything: nothing has been shown"
    );

    server.restart();
    let juliet = Client::online(&login(server.direct(), "juliet")).unwrap();
    let after: Vec<usize> = juliet.kept.iter().map(number).collect();
    for part in [&before, &after] {
        assert!(
            part.is_sorted_by(|a, b| a < b),
            "in order, each once: {part:?}"
        );
    }
    let all: BTreeSet<usize> = before.iter().chain(&after).copied().collect();
    let lost: Vec<usize> = (0..MESSAGES).filter(|n| !all.contains(n)).collect();
    assert!(
        lost.is_empty(),
        "acknowledged and lost: {lost:?} of {} before and {} after",
        before.len(),
        after.len()
    );
}

#[test]
fn who_falls_behind_and_reads_again_gets_each_once_and_in_order() {
    let server = Setup::new().start();
    server.users(&["romeo", "juliet"]);
    let login = |user: &str| Login::direct(server.direct(), user).mechanism(Mechanism::Plain);
    let mut juliet = Client::online(&login("juliet")).unwrap();
    let mut romeo = Client::online(&login("romeo")).unwrap();
    let body = "x".repeat(SMALL_BODY_BYTES);
    let mut send = move |numbers: std::ops::Range<usize>| {
        for n in numbers {
            romeo
                .say("juliet@localhost", &n.to_string(), &body)
                .unwrap();
        }
        let answers = romeo.drain().unwrap();
        assert!(answers.is_empty(), "{answers:?}");
    };
    send(0..SMALL_MESSAGES / 2);
    // The other half comes while she reads.
    let sender = std::thread::spawn(move || send(SMALL_MESSAGES / 2..SMALL_MESSAGES));
    for n in 0..SMALL_MESSAGES {
        let message = juliet.message().unwrap();
        assert_eq!(number(&message), n);
    }
    sender.join().unwrap();
    assert!(juliet.drain().unwrap().is_empty());
}
