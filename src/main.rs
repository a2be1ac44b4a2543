//! The daemon: arguments and exit codes. Everything else is the library's.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use stanzad::config::{self, Form, Source};
use stanzad::{observe, server};

/// Scripts and stanzas are many small allocations: see `docs/decisions/allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wrong arguments, or a wrong configuration.
const EXIT_USAGE: u8 = 2;

/// An XMPP daemon configured with stanzas and programmed with Lua that is edited live.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Without -c: ./etc/stanzad.conf, /etc/stanzad/stanzad.conf, \
    else the configuration compiled in, which serves localhost on loopback addresses.\n\
    Exit codes: 0 stopped as asked, 2 configuration or scripts, 3 a port, a file or memory cannot be had."
)]
struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The data directory, in place of the configuration's
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// The script directory, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,stanzad::session=debug`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration and exit; touches neither network nor data
    Check {
        /// Faults as JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let source = Source::find(arguments.config, arguments.data);
    if let Some(Command::Check { json }) = arguments.command {
        let form = if json {
            Form::Json
        } else if std::io::stdout().is_terminal() {
            Form::Colour
        } else {
            Form::Plain
        };
        let (code, text) = config::check(&source, form);
        say(&text);
        return ExitCode::from(code);
    }
    let log = match observe::init(arguments.log.as_deref().unwrap_or("info")) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("stanzad: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let options = server::Options {
        source,
        scripts: arguments.scripts,
        // The command line's filter stays whatever the configuration says.
        log: arguments.log.is_none().then_some(log),
    };
    let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let tell = |banner: &server::Banner| match bold {
        true => say(&format!("{banner:#}\n")),
        false => say(&format!("{banner}\n")),
    };
    match server::run(options, tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stanzad: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Writes to standard output. When nobody reads there, that is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
