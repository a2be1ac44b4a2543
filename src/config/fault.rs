//! Every way in which a configuration can be wrong, with what to do about it.

use std::ops::Range;

use super::pattern::PatternFault;
use super::source::ReadFault;
use super::syntax::SyntaxFault;
use super::value::ValueFault;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is loaded.
    Error,
    /// Loaded, but probably not what was meant.
    Warning,
}

impl Severity {
    /// The word in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One mistake.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Syntax(#[from] SyntaxFault),
    #[error(transparent)]
    Value(#[from] ValueFault),
    #[error(transparent)]
    Read(#[from] ReadFault),

    #[error("unknown option `{name}` in {scope}")]
    UnknownOption {
        name: String,
        scope: &'static str,
        near: Option<&'static str>,
    },
    #[error("unknown scope `{name}` in {scope}")]
    UnknownScope {
        name: String,
        scope: &'static str,
        near: Option<&'static str>,
    },
    #[error("`{name}` is not an option of {scope}")]
    MisplacedOption {
        name: &'static str,
        scope: &'static str,
        legal: String,
    },
    #[error("`{name}` does not belong in {scope}")]
    MisplacedScope {
        name: &'static str,
        scope: &'static str,
        legal: String,
    },
    #[error("`{written}` is not an option of {scope}")]
    EnablePair {
        written: &'static str,
        right: &'static str,
        scope: &'static str,
    },
    #[error("`{name}` is a scope, not an option")]
    ScopeAsOption {
        name: &'static str,
        instance: Option<String>,
    },
    #[error("`{name}` is an option, not a scope")]
    OptionAsScope { name: &'static str },
    #[error("`{scope}` needs a name")]
    NameMissing {
        scope: &'static str,
        example: &'static str,
    },
    #[error("`{scope}` takes no name")]
    NameForbidden { scope: &'static str },
    #[error("the name of `{scope}` is always \"{right}\"")]
    NameFixed {
        scope: &'static str,
        right: &'static str,
    },

    #[error("`{name}` is not an address to listen on")]
    ListenName { name: String },
    #[error("`{name}` has no port that exists")]
    ListenPort { name: String },
    #[error("`{name}` lacks the brackets around its IPv6 address")]
    ListenBrackets { name: String, bracketed: String },
    #[error("XMPP streams are accepted over TCP only, not at `{name}`")]
    ListenPath { name: String },
    #[error("`{name}` is not an address or network")]
    NetName { name: String },
    #[error("`{name}` is not a domain name")]
    DomainName { name: String },
    #[error("{fault}")]
    Pattern {
        fault: PatternFault,
        /// Which bytes of the name.
        at: Range<usize>,
    },
    #[error("a pattern takes no `#xmpp#`")]
    PrefixedPattern,
    #[error("`{name}` does not name a domain behind `#xmpp#`")]
    DomainPrefix { name: String },
    #[error("`{name}`: there are no wildcards")]
    DomainWildcard { name: String },
    #[error("`{name}` is more than a domain name")]
    DomainDecorated { name: String, bare: String },
    #[error("more than {max} patterns")]
    TooManyPatterns { max: usize },
    #[error("`{name}` is meant for another protocol than XMPP")]
    DomainProtocol { name: String },
    #[error("the console listens on unix sockets only, not on `{name}`")]
    ControlTcp { name: String },
    #[error("the socket's path is longer than {max} bytes: {path}")]
    SocketPath { path: String, max: usize },

    #[error("`{word}` is Momentum's, not stanzad's")]
    Foreign {
        word: &'static str,
        instead: &'static str,
    },
    #[error("`{name}` is set twice here")]
    SetTwice { name: String, at: String },
    #[error("`{uri}` cannot be included: only files and directories can")]
    IncludeUri { uri: String, path: Option<String> },
    #[error("{path} is not a file")]
    NotAFile { path: String },
    #[error("{path} is part of the configuration already")]
    LocalChangesIncluded { path: String },
    #[error("the file of local changes cannot name another one")]
    LocalChangesMoved,
    #[error("{path} includes itself")]
    IncludeLoop { path: String },
    #[error("includes nest deeper than {max} files")]
    IncludeDepth { max: usize },
    #[error("the configuration consists of more than {max} files")]
    TooManyFiles { max: usize },

    #[error("`xmpp {{ }}` is missing before `xmpp_listener`")]
    XmppMissing,
    #[error("`{listen}` has no authentication parameters")]
    AuthMissing { listen: String },
    #[error("`{listen}` has no mechanism left that a client could log in with")]
    MechanismsUnusable { listen: String },
    #[error("no ThreadPool is called `{name}`")]
    PoolUnknown { name: String, near: Option<String> },
    #[error("`{name}` and `{other}` cannot both be listened on")]
    ListenTwice {
        name: String,
        other: String,
        at: String,
    },
    #[error("`xmpp_listener` has no `Listen`")]
    ListenMissing,
    #[error("`{name}` is a component, and a domain whose users log in here")]
    ComponentIsDomain { name: String },
    #[error("no `Domain` has XMPP_Role = \"server\": nobody could log in")]
    DomainMissing,
    #[error("`{option}` is missing in `{scope}`")]
    OptionMissing { option: &'static str, scope: String },
    #[error("max_stanza_size_before_auth is {before}, more than max_stanza_size, which is {after}")]
    StanzaSizes { before: u64, after: u64 },
    #[error("memory_soft_limit ({soft}) is above memory_hard_limit ({hard})")]
    MemoryLimits { soft: usize, hard: usize },
    #[error("cannot read {path}: {cause}")]
    PemUnreadable { path: String, cause: std::io::Error },
    #[error("{path} holds no {what} in PEM")]
    PemEmpty { path: String, what: &'static str },
    #[error("`tls_key` without a `tls_certificate`")]
    KeyAlone,

    #[error("`{path}` is taken as it stands: nothing is expanded in `{name}`")]
    NotExpanded { name: &'static str, path: String },
    #[error("{path} is not a directory")]
    NotADirectory { path: String },
    #[error("outbox_size is {outbox}, less than max_stanza_size, which is {stanza}")]
    OutboxSize { outbox: usize, stanza: usize },

    #[error("this pattern also matches longer names")]
    PatternOpenEnd,
    #[error("this `.` stands for any character")]
    PatternDot,
    #[error("`{scope}` has no XMPP_Role: it does nothing")]
    RoleMissing { scope: String },
    #[error("`{user}` cannot log in here: {domain} is not served")]
    AdminElsewhere { user: String, domain: String },
    #[error("XMPP_Dialback_Secret has no effect yet")]
    DialbackSecret,
    #[error("`{name}` is an address in a network: it means {net}")]
    HostBits { name: String, net: String },
    #[error("no listener uses ThreadPool \"{name}\"")]
    PoolUnused { name: String },
    #[error("`{other}` runs the same source")]
    ScriptTwice { other: String },
    #[error("every user of this machine may run the daemon through this socket")]
    OpenConsole,
    #[error("clients expect tls = \"{expected}\" on port {port}")]
    PortAndTls { port: u16, expected: &'static str },
    #[error(
        "handshake_time is {handshake}, more than login_time, which is {login}: that one ends it"
    )]
    Times { handshake: u64, login: u64 },
    #[error("clients on `{listen}` talk without TLS")]
    ClearText { listen: String },
    #[error("XMPP_Role = \"client\" has no effect yet")]
    ClientRole,
}

impl Fault {
    /// Error or warning.
    pub(super) fn severity(&self) -> Severity {
        match self {
            Fault::ClearText { .. }
            | Fault::ClientRole
            | Fault::SetTwice { .. }
            | Fault::PatternOpenEnd
            | Fault::PatternDot
            | Fault::RoleMissing { .. }
            | Fault::AdminElsewhere { .. }
            | Fault::DialbackSecret
            | Fault::HostBits { .. }
            | Fault::PoolUnused { .. }
            | Fault::ScriptTwice { .. }
            | Fault::OpenConsole
            | Fault::PortAndTls { .. }
            | Fault::Times { .. }
            | Fault::KeyAlone
            | Fault::ListenMissing => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The fault's name for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Fault::Syntax(fault) => fault.code(),
            Fault::Value(fault) => fault.code(),
            Fault::Read(_) => "unreadable-file",
            Fault::UnknownOption { .. } => "unknown-option",
            Fault::UnknownScope { .. } => "unknown-scope",
            Fault::MisplacedOption { .. } => "misplaced-option",
            Fault::MisplacedScope { .. } => "misplaced-scope",
            Fault::EnablePair { .. } => "enable-or-enabled",
            Fault::ScopeAsOption { .. } => "scope-as-option",
            Fault::OptionAsScope { .. } => "option-as-scope",
            Fault::NameMissing { .. } => "name-missing",
            Fault::NameForbidden { .. } => "name-forbidden",
            Fault::NameFixed { .. } => "name-fixed",
            Fault::ListenName { .. }
            | Fault::ListenPort { .. }
            | Fault::ListenBrackets { .. }
            | Fault::ListenPath { .. } => "bad-listen-address",
            Fault::NetName { .. } => "bad-network",
            Fault::DomainName { .. }
            | Fault::DomainPrefix { .. }
            | Fault::DomainWildcard { .. }
            | Fault::DomainDecorated { .. }
            | Fault::DomainProtocol { .. } => "bad-domain",
            Fault::Pattern { .. } | Fault::PrefixedPattern => "bad-pattern",
            Fault::TooManyPatterns { .. } => "too-many-patterns",
            Fault::Foreign { .. } => "foreign-word",
            Fault::SetTwice { .. } => "set-twice",
            Fault::IncludeUri { .. } | Fault::NotAFile { .. } => "not-includable",
            Fault::LocalChangesIncluded { .. } | Fault::LocalChangesMoved => "bad-local-changes",
            Fault::ControlTcp { .. } | Fault::SocketPath { .. } => "bad-socket-path",
            Fault::IncludeLoop { .. } => "include-loop",
            Fault::IncludeDepth { .. } | Fault::TooManyFiles { .. } => "too-many-includes",
            Fault::XmppMissing => "xmpp-missing",
            Fault::AuthMissing { .. } => "auth-missing",
            Fault::MechanismsUnusable { .. } => "mechanisms-unusable",
            Fault::PoolUnknown { .. } => "unknown-pool",
            Fault::ListenTwice { .. } => "duplicate-listen",
            Fault::ListenMissing => "listen-missing",
            Fault::ComponentIsDomain { .. } => "component-is-domain",
            Fault::DomainMissing => "domain-missing",
            Fault::OptionMissing { .. } => "option-missing",
            Fault::StanzaSizes { .. } => "stanza-sizes",
            Fault::MemoryLimits { .. } => "memory-limits",
            Fault::PemUnreadable { .. } | Fault::PemEmpty { .. } => "bad-pem",
            Fault::KeyAlone => "key-alone",
            Fault::NotExpanded { .. } => "not-expanded",
            Fault::NotADirectory { .. } => "not-a-directory",
            Fault::OutboxSize { .. } => "outbox-size",
            Fault::PatternOpenEnd => "pattern-open-end",
            Fault::PatternDot => "pattern-dot",
            Fault::RoleMissing { .. } => "role-missing",
            Fault::AdminElsewhere { .. } => "admin-elsewhere",
            Fault::DialbackSecret => "dialback-secret",
            Fault::HostBits { .. } => "host-bits",
            Fault::PoolUnused { .. } => "unused-pool",
            Fault::ScriptTwice { .. } => "script-twice",
            Fault::OpenConsole => "open-console",
            Fault::PortAndTls { .. } => "port-and-tls",
            Fault::Times { .. } => "times",
            Fault::ClearText { .. } => "clear-text",
            Fault::ClientRole => "client-role",
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Fault::Syntax(fault) => return Some(fault.hint()),
            Fault::Value(fault) => return fault.hint(),
            Fault::Read(ReadFault::Io { .. }) => "check the path and its permissions".to_owned(),
            Fault::Read(ReadFault::NotText { .. }) => "save it as UTF-8".to_owned(),
            Fault::Read(ReadFault::TooLarge { .. }) => "split it with `include`".to_owned(),
            Fault::UnknownOption { near, .. } | Fault::UnknownScope { near, .. } => match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "docs/config-reference.md lists what there is".to_owned(),
            },
            Fault::PoolUnknown { near, name } => match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add ThreadPool \"{name}\" {{ }} at the top, or use \"default\""),
            },
            Fault::MisplacedOption { legal, .. } | Fault::MisplacedScope { legal, .. } => {
                format!("it belongs in {legal}")
            }
            Fault::EnablePair { right, .. } if *right == "enable" => {
                "listeners are parked with `enable`, modules with `enabled`".to_owned()
            }
            Fault::EnablePair { .. } => {
                "modules are switched with `enabled`, listeners with `enable`".to_owned()
            }
            Fault::ScopeAsOption {
                name,
                instance: Some(instance),
            } => format!("write {name} \"{instance}\" {{ }}"),
            Fault::ScopeAsOption { name, .. } => format!("write {name} {{ }}"),
            Fault::OptionAsScope { name } => format!("write {name} = value"),
            Fault::NameMissing { scope, example } => format!("write {scope} \"{example}\" {{ }}"),
            Fault::NameForbidden { scope } => format!("write {scope} {{ }}"),
            Fault::NameFixed { scope, right } => format!("write {scope} \"{right}\" {{ }}"),
            Fault::ListenTwice { at, .. } => format!("the other one is at {at}"),
            Fault::Foreign { instead, .. } => (*instead).to_owned(),
            Fault::SetTwice { at, .. } => {
                format!("this one wins; the first is at {at}: remove one of them")
            }
            Fault::DomainDecorated { bare, .. } => format!("write \"{bare}\""),
            Fault::HostBits { net, .. } => format!("write \"{net}\", or the address alone"),
            Fault::PoolUnused { name } => {
                format!("write pool_name = \"{name}\" in a listener, or remove the pool")
            }
            Fault::PortAndTls { expected, .. } => {
                format!("write tls = \"{expected}\", or choose another port")
            }
            Fault::DomainWildcard { name } => format!("write \"{}\"", wildcard(name)),
            Fault::ListenBrackets { bracketed, .. } => format!("write \"{bracketed}\""),
            Fault::IncludeUri {
                path: Some(path), ..
            } => format!("write \"{path}\""),
            other => return other.advice().map(str::to_owned),
        };
        Some(hint)
    }

    /// The hints that need no names.
    fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Fault::ListenName { .. } => {
                "write \"*:5222\", \"192.0.2.1:5222\", \"[::1]:5222\" or \"[*]:5222\""
            }
            Fault::NetName { .. } => {
                "write \"192.0.2.7\", \"198.51.100.0/24\" or \"2001:db8::/32\""
            }
            Fault::DomainName { .. } => "write a host name, like \"example.org\"",
            Fault::Pattern { fault, .. } => return Some(pattern_advice(fault)),
            Fault::PrefixedPattern => "write \"/pattern/\": it is tried for XMPP anyway",
            Fault::DomainPrefix { .. } => "write \"#xmpp#example.org\"",
            Fault::TooManyPatterns { .. } => {
                "write several names into one: \"/^(a|b)[.]example$/\""
            }
            Fault::ListenPort { .. } => "ports are 1..65535; 0 lets the kernel choose",
            Fault::ListenPath { .. } => "write \"*:5222\"; a path belongs in control_listener",
            Fault::IncludeUri { .. } => "fetch it to a file before the start and include that",
            Fault::NotAFile { .. } => "include a file or a directory of files",
            Fault::LocalChangesIncluded { .. } => "name a file of its own: it is read last",
            Fault::LocalChangesMoved => "set it in the main configuration",
            Fault::DomainProtocol { .. } => "write the name alone, or \"#xmpp#name\"",
            Fault::ControlTcp { .. } => "write a file name, like \"stanzad.sock\"",
            Fault::SocketPath { .. } => "choose a shorter data_dir or an absolute path",
            Fault::IncludeLoop { .. } | Fault::IncludeDepth { .. } => "remove this include",
            Fault::TooManyFiles { .. } => "include fewer files",
            Fault::XmppMissing => "write xmpp { } above this line",
            Fault::AuthMissing { .. } => {
                "write AuthPlainParameters = [ uri = \"store:\" ] in xmpp_listener"
            }
            Fault::MechanismsUnusable { .. } => {
                "PLAIN needs AuthPlainParameters and TLS; add SCRAM-SHA-256 to mechanisms"
            }
            Fault::ListenMissing => "write Listen \"*:5222\" { } in it",
            Fault::ComponentIsDomain { .. } => {
                "give the component a name of its own, below the domain: \"gw.example.org\""
            }
            Fault::DomainMissing => "write Domain \"example.org\" { XMPP_Role = \"server\" }",
            Fault::OptionMissing { .. } => "add it",
            Fault::StanzaSizes { .. } | Fault::MemoryLimits { .. } => {
                "lower the first or raise the second"
            }
            Fault::PemUnreadable { .. } => {
                "check path and permissions; `none` stands for a self-signed certificate"
            }
            Fault::PemEmpty { .. } => "it must hold -----BEGIN ...----- blocks",
            Fault::KeyAlone => "add tls_certificate, or remove the key",
            Fault::ClearText { .. } => "use tls = \"required\" unless the network is private",
            Fault::NotExpanded { .. } => "write the path itself",
            Fault::NotADirectory { .. } => "check the path and its permissions",
            Fault::OutboxSize { .. } => "raise the first or lower the second",
            Fault::PatternOpenEnd => "end it with `$`",
            Fault::PatternDot => "write `[.]` for a dot",
            Fault::RoleMissing { .. } => "write XMPP_Role = \"server\" in it if users log in there",
            Fault::AdminElsewhere { .. } => "name a user of a domain that is served",
            Fault::ScriptTwice { .. } => "remove one of them: both would run for every stanza",
            Fault::OpenConsole => {
                "write file_mode = 0660 and put the operators into the daemon's group"
            }
            Fault::Times { .. } => "lower the first or raise the second",
            Fault::DialbackSecret | Fault::ClientRole => {
                "stanzad opens no streams to other servers so far"
            }
            _ => return None,
        })
    }

    /// Which bytes of a name are meant, if not all.
    pub(super) fn within(&self) -> Option<Range<usize>> {
        match self {
            Fault::Pattern { at, .. } => Some(at.clone()),
            _ => None,
        }
    }
}

/// The pattern for `*.example.org`.
fn wildcard(name: &str) -> String {
    let behind = name.trim_start_matches(['*', '.']);
    format!("/[.]{}$/", behind.replace('.', "[.]"))
}

fn pattern_advice(fault: &PatternFault) -> &'static str {
    match fault {
        PatternFault::Unclosed => "write \"/pattern/\"; `/` stands at its start and at its end",
        PatternFault::Flags { .. } => "remove them: upper and lower case are one in domain names",
        PatternFault::Empty => "write \"/[.]example$/\", or name the domain",
        PatternFault::TooLong | PatternFault::TooLarge => {
            "repeat less in it, or write several Domain scopes"
        }
        PatternFault::LookAround | PatternFault::Backreference => {
            "write two Domain scopes: a name of its own goes before a pattern, an earlier pattern before a later"
        }
        PatternFault::Syntax(_) => "write \"/(^|[.])chat[.]example$/\"; `[.]` is a dot",
    }
}
