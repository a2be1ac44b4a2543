//! Domains by pattern, in a running daemon: who may open a stream, who may be a user, which certificate is shown.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use stanzad::net::tls::Certificate;

use crate::harness::{Client, PATIENCE, Setup, connection};

const DOMAINS: &str = r#"
Domain "/^[a-z]+[.]team[.]example$/" { XMPP_Role = "server"  tls_certificate = "team.pem" }
Domain "out.team.example" { XMPP_Role = "client" }
Domain "own.team.example" { XMPP_Role = "server"  tls_certificate = "own.pem" }
"#;

/// Makes a certificate with its key in one file, and gives the certificate.
fn pem(dir: &Path, name: &str) -> CertificateDer<'static> {
    let made = tempfile::tempdir().unwrap();
    Certificate::self_signed(made.path(), "any.example").unwrap();
    let mut text = Vec::new();
    for entry in fs::read_dir(made.path()).unwrap() {
        text.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    fs::write(dir.join(name), &text).unwrap();
    CertificateDer::from_pem_slice(&text).unwrap()
}

/// The certificate that the daemon shows to who asks for `domain`.
fn shown(addr: SocketAddr, domain: &str) -> CertificateDer<'static> {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = connection(domain);
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    tls.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn patterns_decide_streams_users_and_certificates() {
    let setup = Setup::new().config(DOMAINS);
    let team = pem(setup.directory(), "team.pem");
    let own = pem(setup.directory(), "own.pem");
    let server = setup.start();

    let features = |domain: &str| {
        let mut client = Client::connect_to(server.starttls(), domain).unwrap();
        client.features().is_ok()
    };
    assert!(features("localhost"));
    assert!(features("blue.team.example"));
    assert!(!features("out.team.example"), "its own scope goes first");
    assert!(!features("blue.team.example.elsewhere.example"));
    assert!(!features("a.b.team.example"));

    let add =
        |jid: &str| server.ctl_with_input(&["user", "add", jid, "--password-stdin"], "secret\n");
    let bob = add("bob@blue.team.example");
    assert_eq!(bob.code, Some(0), "{}", bob.stderr);
    let refused = add("bob@blue.example");
    assert_eq!(refused.code, Some(1));
    let served = "served here: localhost, own.team.example, /^[a-z]+[.]team[.]example$/";
    assert!(refused.message().contains(served), "{}", refused.stderr);

    assert_eq!(shown(server.direct(), "blue.team.example"), team);
    assert_eq!(shown(server.direct(), "own.team.example"), own);
    let default = shown(server.direct(), "localhost");
    assert!(default != team && default != own);
}
