//! Workers: an operating-system thread each, with a current-thread runtime and state that never leaves it (DESIGN §5).

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

/// Something to do on a worker's thread, with its local state at hand.
pub type Job<L> = Box<dyn FnOnce(&Rc<L>) + Send>;

/// A handle on a worker, shared by all threads. `L` is what lives on the worker's thread alone.
pub struct Worker<L> {
    id: usize,
    pool: Arc<str>,
    jobs: mpsc::UnboundedSender<Job<L>>,
    sessions: AtomicUsize,
    beats: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<L: 'static> Worker<L> {
    /// Starts a worker. `init` runs first, on its thread, inside its runtime: it may spawn local tasks.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn start(
        id: usize,
        pool: Arc<str>,
        init: impl FnOnce() -> L + Send + 'static,
    ) -> io::Result<Arc<Worker<L>>> {
        let (jobs, mut inbox) = mpsc::unbounded_channel::<Job<L>>();
        let beats = Arc::new(AtomicU64::new(0));
        let worker_beats = beats.clone();
        let (started, start) = std::sync::mpsc::sync_channel::<io::Result<()>>(1);
        let body = move || {
            let runtime = match Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async move {
                let local = Rc::new(init());
                let _ = started.send(Ok(()));
                while let Some(job) = inbox.recv().await {
                    worker_beats.fetch_add(1, Ordering::Relaxed);
                    job(&local);
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{id}"))
            .spawn(body)?;
        start
            .recv()
            .map_err(|_| io::Error::other("the worker's thread ended while it started"))??;
        Ok(Arc::new(Worker {
            id,
            pool,
            jobs,
            sessions: AtomicUsize::new(0),
            beats,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// The worker's number, from 0, unique in the server.
    #[must_use]
    pub fn id(&self) -> usize {
        self.id
    }

    /// The name of its `ThreadPool`.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Runs `job` on the worker's thread, between two of its turns. False when the worker has ended.
    pub fn run(&self, job: impl FnOnce(&Rc<L>) + Send + 'static) -> bool {
        self.jobs.send(Box::new(job)).is_ok()
    }

    /// How many connections it holds: a new socket goes to the worker that holds the fewest.
    #[must_use]
    pub fn load(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Counts a connection for as long as the returned value lives.
    #[must_use]
    pub fn charge(self: &Arc<Self>) -> Charge<L> {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Charge(self.clone())
    }

    /// How many jobs it has begun: a watchdog that queues a job sees here whether the worker turns.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Gives up the thread's handle, for the one who waits for its end. The worker ends when its last handle is dropped.
    pub fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().take()
    }
}

/// A connection that its worker carries.
pub struct Charge<L>(Arc<Worker<L>>);

impl<L> Drop for Charge<L> {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
