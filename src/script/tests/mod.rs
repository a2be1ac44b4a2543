//! A server in small: engines with a fake host and outbox, and a script directory.

mod announced;
mod bot;
mod conversations;
mod fanout;
mod filters;
mod generations;
mod handlers;
mod shipped;
mod tidy;

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::config::{OnError, Script, ScriptLimits};
use crate::hook::{Bus, Event, Fired, Outbox, Peer, PeerKind, Point, Verdict};
use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::store::{Store, StoreOptions};
use crate::xml::{CLIENT_NS, Element};

use super::coordinator::Order;
use super::report::Failure;
use super::snapshot::Snapshot;
use super::{Control, Coordinator, Engine, Host, Online, Parts, Settings, modules};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// `localhost`, with bob online.
struct FakeHost;

impl Host for FakeHost {
    fn connected(&self, jid: &Jid) -> bool {
        jid.local() == Some("bob")
    }

    fn online(&self, jid: &Jid) -> Option<Online> {
        self.connected(jid).then(|| Online {
            available: true,
            show: "away".into(),
            status: "lunch".into(),
        })
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn serves(&self, domain: &str) -> bool {
        domain == "localhost"
    }

    fn domain(&self) -> String {
        "localhost".into()
    }
}

/// Keeps what scripts send.
#[derive(Default)]
struct FakeOutbox(RefCell<Vec<(Stanza, u8)>>);

impl Outbox for FakeOutbox {
    fn fan_out(&self, stanza: Stanza, to: Vec<Jid>, hops: u8) -> bool {
        to.into_iter().all(|to| {
            let mut copy = stanza.clone();
            copy.set_to(Some(to));
            self.send(copy, hops)
        })
    }

    fn send_all(&self, stanzas: Vec<Stanza>, hops: u8) -> bool {
        stanzas.into_iter().all(|stanza| self.send(stanza, hops))
    }

    fn send(&self, stanza: Stanza, hops: u8) -> bool {
        self.0.borrow_mut().push((stanza, hops));
        true
    }
}

impl FakeOutbox {
    fn take(&self) -> Vec<(Stanza, u8)> {
        std::mem::take(&mut self.0.borrow_mut())
    }

    /// Body and addressee of everything sent so far.
    fn said(&self) -> Vec<(String, String)> {
        let text = |stanza: &Stanza| {
            stanza
                .body()
                .map(|body| body.to_string())
                .unwrap_or_default()
        };
        let to = |stanza: &Stanza| stanza.to().map(|to| to.to_string()).unwrap_or_default();
        self.take()
            .iter()
            .map(|(stanza, _)| (to(stanza), text(stanza)))
            .collect()
    }
}

/// One worker.
struct Worker {
    engine: Rc<Engine>,
    bus: Bus,
    outbox: Rc<FakeOutbox>,
}

/// A server in small. All its workers live on the test's thread.
struct Stage {
    dir: TempDir,
    settings: Settings,
    control: Control,
    workers: Vec<Worker>,
}

fn limits() -> ScriptLimits {
    ScriptLimits {
        // A debug build on a busy machine is slow; what is tested here is not the budget.
        cpu_budget: Duration::from_millis(500),
        memory: 16 << 20,
        hook_wait: Duration::from_secs(10),
        old_generations: 3,
        old_generation_time: Duration::from_secs(60),
    }
}

fn script(name: &str) -> Script {
    Script {
        name: name.into(),
        source: name.into(),
        required: false,
        on_error: OnError::Continue,
    }
}

impl Stage {
    /// Files and scriptlets, on `workers` workers. Nothing is loaded yet.
    fn new(workers: usize, files: &[(&str, &str)], scripts: &[Script]) -> Stage {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            write(dir.path(), name, text);
        }
        let store = Store::open(&dir.path().join("data"), StoreOptions::new(|| 0)).unwrap();
        let settings = Settings {
            dir: Some(dir.path().to_owned()),
            scripts: scripts.to_vec(),
            domains: vec!["localhost".into()],
            limits: limits(),
        };
        let (coordinator, control, seats) =
            Coordinator::new(settings.clone(), Arc::new(modules), workers);
        tokio::task::spawn_local(coordinator.run());
        let workers = seats.into_iter().map(|seat| {
            let outbox = Rc::new(FakeOutbox::default());
            let parts = Parts {
                host: Rc::new(FakeHost),
                outbox: Rc::clone(&outbox) as Rc<dyn Outbox>,
                store: Some(store.clone()),
                rosters: None,
                modules: modules(),
            };
            let engine = Engine::start(seat, parts);
            let mut bus = Bus::default();
            engine.register(&mut bus);
            Worker {
                engine,
                bus,
                outbox,
            }
        });
        let workers = workers.collect();
        Stage {
            dir,
            settings,
            control,
            workers,
        }
    }

    /// One worker with one script, live without the coordinator.
    async fn with(text: &str) -> Stage {
        let stage = Stage::new(1, &[("main.lua", text)], &[script("main")]);
        stage.build(1).await.unwrap();
        stage
    }

    /// One worker with a required `guard.lua`, and a `hoard.lua` that runs out of memory at a message `hoard`.
    async fn beside_a_hoarder(guard: &str, hoarders_verdict: &str) -> Stage {
        let hoard = format!(
            "hook('client_message_recv', 1, function(sess, stanza)
               local hoard = {{}}
               while stanza:body() == 'hoard' do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end
               {hoarders_verdict}
             end)"
        );
        let mut required = script("guard");
        required.required = true;
        let stage = Stage::new(
            1,
            &[("guard.lua", guard), ("hoard.lua", &hoard)],
            &[required, script("hoard")],
        );
        stage.build(1).await.unwrap();
        stage
    }

    /// Builds and flips what is on disk now, without the coordinator.
    async fn build(&self, number: u64) -> Result<(), Failure> {
        let snapshot = Arc::new(Snapshot::read(&self.settings, None).unwrap());
        let shared = self.workers[0].engine.shared();
        let (reply, mut answers) = mpsc::channel(8);
        for orders in &shared.orders {
            let snapshot = Arc::clone(&snapshot);
            orders
                .send(Order::Build {
                    number,
                    snapshot,
                    reply: reply.clone(),
                })
                .await
                .unwrap();
        }
        drop(reply);
        while let Some(answer) = answers.recv().await {
            answer?;
        }
        shared.live.store(number, Ordering::Release);
        for orders in &shared.orders {
            orders.send(Order::Adopt).await.unwrap();
        }
        Ok(())
    }

    fn save(&self, name: &str, text: &str) {
        write(self.dir.path(), name, text);
    }

    fn fire(&self, point: Point, event: Event) -> Fired {
        self.workers[0].bus.fire(point, 0, event)
    }

    /// Fires a message from alice and waits for what comes of it.
    async fn message(&self, to: &str, body: &str) -> (Verdict, Event) {
        self.settle(Point::ClientMessageRecv, event(&message(to, body)))
            .await
    }

    async fn settle(&self, point: Point, event: Event) -> (Verdict, Event) {
        let mut fired = self.fire(point, event);
        loop {
            match fired {
                Fired::Now(verdict, event) => return (verdict, event),
                Fired::Wait { waiting, resume } => match waiting.await {
                    (Verdict::Next, event) => {
                        fired = self.workers[0].bus.fire(point, resume, event)
                    }
                    (verdict, event) => return (verdict, event),
                },
            }
        }
    }

    fn outbox(&self) -> &FakeOutbox {
        &self.workers[0].outbox
    }

    fn errors(&self) -> u64 {
        self.workers[0].engine.errors()
    }
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn stanza(xml: &str) -> Stanza {
    Stanza::from_element(Element::parse(xml.as_bytes(), CLIENT_NS, &[]).unwrap()).unwrap()
}

fn message(to: &str, body: &str) -> Stanza {
    stanza(&format!(
        "<message from='alice@localhost/pc' to='{to}' type='chat' id='m1'><body>{body}</body></message>"
    ))
}

fn event(stanza: &Stanza) -> Event {
    Event {
        peer: Arc::new(Peer {
            id: 7,
            kind: PeerKind::Client,
            jid: Jid::new("alice@localhost/pc").unwrap(),
            addr: Some("127.0.0.1:4711".parse().unwrap()),
            tls: None,
            told: Arc::default(),
            account: None,
            revoked: false.into(),
            vars: parking_lot::Mutex::default(),
        }),
        stanza: Some(stanza.clone()),
        replies: Vec::new(),
        hops: 0,
        trace: Some(Vec::new()),
    }
}

/// Runs a test as a worker would run it.
fn on_worker(test: impl Future<Output = ()>) {
    // What scripts did wrong is in the log; shown when a test fails.
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Waits until `what` holds.
async fn until(mut what: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(std::time::Instant::now() < deadline, "it never came about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
