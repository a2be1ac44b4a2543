//! What a row of the command table is made of, and how it is typed.

use super::command::{COMMANDS, Command};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// An address or a domain.
    Address,
    /// A word: a name, a number.
    Word,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file, which the client names by its whole path.
    File,
    /// The rest of the command line, joined by blanks. Stands last.
    Rest,
    /// A number from 1 on, typed as an option: `--limit 10`. Always optional.
    Count,
    /// Typed as an option without a value: `--replace`. In a request it is `true`. Always optional.
    Flag,
    /// Text, typed as the name of the file that has it, or `-` or nothing for standard input. Never logged.
    Content,
    /// Typed as an option with a value of that name: `--connect HOST:PORT`. Always optional.
    Setting(&'static str),
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
    /// Where a shell finds values for it: a command, and a key of that command's rows.
    pub from: Option<(&'static str, &'static str)>,
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
    /// Objects of which people see less than programs.
    Listing {
        /// Every key.
        keys: &'static [&'static str],
        /// What people see: keys and their headings. A key that no row has is left out.
        shown: &'static [(&'static str, &'static str)],
    },
    /// One object with one key, whose text people see as it is.
    Text(&'static str),
    /// One object; people see the text of its last key as it is, programs the others.
    Report(&'static [&'static str], &'static str),
    /// One object with keys of its own, JSON for people too.
    Document,
    /// Objects as they happen, until the client closes.
    Live(&'static [&'static str]),
    /// What is said to a user of the server, as it comes; stanzactl holds the conversation itself.
    Conversation(&'static [&'static str]),
}

impl Answer {
    /// The shape in words, and its keys.
    pub(super) fn describe(&self) -> (&'static str, &[&'static str]) {
        match self {
            Answer::Record(keys) | Answer::Report(keys, _) => ("One object", keys),
            Answer::Rows(keys) | Answer::Listing { keys, .. } => ("A list of objects", keys),
            Answer::Text(key) => ("One object", std::slice::from_ref(key)),
            Answer::Document => ("One object", &[]),
            Answer::Live(keys) => ("An object for each stanza", keys),
            Answer::Conversation(keys) => ("An object for each line", keys),
        }
    }
}

/// A usage that has more options than these says `[OPTIONS]`.
const OPTIONS: usize = 2;

impl Arg {
    /// How it is typed: `JID`, `--limit N`.
    pub(super) fn typed(&self) -> String {
        match self.kind {
            ArgKind::Secret => format!("--{}-stdin", self.name),
            ArgKind::Count => format!("--{} N", self.name),
            ArgKind::Setting(value) => format!("--{} {value}", self.name),
            ArgKind::Flag => format!("--{}", self.name),
            ArgKind::Content => "FILE".to_owned(),
            ArgKind::Choice(words) => words.join("|"),
            ArgKind::Rest => format!("{}...", self.name.to_uppercase()),
            ArgKind::Address | ArgKind::Word | ArgKind::File => self.name.to_uppercase(),
        }
    }

    fn is_option(&self) -> bool {
        matches!(
            self.kind,
            ArgKind::Count | ArgKind::Setting(_) | ArgKind::Flag
        )
    }
}

impl Command {
    /// The command of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Command> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// The commands of that group, in the order of the table.
    pub fn of_group(group: &str) -> impl Iterator<Item = (&'static str, &'static Command)> {
        COMMANDS.iter().filter_map(move |command| {
            let (first, second) = command.name.split_once(' ')?;
            (first == group).then_some((second, command))
        })
    }

    /// How it is typed: `user list [DOMAIN]`; secrets are not typed there.
    #[must_use]
    pub fn usage(&self) -> String {
        let typed = |arg: &&Arg| arg.kind != ArgKind::Secret;
        let many = self.args.iter().filter(|arg| arg.is_option()).count() > OPTIONS;
        let mut usage = self.name.to_owned();
        for arg in self.args.iter().filter(typed) {
            let optional = arg.optional || arg.kind == ArgKind::Content;
            match (optional, many && arg.is_option()) {
                (_, true) => {}
                (true, _) => usage += &format!(" [{}]", arg.typed()),
                (false, _) => usage += &format!(" {}", arg.typed()),
            }
        }
        if many {
            usage += " [OPTIONS]";
        }
        usage
    }
}
