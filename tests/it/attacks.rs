//! What the tests of known attacks share. `docs/security.md` lists the attacks, by number, with their tests.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use stanzad::xml::Element;

use crate::harness::{Client, Login, PATIENCE, Server};

const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// How long nothing has to come before we say that nothing comes.
pub const QUIET: Duration = Duration::from_millis(200);

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// Memory that a debug build may take beside what a test is about: allocator slack, TLS, logs.
pub const SLACK: usize = 12 << 20;

/// `user` is there, at `desk`, and available.
pub fn online(server: &Server, user: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource("desk")).unwrap()
}

/// `user` of another domain than localhost has logged in, without TLS.
pub fn login_at(server: &Server, domain: &str, user: &str) -> Client {
    let mut client = Client::connect_to(server.plain(), domain).unwrap();
    client.features().unwrap();
    client
        .authenticate(&Login::direct(server.plain(), user))
        .unwrap();
    client.open().unwrap();
    client.features().unwrap();
    let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind>";
    let bound = ask(&mut client, &format!("<iq type='set' id='q'>{bind}</iq>"));
    assert_eq!(bound.attr("type"), Some("result"), "{bound}");
    client
}

/// Makes a user, with the password `secret`.
pub fn add(server: &Server, jid: &str) {
    let ended = server.ctl_with_input(&["user", "add", jid, "--password-stdin"], "secret\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// The condition of the stream error that comes, and that the stream ends behind it.
pub fn ends_with(client: &mut Client) -> String {
    let error = client
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    let condition = error.elements().find(|element| element.ns() == STREAMS);
    let condition = condition.unwrap().name().to_owned();
    client
        .expect("the end", |_| false)
        .expect_err("a stream error ends the stream");
    condition
}

/// The stream error that `xml` brings.
pub fn stream_error(client: &mut Client, xml: &str) -> String {
    // The server may have heard enough, and closed, before everything is sent.
    let _ = client.send(xml);
    ends_with(client)
}

/// The condition of a stanza error.
pub fn condition(stanza: &Element) -> &str {
    assert_eq!(stanza.attr("type"), Some("error"), "{stanza}");
    let error = stanza.child("error", stanza.ns()).unwrap();
    let condition = error.elements().find(|element| element.ns() == STANZAS);
    condition.unwrap().name()
}

/// Sends an iq with the id `q` and gives its answer.
pub fn ask(client: &mut Client, xml: &str) -> Element {
    client.send(xml).unwrap();
    client
        .expect("answer to an iq", |element| {
            element.name() == "iq" && element.attr("id") == Some("q")
        })
        .unwrap()
}

/// Bytes of the daemon's memory that are resident.
pub fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

/// Waits until `is_so`.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(LOOK);
    }
}

/// A socket whose peer has to be told nothing: reads do not block.
pub fn socket(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Whether the server has closed it. What it says before is thrown away.
pub fn is_closed(socket: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
