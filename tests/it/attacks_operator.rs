//! Attacks on the operator's side: log, terminal, console, files, certificates (docs/security.md, T110 to T114).

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use crate::attacks::{ends_with, online};
use crate::harness::{Client, Login, Server, Setup, Via};

/// What moves a terminal's cursor or forges a line, as far as XML lets it pass: C1 controls, line ends.
const HOSTILE: &str = "a\u{9b}31m\u{9d}0;owned\u{9c}\u{85}b&#10;c&#13;d";

fn is_harmless(text: &str) -> bool {
    text.chars()
        .all(|letter| letter == '\n' || letter == '\t' || !letter.is_control())
}

#[test]
fn t110_hostile_text_forges_no_line_and_moves_no_cursor() {
    let server = Setup::new().start();
    server.users(&["alice", "bob"]);
    let mut trace = server
        .ctl_command(&["trace", "alice@localhost"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut watching = String::new();
    BufReader::new(trace.stderr.take().unwrap())
        .read_line(&mut watching)
        .unwrap();

    let mut stranger = Client::connect_to(server.starttls(), HOSTILE).unwrap();
    ends_with(&mut stranger);
    let mut stranger = Client::connect(server.direct(), Via::Direct).unwrap();
    stranger.features().unwrap();
    stranger
        .send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{HOSTILE}'>{HOSTILE}</auth>"
        ))
        .unwrap();
    stranger
        .expect("failure", |element| element.name() == "failure")
        .unwrap();

    let mut alice = online(&server, "alice");
    alice
        .send(&format!(
            "<presence><show>{HOSTILE}</show><status>{HOSTILE}</status></presence>"
        ))
        .unwrap();
    alice
        .send(&format!("<message to='bob@localhost' type='chat' id='{HOSTILE}'><body x='{HOSTILE}'>{HOSTILE}</body></message>"))
        .unwrap();
    alice.drain().unwrap();
    let listed = server.ctl(&["session", "list"]);
    assert!(
        listed.stdout.contains("alice@localhost/desk"),
        "{}",
        listed.stdout
    );
    assert!(is_harmless(&listed.stdout), "{:?}", listed.stdout);
    drop(alice);

    let mut traced = String::new();
    let mut lines = BufReader::new(trace.stdout.take().unwrap());
    while !traced.contains("message") {
        assert!(
            lines.read_line(&mut traced).unwrap() > 0,
            "the trace goes on"
        );
    }
    trace.kill().unwrap();
    trace.wait().unwrap();
    lines.read_to_string(&mut traced).unwrap();
    assert!(is_harmless(&traced), "{traced:?}");
    for line in server.log().all() {
        assert!(is_harmless(&line), "{line:?}");
        assert!(
            !line.starts_with(['b', 'c', 'd']),
            "a line of its own: {line:?}"
        );
    }
}

/// Ports of 127.0.0.0/8 and elsewhere on which the daemon listens.
fn listening(server: &Server) -> BTreeSet<u16> {
    let links = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let sockets: BTreeSet<String> = links
        .filter_map(|link| fs::read_link(link.unwrap().path()).ok())
        .filter_map(|target| {
            let target = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            Some(target.to_owned())
        })
        .collect();
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let table =
            fs::read_to_string(format!("/proc/{}/net/{table}", server.pid())).unwrap_or_default();
        for row in table.lines().skip(1) {
            let columns: Vec<&str> = row.split_whitespace().collect();
            if columns[3] == "0A" && sockets.contains(columns[9]) {
                let (_, port) = columns[1].rsplit_once(':').unwrap();
                ports.insert(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[test]
fn t111_console_is_a_file_of_its_owner_and_no_port() {
    let server = Server::start();
    let mode = fs::metadata(server.setup().socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let configured = [server.starttls(), server.direct(), server.plain()];
    let ports = configured.iter().map(|addr| addr.port()).collect();
    assert_eq!(listening(&server), ports);
}

#[test]
fn t111_a_console_client_that_talks_nonsense_is_dropped() {
    let server = Server::start();
    for nonsense in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "{".repeat(100_000),
        "\0".repeat(100),
        format!("\"{}\n", "x".repeat(3_000_000)),
    ] {
        let mut socket = UnixStream::connect(server.setup().socket()).unwrap();
        // It may be dropped before all is said.
        let _ = socket.write_all(nonsense.as_bytes());
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() < 10_000);
    }
    assert_eq!(server.ctl(&["summary"]).code, Some(0));
}

fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn t112_what_the_server_keeps_is_its_owners_alone() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut found = Vec::new();
    files(&server.setup().data(), &mut found);
    assert!(
        found
            .iter()
            .any(|path| path.extension().is_some_and(|end| end == "db")),
        "{found:?}"
    );
    for path in found {
        // A certificate is shown to everybody who connects.
        let public = fs::read_to_string(&path)
            .is_ok_and(|text| text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert!(public || mode & 0o077 == 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn t114_a_half_written_certificate_changes_nothing() {
    let setup = Setup::new();
    let file = setup.directory().join("own.pem");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let good = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(&file, &good).unwrap();
    let server = setup
        .config("xmpp_listener { tls_certificate = \"own.pem\" }\n")
        .start();
    server.users(&["alice"]);
    let another = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for bad in [
        String::new(),
        good[..good.len() / 2].to_owned(),
        made.cert.pem() + &another.signing_key.serialize_pem(),
    ] {
        let place = server.log().place();
        fs::write(&file, bad).unwrap();
        server.signal(rustix::process::Signal::HUP);
        server.log().wait_from(place, "a refusal", |line| {
            line.contains("old one stays in force")
                || line.contains("old configuration stays in force")
        });
        Client::login(&Login::direct(server.direct(), "alice")).expect("the old one stays");
    }
}
