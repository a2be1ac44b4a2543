//! What shells need to complete stanzactl's commands, made from the table.
//!
//! Names and options are in the script; addresses and other values are asked of the running daemon when somebody presses
//! Tab. Peers choose some of those (a resource, a sender), so only plain ones are offered: a shell would run the rest.

use super::command::{COMMANDS, Command, GROUPS};
use super::shape::{Arg, ArgKind};

/// The shells for which there is a script.
pub(super) const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// Options of every command; the first has a value.
const EVERYWHERE: &[&str] = &["--socket", "--json", "--help"];

/// The script for one of [`SHELLS`].
pub(super) fn script(shell: &str) -> String {
    match shell {
        "fish" => fish(),
        "zsh" => include_str!("completion/zsh.sh").replace("@COMMON@", &common()),
        _ => include_str!("completion/bash.sh").replace("@COMMON@", &common()),
    }
}

/// The option of an argument that is typed as one, and whether a value follows it.
fn option(arg: &Arg) -> Option<(String, bool)> {
    match arg.kind {
        ArgKind::Secret => Some((format!("--{}-stdin", arg.name), false)),
        ArgKind::Flag => Some((format!("--{}", arg.name), false)),
        ArgKind::Count | ArgKind::Setting(_) => Some((format!("--{}", arg.name), true)),
        ArgKind::Address
        | ArgKind::Word
        | ArgKind::File
        | ArgKind::Content
        | ArgKind::Choice(_)
        | ArgKind::Rest => None,
    }
}

/// Options whose value is a file.
fn is_file(arg: &Arg) -> bool {
    arg.kind == ArgKind::Setting("FILE")
}

/// The arguments that are typed by their place.
fn placed(command: &Command) -> impl Iterator<Item = (usize, &Arg)> {
    let args = command.args.iter();
    args.filter(|arg| option(arg).is_none()).enumerate()
}

/// Every option that a value follows.
fn valued() -> Vec<String> {
    let args = COMMANDS.iter().flat_map(|command| command.args);
    let options = args.filter_map(option).filter(|(_, valued)| *valued);
    let mut names: Vec<String> = options.map(|(name, _)| name).collect();
    names.push("--socket".to_owned());
    names.sort();
    names.dedup();
    names
}

/// First words: groups, and commands of one word.
fn first_words() -> impl Iterator<Item = (&'static str, &'static str)> {
    let single = COMMANDS
        .iter()
        .filter(|command| !command.name.contains(' '));
    let single = single.map(|command| (command.name, command.help));
    GROUPS.iter().copied().chain(single)
}

/// The part that bash and zsh share: fills `found` with what may come next.
fn common() -> String {
    let join = |words: Vec<&str>| words.join(" ");
    let first = join(first_words().map(|(word, _)| word).collect());
    let mut cases = format!("    :0:*) found=({first}) ;;\n");
    for (group, _) in GROUPS {
        let second = join(Command::of_group(group).map(|(word, _)| word).collect());
        cases += &format!("    {group}:0:*) found=({second}) ;;\n");
    }
    let mut names = String::new();
    let mut options = String::new();
    let mut files = vec!["--socket".to_owned()];
    for command in COMMANDS {
        let name = command.name;
        names += &format!("    '{name} '*) name='{name}' ;;\n");
        for (at, arg) in placed(command) {
            cases += &match (arg.kind, arg.from) {
                (ArgKind::Choice(words), _) => {
                    format!("    '{name}':{at}:) found=({}) ;;\n", words.join(" "))
                }
                (ArgKind::File | ArgKind::Content, _) => {
                    format!("    '{name}':{at}:) files=yes ;;\n")
                }
                (_, Some((source, key))) => {
                    format!("    '{name}':{at}:) _stanzactl_values {key} {source} ;;\n")
                }
                _ => continue,
            };
        }
        let typed = command
            .args
            .iter()
            .filter_map(|arg| Some((arg, option(arg)?.0)));
        let (args, own): (Vec<&Arg>, Vec<String>) = typed.unzip();
        let of_files = args.iter().zip(&own).filter(|(arg, _)| is_file(arg));
        files.extend(of_files.map(|(_, name)| name.clone()));
        if !own.is_empty() {
            options += &format!("        '{name}') found+=({}) ;;\n", own.join(" "));
        }
    }
    include_str!("completion/common.sh")
        .replace("@VALUED@", &valued().join("|"))
        .replace("@FILES@", &files.join("|"))
        .replace("@EVERYWHERE@", &EVERYWHERE.join(" "))
        .replace("@NAMES@\n", &names)
        .replace("@OPTIONS@\n", &options)
        .replace("@CASES@\n", &cases)
}

fn fish() -> String {
    let rules = fish_words() + &COMMANDS.iter().map(fish_args).collect::<String>();
    include_str!("completion/fish.fish")
        .replace("@VALUED@", &valued().join(" "))
        .replace("@RULES@\n", &rules)
}

/// The words of commands, behind `help` too.
fn fish_words() -> String {
    let mut rules = String::new();
    for (word, help) in first_words() {
        rules += &fish_rule(0, "", &offer(word), help);
        rules += &fish_rule(0, "help", &offer(word), help);
    }
    for (group, _) in GROUPS {
        for (word, command) in Command::of_group(group) {
            rules += &fish_rule(0, group, &offer(word), command.help);
            rules += &fish_rule(0, &format!("help {group}"), &offer(word), command.help);
        }
    }
    rules
}

/// What follows the words of a command.
fn fish_args(command: &Command) -> String {
    let mut rules = String::new();
    for (at, arg) in placed(command) {
        let what = match (arg.kind, arg.from) {
            (ArgKind::Choice(words), _) => format!("-a {}", quoted(&words.join(" "))),
            (ArgKind::File | ArgKind::Content, _) => "-F".to_owned(),
            (_, Some((source, key))) => format!("-a '(__stanzactl_values {key} {source})'"),
            _ => continue,
        };
        rules += &fish_rule(at, command.name, &what, arg.help);
    }
    for arg in command.args {
        let Some((name, valued)) = option(arg) else {
            continue;
        };
        let value = match (valued, is_file(arg)) {
            (true, true) => " -r -F",
            (true, false) => " -x",
            (false, _) => "",
        };
        rules += &format!(
            "complete -c stanzactl -n '__stanzactl_of {}' -l {}{value} -d {}\n",
            command.name,
            name.trim_start_matches("--"),
            quoted(arg.help)
        );
    }
    rules
}

fn offer(word: &str) -> String {
    format!("-a {word}")
}

/// Offers `what` where `at` words follow `before`.
fn fish_rule(at: usize, before: &str, what: &str, help: &str) -> String {
    let help = quoted(help);
    format!("complete -c stanzactl -n '__stanzactl_at {at} {before}' {what} -d {help}\n")
}

/// Text between single quotes, for fish.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
