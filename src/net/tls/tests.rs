//! The driver over loopback sockets, against rustls' own client; certificates in a temporary directory.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tokio::net::TcpListener;

use super::*;

type Client = StreamOwned<ClientConnection, StdStream>;

/// Two domains, and the roots that trust both.
struct Server {
    settings: ServerSettings,
    roots: RootCertStore,
    dir: tempfile::TempDir,
}

fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let mut roots = RootCertStore::empty();
    let mut certificate = |domain: &str| {
        let made = Certificate::self_signed(dir.path(), domain).unwrap();
        let der = made.certified_key().cert.first().unwrap().clone();
        roots.add(der).unwrap();
        made
    };
    let mut identities = Identities::new(certificate("localhost"));
    identities.add("b.example", certificate("b.example"));
    Server {
        settings: identities.into_settings().unwrap(),
        roots,
        dir,
    }
}

fn client_config(server: &Server, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(server.roots.clone())
        .with_no_client_auth()
}

fn connect(addr: SocketAddr, config: ClientConfig, name: &'static str) -> Client {
    let name = ServerName::try_from(name).unwrap();
    let conn = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(conn, StdStream::connect(addr).unwrap())
}

/// Runs `client` in a thread, and `serve` with the accepted socket, handshake not yet begun.
fn session<C, S, T>(
    client: impl FnOnce(SocketAddr) -> C + Send + 'static,
    serve: impl FnOnce(Tls) -> S,
) -> (T, C)
where
    C: Send + 'static,
    S: Future<Output = T>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let thread: JoinHandle<C> = std::thread::spawn(move || client(addr));
        let (tcp, _) = listener.accept().await.unwrap();
        let out = serve(Tls::new(tcp)).await;
        (out, thread.join().unwrap())
    })
}

async fn handshake(tls: &mut Tls, server: &ServerSettings) -> io::Result<()> {
    tls.start(server.for_domain(None)).unwrap();
    poll_fn(|cx| tls.poll_handshake(cx)).await
}

async fn read_all(tls: &mut Tls) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match poll_fn(|cx| tls.poll_read(cx, &mut buf)).await.unwrap() {
            0 => return out,
            len => out.extend_from_slice(&buf[..len]),
        }
    }
}

async fn write_all(tls: &mut Tls, mut data: &[u8]) {
    while !data.is_empty() {
        let taken = poll_fn(|cx| tls.poll_write(cx, data)).await.unwrap();
        data = &data[taken..];
    }
}

fn echo_once(version: &'static SupportedProtocolVersion, expected: Info) {
    const LEN: usize = 300_000;
    let server = server();
    let config = client_config(&server, &[version]);
    let ((), (sent_key, received)) = session(
        move |addr| {
            let mut client = connect(addr, config, "localhost");
            client.write_all(&vec![b'x'; LEN]).unwrap();
            client.conn.send_close_notify();
            client.flush().unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            let key = client
                .conn
                .export_keying_material([0_u8; 32], b"EXPORTER-test", None)
                .unwrap();
            (key, received)
        },
        |mut tls| async move {
            assert_eq!(tls.info(), None);
            assert!(tls.exporter::<32>(b"EXPORTER-test", None).is_err());
            handshake(&mut tls, &server.settings).await.unwrap();
            assert_eq!(tls.info(), Some(expected));
            assert!(tls.peer_certificate().is_none());
            assert!(matches!(
                tls.start(server.settings.for_domain(None)),
                Err(TlsError::Active)
            ));
            let data = read_all(&mut tls).await;
            assert_eq!(data.len(), LEN);
            write_all(&mut tls, &data).await;
            let key = tls.exporter::<32>(b"EXPORTER-test", None).unwrap();
            write_all(&mut tls, &key).await;
            poll_fn(|cx| tls.poll_flush(cx)).await.unwrap();
            poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
        },
    );
    let (echo, server_key) = received.split_at(LEN);
    assert!(echo.iter().all(|byte| *byte == b'x'));
    assert_eq!(server_key, sent_key, "both ends export the same key");
}

#[test]
fn data_goes_both_ways_over_tls_1_3() {
    echo_once(
        &rustls::version::TLS13,
        Info {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
        },
    );
}

#[test]
fn data_goes_both_ways_over_tls_1_2() {
    echo_once(
        &rustls::version::TLS12,
        Info {
            version: "TLSv1.2",
            cipher: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        },
    );
}

#[test]
fn data_goes_both_ways_without_tls() {
    let ((), received) = session(
        |addr| {
            let mut tcp = StdStream::connect(addr).unwrap();
            tcp.write_all(b"<stream").unwrap();
            tcp.shutdown(std::net::Shutdown::Write).unwrap();
            let mut received = Vec::new();
            tcp.read_to_end(&mut received).unwrap();
            received
        },
        |mut tls| async move {
            assert!(!poll_fn(|cx| tls.poll_peek_handshake(cx)).await.unwrap());
            poll_fn(|cx| tls.poll_handshake(cx)).await.unwrap();
            let data = read_all(&mut tls).await;
            write_all(&mut tls, &data).await;
            poll_fn(|cx| tls.poll_flush(cx)).await.unwrap();
            poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
        },
    );
    assert_eq!(received, b"<stream");
}

#[test]
fn small_writes_share_a_record() {
    let server = server();
    let config = client_config(&server, &[&rustls::version::TLS13]);
    let ((), reads) = session(
        move |addr| {
            let mut client = connect(addr, config, "localhost");
            let mut reads = Vec::new();
            let mut buf = [0; 65_536];
            loop {
                // One read gives what one pass over complete records gave.
                match client.read(&mut buf).unwrap() {
                    0 => return reads,
                    len => reads.push(len),
                }
            }
        },
        |mut tls| async move {
            handshake(&mut tls, &server.settings).await.unwrap();
            for _ in 0..100 {
                write_all(&mut tls, b"<message/>").await;
            }
            poll_fn(|cx| tls.poll_flush(cx)).await.unwrap();
            assert!(
                tls.layer_is_idle(),
                "nothing of ours is kept after the flush"
            );
            poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
        },
    );
    assert_eq!(reads, [1000]);
}

#[test]
fn a_reader_that_stalls_holds_the_writer_back() {
    let server = server();
    let config = client_config(&server, &[&rustls::version::TLS13]);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (written, received) = session(
        move |addr| {
            let mut client = connect(addr, config, "localhost");
            client.flush().unwrap();
            while client.conn.is_handshaking() {
                client.conn.complete_io(&mut client.sock).unwrap();
            }
            wait.recv().unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            received.len()
        },
        |mut tls| async move {
            handshake(&mut tls, &server.settings).await.unwrap();
            let chunk = vec![b'x'; 50_000];
            let mut written = 0;
            // Ends when socket buffers and our own bound are full.
            while let Some(taken) = poll_fn(|cx| {
                std::task::Poll::Ready(match tls.poll_write(cx, &chunk) {
                    std::task::Poll::Ready(taken) => Some(taken.unwrap()),
                    std::task::Poll::Pending => None,
                })
            })
            .await
            {
                written += taken;
            }
            go.send(()).unwrap();
            poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
            written
        },
    );
    assert_eq!(received, written);
}

fn served_certificate(name: &'static str, opened_to: Option<&'static str>, sni: bool) -> bool {
    let server = server();
    let mut config = client_config(&server, &[&rustls::version::TLS13]);
    config.enable_sni = sni;
    let (_, good) = session(
        move |addr| {
            let mut client = connect(addr, config, name);
            let mut byte = [0];
            // The server closes; what counts is whether the certificate had the name.
            matches!(client.read(&mut byte), Ok(0))
        },
        |mut tls| async move {
            tls.start(server.settings.for_domain(opened_to)).unwrap();
            if poll_fn(|cx| tls.poll_handshake(cx)).await.is_ok() {
                poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
            }
        },
    );
    good
}

#[test]
fn the_certificate_is_chosen_by_server_name_then_by_stream_domain() {
    assert!(served_certificate("localhost", None, true));
    assert!(served_certificate("b.example", None, true));
    assert!(served_certificate("b.example", Some("b.example"), false));
    assert!(served_certificate(
        "localhost",
        Some("unknown.example"),
        false
    ));
    assert!(!served_certificate("b.example", None, false));
    assert!(!served_certificate("localhost", Some("b.example"), false));
}

fn alpn(offered: &[&[u8]]) -> (bool, bool) {
    let server = server();
    let mut config = client_config(&server, &[&rustls::version::TLS13]);
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    session(
        move |addr| {
            let mut client = connect(addr, config, "localhost");
            let mut byte = [0];
            matches!(client.read(&mut byte), Ok(0))
        },
        |mut tls| async move {
            let done = handshake(&mut tls, &server.settings).await.is_ok();
            if done {
                poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
            }
            done
        },
    )
}

#[test]
fn t16_a_wrong_protocol_name_is_refused() {
    assert_eq!(alpn(&[]), (true, true));
    assert_eq!(alpn(&[b"http/1.1", b"xmpp-client"]), (true, true));
    assert_eq!(alpn(&[b"http/1.1"]), (false, false));
    assert_eq!(alpn(&[b"xmpp-server"]), (false, false));
}

#[test]
fn t16_sessions_are_not_resumed() {
    use rustls::HandshakeKind;
    let server = server();
    let config = Arc::new(client_config(&server, rustls::ALL_VERSIONS));
    for _ in 0..2 {
        let config = (*config).clone();
        let (_, kind) = session(
            move |addr| {
                let mut client = connect(addr, config, "localhost");
                let mut byte = [0];
                assert_eq!(client.read(&mut byte).unwrap(), 0);
                client.conn.handshake_kind()
            },
            |mut tls| {
                let settings = server.settings.clone();
                async move {
                    handshake(&mut tls, &settings).await.unwrap();
                    poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
                }
            },
        );
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
}

#[test]
fn plain_text_instead_of_a_handshake_is_an_error() {
    let server = server();
    let (result, ()) = session(
        |addr| {
            let mut tcp = StdStream::connect(addr).unwrap();
            tcp.write_all(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                .unwrap();
            let mut rest = Vec::new();
            // Reset or closed: either way nothing but an alert comes.
            let _ = tcp.read_to_end(&mut rest);
        },
        |mut tls| async move { handshake(&mut tls, &server.settings).await },
    );
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn self_signed_certificates_are_private_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let first = Certificate::self_signed(&dir.path().join("tls"), "example.org").unwrap();
    let again = Certificate::self_signed(&dir.path().join("tls"), "example.org").unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
    let path = dir.path().join("tls/example.org.pem");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = Certificate::self_signed(&dir.path().join("tls"), "example.net").unwrap();
    assert_ne!(first.fingerprint(), other.fingerprint());
    assert!(Certificate::self_signed(dir.path(), "127.0.0.1").is_ok());
    assert!(Certificate::self_signed(dir.path(), "[::1]").is_ok());
}

#[test]
fn bad_certificates_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(matches!(
        Certificate::self_signed(dir.path(), "../x"),
        Err(CertificateError::NotAName { .. })
    ));
    assert!(matches!(
        Certificate::load(&at("none.pem"), &at("none.pem")),
        Err(CertificateError::Read { .. })
    ));
    std::fs::write(at("empty.pem"), "").unwrap();
    let error = Certificate::load(&at("empty.pem"), &at("empty.pem")).unwrap_err();
    assert!(error.to_string().contains("empty.pem"), "{error}");
    Certificate::self_signed(dir.path(), "a.example").unwrap();
    Certificate::self_signed(dir.path(), "b.example").unwrap();
    assert!(matches!(
        Certificate::load(&at("a.example.pem"), &at("b.example.pem")),
        Err(CertificateError::Unusable { .. })
    ));
}

#[test]
fn the_fingerprint_is_that_of_the_certificate_shown() {
    let server = server();
    let config = client_config(&server, rustls::ALL_VERSIONS);
    let (_, shown) = session(
        move |addr| {
            let mut client = connect(addr, config, "localhost");
            let mut byte = [0];
            assert_eq!(client.read(&mut byte).unwrap(), 0);
            let chain: &[CertificateDer<'_>] = client.conn.peer_certificates().unwrap();
            ring::digest::digest(&ring::digest::SHA256, chain.first().unwrap())
                .as_ref()
                .to_vec()
        },
        |mut tls| {
            let settings = server.settings.clone();
            async move {
                handshake(&mut tls, &settings).await.unwrap();
                poll_fn(|cx| tls.poll_shutdown(cx)).await.unwrap();
            }
        },
    );
    let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02X}")).collect();
    let kept = Certificate::self_signed(server.dir.path(), "localhost").unwrap();
    assert_eq!(hex.join(":"), kept.fingerprint());
}
