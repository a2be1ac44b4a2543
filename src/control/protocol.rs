//! Requests and replies, and their bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::Command;
use super::refused::Refused;
use super::shape::ArgKind;
use crate::observe::trace::TooManyWatchers;

/// A request's longest line, in bytes: every roster that the store keeps fits.
pub(super) const REQUEST_BYTES: u64 = 16 * 1024 * 1024;
/// An answer's longest line, in bytes, likewise.
pub(super) const REPLY_BYTES: u64 = 16 * 1024 * 1024;

/// One line from a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A name of the command table.
    pub command: String,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

/// One line to a client: any number of rows, then `done` or `error`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// One object of several.
    Row(Value),
    /// The end. The object of a command that answers with one, else null.
    Done(Value),
    /// The end, without success.
    Error(Complaint),
}

/// Why a request failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Complaint {
    /// A word that programs can compare.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What programs can know beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// Why a request could not be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("not a request: {0}")]
    NotJson(serde_json::Error),
    #[error("a request ends in a newline and has at most {REQUEST_BYTES} bytes")]
    TooLong,
    #[error("there is no command `{0}`")]
    UnknownCommand(String),
    #[error("`{command}` needs the argument `{name}`")]
    MissingArgument {
        command: &'static str,
        name: &'static str,
    },
    #[error("`{command}` has no argument `{name}`")]
    UnknownArgument { command: &'static str, name: String },
    #[error("`{given}` is no {name} of `{command}`")]
    BadArgument {
        command: &'static str,
        name: &'static str,
        given: String,
        kind: ArgKind,
    },
    #[error("`{0}` is stanzactl's own: the console does not answer it")]
    NotAsked(&'static str),
    #[error(transparent)]
    TooManyTraces(#[from] TooManyWatchers),
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Fault {
    fn code(&self) -> &'static str {
        match self {
            Fault::NotJson(_) => "not-a-request",
            Fault::TooLong => "too-long",
            Fault::UnknownCommand(_) => "unknown-command",
            Fault::MissingArgument { .. } => "missing-argument",
            Fault::UnknownArgument { .. } => "unknown-argument",
            Fault::BadArgument { .. } => "bad-argument",
            Fault::NotAsked(_) => "not-asked",
            Fault::TooManyTraces(_) => "too-many-traces",
            Fault::Refused(refused) => refused.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Fault::UnknownCommand(given) => Some(did_you_mean(given)),
            Fault::BadArgument {
                kind: ArgKind::Choice(words),
                ..
            } => Some(format!("one of: {}", words.join(", "))),
            Fault::BadArgument {
                kind: ArgKind::Flag,
                ..
            } => Some("`true`, or leave it out".to_owned()),
            Fault::BadArgument { .. } => Some("a number from 1 on".to_owned()),
            Fault::Refused(refused) => refused.hint(),
            _ => None,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        Reply::Error(Complaint {
            code: self.code().to_owned(),
            message: self.to_string(),
            hint: self.hint(),
            details: match &self {
                Fault::Refused(refused) => refused.details().cloned(),
                _ => None,
            },
        })
    }
}

/// The complaint about a command that does not exist, with the nearest that do.
#[must_use]
pub fn unknown(given: &str) -> Complaint {
    let fault = Fault::UnknownCommand(given.to_owned());
    Complaint {
        code: fault.code().to_owned(),
        message: fault.to_string(),
        hint: fault.hint(),
        details: None,
    }
}

fn did_you_mean(given: &str) -> String {
    let near = Command::nearest(given);
    match near.as_slice() {
        [] => "`help` lists the commands".to_owned(),
        [one] => format!("did you mean `{one}`? `help` lists the commands"),
        several => format!("did you mean one of `{}`?", several.join("`, `")),
    }
}

/// The command and arguments that a line asks for.
pub(super) fn parse(line: &[u8]) -> Result<(&'static Command, Request), Fault> {
    if !line.ends_with(b"\n") {
        return Err(Fault::TooLong);
    }
    let request: Request = serde_json::from_slice(line).map_err(Fault::NotJson)?;
    let command = Command::find(&request.command)
        .ok_or_else(|| Fault::UnknownCommand(request.command.clone()))?;
    if let Some(name) = request
        .args
        .keys()
        .find(|name| command.args.iter().all(|arg| arg.name != *name))
    {
        return Err(Fault::UnknownArgument {
            command: command.name,
            name: name.clone(),
        });
    }
    if let Some(missing) = command
        .args
        .iter()
        .find(|arg| !arg.optional && !request.args.contains_key(arg.name))
    {
        return Err(Fault::MissingArgument {
            command: command.name,
            name: missing.name,
        });
    }
    for arg in command.args {
        let Some(given) = request.args.get(arg.name) else {
            continue;
        };
        let good = match arg.kind {
            ArgKind::Choice(words) => words.contains(&given.as_str()),
            ArgKind::Flag => given == "true",
            ArgKind::Count => given.parse::<u32>().is_ok_and(|count| count > 0),
            _ => true,
        };
        if !good {
            return Err(Fault::BadArgument {
                command: command.name,
                name: arg.name,
                given: given.clone(),
                kind: arg.kind,
            });
        }
    }
    Ok((command, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(line: &str) -> (String, String, Option<String>) {
        let Reply::Error(complaint) = parse(line.as_bytes()).unwrap_err().into_reply() else {
            panic!("an error");
        };
        (complaint.code, complaint.message, complaint.hint)
    }

    #[test]
    fn request_is_a_line_that_names_a_command_and_its_arguments() {
        let line = b"{\"command\":\"trace\",\"args\":{\"jid\":\"a@x\"}}\n";
        let (command, request) = parse(line).unwrap();
        assert_eq!(command.name, "trace");
        assert_eq!(request.args["jid"], "a@x");
    }

    #[test]
    fn bad_requests_are_told_what_is_wrong() {
        let (code, message, hint) = complaint("{\"command\":\"sumary\"}\n");
        assert_eq!(code, "unknown-command");
        assert_eq!(message, "there is no command `sumary`");
        assert_eq!(
            hint.unwrap(),
            "did you mean `summary`? `help` lists the commands"
        );
        assert_eq!(complaint("{\"command\":\"trace\"}\n").0, "missing-argument");
        assert_eq!(
            complaint("{\"command\":\"hooks\",\"args\":{\"x\":\"y\"}}\n").0,
            "unknown-argument"
        );
        assert_eq!(complaint("{\"command\":\"hooks\"}").0, "too-long");
        assert_eq!(complaint("hooks\n").0, "not-a-request");
    }
}
