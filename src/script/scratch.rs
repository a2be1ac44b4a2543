//! The test run of a snapshot, on a thread of its own: load every script, call its `selftest()`. No worker sees it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::hook::Outbox;
use crate::jid::Jid;
use crate::stanza::Stanza;

use super::conversation::Conversations;
use super::hub::{Hub, Parts, Shared};
use super::load::{self, Purpose};
use super::report::Failure;
use super::snapshot::Snapshot;
use super::{Host, Module, Online};

/// Makes the modules that scripts can call, once per VM host.
pub type Modules = Arc<dyn Fn() -> Vec<Box<dyn Module>> + Send + Sync>;

/// How long the test run may take.
const TIME: Duration = Duration::from_secs(10);
/// The domain that every selftest sees, beside the server's own.
const DOMAIN: &str = "localhost";

/// Runs `snapshot` where it can do no harm.
///
/// # Errors
/// The first script that does not load or does not pass its own test.
pub(super) async fn selftest(snapshot: &Arc<Snapshot>, modules: &Modules) -> Result<(), Failure> {
    let (reply, answer) = oneshot::channel();
    let (snapshot, modules) = (Arc::clone(snapshot), Arc::clone(modules));
    let spawned = std::thread::Builder::new()
        .name("script-test".into())
        .spawn(move || {
            let _ = reply.send(run(&snapshot, &modules));
        });
    if let Err(error) = spawned {
        return Err(Failure::plain(format!(
            "no thread for the test run: {error}"
        )));
    }
    match tokio::time::timeout(TIME, answer).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Failure::plain("the test run ended without a result")),
        Err(_) => Err(Failure::plain(format!(
            "the test run took longer than {} s",
            TIME.as_secs()
        ))),
    }
}

fn run(snapshot: &Arc<Snapshot>, modules: &Modules) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::plain(format!("no runtime for the test run: {error}")))?;
    let shared = Arc::new(Shared {
        live: AtomicU64::new(0),
        conversations: Conversations::default(),
        orders: Vec::new(),
    });
    let parts = Parts {
        host: Rc::new(Nowhere(snapshot.domains.clone())),
        outbox: Rc::new(Nowhere(Vec::new())),
        store: None,
        rosters: None,
        modules: modules(),
    };
    let hub = Hub::new(0, parts, shared);
    hub.record();
    let local = tokio::task::LocalSet::new();
    local
        .block_on(&runtime, load::build(&hub, snapshot, 0, Purpose::Selftest))
        .map(drop)
}

/// A server with domains and without users.
struct Nowhere(Vec<String>);

impl Host for Nowhere {
    fn connected(&self, _: &Jid) -> bool {
        false
    }

    fn online(&self, _: &Jid) -> Option<Online> {
        None
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn serves(&self, domain: &str) -> bool {
        domain == DOMAIN || self.0.iter().any(|have| have == domain)
    }

    fn domain(&self) -> String {
        DOMAIN.to_owned()
    }
}

impl Outbox for Nowhere {
    fn fan_out(&self, _: Stanza, _: Vec<Jid>, _: u8) -> bool {
        true
    }

    fn send_all(&self, _: Vec<Stanza>, _: u8) -> bool {
        true
    }

    /// Never asked: a hub that records what its scripts send does not send it.
    fn send(&self, _: Stanza, _: u8) -> bool {
        false
    }
}
