-- Version 1. A change of the schema is a new file and a new entry in schema.rs; this one never changes.
CREATE TABLE users (
    bare TEXT PRIMARY KEY NOT NULL,
    domain TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    sha1_salt BLOB NOT NULL,
    sha1_iterations INTEGER NOT NULL,
    sha1_stored_key BLOB NOT NULL,
    sha1_server_key BLOB NOT NULL,
    sha256_salt BLOB NOT NULL,
    sha256_iterations INTEGER NOT NULL,
    sha256_stored_key BLOB NOT NULL,
    sha256_server_key BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_of_domain ON users (domain, bare);

-- What waits for its recipient, in order of id. kind: 1 an offline user.
-- AUTOINCREMENT: a number is never used twice, so a reader that remembers one never takes another row for it.
CREATE TABLE spool (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    owner TEXT NOT NULL,
    sender TEXT,
    stored_at INTEGER NOT NULL,
    expires_at INTEGER,
    bytes INTEGER NOT NULL,
    stanza BLOB NOT NULL
) STRICT;
CREATE INDEX spool_of_owner ON spool (kind, owner, id);
CREATE INDEX spool_expiry ON spool (expires_at) WHERE expires_at IS NOT NULL;

-- Kept by triggers, so that a quota costs one look-up and no way of deleting can forget it.
CREATE TABLE spool_total (
    kind INTEGER NOT NULL,
    owner TEXT NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (kind, owner)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER spool_grows AFTER INSERT ON spool BEGIN
    INSERT INTO spool_total VALUES (new.kind, new.owner, 1, new.bytes)
        ON CONFLICT DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER spool_shrinks AFTER DELETE ON spool BEGIN
    UPDATE spool_total SET rows = rows - 1, bytes = bytes - old.bytes WHERE kind = old.kind AND owner = old.owner;
    DELETE FROM spool_total WHERE kind = old.kind AND owner = old.owner AND rows <= 0;
END;

CREATE TABLE kv (
    key TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE kv_total (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO kv_total VALUES (1, 0, 0);
CREATE TRIGGER kv_grows AFTER INSERT ON kv BEGIN
    UPDATE kv_total SET rows = rows + 1, bytes = bytes + octet_length(new.key) + octet_length(new.value);
END;
CREATE TRIGGER kv_changes AFTER UPDATE ON kv BEGIN
    UPDATE kv_total SET bytes = bytes + octet_length(new.value) - octet_length(old.value);
END;
CREATE TRIGGER kv_shrinks AFTER DELETE ON kv BEGIN
    UPDATE kv_total SET rows = rows - 1, bytes = bytes - octet_length(old.key) - octet_length(old.value);
END;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT, WITHOUT ROWID;
