//! The console's client: asks a running stanzad and shows what it answers.

mod chat;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command as Usage};
use serde_json::{Value, json};
use stanzad::client;
use stanzad::control::{
    self, Answer, Answers, ArgKind, COMMANDS, ClientError, Command, Complaint, GROUPS, Reply,
    Request, Unreachable,
};

/// Why stanzactl gives up; each has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", .0.message)]
    Refused(Complaint),
    #[error("{}", .0.message)]
    Mistaken(Complaint),
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
    #[error("cannot read {file}: {why}")]
    Unreadable { file: String, why: io::Error },
    #[error("{0}")]
    Chat(#[from] client::ClientError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    fn exit(&self) -> u8 {
        match self {
            Failure::Refused(_) | Failure::Output(_) => 1,
            Failure::Mistaken(_)
            | Failure::NoTerminal(_)
            | Failure::PasswordsDiffer
            | Failure::NoPassword
            | Failure::Unreadable { .. } => 2,
            Failure::Chat(error) => chat::exit(error),
            Failure::Unreachable(_) | Failure::Client(_) => 3,
        }
    }

    /// As the daemon complains.
    fn complaint(&self) -> Complaint {
        let code = match self {
            Failure::Refused(complaint) | Failure::Mistaken(complaint) => return complaint.clone(),
            Failure::Unreachable(_) => "unreachable",
            Failure::Client(_) => "broken",
            Failure::NoTerminal(_) | Failure::NoPassword => "no-password",
            Failure::PasswordsDiffer => "passwords-differ",
            Failure::Unreadable { .. } => "unreadable",
            Failure::Chat(_) => "chat",
            Failure::Output(_) => "output",
        };
        Complaint {
            code: code.to_owned(),
            message: self.to_string(),
            hint: None,
            details: None,
        }
    }

    /// Says what went wrong: to programs on standard output, where they read answers, to people on standard error.
    fn tell(&self, json: bool) {
        let complaint = self.complaint();
        if json {
            let error = json!({ "error": complaint });
            // Whoever has closed our output learns it from the exit code.
            let _ = writeln!(io::stdout(), "{error:#}");
            return;
        }
        eprintln!("stanzactl: {}", complaint.message);
        if let Some(hint) = complaint.hint {
            eprintln!("  {hint}");
        }
    }
}

fn main() -> ExitCode {
    let (done, json) = match usage().try_get_matches() {
        Ok(matches) => (run(&matches), chosen(&matches).1.get_flag("json")),
        Err(error) => (mistaken(&error), asks_for_json()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads us has read enough: `stanzactl trace a@x | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.tell(json);
            ExitCode::from(failure.exit())
        }
    }
}

/// What was typed, options left out.
fn typed() -> Vec<String> {
    let mut words = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--socket" {
            args.next();
        } else if !arg.starts_with('-') {
            words.push(arg);
        }
    }
    words
}

/// Whether `--json` was typed, on a command line that cannot be parsed.
fn asks_for_json() -> bool {
    std::env::args().skip(1).any(|arg| arg == "--json")
}

/// A command line that clap refuses, or that only asks for help.
fn mistaken(error: &clap::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(error.print()?),
        ErrorKind::InvalidSubcommand => {
            Err(Failure::Mistaken(control::unknown(&typed().join(" "))))
        }
        _ => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let (message, hint) = text.trim_end().split_once("\n\n").unwrap_or((text, ""));
            Err(Failure::Mistaken(Complaint {
                code: "usage".to_owned(),
                message: message.trim_end().to_owned(),
                hint: Some(hint.replace("\n\n", "\n  ")).filter(|hint| !hint.is_empty()),
                details: None,
            }))
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
        let words = Command::of_group(group).map(|(word, command)| subcommand(word, command));
        usage = usage.subcommand(
            Usage::new(*group)
                .about(*about)
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
    if !command.manual.is_empty() {
        usage = usage.long_about(format!("{}.\n\n{}", command.help, command.manual));
    }
    for arg in command.args {
        let positional = clap::Arg::new(arg.name)
            .value_name(arg.name.to_uppercase())
            .required(!arg.optional)
            .help(arg.help);
        usage = usage.arg(match arg.kind {
            ArgKind::Address | ArgKind::Word => positional,
            ArgKind::File => positional.value_hint(clap::ValueHint::FilePath),
            ArgKind::Choice(words) => positional.value_parser(words.to_vec()),
            ArgKind::Rest => positional.num_args(1..),
            ArgKind::Count => clap::Arg::new(arg.name)
                .long(arg.name)
                .value_name("N")
                .value_parser(clap::builder::StringValueParser::new())
                .help(arg.help),
            ArgKind::Setting(value) => clap::Arg::new(arg.name)
                .long(arg.name)
                .value_name(value)
                .help(arg.help),
            ArgKind::Flag => clap::Arg::new(arg.name)
                .long(arg.name)
                .action(clap::ArgAction::SetTrue)
                .help(arg.help),
            ArgKind::Content => positional
                .value_name("FILE")
                .required(false)
                .value_hint(clap::ValueHint::FilePath),
            ArgKind::Secret => clap::Arg::new(arg.name)
                .long(format!("{}-stdin", arg.name))
                .action(clap::ArgAction::SetTrue)
                .help("Read it from the first line of standard input instead of asking on the terminal"),
        });
    }
    usage
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, args) = chosen(matches);
    let json = args.get_flag("json");
    let Some(command) = Command::find(&name) else {
        // The first word of several, or none at all: what is there?
        return list_commands(&name, json);
    };
    if matches!(command.answer, Answer::Conversation(_)) {
        return chat::run(args, json);
    }
    let mut request = Request {
        command: command.name.to_owned(),
        args: Default::default(),
    };
    let socket = args.get_one::<PathBuf>("socket").map(PathBuf::as_path);
    if command.needs_daemon() {
        // Before anybody types a password: is there a daemon to take it? It would not wait until that is typed.
        drop(control::connect(socket)?);
    }
    for arg in command.args {
        let value = match arg.kind {
            ArgKind::Rest => args.get_many::<String>(arg.name).map(|words| {
                let words: Vec<&str> = words.map(String::as_str).collect();
                words.join(" ")
            }),
            ArgKind::File => args
                .get_one::<String>(arg.name)
                .map(|file| whole_path(file)),
            ArgKind::Flag => args.get_flag(arg.name).then(|| "true".to_owned()),
            ArgKind::Content => Some(content(args.get_one::<String>(arg.name))?),
            ArgKind::Secret if args.get_flag(arg.name) => Some(secret_from_stdin()?),
            ArgKind::Secret => Some(secret_from_terminal(arg.name, &request)?),
            _ => args.get_one::<String>(arg.name).cloned(),
        };
        request
            .args
            .extend(value.map(|value| (arg.name.to_owned(), value)));
    }
    if command.needs_daemon() {
        let stream = control::connect(socket)?;
        show(command, Answers::ask(stream, &request)?, json)
    } else {
        show_here(command, &request, json)
    }
}

/// The daemon's working directory is another one.
fn whole_path(file: &str) -> String {
    let whole = std::path::absolute(file);
    whole.map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}

/// What `help` says of the commands that begin with `words`.
fn list_commands(words: &str, json: bool) -> Result<(), Failure> {
    let mut request = Request {
        command: "help".to_owned(),
        args: Default::default(),
    };
    request.args.insert("command".to_owned(), words.to_owned());
    match Command::find("help") {
        Some(help) => show_here(help, &request, json),
        None => Err(Failure::Mistaken(control::unknown(words))),
    }
}

/// The answer of a command that needs no daemon.
fn show_here(command: &Command, request: &Request, json: bool) -> Result<(), Failure> {
    let answers = control::answer_here(request);
    // Nobody but the command line can be wrong here.
    match show(command, answers.into_iter().map(Ok), json) {
        Err(Failure::Refused(complaint)) => Err(Failure::Mistaken(complaint)),
        done => done,
    }
}

/// The name that the command line gives, whole or only begun, and its arguments.
fn chosen(matches: &ArgMatches) -> (String, &ArgMatches) {
    let mut name = String::new();
    let mut args = matches;
    while let Some((word, inner)) = args.subcommand() {
        if !name.is_empty() {
            name.push(' ');
        }
        name += word;
        args = inner;
    }
    (name, args)
}

/// What is in a file, or in standard input.
fn content(file: Option<&String>) -> Result<String, Failure> {
    let read = match file.filter(|name| *name != "-") {
        Some(name) => std::fs::read_to_string(name),
        None => {
            if io::stdin().is_terminal() {
                eprintln!("reading standard input; ^D ends it");
            }
            io::read_to_string(io::stdin())
        }
    };
    read.map_err(|why| Failure::Unreadable {
        file: file.map_or("standard input", String::as_str).to_owned(),
        why,
    })
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

fn show(
    command: &Command,
    answers: impl Iterator<Item = Result<Reply, ClientError>>,
    json: bool,
) -> Result<(), Failure> {
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
    if value["more"] == true {
        eprintln!("(the first {}; there are more: --limit N)", rows.len());
    }
    let mut value = value.clone();
    if let (true, Answer::Report(_, text), Some(fields)) =
        (json, command.answer, value.as_object_mut())
    {
        fields.remove(text);
    }
    let text = match command.answer {
        Answer::Rows(_) | Answer::Listing { .. } if json => {
            format!("{:#}\n", Value::Array(rows))
        }
        Answer::Rows(_) | Answer::Listing { .. } if rows.is_empty() => {
            eprintln!("(none)");
            String::new()
        }
        _ if json => format!("{value:#}\n"),
        _ => control::shown(command, &rows, &value),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
