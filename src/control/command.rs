//! The table of commands.

use super::shape::{Answer, Arg, ArgKind};

/// What a command does; one per row of [`COMMANDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Lists the commands.
    Help,
    /// The daemon's version.
    Version,
    /// The daemon in one page.
    Summary,
    /// Makes a user.
    UserAdd,
    /// Changes a password.
    UserPasswd,
    /// Removes a user.
    UserDelete,
    /// Lists users.
    UserList,
    /// Lists sessions.
    SessionList,
    /// Ends sessions.
    SessionKick,
    /// Lists scripts.
    ScriptList,
    /// Loads the scripts again.
    ScriptReload,
    /// Lists what waits.
    QueueList,
    /// Shows one stanza that waits.
    QueueShow,
    /// Throws away what waits.
    QueueDelete,
    /// Lists what runs at each hook point.
    Hooks,
    /// Follows stanzas.
    Trace,
    /// Chats as a user.
    Chat,
    /// Stops the daemon.
    Shutdown,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// What it does.
    pub(super) verb: Verb,
    /// One word, or a group and a word.
    pub name: &'static str,
    /// Its arguments, in order.
    pub args: &'static [Arg],
    /// Its answer.
    pub answer: Answer,
    /// One line.
    pub help: &'static str,
    /// What the manual says beside that: whole sentences, or nothing.
    pub manual: &'static str,
}

const USER: Arg = Arg {
    name: "jid",
    kind: ArgKind::Address,
    optional: false,
    from: Some(("user list", "jid")),
    help: "the user's address, like alice@localhost",
};
const PASSWORD: Arg = Arg {
    name: "password",
    kind: ArgKind::Secret,
    optional: false,
    from: None,
    help: "the password",
};

const fn setting(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg {
        name,
        kind: ArgKind::Setting(value),
        optional: true,
        from: None,
        help,
    }
}

const CHAT: &[Arg] = &[
    Arg {
        name: "me",
        help: "who logs in, like alice@localhost",
        ..USER
    },
    Arg {
        name: "to",
        optional: true,
        help: "whom the lines go to that name nobody",
        ..USER
    },
    Arg {
        help: "the password of ME",
        ..PASSWORD
    },
    setting(
        "password-file",
        "FILE",
        "a file whose first line is the password",
    ),
    setting(
        "connect",
        "HOST:PORT",
        "the server, where it is not the daemon of the console",
    ),
    setting(
        "tls",
        "HOW",
        "`direct` or `starttls`, where the port does not say it: 5223 and 443 are direct",
    ),
    setting(
        "fingerprint",
        "HEX",
        "the SHA-256 of the one certificate to believe",
    ),
    Arg {
        name: "wait",
        kind: ArgKind::Count,
        optional: true,
        from: None,
        help: "how many seconds to stay after the end of the input; with `--until` how many to wait for its text, else 60",
    },
    setting(
        "until",
        "TEXT",
        "goes as soon as a line with that text has come; exit code 1 if it does not",
    ),
];

/// The first words of commands that have two, with a line for each.
pub const GROUPS: &[(&str, &str)] = &[
    ("user", "Users who may log in here"),
    ("session", "Who is logged in"),
    ("script", "The Lua that decides"),
    ("queue", "What waits for users who are away"),
];

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
        verb: Verb::Help,
        name: "help",
        args: &[Arg {
            name: "command",
            kind: ArgKind::Rest,
            optional: true,
            from: None,
            help: "a command or the first word of several",
        }],
        answer: Answer::Listing {
            keys: &["command", "usage", "help", "manual", "arguments", "keys"],
            shown: &[("usage", "COMMAND"), ("help", "")],
        },
        help: "Lists the commands, or shows what one does",
        manual: "Needs no daemon. A first word alone, like `stanzactl user`, lists its commands likewise.",
    },
    Command {
        verb: Verb::Version,
        name: "version",
        args: &[],
        answer: Answer::Record(&["version"]),
        help: "Shows the daemon's version",
        manual: "",
    },
    Command {
        verb: Verb::Summary,
        name: "summary",
        args: &[],
        answer: Answer::Record(&[
            "version",
            "pid",
            "uptime_seconds",
            "configuration",
            "data",
            "scripts",
            "domains",
            "listening",
            "certificates",
            "workers",
            "generation",
            "users",
            "sessions",
            "counters",
        ]),
        help: "Shows what runs, where, since when, and what was counted",
        manual: "",
    },
    Command {
        verb: Verb::UserAdd,
        name: "user add",
        args: &[USER, PASSWORD],
        answer: Answer::Record(&["jid"]),
        help: "Makes a user",
        manual: "",
    },
    Command {
        verb: Verb::UserPasswd,
        name: "user passwd",
        args: &[USER, PASSWORD],
        answer: Answer::Record(&["jid"]),
        help: "Changes a user's password and closes its sessions",
        manual: "",
    },
    Command {
        verb: Verb::UserDelete,
        name: "user delete",
        args: &[USER],
        answer: Answer::Record(&["jid", "sessions_closed"]),
        help: "Removes a user and the messages that wait for it, and closes its sessions",
        manual: "",
    },
    Command {
        verb: Verb::UserList,
        name: "user list",
        args: &[Arg {
            name: "domain",
            kind: ArgKind::Address,
            optional: true,
            from: None,
            help: "only users of this domain",
        }],
        answer: Answer::Rows(&["jid", "sessions", "waiting"]),
        help: "Lists users, how many sessions each has and how many messages wait",
        manual: "",
    },
    Command {
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
            ],
            shown: &[
                ("jid", "JID"),
                ("address", "FROM"),
                ("tls", "TLS"),
                ("priority", "PRIO"),
                ("show", "SHOW"),
                ("age_seconds", "AGE"),
                ("waiting_bytes", "BYTES"),
                ("worker", "WORKER"),
            ],
        },
        help: "Lists who is logged in",
        manual: "Without a priority a session is bound and not available: it gets no messages. `waiting_bytes` is what the server \
            keeps for it because it reads too slowly.",
    },
    Command {
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
    },
    Command {
        verb: Verb::ScriptList,
        name: "script list",
        args: &[],
        answer: Answer::Rows(&["name", "file", "generation", "state", "errors"]),
        help: "Lists the scripts, the generation that runs and how often each failed",
        manual: "",
    },
    Command {
        verb: Verb::ScriptReload,
        name: "script reload",
        args: &[],
        answer: Answer::Record(&["generation", "report"]),
        help: "Loads every script again, all or nothing, as a save does",
        manual: "",
    },
    Command {
        verb: Verb::Hooks,
        name: "hooks",
        args: &[],
        answer: Answer::Rows(&["point", "band", "handler"]),
        help: "Lists what runs at each hook point, in order",
        manual: "",
    },
    Command {
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
    },
    Command {
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
    },
    Command {
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
    },
    Command {
        verb: Verb::Trace,
        name: "trace",
        args: &[Arg {
            name: "jid",
            kind: ArgKind::Address,
            optional: false,
            from: Some(("user list", "jid")),
            help: "a user, one of its resources, or a domain",
        }],
        answer: Answer::Live(&[
            "when", "kind", "id", "from", "to", "steps", "fate", "missed",
        ]),
        help: "Follows stanzas live: which hooks ran, their verdicts, how long each took, where the stanza went",
        manual: "",
    },
    Command {
        verb: Verb::Chat,
        name: "chat",
        args: CHAT,
        answer: Answer::Conversation(&["kind", "when", "kept", "from", "text"]),
        help: "Logs in as a user and chats, a line a message",
        manual: "At a terminal `/help` lists what can be typed. In a pipe each line that is read is sent and each that comes \
            is printed; at the end of its input it goes when the server has everything. It speaks TLS or not at all: it \
            believes the certificates that the daemon names on its console, else those that the system's certification \
            authorities vouch for; with `--fingerprint` that certificate and no other.",
    },
    Command {
        verb: Verb::Shutdown,
        name: "shutdown",
        args: &[],
        answer: Answer::Record(&[]),
        help: "Stops the daemon as SIGTERM does: sessions are closed, nothing accepted is lost",
        manual: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_their_groups_known() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..index]
                    .iter()
                    .all(|other| other.name != command.name && other.verb != command.verb)
            );
            if let Some((group, _)) = command.name.split_once(' ') {
                assert!(GROUPS.iter().any(|(name, _)| *name == group), "{group}");
            }
            for (index, arg) in command.args.iter().enumerate() {
                let last = index + 1 == command.args.len();
                assert!(arg.kind != ArgKind::Rest || last, "{}", command.name);
                if let Some((source, key)) = arg.from {
                    let source = Command::find(source).unwrap();
                    assert!(source.answer.describe().1.contains(&key), "{key}");
                    assert!(source.args.iter().all(|arg| arg.optional));
                }
            }
        }
    }
}
