//! What is valid and probably not meant so, and limits that only the whole configuration can break.

use super::diagnostic::Report;
use super::fallback;
use super::fault::Fault;
use super::names::Net;
use super::pattern::{Doubt, MAX_PATTERNS, doubts};
use super::place::Place;
use super::resolve::{DEFAULT_POOL, Resolver};
use super::scope::{Chain, Scope};
use super::settings::{Listen, Settings, TlsMode};
use super::table::{self, Opt};
use crate::jid::Jid;

/// Write permission for everybody.
const OTHERS_WRITE: u64 = 0o002;

/// Where clients expect TLS from the first byte (XEP-0368), and where STARTTLS.
const DIRECT_PORT: u16 = 5223;
const STARTTLS_PORT: u16 = 5222;

/// Judges the text. `complete`: everything written was understood, so that what is not used is really not used.
pub(super) fn judge(
    resolver: Resolver<'_>,
    settings: &Settings,
    complete: bool,
    report: &mut Report,
) {
    let mut doubter = Doubter {
        resolver,
        settings,
        report,
    };
    doubter.patterns();
    doubter.secrets();
    doubter.peers();
    if complete {
        doubter.roles();
        doubter.admins();
        doubter.pools();
    }
    doubter.scripts();
    doubter.consoles();
    doubter.listens();
}

struct Doubter<'a> {
    resolver: Resolver<'a>,
    settings: &'a Settings,
    report: &'a mut Report,
}

impl<'a> Doubter<'a> {
    fn root(&self) -> &'a Scope {
        self.resolver.root
    }

    fn patterns(&mut self) {
        let domains = self.root().all(Place::Domain);
        let patterns: Vec<&Scope> = domains.filter(|scope| scope.pattern.is_some()).collect();
        if let Some(surplus) = patterns.get(MAX_PATTERNS) {
            let fault = Fault::TooManyPatterns { max: MAX_PATTERNS };
            self.report.at(surplus.at, fault);
        }
        for scope in patterns {
            for (doubt, at) in doubts(&scope.name) {
                let at = self.resolver.files.part(scope.at, at);
                let fault = match doubt {
                    Doubt::OpenEnd => Fault::PatternOpenEnd,
                    Doubt::AnyCharacter => Fault::PatternDot,
                };
                self.report.at(at, fault);
            }
        }
    }

    fn secrets(&mut self) {
        for scope in self.root().all(Place::Domain) {
            if let Some(secret) = scope.get(&table::XMPP_DIALBACK_SECRET) {
                self.report.at(secret.at, Fault::DialbackSecret);
            }
        }
    }

    /// Domains without a role.
    fn roles(&mut self) {
        for scope in self.root().all(Place::Domain) {
            let name = scope.key.trim_start_matches(super::names::XMPP_PREFIX);
            let chain = fallback::domain(self.root(), name);
            if scope.pattern.is_none() && chain.value(&table::XMPP_ROLE).is_none() {
                let scope_title = scope.title();
                self.report
                    .at(scope.at, Fault::RoleMissing { scope: scope_title });
            }
        }
    }

    /// Administrators whom no login proves.
    fn admins(&mut self) {
        for scope in self.root().all(Place::Domain).chain([self.root()]) {
            let own = Chain(vec![scope]);
            let Some((setting, _)) = own.found(&table::ADMINS) else {
                continue;
            };
            let users = own.words(&table::ADMINS).into_iter();
            for admin in users.filter_map(|user| Jid::new(&user).ok()) {
                if !self.settings.domains.serves(admin.domain()) {
                    let domain = admin.domain().to_owned();
                    let user = admin.to_string();
                    let fault = Fault::AdminElsewhere { user, domain };
                    self.report.at(setting.at, fault);
                }
            }
        }
    }

    fn peers(&mut self) {
        for listener in self.root().all(Place::XmppListener) {
            let listens = listener.all(Place::XmppListen);
            for container in listens.chain([listener]) {
                for peer in container.all(Place::XmppPeer) {
                    if let Some(net) = Net::with_host_bits(&peer.name) {
                        let fault = Fault::HostBits {
                            name: peer.name.clone(),
                            net: net.to_string(),
                        };
                        self.report.at(peer.at, fault);
                    }
                }
            }
        }
    }

    fn pools(&mut self) {
        for pool in self.root().all(Place::ThreadPool) {
            let mut listens = self.settings.xmpp_listens.iter();
            if pool.name != DEFAULT_POOL && !listens.any(|listen| listen.pool_name == pool.name) {
                let name = pool.name.clone();
                self.report.at(pool.at, Fault::PoolUnused { name });
            }
        }
    }

    /// The same file under two names runs twice for each stanza.
    fn scripts(&mut self) {
        let scriptlets = self.root().all(Place::Scriptlet);
        let scripts: Vec<&Scope> = scriptlets.flat_map(|s| s.all(Place::Script)).collect();
        let source = |scope: &Scope| Chain(vec![scope]).text(&table::SOURCE);
        for (place, script) in scripts.iter().enumerate() {
            let mut earlier = scripts.iter().take(place);
            let same =
                earlier.find(|other| source(script).is_some() && source(other) == source(script));
            let (Some(same), Some(setting)) = (same, script.get(&table::SOURCE)) else {
                continue;
            };
            let other = same.title();
            self.report.at(setting.at, Fault::ScriptTwice { other });
        }
    }

    fn consoles(&mut self) {
        for listener in self.root().all(Place::ControlListener) {
            for scope in listener.all(Place::ControlListen).chain([listener]) {
                let own = Chain(vec![scope]);
                let Some((setting, _)) = own.found(&table::FILE_MODE) else {
                    continue;
                };
                if own.number(&table::FILE_MODE) & OTHERS_WRITE != 0 {
                    self.report.at(setting.at, Fault::OpenConsole);
                }
            }
        }
    }

    fn listens(&mut self) {
        let scopes = self.resolver.open_listens();
        for ((listener, scope), listen) in scopes.iter().zip(&self.settings.xmpp_listens) {
            let chain = fallback::listen(self.root(), listener, Some(scope));
            self.times(&chain, listen, scope);
            self.outbox(&chain, listen, scope);
            let (port, tls) = (listen.addr.port(), listen.anyone.tls);
            let expected = match (port, tls) {
                (DIRECT_PORT, TlsMode::Required | TlsMode::Offered) => "direct",
                (STARTTLS_PORT, TlsMode::Direct) => "required",
                _ => continue,
            };
            let at = chain.found(&table::TLS).map_or(scope.at, |(s, _)| s.at);
            self.report.at(at, Fault::PortAndTls { port, expected });
        }
    }

    fn times(&mut self, chain: &Chain<'_>, listen: &Listen, scope: &Scope) {
        let settings = &listen.anyone;
        if settings.handshake_time > settings.login_time {
            let set = [&table::HANDSHAKE_TIME, &table::LOGIN_TIME];
            let fault = Fault::Times {
                handshake: settings.handshake_time.as_secs(),
                login: settings.login_time.as_secs(),
            };
            self.report.at(place(chain, &set, scope), fault);
        }
    }

    /// A stanza that may be sent must fit into what may wait.
    fn outbox(&mut self, chain: &Chain<'_>, listen: &Listen, scope: &Scope) {
        let outbox = self.settings.limits.outbox_size;
        let stanza = listen.anyone.max_stanza_size;
        if outbox < stanza {
            let set = [&table::OUTBOX_SIZE, &table::MAX_STANZA_SIZE];
            let fault = Fault::OutboxSize { outbox, stanza };
            self.report.at(place(chain, &set, scope), fault);
        }
    }
}

/// Where the first of these options is set.
fn place(chain: &Chain<'_>, set: &[&Opt], scope: &Scope) -> super::syntax::Span {
    let found = set.iter().find_map(|opt| chain.found(opt));
    found.map_or(scope.at, |(setting, _)| setting.at)
}
