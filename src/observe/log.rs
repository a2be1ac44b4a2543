//! The log: one subscriber per process, to standard error.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Why the log could not be set up, or its filter not be changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not in the language of `tracing_subscriber::EnvFilter`.
    #[error("log filter `{given}`: {source}; it reads like `info` or `info,stanzad::script=debug`")]
    Filter {
        /// The filter as given.
        given: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something in this process logs already.
    #[error("a log is already set up in this process")]
    Taken,
    /// The subscriber is gone.
    #[error("the log's filter cannot be changed: {0}")]
    Gone(tracing_subscriber::reload::Error),
}

/// Changes what is logged while the daemon runs.
pub struct LogSwitch {
    change: Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>,
}

impl LogSwitch {
    /// Logs what passes `filter` from now on.
    ///
    /// # Errors
    /// A filter that cannot be parsed; the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        (self.change)(parse(filter)?).map_err(LogError::Gone)
    }
}

impl fmt::Debug for LogSwitch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LogSwitch")
    }
}

/// Sends events that pass `filter` to standard error: on a terminal in colour, elsewhere with the module that speaks.
///
/// # Errors
/// A filter that cannot be parsed, or a subscriber that is already there.
pub fn init(filter: &str) -> Result<LogSwitch, LogError> {
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(!terminal)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.try_init().map_err(|_| LogError::Taken)?;
    Ok(LogSwitch {
        change: Box::new(move |filter| handle.reload(filter)),
    })
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter {
            given: filter.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_filter_is_named() {
        let error = parse("stanzad=loud").unwrap_err().to_string();
        assert!(error.starts_with("log filter `stanzad=loud`: "), "{error}");
        assert!(parse("info,stanzad::script=debug").is_ok());
    }
}
