//! Rows of the table: who is logged in.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `session list`.
pub(super) const LIST: Command = Command {
    verb: Verb::SessionList,
    name: "session list",
    args: &[Arg {
        name: "jid",
        kind: ArgKind::Address,
        optional: true,
        from: Some(("session list", "jid")),
        help: "only the sessions of this user, resource or domain",
    }],
    answer: Answer::Listing {
        keys: &[
            "id",
            "jid",
            "address",
            "tls",
            "priority",
            "show",
            "worker",
            "since",
            "age_seconds",
            "waiting_bytes",
            "state",
        ],
        shown: &[
            ("jid", "JID"),
            ("address", "FROM"),
            ("tls", "TLS"),
            ("priority", "PRIO"),
            ("show", "SHOW"),
            ("age_seconds", "AGE"),
            ("waiting_bytes", "BYTES"),
            ("state", "STATE"),
        ],
    },
    help: "Lists who is logged in",
    manual: "Without a priority a session is bound and not available: it gets no messages. `waiting_bytes` is what the server \
        keeps for it because it reads too slowly. A session whose `state` is `detached` has lost its connection and waits for its \
        client to resume it.",
};

/// `session kick`.
pub(super) const KICK: Command = Command {
    verb: Verb::SessionKick,
    name: "session kick",
    args: &[
        Arg {
            name: "jid",
            kind: ArgKind::Address,
            optional: false,
            from: Some(("session list", "jid")),
            help: "a user: all its sessions; with a resource: that one",
        },
        Arg {
            name: "reason",
            kind: ArgKind::Rest,
            optional: true,
            from: None,
            help: "what the client is told, at most 500 characters",
        },
    ],
    answer: Answer::Record(&["jid", "sessions_closed"]),
    help: "Ends sessions",
    manual: "The client gets the stream error `policy-violation` with the reason as its text. It may log in again at once: to keep a user \
        out, change the password or delete the user. Messages that it has not read yet go to another session or are kept.",
};
