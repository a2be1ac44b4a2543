//! A client on tokio, of which hundreds fit in a thread: raw XML out, parsed elements in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::ClientConnection;
use socket2::SockRef;
use stanzad::xml::{Element, Frame, Framer, Header, Limits};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::scram::Scram;
use super::{PATIENCE, tls};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// What the ids of messages begin with that a client sends to itself.
const FENCE: &str = "fence-";

/// How a stream is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Plain,
    StartTls,
    Direct,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha1,
    ScramSha256,
}

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub struct Login {
    pub addr: SocketAddr,
    pub via: Via,
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
    pub resource: Option<String>,
}

impl Login {
    /// `user@localhost` with the password `secret`, by direct TLS and SCRAM-SHA-256.
    pub fn direct(addr: SocketAddr, user: &str) -> Self {
        Self {
            addr,
            via: Via::Direct,
            mechanism: Mechanism::ScramSha256,
            user: user.to_owned(),
            password: "secret".to_owned(),
            resource: None,
        }
    }

    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    pub fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = mechanism;
        self
    }
}

/// A stream to the daemon, bound or on its way there. Dropped, it vanishes without a word.
pub struct Peer {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    framer: Framer,
    header: Option<Header>,
    input: Vec<u8>,
    /// The domain of its streams.
    domain: String,
    /// The full address, once bound.
    pub jid: String,
}

/// How a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// RST: what was on its way is thrown away.
    Reset,
    /// FIN without the end of the stream.
    End,
    /// The server is told nothing: the network is gone.
    Silence,
}

/// A lost connection that the server may still believe in. Nobody reads it.
pub struct Remains(
    #[expect(dead_code, reason = "held open until it is dropped")] Option<TcpStream>,
);

/// The socket as rustls sees it: what would wait fails with `WouldBlock`.
struct Ready<'s>(&'s TcpStream);

impl Read for Ready<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Ready<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.try_write(from)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Peer {
    async fn new(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            tls: None,
            framer: Framer::new(Limits::BOUND),
            header: None,
            input: Vec::new(),
            domain: "localhost".to_owned(),
            jid: String::new(),
        })
    }

    /// Connects without TLS and opens a stream to `domain`.
    pub async fn connect_to(addr: SocketAddr, domain: &str) -> io::Result<Self> {
        let mut peer = Self::new(addr).await?;
        peer.domain = domain.to_owned();
        peer.open().await?;
        Ok(peer)
    }

    /// Connects as the component of `domain` and shakes hands. Errors are the stream's, as text.
    pub async fn component(
        addr: SocketAddr,
        via: Via,
        domain: &str,
        secret: &str,
    ) -> io::Result<Self> {
        let mut peer = Self::new(addr).await?;
        if via == Via::Direct {
            peer.start_tls();
        }
        peer.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
        ))
        .await?;
        while peer.header.is_none() {
            let mut rest = peer.input.as_slice();
            let frame = peer.framer.next(&mut rest).map_err(io::Error::other)?;
            let used = peer.input.len() - rest.len();
            peer.input.drain(..used);
            match frame {
                Some(Frame::Header(header)) => peer.header = Some(header),
                Some(other) => return Err(io::Error::other(format!("{other:?}"))),
                None => peer.fill().await?,
            }
        }
        let id = peer.header.as_ref().and_then(|header| header.id.clone());
        let proof = digest(
            &SHA1_FOR_LEGACY_USE_ONLY,
            format!("{}{secret}", id.unwrap_or_default()).as_bytes(),
        );
        let proof: String = proof.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        // A server that has refused the header may not listen any more.
        let _ = peer.send(&format!("<handshake>{proof}</handshake>")).await;
        let answer = peer.expect("answer to the handshake", |_| true).await?;
        if answer.name() != "handshake" {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                answer.to_string(),
            ));
        }
        peer.jid = domain.to_owned();
        Ok(peer)
    }

    /// Connects and opens a stream; its features are not read yet.
    pub async fn connect(addr: SocketAddr, via: Via) -> io::Result<Self> {
        let mut peer = Self::new(addr).await?;
        if via == Via::Direct {
            peer.start_tls();
        }
        peer.open().await?;
        if via == Via::StartTls {
            peer.features().await?;
            peer.send(&format!("<starttls xmlns='{TLS}'/>")).await?;
            peer.expect("proceed", |element| element.name() == "proceed")
                .await?;
            peer.start_tls();
            peer.open().await?;
        }
        Ok(peer)
    }

    /// Logs in and binds; no presence is sent.
    pub async fn login(login: &Login) -> io::Result<Self> {
        let (mut peer, _) = Self::authenticated(login).await?;
        peer.bind(login.resource.as_deref()).await?;
        Ok(peer)
    }

    /// Logs in and binds nothing yet; gives the features that are offered then.
    pub async fn authenticated(login: &Login) -> io::Result<(Self, Element)> {
        let mut peer = Self::connect(login.addr, login.via).await?;
        peer.features().await?;
        peer.authenticate(login).await?;
        peer.open().await?;
        let features = peer.features().await?;
        Ok((peer, features))
    }

    /// Binds a resource, which the server names if there is none.
    pub async fn bind(&mut self, resource: Option<&str>) -> io::Result<()> {
        let resource = resource
            .map(|name| format!("<resource>{name}</resource>"))
            .unwrap_or_default();
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='{BIND}'>{resource}</bind></iq>"
        ))
        .await?;
        let bound = self
            .expect("bind result", |element| element.attr("id") == Some("bind"))
            .await?;
        let jid = bound
            .child("bind", BIND)
            .and_then(|bind| bind.child("jid", BIND))
            .map(|jid| jid.text().to_string());
        self.jid = jid.ok_or_else(|| io::Error::other(format!("not bound: {bound}")))?;
        Ok(())
    }

    /// [`Peer::login`] and initial presence. Gives back the messages that had been kept: all that come before one that it
    /// sends to itself, which queues behind their fetch.
    pub async fn online(login: &Login) -> io::Result<(Self, Vec<Element>)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut peer = Self::login(login).await?;
        let fence = format!("{FENCE}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let jid = peer.jid.clone();
        peer.send("<presence/>").await?;
        peer.say(&jid, &fence, "fence").await?;
        let mut kept = Vec::new();
        loop {
            let message = peer
                .expect("what was kept", |element| element.name() == "message")
                .await?;
            match message.attr("id") {
                Some(id) if id == fence => return Ok((peer, kept)),
                // Of an earlier login that a kill cut short.
                Some(id) if id.starts_with(FENCE) => {}
                _ => kept.push(message),
            }
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, xml: &str) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(xml.as_bytes())?;
                self.flush().await
            }
            None => self.put(xml.as_bytes()).await,
        }
    }

    /// Puts bytes on the wire as they are.
    async fn put(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A chat message.
    pub async fn say(&mut self, to: &str, id: &str, body: &str) -> io::Result<()> {
        self.send(&format!(
            "<message to='{to}' type='chat' id='{id}'><body>{body}</body></message>"
        ))
        .await
    }

    /// Every message that the server had sent when it answered a ping, in order. Other elements are thrown away.
    pub async fn drain(&mut self) -> io::Result<Vec<Element>> {
        self.send("<iq type='get' id='drain' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
            .await?;
        let mut messages = Vec::new();
        loop {
            let element = self.expect("answer to a ping", |_| true).await?;
            if element.name() == "iq" && element.attr("id") == Some("drain") {
                return Ok(messages);
            }
            if element.name() == "message" {
                messages.push(element);
            }
        }
    }

    /// The first element that `wanted` accepts, within [`PATIENCE`]; those before it are thrown away.
    pub async fn expect(
        &mut self,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> io::Result<Element> {
        let search = async {
            loop {
                let element = self.next().await?;
                if wanted(&element) {
                    return Ok(element);
                }
            }
        };
        timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, format!("no {what}"))))
    }

    /// The next element, however long it takes. `UnexpectedEof`: the stream has ended. Cancelling loses nothing.
    pub async fn next(&mut self) -> io::Result<Element> {
        loop {
            let mut rest = self.input.as_slice();
            let frame = self.framer.next(&mut rest).map_err(io::Error::other)?;
            let used = self.input.len() - rest.len();
            self.input.drain(..used);
            match frame {
                Some(Frame::Header(header)) => self.header = Some(header),
                Some(Frame::Stanza(raw)) => return self.parse(&raw.bytes),
                Some(Frame::Whitespace) => {}
                Some(Frame::End) => return Err(ErrorKind::UnexpectedEof.into()),
                None => self.fill().await?,
            }
        }
    }

    /// Closes the stream and waits for the server to close its side.
    pub async fn close(mut self) -> io::Result<()> {
        self.send("</stream:stream>").await?;
        match self.expect("end of stream", |_| false).await {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Loses the connection after the first part of what sending `xml` would put on the wire: all of it but at least the last
    /// byte, in 256ths.
    pub async fn lose(mut self, how: Loss, xml: &str, part: u8) -> io::Result<Remains> {
        let mut wire = Vec::new();
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(xml.as_bytes())?;
                while tls.wants_write() {
                    tls.write_tls(&mut wire)?;
                }
            }
            None => wire.extend_from_slice(xml.as_bytes()),
        }
        wire.truncate(wire.len() * usize::from(part) / 256);
        self.put(&wire).await?;
        let socket = SockRef::from(&self.socket);
        match how {
            Loss::Reset => socket.set_linger(Some(Duration::ZERO))?,
            Loss::End => socket.shutdown(Shutdown::Write)?,
            Loss::Silence => {}
        }
        Ok(Remains((how != Loss::Reset).then_some(self.socket)))
    }

    /// The server's stream header, once there.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The features that follow the stream header.
    pub async fn features(&mut self) -> io::Result<Element> {
        self.expect("stream features", |element| element.name() == "features")
            .await
    }

    /// Runs one SASL exchange; the stream is to be opened anew afterwards. `PermissionDenied`: the server said no.
    pub async fn authenticate(&mut self, login: &Login) -> io::Result<()> {
        let (name, sha256) = match login.mechanism {
            Mechanism::Plain => {
                let secret = format!("\0{}\0{}", login.user, login.password);
                self.auth("PLAIN", &STANDARD.encode(secret)).await?;
                return self.sasl_answer().await.map(drop);
            }
            Mechanism::ScramSha1 => ("SCRAM-SHA-1", false),
            Mechanism::ScramSha256 => ("SCRAM-SHA-256", true),
        };
        let mut scram = Scram::new(sha256, &login.user, &login.password);
        self.auth(name, &scram.first()).await?;
        let challenge = self.sasl_answer().await?;
        let response = scram.last(&challenge);
        self.send(&format!("<response xmlns='{SASL}'>{response}</response>"))
            .await?;
        let success = self.sasl_answer().await?;
        if scram.proved(&success) {
            Ok(())
        } else {
            Err(io::Error::other("the server has not proved itself"))
        }
    }

    async fn auth(&mut self, mechanism: &str, initial: &str) -> io::Result<()> {
        self.send(&format!(
            "<auth xmlns='{SASL}' mechanism='{mechanism}'>{initial}</auth>"
        ))
        .await
    }

    async fn sasl_answer(&mut self) -> io::Result<String> {
        let answer = self
            .expect("answer to SASL", |element| element.ns() == SASL)
            .await?;
        if answer.name() == "failure" {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                answer.to_string(),
            ));
        }
        Ok(answer.text().to_string())
    }

    /// Sends a stream header; the server's comes with the next element.
    pub async fn open(&mut self) -> io::Result<()> {
        let domain = &self.domain;
        self.framer = Framer::new(Limits::BOUND);
        self.header = None;
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.send(&header).await
    }

    fn start_tls(&mut self) {
        let mut connection = tls::connection("localhost");
        connection.set_buffer_limit(None);
        self.tls = Some(Box::new(connection));
    }

    fn parse(&self, bytes: &[u8]) -> io::Result<Element> {
        let header = self.header.as_ref().ok_or(ErrorKind::InvalidData)?;
        Element::parse(bytes, &header.ns, &header.prefixes).map_err(io::Error::other)
    }

    /// Waits for bytes and takes them in.
    async fn fill(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.socket.readable().await?;
        let read = match &mut self.tls {
            None => self.socket.try_read_buf(&mut self.input),
            Some(tls) => {
                let read = tls.read_tls(&mut Ready(&self.socket));
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let plain = state.plaintext_bytes_to_read();
                let end = self.input.len();
                self.input.resize(end + plain, 0);
                tls.reader().read_exact(&mut self.input[end..])?;
                read
            }
        };
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => self.flush().await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            self.socket.writable().await?;
            match tls.write_tls(&mut Ready(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
