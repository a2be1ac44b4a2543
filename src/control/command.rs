//! The table of commands.

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
    /// Lists scripts.
    ScriptList,
    /// Loads the scripts again.
    ScriptReload,
    /// Lists what runs at each hook point.
    Hooks,
    /// Follows stanzas.
    Trace,
    /// Stops the daemon.
    Shutdown,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// An address or a domain.
    Address,
    /// Asked for on the terminal or read from standard input, never given on a command line, never logged.
    Secret,
}

/// One argument.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name in a request.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// Whether it may be left out.
    pub optional: bool,
    /// One line.
    pub help: &'static str,
}

/// The shape of the answer; the names are the keys of its JSON, in the order in which people see them.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// One object.
    Record(&'static [&'static str]),
    /// Objects, one a line.
    Rows(&'static [&'static str]),
    /// Objects as they happen, until the client closes.
    Live(&'static [&'static str]),
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
}

const USER: Arg = Arg {
    name: "jid",
    kind: ArgKind::Address,
    optional: false,
    help: "the user's address, like alice@localhost",
};
const PASSWORD: Arg = Arg {
    name: "password",
    kind: ArgKind::Secret,
    optional: false,
    help: "the password",
};

/// The first words of commands that have two, with a line for each.
pub const GROUPS: &[(&str, &str)] = &[
    ("user", "Users who may log in here"),
    ("session", "Who is logged in"),
    ("script", "The Lua that decides"),
];

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
        verb: Verb::Help,
        name: "help",
        args: &[],
        answer: Answer::Rows(&["command", "help"]),
        help: "Lists the commands",
    },
    Command {
        verb: Verb::Version,
        name: "version",
        args: &[],
        answer: Answer::Record(&["version"]),
        help: "Shows the daemon's version",
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
            "workers",
            "generation",
            "users",
            "sessions",
            "counters",
        ]),
        help: "Shows what runs, where, since when, and what was counted",
    },
    Command {
        verb: Verb::UserAdd,
        name: "user add",
        args: &[USER, PASSWORD],
        answer: Answer::Record(&["jid"]),
        help: "Makes a user",
    },
    Command {
        verb: Verb::UserPasswd,
        name: "user passwd",
        args: &[USER, PASSWORD],
        answer: Answer::Record(&["jid"]),
        help: "Changes a user's password and closes its sessions",
    },
    Command {
        verb: Verb::UserDelete,
        name: "user delete",
        args: &[USER],
        answer: Answer::Record(&["jid", "sessions_closed"]),
        help: "Removes a user and the messages that wait for it, and closes its sessions",
    },
    Command {
        verb: Verb::UserList,
        name: "user list",
        args: &[Arg {
            name: "domain",
            kind: ArgKind::Address,
            optional: true,
            help: "only users of this domain",
        }],
        answer: Answer::Rows(&["jid", "sessions", "waiting"]),
        help: "Lists users, how many sessions each has and how many messages wait",
    },
    Command {
        verb: Verb::SessionList,
        name: "session list",
        args: &[],
        answer: Answer::Rows(&[
            "id",
            "jid",
            "address",
            "tls",
            "priority",
            "worker",
            "age_seconds",
        ]),
        help: "Lists who is logged in; without a priority: not available",
    },
    Command {
        verb: Verb::ScriptList,
        name: "script list",
        args: &[],
        answer: Answer::Rows(&["name", "file", "generation", "state", "errors"]),
        help: "Lists the scripts, the generation that runs and how often each failed",
    },
    Command {
        verb: Verb::ScriptReload,
        name: "script reload",
        args: &[],
        answer: Answer::Record(&["generation", "report"]),
        help: "Loads every script again, all or nothing, as a save does",
    },
    Command {
        verb: Verb::Hooks,
        name: "hooks",
        args: &[],
        answer: Answer::Rows(&["point", "band", "handler"]),
        help: "Lists what runs at each hook point, in order",
    },
    Command {
        verb: Verb::Trace,
        name: "trace",
        args: &[Arg {
            name: "jid",
            kind: ArgKind::Address,
            optional: false,
            help: "a user, one of its resources, or a domain",
        }],
        answer: Answer::Live(&[
            "when", "kind", "id", "from", "to", "steps", "fate", "missed",
        ]),
        help: "Follows stanzas live: which hooks ran, their verdicts, how long each took, where the stanza went",
    },
    Command {
        verb: Verb::Shutdown,
        name: "shutdown",
        args: &[],
        answer: Answer::Record(&[]),
        help: "Stops the daemon as SIGTERM does: sessions are closed, nothing accepted is lost",
    },
];

impl Command {
    /// The command of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Command> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// The command whose name is nearest to `given`, if one is near.
    #[must_use]
    pub fn nearest(given: &str) -> Option<&'static str> {
        /// Below this likeness a suggestion would be a guess.
        const LIKE: f64 = 0.8;
        COMMANDS
            .iter()
            .map(|command| (strsim::jaro_winkler(command.name, given), command.name))
            .filter(|(likeness, _)| *likeness >= LIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }

    /// How it is typed: `user list [DOMAIN]`; secrets are not typed there.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for arg in self.args.iter().filter(|arg| arg.kind != ArgKind::Secret) {
            let name = arg.name.to_uppercase();
            usage += &if arg.optional {
                format!(" [{name}]")
            } else {
                format!(" {name}")
            };
        }
        usage
    }
}

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
        }
    }

    #[test]
    fn misspelt_command_has_a_nearest() {
        assert_eq!(Command::nearest("sumary"), Some("summary"));
        assert_eq!(Command::nearest("user ad"), Some("user add"));
        assert_eq!(Command::nearest("zzz"), None);
    }
}
