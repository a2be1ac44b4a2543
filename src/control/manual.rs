//! `docs/console.md` and `docs/man/stanzactl.1`, made from the command table. Compiled for tests only.

use std::fmt::Write;
use std::path::Path;

use super::{Answer, ArgKind, COMMANDS, Command};

const HEAD: &str = "\
# The console

<!-- Made from the table in src/control/command.rs; `UPDATE_GENERATED=1 cargo test --lib control::` writes it again. -->

`stanzactl [--socket PATH] [--json] COMMAND` asks a running stanzad. It looks for the daemon's socket at `--socket`, else at
`STANZAD_SOCKET`, else in `./var`, else in `/run/stanzad`; a socket that is named is the only one tried. Whoever may open the
socket may do everything here; its file's mode decides who that is. The daemon logs each command with the caller's user and process.

Exit codes: 0 done, 1 the daemon said no, 2 the command line is wrong, 3 no daemon answers.

With `--json` a command that lists prints an array, one that answers once prints an object, and `trace`
and `chat` print an object a line. What goes wrong is an object on standard output too,
`{\"error\": {\"code\", \"message\", \"hint\"}}`, and the exit code says that it did. A program compares `code`, which stays; the
sentences, the tables and their columns are for people and may change. Notes such as \"there are more\" go to standard error.

    stanzactl --json session list | jq -r '.[] | select(.waiting_bytes > 100000) | .jid'

";

const TAIL: &str = "\
## Protocol

One request a connection: a line of JSON of at most 16 MiB, `{\"command\": \"user list\", \"args\": {\"domain\": \"localhost\"}}`. The answer is
lines of JSON: any number of `{\"row\": {...}}`, then one `{\"done\": ...}` (of a list that is
cut off: `{\"done\": {\"more\": true}}`) or `{\"error\": {\"code\", \"message\", \"hint\"}}`. `trace` sends
`{\"row\": null}` once it watches, and goes on until the client closes.
";

fn section(command: &Command) -> String {
    let mut out = format!("## {}\n\n{}.", command.usage(), command.help);
    if !command.manual.is_empty() {
        write!(out, " {}", command.manual).unwrap();
    }
    out += "\n\n";
    for arg in command.args {
        let how = match (arg.kind, arg.optional) {
            (ArgKind::Secret, _) if matches!(command.answer, Answer::Conversation(_)) => {
                ", asked for on the terminal, or the first line of standard input with `--password-stdin`"
            }
            (ArgKind::Secret, _) => {
                ", asked for twice on the terminal, or the first line of standard input with `--password-stdin`"
            }
            (ArgKind::Content, _) => {
                "; what is in `FILE`, or in standard input if that is `-` or left out"
            }
            (ArgKind::Setting(_) | ArgKind::Count | ArgKind::Flag, _) | (_, false) => "",
            (_, true) => ", may be left out",
        };
        let name = match arg.kind {
            ArgKind::Setting(_) | ArgKind::Count | ArgKind::Flag => arg.typed(),
            _ => arg.name.to_owned(),
        };
        writeln!(out, "- `{name}`: {}{how}", arg.help).unwrap();
    }
    if !command.args.is_empty() {
        out.push('\n');
    }
    let (shape, keys) = command.answer.describe();
    if !keys.is_empty() {
        writeln!(out, "{shape}: `{}`.\n", keys.join("`, `")).unwrap();
    }
    out
}

const MAN_HEAD: &str = "\
.\\\" Made from the table in src/control/command.rs; `UPDATE_GENERATED=1 cargo test --lib control::` writes it again.
.TH STANZACTL 1
.SH NAME
stanzactl \\- asks a running stanzad
.SH SYNOPSIS
.B stanzactl
.RB [ \\-\\-socket
.IR PATH ]
.RB [ \\-\\-json ]
.I COMMAND
.SH COMMANDS
";

const MAN_TAIL: &str = "\
.SH OPTIONS
.TP
.BI \\-\\-socket \" PATH\"
The daemon's socket, or the directory it is in. Else STANZAD_SOCKET, ./var and /run/stanzad are tried.
.TP
.B \\-\\-json
Answers for programs: an array, an object, or for
.B trace
and
.B chat
an object a line.
.TP
.B \\-\\-password\\-stdin
For
.B user add
,
.B user passwd
and
.BR chat :
the password is the first line of standard input.
.SH EXIT STATUS
0 done, 1 the daemon said no, 2 the command line is wrong, 3 no daemon answers.
.SH SEE ALSO
.BR stanzad (8)
";

fn man_entry(command: &Command) -> String {
    let mut out = format!(".TP\n.B {}\n{}.\n", roff(&command.usage()), command.help);
    if !command.manual.is_empty() {
        writeln!(out, "{}", roff(command.manual)).unwrap();
    }
    out
}

/// Text for roff: no hyphens that turn into dashes, no code marks.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('`', "")
}

/// Compares a generated file with what is kept, or writes it.
fn hold(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept,
        made,
        "{} is old: UPDATE_GENERATED=1 cargo test --lib control::",
        path.display()
    );
}

#[test]
fn manuals_are_what_the_table_says() {
    let sections: String = COMMANDS.iter().map(section).collect();
    hold("docs/console.md", &format!("{HEAD}{sections}{TAIL}"));
    let entries: String = COMMANDS.iter().map(man_entry).collect();
    let made = format!("{MAN_HEAD}{entries}{MAN_TAIL}");
    hold("docs/man/stanzactl.1", &made);
}
