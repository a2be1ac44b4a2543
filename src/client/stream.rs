//! XML both ways over a socket that becomes TLS before anything is said.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Handshake;
use super::words::stream_error;
use super::{ClientError, Trust};
use crate::xml::{CLIENT_NS, Element, Frame, Framer, Header, Limits, STREAM_NS, escape_attr};

const TLS_NS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// How long a server may take for one answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secured {
    /// With `<starttls/>` (RFC 6120 §5).
    StartTls,
    /// With the first byte (XEP-0368).
    Direct,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// When TLS begins there.
    pub secured: Secured,
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

/// A stream under TLS.
pub(super) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    framer: Framer,
    header: Header,
    /// Plaintext that the framer has not taken.
    input: Vec<u8>,
    domain: String,
}

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

impl Stream {
    /// Connects to the server of `domain` and secures the stream; what is said next is under TLS.
    pub(super) async fn connect(
        server: &Server,
        domain: &str,
        trust: &Trust,
    ) -> Result<Stream, ClientError> {
        let refused = |source| ClientError::Connect {
            server: server.to_string(),
            source,
        };
        let connecting = TcpStream::connect((server.host.as_str(), server.port));
        let tcp = timeout(ANSWER_TIME, connecting)
            .await
            .map_err(|_| ClientError::Silent(ANSWER_TIME))?
            .map_err(refused)?;
        tcp.set_nodelay(true).map_err(ClientError::System)?;
        let mut stream = Stream {
            tcp,
            tls: None,
            framer: Framer::new(Limits::BOUND),
            header: Header::default(),
            input: Vec::new(),
            domain: domain.to_owned(),
        };
        if server.secured == Secured::StartTls {
            stream.ask_for_tls(server).await?;
        }
        stream.secure(server, trust).await?;
        Ok(stream)
    }

    /// `<starttls/>` (RFC 6120 §5.4). Nothing that a server says before TLS is believed but this.
    async fn ask_for_tls(&mut self, server: &Server) -> Result<(), ClientError> {
        let features = self.open().await?;
        if features.child("starttls", TLS_NS).is_none() {
            return Err(ClientError::NoTls(server.to_string()));
        }
        self.send(&Element::new("starttls", TLS_NS)).await?;
        let answer = self.answer().await?;
        if !answer.is("proceed", TLS_NS) {
            return Err(ClientError::unexpected("<proceed/>", &answer));
        }
        // What was sent in the clear behind it is nobody's word (RFC 6120 §5.4.3.3).
        self.input.clear();
        Ok(())
    }

    async fn secure(&mut self, server: &Server, trust: &Trust) -> Result<(), ClientError> {
        let bare = self.domain.trim_matches(['[', ']']);
        let name = idna::domain_to_ascii(bare)
            .ok()
            .and_then(|name| ServerName::try_from(name).ok())
            .ok_or_else(|| ClientError::Name(self.domain.clone()))?;
        let handshake = Handshake::new(trust)?;
        let connection = ClientConnection::new(handshake.config.clone(), name)
            .map_err(|error| handshake.failure(&server.to_string(), error))?;
        self.tls = Some(Box::new(connection));
        let shaking = async {
            while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
                self.fill().await?;
            }
            Ok(())
        };
        let failed: io::Error = match timeout(ANSWER_TIME, shaking).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(ClientError::Silent(ANSWER_TIME)),
        };
        // The alert that tells the server why.
        let _ = self.flush().await;
        match failed.downcast::<rustls::Error>() {
            Ok(error) => Err(handshake.failure(&server.to_string(), error)),
            Err(error) => Err(ClientError::lost(&error)),
        }
    }

    /// Opens a stream, or opens it anew, and gives the server's features (RFC 6120 §4.3.2).
    pub(super) async fn open(&mut self) -> Result<Element, ClientError> {
        self.framer.restart();
        self.header = Header::default();
        let mut header = b"<?xml version='1.0'?><stream:stream to='".to_vec();
        escape_attr(&mut header, &self.domain);
        header.extend_from_slice(
            format!("' version='1.0' xmlns='{CLIENT_NS}' xmlns:stream='{STREAM_NS}'>").as_bytes(),
        );
        self.write(&header).await?;
        let features = self.answer().await?;
        if features.is("features", STREAM_NS) {
            Ok(features)
        } else {
            Err(ClientError::unexpected("<stream:features/>", &features))
        }
    }

    /// Sends one element.
    pub(super) async fn send(&mut self, element: &Element) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        element.write_to(&mut bytes, CLIENT_NS);
        self.write(&bytes).await
    }

    /// Ends our side of the stream (RFC 6120 §4.4).
    pub(super) async fn end(&mut self) -> Result<(), ClientError> {
        self.write(b"</stream:stream>").await
    }

    /// The next element, within [`ANSWER_TIME`].
    pub(super) async fn answer(&mut self) -> Result<Element, ClientError> {
        timeout(ANSWER_TIME, self.next())
            .await
            .unwrap_or(Err(ClientError::Silent(ANSWER_TIME)))
    }

    /// The next element, however long it takes. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Element, ClientError> {
        loop {
            let mut rest = self.input.as_slice();
            let frame = self.framer.next(&mut rest);
            let used = self.input.len().saturating_sub(rest.len());
            self.input.drain(..used);
            match frame? {
                Some(Frame::Header(header)) => self.header = header,
                Some(Frame::Stanza(raw)) => {
                    let header = &self.header;
                    let element = Element::parse(&raw.bytes, &header.ns, &header.prefixes)?;
                    if element.is("error", STREAM_NS) {
                        return Err(ClientError::Ended(stream_error(&element)));
                    }
                    return Ok(element);
                }
                Some(Frame::Whitespace) => {}
                Some(Frame::End) => return Err(ClientError::Ended("it said good-bye".to_owned())),
                None => self
                    .fill()
                    .await
                    .map_err(|error| ClientError::lost(&error))?,
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let written = async {
            let mut rest = bytes;
            while !rest.is_empty() {
                let count = match &mut self.tls {
                    Some(tls) => tls.writer().write(rest)?,
                    None => {
                        self.tcp.writable().await?;
                        match self.tcp.try_write(rest) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                            written => written?,
                        }
                    }
                };
                rest = rest.get(count..).unwrap_or_default();
                self.flush().await?;
            }
            Ok(())
        };
        match timeout(ANSWER_TIME, written).await {
            Ok(written) => written.map_err(|error: io::Error| ClientError::lost(&error)),
            Err(_) => Err(ClientError::Silent(ANSWER_TIME)),
        }
    }

    /// Waits for bytes and takes them in.
    async fn fill(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.tcp.readable().await?;
        let read = match &mut self.tls {
            None => self.tcp.try_read_buf(&mut self.input),
            Some(tls) => {
                let read = tls.read_tls(&mut Ready(&self.tcp));
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let waiting = u64::try_from(state.plaintext_bytes_to_read()).unwrap_or(u64::MAX);
                tls.reader().take(waiting).read_to_end(&mut self.input)?;
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
            self.tcp.writable().await?;
            match tls.write_tls(&mut Ready(&self.tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
