//! The console's client: asks a running stanzad and shows what it answers.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Command as Usage, error::ErrorKind};
use serde_json::Value;
use stanzad::control::{
    self, Answer, Answers, ArgKind, COMMANDS, ClientError, Command, Complaint, GROUPS, Reply,
    Request, Unreachable,
};

/// Why stanzactl gives up; each has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", complaint(.0))]
    Refused(Complaint),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "cannot ask for a password here ({0}); give it as the first line of standard input with --password-stdin"
    )]
    NoTerminal(io::Error),
    #[error("the two passwords differ")]
    PasswordsDiffer,
    #[error("no password on standard input")]
    NoPassword,
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Refused(_) | Failure::Output(_) => 1,
            Failure::NoTerminal(_) | Failure::PasswordsDiffer | Failure::NoPassword => 2,
            Failure::Unreachable(_) | Failure::Client(_) => 3,
        }
    }
}

fn complaint(complaint: &Complaint) -> String {
    match &complaint.hint {
        Some(hint) => format!("{}\n  {hint}", complaint.message),
        None => complaint.message.clone(),
    }
}

fn main() -> ExitCode {
    let matches = usage().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads us has read enough: `stanzactl trace a@x | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("stanzactl: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// The command line, made from the table of commands.
fn usage() -> Usage {
    let mut usage = Usage::new("stanzactl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Asks a running stanzad")
        .after_help("Exit codes: 0 done, 1 the daemon said no, 2 this command line is wrong, 3 no daemon answers.")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            clap::Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help("The daemon's socket, or the directory it is in [default: $STANZAD_SOCKET, ./var, /run/stanzad]"),
        )
        .arg(
            clap::Arg::new("json")
                .long("json")
                .action(clap::ArgAction::SetTrue)
                .global(true)
                .help("Print JSON"),
        );
    for (group, about) in GROUPS {
        let words = COMMANDS.iter().filter_map(|command| {
            let (first, second) = command.name.split_once(' ')?;
            (first == *group).then(|| subcommand(second, command))
        });
        usage = usage.subcommand(
            Usage::new(*group)
                .about(*about)
                .subcommand_required(true)
                .arg_required_else_help(true)
                .disable_help_subcommand(true)
                .subcommands(words),
        );
    }
    let single = COMMANDS
        .iter()
        .filter(|command| !command.name.contains(' '))
        .map(|command| subcommand(command.name, command));
    usage.subcommands(single)
}

fn subcommand(word: &'static str, command: &'static Command) -> Usage {
    let mut usage = Usage::new(word).about(command.help);
    for arg in command.args {
        usage = usage.arg(match arg.kind {
            ArgKind::Address => clap::Arg::new(arg.name)
                .value_name(arg.name.to_uppercase())
                .required(!arg.optional)
                .help(arg.help),
            ArgKind::Secret => clap::Arg::new(arg.name)
                .long(format!("{}-stdin", arg.name))
                .action(clap::ArgAction::SetTrue)
                .help("Read it from the first line of standard input instead of asking on the terminal"),
        });
    }
    usage
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (command, args) = chosen(matches);
    let mut request = Request {
        command: command.name.to_owned(),
        args: Default::default(),
    };
    // Before anybody types a password: is there a daemon to take it?
    let stream = control::connect(args.get_one::<PathBuf>("socket").map(PathBuf::as_path))?;
    for arg in command.args {
        let value = match arg.kind {
            ArgKind::Address => args.get_one::<String>(arg.name).cloned(),
            ArgKind::Secret if args.get_flag(arg.name) => Some(secret_from_stdin()?),
            ArgKind::Secret => Some(secret_from_terminal(arg.name, &request)?),
        };
        request
            .args
            .extend(value.map(|value| (arg.name.to_owned(), value)));
    }
    show(
        command,
        Answers::ask(stream, &request)?,
        args.get_flag("json"),
    )
}

/// The row of the table that the command line names, and its arguments.
fn chosen(matches: &ArgMatches) -> (&'static Command, &ArgMatches) {
    let mut name = String::new();
    let mut args = matches;
    while let Some((word, inner)) = args.subcommand() {
        if !name.is_empty() {
            name.push(' ');
        }
        name += word;
        args = inner;
    }
    match Command::find(&name) {
        Some(command) => (command, args),
        None => usage()
            .error(
                ErrorKind::InvalidSubcommand,
                format!("there is no command `{name}`"),
            )
            .exit(),
    }
}

fn secret_from_stdin() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::NoPassword);
    }
    Ok(secret.to_owned())
}

fn secret_from_terminal(name: &str, request: &Request) -> Result<String, Failure> {
    let whose = request.args.get("jid").map_or("", String::as_str);
    let ask = |prompt: String| rpassword::prompt_password(prompt).map_err(Failure::NoTerminal);
    let first = ask(format!("New {name} for {whose}: "))?;
    let second = ask("The same again: ".to_owned())?;
    if first != second {
        return Err(Failure::PasswordsDiffer);
    }
    Ok(first)
}

fn show(command: &Command, answers: Answers, json: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for answer in answers {
        match answer? {
            Reply::Row(row) => match command.answer {
                Answer::Live(_) => show_live(&row, json)?,
                _ => rows.push(row),
            },
            Reply::Done(value) => return show_all(command, rows, &value, json),
            Reply::Error(complaint) => return Err(Failure::Refused(complaint)),
        }
    }
    Err(Failure::Client(ClientError::Broken))
}

fn show_live(row: &Value, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if row.is_null() {
        // Said on standard error, so that what is piped on is records only.
        eprintln!("watching; ^C ends it");
    } else if json {
        writeln!(out, "{row}")?;
    } else {
        out.write_all(control::trace(row).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn show_all(command: &Command, rows: Vec<Value>, value: &Value, json: bool) -> Result<(), Failure> {
    let text = match command.answer {
        Answer::Rows(_) if json => format!("{:#}\n", Value::Array(rows)),
        Answer::Rows(_) if rows.is_empty() => {
            eprintln!("(none)");
            String::new()
        }
        Answer::Rows(columns) => control::table(columns, &rows),
        _ if json => format!("{value:#}\n"),
        Answer::Record(keys) | Answer::Live(keys) => control::record(keys, value),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
