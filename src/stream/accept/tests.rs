//! The driver over loopback sockets: whole logins, and what happens to peers that stall.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;
use crate::config::Source;
use crate::net::tls::{Certificate, Identities};
use crate::net::{TimeSource, Turnstile};
use crate::sasl::tests::ScramClient;
use crate::stanza::Condition;
use crate::stream::StreamCondition;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const BIND: &str = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <resource>phone</resource></bind></iq>";

/// One user, `anna` with the password `secret`.
struct OneUser {
    taken: Vec<&'static str>,
    store_works: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct StoreClosed;

impl Authenticate for OneUser {
    fn credentials<'a>(
        &'a self,
        user: &'a Jid,
    ) -> LocalFuture<'a, Result<Option<Credentials>, AuthFailure>> {
        Box::pin(async move {
            if !self.store_works {
                return Err(AuthFailure::new(StoreClosed));
            }
            let known = user.as_str() == "anna@localhost";
            Ok(known.then(|| Credentials::derive("secret", 64, &[1; 16]).unwrap()))
        })
    }

    fn unknown<'a>(&'a self, user: &'a Jid) -> LocalFuture<'a, Result<Unknown, AuthFailure>> {
        Box::pin(async move { Ok(Unknown::new(&[7; 32], user.as_str(), 64)) })
    }

    fn derive(&self, work: PlainWork) -> LocalFuture<'_, Result<ScramKeys, AuthFailure>> {
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work.run())
                .await
                .map_err(AuthFailure::new)
        })
    }

    fn register(&self, _account: NewAccount) -> LocalFuture<'_, Result<(), StanzaError>> {
        Box::pin(async { Err(StanzaError::new(Condition::NotAllowed)) })
    }

    fn show_invite(
        &self,
        _domain: String,
        _token: Secret,
    ) -> LocalFuture<'_, Result<String, StanzaError>> {
        Box::pin(async { Err(StanzaError::new(Condition::NotAllowed)) })
    }

    fn bind<'a>(
        &'a self,
        user: &'a Jid,
        wish: Option<&'a str>,
    ) -> LocalFuture<'a, Result<Jid, StanzaError>> {
        Box::pin(async move {
            match wish {
                Some(wish) if self.taken.contains(&wish) => {
                    Err(StanzaError::new(Condition::Conflict))
                }
                wish => Ok(user.with_resource(wish.unwrap_or("made")).unwrap()),
            }
        })
    }

    fn attach(&self, _component: &crate::config::Component, _tls: Option<&'static str>) {}

    fn resume<'a>(
        &'a self,
        _user: &'a Jid,
        _previd: &'a str,
        _h: u32,
    ) -> LocalFuture<'a, Result<(Jid, u32), NotResumed>> {
        Box::pin(async { Err(NotResumed::Gone) })
    }
}

/// Time that a test moves, or that stands.
#[derive(Default)]
struct HandTime(AtomicU64);

impl TimeSource for HandTime {
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn random(&self, out: &mut [u8]) {
        Clock::system().random(out);
    }
}

/// What both sides need.
struct Server {
    config: Arc<Config>,
    tls: Arc<ServerSettings>,
    roots: RootCertStore,
    time: Arc<HandTime>,
    /// One handshake, and no turn after it.
    handshakes: Rc<Turnstile>,
    user: OneUser,
}

/// A server of `localhost` whose one `Listen` has these options.
fn server(options: &str) -> Server {
    let text = format!(
        "Domain \"localhost\" {{ XMPP_Role = \"server\" }}\nxmpp {{}}\n\
         xmpp_listener {{ AuthPlainParameters = [ uri = \"store:\" ]\n\
         Listen \"127.0.0.1:5222\" {{ {options} }} }}"
    );
    let config = Config::load(&Source::text("test", &text))
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::self_signed(dir.path(), "localhost").unwrap();
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(dir.path().join("localhost.pem")).unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    roots.add(der).unwrap();
    Server {
        config,
        tls: Arc::new(Identities::new(certificate).into_settings().unwrap()),
        roots,
        time: Arc::default(),
        handshakes: Turnstile::new(1),
        user: OneUser {
            taken: vec!["taken"],
            store_works: true,
        },
    }
}

/// Accepts one connection of `client`, which runs in a thread.
fn accept_one<C: Send + 'static>(
    server: Server,
    client: impl FnOnce(SocketAddr, ClientConfig) -> C + Send + 'static,
) -> (Result<Bound, AcceptError>, C) {
    let tls_client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(server.roots.clone())
        .with_no_client_auth();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let clock = Clock::new(server.time.clone());
        let timers = Timers::new(clock.clone());
        tokio::task::spawn_local(timers.clone().run());
        let listen = server.config.xmpp_listens().first().unwrap();
        let context = AcceptContext {
            settings: listen.anyone.clone(),
            config: server.config.clone(),
            tls: server.tls.clone(),
            clock,
            timers,
            handshakes: server.handshakes.clone(),
            after_login: Rc::new(|_| "<more xmlns='urn:example:more'/>".into()),
            auth: Rc::new(server.user),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || client(addr, tls_client));
        let (tcp, peer) = listener.accept().await.unwrap();
        let outcome = Box::pin(accept(tcp, peer, Rc::new(context))).await;
        let said = tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
        (outcome, said)
    })
}

/// Reads until the server has said `end`.
fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(end.as_bytes()) {
        match stream.read(&mut byte) {
            Ok(1) => said.push(byte[0]),
            other => panic!("{other:?} after {}", String::from_utf8_lossy(&said)),
        }
    }
    String::from_utf8(said).unwrap()
}

fn read_all(stream: &mut impl Read) -> String {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    String::from_utf8(said).unwrap()
}

fn say(stream: &mut impl Write, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    stream.flush().unwrap();
}

fn secure(tcp: StdStream, config: ClientConfig) -> StreamOwned<ClientConnection, StdStream> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}

fn plain() -> String {
    format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
        STANDARD.encode("\0anna\0secret")
    )
}

/// From the header to the bind, with PLAIN.
fn log_in(stream: &mut (impl Read + Write)) {
    say(stream, HEADER);
    read_until(stream, "</stream:features>");
    say(stream, &plain());
    read_until(
        stream,
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    );
    say(stream, HEADER);
    read_until(stream, "</stream:features>");
    say(stream, BIND);
    let said = read_until(stream, "</iq>");
    assert!(said.contains("<jid>anna@localhost/phone</jid>"), "{said}");
}

fn refused(outcome: Result<Bound, AcceptError>) -> StreamCondition {
    match outcome {
        Err(AcceptError::Refused(refusal)) => refusal.condition,
        Err(other) => panic!("{other}"),
        Ok(bound) => panic!("bound as {}", bound.jid),
    }
}

#[test]
fn a_login_over_starttls_is_bound() {
    let (outcome, ()) = accept_one(server("tls = \"required\""), |addr, tls| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, HEADER);
        read_until(&mut tcp, "</stream:features>");
        say(&mut tcp, STARTTLS);
        read_until(
            &mut tcp,
            "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        );
        log_in(&mut secure(tcp, tls));
    });
    let bound = outcome.unwrap();
    assert_eq!(bound.jid.as_str(), "anna@localhost/phone");
    assert_eq!(bound.mechanism, "PLAIN");
    assert_eq!(bound.tls.unwrap().version, "TLSv1.3");
    assert_eq!(bound.header.to.as_deref(), Some("localhost"));
    assert!(bound.leftover.is_empty());
}

/// As go-xmpp writes: a line end behind every element, also behind those that end a stream.
#[test]
fn white_space_of_the_old_stream_is_no_part_of_the_new_one() {
    let (outcome, ()) = accept_one(server("tls = \"required\""), |addr, tls| {
        let header = format!("{HEADER}\n");
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, &header);
        read_until(&mut tcp, "</stream:features>");
        say(&mut tcp, &format!("{STARTTLS}\n"));
        read_until(
            &mut tcp,
            "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        );
        let mut stream = secure(tcp, tls);
        say(&mut stream, &header);
        read_until(&mut stream, "</stream:features>");
        say(&mut stream, &format!("{}\n", plain()));
        read_until(&mut stream, "/>");
        say(&mut stream, "\r\n");
        say(&mut stream, &header);
        read_until(&mut stream, "</stream:features>");
        say(&mut stream, BIND);
        read_until(&mut stream, "</iq>");
    });
    assert_eq!(outcome.unwrap().jid.as_str(), "anna@localhost/phone");
}

#[test]
fn direct_tls_and_the_first_byte_are_understood() {
    for mode in ["direct", "either"] {
        let options = format!("tls = \"{mode}\"");
        let (outcome, ()) = accept_one(server(&options), |addr, tls| {
            log_in(&mut secure(StdStream::connect(addr).unwrap(), tls));
        });
        assert!(outcome.unwrap().tls.is_some());
    }
    let (outcome, said) = accept_one(server("tls = \"either\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, HEADER);
        let said = read_until(&mut tcp, "</stream:features>");
        say(&mut tcp, "</stream:stream>");
        said + &read_all(&mut tcp)
    });
    assert!(matches!(outcome, Err(AcceptError::Closed)));
    assert!(
        said.contains("<starttls ") && said.contains("<required/>"),
        "{said}"
    );
    assert!(said.ends_with("</stream:stream>"), "{said}");
}

/// RFC 6120 §4.9.1.3: who names no domain of ours hears of one that is.
#[test]
fn a_domain_that_is_not_served_is_refused_in_the_name_of_one_that_is() {
    let (outcome, said) = accept_one(server("tls = \"none\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, &HEADER.replace("localhost", "nowhere.example"));
        read_all(&mut tcp)
    });
    assert_eq!(refused(outcome), StreamCondition::HostUnknown);
    assert!(said.contains(" from='localhost'"), "{said}");
}

#[test]
fn what_comes_behind_the_bind_is_kept() {
    let (outcome, ()) = accept_one(server("tls = \"none\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, HEADER);
        read_until(&mut tcp, "</stream:features>");
        let client = ScramClient::new(Mechanism::ScramSha1, "n,,", "anna", "secret");
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{}</auth>",
            STANDARD.encode(client.first())
        );
        say(&mut tcp, &auth);
        let said = read_until(&mut tcp, "</challenge>");
        let (_, text) = said
            .trim_end_matches("</challenge>")
            .rsplit_once('>')
            .unwrap();
        let (last, _) = client.last(&STANDARD.decode(text).unwrap());
        let response = format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
            STANDARD.encode(last)
        );
        say(&mut tcp, &response);
        read_until(&mut tcp, "</success>");
        // All in one: the new stream, the bind, and the first stanza of the session.
        say(&mut tcp, &format!("{HEADER}{BIND}<presence/><iq"));
        read_until(&mut tcp, "</iq>");
    });
    let mut bound = outcome.unwrap();
    assert_eq!(bound.mechanism, "SCRAM-SHA-1");
    assert!(bound.tls.is_none());
    let mut rest = bound.leftover.as_slice();
    let frame = bound.framer.next(&mut rest);
    assert!(matches!(frame, Ok(Some(Frame::Stanza(raw))) if *raw.bytes == *b"<presence/>"));
    assert_eq!(rest, b"<iq");
}

#[test]
fn a_taken_resource_may_be_asked_for_again_under_another_name() {
    let (outcome, said) = accept_one(server("tls = \"direct\""), |addr, tls| {
        let mut stream = secure(StdStream::connect(addr).unwrap(), tls);
        say(&mut stream, HEADER);
        read_until(&mut stream, "</stream:features>");
        say(&mut stream, &plain());
        read_until(&mut stream, "/>");
        say(&mut stream, HEADER);
        read_until(&mut stream, "</stream:features>");
        say(&mut stream, &BIND.replace("phone", "taken"));
        let said = read_until(&mut stream, "</iq>");
        say(&mut stream, BIND);
        read_until(&mut stream, "</iq>");
        said
    });
    assert!(said.contains("<conflict "), "{said}");
    assert_eq!(outcome.unwrap().jid.as_str(), "anna@localhost/phone");
}

fn passes_at_once(turnstile: &Turnstile) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    pin!(turnstile.pass()).poll(&mut cx).is_ready()
}

#[test]
fn a_handshake_takes_a_turn() {
    let server = server("tls = \"direct\"");
    let handshakes = server.handshakes.clone();
    let (outcome, ()) = accept_one(server, |addr, tls| {
        log_in(&mut secure(StdStream::connect(addr).unwrap(), tls));
    });
    assert!(outcome.unwrap().tls.is_some());
    assert!(!passes_at_once(&handshakes), "the one turn is taken");
}

#[test]
fn a_bound_stream_has_the_limits_of_its_listener() {
    let deep = "<a>".repeat(21);
    let large = format!("<a>{}", "x".repeat(20_000));
    let options = "tls = \"direct\"\nmax_stanza_size = 20000\nmax_depth = 20";
    for (stanza, error) in [
        (
            deep,
            crate::xml::Error::Limit {
                what: crate::xml::Bound::Depth,
                max: 20,
            },
        ),
        (large, crate::xml::Error::TooBig(20_000)),
    ] {
        let (outcome, ()) = accept_one(server(options), |addr, tls| {
            log_in(&mut secure(StdStream::connect(addr).unwrap(), tls));
        });
        let mut framer = outcome.unwrap().framer;
        let most = format!("<a>{}</a>", "x".repeat(19_900));
        let frame = framer.next(&mut most.as_bytes());
        assert!(matches!(frame, Ok(Some(Frame::Stanza(_)))), "{frame:?}");
        assert_eq!(framer.next(&mut stanza.as_bytes()).err(), Some(error));
    }
}

#[test]
fn t14_pipelined_data_behind_starttls_closes_the_socket() {
    let (outcome, said) = accept_one(server("tls = \"required\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, &format!("{HEADER}{STARTTLS}\n{}", plain()));
        read_all(&mut tcp)
    });
    assert_eq!(refused(outcome), StreamCondition::PolicyViolation);
    assert!(said.ends_with("</stream:error></stream:stream>"), "{said}");
    assert!(!said.contains("<proceed"), "{said}");
}

#[test]
fn t14_plain_text_instead_of_the_handshake_is_not_read_as_xml() {
    let (outcome, said) = accept_one(server("tls = \"required\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, HEADER);
        read_until(&mut tcp, "</stream:features>");
        say(&mut tcp, STARTTLS);
        read_until(
            &mut tcp,
            "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        );
        say(&mut tcp, &plain());
        let mut rest = Vec::new();
        // An alert, or a reset.
        let _ = tcp.read_to_end(&mut rest);
        rest
    });
    assert!(matches!(outcome, Err(AcceptError::Io(_))));
    assert!(!said.contains(&b'<'));
}

#[test]
fn a_refused_stream_hears_why_although_it_talks_on() {
    let (outcome, said) = accept_one(server("tls = \"none\""), |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        let talk = format!(
            "{}{}",
            HEADER.replace("localhost", "nowhere"),
            "x".repeat(20_000)
        );
        say(&mut tcp, &talk);
        read_all(&mut tcp)
    });
    assert_eq!(refused(outcome), StreamCondition::HostUnknown);
    assert!(said.contains("<host-unknown "), "{said}");
}

#[test]
fn a_store_that_fails_is_a_temporary_failure() {
    let mut server = server("tls = \"direct\"");
    server.user.store_works = false;
    let (outcome, said) = accept_one(server, |addr, tls| {
        let mut stream = secure(StdStream::connect(addr).unwrap(), tls);
        say(&mut stream, HEADER);
        read_until(&mut stream, "</stream:features>");
        say(&mut stream, &plain());
        read_until(&mut stream, "</failure>")
    });
    assert!(said.contains("<temporary-auth-failure/>"), "{said}");
    assert!(matches!(outcome, Err(AcceptError::Closed)));
}

#[test]
fn t06_a_peer_that_says_nothing_is_sent_away() {
    let server = server("tls = \"none\"");
    let time = server.time.clone();
    let (outcome, said) = accept_one(server, move |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        say(&mut tcp, HEADER);
        let said = read_until(&mut tcp, "</stream:features>");
        // Time passes; the next byte makes the stream look at the clock.
        time.0.store(3_600_000, Ordering::Relaxed);
        say(&mut tcp, " ");
        said + &read_all(&mut tcp)
    });
    assert_eq!(refused(outcome), StreamCondition::ConnectionTimeout);
    assert!(said.contains("<connection-timeout "), "{said}");
}

#[test]
fn t06_a_handshake_that_is_not_finished_is_dropped() {
    let server = server("tls = \"direct\"");
    let time = server.time.clone();
    let (outcome, ()) = accept_one(server, move |addr, _| {
        let mut tcp = StdStream::connect(addr).unwrap();
        let pause = Duration::from_millis(10);
        tcp.set_read_timeout(Some(pause)).unwrap();
        // A record that promises 16,000 bytes, which come one an hour, until the server has had enough.
        tcp.write_all(&[0x16, 3, 1, 0x3e, 0x80]).unwrap();
        let mut alert = [0; 16];
        let still_open = |outcome: io::Result<usize>| match outcome {
            Ok(len) => len > 0,
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        };
        while still_open(tcp.read(&mut alert)) {
            time.0.fetch_add(3_600_000, Ordering::Relaxed);
            if tcp.write_all(&[1]).is_err() {
                break;
            }
        }
    });
    assert!(matches!(outcome, Err(AcceptError::HandshakeTimeout)));
}

#[test]
fn a_peer_that_leaves_is_closed() {
    let (outcome, ()) = accept_one(server("tls = \"none\""), |addr, _| {
        say(&mut StdStream::connect(addr).unwrap(), HEADER);
    });
    assert!(matches!(
        outcome,
        Err(AcceptError::Closed | AcceptError::Io(_))
    ));
}
