-- Invitations to register (XEP-0445). The token is not here, only the hash of its secret part.
CREATE TABLE invites (
    id TEXT PRIMARY KEY NOT NULL,
    domain TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    uses INTEGER NOT NULL CHECK (uses > 0),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_expiry ON invites (expires_at);
