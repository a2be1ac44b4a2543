//! Rows of the table: what waits for users who are away.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `queue list`.
pub(super) const LIST: Command = Command {
    verb: Verb::QueueList,
    name: "queue list",
    args: &[
        Arg {
            name: "jid",
            kind: ArgKind::Address,
            optional: true,
            from: Some(("queue list", "jid")),
            help: "a user: each message; a domain: its users",
        },
        Arg {
            name: "limit",
            kind: ArgKind::Count,
            optional: true,
            from: None,
            help: "at most so many rows, 1000 if it is left out",
        },
    ],
    answer: Answer::Listing {
        keys: &[
            "jid",
            "messages",
            "bytes",
            "oldest_at",
            "id",
            "from",
            "stored_at",
            "expires_at",
        ],
        shown: &[
            ("jid", "JID"),
            ("id", "ID"),
            ("from", "FROM"),
            ("stored_at", "STORED"),
            ("messages", "MESSAGES"),
            ("bytes", "BYTES"),
            ("oldest_at", "OLDEST"),
        ],
    },
    help: "Lists what waits for users who are away",
    manual: "Without a user: a row for each user, with `jid`, `messages`, `bytes` and `oldest_at`, sorted by address. With one: a row for \
        each message, with `id`, `from`, `stored_at`, `expires_at` (if it does) and `bytes`, oldest first. What has expired is \
        listed until it is swept, within a minute. When there is more than the limit, standard error says so.",
};

/// `queue show`.
pub(super) const SHOW: Command = Command {
    verb: Verb::QueueShow,
    name: "queue show",
    args: &[Arg {
        name: "id",
        kind: ArgKind::Word,
        optional: false,
        from: None,
        help: "the number that `queue list JID` gives",
    }],
    answer: Answer::Record(&[
        "id",
        "jid",
        "from",
        "stored_at",
        "expires_at",
        "bytes",
        "stanza",
    ]),
    help: "Shows one stanza that waits, its text included",
    manual: "What people write to each other is theirs: the log says who looked.",
};

/// `queue delete`.
pub(super) const DELETE: Command = Command {
    verb: Verb::QueueDelete,
    name: "queue delete",
    args: &[Arg {
        name: "what",
        kind: ArgKind::Word,
        optional: false,
        from: Some(("queue list", "jid")),
        help: "a message's number, or a user: everything that waits for it",
    }],
    answer: Answer::Record(&["jid", "deleted", "underway"]),
    help: "Throws away what waits; its senders are not told",
    manual: "What is counted as deleted reaches nobody. `underway` counts messages that a session is being given just now: they stay; \
        `session kick` brings them back to the queue.",
};
