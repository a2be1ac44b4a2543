//! What lives on one worker's thread: its router, its scripts, its sessions.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use super::host::Host;
use super::{Common, components};
use crate::config::{Config, PeerSettings};
use crate::delivery::{Delivery, LocalRosters, Settings};
use crate::directory::{About, AckLimits, Closing};
use crate::hook::{Band, Bus, POINTS, PeerKind, Point};
use crate::listener::{Accepted, Serve};
use crate::net::{Charge, Timers, Turnstile};
use crate::observe::Activity;
use crate::router::{Router, SendQueue};
use crate::script::{self, Engine};
use crate::services::{self, StreamFeatures};
use crate::session::{
    self, Buffers, Headers, Login, LoginParts, LoginRules, Registered, Session, Shared, SmRules,
};
use crate::store::spool::Quota;
use crate::stream::{self, AcceptContext, Bound};

/// A worker's local state.
pub(crate) struct Local {
    common: Arc<Common>,
    shared: Rc<Shared>,
    rosters: Rc<LocalRosters>,
    handshakes: Rc<Turnstile>,
    capabilities: StreamFeatures,
    engine: Rc<Engine>,
    worker: usize,
}

impl Local {
    /// Builds it, on the worker's thread, inside its runtime.
    pub(super) fn build(
        id: usize,
        common: Arc<Common>,
        seat: script::Seat,
        activity: Arc<Activity>,
    ) -> Local {
        let config: Rc<dyn Fn() -> Arc<Config>> = {
            let common = common.clone();
            Rc::new(move || common.config.load_full())
        };
        let timers = Timers::new(common.clock.clone());
        tokio::task::spawn_local(timers.clone().run());
        let queue = Rc::new(SendQueue::default());
        let delivery = Rc::new(Delivery::new(
            common.directory.clone(),
            common.store.clone(),
            common.clock.clone(),
            (common.turns.clone(), common.counters.clone()),
            Box::new({
                let config = config.clone();
                move || settings(&config())
            }),
        ));
        let rosters = local_rosters(&delivery, config.clone());
        let engine = Engine::start(
            seat,
            script::Parts {
                host: Rc::new(Host(common.clone())),
                outbox: queue.clone(),
                store: Some(common.store.clone()),
                rosters: Some(rosters.clone()),
                modules: script::modules(),
            },
        );
        let mut bus = Bus::new(activity);
        let capabilities = services::register(
            &mut bus,
            &parts(&common, &config, (&queue, &delivery, &rosters), &engine),
        );
        engine.register(&mut bus);
        let epoch = config.clone();
        let router = Rc::new(Router::new(
            bus,
            delivery,
            queue.clone(),
            (common.traces.clone(), common.counters.clone()),
            Box::new(move || epoch()),
        ));
        tokio::task::spawn_local(router.clone().drain_always());
        let now = config();
        let handshakes = Turnstile::new(now.limits().max_handshakes_per_turn);
        tokio::task::spawn_local(handshakes.clone().run());
        let shared = Rc::new(Shared {
            router,
            queue,
            timers,
            buffers: Rc::new(Buffers::default()),
            headers: Headers::default(),
            stanzas_per_turn: now.limits().max_stanzas_per_turn,
            outbox_stall: now.limits().outbox_stall,
            sm: Box::new(move || sm_rules(&config())),
            unknown_salts: OnceCell::new(),
        });
        Local {
            common,
            shared,
            rosters,
            handshakes,
            capabilities,
            engine,
            worker: id,
        }
    }

    /// This worker's delivery.
    pub(super) fn delivery(&self) -> &Rc<Delivery> {
        self.shared.router.delivery()
    }

    /// What streams of `domain` announce after the login, as XML: what services and scripts have to say now.
    fn after_login(&self, domain: &str) -> Rc<str> {
        let capabilities = (self.capabilities)(domain);
        match &*self.engine.announced().stream {
            "" => capabilities,
            more => format!("{capabilities}{more}").into(),
        }
    }

    /// Restores a session that was saved when the server stopped.
    pub(super) fn restore(&self, data: &bytes::Bytes) {
        let id = next_session(&self.common);
        if let Err(error) = session::restore(&self.shared, data, id, self.worker) {
            tracing::error!(%error, "a saved session is not restored");
        }
    }

    /// Fetches for restored sessions what was stored after they had been saved.
    pub(super) fn catch_up_restored(&self) {
        let delivery = self.delivery();
        for entry in delivery.directory().entries() {
            if entry.detached && entry.priority >= Some(0) {
                delivery.catch_up(&entry.jid, entry.session);
            }
        }
    }

    /// Where this worker's own stanzas are queued.
    pub(super) fn queue(&self) -> &Rc<SendQueue> {
        &self.shared.queue
    }

    /// This worker's way to rosters.
    pub(super) fn rosters(&self) -> &Rc<LocalRosters> {
        &self.rosters
    }

    /// The native services of this worker, in the order in which they run: point and name.
    pub(super) fn services(&self) -> Vec<(Point, String)> {
        let bus = self.shared.router.bus();
        let points = POINTS.iter().map(|row| row.point);
        points
            .flat_map(|point| {
                bus.describe(point)
                    .into_iter()
                    .map(move |line| (point, line))
            })
            .filter(|(_, (band, _))| *band == Band::Native)
            .map(|(point, (_, name))| (point, name))
            .collect()
    }
}

fn local_rosters(delivery: &Rc<Delivery>, config: Rc<dyn Fn() -> Arc<Config>>) -> Rc<LocalRosters> {
    let serves = move |domain: &str| config().is_local_domain(domain);
    Rc::new(LocalRosters::new(delivery.clone(), Box::new(serves)))
}

fn settings(config: &Config) -> Settings {
    let limits = config.limits();
    Settings {
        offline_expiration_s: limits.offline_expiration.map(|time| time.as_secs()),
        offline_quota: Quota {
            rows: limits.offline_max_messages,
            bytes: limits.offline_max_bytes,
        },
        outbox_bytes: limits.outbox_size,
        sessions_per_user: limits.max_sessions_per_user,
    }
}

fn sm_rules(config: &Config) -> SmRules {
    let limits = config.limits();
    SmRules {
        unacked: AckLimits {
            stanzas: limits.sm_unacked_max,
            bytes: limits.outbox_size,
        },
        ack_time: limits.sm_ack_time,
        resume_time: limits.sm_resume_time,
        detached_most: limits.sm_detached_max,
    }
}

/// What services work with.
fn parts(
    common: &Common,
    config: &Rc<dyn Fn() -> Arc<Config>>,
    (queue, delivery, rosters): (&Rc<SendQueue>, &Rc<Delivery>, &Rc<LocalRosters>),
    engine: &Rc<Engine>,
) -> services::Parts {
    let engine = engine.clone();
    services::Parts {
        clock: common.clock.clone(),
        store: common.store.clone(),
        accounts: common.accounts.clone(),
        config: config.clone(),
        directory: common.directory.clone(),
        blocks: delivery.clone(),
        outbox: queue.clone(),
        rosters: rosters.clone(),
        announced: Rc::new(move || engine.announced().disco.clone()),
    }
}

fn rules(config: &Config, settings: &PeerSettings) -> LoginRules {
    LoginRules {
        iterations: config.limits().scram_iterations,
        min_name: config.limits().registration_min_name,
        registrations_per_hour: settings.registrations_per_hour,
    }
}

fn login_parts(local: &Local) -> LoginParts {
    let common = &local.common;
    LoginParts {
        shared: local.shared.clone(),
        store: common.store.clone(),
        accounts: common.accounts.clone(),
        clock: common.clock.clone(),
        config: common.config.load_full(),
    }
}

impl Serve for Local {
    fn serve(self: &Rc<Self>, accepted: Accepted<Local>) {
        tokio::task::spawn_local(serve(self.clone(), accepted));
    }
}

/// The number of a new session.
fn next_session(common: &Common) -> u64 {
    let last = common.sessions.fetch_add(1, Ordering::Relaxed);
    last.saturating_add(1)
}

/// One connection from its accept to its end. What negotiation needs is freed before the session starts, and its frame is
/// not part of this one: this task stays for as long as the session is idle (DESIGN §5 TLS driver).
async fn serve(local: Rc<Local>, accepted: Accepted<Local>) {
    if let Some((session, charge)) = Box::pin(negotiate(local, accepted)).await {
        session::run(session).await;
        drop(charge);
    }
}

/// From the accepted socket to a session, unless the peer goes away or is refused.
async fn negotiate(
    local: Rc<Local>,
    accepted: Accepted<Local>,
) -> Option<(Box<Session>, Charge<Local>)> {
    let Accepted {
        socket,
        peer,
        settings,
        listen,
        unauthenticated,
        mut newcomer,
        charge,
    } = accepted;
    let common = &local.common;
    let tls = common.tls.load().of(listen)?;
    let tcp = match TcpStream::from_std(socket) {
        Ok(tcp) => tcp,
        Err(error) => {
            tracing::warn!(%peer, %error, "a connection is dropped");
            return None;
        }
    };
    let id = next_session(common);
    let about = About {
        addr: Some(peer),
        worker: local.worker,
        ..About::default()
    };
    let config = common.config.load_full();
    let login = Rc::new(Login::new(
        id,
        about,
        login_parts(&local),
        rules(&config, &settings),
    ));
    let context = AcceptContext {
        settings: settings.clone(),
        config: config.clone(),
        tls,
        clock: common.clock.clone(),
        timers: local.shared.timers.clone(),
        handshakes: local.handshakes.clone(),
        after_login: {
            let local = local.clone();
            Rc::new(move |domain| local.after_login(domain))
        },
        auth: login.clone(),
    };
    let accepted = tokio::select! {
        accepted = stream::accept(tcp, peer, Rc::new(context)) => accepted,
        () = newcomer.evicted() => return None,
    };
    drop((unauthenticated, newcomer));
    let bound = match accepted {
        Ok(bound) => bound,
        Err(error) => {
            common.counters.logins_failed.one();
            tracing::debug!(%peer, %error, "a stream ended before login");
            return None;
        }
    };
    let Some(registered) = login.take() else {
        tracing::error!(%peer, "a stream is bound without a resource");
        return None;
    };
    note_login(common, &config, &registered, &bound);
    common.counters.logins.one();
    let session = session::open(local.shared.clone(), settings, registered, (bound, peer));
    Some((session, charge))
}

/// Says that somebody has logged in, by the configuration of its stream.
fn note_login(common: &Common, config: &Config, registered: &Registered, bound: &Bound) {
    let jid = &registered.jid;
    match registered.kind {
        PeerKind::Component => {
            if !components::may_stay(common, config, jid) {
                registered.outbox.close(Closing::Revoked);
            }
            tracing::info!(component = %jid, "a component is connected");
        }
        // The resource was bound before TLS was told of; the console's list shows it.
        PeerKind::Client | PeerKind::Internal => {
            common.directory.with(jid, |_, state| {
                if let Some(resource) = state.session_mut(registered.id) {
                    resource.about.tls = bound.tls.as_ref().map(|tls| tls.version);
                }
            });
            // A reload that came between the login and the bind has not seen this session.
            if !common.config.load().is_local_domain(jid.domain()) {
                registered.outbox.close(Closing::HostGone);
            }
            tracing::debug!(%jid, "logged in");
        }
    }
}
