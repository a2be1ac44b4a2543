//! Every command of the table answers programs in JSON, and says its errors so.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use stanzad::control::{Answer, ArgKind, COMMANDS, Command};

use crate::harness::Server;

/// A command line: the name, something for each argument that must be given, a password from standard input.
fn line(command: &Command) -> Vec<String> {
    let mut line: Vec<String> = command.name.split(' ').map(str::to_owned).collect();
    for arg in command.args {
        match arg.kind {
            ArgKind::Secret => line.push(format!("--{}-stdin", arg.name)),
            _ if arg.optional => {}
            ArgKind::Choice(words) => line.push(words[0].to_owned()),
            ArgKind::Address => line.push("alice@localhost".to_owned()),
            _ => line.push("1".to_owned()),
        }
    }
    line
}

#[test]
fn every_command_answers_in_json() {
    let server = Server::start();
    server.users(&["alice"]);
    let last = |command: &&Command| command.name == "shutdown";
    let (end, commands): (Vec<&Command>, Vec<&Command>) = COMMANDS.iter().partition(last);
    for command in commands.into_iter().chain(end) {
        // These go on until somebody ends them; `trace` and `chat` have tests of their own.
        if matches!(command.answer, Answer::Live(_) | Answer::Conversation(_)) {
            continue;
        }
        let line = line(command);
        let mut args = vec!["--json"];
        args.extend(line.iter().map(String::as_str));
        let ended = server.ctl_with_input(&args, "secret\n");
        let said: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{line:?}: {error}: {}", ended.stdout));
        if ended.code == Some(0) {
            let rows = matches!(command.answer, Answer::Rows(_) | Answer::Listing { .. });
            assert_eq!(said.is_array(), rows, "{line:?}: {said:#}");
        } else {
            let error = &said["error"];
            assert!(
                error["code"].is_string() && error["message"].is_string(),
                "{line:?}: {said:#}"
            );
        }
    }
}

#[test]
fn every_command_says_in_json_that_no_daemon_answers() {
    let nowhere = tempfile::tempdir().unwrap();
    for command in COMMANDS.iter().filter(|command| command.needs_daemon()) {
        if matches!(command.answer, Answer::Conversation(_)) {
            continue;
        }
        let mut ctl = std::process::Command::new(env!("CARGO_BIN_EXE_stanzactl"))
            .args(["--json", "--socket"])
            .arg(nowhere.path().join("none.sock"))
            .args(line(command))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(ctl.stdout.take().unwrap()).lines();
        let text: String = lines.map(Result::unwrap).collect();
        assert_eq!(ctl.wait().unwrap().code(), Some(3), "{}", command.name);
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said["error"]["code"], "unreachable", "{}", command.name);
    }
}
