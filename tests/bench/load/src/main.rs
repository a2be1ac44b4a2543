//! stanzaload: logs many users in to a server on this machine, drives one workload, and reports rates, order, CPU and memory.
//!
//! One thread, so that it can be pinned to one core and the server to another. One line of JSON per run.

mod bring_up;
mod cli;
mod conn;
mod measure;
mod procstat;
mod report;
mod sasl;
mod scan;
mod session;
mod stamp;
mod workload;

use anyhow::Result;
use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_watchdog(cli.max_seconds);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stanzaload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the tool whatever happens, so that no run is unbounded.
fn start_watchdog(seconds: u64) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        eprintln!("stanzaload: gave up after {seconds} seconds");
        std::process::exit(3);
    });
}

fn run(command: Command) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(command))
}

async fn work(command: Command) -> Result<()> {
    match command {
        Command::Accounts(args) => {
            print!("{}", args.lines());
            Ok(())
        }
        Command::Login(args) => workload::login::run(args).await,
        Command::Idle(args) => workload::idle::run(args).await,
        Command::Chat(args) => workload::chat::run(args).await,
        Command::Iq(args) => workload::iq::run(args).await,
        Command::Presence(args) => workload::presence::run(args).await,
        Command::RelayLimit(args) => workload::relay::run(args).await,
        Command::RelayServe(args) => workload::relay::serve(args).await,
    }
}
