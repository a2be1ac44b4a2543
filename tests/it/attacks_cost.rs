//! Attacks on memory, disk and time by those who may log in (docs/security.md, T63 to T79).

use std::time::Duration;

use crate::attacks::{SLACK, condition, ends_with, online, resident};
use crate::harness::{Client, Login, Server, Setup};

#[test]
fn t63_a_full_mailbox_refuses_and_spares_the_others() {
    const MOST: usize = 5;
    let server = Setup::new().config("offline_max_messages = 5\n").start();
    server.users(&["mallory", "carol", "dave"]);
    let mut mallory = online(&server, "mallory");
    for number in 0..MOST + 3 {
        mallory
            .say("carol@localhost", &format!("c{number}"), "spam")
            .unwrap();
    }
    mallory.say("dave@localhost", "d0", "hello").unwrap();
    let refused = mallory.drain().unwrap();
    let ids: Vec<_> = refused
        .iter()
        .filter_map(|error| error.attr("id"))
        .collect();
    assert_eq!(ids, ["c5", "c6", "c7"]);
    for error in &refused {
        assert_eq!(condition(error), "resource-constraint");
    }
    for (user, kept) in [("carol", MOST), ("dave", 1)] {
        let mut reader = away(&server, user);
        for _ in 0..kept {
            reader.message().unwrap();
        }
        assert!(reader.drain().unwrap().is_empty());
    }
}

/// `user` comes back and gets what was kept.
fn away(server: &Server, user: &str) -> Client {
    let mut client = Client::login(&Login::direct(server.direct(), user)).unwrap();
    client.send("<presence/>").unwrap();
    client
}

#[test]
fn t75_a_flood_of_requests_keeps_nobody_waiting_and_is_bounded() {
    const PINGS: usize = 20_000;
    let server = Setup::new().workers(1).start();
    server.users(&["mallory", "alice"]);
    let mut alice = online(&server, "alice");
    let mut mallory = online(&server, "mallory");
    let before = resident(&server);
    let flood =
        "<iq type='get' id='f' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>".repeat(PINGS);
    // It reads no answer; once the server reads no more of it, this waits for ever, until the server is gone.
    let flooding = std::thread::spawn(move || {
        let _ = mallory.send(&flood);
        mallory
    });
    for _ in 0..20 {
        alice.drain().expect("an answer while the other floods");
    }
    assert!(resident(&server) < before + SLACK);
    drop(server);
    drop(flooding.join());
}

/// A server with small kernel buffers, so that a reader that stops is felt soon.
fn small_buffers(more: &str) -> Server {
    let config = format!(
        "xmpp_listener {{ tcp_send_buffer_size = 8192\n max_stanza_size = 65536 }}\n{more}"
    );
    let server = Setup::new().config(&config).start();
    server.users(&["bob", "carol", "mallory"]);
    server
}

/// 8 KB messages to bob, by one who reads what comes back.
fn pour(mallory: &mut Client, count: usize) {
    let body = "x".repeat(8000);
    for number in 0..count {
        let id = format!("m{number}");
        mallory.say("bob@localhost", &id, &body).unwrap();
        if number % 20 == 0 {
            mallory.drain().unwrap();
        }
    }
    mallory.drain().unwrap();
}

#[test]
fn t79_a_reader_that_stops_is_bounded_and_then_closed() {
    let server =
        small_buffers("outbox_size = 65536\noutbox_stall = 1\noffline_max_messages = 100\n");
    let bob = online(&server, "bob");
    let mut mallory = online(&server, "mallory");
    let before = resident(&server);
    pour(&mut mallory, 1500);
    assert!(resident(&server) < before + SLACK);
    let closing = |line: &str| {
        line.contains("closing a session that does not read") && line.contains("bob@localhost")
    };
    server.log().wait("the session's end", closing);
    mallory.drain().expect("the sender goes on");
    drop(bob);
    // What was not written was kept, as far as there was room.
    let mut bob = away(&server, "bob");
    bob.message().unwrap();
}

#[test]
fn t79_memory_above_the_hard_limit_closes_who_reads_least() {
    let server = small_buffers(
        "memory_soft_limit = 0\nmemory_hard_limit = 1048576\noutbox_size = 16777216\noutbox_stall = 600\n",
    );
    let mut bob = online(&server, "bob");
    let mut carol = online(&server, "carol");
    let mut mallory = online(&server, "mallory");
    pour(&mut mallory, 1000);
    let closing = |line: &str| {
        line.contains("closing a session for want of memory") && line.contains("bob@localhost")
    };
    server.log().wait("the session's end", closing);
    assert_eq!(ends_with(&mut bob), "resource-constraint");
    carol.drain().expect("a healthy session stays");
    mallory.drain().expect("the sender goes on");
    let told = server.log().all();
    assert_eq!(
        told.iter()
            .filter(|line| line.contains("for want of memory"))
            .count(),
        1
    );
    assert!(carol.next_within(Duration::ZERO).unwrap().is_none());
}
