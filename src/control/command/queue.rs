//! Rows of the table: what waits until it can be delivered.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

const WHAT: Arg = Arg {
    name: "what",
    kind: ArgKind::Word,
    optional: false,
    from: Some(("queue list", "owner")),
    help: "a message's number, or an owner as `queue list` names it: everything that waits for it",
};

/// `queue list`.
pub(super) const LIST: Command = Command {
    verb: Verb::QueueList,
    name: "queue list",
    args: &[
        Arg {
            name: "owner",
            kind: ArgKind::Word,
            optional: true,
            from: Some(("queue list", "owner")),
            help: "an owner: each message; a domain: its own queue and its users'",
        },
        Arg {
            name: "limit",
            kind: ArgKind::Count,
            optional: true,
            from: None,
            help: "at most so many rows, 1000 if it is left out, 100000 at most",
        },
        Arg {
            name: "after",
            kind: ArgKind::Setting("LAST"),
            optional: true,
            from: None,
            help: "goes on behind that owner or message: the last row of the page before",
        },
    ],
    answer: Answer::Listing {
        keys: &[
            "owner",
            "kind",
            "messages",
            "bytes",
            "oldest_at",
            "tries",
            "next_at",
            "id",
            "from",
            "stored_at",
            "expires_at",
        ],
        shown: &[
            ("owner", "OWNER"),
            ("id", "ID"),
            ("from", "FROM"),
            ("stored_at", "STORED"),
            ("messages", "MESSAGES"),
            ("bytes", "BYTES"),
            ("oldest_at", "OLDEST"),
        ],
    },
    help: "Lists what waits until it can be delivered, without its text",
    manual: "Without an owner: a row for each queue, with `owner`, `kind`, `messages`, `bytes`, `oldest_at`, `tries` (how often in a row it \
        was looked at in vain) and `next_at` (when it is looked at next, if time changes anything: a message expires then), sorted by \
        kind and name. A user's queue is named by its address, others by kind and name, like `domain:example.net`; in this \
        version only users have queues. With an owner: a row for each message, with `id`, `from`, `stored_at`, `expires_at` (if it \
        does) and `bytes`, oldest first. What has expired is listed until it has gone back. When there is more than the limit, \
        standard error says so.",
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
        help: "the number that `queue list OWNER` gives",
    }],
    answer: Answer::Record(&[
        "id",
        "owner",
        "from",
        "stored_at",
        "expires_at",
        "bytes",
        "stanza",
    ]),
    help: "Shows one stanza that waits, its text included",
    manual: "No other command shows what is in a message. What people write to each other is theirs: the log says who looked.",
};

/// `queue retry`.
pub(super) const RETRY: Command = Command {
    verb: Verb::QueueRetry,
    name: "queue retry",
    args: &[WHAT],
    answer: Answer::Record(&["owner", "session", "given", "waits", "why"]),
    help: "Delivers what waits now, or says why it waits on",
    manual: "The most available `session` of a user fetches the whole queue, in its order, as much as it can take; the number of a message stands \
        for its queue. `given` counts what a session has been given or is being given, `waits` what waits on, `why` says what for.",
};

/// `queue bounce`.
pub(super) const BOUNCE: Command = Command {
    verb: Verb::QueueBounce,
    name: "queue bounce",
    args: &[
        WHAT,
        Arg {
            name: "reason",
            kind: ArgKind::Setting("TEXT"),
            optional: true,
            from: None,
            help: "what the senders are told: a line of at most 500 characters",
        },
    ],
    answer: Answer::Record(&["owner", "bounced", "silent", "underway"]),
    help: "Gives what waits back to its senders, once each",
    manual: "Each sender gets the error `service-unavailable` with the reason: at once if it is logged in, else at its next login. `silent` \
        counts what is gone without a word, because errors, headlines and messages of rooms do not bounce. `underway` counts messages \
        that a session is being given just now: they stay; `session kick` brings them back to the queue.",
};

/// `queue delete`.
pub(super) const DELETE: Command = Command {
    verb: Verb::QueueDelete,
    name: "queue delete",
    args: &[WHAT],
    answer: Answer::Record(&["owner", "deleted", "underway"]),
    help: "Throws away what waits; its senders are not told",
    manual: "What is counted as deleted reaches nobody. `underway` counts messages that a session is being given just now: they stay; \
        `session kick` brings them back to the queue.",
};
