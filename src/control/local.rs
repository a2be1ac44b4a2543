//! Commands that need no daemon: the table itself answers. A daemon that is asked answers the same.

use serde_json::{Value, json};

use super::command::{COMMANDS, Command, Verb};
use super::completion;
use super::protocol::{Fault, Reply, Request};

impl Command {
    /// Whether a daemon must answer; else [`answer_here`] does.
    #[must_use]
    pub fn needs_daemon(&self) -> bool {
        !matches!(self.verb, Verb::Help | Verb::Completion)
    }
}

/// The whole answer of a command that needs no daemon.
#[must_use]
pub fn answer_here(request: &Request) -> Vec<Reply> {
    if Command::find(&request.command).is_some_and(|command| command.verb == Verb::Completion) {
        return vec![Reply::Done(completion(request))];
    }
    match help(request) {
        Ok(rows) => {
            let rows = rows.into_iter().map(Reply::Row);
            rows.chain([Reply::Done(Value::Null)]).collect()
        }
        Err(fault) => vec![fault.into_reply()],
    }
}

/// A shell's script; which shells there are has been checked.
pub(super) fn completion(request: &Request) -> Value {
    let shell = request.args.get("shell").map_or("", String::as_str);
    json!({ "script": completion::script(shell) })
}

/// Every command, or those that begin with the words asked for.
pub(super) fn help(request: &Request) -> Result<Vec<Value>, Fault> {
    let given = request.args.get("command").map_or("", String::as_str);
    let words: Vec<&str> = given.split_whitespace().collect();
    let asked = |command: &&Command| {
        words.len() <= command.name.split(' ').count()
            && command.name.split(' ').zip(&words).all(|(a, b)| a == *b)
    };
    let rows: Vec<Value> = COMMANDS.iter().filter(asked).map(row).collect();
    if rows.is_empty() {
        return Err(Fault::UnknownCommand(given.to_owned()));
    }
    Ok(rows)
}

fn row(command: &Command) -> Value {
    let args: Vec<Value> = command
        .args
        .iter()
        .map(|arg| json!({ "name": arg.name, "typed": arg.typed(), "optional": arg.optional, "help": arg.help }))
        .collect();
    let (_, keys) = command.answer.describe();
    json!({
        "command": command.name,
        "usage": command.usage(),
        "help": command.help,
        "manual": command.manual,
        "arguments": args,
        "keys": keys,
    })
}
