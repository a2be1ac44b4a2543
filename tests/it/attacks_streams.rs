//! Attacks on streams, mostly before login: expansion, size, silence, smuggling (docs/security.md, T01 to T19).

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::attacks::{SLACK, is_closed, online, resident, socket, stream_error, until};
use crate::harness::{Client, Login, PATIENCE, Server, Setup, Via, connection};

/// Before login the server keeps a stanza's bytes, and a little for socket and stream.
const KEPT_BEFORE_LOGIN: usize = 40 * 1024;

fn laughs() -> String {
    let mut doctype = "<!DOCTYPE lolz [<!ENTITY lol0 'lol'>".to_owned();
    for level in 1..10 {
        let ten = format!("&lol{};", level - 1).repeat(10);
        write!(doctype, "<!ENTITY lol{level} '{ten}'>").unwrap();
    }
    doctype + "]><message><body>&lol9;</body></message>"
}

#[test]
fn t01_t02_entities_end_the_stream_and_cost_nothing() {
    let server = Server::start();
    server.users(&["alice"]);
    let before = resident(&server);
    let external = "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>".to_owned();
    for attack in [laughs(), external] {
        let mut stranger = Client::connect(server.starttls(), Via::Plain).unwrap();
        stranger.features().unwrap();
        assert_eq!(stream_error(&mut stranger, &attack), "restricted-xml");
        let mut alice = online(&server, "alice");
        assert_eq!(stream_error(&mut alice, &attack), "restricted-xml");
    }
    assert!(resident(&server) < before + SLACK);
}

#[test]
fn t05_an_endless_element_is_cut_off() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut stranger = Client::connect(server.starttls(), Via::Plain).unwrap();
    stranger.features().unwrap();
    let endless = format!("<auth>{}", "x".repeat(11_000));
    assert_eq!(stream_error(&mut stranger, &endless), "policy-violation");
    let mut alice = online(&server, "alice");
    let endless = format!("<message><body>{}", "x".repeat(263_000));
    assert_eq!(stream_error(&mut alice, &endless), "policy-violation");
}

#[test]
fn t05_what_is_kept_before_login_is_bounded() {
    const PEERS: usize = 200;
    let server = Server::start();
    let before = resident(&server);
    let unfinished = format!("<auth>{}", "x".repeat(9_000));
    let peers: Vec<Client> = (0..PEERS)
        .map(|_| {
            let mut peer = Client::connect(server.starttls(), Via::Plain).unwrap();
            peer.features().unwrap();
            peer.send(&unfinished).unwrap();
            peer
        })
        .collect();
    assert!(resident(&server) < before + PEERS * KEPT_BEFORE_LOGIN + SLACK);
    drop(peers);
}

#[test]
fn t06_silent_connections_are_counted_and_sent_away() {
    const MOST: usize = 20;
    let server = Setup::new()
        .config("xmpp_listener { login_time = 2  handshake_time = 1  max_unauthenticated_per_address = 20 }\n")
        .start();
    server.users(&["alice"]);
    // All from one address: nothing said, half a ClientHello, half a header.
    let said: [&[u8]; 3] = [
        b"",
        b"\x16\x03\x01\x02\x00\x01",
        b"<?xml version='1.0'?><stream:str",
    ];
    let mut peers: Vec<TcpStream> = (0..MOST + 10)
        .map(|number| {
            let addr = [server.direct(), server.direct(), server.starttls()][number % 3];
            let mut peer = socket(addr);
            // One that was refused may be closed already.
            let _ = peer.write_all(said[number % 3]);
            peer
        })
        .collect();
    until("those above the cap are refused", || {
        peers
            .iter_mut()
            .map(is_closed)
            .filter(|closed| *closed)
            .count()
            >= 10
    });
    until("the others are sent away in time", || {
        peers.iter_mut().all(is_closed)
    });
    until("the address may log in again", || {
        Client::login(&Login::direct(server.direct(), "alice")).is_ok()
    });
}

#[test]
fn t06_memory_above_the_soft_limit_refuses_newcomers() {
    let server = Setup::new().config("memory_soft_limit = 1048576\n").start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut crowd: Vec<TcpStream> = (0..64).map(|_| socket(server.direct())).collect();
    until("half the crowd is refused", || {
        crowd
            .iter_mut()
            .map(is_closed)
            .filter(|closed| *closed)
            .count()
            >= 30
    });
    server.log().wait("the reason", |line| {
        line.contains("memory_soft_limit is passed")
    });
    // What alice still had to read may have counted: others take the room that it leaves.
    until("the last is refused", || {
        let refused = crowd.last_mut().is_some_and(is_closed);
        crowd.push(socket(server.direct()));
        refused
    });
    Client::login(&Login::direct(server.direct(), "bob"))
        .err()
        .expect("no login while memory is short");
    alice.drain().expect("whoever is there stays");
    let told = server.log().all();
    let reasons = told
        .iter()
        .filter(|line| line.contains("memory_soft_limit is passed"));
    assert_eq!(reasons.count(), 1, "it is said once, not for each");
    drop(crowd);
    until("bob may log in", || {
        Client::login(&Login::direct(server.direct(), "bob")).is_ok()
    });
}

#[test]
fn t06_memory_above_the_hard_limit_closes_the_newest() {
    let server = Setup::new()
        .config("memory_soft_limit = 0\nmemory_hard_limit = 1048576\n")
        .start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut crowd: Vec<TcpStream> = (0..64).map(|_| socket(server.direct())).collect();
    until("half the crowd is closed", || {
        crowd
            .iter_mut()
            .map(is_closed)
            .filter(|closed| *closed)
            .count()
            >= 31
    });
    server.log().wait("the reason", |line| {
        line.contains("memory_hard_limit is passed")
    });
    assert!(!is_closed(&mut crowd[0]), "the oldest stays");
    alice.drain().expect("whoever is there stays");
}

#[test]
fn t07_t08_t09_t10_floods_end_their_stream_and_no_other() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob");
    let prefixes = (0..200).fold(String::new(), |all, n| all + &format!(" xmlns:p{n}='n{n}'"));
    let attributes = (0..200).fold(String::new(), |all, n| all + &format!(" a{n}=''"));
    let name = "n".repeat(1000);
    for (attack, condition) in [
        (
            format!("<message>{}", "<a/>".repeat(11_000)),
            "policy-violation",
        ),
        (
            format!("<message>{}", "<a>".repeat(1_000)),
            "policy-violation",
        ),
        (format!("<message{prefixes}/>"), "policy-violation"),
        (format!("<message{attributes}/>"), "policy-violation"),
        (format!("<message {name}=''/>"), "policy-violation"),
        ("<message a='' a=''/>".to_owned(), "not-well-formed"),
        ("<message xmlns:xmlns='x'/>".to_owned(), "not-well-formed"),
    ] {
        let mut alice = online(&server, "alice");
        let said = stream_error(&mut alice, &attack);
        assert_eq!(said, condition, "{}", &attack[..attack.len().min(60)]);
    }
    bob.drain().expect("others go on");
}

#[test]
fn t11_compression_is_neither_offered_nor_taken() {
    let server = Server::start();
    server.users(&["alice"]);
    let compress =
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>";
    let mut stranger = Client::connect(server.starttls(), Via::Plain).unwrap();
    let features = stranger.features().unwrap();
    assert!(!features.to_string().contains("compress"), "{features}");
    stranger.send(compress).unwrap();
    let failure = stranger
        .expect("failure", |element| element.name() == "failure")
        .unwrap();
    assert!(
        failure.to_string().contains("unsupported-method"),
        "{failure}"
    );
    let mut alice = online(&server, "alice");
    assert_eq!(
        stream_error(&mut alice, compress),
        "unsupported-stanza-type"
    );
}

#[test]
fn t12_nothing_that_one_client_sends_becomes_two_stanzas_for_another() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob");
    let forged = "<message from='localhost' id='forged'><body>you won</body></message>";
    let escaped = forged.replace('<', "&lt;");
    let attacks = [
        format!("<message to='bob@localhost' type='chat' id='a'><body><![CDATA[</body></message>{forged}]]></body></message>"),
        format!("<message to='bob@localhost' type='chat' id='a'><body>{escaped}</body></message>"),
        format!("<message to='bob@localhost' type='chat' id='a'><body x=\"{escaped}\">x</body></message>"),
        format!("<message to='bob@localhost' type='chat' id='a'><body>x</body></message ></stream:stream>{forged}"),
        format!("<message to='bob@localhost' type='chat' id='a'><stream:stream to='x'><body>x</body></stream:stream></message>{forged}"),
        format!("<message to='bob@localhost' type='chat' id='a'><body xmlns:stream='x'><stream:error/></body></message>{forged}"),
        format!("<message to='bob@localhost' type='chat' id='a'><body>]]></body></message>{forged}"),
        format!("<message to='bob@localhost' type='chat' id='a'><body>\u{fffe}</body></message>{forged}"),
        format!("<message to='bob@localhost' type='chat' id='a'><x xmlns='a&#10;b'/><body>x</body></message>{forged}"),
        "<message to='bob@localhost' type='chat' id='a' xmlns='jabber:server'><body>x</body></message>".to_owned(),
    ];
    for attack in attacks {
        let mut alice = online(&server, "alice");
        alice.send(&attack).unwrap();
        // Whether the stream goes on or has ended: what it sent has been handled.
        let _ = alice.drain();
        for message in bob.drain().unwrap() {
            let from = message.attr("from");
            assert!(
                from == Some("alice@localhost/desk"),
                "{attack} became {message}"
            );
            assert!(message.attr("id") != Some("forged") || message.attr("to").is_none());
        }
    }
    bob.drain().expect("bob's stream goes on");
}

#[test]
fn t15_key_updates_without_end_close_their_connection() {
    // The time for a login is not what closes it.
    let server = Setup::new()
        .config("xmpp_listener { login_time = 600 }\n")
        .start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut socket = TcpStream::connect(server.direct()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = connection("localhost");
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    let mut flood = || -> std::io::Result<()> {
        for _ in 0..1_000 {
            tls.refresh_traffic_keys().map_err(std::io::Error::other)?;
            while tls.wants_write() {
                tls.write_tls(&mut socket)?;
            }
        }
        let mut buffer = [0; 4096];
        while socket.read(&mut buffer)? > 0 {}
        Ok(())
    };
    if let Err(error) = flood() {
        let waits = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(!waits.contains(&error.kind()), "it is not closed: {error}");
    }
    alice.drain().expect("others go on");
}

#[test]
fn t17_nothing_of_the_negotiation_is_taken_after_it() {
    let server = Server::start();
    server.users(&["alice"]);
    let sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    for element in [
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        &format!("<auth {sasl} mechanism='PLAIN'>AGJvYgBzZWNyZXQ=</auth>"),
        &format!("<response {sasl}/>"),
        &format!("<success {sasl}/>"),
        &format!("<abort {sasl}/>"),
        "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>",
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>",
        "<iq xmlns='jabber:server' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        let mut alice = online(&server, "alice");
        let said = stream_error(&mut alice, element);
        assert_eq!(said, "unsupported-stanza-type", "{element}");
    }
    // A second bind, a session of old: an answer, and the session as it was.
    let mut alice = online(&server, "alice");
    let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>other</resource></bind>";
    let answer = alice
        .ask("b", &format!("<iq type='set' id='b'>{bind}</iq>"))
        .unwrap();
    assert_eq!(answer.attr("type"), Some("error"), "{answer}");
    alice.say("alice@localhost", "m", "who am I?").unwrap();
    let message = alice.message().unwrap();
    assert_eq!(message.attr("from"), Some("alice@localhost/desk"));
}

#[test]
fn t56_unknown_domains_are_refused_and_fill_no_log() {
    let server = Server::start();
    for number in 0..50 {
        let domain = format!("guess{number}.example");
        let mut stranger = Client::connect_to(server.starttls(), &domain).unwrap();
        assert_eq!(crate::attacks::ends_with(&mut stranger), "host-unknown");
    }
    let told = server.log().all();
    let lines: Vec<_> = told.iter().filter(|line| line.contains("guess")).collect();
    assert!(lines.is_empty(), "{lines:?}");
}
