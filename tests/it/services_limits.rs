//! What a stream says of its limits (XEP-0478), and that it is what holds.

use stanzad::xml::Element;

use crate::attacks::ends_with;
use crate::harness::{Client, Login, Server, Setup, Via};

const LIMITS: &str = "urn:xmpp:stream-limits:0";
const COMPRESS: &str = "http://jabber.org/protocol/compress";

/// The bytes and the seconds that features tell.
fn limits(features: &Element) -> (usize, Option<u64>) {
    let limits = features.child("limits", LIMITS).unwrap();
    let number = |name| Some(limits.child(name, LIMITS)?.text().into_owned());
    let bytes = number("max-bytes").unwrap().parse().unwrap();
    (
        bytes,
        number("idle-seconds").map(|seconds| seconds.parse().unwrap()),
    )
}

/// What is told before the login and after it.
fn told(server: &Server) -> [(usize, Option<u64>); 2] {
    let login = Login::direct(server.direct(), "alice");
    let mut client = Client::connect(login.addr, login.via).unwrap();
    let before = limits(&client.features().unwrap());
    client.authenticate(&login).unwrap();
    client.open().unwrap();
    [before, limits(&client.features().unwrap())]
}

/// `open`, as much text as fits into `bytes` in all, and `close`.
fn filled(open: &str, close: &str, bytes: usize) -> String {
    let text = "x".repeat(bytes - open.len() - close.len());
    format!("{open}{text}{close}")
}

#[test]
fn the_sizes_that_are_told_are_the_sizes_that_are_taken() {
    let server = Setup::new()
        .config("xmpp_listener { max_stanza_size = 20000 max_stanza_size_before_auth = 2000 }\n")
        .start();
    server.users(&["alice"]);
    let [(before, _), (after, idle)] = told(&server);
    assert_eq!((before, after, idle), (2_000, 20_000, None));

    let mut client = Client::connect(server.direct(), Via::Direct).unwrap();
    client.features().unwrap();
    let open = format!("<compress xmlns='{COMPRESS}'><method>");
    let close = "</method></compress>";
    client.send(&filled(&open, close, before)).unwrap();
    let refused = client.expect("an answer", |_| true).unwrap();
    assert!(refused.is("failure", COMPRESS), "{refused}");
    client.send(&filled(&open, close, before + 1)).unwrap();
    assert_eq!(ends_with(&mut client), "policy-violation");

    let login = Login::direct(server.direct(), "alice").resource("desk");
    let mut alice = Client::online(&login).unwrap();
    let open = "<message type='chat' id='m' to='alice@localhost/desk'><body>";
    let close = "</body></message>";
    alice.send(&filled(open, close, after)).unwrap();
    assert_eq!(alice.message().unwrap().attr("id"), Some("m"));
    alice.send(&filled(open, close, after + 1)).unwrap();
    assert_eq!(ends_with(&mut alice), "policy-violation");
}

#[test]
fn the_silence_that_is_told_is_the_silence_that_ends_a_stream() {
    let config = "xmpp_listener { login_time = 15 handshake_time = 15 idle_time = 5 }\n";
    let server = Setup::new().config(config).start();
    server.users(&["alice"]);
    let [(_, before), (_, after)] = told(&server);
    assert_eq!((before, after), (Some(15), Some(5)));
    let mut newcomer = Client::connect(server.direct(), Via::Direct).unwrap();
    newcomer.features().unwrap();
    let login = Login::direct(server.direct(), "alice").resource("desk");
    let mut alice = Client::login(&login).unwrap();
    assert_eq!(ends_with(&mut alice), "connection-timeout");
    assert_eq!(ends_with(&mut newcomer), "connection-timeout");
}
