//! What a change of generation comes to, in the words that log and console show.

use std::fmt;
use std::time::Duration;

use super::sandbox::ScriptError;
use super::snapshot::{Snapshot, SnapshotError};

/// The outcome of a reload.
#[derive(Clone, Debug)]
pub enum Report {
    /// Every worker runs the new generation.
    Live {
        /// Its number.
        generation: u64,
        /// How many workers run it.
        workers: usize,
        /// From reading the files to the flip.
        took: Duration,
        /// The files that changed; the scripts' names at the first load.
        changed: Vec<String>,
    },
    /// Every worker kept what it had.
    Refused {
        /// What is wrong.
        failure: Failure,
        /// The generation that still runs; 0 when there is none yet.
        generation: u64,
    },
    /// No file differs from what was tried last.
    Unchanged {
        /// The generation that runs.
        generation: u64,
    },
}

impl Report {
    /// Whether the scripts on disk are not the ones that run.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Report::Refused { .. })
    }

    /// The generation that runs now.
    #[must_use]
    pub fn generation(&self) -> u64 {
        match self {
            Report::Live { generation, .. }
            | Report::Refused { generation, .. }
            | Report::Unchanged { generation } => *generation,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Live {
                generation,
                workers,
                took,
                changed,
            } => {
                let plural = if *workers == 1 { "" } else { "s" };
                write!(
                    out,
                    "generation {generation} live on {workers} worker{plural}, {} ms: {}",
                    took.as_millis(),
                    changed.join(", ")
                )
            }
            Report::Refused {
                failure,
                generation,
            } => write!(out, "{failure}\nstill on {generation}"),
            Report::Unchanged { generation } => {
                write!(out, "nothing changed, still on {generation}")
            }
        }
    }
}

/// Why a generation was refused: where, what, and the line itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The script file as the operator knows it, when the fault is in one.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// The line's text.
    pub text: Option<String>,
    /// Where in the line, from 1.
    pub column: usize,
}

impl Failure {
    /// A fault that is in no line of any script.
    pub(super) fn plain(message: impl Into<String>) -> Failure {
        Failure {
            file: None,
            line: None,
            message: message.into(),
            text: None,
            column: 1,
        }
    }

    /// A fault of a script file as a whole.
    pub(super) fn in_file(file: &str, message: impl Into<String>) -> Failure {
        Failure {
            file: Some(file.to_owned()),
            ..Failure::plain(message)
        }
    }

    /// What stopped a script, with its line looked up in the files that were loaded.
    pub(super) fn of(error: &ScriptError, snapshot: &Snapshot) -> Failure {
        let message = message_of(error);
        let Some(place) = error.place() else {
            return Failure::plain(message);
        };
        let file = snapshot
            .by_name(&place.script)
            .map_or(place.script.as_str(), |source| source.name.as_ref());
        let line = usize::try_from(place.line).ok().filter(|line| *line > 0);
        Failure {
            line,
            ..Failure::in_file(file, message)
        }
        .with_text(snapshot)
    }

    /// With the line that it names.
    pub(super) fn with_text(mut self, snapshot: &Snapshot) -> Failure {
        let source = self.file.as_deref().and_then(|file| snapshot.by_name(file));
        if let (Some(source), Some(line)) = (source, self.line) {
            let text = String::from_utf8_lossy(&source.text);
            self.text = text.lines().nth(line.saturating_sub(1)).map(str::to_owned);
            self.column = self
                .text
                .as_deref()
                .map_or(1, |text| column(text, &self.message));
        }
        self
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        Failure::plain(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(out, "{file}:{line}: {}", self.message)?,
            (Some(file), None) => write!(out, "{file}: {}", self.message)?,
            (None, _) => write!(out, "{}", self.message)?,
        }
        if let (Some(line), Some(text)) = (self.line, &self.text) {
            let number = line.to_string();
            // Tabs stay tabs in both lines, so that the caret stands under its character.
            let before: String = text
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(
                out,
                "\n  {number} | {text}\n  {:pad$} | {before}^",
                "",
                pad = number.len()
            )?;
        }
        Ok(())
    }
}

/// The first line of what happened, without the place.
pub(super) fn message_of(error: &ScriptError) -> String {
    let whole = error.to_string();
    let place = error
        .place()
        .map(|place| format!("{place}: "))
        .unwrap_or_default();
    let message = whole.strip_prefix(&place).unwrap_or(&whole);
    message
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(MAX_MESSAGE)
        .collect()
}

/// Longest message that is logged or shown, in characters.
const MAX_MESSAGE: usize = 500;

/// Words before the name that a message of Lua's quotes.
const QUOTES: [&str; 7] = [
    "near '",
    "global '",
    "local '",
    "field '",
    "method '",
    "upvalue '",
    "\"",
];

/// Where in its line the fault is: at the name that the message quotes, or at the first character that is not a space.
fn column(text: &str, message: &str) -> usize {
    let quoted = QUOTES.iter().find_map(|before| {
        let (_, rest) = message.split_once(before)?;
        let (name, _) = rest.split_once(['\'', '"'])?;
        let at = text.rfind(name).filter(|_| !name.is_empty())?;
        Some(text.get(..at)?.chars().count() + 1)
    });
    quoted.unwrap_or_else(|| text.chars().take_while(|c| c.is_whitespace()).count() + 1)
}
