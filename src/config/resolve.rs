//! Merged scopes to typed settings. It never fails: what could be wrong was reported before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::domains::{CONTACTS, DomainPattern, Domains, People};
use super::fallback;
use super::names::{self, Net, XMPP_PREFIX};
use super::place::Place;
use super::scope::{Chain, Scope};
use super::settings::{
    Certificate, Component, ComponentStreams, ControlListen, Domain, Drain, Limits, Listen,
    LogLevel, Mechanism, OnError, PeerSettings, Registration, Role, Script, ScriptDir,
    ScriptLimits, Settings, ThreadPool, TlsMode,
};
use super::source::{Files, Source};
use super::table::{self, Opt};
use crate::jid::Jid;

/// The pool that always exists.
pub(super) const DEFAULT_POOL: &str = "default";

/// Where scripts are looked for in the working directory and on the system, when nothing says where they are.
const LOCAL_SCRIPTS: &str = "scripts";
const SYSTEM_SCRIPTS: &str = "/usr/share/stanzad/scripts";

/// The tree and the files that it was read from.
#[derive(Clone, Copy)]
pub(super) struct Resolver<'a> {
    pub(super) root: &'a Scope,
    pub(super) files: &'a Files,
}

impl<'a> Resolver<'a> {
    /// Everything, with what the command line sets in `source`.
    pub(super) fn settings(self, source: &Source) -> Settings {
        let global = Chain(vec![self.root]);
        let data_dir = source
            .data_dir
            .clone()
            .or_else(|| global.text(&table::DATA_DIR).map(PathBuf::from))
            .unwrap_or_default();
        let log_level = level(&global, &table::LOG_LEVEL).unwrap_or(LogLevel::Info);
        let xmpp = Chain(self.root.all(Place::Xmpp).collect());
        Settings {
            hostname: global.text(&table::HOSTNAME).unwrap_or_default(),
            script_dir: self.script_dir(&global),
            log_level,
            xmpp_log_level: level(&xmpp, &table::DEBUG_LEVEL).unwrap_or(log_level),
            thread_pools: self.thread_pools(),
            xmpp_listens: self
                .open_listens()
                .into_iter()
                .filter_map(|(listener, listen)| self.xmpp_listen(listener, listen))
                .collect(),
            control_listens: self.control_listens(&data_dir),
            domains: Domains::new(
                self.domains(),
                self.domain_patterns(),
                (registration(&global), people(&global)),
            ),
            components: self.components(),
            scripts: self.scripts(),
            limits: limits(&global),
            script_limits: script_limits(&global),
            drain: Drain {
                waits: seconds(&global, &table::DRAIN_WAITS_TIME),
                flush: seconds(&global, &table::DRAIN_FLUSH_TIME),
                close: seconds(&global, &table::DRAIN_CLOSE_TIME),
            },
            data_dir,
        }
    }

    fn script_dir(self, global: &Chain<'_>) -> ScriptDir {
        if let Some(dir) = self.path(global, &table::SCRIPT_DIR) {
            return ScriptDir::Dir(dir);
        }
        let beside = self.files.get(0).map(|file| file.dir.join(LOCAL_SCRIPTS));
        [PathBuf::from(LOCAL_SCRIPTS)]
            .into_iter()
            .chain(beside)
            .chain([PathBuf::from(SYSTEM_SCRIPTS)])
            .find(|dir| dir.is_dir())
            .map_or(ScriptDir::BuiltIn, ScriptDir::Dir)
    }

    fn thread_pools(self) -> Vec<ThreadPool> {
        let mut pools: Vec<ThreadPool> = self
            .root
            .all(Place::ThreadPool)
            .map(|scope| ThreadPool {
                name: scope.name.clone(),
                concurrency: count(&Chain(vec![scope]), &table::CONCURRENCY),
            })
            .collect();
        if !pools.iter().any(|pool| pool.name == DEFAULT_POOL) {
            pools.push(ThreadPool {
                name: DEFAULT_POOL.to_owned(),
                concurrency: 0,
            });
        }
        pools
    }

    /// Every `Listen` that is to be opened, with its listener; by port and address, so that the order of the file does not
    /// matter: two configurations with the same sockets have them at the same places.
    pub(super) fn open_listens(self) -> Vec<(&'a Scope, &'a Scope)> {
        let module = Chain(self.root.all(Place::Xmpp).collect());
        if !module.switch(&table::ENABLED) {
            return Vec::new();
        }
        let mut open: Vec<(&Scope, &Scope)> = self
            .root
            .all(Place::XmppListener)
            .flat_map(|listener| {
                listener
                    .all(Place::XmppListen)
                    .map(move |listen| (listener, listen))
            })
            .filter(|(listener, listen)| {
                fallback::listen(self.root, listener, Some(listen)).switch(&table::ENABLE)
            })
            .collect();
        open.sort_by_cached_key(|(_, listen)| {
            let addr = names::tcp(&listen.name).map(|name| name.addr);
            (addr.map(|addr| (addr.port(), addr)), listen.name.clone())
        });
        open
    }

    fn xmpp_listen(self, listener: &Scope, listen: &Scope) -> Option<Listen> {
        let name = names::tcp(&listen.name)?;
        let chain = fallback::listen(self.root, listener, Some(listen));
        let settings = |net: Net| {
            let chain = fallback::peer(self.root, listener, Some(listen), net);
            (net, Arc::new(peer_settings(&chain)))
        };
        Some(Listen {
            name: listen.name.clone(),
            addr: name.addr,
            dual_stack: name.dual_stack,
            pool_name: chain.text(&table::POOL_NAME).unwrap_or_default(),
            listen_backlog: small(chain.number(&table::LISTEN_BACKLOG)),
            disable_nagle_algorithm: chain.switch(&table::DISABLE_NAGLE_ALGORITHM),
            tcp_recv_buffer_size: size_or_none(&chain, &table::TCP_RECV_BUFFER_SIZE),
            tcp_send_buffer_size: size_or_none(&chain, &table::TCP_SEND_BUFFER_SIZE),
            certificate: self.certificate(&chain),
            anyone: Arc::new(peer_settings(&chain)),
            peers: fallback::nets(listener, listen)
                .into_iter()
                .map(settings)
                .collect(),
        })
    }

    fn control_listens(self, data_dir: &Path) -> Vec<ControlListen> {
        let listener = self.root.all(Place::ControlListener);
        listener
            .flat_map(|listener| {
                listener.all(Place::ControlListen).map(move |listen| {
                    let chain = fallback::listen(self.root, listener, Some(listen));
                    (listen, chain)
                })
            })
            .filter(|(_, chain)| chain.switch(&table::ENABLE))
            .map(|(listen, chain)| ControlListen {
                path: data_dir.join(&listen.name),
                file_mode: small(chain.number(&table::FILE_MODE)),
                listen_backlog: small(chain.number(&table::LISTEN_BACKLOG)),
            })
            .collect()
    }

    fn domains(self) -> Vec<Domain> {
        let mut domains: Vec<Domain> = Vec::new();
        for scope in self.root.all(Place::Domain) {
            let name = scope.key.strip_prefix(XMPP_PREFIX).unwrap_or(&scope.key);
            if scope.pattern.is_some() || domains.iter().any(|domain| domain.name == name) {
                continue;
            }
            let chain = fallback::domain(self.root, name);
            domains.push(Domain {
                name: name.to_owned(),
                role: role(&chain),
                registration: registration(&chain),
                certificate: self.certificate(&chain),
                people: people(&chain),
            });
        }
        domains
    }

    fn domain_patterns(self) -> Vec<DomainPattern> {
        let scopes = self.root.all(Place::Domain);
        scopes
            .filter_map(|scope| {
                let own = Chain(vec![scope]);
                let certified = own.found(&table::TLS_CERTIFICATE).is_some();
                // The key may stand outside.
                let chain = Chain(vec![scope, self.root]);
                Some(DomainPattern {
                    name: scope.name.clone(),
                    role: role(&own),
                    registration: own.found(&table::REGISTRATION).map(|_| registration(&own)),
                    certificate: certified.then(|| self.certificate(&chain)),
                    people: people(&own),
                    pattern: scope.pattern.clone()?,
                })
            })
            .collect()
    }

    fn components(self) -> BTreeMap<String, Arc<Component>> {
        let scopes = self.root.all(Place::Component);
        scopes
            .filter_map(|scope| {
                let chain = Chain(vec![scope, self.root]);
                let component = Component {
                    jid: Jid::new(&scope.key).ok()?,
                    secret: chain.secret(&table::SECRET)?,
                    outbox_size: count(&chain, &table::OUTBOX_SIZE),
                };
                Some((scope.key.clone(), Arc::new(component)))
            })
            .collect()
    }

    fn scripts(self) -> Vec<Script> {
        let scriptlets = self.root.all(Place::Scriptlet);
        scriptlets
            .flat_map(|scriptlet| {
                scriptlet
                    .all(Place::Script)
                    .map(move |script| (script, Chain(vec![script, scriptlet])))
            })
            .map(|(script, chain)| Script {
                name: script.name.clone(),
                source: chain.text(&table::SOURCE).unwrap_or_default(),
                required: chain.switch(&table::REQUIRED),
                on_error: chain
                    .text(&table::ON_ERROR)
                    .and_then(|word| OnError::from_name(&word))
                    .unwrap_or(OnError::Continue),
            })
            .collect()
    }

    /// The certificate in force; `none` cancels an inherited one.
    pub(super) fn certificate(self, chain: &Chain<'_>) -> Option<Certificate> {
        let text = chain.text(&table::TLS_CERTIFICATE)?;
        if text.eq_ignore_ascii_case("none") {
            return None;
        }
        let file = self.path(chain, &table::TLS_CERTIFICATE)?;
        let key = self.path(chain, &table::TLS_KEY);
        Some(Certificate {
            key: key.unwrap_or_else(|| file.clone()),
            chain: file,
        })
    }

    /// A path, relative to the file that sets it.
    fn path(self, chain: &Chain<'_>, opt: &Opt) -> Option<PathBuf> {
        let text = chain.text(opt)?;
        let (setting, _) = chain.found(opt)?;
        let dir = self.files.get(setting.at.file).map(|file| &file.dir);
        Some(dir.map_or_else(|| PathBuf::from(&text), |dir| dir.join(&text)))
    }
}

fn people(chain: &Chain<'_>) -> People {
    let said = |opt: &Opt| chain.found(opt).map(|_| chain.words(opt));
    People {
        admins: said(&table::ADMINS).map(|admins| {
            let admins = admins.iter();
            admins.filter_map(|admin| Jid::new(admin).ok()).collect()
        }),
        contacts: CONTACTS.map(|(opt, _)| said(opt)),
    }
}

fn registration(chain: &Chain<'_>) -> Registration {
    chain
        .text(&table::REGISTRATION)
        .and_then(|word| Registration::from_name(&word))
        .unwrap_or(Registration::Closed)
}

fn peer_settings(chain: &Chain<'_>) -> PeerSettings {
    let plain = chain.value(&table::AUTH_PLAIN_PARAMETERS).is_some();
    let scram = plain || chain.value(&table::AUTH_SCRAM_PARAMETERS).is_some();
    let mechanisms = chain
        .words(&table::MECHANISMS)
        .iter()
        .filter_map(|word| Mechanism::from_name(word))
        .filter(|mechanism| match mechanism {
            Mechanism::Plain => plain,
            Mechanism::ScramSha256 | Mechanism::ScramSha1 => scram,
        })
        .collect();
    PeerSettings {
        tls: chain
            .text(&table::TLS)
            .and_then(|word| TlsMode::from_name(&word))
            .unwrap_or(TlsMode::Required),
        mechanisms,
        idle_time: seconds_or_never(chain, &table::IDLE_TIME),
        handshake_time: seconds(chain, &table::HANDSHAKE_TIME),
        login_time: seconds(chain, &table::LOGIN_TIME),
        max_unauthenticated_per_address: count(chain, &table::MAX_UNAUTHENTICATED_PER_ADDRESS),
        max_stanza_size_before_auth: count(chain, &table::MAX_STANZA_SIZE_BEFORE_AUTH),
        max_stanza_size: count(chain, &table::MAX_STANZA_SIZE),
        max_depth: count(chain, &table::MAX_DEPTH),
        registrations_per_hour: Some(small(chain.number(&table::REGISTRATIONS_PER_HOUR)))
            .filter(|most| *most > 0),
        registration_without_tls: chain.switch(&table::REGISTRATION_WITHOUT_TLS),
        component_streams: chain
            .text(&table::COMPONENT_STREAMS)
            .and_then(|word| ComponentStreams::from_name(&word))
            .unwrap_or(ComponentStreams::Local),
    }
}

fn limits(global: &Chain<'_>) -> Limits {
    Limits {
        max_sessions_per_user: count(global, &table::MAX_SESSIONS_PER_USER),
        outbox_size: count(global, &table::OUTBOX_SIZE),
        outbox_stall: seconds(global, &table::OUTBOX_STALL),
        sm_unacked_max: count(global, &table::SM_UNACKED_MAX),
        sm_ack_time: seconds(global, &table::SM_ACK_TIME),
        sm_resume_time: seconds_or_never(global, &table::SM_RESUME_TIME),
        sm_detached_max: count(global, &table::SM_DETACHED_MAX),
        offline_max_messages: global.number(&table::OFFLINE_MAX_MESSAGES),
        offline_max_bytes: global.number(&table::OFFLINE_MAX_BYTES),
        offline_expiration: seconds_or_never(global, &table::OFFLINE_EXPIRATION),
        private_max_size: count(global, &table::PRIVATE_MAX_SIZE),
        private_max_elements: global.number(&table::PRIVATE_MAX_ELEMENTS),
        vcard_max_size: count(global, &table::VCARD_MAX_SIZE),
        registration_min_name: count(global, &table::REGISTRATION_MIN_NAME),
        scram_iterations: small(global.number(&table::SCRAM_ITERATIONS)),
        max_stanzas_per_turn: count(global, &table::MAX_STANZAS_PER_TURN),
        max_handshakes_per_turn: count(global, &table::MAX_HANDSHAKES_PER_TURN),
        memory_soft: size_or_none(global, &table::MEMORY_SOFT_LIMIT),
        memory_hard: size_or_none(global, &table::MEMORY_HARD_LIMIT),
    }
}

fn script_limits(global: &Chain<'_>) -> ScriptLimits {
    ScriptLimits {
        cpu_budget: Duration::from_millis(global.number(&table::SCRIPT_CPU_BUDGET)),
        memory: count(global, &table::SCRIPT_MEMORY),
        hook_wait: seconds(global, &table::HOOK_WAIT),
        old_generations: count(global, &table::SCRIPT_OLD_GENERATIONS),
        old_generation_time: seconds(global, &table::SCRIPT_OLD_GENERATION_TIME),
    }
}

fn role(chain: &Chain<'_>) -> Option<Role> {
    chain
        .text(&table::XMPP_ROLE)
        .and_then(|word| Role::from_name(&word))
}

fn level(chain: &Chain<'_>, opt: &Opt) -> Option<LogLevel> {
    chain.text(opt).and_then(|word| LogLevel::from_name(&word))
}

fn seconds(chain: &Chain<'_>, opt: &Opt) -> Duration {
    Duration::from_secs(chain.number(opt))
}

fn seconds_or_never(chain: &Chain<'_>, opt: &Opt) -> Option<Duration> {
    Some(seconds(chain, opt)).filter(|time| !time.is_zero())
}

fn count(chain: &Chain<'_>, opt: &Opt) -> usize {
    usize::try_from(chain.number(opt)).unwrap_or(usize::MAX)
}

fn size_or_none(chain: &Chain<'_>, opt: &Opt) -> Option<usize> {
    Some(count(chain, opt)).filter(|size| *size > 0)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
