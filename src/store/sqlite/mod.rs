//! The SQLite engine: one thread writes, a few read (WAL), nobody else touches the files.

mod blocks;
mod connection;
mod documents;
mod invites;
mod kv;
mod queue;
mod roster;
mod spool;
mod spool_due;
mod spool_list;
mod sweep;
#[cfg(test)]
mod tests;
mod users;
mod writer;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread;

use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use self::queue::{Queue, Taken};
use self::writer::{Op, Write};
use super::answer::{Reply, answered};
use super::dir::DataDir;
use super::engine::Engine;
use super::spool::{Bounce, Bounced, Due, Kind, Owner, Quota};
use super::{
    Answer, Invite, RowId, SpoolEntry, SpoolRow, SpoolTotal, Stats, StoreError, StoreOptions,
};
use crate::jid::Jid;
use crate::sasl::Credentials;
use crate::stanza::roster::{Roster, RosterItem};

/// The database's name in the data directory.
const DATABASE: &str = "stanzad.db";
/// What a queued operation is charged beside the bytes it carries.
const OP_BYTES: usize = 256;

/// A read operation.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the threads and the handle share.
pub(super) struct Shared {
    options: StoreOptions,
    writes: Queue<Box<dyn Write>>,
    reads: Queue<Read>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    writes: AtomicU64,
    failed_writes: AtomicU64,
    failed_commits: AtomicU64,
    reads: AtomicU64,
    swept: AtomicU64,
}

/// What ends with the last of the threads: then the directory is free, and whoever waits for that hears it.
struct Ending {
    dir: Option<DataDir>,
    result: Mutex<Result<(), StoreError>>,
    waiting: Mutex<Vec<Reply<()>>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Before the answers: who has one may open the directory again.
        drop(self.dir.take());
        let result = self.result.get_mut().clone();
        for reply in self.waiting.get_mut().drain(..) {
            answered(reply, result.clone());
        }
    }
}

/// The engine's handle. Dropped without [`Engine::close`], its threads still do what is queued.
pub(super) struct Sqlite {
    shared: Arc<Shared>,
    ending: Weak<Ending>,
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.shared.writes.close();
        self.shared.reads.close();
    }
}

impl Sqlite {
    /// Takes the directory, opens all connections and starts the threads.
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Sqlite, StoreError> {
        let dir = DataDir::hold(path)?;
        let file = dir.file(DATABASE)?;
        let conn = connection::open_writer(&file)?;
        dir.sync()?;
        let readers: Vec<Connection> = (0..options.readers.max(1))
            .map(|_| connection::open_reader(&file))
            .collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared {
            writes: Queue::new(options.queue_ops, options.queue_bytes),
            reads: Queue::new(options.queue_ops, options.queue_bytes),
            counters: Counters::default(),
            options,
        });
        let ending = Arc::new(Ending {
            dir: Some(dir),
            result: Mutex::new(Ok(())),
            waiting: Mutex::default(),
        });
        // Made before the threads: should one of them fail to start, dropping it ends the others.
        let engine = Sqlite {
            shared: Arc::clone(&shared),
            ending: Arc::downgrade(&ending),
        };
        for conn in readers {
            let (shared, ending) = (Arc::clone(&shared), Arc::clone(&ending));
            start("store-read", path, move || {
                read(&conn, &shared);
                drop(conn);
                drop(ending);
            })?;
        }
        start("store-write", path, move || {
            *ending.result.lock() = writer::run(&conn, &shared);
            drop(conn);
            drop(ending);
        })?;
        Ok(engine)
    }

    /// Queues a write that holds `bytes` bytes.
    fn write<T, F>(&self, bytes: usize, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = Answer::pending();
        self.submit(bytes, Box::new(Op::new(reply, work)));
        answer
    }

    fn submit(&self, bytes: usize, op: Box<dyn Write>) {
        if let Err((error, op)) = self.shared.writes.push(bytes.saturating_add(OP_BYTES), op) {
            op.answer(Err(error));
        }
    }

    /// Queues a read.
    fn read<T, F>(&self, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = Answer::pending();
        let shared = Arc::clone(&self.shared);
        let job: Read = Box::new(move |conn| {
            shared.counters.reads.fetch_add(1, Relaxed);
            answered(reply, work(conn, (shared.options.now)()));
        });
        match self.shared.reads.push(OP_BYTES, job) {
            Ok(()) => answer,
            Err((error, _job)) => Answer::refused(error),
        }
    }
}

/// A reader thread: until the queue is closed and empty.
fn read(conn: &Connection, shared: &Shared) {
    while let Taken::Items(jobs) = shared.reads.take(1, None) {
        for job in jobs {
            job(conn);
        }
    }
}

fn start(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started
        .map(drop)
        .map_err(|e| StoreError::io("cannot start a thread for", path, e))
}

/// What a row holds while it waits to be written.
fn row_bytes(row: &SpoolRow) -> usize {
    row.stanza.len().saturating_add(OP_BYTES)
}

/// What an item holds while it waits to be written.
fn item_bytes(item: &RosterItem) -> usize {
    let texts = item.groups.iter().chain(&item.name).map(|text| text.len());
    let request = item.request.as_ref().map_or(0, |request| request.len());
    texts
        .fold(size_of::<RosterItem>(), usize::saturating_add)
        .saturating_add(item.jid.as_str().len())
        .saturating_add(request)
}

/// Turns SQLite's errors into ours.
fn sql(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Sql {
            doing,
            source: Arc::new(error),
        },
    }
}

fn block_bytes(jids: &[Jid]) -> usize {
    jids.iter()
        .fold(0, |sum, jid| sum.saturating_add(jid.as_str().len()))
}

impl Engine for Sqlite {
    fn user_create(&self, bare: Jid, credentials: Credentials) -> Answer<()> {
        let shared = Arc::clone(&self.shared);
        self.write(0, move |conn| {
            users::create(conn, &bare, &credentials, (shared.options.now)())
        })
    }

    fn user_set_credentials(&self, bare: String, credentials: Credentials) -> Answer<()> {
        self.write(0, move |conn| {
            users::set_credentials(conn, &bare, &credentials)
        })
    }

    fn user_delete(&self, bare: String, prefix: String) -> Answer<()> {
        self.write(0, move |conn| {
            users::delete(conn, &bare)?;
            blocks::delete_owner(conn, &bare)?;
            documents::delete_owner(conn, &bare)?;
            roster::delete_owner(conn, &bare)?;
            kv::delete_prefix(conn, &prefix)
        })
    }

    fn user(&self, bare: String) -> Answer<Option<Credentials>> {
        self.read(move |conn, _| users::credentials(conn, &bare))
    }

    fn user_exists(&self, bare: String) -> Answer<bool> {
        self.read(move |conn, _| users::exists(conn, &bare))
    }

    fn users(&self, domain: Option<String>) -> Answer<Vec<Jid>> {
        self.read(move |conn, _| users::list(conn, domain.as_deref()))
    }

    fn recipient(&self, bare: String) -> Answer<Option<Vec<Jid>>> {
        self.read(move |conn, _| blocks::recipient(conn, &bare))
    }

    fn block_list(&self, owner: String) -> Answer<Vec<Jid>> {
        self.read(move |conn, _| blocks::list(conn, &owner))
    }

    fn block_add(&self, owner: String, jids: Vec<Jid>) -> Answer<()> {
        let most = self.shared.options.block_rows;
        let bytes = block_bytes(&jids);
        self.write(bytes, move |conn| blocks::add(conn, &owner, &jids, most))
    }

    fn block_remove(&self, owner: String, jids: Option<Vec<Jid>>) -> Answer<()> {
        let bytes = jids.as_deref().map_or(0, block_bytes);
        self.write(bytes, move |conn| match jids {
            Some(jids) => blocks::remove(conn, &owner, &jids),
            None => blocks::delete_owner(conn, &owner),
        })
    }

    fn user_create_invited(
        &self,
        bare: Jid,
        credentials: Credentials,
        invite: String,
    ) -> Answer<()> {
        let shared = Arc::clone(&self.shared);
        self.write(0, move |conn| {
            users::create(conn, &bare, &credentials, (shared.options.now)())?;
            invites::spend(conn, &invite, &bare)
        })
    }

    fn invite_create(&self, invite: Invite) -> Answer<()> {
        self.write(0, move |conn| invites::create(conn, &invite))
    }

    fn invite(&self, id: String) -> Answer<Option<Invite>> {
        self.read(move |conn, _| invites::get(conn, &id))
    }

    fn invites(&self) -> Answer<Vec<Invite>> {
        self.read(move |conn, _| invites::list(conn))
    }

    fn invite_revoke(&self, id: String) -> Answer<bool> {
        self.write(0, move |conn| invites::revoke(conn, &id))
    }

    fn document_get(
        &self,
        owner: String,
        kind: &'static str,
        name: String,
    ) -> Answer<Option<Bytes>> {
        self.read(move |conn, _| documents::get(conn, &owner, kind, &name))
    }

    fn document_take(&self, kind: &'static str) -> Answer<Vec<Bytes>> {
        self.write(0, move |conn| documents::take(conn, kind))
    }

    fn document_set(
        &self,
        owner: String,
        kind: &'static str,
        documents: Vec<(String, Option<Bytes>)>,
        most: u64,
    ) -> Answer<()> {
        let bytes = documents.iter().fold(0usize, |sum, (name, data)| {
            sum.saturating_add(name.len())
                .saturating_add(data.as_ref().map_or(0, Bytes::len))
        });
        self.write(bytes, move |conn| {
            documents::set(conn, &owner, kind, &documents, most)
        })
    }

    fn spool_append(&self, rows: Vec<SpoolRow>, quota: Quota) -> Answer<Vec<RowId>> {
        let shared = Arc::clone(&self.shared);
        let bytes = rows.iter().map(row_bytes).fold(0, usize::saturating_add);
        self.write(bytes, move |conn| {
            spool::append(conn, &rows, quota, (shared.options.now)())
        })
    }

    fn spool_fetch(&self, owner: Owner, after: RowId, limit: usize) -> Answer<Vec<(RowId, Bytes)>> {
        self.read(move |conn, now| spool::fetch(conn, &owner, after, limit, now))
    }

    fn spool_delete(&self, rows: Vec<RowId>) -> Answer<usize> {
        self.write(rows.len().saturating_mul(size_of::<RowId>()), move |conn| {
            spool::delete(conn, &rows)
        })
    }

    fn spool_count(&self, owner: Owner) -> Answer<u64> {
        self.read(move |conn, _| spool::count(conn, &owner))
    }

    fn spool_summary(
        &self,
        domain: Option<String>,
        after: Option<Owner>,
        limit: usize,
    ) -> Answer<Vec<SpoolTotal>> {
        self.read(move |conn, _| {
            spool_list::summary(conn, domain.as_deref(), after.as_ref(), limit)
        })
    }

    fn spool_rows(&self, owner: Owner, after: RowId, limit: usize) -> Answer<Vec<SpoolEntry>> {
        self.read(move |conn, _| spool_list::rows(conn, &owner, after, limit))
    }

    fn spool_row(&self, row: RowId) -> Answer<Option<(SpoolEntry, Bytes)>> {
        self.read(move |conn, _| spool_list::row(conn, row))
    }

    fn spool_due(&self, kind: Kind, limit: usize) -> Answer<Vec<Due>> {
        self.read(move |conn, now| spool_due::due(conn, kind, limit, now))
    }

    fn spool_expired(&self, owner: Owner, limit: usize) -> Answer<Vec<(RowId, Bytes)>> {
        self.read(move |conn, now| spool_due::expired(conn, &owner, limit, now))
    }

    fn spool_bounce(&self, bounces: Vec<Bounce>, quota: Quota) -> Answer<Vec<Bounced>> {
        let shared = Arc::clone(&self.shared);
        let rows = bounces.iter().filter_map(|bounce| bounce.error.as_ref());
        let bytes = rows.map(row_bytes).fold(0, usize::saturating_add);
        self.write(bytes, move |conn| {
            spool_due::bounce(conn, &bounces, quota, (shared.options.now)())
        })
    }

    fn spool_defer(&self, owner: Owner, until: Option<i64>) -> Answer<()> {
        let shared = Arc::clone(&self.shared);
        self.write(0, move |conn| {
            spool_due::defer(conn, &owner, until, (shared.options.now)())
        })
    }

    fn roster(&self, owner: String) -> Answer<Roster> {
        self.read(move |conn, _| roster::load(conn, &owner))
    }

    fn roster_put(&self, owner: Jid, item: RosterItem) -> Answer<u64> {
        let shared = Arc::clone(&self.shared);
        self.write(item_bytes(&item), move |conn| {
            roster::put(conn, owner.bare_str(), &item, &shared.options)
        })
    }

    fn roster_remove(&self, owner: Jid, contact: Jid) -> Answer<Option<u64>> {
        let shared = Arc::clone(&self.shared);
        self.write(0, move |conn| {
            let now = (shared.options.now)();
            roster::remove(conn, owner.bare_str(), contact.as_str(), now)
        })
    }

    fn roster_import(&self, owner: Jid, items: Vec<RosterItem>, replace: bool) -> Answer<u64> {
        let shared = Arc::clone(&self.shared);
        let bytes = items.iter().map(item_bytes).fold(0, usize::saturating_add);
        self.write(bytes, move |conn| {
            roster::import(conn, owner.bare_str(), &items, replace, &shared.options)
        })
    }

    fn sweep(&self) -> Answer<usize> {
        let (reply, answer) = Answer::pending();
        self.submit(0, writer::sweep_op(&self.shared, reply));
        answer
    }

    fn kv_get(&self, key: String) -> Answer<Option<Bytes>> {
        self.read(move |conn, now| kv::get(conn, &key, now))
    }

    fn kv_set(&self, key: String, value: Bytes, expires_at: Option<i64>) -> Answer<()> {
        let shared = Arc::clone(&self.shared);
        self.write(value.len(), move |conn| {
            kv::set(conn, &key, &value, expires_at, &shared.options)
        })
    }

    fn kv_delete(&self, key: String) -> Answer<bool> {
        self.write(0, move |conn| kv::delete(conn, &key))
    }

    fn kv_incr(&self, key: String, by: i64) -> Answer<i64> {
        let shared = Arc::clone(&self.shared);
        self.write(0, move |conn| {
            kv::incr(conn, &key, by, &shared.options, (shared.options.now)())
        })
    }

    fn kv_list(&self, prefix: String, limit: usize) -> Answer<Vec<(String, Bytes)>> {
        self.read(move |conn, now| kv::list(conn, &prefix, limit, now))
    }

    fn secret(&self, name: &'static str) -> Answer<[u8; 32]> {
        self.write(0, move |conn| kv::secret(conn, name))
    }

    fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let queued = self
            .shared
            .writes
            .len()
            .saturating_add(self.shared.reads.len());
        Stats {
            commits: counters.commits.load(Relaxed),
            writes: counters.writes.load(Relaxed),
            failed_writes: counters.failed_writes.load(Relaxed),
            failed_commits: counters.failed_commits.load(Relaxed),
            reads: counters.reads.load(Relaxed),
            swept: counters.swept.load(Relaxed),
            queued: queued as u64,
        }
    }

    fn close(&self) -> Answer<()> {
        let (reply, answer) = Answer::pending();
        match self.ending.upgrade() {
            Some(ending) => ending.waiting.lock().push(reply),
            None => answered(reply, Ok(())),
        }
        self.shared.writes.close();
        self.shared.reads.close();
        answer
    }
}
