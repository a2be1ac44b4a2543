-- Whom a user will not hear from (XEP-0191): addresses of any form, as src/jid writes them.
CREATE TABLE blocks (
    owner TEXT NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (owner, jid)
) STRICT, WITHOUT ROWID;
