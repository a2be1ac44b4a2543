//! Opening the database: pragmas, schema and migrations.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{StoreError, sql};

/// Schema versions in order: entry N brings `user_version` from N to N + 1.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("blocks.sql"),
    include_str!("documents.sql"),
    include_str!("roster.sql"),
    include_str!("invites.sql"),
    include_str!("spool.sql"),
];

/// How long to wait for somebody else's lock on the file: an operator's `sqlite3`, or a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the statements that exist, so that none is prepared twice.
const CACHED_STATEMENTS: usize = 64;

/// Opens the database for writing and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = open(path, flags)?;
    // WAL: readers and the writer do not wait for each other. FULL: COMMIT returns after the log is synced.
    // Checkpoints are the writer's, between transactions: nobody waits for one inside COMMIT.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
    )
    .map_err(sql("set up the database"))?;
    migrate(&mut conn, path)?;
    Ok(conn)
}

/// Opens the database for reading only; the writer has been opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, flags).map_err(sql("open the database"))?;
    conn.busy_timeout(BUSY_TIMEOUT)
        .map_err(sql("open the database"))?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Else a statement whose plan might profit from another is parsed and planned again whenever another value is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(sql("open the database"))?;
    Ok(conn)
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found: u32 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sql("read the schema version"))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (script, version) in MIGRATIONS.iter().zip(1u32..).skip(found as usize) {
        step(conn, script, version).map_err(sql("bring the schema up to date"))?;
    }
    Ok(())
}

/// One version's script and its number, or neither.
fn step(conn: &mut Connection, script: &str, version: u32) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(script)?;
    tx.pragma_update(None, "user_version", version)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("stanzad.db");
        std::fs::write(&path, "").unwrap();
        drop(open_writer(&path).unwrap());
        let reader = open_reader(&path).unwrap();
        let query = "SELECT jid FROM blocks WHERE owner = ?1 ORDER BY jid";
        for owner in ["juliet@example.org", "romeo@example.org"] {
            let mut select = reader.prepare_cached(query).unwrap();
            assert!(!select.exists([owner]).unwrap());
        }
        let select = reader.prepare_cached(query).unwrap();
        assert_eq!(select.get_status(StatementStatus::RePrepare), 0);
    }
}
