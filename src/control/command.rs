//! The table of commands.

mod block;
mod component;
mod config;
mod invite;
mod queue;
mod roster;
mod script;
mod session;

use super::completion::SHELLS;
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
    /// Makes an invite.
    InviteCreate,
    /// Lists invites.
    InviteList,
    /// Revokes an invite.
    InviteRevoke,
    /// Lists contacts.
    RosterShow,
    /// Adds contacts.
    RosterImport,
    /// Prints a roster.
    RosterExport,
    /// Lists sessions.
    SessionList,
    /// Ends sessions.
    SessionKick,
    /// Lists components.
    ComponentList,
    /// Ends a component's connection.
    ComponentKick,
    /// Lists whom a user blocks.
    BlockList,
    /// Blocks addresses for a user.
    BlockAdd,
    /// Unblocks them.
    BlockRemove,
    /// Lists scripts.
    ScriptList,
    /// Shows one script.
    ScriptShow,
    /// Loads the scripts again.
    ScriptReload,
    /// Lists what waits.
    QueueList,
    /// Shows one stanza that waits.
    QueueShow,
    /// Delivers what waits.
    QueueRetry,
    /// Gives what waits back.
    QueueBounce,
    /// Throws away what waits.
    QueueDelete,
    /// Checks a configuration.
    ConfigCheck,
    /// Puts the configuration in force again.
    ConfigReload,
    /// Shows values in force.
    ConfigShow,
    /// Lists what runs at each hook point.
    Hooks,
    /// Follows stanzas.
    Trace,
    /// Chats as a user.
    Chat,
    /// Prints a shell's completion script.
    Completion,
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
    ("invite", "Who may register"),
    ("roster", "Users' contacts"),
    ("session", "Who is logged in"),
    ("component", "Programs that speak for domains of their own"),
    ("block", "Whom users do not hear from"),
    ("config", "What the configuration says"),
    ("script", "The Lua that decides"),
    ("queue", "What waits until it can be delivered"),
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
        args: &[Arg { from: None, ..USER }, PASSWORD],
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
    invite::CREATE,
    invite::LIST,
    invite::REVOKE,
    roster::SHOW,
    roster::IMPORT,
    roster::EXPORT,
    session::LIST,
    session::KICK,
    component::LIST,
    component::KICK,
    block::LIST,
    block::ADD,
    block::REMOVE,
    config::CHECK,
    config::RELOAD,
    config::SHOW,
    script::LIST,
    script::SHOW,
    script::RELOAD,
    script::HOOKS,
    queue::LIST,
    queue::SHOW,
    queue::RETRY,
    queue::BOUNCE,
    queue::DELETE,
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
        verb: Verb::Completion,
        name: "completion",
        args: &[Arg {
            name: "shell",
            kind: ArgKind::Choice(SHELLS),
            optional: false,
            from: None,
            help: "whose script to print",
        }],
        answer: Answer::Text("script"),
        help: "Prints what a shell needs to complete these commands",
        manual: "Needs no daemon. In `~/.bashrc`: `source <(stanzactl completion bash)`. In `~/.zshrc`, behind `compinit`: \
            `source <(stanzactl completion zsh)`. In `config.fish`: `stanzactl completion fish | source`. Addresses and names of scripts \
            are asked of the running daemon when you press Tab.",
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
