//! `stanzactl chat`: a user at a pipe, against a real daemon.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Client, Ended, Login, Program, Server};

/// alice, with `to` and options behind.
fn alice(server: &Server, more: &[&str]) -> Program {
    let args = ["chat", "alice@localhost", "--password-stdin"];
    let mut chat = Program::start(&mut server.ctl_command(&[&args, more].concat()));
    chat.say("secret");
    chat.shown.wait("a login", |line| {
        line.starts_with("alice@localhost is online")
    });
    chat
}

/// A whole conversation at once.
fn chat(server: &Server, options: &[&str], lines: &str) -> Ended {
    let args = [
        &[
            "chat",
            "alice@localhost",
            "echo@localhost",
            "--password-stdin",
        ],
        options,
    ];
    server.ctl_with_input(&args.concat(), &format!("secret\n{lines}"))
}

/// The lines that were shown, without the time.
fn texts(ended: &Ended) -> Vec<&str> {
    let lines = ended.stdout.lines().skip(1);
    lines
        .map(|line| line.split_once("  ").map_or(line, |(_, text)| text))
        .collect()
}

#[test]
fn a_pipe_sends_its_lines_shows_the_answers_and_ends() {
    let server = Server::start();
    server.users(&["alice"]);
    for tls in ["direct", "starttls"] {
        let ended = chat(&server, &["--tls", tls], "hello\nonce more\n");
        assert_eq!(ended.code, Some(0), "{tls}: {}", ended.stderr);
        assert_eq!(
            texts(&ended),
            ["echo@localhost: hello", "echo@localhost: once more"],
            "{tls}"
        );
        assert_eq!(ended.stderr, "");
    }
    let ended = chat(&server, &[], "hello\n/quit\nnever sent\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        texts(&ended),
        ["echo@localhost: hello"],
        "sent before /quit, shown after it"
    );
}

#[test]
fn two_users_talk() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = Client::online(&Login::direct(server.direct(), "bob")).unwrap();
    let mut alice = alice(&server, &[]);
    alice.say("nobody is named");
    alice.sees("to whom?");
    alice.say("bob@localhost: hello <bob> & \"all\"");
    let message = bob.message().unwrap();
    let body = message.child("body", "jabber:client").unwrap();
    assert_eq!(body.text(), "hello <bob> & \"all\"");
    let from = message.attr("from").unwrap().to_owned();
    bob.say(&from, "b1", "hello alice").unwrap();
    alice.sees("bob@localhost: hello alice");
    alice.say("/to nobody@localhost");
    alice.say("are you there?");
    alice.sees("nobody@localhost did not get your message: there is nobody of that address");
    let ended = alice.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn messages_that_were_kept_are_shown_as_such() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = Client::online(&Login::direct(server.direct(), "bob")).unwrap();
    bob.say("alice@localhost", "b1", "while you were away")
        .unwrap();
    bob.drain().unwrap();
    let ended = chat(&server, &["--until", "while you were"], "");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        texts(&ended),
        ["(kept for you) bob@localhost: while you were away"]
    );
}

#[test]
fn scripts_wait_for_a_text_and_read_json() {
    let server = Server::start();
    server.users(&["alice"]);
    let ended = chat(
        &server,
        &["--until", "no such answer", "--wait", "1"],
        "hello\n",
    );
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "stanzactl: `no such answer` did not come within 1 seconds\n"
    );

    let file = server.setup().directory().join("password");
    fs::write(&file, "secret\n").unwrap();
    let args = [
        "--json",
        "chat",
        "alice@localhost",
        "echo@localhost",
        "--password-file",
    ];
    let args = [&args[..], &[file.to_str().unwrap(), "--until", "hello"]].concat();
    let ended = server.ctl_with_input(&args, "hello\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "message");
    assert_eq!(last["from"], "echo@localhost");
    assert_eq!(last["text"], "hello");
}

#[test]
fn wrong_passwords_and_domains_are_told_with_what_to_do() {
    let server = Server::start();
    server.users(&["alice"]);
    let args = ["chat", "alice@localhost", "--password-stdin"];
    let ended = server.ctl_with_input(&args, "wrong\n");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .message()
            .contains("`stanzactl user add alice@localhost` makes it"),
        "{}",
        ended.stderr
    );
    let ended = server.ctl_with_input(&["chat", "alice@elsewhere.example"], "");
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "stanzactl: the daemon here does not serve `elsewhere.example`\n  it serves localhost; --connect HOST:PORT \
         names another server\n"
    );
    assert_eq!(server.ctl(&["chat", "localhost"]).code, Some(2));
    assert_eq!(
        server
            .ctl(&["chat", "alice@localhost", "--fingerprint", "AB"])
            .code,
        Some(2)
    );
}

#[test]
fn a_server_that_goes_is_told() {
    let mut server = Server::start();
    server.users(&["alice"]);
    let mut chat = alice(&server, &[]);
    server.signal(Signal::TERM);
    server.wait();
    chat.wait();
    let ended = chat.end();
    assert_eq!(ended.code, Some(3));
    assert_eq!(
        ended.stderr,
        "stanzactl: the server ended the connection: it is stopping (system-shutdown)\n"
    );

    server.restart();
    let mut chat = alice(&server, &[]);
    server.kill();
    chat.wait();
    let ended = chat.end();
    assert_eq!(ended.code, Some(3));
    assert!(
        ended
            .stderr
            .starts_with("stanzactl: the connection is lost: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn t110_what_a_peer_writes_does_not_reach_the_terminal_s_control() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = Client::online(&Login::direct(server.direct(), "bob")).unwrap();
    let mut alice = alice(&server, &[]);
    alice.say("bob@localhost: hi");
    let to = bob.message().unwrap().attr("from").unwrap().to_owned();
    bob.say(
        &to,
        "b1",
        "a&#x9b;2Jb&#x202e;c&#13;d&#10;23:59  root@localhost: e",
    )
    .unwrap();
    let shown = alice.sees("bob@localhost: a");
    assert!(
        shown.ends_with("a\u{fffd}2Jb\u{fffd}c\u{fffd}d"),
        "{shown:?}"
    );
    let forged = alice.sees("root@localhost");
    assert!(forged.starts_with("       | 23:59"), "{forged:?}");
    assert_eq!(alice.end().code, Some(0));
}

#[test]
fn t123_a_certificate_that_nobody_vouches_for_gets_no_password() {
    let server = Server::start();
    server.users(&["alice"]);
    let connect = server.starttls().to_string();
    let wrong = "00".repeat(32);
    let ended = chat(
        &server,
        &["--connect", &connect, "--fingerprint", &wrong],
        "hello\n",
    );
    assert_eq!(ended.code, Some(3));
    assert!(
        ended
            .stderr
            .contains("it is another than the one that was named"),
        "{}",
        ended.stderr
    );

    // Without a console nobody knows the certificate; its own words say how to go on.
    let elsewhere = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanzactl"));
        let place = tempfile::tempdir().unwrap();
        command
            .current_dir(place.path())
            .args([
                "--socket",
                "none.sock",
                "chat",
                "alice@localhost",
                "echo@localhost",
            ])
            .args(["--password-stdin", "--connect", &connect])
            .args(more);
        let mut chat = Program::start(&mut command);
        chat.say("secret");
        chat.say("hello");
        chat.end()
    };
    let ended = elsewhere(&[]);
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stderr.contains("nobody vouches for it"),
        "{}",
        ended.stderr
    );
    let advice = ended
        .stderr
        .trim_end()
        .rsplit_once("--fingerprint ")
        .unwrap()
        .1;
    let ended = elsewhere(&["--fingerprint", advice]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(texts(&ended), ["echo@localhost: hello"]);
}

#[test]
fn t123_a_server_without_tls_gets_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = listener.local_addr().unwrap().to_string();
    let stripped = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        BufReader::new(socket.try_clone().unwrap())
            .read_until(b'>', &mut heard)
            .unwrap();
        socket
            .write_all(
                b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
                  from='localhost' id='x'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                  <mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            )
            .unwrap();
        // A client that closes with our bytes unread resets the connection.
        let _ = socket.read_to_end(&mut heard);
        String::from_utf8(heard).unwrap()
    });
    let server = Server::start();
    let ended = chat(&server, &["--connect", &connect], "hello\n");
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.contains("offers no TLS"), "{}", ended.stderr);
    let heard = stripped.join().unwrap();
    assert!(
        !heard.contains("<auth") && !heard.contains("alice"),
        "{heard}"
    );
}
