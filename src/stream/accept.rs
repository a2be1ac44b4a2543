//! The driver: runs a [`Negotiation`] over a socket.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::{self, Component, Config, PeerSettings, Role, TlsMode};
use crate::directory::AckTooHigh;
use crate::hook::{PeerKind, TlsInfo};
use crate::jid::Jid;
use crate::net::tls::{ServerSettings, Tls, TlsError};
use crate::net::{Clock, Deadline, Timers, Turnstile};
use crate::sasl::{Credentials, Mechanism, PlainWork, ScramKeys, Secret, Unknown};
use crate::stanza::StanzaError;
use crate::xml::{Element, Frame, Framer, Header, Limits};

use super::negotiate::{
    AfterLogin, Bounds, Components, Event, Negotiation, NewAccount, Next, Refusal, Rules, StartTls,
};

/// Bytes read at once. The buffer is on the stack of the poll, not in the stream's state.
const READ_BYTES: usize = 4096;

/// How long a stream that ends may take to be written and to be closed by the peer.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Bytes of a stream that ends that are read and thrown away, so that the peer is not reset before it reads why.
const MAX_LINGER_BYTES: usize = 65_536;

/// A future that stays on its worker.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Credentials could not be read or checked now: our trouble, not a wrong password.
#[derive(Debug, thiserror::Error)]
#[error("credentials cannot be checked: {0}")]
pub struct AuthFailure(Box<dyn std::error::Error>);

impl AuthFailure {
    /// Because of `error`.
    pub fn new(error: impl std::error::Error + 'static) -> AuthFailure {
        AuthFailure(Box::new(error))
    }
}

/// What negotiation asks of the server about users and sessions.
pub trait Authenticate {
    /// What is stored of the user with this bare JID; `None` if there is none.
    fn credentials<'a>(
        &'a self,
        user: &'a Jid,
    ) -> LocalFuture<'a, Result<Option<Credentials>, AuthFailure>>;

    /// What a user of this bare JID is shown if there is none. Asked for known users too, so that both cost the same.
    fn unknown<'a>(&'a self, user: &'a Jid) -> LocalFuture<'a, Result<Unknown, AuthFailure>>;

    /// Runs the derivation away from the worker.
    fn derive(&self, work: PlainWork) -> LocalFuture<'_, Result<ScramKeys, AuthFailure>>;

    /// Makes an account.
    ///
    /// # Errors
    /// What the client is told.
    fn register(&self, account: NewAccount) -> LocalFuture<'_, Result<(), StanzaError>>;

    /// The id of the invite to `domain` that the token belongs to.
    ///
    /// # Errors
    /// What the client is told.
    fn show_invite(
        &self,
        domain: String,
        token: Secret,
    ) -> LocalFuture<'_, Result<String, StanzaError>>;

    /// Binds `wish` (prepared), or a resource of the server's making, for `user` (a bare JID). Decides what becomes of an
    /// older session with the same resource (RFC 6120 §7.7.2.2).
    ///
    /// # Errors
    /// What the client is told, for instance that it has too many sessions.
    fn bind<'a>(
        &'a self,
        user: &'a Jid,
        wish: Option<&'a str>,
    ) -> LocalFuture<'a, Result<Jid, StanzaError>>;

    /// Makes known that a component has proved who it is: from here on stanzas for its domain go to this stream, whose TLS
    /// version is told. Decides what becomes of an older stream of the same component.
    fn attach(&self, component: &Component, tls: Option<&'static str>);

    /// Takes the session of `user` (a bare JID) that is named `previd` and of which the peer has handled `h` stanzas, from
    /// its socket or from where it waits. Gives its full JID and how many stanzas of the peer are handled (XEP-0198 §5).
    ///
    /// # Errors
    /// It cannot be resumed; what there is stays as it is.
    fn resume<'a>(
        &'a self,
        user: &'a Jid,
        previd: &'a str,
        h: u32,
    ) -> LocalFuture<'a, Result<(Jid, u32), NotResumed>>;
}

/// Why a session is not resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResumed {
    /// The user has no such session, or no more, or somebody else resumes it just now.
    #[error("no such session")]
    Gone,
    /// The peer says that it has handled more than it was sent.
    #[error(transparent)]
    TooHigh(#[from] AckTooHigh),
}

/// What a stream needs from its server: one epoch of the configuration, as it holds for this peer.
pub struct AcceptContext {
    /// TLS mode, mechanisms, times and sizes for this peer.
    pub settings: Arc<PeerSettings>,
    /// The domains served here.
    pub config: Arc<Config>,
    /// The listener's certificates.
    pub tls: Arc<ServerSettings>,
    /// Stream ids and nonces.
    pub clock: Clock,
    /// The worker's timers.
    pub timers: Timers,
    /// Lets so many handshakes begin per turn of the worker.
    pub handshakes: Rc<Turnstile>,
    /// Stream features after the login.
    pub after_login: AfterLogin,
    /// Users and sessions.
    pub auth: Rc<dyn Authenticate>,
}

/// A stream that has logged in and bound its resource, or is a component's. The last answer is written.
pub struct Bound {
    /// The socket, under TLS or not.
    pub io: Tls,
    /// In the middle of the stream, with the limits of a bound one.
    pub framer: Framer,
    /// What was read behind the bind: goes to the framer before anything else.
    pub leftover: Vec<u8>,
    /// The stream's last header.
    pub header: Header,
    /// A client, or a component.
    pub kind: PeerKind,
    /// The full JID of a client, the domain of a component.
    pub jid: Jid,
    /// What TLS negotiated.
    pub tls: Option<TlsInfo>,
    /// The SASL mechanism of the login; `handshake` of a component.
    pub mechanism: &'static str,
}

/// Why a socket did not become a bound stream.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The socket or the TLS handshake failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// TLS could not be started.
    #[error("TLS could not be started: {0}")]
    Tls(#[from] TlsError),
    /// The TLS handshake did not begin or end in time.
    #[error("no TLS handshake in time")]
    HandshakeTimeout,
    /// The peer went away, or ended its stream.
    #[error("the peer closed the connection before it had a resource")]
    Closed,
    /// The peer was told a stream error.
    #[error("the stream was refused: {0}")]
    Refused(#[from] Refusal),
}

/// Takes a client from its first byte to its bound resource, or a component to its handshake.
///
/// # Errors
/// [`AcceptError`]; the peer has been told, if it could be, and the socket is closed.
pub async fn accept(
    tcp: TcpStream,
    peer: SocketAddr,
    context: Rc<AcceptContext>,
) -> Result<Bound, AcceptError> {
    let mut driver = Driver::new(Tls::new(tcp), peer, context);
    let direct = match driver.context.settings.tls {
        TlsMode::None | TlsMode::Offered | TlsMode::Required => false,
        TlsMode::Direct => true,
        TlsMode::Either => driver.peek_handshake().await?,
    };
    if direct {
        driver.handshake(None).await?;
    }
    let rules = rules(&driver.context, peer);
    let negotiation = Negotiation::new(rules, driver.context.clock.clone(), direct);
    driver.negotiate(negotiation).await
}

/// What the configuration grants this peer.
fn rules(context: &AcceptContext, peer: SocketAddr) -> Rules {
    let settings = &context.settings;
    Rules {
        starttls: match settings.tls {
            TlsMode::None => StartTls::Absent,
            TlsMode::Offered => StartTls::Offered,
            TlsMode::Required | TlsMode::Direct | TlsMode::Either => StartTls::Required,
        },
        mechanisms: settings
            .mechanisms
            .iter()
            .map(|mechanism| match mechanism {
                config::Mechanism::ScramSha256 => Mechanism::ScramSha256,
                config::Mechanism::ScramSha1 => Mechanism::ScramSha1,
                config::Mechanism::Plain => Mechanism::Plain,
            })
            .collect(),
        serves: {
            let config = context.config.clone();
            Box::new(move |domain| config.is_local_domain(domain))
        },
        speaker: context
            .config
            .domains()
            .iter()
            .find(|domain| domain.role == Some(Role::Server))
            .map(|domain| domain.name.clone()),
        registration: {
            let config = context.config.clone();
            Box::new(move |domain| config.registration_of(domain))
        },
        registration_without_tls: settings.registration_without_tls,
        components: Components::of(settings.component_streams, peer.ip()),
        component: {
            let config = context.config.clone();
            Box::new(move |domain| config.component(domain).cloned())
        },
        bounds: (
            Bounds {
                max_bytes: settings.max_stanza_size_before_auth,
                // Whoever says nothing has not logged in by then.
                idle: Some(settings.login_time),
            },
            Bounds {
                max_bytes: settings.max_stanza_size,
                idle: settings.idle_time,
            },
        ),
        after_login: context.after_login.clone(),
    }
}

struct Driver {
    context: Rc<AcceptContext>,
    peer: SocketAddr,
    io: Tls,
    framer: Framer,
    /// Read and not framed yet.
    input: Vec<u8>,
    /// White space before the next header ends what came before it: some clients write a line end behind every element.
    between_streams: bool,
    /// Not written yet.
    out: Vec<u8>,
    header: Header,
    deadline: Deadline,
    /// The login must be done by then.
    login_by_ms: u64,
}

impl Driver {
    fn new(io: Tls, peer: SocketAddr, context: Rc<AcceptContext>) -> Driver {
        let limits = Limits {
            stanza_bytes: context.settings.max_stanza_size_before_auth,
            ..Limits::BEFORE_AUTH
        };
        Driver {
            peer,
            io,
            framer: Framer::new(limits),
            input: Vec::new(),
            between_streams: false,
            out: Vec::new(),
            header: Header::default(),
            deadline: context.timers.deadline(),
            login_by_ms: after(&context.clock, context.settings.login_time),
            context,
        }
    }

    /// Drives the negotiation to a bound stream or to the end.
    async fn negotiate(mut self, mut negotiation: Negotiation) -> Result<Bound, AcceptError> {
        let mut next = Next::Read;
        loop {
            let event = match next {
                Next::Read => self.frame().await?,
                Next::Restart => {
                    self.framer.restart();
                    self.between_streams = true;
                    self.frame().await?
                }
                Next::StartTls => {
                    if self.send().await? {
                        // White space at most. Nothing from before the handshake is read as if it came through it (T14).
                        self.input.clear();
                        self.handshake(negotiation.domain()).await?;
                        self.framer.restart();
                        Event::Encrypted
                    } else {
                        Event::Late
                    }
                }
                Next::Lookup(user) => Event::Found(self.look_up(&user).await),
                Next::Derive(work) => Event::Derived(self.derive(work).await),
                Next::Bind(user, wish) => {
                    Event::Resource(self.context.auth.bind(&user, wish.as_deref()).await)
                }
                Next::Resume { user, previd, h } => {
                    Event::Resumed(self.context.auth.resume(&user, &previd, h).await)
                }
                Next::Register(account) => {
                    Event::Registered(self.context.auth.register(account).await)
                }
                Next::ShowInvite(domain, token) => {
                    Event::Shown(self.context.auth.show_invite(domain, token).await)
                }
                Next::Attach(component) => {
                    let tls = self.io.info().map(|info| info.version);
                    self.context.auth.attach(&component, tls);
                    Event::Attached
                }
                Next::Bound(jid, mechanism) => {
                    return self.bound(PeerKind::Client, jid, mechanism.name()).await;
                }
                Next::Attached(component) => {
                    let jid = component.jid.clone();
                    return self.bound(PeerKind::Component, jid, "handshake").await;
                }
                Next::End => {
                    self.close().await;
                    return Err(AcceptError::Closed);
                }
                Next::Refused(refusal) => {
                    self.close().await;
                    return Err(refusal.into());
                }
            };
            next = negotiation.on(event, &mut self.out);
            if let Some(failed) = negotiation.take_failed_login() {
                tracing::info!(
                    peer.addr = %self.peer,
                    user = failed.user.as_ref().map(Jid::as_str),
                    mechanism = failed.mechanism.map(Mechanism::name),
                    condition = failed.failure.condition(),
                    "login failed"
                );
            }
        }
    }

    async fn look_up(&self, user: &Jid) -> Option<(Option<Credentials>, Unknown)> {
        let auth = &self.context.auth;
        let found = async { Ok((auth.credentials(user).await?, auth.unknown(user).await?)) };
        self.or_log(found.await)
    }

    async fn derive(&self, work: PlainWork) -> Option<ScramKeys> {
        let derived = self.context.auth.derive(work).await;
        self.or_log(derived)
    }

    /// The peer learns only that something failed here; the operator learns what.
    fn or_log<T>(&self, outcome: Result<T, AuthFailure>) -> Option<T> {
        outcome
            .inspect_err(|error| tracing::error!(peer.addr = %self.peer, %error, "login failed"))
            .ok()
    }

    /// Writes what there is and gives the next frame of the negotiation.
    async fn frame(&mut self) -> Result<Event, AcceptError> {
        if !self.send().await? {
            return Ok(Event::Late);
        }
        loop {
            let mut rest = self.input.as_slice();
            if self.between_streams {
                rest = rest.trim_ascii_start();
                self.between_streams = rest.is_empty();
            }
            let frame = self.framer.next(&mut rest);
            let taken = self.input.len().saturating_sub(rest.len());
            let behind = !rest.trim_ascii_start().is_empty();
            self.input.drain(..taken);
            match frame {
                Err(error) => return Ok(Event::Broken(error)),
                Ok(Some(Frame::Header(header))) => {
                    self.header = header.clone();
                    return Ok(Event::Header(header));
                }
                Ok(Some(Frame::Stanza(raw))) => {
                    let header = &self.header;
                    return Ok(
                        match Element::parse(&raw.bytes, &header.ns, &header.prefixes) {
                            Ok(element) => Event::Element { element, behind },
                            Err(error) => Event::Broken(error),
                        },
                    );
                }
                Ok(Some(Frame::End)) => return Ok(Event::End),
                Ok(Some(Frame::Whitespace)) => {}
                Ok(None) => {
                    if !self.read().await? {
                        return Ok(Event::Late);
                    }
                }
            }
        }
    }

    /// Reads some bytes. False: the time is over.
    async fn read(&mut self) -> Result<bool, AcceptError> {
        // An idle stream keeps no buffer; the next read makes one of the size it needs.
        self.input = Vec::new();
        let Driver {
            io,
            input,
            deadline,
            login_by_ms,
            ..
        } = self;
        poll_fn(|cx| {
            if deadline.poll_at(cx, *login_by_ms).is_ready() {
                return Poll::Ready(Ok(false));
            }
            let mut buf = [0; READ_BYTES];
            let len = ready!(io.poll_read(cx, &mut buf))?;
            input.extend_from_slice(buf.get(..len).unwrap_or_default());
            Poll::Ready(match len {
                0 => Err(AcceptError::Closed),
                _ => Ok(true),
            })
        })
        .await
    }

    /// Writes what there is. False: the time is over.
    async fn send(&mut self) -> Result<bool, AcceptError> {
        if self.out.is_empty() {
            return Ok(true);
        }
        let out = std::mem::take(&mut self.out);
        let by_ms = self.login_by_ms;
        Ok(self.write(&out, by_ms).await?)
    }

    async fn write(&mut self, mut data: &[u8], by_ms: u64) -> io::Result<bool> {
        let Driver { io, deadline, .. } = self;
        poll_fn(|cx| {
            if deadline.poll_at(cx, by_ms).is_ready() {
                return Poll::Ready(Ok(false));
            }
            while !data.is_empty() {
                let taken = ready!(io.poll_write(cx, data))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                data = data.get(taken..).unwrap_or_default();
            }
            io.poll_flush(cx).map_ok(|()| true)
        })
        .await
    }

    /// Whether the first byte is that of a TLS handshake.
    async fn peek_handshake(&mut self) -> Result<bool, AcceptError> {
        let Driver {
            io,
            deadline,
            login_by_ms,
            ..
        } = self;
        poll_fn(|cx| {
            if deadline.poll_at(cx, *login_by_ms).is_ready() {
                return Poll::Ready(Err(AcceptError::HandshakeTimeout));
            }
            io.poll_peek_handshake(cx).map_err(AcceptError::Io)
        })
        .await
    }

    /// Shakes hands, as `domain` if the stream was opened to it.
    async fn handshake(&mut self, domain: Option<&str>) -> Result<(), AcceptError> {
        let by_ms = after(&self.context.clock, self.context.settings.handshake_time);
        self.wait_for_a_turn(by_ms).await?;
        self.io.start(self.context.tls.for_domain(domain))?;
        let Driver { io, deadline, .. } = self;
        poll_fn(|cx| {
            if deadline.poll_at(cx, by_ms).is_ready() {
                return Poll::Ready(Err(AcceptError::HandshakeTimeout));
            }
            io.poll_handshake(cx).map_err(AcceptError::Io)
        })
        .await
    }

    /// Waits until the peer has begun its handshake and the worker has time for it. One that says nothing takes no turn.
    async fn wait_for_a_turn(&mut self, by_ms: u64) -> Result<(), AcceptError> {
        let Driver {
            io,
            deadline,
            context,
            ..
        } = self;
        let mut pass = pin!(context.handshakes.pass());
        let mut begun = false;
        poll_fn(|cx| {
            if deadline.poll_at(cx, by_ms).is_ready() {
                return Poll::Ready(Err(AcceptError::HandshakeTimeout));
            }
            if !begun {
                ready!(io.poll_peek_handshake(cx))?;
                begun = true;
            }
            pass.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    async fn bound(
        mut self,
        kind: PeerKind,
        jid: Jid,
        mechanism: &'static str,
    ) -> Result<Bound, AcceptError> {
        if !self.send().await? {
            return Err(AcceptError::Closed);
        }
        self.framer.set_limits(Limits {
            stanza_bytes: self.context.settings.max_stanza_size,
            depth: self.context.settings.max_depth,
            ..Limits::BOUND
        });
        Ok(Bound {
            tls: self.io.info().map(|info| TlsInfo {
                version: info.version,
                cipher: info.cipher.to_owned(),
            }),
            io: self.io,
            framer: self.framer,
            leftover: self.input,
            header: self.header,
            kind,
            jid,
            mechanism,
        })
    }

    /// Writes what there is, says goodbye and waits a moment for the peer to close: a socket that is closed with unread
    /// data resets the connection, and the peer would not read why.
    async fn close(&mut self) {
        let by_ms = after(&self.context.clock, CLOSE_TIME);
        let out = std::mem::take(&mut self.out);
        if !matches!(self.write(&out, by_ms).await, Ok(true)) {
            return;
        }
        let Driver { io, deadline, .. } = self;
        let mut left = MAX_LINGER_BYTES;
        let mut shut = false;
        poll_fn(|cx| {
            if deadline.poll_at(cx, by_ms).is_ready() {
                return Poll::Ready(());
            }
            if !shut {
                shut = ready!(io.poll_shutdown(cx)).is_ok();
                if !shut {
                    return Poll::Ready(());
                }
            }
            io.poll_linger(cx, &mut left)
        })
        .await;
    }
}

fn after(clock: &Clock, time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    clock.monotonic_ms().saturating_add(ms)
}

#[cfg(test)]
mod tests;
