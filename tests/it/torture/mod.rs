//! Nothing acknowledged is lost, nothing doubled, everything in order, however often sockets and the server die.
//!
//! A dozen users send one another chat messages, answer one another's pings and change their presence, on four workers, each
//! connection on any of them, with TLS or without. Their sockets are lost in the middle of a stanza: by RST, by FIN, or
//! without a word while the next connection is there already. The server is killed by signal 9, or told to end, and started
//! on the same data. Of the users,
//!
//! - half **resume** (XEP-0198 §5): they send again what the server has not handled, under the same ids, and begin a new
//!   session only when the server was killed, not when it was told to end; now and then the connection on which they resume is lost too;
//! - a quarter **log in anew** with stream management on, and send again what was not acknowledged;
//! - a quarter is **plain**, without stream management: the answer to a ping acknowledges what was sent before it, and nothing
//!   is sent again.
//!
//! What is checked:
//!
//! - **Lost: none.** A message that its sender knows to be acknowledged comes to every recipient with stream management. To a
//!   plain one it comes too, unless it was written to a socket that died: then, and only then, the next message from that
//!   sender comes by another connection than the one before.
//! - **Doubled: none** for who resumes, and for everybody none that the end of a session does not explain. Exactly: the server
//!   may have taken a message as many times as its sender has sent it in different *sessions* (once, unless a sender's
//!   session ended before the acknowledgement came). In each session of the recipient, however often resumed, it comes at most
//!   that often, less those copies of earlier sessions that are *settled*. So a copy may come again when a session has ended,
//!   which of one who resumes only kill -9 does, and (a) the sender had no acknowledgement, so that it had to send again; or
//!   (b) the recipient's acknowledgement had not reached the disk: its spool row was still there. A copy is settled when the
//!   recipient has acknowledged it and something that it then asked the server to store is stored: rows go in that order.
//! - **Order: kept** for each sender and recipient, over the first of the copies of each message; to a plain recipient over
//!   the messages that were sent once, for the first copy of another may have been lost with a socket.
//! - Every iq is answered while its sender's session lives, and once if the server is not stopped meanwhile. No login fails, no
//!   session is lost that nobody killed, no message comes back. And when everybody has left, nothing is left for anybody.
//!
//! `STANZAD_TORTURE_KILLS`, `_CRASHES`, `_RESTARTS` and `_SEED` say how much and which; `tests/torture` runs the
//! full size. The seed decides what users and tormentor do, the machine still decides when: a seed that fails may have to be
//! run more than once.

mod ledger;
mod link;
mod random;
mod talk;
mod user;
mod world;

use std::rc::Rc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep};

use self::ledger::Verdict;
use self::random::Random;
use self::user::User;
use self::world::{Phase, World, name};
use crate::harness::{PATIENCE, Server, Setup, Via};

/// The size of a run among all the other tests.
const KILLS: u64 = 150;
const CRASHES: u64 = 4;
const RESTARTS: u64 = 2;
const USERS: usize = 12;
/// How long between two losses of a socket, at most.
const PAUSE_MS: u64 = 60;
/// Each worker has its own pool and listeners, so that every connection chooses its worker.
const WORKERS: &str = r#"
offline_max_messages = 1000000
offline_max_bytes = 1000000000
scram_iterations = 4096
ThreadPool "west" { Concurrency = 1 }
ThreadPool "east" { Concurrency = 1 }
ThreadPool "north" { Concurrency = 1 }
ThreadPool "south" { Concurrency = 1 }
xmpp_listener {
  Listen "127.0.0.4:0" { tls = "offered" pool_name = "west" }
  Listen "127.0.0.5:0" { tls = "offered" pool_name = "east" }
  Listen "127.0.0.6:0" { tls = "offered" pool_name = "north" }
  Listen "127.0.0.7:0" { tls = "offered" pool_name = "south" }
  Listen "127.0.0.8:0" { tls = "direct" pool_name = "west" }
  Listen "127.0.0.9:0" { tls = "direct" pool_name = "east" }
  Listen "127.0.0.10:0" { tls = "direct" pool_name = "north" }
  Listen "127.0.0.11:0" { tls = "direct" pool_name = "south" }
}
"#;
const PLACES: [(&str, Via); 8] = [
    ("127.0.0.4:", Via::Plain),
    ("127.0.0.5:", Via::Plain),
    ("127.0.0.6:", Via::Plain),
    ("127.0.0.7:", Via::Plain),
    ("127.0.0.8:", Via::Direct),
    ("127.0.0.9:", Via::Direct),
    ("127.0.0.10:", Via::Direct),
    ("127.0.0.11:", Via::Direct),
];

/// What a user does when its connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Resumes,
    LogsInAnew,
    Plain,
}

/// The size of a run.
struct Plan {
    seed: u64,
    kills: u64,
    crashes: u64,
    restarts: u64,
}

/// What becomes of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// kill -9.
    Crash,
    /// SIGTERM: who resumes finds its session again.
    Restart,
}

impl Plan {
    fn of_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(format!("STANZAD_TORTURE_{name}")).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("STANZAD_TORTURE_{name} is no number: {text}")),
            )
        };
        let seed = || {
            let mut bytes = [0; 8];
            SystemRandom::new().fill(&mut bytes).unwrap();
            u64::from_le_bytes(bytes)
        };
        Self {
            seed: number("SEED").unwrap_or_else(seed),
            kills: number("KILLS").unwrap_or(KILLS),
            crashes: number("CRASHES").unwrap_or(CRASHES),
            restarts: number("RESTARTS").unwrap_or(RESTARTS),
        }
    }
}

type Users = JoinSet<Result<(), String>>;

/// The one who kills.
struct Tormentor {
    world: Rc<World>,
    random: Random,
    server: Option<Server>,
    users: Users,
}

impl Tormentor {
    fn start(plan: &Plan) -> Self {
        let habits = [
            Habit::Resumes,
            Habit::LogsInAnew,
            Habit::Resumes,
            Habit::Plain,
        ];
        let world = Rc::new(World::new(habits.into_iter().cycle().take(USERS)));
        let server = Setup::new().shipped_scripts().config(WORKERS).start();
        let names: Vec<String> = (0..USERS).map(name).collect();
        server.users(&names.iter().map(String::as_str).collect::<Vec<_>>());
        world.is_up(&server, &PLACES);
        let mut users = JoinSet::new();
        for user in 0..USERS {
            let random = Random::new(plan.seed, user as u64 + 1);
            users.spawn_local(User::new(user, Rc::clone(&world), random).live());
        }
        Self {
            world,
            random: Random::new(plan.seed, 0),
            server: Some(server),
            users,
        }
    }

    /// The first thing that a user has found wrong.
    fn fault(&mut self) -> Result<(), String> {
        match self.users.try_join_next() {
            Some(Ok(done)) => done,
            Some(Err(panic)) => Err(panic.to_string()),
            None => Ok(()),
        }
    }

    async fn wait(&mut self, what: &str, done: impl Fn(&World) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + 2 * PATIENCE;
        while !done(&self.world) {
            self.fault()?;
            if Instant::now() > deadline {
                return Err(format!("no {what}; late: {:?}", self.world.who_is_late()));
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Has somebody lose its socket.
    async fn kill(&mut self) -> Result<(), String> {
        self.wait("connection to kill", |world| {
            world.users.iter().any(|user| user.connected.get())
        })
        .await?;
        let connected: Vec<usize> = (0..USERS)
            .filter(|user| self.world.users[*user].connected.get())
            .collect();
        let victim = connected[self.random.index(connected.len())];
        self.world.users[victim].doomed.set(true);
        self.wait("death", |world| !world.users[victim].doomed.get())
            .await
    }

    /// Ends the server and starts it on the same data.
    async fn strike(&mut self, blow: Blow) -> Result<(), String> {
        let mut server = self.server.take().unwrap();
        self.world.up.set(false);
        let (server, code) = tokio::task::spawn_blocking(move || {
            let code = match blow {
                Blow::Crash => {
                    server.kill();
                    None
                }
                Blow::Restart => {
                    server.signal(rustix::process::Signal::TERM);
                    server.wait().code
                }
            };
            server.restart();
            (server, code)
        })
        .await
        .unwrap();
        if blow == Blow::Crash {
            world::count(&self.world.life);
        }
        world::count(&self.world.gone);
        self.world.is_up(&server, &PLACES);
        self.server = Some(server);
        match code {
            None | Some(0) => Ok(()),
            Some(code) => Err(format!("the server ended with {code}")),
        }
    }

    async fn run(&mut self, plan: &Plan) -> Result<Verdict, String> {
        let crashes = (0..plan.crashes).map(|_| Blow::Crash);
        let restarts = (0..plan.restarts).map(|_| Blow::Restart);
        let mut blows: Vec<Blow> = crashes.chain(restarts).collect();
        let every = plan.kills / (blows.len() as u64 + 1);
        for kill in 1..=plan.kills {
            sleep(Duration::from_millis(self.random.below(PAUSE_MS))).await;
            self.kill().await?;
            if kill % every.max(1) == 0 && !blows.is_empty() {
                // In the middle of what the others do.
                sleep(Duration::from_millis(self.random.below(PAUSE_MS))).await;
                let next = self.random.index(blows.len());
                let blow = blows.swap_remove(next);
                self.strike(blow).await?;
            }
        }
        for phase in [Phase::Finish, Phase::Fence] {
            self.world.phase.set(phase);
            self.wait("end", World::all_through).await?;
        }
        let last: Vec<usize> = self
            .world
            .users
            .iter()
            .map(|user| user.connection.get())
            .collect();
        self.world.phase.set(Phase::Leave);
        self.wait("leaving", World::all_through).await?;
        let habits: Vec<Habit> = self.world.users.iter().map(|user| user.habit).collect();
        Ok(self.world.ledger.borrow().judge(&habits, &last))
    }
}

#[test]
fn nothing_acknowledged_is_lost_doubled_or_out_of_order_whatever_dies() {
    let plan = Plan::of_environment();
    let seed = plan.seed;
    eprintln!("STANZAD_TORTURE_SEED={seed}");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let judged = LocalSet::new().block_on(&runtime, async {
        let mut tormentor = Tormentor::start(&plan);
        let judged = tormentor.run(&plan).await;
        eprintln!("{:?}", tormentor.world.figures);
        judged
    });
    let verdict = judged.unwrap_or_else(|fault| panic!("STANZAD_TORTURE_SEED={seed}: {fault}"));
    eprintln!(
        "{} kills, {} kill -9, {} restarts: {} messages, {} acknowledged, {} delivered; {} lost, {} doubled, {} out of order; \
         {} repeated as they may be, {} on the wire of a plain socket that died",
        plan.kills,
        plan.crashes,
        plan.restarts,
        verdict.sent,
        verdict.acknowledged,
        verdict.delivered,
        verdict.lost,
        verdict.doubled,
        verdict.disordered,
        verdict.repeated,
        verdict.on_the_wire,
    );
    assert!(
        verdict.faults.is_empty(),
        "STANZAD_TORTURE_SEED={seed}\n{}",
        verdict.faults.join("\n")
    );
    assert!(verdict.acknowledged > 0, "nothing was acknowledged");
}
