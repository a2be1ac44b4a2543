//! One client session: stream negotiation and the stanza reader and writer.

use crate::cli::{Mechanism, Target, TlsMode};
use crate::conn::{self, Stream, TlsClient};
use crate::sasl::{self, Salted, Scram};
use crate::scan::{self, Event, Scanner};
use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Buf, BytesMut};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
const READ_CHUNK: usize = 4096;

/// What all sessions of a run share.
pub struct Env {
    pub target: Target,
    pub tls: TlsClient,
    /// Tells this run's stanzas from those of earlier runs.
    pub run: u32,
    /// Salted passwords by user: deriving one costs the client thousands of hashes, so it is done once.
    salted: Mutex<HashMap<usize, Salted>>,
}

impl Env {
    pub fn new(target: Target) -> Result<Arc<Env>> {
        Ok(Arc::new(Env {
            tls: TlsClient::new(&target.accounts.domain)?,
            target,
            run: std::process::id(),
            salted: Mutex::default(),
        }))
    }

    /// A ping to the server.
    pub fn ping(&self, id: &str) -> String {
        format!(
            "<iq type='get' id='{id}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
            self.target.accounts.domain
        )
    }
}

/// Bytes received but not yet handed out as stanzas.
#[derive(Default)]
struct Inbox {
    buf: BytesMut,
    scanner: Scanner,
    closed: bool,
}

impl Inbox {
    fn next(&mut self) -> Option<&[u8]> {
        loop {
            match self.scanner.next(&self.buf)? {
                Event::Stanza(range) => return Some(&self.buf[range]),
                Event::StreamOpen(_) => {}
                Event::StreamClose => self.closed = true,
            }
        }
    }

    fn make_room(&mut self) {
        let done = self.scanner.consumed();
        self.buf.advance(done);
        self.scanner.rebase(done);
        self.buf.reserve(READ_CHUNK);
    }
}

pub struct Reader {
    io: ReadHalf<Stream>,
    inbox: Inbox,
}

impl Reader {
    /// Waits for more bytes; cancel safe. An ended stream is an error.
    pub async fn fill(&mut self) -> io::Result<()> {
        self.inbox.make_room();
        let count = self.io.read_buf(&mut self.inbox.buf).await?;
        if count == 0 || self.inbox.closed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// The next complete stanza already received.
    pub fn next(&mut self) -> Option<&[u8]> {
        self.inbox.next()
    }

    /// Reads until `wanted` accepts a stanza.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        loop {
            while let Some(stanza) = self.inbox.next() {
                if wanted(stanza) {
                    return Ok(());
                }
            }
            self.fill().await?;
        }
    }
}

pub struct Writer {
    io: WriteHalf<Stream>,
}

impl Writer {
    pub async fn send(&mut self, xml: &str) -> io::Result<()> {
        self.io.write_all(xml.as_bytes()).await?;
        self.io.flush().await
    }
}

pub struct Session {
    pub index: usize,
    pub cipher: String,
    pub reader: Reader,
    pub writer: Writer,
}

impl Session {
    pub fn new(index: usize, stream: Stream) -> Session {
        let cipher = stream.describe();
        let (read, write) = tokio::io::split(stream);
        let reader = Reader {
            io: read,
            inbox: Inbox::default(),
        };
        Session {
            index,
            cipher,
            reader,
            writer: Writer { io: write },
        }
    }

    /// Sends initial presence, and a ping whose answer shows that the server has dealt with it.
    pub async fn go_online(&mut self, env: &Env) -> Result<()> {
        self.writer.send("<presence/>").await?;
        self.writer.send(&env.ping("online")).await?;
        let answered = self
            .reader
            .wait_for(|stanza| scan::attr(stanza, b"id") == Some(b"online"));
        Ok(timeout(LOGIN_TIMEOUT, answered).await??)
    }

    pub async fn close(mut self) {
        let _ = self.writer.send("</stream:stream>").await;
        let _ = timeout(Duration::from_millis(200), self.writer.io.shutdown()).await;
    }
}

/// TCP, TLS, SASL, bind.
pub async fn login(env: &Env, index: usize) -> Result<Session> {
    timeout(LOGIN_TIMEOUT, async {
        let mut wire = Wire::open(env, index).await?;
        wire.authenticate(env, index).await?;
        wire.bind(env).await?;
        Ok(wire.into_session(index))
    })
    .await
    .map_err(|_| anyhow!("login timed out"))?
}

/// A connection during stream negotiation.
struct Wire {
    stream: Stream,
    inbox: Inbox,
    features: Vec<u8>,
}

impl Wire {
    /// Connects and negotiates up to the features offered before SASL.
    async fn open(env: &Env, index: usize) -> Result<Wire> {
        let tcp = conn::connect(&env.target, index).await?;
        let stream = match env.target.tls {
            TlsMode::Direct => env.tls.handshake(tcp).await?,
            TlsMode::Starttls => Stream::Tcp(tcp),
        };
        let mut wire = Wire {
            stream,
            inbox: Inbox::default(),
            features: Vec::new(),
        };
        wire.start_stream(&env.target.accounts.domain).await?;
        match env.target.tls {
            TlsMode::Direct => Ok(wire),
            TlsMode::Starttls => wire.start_tls(env).await,
        }
    }

    async fn start_tls(mut self, env: &Env) -> Result<Wire> {
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .await?;
        self.expect(b"proceed").await?;
        let Stream::Tcp(tcp) = self.stream else {
            bail!("TLS was already on");
        };
        self.stream = env.tls.handshake(tcp).await?;
        self.start_stream(&env.target.accounts.domain).await?;
        Ok(self)
    }

    async fn start_stream(&mut self, domain: &str) -> Result<()> {
        self.inbox = Inbox::default();
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' \
             xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        ))
        .await?;
        self.features = self.expect(b"stream:features").await?;
        Ok(())
    }

    async fn authenticate(&mut self, env: &Env, index: usize) -> Result<()> {
        let mechanism = env.target.mechanism;
        let offered = format!("<mechanism>{}</mechanism>", mechanism.name());
        ensure!(
            scan::contains(&self.features, &offered),
            "{} not offered",
            mechanism.name()
        );
        match mechanism {
            Mechanism::Plain => self.plain(env, index).await?,
            _ => self.scram(env, index).await?,
        }
        self.start_stream(&env.target.accounts.domain).await
    }

    async fn plain(&mut self, env: &Env, index: usize) -> Result<()> {
        let data = sasl::plain(
            &env.target.accounts.user(index),
            &env.target.accounts.password,
        );
        self.auth(Mechanism::Plain, &data).await?;
        self.expect(b"success").await.map(drop)
    }

    async fn scram(&mut self, env: &Env, index: usize) -> Result<()> {
        let mut scram = Scram::new(env.target.mechanism, &env.target.accounts.user(index))?;
        self.auth(env.target.mechanism, &scram.first()).await?;
        let challenge = self.expect(b"challenge").await?;
        let known = env.salted.lock().unwrap().get(&index).cloned();
        let (answer, salted) =
            scram.answer(payload(&challenge)?, &env.target.accounts.password, known)?;
        env.salted.lock().unwrap().insert(index, salted);
        self.send(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>"
        ))
        .await?;
        let success = self.expect(b"success").await?;
        scram.verify(payload(&success)?)
    }

    async fn auth(&mut self, mechanism: Mechanism, data: &str) -> Result<()> {
        let name = mechanism.name();
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{name}'>{data}</auth>"
        ))
        .await
    }

    async fn bind(&mut self, env: &Env) -> Result<()> {
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>load{}</resource></bind></iq>",
            env.run
        ))
        .await?;
        let answer = self.expect(b"iq").await?;
        ensure!(scan::text(&answer, b"jid").is_some(), "{}", text(&answer));
        Ok(())
    }

    fn into_session(self, index: usize) -> Session {
        let mut session = Session::new(index, self.stream);
        session.reader.inbox = self.inbox;
        session
    }

    async fn send(&mut self, xml: &str) -> Result<()> {
        self.stream.write_all(xml.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn expect(&mut self, name: &[u8]) -> Result<Vec<u8>> {
        let stanza = self.stanza().await?;
        ensure!(
            scan::name(&stanza) == name,
            "expected {}: {}",
            text(name),
            text(&stanza)
        );
        Ok(stanza)
    }

    async fn stanza(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(stanza) = self.inbox.next() {
                return Ok(stanza.to_vec());
            }
            self.inbox.make_room();
            let count = self.stream.read_buf(&mut self.inbox.buf).await?;
            ensure!(count > 0, "server closed the connection");
        }
    }
}

/// Text content of an element without children.
fn payload(stanza: &[u8]) -> Result<&[u8]> {
    scan::text(stanza, scan::name(stanza)).ok_or_else(|| anyhow!("empty {}", text(stanza)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
