//! Accept loops: one socket per `Listen`, each accepted socket handed to the least loaded worker of its pool.

mod bind;

pub use bind::{BindError, bind};

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::config::{Listen, PeerSettings};
use crate::limit::{Counted, Memory, Newcomer, PerAddress};
use crate::net::{Charge, Worker};
use crate::observe::Counters;

/// Rest after an error that will not go away at once (no file descriptors left), so that the loop does not spin.
const REST: Duration = Duration::from_millis(50);

/// How often one listener says that it refuses connections for want of memory.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// An accepted connection on its way to a worker.
pub struct Accepted<L> {
    /// The socket, non-blocking.
    pub socket: StdStream,
    /// The peer's address.
    pub peer: SocketAddr,
    /// What holds for that address on that socket.
    pub settings: Arc<PeerSettings>,
    /// Which `Listen` it came to, counted from 0 in the configuration.
    pub listen: usize,
    /// Counts among those that have not logged in; to be dropped after login.
    pub unauthenticated: Counted,
    /// What its memory is charged to until it has logged in; to be dropped then.
    pub newcomer: Newcomer,
    /// Counts among its worker's connections; to be dropped at its end.
    pub charge: Charge<L>,
}

/// Whatever takes accepted connections on a worker: the composition root's local state.
pub trait Serve: 'static {
    /// Takes a connection; runs on the worker's thread, inside its runtime.
    fn serve(self: &std::rc::Rc<Self>, accepted: Accepted<Self>)
    where
        Self: Sized;
}

/// One accept loop.
pub struct Listener<L> {
    /// The bound socket.
    pub socket: StdListener,
    /// Its place in the configuration.
    pub index: usize,
    /// Its settings.
    pub listen: Listen,
    /// The workers of its pool.
    pub workers: Vec<Arc<Worker<L>>>,
    /// What holds for a peer address just now, in the configuration in force.
    pub peer_settings: Box<dyn Fn(IpAddr) -> Arc<PeerSettings>>,
    /// Counts connections that have not logged in, over all listeners.
    pub unauthenticated: PerAddress,
    /// Above its soft limit nobody is accepted.
    pub memory: Arc<Memory>,
    /// When that was last logged.
    pub told_tight: Cell<Option<Instant>>,
    /// The server's counters.
    pub counters: Arc<Counters>,
}

impl<L: Serve> Listener<L> {
    /// Accepts until the future is dropped. Must run inside a runtime with I/O.
    ///
    /// # Errors
    /// When the runtime refuses the socket.
    pub async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.socket.try_clone()?)?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    self.counters.connections.one();
                    if let Err(error) = self.hand_over(stream.into_std()?, peer) {
                        tracing::warn!(%peer, %error, "a connection is dropped");
                    }
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    tracing::error!(listen = %self.listen.name, %error, "cannot accept");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn hand_over(&self, socket: StdStream, peer: SocketAddr) -> io::Result<()> {
        if self.memory.is_tight() {
            self.counters.connections_refused.one();
            self.tell_tight();
            return Ok(());
        }
        let settings = (self.peer_settings)(peer.ip());
        let most = settings.max_unauthenticated_per_address;
        let Some(unauthenticated) = self.unauthenticated.count(peer.ip(), most) else {
            self.counters.connections_refused.one();
            tracing::info!(%peer, most, "too many connections of this address have not logged in");
            return Ok(());
        };
        if self.listen.disable_nagle_algorithm {
            socket.set_nodelay(true)?;
        }
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.load()) else {
            return Err(io::Error::other("its pool has no workers"));
        };
        let accepted = Accepted {
            socket,
            peer,
            settings,
            listen: self.index,
            unauthenticated,
            newcomer: self.memory.newcomer(),
            charge: worker.charge(),
        };
        worker.run(move |local| local.serve(accepted));
        Ok(())
    }

    /// Says that connections are refused, once in a while: there may be thousands.
    fn tell_tight(&self) {
        let told = self.told_tight.get();
        if told.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            self.told_tight.set(Some(Instant::now()));
            tracing::warn!(
                listen = %self.listen.name,
                kept_bytes = self.memory.used(),
                "memory_soft_limit is passed: new connections are refused"
            );
        }
    }
}

/// Errors that accept(2) passes on from one connection: the next may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
