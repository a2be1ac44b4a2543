//! Every way in which a configuration can be wrong, with what to do about it.

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
    ScopeAsOption { name: &'static str },
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
    #[error("`{name}` is not an address or network")]
    NetName { name: String },
    #[error("`{name}` is not a domain name")]
    DomainName { name: String },
    #[error("domains by regular expression are not supported yet")]
    DomainRegex,
    #[error("`{name}` is meant for another protocol than XMPP")]
    DomainProtocol { name: String },
    #[error("the console listens on unix sockets only, not on `{name}`")]
    ControlTcp { name: String },
    #[error("the socket's path is longer than {max} bytes: {path}")]
    SocketPath { path: String, max: usize },

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
            Fault::ListenName { .. } => "bad-listen-address",
            Fault::NetName { .. } => "bad-network",
            Fault::DomainName { .. } | Fault::DomainRegex | Fault::DomainProtocol { .. } => {
                "bad-domain"
            }
            Fault::ControlTcp { .. } | Fault::SocketPath { .. } => "bad-socket-path",
            Fault::IncludeLoop { .. } => "include-loop",
            Fault::IncludeDepth { .. } | Fault::TooManyFiles { .. } => "too-many-includes",
            Fault::XmppMissing => "xmpp-missing",
            Fault::AuthMissing { .. } => "auth-missing",
            Fault::MechanismsUnusable { .. } => "mechanisms-unusable",
            Fault::PoolUnknown { .. } => "unknown-pool",
            Fault::ListenTwice { .. } => "duplicate-listen",
            Fault::ListenMissing => "listen-missing",
            Fault::DomainMissing => "domain-missing",
            Fault::OptionMissing { .. } => "option-missing",
            Fault::StanzaSizes { .. } => "stanza-sizes",
            Fault::MemoryLimits { .. } => "memory-limits",
            Fault::PemUnreadable { .. } | Fault::PemEmpty { .. } => "bad-pem",
            Fault::KeyAlone => "key-alone",
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
            Fault::ScopeAsOption { name } => format!("write {name} {{ }}"),
            Fault::OptionAsScope { name } => format!("write {name} = value"),
            Fault::NameMissing { scope, example } => format!("write {scope} \"{example}\" {{ }}"),
            Fault::NameForbidden { scope } => format!("write {scope} {{ }}"),
            Fault::NameFixed { scope, right } => format!("write {scope} \"{right}\" {{ }}"),
            Fault::ListenTwice { at, .. } => format!("the other one is at {at}"),
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
            Fault::DomainRegex => "write a Domain scope for each name",
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
            Fault::ClientRole => "stanzad opens no streams to other servers so far",
            _ => return None,
        })
    }
}
