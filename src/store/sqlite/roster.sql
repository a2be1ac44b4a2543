-- Version 4: rosters (RFC 6121). This file never changes; see schema.sql.
-- groups: a JSON array of text, or NULL for none. subscription: the name of a state of appendix A, like none+out.
-- request: the contact's subscribe, while the owner owes it an answer.
CREATE TABLE roster (
    owner TEXT NOT NULL,
    contact TEXT NOT NULL,
    name TEXT,
    groups TEXT,
    subscription TEXT NOT NULL,
    listed INTEGER NOT NULL CHECK (listed IN (0, 1)),
    request BLOB,
    PRIMARY KEY (owner, contact)
) STRICT, WITHOUT ROWID;

-- listed and unlisted count the owner's rows, bytes is what they hold beside requests; kept by triggers as spool_total is. The row stays when the last contact
-- goes: a version is never told twice.
CREATE TABLE roster_version (
    owner TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    listed INTEGER NOT NULL DEFAULT 0,
    unlisted INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TRIGGER roster_grows AFTER INSERT ON roster BEGIN
    UPDATE roster_version SET listed = listed + new.listed, unlisted = unlisted + 1 - new.listed, bytes = bytes
            + octet_length(new.contact) + ifnull(octet_length(new.name), 0) + ifnull(octet_length(new.groups), 0)
        WHERE owner = new.owner;
END;
CREATE TRIGGER roster_changes AFTER UPDATE ON roster BEGIN
    UPDATE roster_version SET listed = listed + new.listed - old.listed, unlisted = unlisted + old.listed - new.listed, bytes = bytes
            + ifnull(octet_length(new.name), 0) + ifnull(octet_length(new.groups), 0)
            - ifnull(octet_length(old.name), 0) - ifnull(octet_length(old.groups), 0)
        WHERE owner = new.owner;
END;
CREATE TRIGGER roster_shrinks AFTER DELETE ON roster BEGIN
    UPDATE roster_version SET listed = listed - old.listed, unlisted = unlisted - 1 + old.listed, bytes = bytes
            - octet_length(old.contact) - ifnull(octet_length(old.name), 0) - ifnull(octet_length(old.groups), 0)
        WHERE owner = old.owner;
END;
