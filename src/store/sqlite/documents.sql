-- Documents of users: private XML, vCards, the time of the last logout. Rows go with their owner.
CREATE TABLE documents (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (owner, kind, name)
) STRICT;
