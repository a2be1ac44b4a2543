//! Why a script did not do its work, in words for the log and the operator.

use std::fmt;

use mlua::{Error, Lua};

use super::budget::{Trip, What};

/// Bytes of a script's own message that are kept.
const MESSAGE_BYTES: usize = 2048;

/// Stack frames that are looked at for one that belongs to a script.
const FRAMES: usize = 32;

/// The name under which the sandbox's own Lua half is compiled.
pub(super) const PRELUDE: &str = "=sandbox";

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name that the chunk was loaded under.
    pub script: String,
    /// Counted from 1; 0 when Lua could not tell.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.script, self.line)
    }
}

/// What stopped a script.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScriptError {
    /// A call used up its budget.
    #[error("{place}: stopped, {}", match what {
        What::Cpu => "it used up its CPU time",
        What::Instructions => "it used up its instructions",
        What::Memory => "it used up its memory",
    })]
    Budget {
        /// Where the script was.
        place: Place,
        /// Which bound.
        what: What,
    },
    /// The VM's memory is full. The VM is condemned and must be built again.
    #[error(
        "{place}: stopped, out of memory: scripts may hold {limit} bytes, and take a quarter of them in one call"
    )]
    Memory {
        /// Where the script was, as far as Lua could tell.
        place: Place,
        /// The VM's limit in bytes.
        limit: usize,
    },
    /// The script raised an error, or a library function did.
    #[error("{place}: {message}")]
    Lua {
        /// Where it was raised.
        place: Place,
        /// The message without the place.
        message: String,
        /// Lua's stack traceback, many lines.
        traceback: String,
    },
    /// The chunk does not compile.
    #[error("{place}: {message}")]
    Syntax {
        /// Where the compiler stopped.
        place: Place,
        /// What it expected.
        message: String,
    },
    /// The chunk is not Lua text.
    #[error("{script}: compiled Lua is refused, only text is loaded")]
    Bytecode {
        /// The chunk's name.
        script: String,
    },
    /// The chunk is larger than anything a person writes.
    #[error("{script}: {bytes} bytes, a script may have {limit}")]
    TooLarge {
        /// The chunk's name.
        script: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A function waited where nothing can wait for it (`init`, `selftest`).
    #[error("{place}: it waits, but it is called where nothing may wait")]
    Waits {
        /// Where the function is defined.
        place: Place,
    },
    /// The VM could not be set up.
    #[error("the Lua sandbox cannot be built: {0}")]
    Sandbox(String),
}

impl ScriptError {
    /// The script and line to name, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            ScriptError::Budget { place, .. }
            | ScriptError::Memory { place, .. }
            | ScriptError::Lua { place, .. }
            | ScriptError::Syntax { place, .. }
            | ScriptError::Waits { place } => Some(place.clone()),
            ScriptError::Bytecode { script } | ScriptError::TooLarge { script, .. } => {
                Some(Place {
                    script: script.clone(),
                    line: 0,
                })
            }
            ScriptError::Sandbox(_) => None,
        }
    }

    /// The error of a call that ran into a bound.
    pub(super) fn from_trip(trip: Trip, called: &Place, memory: usize) -> ScriptError {
        let place = trip.place.unwrap_or_else(|| called.clone());
        match trip.what {
            What::Memory => ScriptError::Memory {
                place,
                limit: memory,
            },
            what => ScriptError::Budget { place, what },
        }
    }

    /// What mlua reports, with place, message and traceback told apart. `called` is the function that was entered.
    pub(super) fn from_lua(error: &Error, called: &Place) -> ScriptError {
        let report = Report::of(error);
        if let Error::SyntaxError { .. } = root(error) {
            return ScriptError::Syntax {
                place: report.place.unwrap_or_else(|| called.clone()),
                message: report.message,
            };
        }
        ScriptError::Lua {
            place: report.place.unwrap_or_else(|| called.clone()),
            message: report.message,
            traceback: report.traceback,
        }
    }
}

/// An error's parts.
pub(super) struct Report {
    pub(super) place: Option<Place>,
    pub(super) message: String,
    pub(super) traceback: String,
}

impl Report {
    pub(super) fn of(error: &Error) -> Report {
        let mut traceback = String::new();
        let mut at = error;
        loop {
            match at {
                Error::CallbackError {
                    traceback: here,
                    cause,
                } => {
                    if !here.is_empty() {
                        traceback.clone_from(here);
                    }
                    at = cause;
                }
                Error::WithContext { cause, .. } => at = cause,
                _ => break,
            }
        }
        let text = match at {
            Error::RuntimeError(text) | Error::MemoryError(text) => text.clone(),
            Error::SyntaxError { message, .. } => message.clone(),
            other => other.to_string(),
        };
        let text = match text.split_once("\nstack traceback:\n") {
            Some((message, frames)) => {
                // Where the script was; what follows is where its coroutine ended.
                let inner = frames.split("\nstack traceback:\n").next();
                inner.unwrap_or_default().clone_into(&mut traceback);
                message.to_owned()
            }
            None => text,
        };
        let text = without_ours(&text);
        let (place, message) = match split_place(text) {
            Some((place, rest)) => (Some(place), rest),
            None => (traceback.lines().find_map(frame_place), text),
        };
        Report {
            place,
            message: shortened(message),
            traceback,
        }
    }
}

/// The innermost cause.
pub(super) fn root(error: &Error) -> &Error {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => root(cause),
        other => other,
    }
}

/// Whether an allocation failed in there.
pub(super) fn is_memory(error: &Error) -> bool {
    match root(error) {
        Error::MemoryError(_) => true,
        Error::RuntimeError(text) => text.starts_with(OUT_OF_MEMORY),
        _ => false,
    }
}

/// Lua's own message for a failed allocation.
pub(super) const OUT_OF_MEMORY: &str = "not enough memory";

impl Place {
    /// Where the running coroutine is: its innermost frame that belongs to a script.
    pub(super) fn of_stack(lua: &Lua) -> Option<Place> {
        (0..FRAMES)
            .map_while(|level| lua.inspect_stack(level, frame))
            .flatten()
            .next()
    }

    /// Where `function` is defined.
    pub(super) fn of_function(function: &mlua::Function) -> Place {
        let info = function.info();
        Place {
            script: info.short_src.unwrap_or_else(|| "?".into()),
            line: narrow(info.line_defined),
        }
    }
}

fn frame(debug: &mlua::debug::Debug<'_>) -> Option<Place> {
    let source = debug.source();
    let chunk = source.source?;
    if !chunk.starts_with('@') {
        return None;
    }
    Some(Place {
        script: source.short_src?.into_owned(),
        line: narrow(debug.current_line()),
    })
}

fn narrow(line: Option<usize>) -> u32 {
    line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0)
}

/// The message without a place in the sandbox's own Lua half, which tells nobody anything.
pub(super) fn without_ours(text: &str) -> &str {
    match split_place(text) {
        Some((place, rest)) if place.script == ours() => rest,
        _ => text,
    }
}

fn ours() -> &'static str {
    PRELUDE.trim_start_matches('=')
}

/// `NAME:LINE: rest`.
fn split_place(text: &str) -> Option<(Place, &str)> {
    let first = text.lines().next()?;
    for (colon, _) in first.match_indices(':') {
        let Some((digits, _)) = first[colon + 1..].split_once(':') else {
            break;
        };
        let rest = text.get(colon + 2 + digits.len()..)?;
        if let (Ok(line), Some(rest)) = (digits.parse::<u32>(), rest.strip_prefix(' '))
            && colon > 0
        {
            let script = text[..colon].to_owned();
            return Some((Place { script, line }, rest));
        }
    }
    None
}

/// The place in a line of a traceback, `\tNAME:LINE: in ...`, unless it is the sandbox's own.
fn frame_place(line: &str) -> Option<Place> {
    let (place, rest) = split_place(line.trim_start())?;
    let mlua = "__mlua_async_poll";
    (rest.starts_with("in ") && place.script != ours() && place.script != mlua).then_some(place)
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
