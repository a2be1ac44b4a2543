//! What only this engine does: groups, failed commits, files, locks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{DATABASE, Sqlite};
use crate::stanza::roster::{Roster, RosterItem};
use crate::store::spool::Kind;
use crate::store::suite::{QUOTA, at, jid, options, row, store_suite, texts, user};
use crate::store::{RowId, SpoolTotal, Store, StoreError, StoreOptions};

const JULIET: &str = "juliet@example.org";

struct Bed(TempDir);

impl Bed {
    fn new() -> Bed {
        Bed(TempDir::new().unwrap())
    }

    fn open(&self, options: StoreOptions) -> Store {
        Store::open(self.0.path(), options).unwrap()
    }

    /// The engine too, for operations that the door does not have.
    fn engine(&self, options: StoreOptions) -> (Arc<Sqlite>, Store) {
        let kv_value_bytes = options.kv_value_bytes;
        let engine = Arc::new(Sqlite::open(self.0.path(), options).unwrap());
        (
            Arc::clone(&engine),
            Store {
                engine,
                kv_value_bytes,
            },
        )
    }
}

/// Holds up the writer inside a transaction of its own; it goes on when the sender is dropped.
fn hold(engine: &Sqlite) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let _op = engine.write(0, move |_| {
        entered.send(()).unwrap();
        let _released = held.recv();
        Ok(())
    });
    inside.recv().unwrap();
    release
}

store_suite!(Bed::new());

#[test]
fn many_appends_share_a_commit() {
    let bed = Bed::new();
    let (engine, store) = bed.engine(options());
    let release = hold(&engine);
    let before = store.stats();
    let answers: Vec<_> = (0..200)
        .map(|n| store.spool_append(vec![row(JULIET, &n.to_string())], QUOTA))
        .collect();
    assert_eq!(store.stats().queued, 200);
    drop(release);
    let ids: Vec<RowId> = answers
        .into_iter()
        .flat_map(|answer| answer.wait().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    store.close().wait().unwrap();
    let after = store.stats();
    assert_eq!(
        after.writes - before.writes,
        201 + 1,
        "the holder, the appends and the first sweep"
    );
    assert_eq!(
        after.commits - before.commits,
        1 + 1 + 1,
        "one transaction each"
    );
}

#[test]
fn a_failed_commit_fails_everyone_in_it_and_nobody_else() {
    let bed = Bed::new();
    let (engine, store) = bed.engine(options());
    store
        .spool_append(vec![row(JULIET, "before")], QUOTA)
        .wait()
        .unwrap();
    let release = hold(&engine);
    let lost = store.spool_append(vec![row(JULIET, "lost")], QUOTA);
    // A deferred constraint fails at COMMIT, as a failing sync would.
    let spoiler = engine.write(0, |conn: &Connection| {
        conn.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO child VALUES (1);",
        )
        .map_err(super::sql("spoil"))
    });
    drop(release);
    assert!(matches!(
        lost.wait(),
        Err(StoreError::Sql {
            doing: "commit",
            ..
        })
    ));
    assert!(spoiler.wait().is_err());
    store
        .spool_append(vec![row(JULIET, "after")], QUOTA)
        .wait()
        .unwrap();
    assert_eq!(texts(&store, JULIET), ["before", "after"]);
    assert_eq!(
        (store.stats().failed_commits, store.stats().failed_writes),
        (1, 2)
    );
    store.close().wait().unwrap();
}

#[test]
fn a_transaction_lost_inside_fails_those_before_and_not_those_behind() {
    let bed = Bed::new();
    let (engine, store) = bed.engine(options());
    let release = hold(&engine);
    let before = store.spool_append(vec![row(JULIET, "before")], QUOTA);
    // A full disk makes SQLite roll back inside a statement.
    let full = engine.write(0, |conn: &Connection| -> Result<(), StoreError> {
        conn.execute_batch("ROLLBACK")
            .map_err(super::sql("roll back"))?;
        Err(StoreError::Full)
    });
    let behind = store.spool_append(vec![row(JULIET, "behind")], QUOTA);
    drop(release);
    assert!(matches!(before.wait(), Err(StoreError::Full)));
    assert!(matches!(full.wait(), Err(StoreError::Full)));
    behind.wait().unwrap();
    assert_eq!(texts(&store, JULIET), ["behind"]);
    store.close().wait().unwrap();
}

#[test]
fn a_hung_writer_stops_neither_readers_nor_refusals() {
    let bed = Bed::new();
    let mut bounds = options();
    bounds.queue_ops = 10;
    bounds.queue_bytes = 20_000;
    let (engine, store) = bed.engine(bounds);
    store
        .spool_append(vec![row(JULIET, "committed")], QUOTA)
        .wait()
        .unwrap();
    let release = hold(&engine);
    let waiting = store.spool_append(vec![row(JULIET, &"x".repeat(17_000))], QUOTA);
    let heavy = store
        .spool_append(vec![row(JULIET, &"x".repeat(3_000))], QUOTA)
        .wait();
    assert!(matches!(heavy, Err(StoreError::Overloaded)), "{heavy:?}");
    let more: Vec<_> = (0..9).map(|_| store.spool_delete(Vec::new())).collect();
    let many = store.kv_set("k", Bytes::new(), None).wait();
    assert!(matches!(many, Err(StoreError::Overloaded)), "{many:?}");
    assert_eq!(texts(&store, JULIET), ["committed"]);
    drop(release);
    waiting.wait().unwrap();
    assert!(more.into_iter().all(|answer| answer.wait().is_ok()));
    store.close().wait().unwrap();
}

#[test]
fn a_directory_has_one_daemon() {
    let bed = Bed::new();
    let store = bed.open(options());
    let second = Store::open(bed.0.path(), options());
    let Err(StoreError::Locked { dir, pid }) = second else {
        panic!("{second:?}")
    };
    assert_eq!(
        (dir.as_path(), pid),
        (bed.0.path(), Some(std::process::id()))
    );
    store.close().wait().unwrap();
    bed.open(options()).close().wait().unwrap();
}

#[test]
fn files_are_their_owners_only() {
    let bed = Bed::new();
    let dir = bed.0.path().join("var").join("data");
    let store = Store::open(&dir, options()).unwrap();
    store
        .spool_append(vec![row(JULIET, "secret")], QUOTA)
        .wait()
        .unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
    store.close().wait().unwrap();
}

#[test]
fn what_was_answered_survives_a_crash() {
    let bed = Bed::new();
    let store = bed.open(options());
    let count = 50;
    for n in 0..count {
        store
            .spool_append(vec![row(JULIET, &n.to_string())], QUOTA)
            .wait()
            .unwrap();
        // What a crash would leave at this moment: the files as they are.
        if n % 10 == 9 {
            let crashed = Bed::new();
            for entry in fs::read_dir(bed.0.path()).unwrap() {
                let entry = entry.unwrap();
                if !entry.file_name().to_string_lossy().ends_with("-shm") {
                    fs::copy(entry.path(), crashed.0.path().join(entry.file_name())).unwrap();
                }
            }
            let again = crashed.open(options());
            assert_eq!(
                texts(&again, JULIET),
                (0..=n).map(|n| n.to_string()).collect::<Vec<_>>()
            );
            again.close().wait().unwrap();
        }
    }
    store.close().wait().unwrap();
}

#[test]
fn an_older_schema_is_brought_up_to_date_with_what_is_in_it() {
    let bed = Bed::new();
    bed.open(options()).close().wait().unwrap();
    let file = bed.0.path().join(DATABASE);
    fs::remove_file(&file).unwrap();
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch(include_str!("schema.sql")).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    let kept = format!(
        "INSERT INTO users VALUES ('{JULIET}', 'example.org', 0, x'', 1, x'', x'', x'', 1, x'', x'')"
    );
    conn.execute_batch(&kept).unwrap();
    drop(conn);
    let store = bed.open(options());
    let card = vec![(String::new(), Some(Bytes::from_static(b"card")))];
    store.document_set(JULIET, "vcard", card, 1).wait().unwrap();
    let romeo = RosterItem::new(jid("romeo@example.net"));
    let put = store.roster_put(&jid(JULIET), romeo.clone());
    let roster = Roster::new(put.wait().unwrap(), vec![romeo]);
    assert_eq!(store.roster(JULIET).wait().unwrap(), roster);
    store.close().wait().unwrap();
}

/// A spool as it was before queues had kinds and times keeps what is in it, in order, with its numbers.
#[test]
fn a_spool_of_an_older_version_is_kept() {
    let bed = Bed::new();
    bed.open(options()).close().wait().unwrap();
    let file = bed.0.path().join(DATABASE);
    fs::remove_file(&file).unwrap();
    let conn = Connection::open(&file).unwrap();
    for script in [
        include_str!("schema.sql"),
        include_str!("blocks.sql"),
        include_str!("documents.sql"),
        include_str!("roster.sql"),
        include_str!("invites.sql"),
    ] {
        conn.execute_batch(script).unwrap();
    }
    conn.pragma_update(None, "user_version", 5).unwrap();
    for (id, owner, text, expires) in [
        (7, JULIET, "one", "NULL"),
        (8, "nurse@example.org", "other", "500"),
        (11, JULIET, "two", "900"),
        (12, JULIET, "three", "700"),
    ] {
        let insert = format!(
            "INSERT INTO spool VALUES ({id}, 1, '{owner}', 'romeo@example.net/x', 100, {expires}, {}, CAST('{text}' AS BLOB))",
            text.len()
        );
        conn.execute_batch(&insert).unwrap();
    }
    conn.execute_batch("DELETE FROM spool WHERE id = 8")
        .unwrap();
    drop(conn);

    let (clock, options) = at(600);
    let store = bed.open(options);
    let totals = store.spool_summary(None, None, 9).wait().unwrap();
    let expected = SpoolTotal {
        owner: user(JULIET),
        rows: 3,
        bytes: 11,
        oldest_at: 100,
        tries: 0,
        next_at: Some(700),
    };
    assert_eq!(totals, [expected]);
    assert_eq!(texts(&store, JULIET), ["one", "two", "three"]);
    let rows = store.spool_rows(&user(JULIET), RowId::START, 9);
    let rows = rows.wait().unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.id.into()).collect();
    assert_eq!(ids, [7, 11, 12]);
    assert_eq!(rows[0].from.as_deref(), Some("romeo@example.net/x"));
    clock.store(700, Relaxed);
    assert_eq!(store.spool_due(Kind::User, 9).wait().unwrap().len(), 1);
    // Its counters live on, and no number comes twice.
    let next = store.spool_append(vec![row(JULIET, "four")], QUOTA);
    assert!(next.wait().unwrap() > vec![RowId::from(12)]);
    store
        .spool_delete(ids.into_iter().map(RowId::from).collect())
        .wait()
        .unwrap();
    assert_eq!(store.spool_count(&user(JULIET)).wait().unwrap(), 1);
    store.close().wait().unwrap();
}

#[test]
fn a_newer_schema_is_refused() {
    let bed = Bed::new();
    bed.open(options()).close().wait().unwrap();
    let conn = Connection::open(bed.0.path().join(DATABASE)).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let newer = Store::open(bed.0.path(), options());
    assert!(
        matches!(newer, Err(StoreError::Newer { found: 99, .. })),
        "{newer:?}"
    );
}

#[test]
fn a_damaged_contact_is_named() {
    let bed = Bed::new();
    let store = bed.open(options());
    let faults = [
        ("x@y", "[]", "noone"),
        ("x@y", "[1]", "none"),
        ("x@y", "{", "none"),
        ("@y", "[]", "none"),
    ];
    for (n, (contact, groups, state)) in faults.into_iter().enumerate() {
        let owner = format!("{n}@example.org");
        let conn = Connection::open(bed.0.path().join(DATABASE)).unwrap();
        conn.execute(
            "INSERT INTO roster_version VALUES (?1, 1, 0, 0, 0)",
            [&owner],
        )
        .unwrap();
        conn.execute(
            "INSERT INTO roster VALUES (?1, ?2, NULL, ?3, ?4, 1, NULL)",
            [&owner, contact, groups, state],
        )
        .unwrap();
        drop(conn);
        let damaged = store.roster(&owner).wait().unwrap_err().to_string();
        assert_eq!(
            damaged,
            format!("the store holds a damaged roster item: {owner} {contact}")
        );
    }
    store.close().wait().unwrap();
}

#[test]
fn the_log_does_not_grow_for_ever() {
    let bed = Bed::new();
    let store = bed.open(options());
    let text = "x".repeat(8_000);
    for _ in 0..40 {
        store
            .spool_append(vec![row(JULIET, &text); 100], QUOTA)
            .wait()
            .unwrap();
    }
    let log = fs::metadata(bed.0.path().join(format!("{DATABASE}-wal")))
        .unwrap()
        .len();
    assert!(log < 20 << 20, "{log} bytes of log for 32 MB of stanzas");
    store.close().wait().unwrap();
}
