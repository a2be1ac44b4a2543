-- Queues of every kind, each with a time when somebody has to look at it. This file never changes; see schema.sql.
-- kind: 1 an offline user, 2 a remote domain, 3 an account elsewhere, 4 a destination.
DROP TRIGGER spool_grows;
DROP TRIGGER spool_shrinks;
DROP INDEX spool_expiry;
CREATE INDEX spool_of_expiry ON spool (kind, owner, expires_at) WHERE expires_at IS NOT NULL;

-- next_at: when a row expires or the owner is tried again, at the latest then; NULL: time changes nothing.
CREATE TABLE spool_owners (
    kind INTEGER NOT NULL,
    owner TEXT NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    PRIMARY KEY (kind, owner)
) STRICT, WITHOUT ROWID;
INSERT INTO spool_owners (kind, owner, rows, bytes, next_at)
    SELECT kind, owner, rows, bytes,
        (SELECT min(expires_at) FROM spool
         WHERE spool.kind = spool_total.kind AND spool.owner = spool_total.owner AND expires_at IS NOT NULL)
    FROM spool_total;
DROP TABLE spool_total;
CREATE INDEX spool_due ON spool_owners (kind, next_at) WHERE next_at IS NOT NULL;

CREATE TRIGGER spool_grows AFTER INSERT ON spool BEGIN
    INSERT INTO spool_owners (kind, owner, rows, bytes, next_at) VALUES (new.kind, new.owner, 1, new.bytes, new.expires_at)
        ON CONFLICT DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
    UPDATE spool_owners SET next_at = new.expires_at
        WHERE kind = new.kind AND owner = new.owner AND (next_at IS NULL OR next_at > new.expires_at) AND new.expires_at IS NOT NULL;
END;
CREATE TRIGGER spool_shrinks AFTER DELETE ON spool BEGIN
    UPDATE spool_owners SET rows = rows - 1, bytes = bytes - old.bytes WHERE kind = old.kind AND owner = old.owner;
    DELETE FROM spool_owners WHERE kind = old.kind AND owner = old.owner AND rows <= 0;
END;
