//! Rows of the table: components.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `component list`.
pub(super) const LIST: Command = Command {
    verb: Verb::ComponentList,
    name: "component list",
    args: &[],
    answer: Answer::Listing {
        keys: &[
            "jid",
            "connected",
            "id",
            "address",
            "tls",
            "worker",
            "since",
            "age_seconds",
            "waiting_bytes",
        ],
        shown: &[
            ("jid", "COMPONENT"),
            ("connected", "CONNECTED"),
            ("address", "FROM"),
            ("tls", "TLS"),
            ("age_seconds", "AGE"),
            ("waiting_bytes", "BYTES"),
            ("worker", "WORKER"),
        ],
    },
    help: "Lists the components of the configuration, and which of them are connected",
    manual: "`waiting_bytes` is what the server keeps for a component because it reads too slowly.",
};

/// `component kick`.
pub(super) const KICK: Command = Command {
    verb: Verb::ComponentKick,
    name: "component kick",
    args: &[
        Arg {
            name: "jid",
            kind: ArgKind::Address,
            optional: false,
            from: Some(("component list", "jid")),
            help: "the component's domain",
        },
        Arg {
            name: "reason",
            kind: ArgKind::Rest,
            optional: true,
            from: None,
            help: "what the component is told, at most 500 characters",
        },
    ],
    answer: Answer::Record(&["jid"]),
    help: "Ends a component's connection",
    manual: "The component gets the stream error `policy-violation` with the reason as its text, and may connect again at once: to keep \
        it out, change its secret in the configuration. What it has not read yet goes back to its senders as errors.",
};
