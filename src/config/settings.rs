//! The typed views: every value resolved, so that nothing is looked up by name while stanzas flow.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::domains::{Domains, People};
use super::names::Net;
use crate::jid::Jid;
use crate::sasl::Secret;

/// When TLS begins on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    None,
    /// STARTTLS may be used.
    Offered,
    /// STARTTLS before anything else.
    Required,
    /// From the first byte (XEP-0368).
    Direct,
    /// The first byte decides between [`TlsMode::Direct`] and [`TlsMode::Required`].
    Either,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// What may need one.
    Warning,
    /// What an operator wants to know at three in the morning.
    Info,
    /// Each stanza.
    Debug,
    /// Each byte.
    Trace,
}

/// A SASL mechanism that the server can offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 4616; offered under TLS only.
    Plain,
}

/// What becomes of a stanza when a script fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// As if the script had said next.
    Continue,
    /// Its sender gets an error.
    Reject,
}

/// What a domain is to this daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We serve it: its users log in here.
    Server,
    /// Others serve it. Without effect so far.
    Client,
}

/// Where components may connect (XEP-0114).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentStreams {
    /// Nowhere.
    None,
    /// Inside TLS.
    Tls,
    /// Inside TLS, or without it from this machine.
    Local,
    /// Anywhere.
    Any,
}

/// Who may make an account by a client (XEP-0077).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Nobody.
    #[default]
    Closed,
    /// Who shows an invite.
    Invite,
    /// Everybody.
    Open,
}

/// Gives an enumeration its words: one list for parsing, printing and the manual.
macro_rules! words {
    ($type:ident { $( $variant:ident = $word:literal ),* $(,)? }) => {
        impl $type {
            /// Every word, in order.
            pub(super) const WORDS: &'static [&'static str] = &[$( $word ),*];

            /// The word in configurations.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( $type::$variant => $word ),*
                }
            }

            /// The value of that word.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$type> {
                match name {
                    $( $word => Some($type::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

words!(TlsMode {
    None = "none",
    Offered = "offered",
    Required = "required",
    Direct = "direct",
    Either = "either",
});
words!(LogLevel {
    Error = "error",
    Warning = "warning",
    Info = "info",
    Debug = "debug",
    Trace = "trace",
});
words!(Mechanism {
    ScramSha256 = "SCRAM-SHA-256",
    ScramSha1 = "SCRAM-SHA-1",
    Plain = "PLAIN",
});
words!(OnError {
    Continue = "continue",
    Reject = "reject",
});
words!(Registration {
    Closed = "closed",
    Invite = "invite",
    Open = "open",
});
words!(ComponentStreams {
    None = "none",
    Tls = "tls",
    Local = "local",
    Any = "any",
});
words!(Role {
    Server = "server",
    Client = "client",
});

/// Certificate files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, the leaf first.
    pub chain: PathBuf,
    /// The private key; may be the same file.
    pub key: PathBuf,
}

/// A group of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadPool {
    /// Its name.
    pub name: String,
    /// Threads; 0: one per core.
    pub concurrency: usize,
}

/// One socket that accepts XMPP streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// As the configuration names it: `*:5222`.
    pub name: String,
    /// Where to bind.
    pub addr: SocketAddr,
    /// The name said any address: IPv4 clients come to this IPv6 socket too. Where the machine has no IPv6, bind
    /// `0.0.0.0` instead. When false, an IPv6 socket takes IPv6 only.
    pub dual_stack: bool,
    /// Name of a pool in [`super::Config::thread_pools`].
    pub pool_name: String,
    /// Connections that may wait to be accepted.
    pub listen_backlog: u32,
    /// TCP_NODELAY.
    pub disable_nagle_algorithm: bool,
    /// SO_RCVBUF in bytes; `None`: the kernel decides.
    pub tcp_recv_buffer_size: Option<usize>,
    /// SO_SNDBUF in bytes; `None`: the kernel decides.
    pub tcp_send_buffer_size: Option<usize>,
    /// For domains that have none of their own; `None`: the self-signed one.
    pub certificate: Option<Certificate>,
    /// What holds for addresses that no `Peer` names.
    pub anyone: Arc<PeerSettings>,
    /// What holds for the networks that a `Peer` names, the longest prefix first.
    pub(super) peers: Vec<(Net, Arc<PeerSettings>)>,
}

impl Listen {
    /// What holds for a connection from `ip`: peer in listen, peer in listener, listen, listener, global, per option.
    #[must_use]
    pub fn for_peer(&self, ip: IpAddr) -> &Arc<PeerSettings> {
        let ip = ip.to_canonical();
        self.peers
            .iter()
            .find(|(net, _)| net.contains(ip))
            .map_or(&self.anyone, |(_, settings)| settings)
    }
}

/// What may differ by the address of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// When TLS begins.
    pub tls: TlsMode,
    /// What to offer, the best first. PLAIN stands here only if `AuthPlainParameters` allow it; it is still for TLS only.
    pub mechanisms: Vec<Mechanism>,
    /// Silence after which a session is closed; `None`: never.
    pub idle_time: Option<Duration>,
    /// How long a TLS handshake may take.
    pub handshake_time: Duration,
    /// How long it may take from the connection to a bound resource.
    pub login_time: Duration,
    /// Connections from one address that have not logged in yet.
    pub max_unauthenticated_per_address: usize,
    /// Bytes of an element before login.
    pub max_stanza_size_before_auth: usize,
    /// Bytes of a stanza after login.
    pub max_stanza_size: usize,
    /// Nesting of elements after login.
    pub max_depth: usize,
    /// Tries to register from one address within an hour; `None`: no limit.
    pub registrations_per_hour: Option<u32>,
    /// Whether an account may be registered without TLS.
    pub registration_without_tls: bool,
    /// Where components may connect.
    pub component_streams: ComponentStreams,
}

/// One socket of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlListen {
    /// Where it is, the data directory already put before a relative path.
    pub path: PathBuf,
    /// Its mode.
    pub file_mode: u32,
    /// Connections that may wait to be accepted.
    pub listen_backlog: u32,
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// As addresses spell it: lower case, U-labels, no trailing dot.
    pub name: String,
    /// Ours or not.
    pub role: Option<Role>,
    /// Who may make an account by a client.
    pub registration: Registration,
    /// Its own certificate; `None`: the listener's.
    pub certificate: Option<Certificate>,
    pub(super) people: People,
}

/// A program beside the server that speaks for a domain of its own (XEP-0114).
#[derive(Clone, Debug)]
pub struct Component {
    /// Its domain, as addresses spell it.
    pub jid: Jid,
    /// What it proves to know.
    pub secret: Secret,
    /// Bytes that may wait to be written to it.
    pub outbox_size: usize,
}

/// One configured script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name in the configuration.
    pub name: String,
    /// The file or module to load from the script directory.
    pub source: String,
    /// Fail closed: refuse stanzas while the script cannot judge them.
    pub required: bool,
    /// What becomes of a stanza when the script fails on it.
    pub on_error: OnError,
}

/// What the script engine keeps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// CPU time of one call.
    pub cpu_budget: Duration,
    /// Bytes of one worker's Lua state.
    pub memory: usize,
    /// How long a stanza waits for a script that waits.
    pub hook_wait: Duration,
    /// Old generations that may be alive.
    pub old_generations: usize,
    /// How long an old generation may live.
    pub old_generation_time: Duration,
}

/// What bounds users, sessions and turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Resources of one user.
    pub max_sessions_per_user: usize,
    /// Bytes that wait for one session.
    pub outbox_size: usize,
    /// How long an outbox may stay full.
    pub outbox_stall: Duration,
    /// Stanzas that a client may leave unacknowledged.
    pub sm_unacked_max: usize,
    /// How long a client may take to answer a request to acknowledge.
    pub sm_ack_time: Duration,
    /// How long a session waits to be resumed; `None`: none is resumed.
    pub sm_resume_time: Option<Duration>,
    /// Sessions of one user that may wait to be resumed.
    pub sm_detached_max: usize,
    /// Messages kept for one user.
    pub offline_max_messages: u64,
    /// Bytes of messages kept for one user.
    pub offline_max_bytes: u64,
    /// How long a message is kept; `None`: for ever.
    pub offline_expiration: Option<Duration>,
    /// Bytes of one element of private XML.
    pub private_max_size: usize,
    /// Elements of private XML of one user.
    pub private_max_elements: u64,
    /// Bytes of a vCard.
    pub vcard_max_size: usize,
    /// Characters of a registered name.
    pub registration_min_name: usize,
    /// For new passwords.
    pub scram_iterations: u32,
    /// Stanzas of one session per turn of its worker.
    pub max_stanzas_per_turn: usize,
    /// TLS handshakes per turn of a worker.
    pub max_handshakes_per_turn: usize,
    /// Bytes kept for peers above which new connections are refused; `None`: no limit.
    pub memory_soft: Option<usize>,
    /// Bytes kept for peers above which connections and sessions are closed; `None`: no limit.
    pub memory_hard: Option<usize>,
}

/// How long each step of the shutdown may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// For stanzas that wait for a script.
    pub waits: Duration,
    /// For writing out the outboxes.
    pub flush: Duration,
    /// For closing the streams, and again for closing the store.
    pub close: Duration,
}

/// Where the scripts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptDir {
    /// This directory.
    Dir(PathBuf),
    /// The scripts compiled into the program.
    BuiltIn,
}

impl std::fmt::Display for ScriptDir {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScriptDir::Dir(path) => path.display().fmt(out),
            ScriptDir::BuiltIn => out.write_str("built in"),
        }
    }
}

/// Everything resolved.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) hostname: String,
    pub(super) data_dir: PathBuf,
    pub(super) script_dir: ScriptDir,
    pub(super) log_level: LogLevel,
    pub(super) xmpp_log_level: LogLevel,
    pub(super) thread_pools: Vec<ThreadPool>,
    pub(super) xmpp_listens: Vec<Listen>,
    pub(super) control_listens: Vec<ControlListen>,
    pub(super) domains: Domains,
    /// By domain.
    pub(super) components: BTreeMap<String, Arc<Component>>,
    pub(super) scripts: Vec<Script>,
    pub(super) limits: Limits,
    pub(super) script_limits: ScriptLimits,
    pub(super) drain: Drain,
}
