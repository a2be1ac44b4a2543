//! Every stream error that the server sends, with the conversation that provokes it (RFC 6120 §4.9.3, docs/errors.md).

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use stanzad::stream::StreamCondition;

use crate::attacks::{add, ends_with, login_at, online, stream_error};
use crate::docs::errors_listed;
use crate::harness::{Client, PATIENCE, Server, Setup, Via};

/// How a condition is provoked.
enum How {
    /// By this conversation, which gives the condition that it met.
    Says(fn(&Server) -> String),
    /// By the test of that name, which needs a server of its own.
    Test(&'static str),
    /// Not from outside: where the server itself says it.
    Inside(&'static str),
}
use How::{Inside, Says, Test};

const TABLE: &[(StreamCondition, How)] = &[
    (StreamCondition::BadFormat, Says(|at| sent(at, "hello"))),
    (StreamCondition::Conflict, Says(same_resource)),
    (
        StreamCondition::ConnectionTimeout,
        Test("a_silent_peer_hears_that_its_time_is_over"),
    ),
    (
        StreamCondition::HostGone,
        Test("sessions_of_a_domain_that_goes_hear_so"),
    ),
    (
        StreamCondition::HostUnknown,
        Says(|at| headed(at, "to='elsewhere.example' version='1.0'")),
    ),
    (
        StreamCondition::ImproperAddressing,
        Says(|at| headed(at, "version='1.0'")),
    ),
    (
        StreamCondition::InternalServerError,
        Inside("a panic in a session; src/stream/negotiate: an event out of its order"),
    ),
    (
        StreamCondition::InvalidFrom,
        Says(|at| sent(at, "<presence from='bob@localhost'/>")),
    ),
    (
        StreamCondition::InvalidNamespace,
        Says(|at| {
            refused(
                at,
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>",
            )
        }),
    ),
    (StreamCondition::NotAuthorized, Says(too_early)),
    (
        StreamCondition::NotWellFormed,
        Says(|at| sent(at, "<message><body></message>")),
    ),
    (StreamCondition::PolicyViolation, Says(too_big)),
    (
        StreamCondition::ResourceConstraint,
        Test("t79_memory_above_the_hard_limit_closes_who_reads_least"),
    ),
    (
        StreamCondition::RestrictedXml,
        Says(|at| sent(at, "<!-- hello -->")),
    ),
    (
        StreamCondition::SystemShutdown,
        Test("sessions_hear_that_the_server_stops"),
    ),
    (
        StreamCondition::UndefinedCondition,
        Test("t33_who_acknowledges_what_it_was_not_sent_is_closed_and_told_the_numbers"),
    ),
    (
        StreamCondition::UnsupportedEncoding,
        Says(|at| {
            refused(
                at,
                "<?xml version='1.0' encoding='ISO-8859-1'?><stream:stream>",
            )
        }),
    ),
    (
        StreamCondition::UnsupportedFeature,
        Inside("the log's word for <starttls/> that was not offered, answered with <failure/>"),
    ),
    (
        StreamCondition::UnsupportedStanzaType,
        Says(|at| sent(at, "<stanza/>")),
    ),
    (
        StreamCondition::UnsupportedVersion,
        Says(|at| headed(at, "to='localhost'")),
    ),
];

/// What alice, who is online, hears when she sends this.
fn sent(server: &Server, xml: &str) -> String {
    stream_error(&mut online(server, "alice"), xml)
}

/// What the server has said to these first bytes when it closes the connection.
fn answer(addr: SocketAddr, bytes: &str) -> String {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).unwrap();
    said
}

/// The stream error behind a header of the server's own.
fn refused(server: &Server, bytes: &str) -> String {
    condition_of(&answer(server.starttls(), bytes))
}

fn condition_of(said: &str) -> String {
    assert!(said.contains("<stream:stream "), "{said}");
    let (_, error) = said.split_once("<stream:error><").unwrap();
    assert!(error.ends_with("</stream:error></stream:stream>"), "{said}");
    error.split([' ', '/']).next().unwrap().to_owned()
}

fn headed(server: &Server, attributes: &str) -> String {
    refused(
        server,
        &format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' {attributes}>"
        ),
    )
}

fn same_resource(server: &Server) -> String {
    let mut older = online(server, "alice");
    let mut newer = online(server, "alice");
    let condition = ends_with(&mut older);
    newer.drain().expect("the newer one stays");
    condition
}

fn too_early(server: &Server) -> String {
    let mut stranger = Client::connect(server.direct(), Via::Direct).unwrap();
    stranger.features().unwrap();
    stream_error(&mut stranger, "<message to='alice@localhost'/>")
}

fn too_big(server: &Server) -> String {
    let mut alice = online(server, "alice");
    let huge = format!("<message><body>{}</body></message>", "x".repeat(300_000));
    // The server may have heard enough, and closed, before everything is sent.
    let _ = alice.send(&huge);
    let error = alice
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    // XEP-0205 §4 says more precisely what was too much.
    assert!(
        error.child("stanza-too-big", "urn:xmpp:errors").is_some(),
        "{error}"
    );
    error.elements().next().unwrap().name().to_owned()
}

#[test]
fn every_stream_error_has_its_conversation() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let listed: Vec<_> = TABLE.iter().map(|(condition, _)| *condition).collect();
    assert_eq!(listed, StreamCondition::ALL);
    for (condition, how) in TABLE {
        if let Says(conversation) = how {
            assert_eq!(conversation(&server), condition.name());
        }
    }
}

#[test]
fn the_manual_lists_every_stream_error() {
    let listed = errors_listed("Stream errors");
    assert_eq!(listed.len(), 25, "RFC 6120 §4.9.3 has 25");
    for (name, means) in &listed {
        let row = TABLE
            .iter()
            .find(|(condition, _)| condition.name() == name.as_str());
        match row {
            None => assert!(means.starts_with("never: "), "{name}: {means}"),
            Some((_, Test(test) | Inside(test))) => {
                assert!(means.contains(test), "{name}: {means}");
            }
            Some((_, Says(_))) => assert!(!means.starts_with("never: "), "{name}: {means}"),
        }
    }
}

#[test]
fn a_silent_peer_hears_that_its_time_is_over() {
    let server = Setup::new()
        .config("xmpp_listener { login_time = 1 }\n")
        .start();
    assert_eq!(refused(&server, ""), "connection-timeout");
}

#[test]
fn sessions_hear_that_the_server_stops() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(ends_with(&mut alice), "system-shutdown");
}

#[test]
fn sessions_of_a_domain_that_goes_hear_so() {
    const SECOND: &str = "Domain \"gone.example\" { XMPP_Role = \"server\" }\n";
    let server = Setup::new().config(SECOND).start();
    server.users(&["alice"]);
    add(&server, "bob@gone.example");
    let mut alice = online(&server, "alice");
    let mut bob = login_at(&server, "gone.example", "bob");

    let file = server.setup().directory().join("stanzad.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(SECOND, "")).unwrap();
    let ended = server.ctl(&["config", "reload"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ends_with(&mut bob), "host-gone");
    alice.drain().expect("other domains stay");
}
