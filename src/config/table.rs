//! The option table: every option that exists, once. It drives parsing, checking, defaults, fallback, reload and
//! `docs/config-reference.md`. Names are Momentum's where Momentum has one.

use super::place::{Effect, Place};
use super::settings::{
    ComponentStreams, LogLevel, Mechanism, OnError, Registration, Role, TlsMode,
};
use super::syntax::{Node, Scalar, Span};
use super::value::{Kind, Unit, Value, read};

/// A row of the table.
#[derive(Debug)]
pub(super) struct Opt {
    /// The name, in Momentum's spelling; case does not matter in a configuration.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Where it may stand. A narrower scope falls back to the wider ones among these.
    pub(super) places: &'static [Place],
    /// The value when nothing sets it, as it would be written; `None`: no value.
    pub(super) default: Option<&'static str>,
    pub(super) effect: Effect,
    /// The version that introduced it.
    pub(super) since: &'static str,
    /// One line for the manual.
    pub(super) doc: &'static str,
}

impl Opt {
    /// Whether it may stand in a scope of this kind.
    pub(super) fn legal_in(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    /// The value when nothing sets it.
    pub(super) fn default_value(&self) -> Option<Value> {
        let span = Span::NOWHERE;
        let scalar = |text: &str| Scalar {
            text: text.to_owned(),
            span,
        };
        let text = self.default?;
        let node = match self.kind {
            Kind::Words(_) => Node::List(text.split_whitespace().map(scalar).collect(), span),
            _ => Node::Scalar(scalar(text)),
        };
        read(self.name, self.kind, &node).ok()
    }
}

/// The option of that name, whatever its case.
pub(super) fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS
        .iter()
        .find(|opt| opt.name.eq_ignore_ascii_case(name))
        .copied()
}

const GLOBAL: &[Place] = &[Place::Global];
const MODULE: &[Place] = &[Place::Xmpp];
const LISTENER: &[Place] = &[Place::XmppListener, Place::XmppListen];
const ANY_LISTENER: &[Place] = &[
    Place::XmppListener,
    Place::XmppListen,
    Place::ControlListener,
    Place::ControlListen,
];
const SOCKET: &[Place] = &[Place::Global, Place::XmppListener, Place::XmppListen];
const SESSION: &[Place] = &[Place::XmppListener, Place::XmppListen, Place::XmppPeer];
const CERTIFICATE: &[Place] = &[Place::Domain, Place::XmppListener, Place::XmppListen];
const KEY: &[Place] = &[
    Place::Global,
    Place::Domain,
    Place::XmppListener,
    Place::XmppListen,
];
const PEOPLE: &[Place] = &[Place::Global, Place::Domain];
const OUTBOX: &[Place] = &[Place::Global, Place::Component];
const CONTROL: &[Place] = &[Place::ControlListener, Place::ControlListen];
const SCRIPT: &[Place] = &[Place::Scriptlet, Place::Script];

/// Passwords live in the store, as SCRAM keys.
const AUTH_KEYS: &[(&str, &[&str])] = &[("uri", &["store:"])];

const MIB: u64 = 1 << 20;
const DAY: u64 = 86_400;
const YEAR: u64 = 366 * DAY;

/// One line per option: constant, name, type, scopes, default, effect, since, and what it does.
macro_rules! options {
    ($( $constant:ident: $name:literal, $kind:expr, $places:expr, $default:expr, $effect:ident, $since:literal, $doc:literal; )*) => {
        $(
            #[doc = $doc]
            pub(super) static $constant: Opt = Opt {
                name: $name,
                kind: $kind,
                places: $places,
                default: $default,
                effect: Effect::$effect,
                since: $since,
                doc: $doc,
            };
        )*
        /// Every option, in the order of the manual.
        pub(super) static OPTIONS: &[&Opt] = &[$( &$constant ),*];
    };
}

options! {
    HOSTNAME: "hostname", Kind::Text, GLOBAL, Some("localhost"), Restart, "0.1",
        "The name of this machine in logs and in stamps.";
    DATA_DIR: "data_dir", Kind::Path, GLOBAL, Some("var"), Restart, "0.1",
        "The directory of the database, the self-signed certificate and the console's socket. A relative path starts at the working directory; `--data DIR` goes before it.";
    SCRIPT_DIR: "script_dir", Kind::Path, GLOBAL, None, Restart, "0.1",
        "The directory of the Lua scripts, relative to this file. Without it: `./scripts`, `scripts` beside this file, `/usr/share/stanzad/scripts`, else the scripts built in.";
    LOCAL_CHANGES_FILE: "Local_Changes_File", Kind::Path, GLOBAL, None, Live, "0.1",
        "A file, relative to this one, that is read after everything else, so that what it sets wins. It need not exist, and may be no file that is read anyway.";
    LOG_LEVEL: "log_level", Kind::Word(LogLevel::WORDS), GLOBAL, Some("info"), Live, "0.1",
        "How much is logged.";
    ENABLED: "enabled", Kind::Bool, MODULE, Some("true"), Restart, "0.1",
        "Whether the module acts at all.";
    DEBUG_LEVEL: "debug_level", Kind::Word(LogLevel::WORDS), MODULE, None, Live, "0.1",
        "How much this module logs. Without it: as `log_level` says.";
    ENABLE: "enable", Kind::Bool, ANY_LISTENER, Some("true"), Restart, "0.1",
        "Whether the sockets are opened.";
    AUTH_PLAIN_PARAMETERS: "AuthPlainParameters", Kind::Dict(AUTH_KEYS), LISTENER, None, Live, "0.1",
        "Where passwords are checked. Offers PLAIN (under TLS only) and, because the store holds SCRAM keys, SCRAM.";
    AUTH_SCRAM_PARAMETERS: "AuthScramParameters", Kind::Dict(AUTH_KEYS), LISTENER, None, Live, "0.1",
        "Where SCRAM keys are found. Alone it offers SCRAM and no PLAIN.";
    MECHANISMS: "mechanisms", Kind::Words(Mechanism::WORDS), SESSION, Some("SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"), Live, "0.1",
        "The SASL mechanisms that may be offered, the best first.";
    TLS: "tls", Kind::Word(TlsMode::WORDS), SESSION, Some("required"), Live, "0.1",
        "none: no TLS; offered: STARTTLS may be used; required: STARTTLS before anything else; direct: TLS from the first byte; either: the client's first byte decides between direct and required.";
    TLS_CERTIFICATE: "tls_certificate", Kind::Path, CERTIFICATE, None, Live, "0.1",
        "PEM file with the certificate chain, relative to this file. A domain's own goes before the listener's; without any, or with `none`, a self-signed one is made in the data directory.";
    TLS_KEY: "tls_key", Kind::Path, KEY, None, Live, "0.1",
        "PEM file with the private key, relative to this file. Without it the key is in the certificate's file.";
    POOL_NAME: "pool_name", Kind::Text, LISTENER, Some("default"), Restart, "0.1",
        "The ThreadPool whose workers serve these sockets.";
    LISTEN_BACKLOG: "listen_backlog", Kind::Number(Unit::Count, 1, 65_535), ANY_LISTENER, Some("500"), Restart, "0.1",
        "How many connections may wait to be accepted, see listen(2).";
    DISABLE_NAGLE_ALGORITHM: "disable_nagle_algorithm", Kind::Bool, SOCKET, Some("true"), Restart, "0.1",
        "TCP_NODELAY. Momentum's default is false, which stalls every TLS handshake.";
    TCP_RECV_BUFFER_SIZE: "tcp_recv_buffer_size", Kind::NumberOr(Unit::Bytes, 1024, 1 << 30, "the kernel decides"), LISTENER, Some("0"), Restart, "0.1",
        "SO_RCVBUF. Momentum's default is 4096.";
    TCP_SEND_BUFFER_SIZE: "tcp_send_buffer_size", Kind::NumberOr(Unit::Bytes, 1024, 1 << 30, "the kernel decides"), LISTENER, Some("0"), Restart, "0.1",
        "SO_SNDBUF. Momentum's default is 4096.";
    IDLE_TIME: "idle_time", Kind::NumberOr(Unit::Seconds, 5, YEAR, "never"), SESSION, Some("0"), Live, "0.1",
        "Seconds without traffic before a client is disconnected.";
    HANDSHAKE_TIME: "handshake_time", Kind::Number(Unit::Seconds, 1, 600), SESSION, Some("30"), Live, "0.1",
        "Seconds that a TLS handshake may take. Some clients ask their user about a certificate meanwhile.";
    LOGIN_TIME: "login_time", Kind::Number(Unit::Seconds, 1, 600), SESSION, Some("30"), Live, "0.1",
        "Seconds from the connection to a bound resource.";
    MAX_UNAUTHENTICATED_PER_ADDRESS: "max_unauthenticated_per_address", Kind::Number(Unit::Count, 1, 1_000_000), SESSION, Some("256"), Live, "0.1",
        "How many connections from one address (of IPv6: one /64 network) may be on their way to a login at the same time.";
    MAX_STANZA_SIZE_BEFORE_AUTH: "max_stanza_size_before_auth", Kind::Number(Unit::Bytes, 1024, MIB), SESSION, Some("10000"), Live, "0.1",
        "The largest element that a client may send before it has logged in.";
    MAX_STANZA_SIZE: "max_stanza_size", Kind::Number(Unit::Bytes, 10_000, 64 * MIB), SESSION, Some("262144"), Live, "0.1",
        "The largest stanza that a client may send. RFC 6120 §13.12 asks for at least 10000.";
    MAX_DEPTH: "max_depth", Kind::Number(Unit::Count, 8, 1024), SESSION, Some("128"), Live, "0.1",
        "How deep the elements of a stanza may nest.";
    FILE_MODE: "file_mode", Kind::Mode, CONTROL, Some("0600"), Restart, "0.1",
        "The mode of the unix socket: whoever may write to it is an operator. Momentum's default is 0660.";
    XMPP_ROLE: "XMPP_Role", Kind::Word(Role::WORDS), &[Place::Domain], None, Live, "0.1",
        "server: this daemon serves the domain and its users log in here. client: streams to that domain are allowed (without effect so far).";
    XMPP_DIALBACK_SECRET: "XMPP_Dialback_Secret", Kind::Secret, &[Place::Domain], None, Live, "0.1",
        "The secret of server dialback (XEP-0185), without effect so far. It is never shown.";
    REGISTRATION: "Registration", Kind::Word(Registration::WORDS), PEOPLE, Some("closed"), Live, "0.1",
        "Who may make an account by a client (XEP-0077). closed: nobody; invite: who shows a token of `stanzactl invite create`; open: everybody. Users change their password and remove their account in any case.";
    REGISTRATION_MIN_NAME: "registration_min_name", Kind::Number(Unit::Count, 1, 64), GLOBAL, Some("2"), Live, "0.1",
        "Characters that a registered name has at least.";
    REGISTRATIONS_PER_HOUR: "registrations_per_hour", Kind::NumberOr(Unit::Count, 1, 1_000_000, "no limit"), SESSION, Some("10"), Live, "0.1",
        "How often clients at one address (IPv6: one /64) may try to register within an hour. Failures count.";
    REGISTRATION_WITHOUT_TLS: "registration_without_tls", Kind::Bool, SESSION, Some("false"), Live, "0.1",
        "Whether an account may be registered over a stream without TLS, where everybody on the way reads the password.";
    ADMINS: "admins", Kind::Users, PEOPLE, None, Live, "0.1",
        "Who may administer a domain by ad-hoc commands (XEP-0133): addresses of users. A list in a Domain goes before the global one. Nobody can register one of these names.";
    ABUSE_ADDRESSES: "abuse_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where abuse by users of a domain is reported, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    ADMIN_ADDRESSES: "admin_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where the people who run a domain are reached, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    FEEDBACK_ADDRESSES: "feedback_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where users of a domain say what they think of it, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    SALES_ADDRESSES: "sales_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where one asks what a domain's service costs, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    SECURITY_ADDRESSES: "security_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where security holes are reported, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    STATUS_ADDRESSES: "status_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where a domain's outages are told, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    SUPPORT_ADDRESSES: "support_addresses", Kind::Uris, PEOPLE, None, Live, "0.1",
        "Where users of a domain find help, for everybody to see in service discovery (XEP-0157): `mailto:`, `xmpp:`, `https:`, `http:` or `tel:` URIs.";
    COMPONENT_STREAMS: "component_streams", Kind::Word(ComponentStreams::WORDS), SESSION, Some("local"), Live, "0.1",
        "Where components may connect. none: nowhere; tls: inside TLS from the first byte; local: so, or without TLS from this machine; any: without TLS from anywhere, where everybody on the way reads and forges what the component says.";
    SECRET: "secret", Kind::Secret, &[Place::Component], None, Live, "0.1",
        "What the component proves to know. It is never shown.";
    CONCURRENCY: "Concurrency", Kind::NumberOr(Unit::Count, 1, 1024, "one per core"), &[Place::ThreadPool], Some("0"), Restart, "0.1",
        "The number of worker threads.";
    SOURCE: "source", Kind::Text, &[Place::Script], None, Live, "0.1",
        "The script: a file or a module's name (`msys.dialplan` is `msys/dialplan.lua`) in the script directory.";
    REQUIRED: "required", Kind::Bool, SCRIPT, Some("false"), Live, "0.1",
        "Whether a stanza is refused while this script cannot judge it.";
    ON_ERROR: "on_error", Kind::Word(OnError::WORDS), SCRIPT, Some("continue"), Live, "0.1",
        "What becomes of a stanza when the script fails on it: go on as if it had said nothing, or refuse the stanza.";
    SCRIPT_CPU_BUDGET: "script_cpu_budget", Kind::Number(Unit::Millis, 1, 1000), GLOBAL, Some("5"), Live, "0.1",
        "Milliseconds of CPU time that one call of a script may use.";
    SCRIPT_MEMORY: "script_memory", Kind::Number(Unit::Bytes, MIB, 4096 * MIB), GLOBAL, Some("16777216"), Live, "0.1",
        "Memory that the scripts of one worker may use.";
    HOOK_WAIT: "hook_wait", Kind::Number(Unit::Seconds, 1, 300), GLOBAL, Some("10"), Live, "0.1",
        "Seconds that a stanza may wait for a script that waits for something.";
    SCRIPT_OLD_GENERATIONS: "script_old_generations", Kind::Number(Unit::Count, 1, 16), GLOBAL, Some("3"), Live, "0.1",
        "How many replaced generations of the scripts may still be finishing their work.";
    SCRIPT_OLD_GENERATION_TIME: "script_old_generation_time", Kind::Number(Unit::Seconds, 1, 3600), GLOBAL, Some("60"), Live, "0.1",
        "Seconds after which a replaced generation is stopped.";
    MAX_SESSIONS_PER_USER: "max_sessions_per_user", Kind::Number(Unit::Count, 1, 10_000), GLOBAL, Some("10"), Live, "0.1",
        "How many resources of one user may be online.";
    OUTBOX_SIZE: "outbox_size", Kind::Number(Unit::Bytes, 65_536, 1024 * MIB), OUTBOX, Some("1048576"), Live, "0.1",
        "Bytes that may wait to be written to one session, or to the component.";
    OUTBOX_STALL: "outbox_stall", Kind::Number(Unit::Seconds, 1, 3600), GLOBAL, Some("30"), Restart, "0.1",
        "Seconds that an outbox may stay full before its session is closed.";
    SM_UNACKED_MAX: "sm_unacked_max", Kind::Number(Unit::Count, 10, 100_000), GLOBAL, Some("500"), Live, "0.1",
        "Stanzas that a client may leave unacknowledged (XEP-0198) before messages for it are kept instead. One that stays there for `outbox_stall` seconds without acknowledging anything is closed. `outbox_size` bounds their bytes likewise.";
    SM_ACK_TIME: "sm_ack_time", Kind::Number(Unit::Seconds, 1, 3600), GLOBAL, Some("60"), Live, "0.1",
        "Seconds within which a client answers a request to acknowledge; after that its connection is taken to be dead.";
    SM_RESUME_TIME: "sm_resume_time", Kind::NumberOr(Unit::Seconds, 1, 86_400, "never"), GLOBAL, Some("300"), Live, "0.1",
        "Seconds for which a session whose connection is lost waits for its client to resume it (XEP-0198). A client may ask for less.";
    SM_DETACHED_MAX: "sm_detached_max", Kind::Number(Unit::Count, 1, 10_000), GLOBAL, Some("10"), Live, "0.1",
        "How many sessions of one user may wait to be resumed; one more ends the oldest.";
    OFFLINE_MAX_MESSAGES: "offline_max_messages", Kind::Number(Unit::Count, 0, 10_000_000), GLOBAL, Some("1000"), Live, "0.1",
        "How many messages are kept for a user who is away. 0: none.";
    OFFLINE_MAX_BYTES: "offline_max_bytes", Kind::Number(Unit::Bytes, 0, 4096 * MIB), GLOBAL, Some("16777216"), Live, "0.1",
        "How many bytes of messages are kept for a user who is away.";
    OFFLINE_EXPIRATION: "offline_expiration", Kind::NumberOr(Unit::Seconds, 1, 10 * YEAR, "never"), GLOBAL, Some("2592000"), Live, "0.1",
        "Seconds after which a kept message goes back to its sender as an error. For messages that come from then on.";
    PRIVATE_MAX_SIZE: "private_max_size", Kind::Number(Unit::Bytes, 1024, 64 * MIB), GLOBAL, Some("65536"), Live, "0.1",
        "The largest element that a user may keep as private XML (XEP-0049).";
    PRIVATE_MAX_ELEMENTS: "private_max_elements", Kind::Number(Unit::Count, 0, 100_000), GLOBAL, Some("100"), Live, "0.1",
        "How many elements a user may keep as private XML. 0: none.";
    VCARD_MAX_SIZE: "vcard_max_size", Kind::Number(Unit::Bytes, 1024, 64 * MIB), GLOBAL, Some("131072"), Live, "0.1",
        "The largest vCard that a user may have (XEP-0054).";
    SCRAM_ITERATIONS: "scram_iterations", Kind::Number(Unit::Count, 4096, 10_000_000), GLOBAL, Some("10000"), Live, "0.1",
        "The iteration count of new passwords. RFC 7677 §4 asks for at least 4096.";
    MAX_STANZAS_PER_TURN: "max_stanzas_per_turn", Kind::Number(Unit::Count, 1, 10_000), GLOBAL, Some("32"), Restart, "0.1",
        "How many stanzas of one session a worker handles before it looks at the others.";
    MAX_HANDSHAKES_PER_TURN: "max_handshakes_per_turn", Kind::Number(Unit::Count, 1, 10_000), GLOBAL, Some("8"), Restart, "0.1",
        "How many TLS handshakes a worker computes before it looks at its sessions.";
    MEMORY_SOFT_LIMIT: "memory_soft_limit", Kind::NumberOr(Unit::Bytes, MIB, 1 << 50, "none"), GLOBAL, Some("536870912"), Live, "0.1",
        "Bytes that may be kept for peers (outboxes, half-read stanzas, connections without a login) before new connections are refused.";
    MEMORY_HARD_LIMIT: "memory_hard_limit", Kind::NumberOr(Unit::Bytes, MIB, 1 << 50, "none"), GLOBAL, Some("805306368"), Live, "0.1",
        "Bytes that may be kept for peers before the newest connections without a login are closed, then the sessions that do not take what is sent to them.";
    DRAIN_WAITS_TIME: "drain_waits_time", Kind::Number(Unit::Seconds, 0, 600), GLOBAL, Some("2"), Live, "0.1",
        "At shutdown: seconds for stanzas that wait for a script.";
    DRAIN_FLUSH_TIME: "drain_flush_time", Kind::Number(Unit::Seconds, 0, 600), GLOBAL, Some("5"), Live, "0.1",
        "At shutdown: seconds to write what waits in the outboxes.";
    DRAIN_CLOSE_TIME: "drain_close_time", Kind::Number(Unit::Seconds, 0, 600), GLOBAL, Some("5"), Live, "0.1",
        "At shutdown: seconds to close the streams, and again to close the store.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_their_options() {
        for opt in OPTIONS {
            assert_eq!(
                opt.default.is_some(),
                opt.default_value().is_some(),
                "{}",
                opt.name
            );
        }
    }

    #[test]
    fn names_are_unique() {
        for opt in OPTIONS {
            assert!(std::ptr::eq(*opt, find(opt.name).unwrap()), "{}", opt.name);
        }
    }
}
