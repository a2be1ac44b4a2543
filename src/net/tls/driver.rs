//! The driver: rustls over a non-blocking socket, or the bare socket.
//!
//! It owns no buffers of its own while it is idle. Callers lend the buffer that they read into. Plaintext that waits for
//! its record exists from [`Tls::poll_write`] to [`Tls::poll_flush`] only. (rustls itself keeps 4 KB for reading.)

use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

/// Read at once from a peer whose words are forgotten.
const LINGER_READ: usize = 4_096;
/// The most plaintext that fits one TLS record (RFC 8446 §5.1).
const RECORD: usize = 16_384;

/// How much plaintext is encrypted ahead of the socket, in whole records.
const MAX_QUEUED: usize = 4 * RECORD;

/// The first byte of a TLS connection: a record of type handshake. No XML begins with it.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What TLS negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
}

/// Why TLS could not start or give key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The stream is encrypted already.
    #[error("TLS is already active")]
    Active,
    /// The stream is not encrypted.
    #[error("TLS is not active")]
    Inactive,
    /// rustls refused.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// A socket that may speak TLS.
#[derive(Debug)]
pub struct Tls {
    tcp: TcpStream,
    layer: Option<Box<Layer>>,
}

#[derive(Debug)]
struct Layer {
    conn: ServerConnection,
    /// Plaintext that waits to fill a record, at most [`RECORD`] bytes.
    pending: Vec<u8>,
    /// Plaintext bytes whose records the socket has not taken, at most [`MAX_QUEUED`].
    queued: usize,
}

/// The socket as rustls wants to see it. `WouldBlock` has registered the task's waker.
struct Socket<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

fn blocking<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for Socket<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        blocking(poll_read_tcp(self.tcp, self.cx, buf))
    }
}

impl io::Write for Socket<'_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.tcp).poll_write(self.cx, data))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn poll_read_tcp(
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(buf);
    ready!(Pin::new(tcp).poll_read(cx, &mut buf))?;
    Poll::Ready(Ok(buf.filled().len()))
}

impl Tls {
    /// Wraps a socket, without TLS so far. Nagle's algorithm should be off on it: writes are batched here, and each
    /// handshake would wait for a delayed acknowledgement.
    #[must_use]
    pub fn new(tcp: TcpStream) -> Tls {
        Tls { tcp, layer: None }
    }

    /// Waits for the first byte and says whether it is that of a TLS handshake. Takes nothing.
    pub fn poll_peek_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut first = [0];
        let mut buf = ReadBuf::new(&mut first);
        let len = ready!(self.tcp.poll_peek(cx, &mut buf))?;
        Poll::Ready(Ok(len == 1 && first == [HANDSHAKE_RECORD]))
    }

    /// Puts TLS on the socket: [`Tls::poll_handshake`] comes next.
    ///
    /// # Errors
    /// [`TlsError`] when TLS is there already or rustls refuses `config`.
    pub fn start(&mut self, config: Arc<ServerConfig>) -> Result<(), TlsError> {
        if self.layer.is_some() {
            return Err(TlsError::Active);
        }
        let mut conn = ServerConnection::new(config)?;
        // The bound is ours: rustls counts ciphertext, and would cut the last record short.
        conn.set_buffer_limit(None);
        self.layer = Some(Box::new(Layer {
            conn,
            pending: Vec::new(),
            queued: 0,
        }));
        Ok(())
    }

    /// Drives the handshake to its end. Ready at once without TLS.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            None => Poll::Ready(Ok(())),
            Some(layer) => layer.poll_handshake(&mut Socket {
                tcp: &mut self.tcp,
                cx,
            }),
        }
    }

    /// Reads plaintext into `buf`, which must not be empty. 0: the peer has closed. TCP's end without TLS's counts as
    /// closed too; whether the stream was cut off is seen from its XML.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            None => poll_read_tcp(&mut self.tcp, cx, buf),
            Some(layer) => layer.poll_read(
                &mut Socket {
                    tcp: &mut self.tcp,
                    cx,
                },
                buf,
            ),
        }
    }

    /// Takes plaintext; says how much of `data` it took. Under TLS it collects until a record is full or
    /// [`Tls::poll_flush`] is called, and is pending while [`MAX_QUEUED`] bytes wait for the socket.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            None => Pin::new(&mut self.tcp).poll_write(cx, data),
            Some(layer) => layer.poll_write(
                &mut Socket {
                    tcp: &mut self.tcp,
                    cx,
                },
                data,
            ),
        }
    }

    /// Brings everything that was taken to the socket.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            None => Poll::Ready(Ok(())),
            Some(layer) => layer.poll_flush(&mut Socket {
                tcp: &mut self.tcp,
                cx,
            }),
        }
    }

    /// Flushes, says goodbye (`close_notify`) and closes the sending side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(layer) = &mut self.layer {
            ready!(layer.poll_shutdown(&mut Socket {
                tcp: &mut self.tcp,
                cx,
            }))?;
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// After [`Tls::poll_shutdown`]: reads and forgets what the peer still sends, at most `left` bytes, until it closes. A
    /// socket that is closed with unread data resets the connection, and the peer would not read why.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        let mut buf = [0; LINGER_READ];
        while *left > 0 {
            // Below TLS: what it says no longer matters, and what it costs to decrypt neither.
            match ready!(poll_read_tcp(&mut self.tcp, cx, &mut buf)) {
                Ok(len) if len > 0 => *left = left.saturating_sub(len),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// What TLS negotiated. `None` without TLS or before the end of the handshake.
    #[must_use]
    pub fn info(&self) -> Option<Info> {
        let conn = &self.layer.as_ref()?.conn;
        let version = match conn.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            _ => return None,
        };
        let cipher = conn.negotiated_cipher_suite()?.suite().as_str()?;
        Some(Info {
            version,
            cipher: iana_name(cipher),
        })
    }

    /// Fills `out` with key material bound to this connection (RFC 5705; RFC 9266 for channel binding).
    ///
    /// # Errors
    /// [`TlsError`] without TLS or before the end of the handshake.
    pub fn exporter<const N: usize>(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<[u8; N], TlsError> {
        let layer = self.layer.as_ref().ok_or(TlsError::Inactive)?;
        Ok(layer.conn.export_keying_material([0; N], label, context)?)
    }

    /// The certificate that the peer has shown and proved.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.layer.as_ref()?.conn.peer_certificates()?.first()
    }
}

/// rustls spells TLS 1.3 suites `TLS13_...`; the registry has one prefix for all versions.
fn iana_name(suite: &'static str) -> &'static str {
    match suite {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}

/// Pending for `WouldBlock`, whose waker [`Socket`] has registered.
macro_rules! unblock {
    ($result:expr) => {
        match $result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            other => other,
        }
    };
}

impl Layer {
    fn poll_handshake(&mut self, socket: &mut Socket<'_, '_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(socket))?;
            if !self.conn.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if unblock!(self.conn.read_tls(socket))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.digest(socket)?;
        }
    }

    fn poll_read(
        &mut self,
        socket: &mut Socket<'_, '_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.conn.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                other => return Poll::Ready(other),
            }
            unblock!(self.conn.read_tls(socket))?;
            self.digest(socket)?;
        }
    }

    /// Decrypts what was read. What TLS itself has to say (alerts, key updates) is sent as far as the socket takes it
    /// now; the rest goes with the next write.
    fn digest(&mut self, socket: &mut Socket<'_, '_>) -> io::Result<()> {
        let outcome = self.conn.process_new_packets();
        let sent = self.poll_send(socket);
        match (outcome, sent) {
            (Err(error), _) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            (Ok(_), Poll::Ready(Err(error))) => Err(error),
            _ => Ok(()),
        }
    }

    fn poll_write(&mut self, socket: &mut Socket<'_, '_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.pending.is_empty() && data.len() >= RECORD {
            // Whole records need no copy.
            let whole = data.len() - data.len() % RECORD;
            return self.poll_encrypt(socket, data.get(..whole).unwrap_or(data));
        }
        while self.pending.len() >= RECORD {
            ready!(self.poll_encrypt_pending(socket))?;
        }
        let room = RECORD.saturating_sub(self.pending.len());
        let part = data.get(..room).unwrap_or(data);
        self.pending.extend_from_slice(part);
        Poll::Ready(Ok(part.len()))
    }

    /// Encrypts as much of `data` as may wait for the socket: at least a byte, unless `data` is empty.
    fn poll_encrypt(
        &mut self,
        socket: &mut Socket<'_, '_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.queued >= MAX_QUEUED {
            ready!(self.poll_send(socket))?;
        }
        let room = MAX_QUEUED.saturating_sub(self.queued);
        let taken = self.conn.writer().write(data.get(..room).unwrap_or(data))?;
        self.queued = self.queued.saturating_add(taken);
        Poll::Ready(Ok(taken))
    }

    fn poll_encrypt_pending(&mut self, socket: &mut Socket<'_, '_>) -> Poll<io::Result<()>> {
        let pending = std::mem::take(&mut self.pending);
        let outcome = self.poll_encrypt(socket, &pending);
        self.pending = pending;
        self.pending.drain(..ready!(outcome)?);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, socket: &mut Socket<'_, '_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            ready!(self.poll_encrypt_pending(socket))?;
        }
        self.pending = Vec::new();
        self.poll_send(socket)
    }

    fn poll_shutdown(&mut self, socket: &mut Socket<'_, '_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(socket))?;
        // Sent once, however often this is polled.
        self.conn.send_close_notify();
        self.poll_send(socket)
    }

    /// Writes ciphertext, many records per system call, until none is left.
    fn poll_send(&mut self, socket: &mut Socket<'_, '_>) -> Poll<io::Result<()>> {
        while self.conn.wants_write() {
            if unblock!(self.conn.write_tls(socket))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        self.queued = 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
impl Tls {
    /// Whether no buffer of this module is allocated.
    pub(super) fn layer_is_idle(&self) -> bool {
        self.layer
            .as_ref()
            .is_none_or(|layer| layer.pending.capacity() == 0 && layer.queued == 0)
    }
}
