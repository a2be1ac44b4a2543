//! What only the whole configuration can show to be wrong.

use std::io::Read;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::diagnostic::Report;
use super::fallback;
use super::fault::Fault;
use super::names::{self, TcpName};
use super::nearest;
use super::place::Place;
use super::resolve::Resolver;
use super::scope::{Chain, Scope};
use super::settings::{Certificate, Mechanism, PeerSettings, Role, ScriptDir, Settings, TlsMode};
use super::source::Files;
use super::syntax::Span;
use super::table;

/// The longest path of a unix socket, see unix(7).
const MAX_SOCKET_PATH: usize = 107;

/// The largest PEM file that is looked into.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Judges the text. `complete`: everything written was understood, so that what is absent is really absent.
pub(super) fn judge(
    resolver: Resolver<'_>,
    settings: &Settings,
    complete: bool,
    report: &mut Report,
) {
    let mut rules = Rules {
        resolver,
        settings,
        report,
    };
    rules.listens();
    rules.collisions();
    rules.pools();
    rules.control();
    rules.domains();
    rules.components();
    rules.memory();
    if complete {
        rules.absences();
    }
}

/// Looks into the certificate files that the text names.
pub(super) fn judge_files(resolver: Resolver<'_>, settings: &Settings, report: &mut Report) {
    let mut rules = Rules {
        resolver,
        settings,
        report,
    };
    rules.certificates();
    rules.script_dir();
}

struct Rules<'a> {
    resolver: Resolver<'a>,
    settings: &'a Settings,
    report: &'a mut Report,
}

impl<'a> Rules<'a> {
    fn root(&self) -> &'a Scope {
        self.resolver.root
    }

    fn files(&self) -> &'a Files {
        self.resolver.files
    }

    /// What clients may do on each socket.
    fn listens(&mut self) {
        let scopes = self.resolver.open_listens();
        for ((listener, scope), listen) in scopes.iter().zip(&self.settings.xmpp_listens) {
            let groups = listen.peers.iter().map(|(_, settings)| settings);
            for settings in groups.chain([&listen.anyone]) {
                self.stanza_sizes(settings, scope.at);
            }
            let chain = fallback::listen(self.root(), listener, Some(scope));
            let authenticates = chain.value(&table::AUTH_PLAIN_PARAMETERS).is_some()
                || chain.value(&table::AUTH_SCRAM_PARAMETERS).is_some();
            let usable = listen
                .anyone
                .mechanisms
                .iter()
                .any(|m| *m != Mechanism::Plain || listen.anyone.tls != TlsMode::None);
            if authenticates && !usable {
                let listen = scope.title();
                self.report
                    .at(scope.at, Fault::MechanismsUnusable { listen });
            }
            if listen.anyone.tls == TlsMode::None && !listen.addr.ip().is_loopback() {
                let at = chain.found(&table::TLS).map_or(scope.at, |(s, _)| s.at);
                let listen = scope.title();
                self.report.at(at, Fault::ClearText { listen });
            }
        }
    }

    fn stanza_sizes(&mut self, settings: &PeerSettings, at: Span) {
        if settings.max_stanza_size_before_auth > settings.max_stanza_size {
            let as_number = |size| u64::try_from(size).unwrap_or(u64::MAX);
            let fault = Fault::StanzaSizes {
                before: as_number(settings.max_stanza_size_before_auth),
                after: as_number(settings.max_stanza_size),
            };
            self.report.at(at, fault);
        }
    }

    fn memory(&mut self) {
        let limits = &self.settings.limits;
        if let (Some(soft), Some(hard)) = (limits.memory_soft, limits.memory_hard)
            && soft > hard
        {
            let chain = Chain(vec![self.root()]);
            let set = [&table::MEMORY_HARD_LIMIT, &table::MEMORY_SOFT_LIMIT];
            let at = set.iter().find_map(|opt| chain.found(opt));
            let at = at.map_or(Span::NOWHERE, |(setting, _)| setting.at);
            self.report.at(at, Fault::MemoryLimits { soft, hard });
        }
    }

    /// Two sockets that the kernel would not give us both.
    fn collisions(&mut self) {
        let mut seen: Vec<(TcpName, &Scope)> = Vec::new();
        let mut scopes: Vec<&Scope> = self.resolver.open_listens().iter().map(|o| o.1).collect();
        // The later one in the text is the one to complain about.
        scopes.sort_by_key(|scope| scope.at);
        for scope in scopes {
            let Some(name) = names::tcp(&scope.name) else {
                continue;
            };
            if let Some((_, other)) = seen.iter().find(|(have, _)| have.collides(name)) {
                let at = self.files().locate(other.at.file, other.at.start);
                let fault = Fault::ListenTwice {
                    name: scope.name.clone(),
                    other: other.name.clone(),
                    at: at.map(|(at, _)| at.to_string()).unwrap_or_default(),
                };
                self.report.at(scope.at, fault);
            }
            seen.push((name, scope));
        }
    }

    fn pools(&mut self) {
        for listener in self.root().all(Place::XmppListener) {
            for scope in [listener]
                .into_iter()
                .chain(listener.all(Place::XmppListen))
            {
                let Some(setting) = scope.get(&table::POOL_NAME) else {
                    continue;
                };
                let name = Chain(vec![scope])
                    .text(&table::POOL_NAME)
                    .unwrap_or_default();
                let pools = || self.settings.thread_pools.iter().map(|p| p.name.as_str());
                if !pools().any(|pool| pool == name) {
                    let near = nearest(&name, pools()).map(str::to_owned);
                    self.report
                        .at(setting.at, Fault::PoolUnknown { name, near });
                }
            }
        }
    }

    fn control(&mut self) {
        for listener in self.root().all(Place::ControlListener) {
            for listen in listener.all(Place::ControlListen) {
                let path = self.settings.data_dir.join(&listen.name);
                if path.as_os_str().len() > MAX_SOCKET_PATH {
                    let path = path.display().to_string();
                    let max = MAX_SOCKET_PATH;
                    self.report.at(listen.at, Fault::SocketPath { path, max });
                }
            }
        }
    }

    fn domains(&mut self) {
        for scope in self.root().all(Place::Domain) {
            let role = Chain(vec![scope]).text(&table::XMPP_ROLE);
            if role.as_deref() == Some(Role::Client.name()) {
                let at = scope.get(&table::XMPP_ROLE).map_or(scope.at, |s| s.at);
                self.report.at(at, Fault::ClientRole);
            }
        }
    }

    /// A domain is either a component's or its users log in here.
    fn components(&mut self) {
        for scope in self.root().all(Place::Component) {
            if self.settings.domains.serves(&scope.key) {
                let name = scope.name.clone();
                self.report.at(scope.at, Fault::ComponentIsDomain { name });
            }
        }
    }

    /// Every file that some scope names is looked into, where it is named.
    fn certificates(&mut self) {
        let mut chains: Vec<Chain<'_>> = Vec::new();
        for listener in self.root().all(Place::XmppListener) {
            for listen in listener.all(Place::XmppListen) {
                chains.push(fallback::listen(self.root(), listener, Some(listen)));
            }
        }
        for domain in self.root().all(Place::Domain) {
            if domain.pattern.is_some() {
                chains.push(Chain(vec![domain, self.root()]));
                continue;
            }
            let name = domain.key.strip_prefix(names::XMPP_PREFIX);
            chains.push(fallback::domain(self.root(), name.unwrap_or(&domain.key)));
        }
        let mut seen: Vec<(PathBuf, Span)> = Vec::new();
        for chain in chains {
            match self.resolver.certificate(&chain) {
                Some(certificate) => self.certificate(&chain, &certificate, &mut seen),
                None => self.lonely_key(&chain),
            }
        }
    }

    fn certificate(
        &mut self,
        chain: &Chain<'_>,
        certificate: &Certificate,
        seen: &mut Vec<(PathBuf, Span)>,
    ) {
        let at = |opt| chain.found(opt).map(|(setting, _)| setting.at);
        let Some(chain_at) = at(&table::TLS_CERTIFICATE) else {
            return;
        };
        let key_at = at(&table::TLS_KEY).unwrap_or(chain_at);
        let is_chain = |pem: &[u8]| CertificateDer::from_pem_slice(pem).is_ok();
        let is_key = |pem: &[u8]| PrivateKeyDer::from_pem_slice(pem).is_ok();
        let bad_chain = pem(&certificate.chain, "certificate", is_chain);
        // A file that is not there is reported once, not again for the key in it.
        let look = bad_chain.is_none() || certificate.key != certificate.chain;
        let bad_key = look.then(|| pem(&certificate.key, "private key", is_key));
        let found = [
            (&certificate.chain, chain_at, bad_chain),
            (&certificate.key, key_at, bad_key.flatten()),
        ];
        for (path, at, fault) in found {
            // Scopes that inherit the same setting complain once.
            let place = (path.clone(), at);
            if let Some(fault) = fault.filter(|_| !seen.contains(&place)) {
                seen.push(place);
                self.report.at(at, fault);
            }
        }
    }

    fn script_dir(&mut self) {
        let chain = Chain(vec![self.root()]);
        let (Some((setting, _)), ScriptDir::Dir(dir)) =
            (chain.found(&table::SCRIPT_DIR), &self.settings.script_dir)
        else {
            return;
        };
        if !dir.is_dir() {
            let path = dir.display().to_string();
            self.report.at(setting.at, Fault::NotADirectory { path });
        }
    }

    fn lonely_key(&mut self, chain: &Chain<'_>) {
        let innermost = chain.0.first().and_then(|scope| scope.get(&table::TLS_KEY));
        if let Some(key) = innermost.filter(|_| chain.value(&table::TLS_CERTIFICATE).is_none()) {
            self.report.at(key.at, Fault::KeyAlone);
        }
    }

    /// What should be there and is not.
    fn absences(&mut self) {
        let open = self.resolver.open_listens();
        for (listener, scope) in &open {
            let chain = fallback::listen(self.root(), listener, Some(scope));
            let has = |opt| chain.value(opt).is_some();
            if !has(&table::AUTH_PLAIN_PARAMETERS) && !has(&table::AUTH_SCRAM_PARAMETERS) {
                let listen = scope.title();
                self.report.at(scope.at, Fault::AuthMissing { listen });
            }
        }
        for listener in self.root().all(Place::XmppListener) {
            if listener.all(Place::XmppListen).next().is_none() {
                self.report.at(listener.at, Fault::ListenMissing);
            }
        }
        if let Some((listener, _)) = open.first()
            && self.settings.domains.serve_nobody()
        {
            self.report.at(listener.at, Fault::DomainMissing);
        }
        let scriptlets = self.root().all(Place::Scriptlet);
        let scripts = scriptlets.flat_map(|scriptlet| scriptlet.all(Place::Script));
        let components = self.root().all(Place::Component);
        let needed = scripts
            .map(|script| (script, &table::SOURCE))
            .chain(components.map(|component| (component, &table::SECRET)));
        for (scope, opt) in needed {
            if scope.get(opt).is_none() {
                let fault = Fault::OptionMissing {
                    option: opt.name,
                    scope: scope.title(),
                };
                self.report.at(scope.at, fault);
            }
        }
    }
}

/// What is wrong with a PEM file, if anything is.
fn pem(path: &Path, what: &'static str, good: impl Fn(&[u8]) -> bool) -> Option<Fault> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut bytes));
    match read {
        Err(cause) => Some(Fault::PemUnreadable { path: shown, cause }),
        Ok(_) if !good(&bytes) => Some(Fault::PemEmpty { path: shown, what }),
        Ok(_) => None,
    }
}
