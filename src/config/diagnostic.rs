//! Diagnostics as people and programs read them.

use std::fmt::{self, Write as _};

use serde_json::json;

use super::fault::{Fault, Severity};
use super::nearest;
use super::source::{Files, Location};
use super::syntax::{Span, SyntaxFault, is_invisible};

/// Diagnostics shown in one run; the others are counted.
pub const MAX_SHOWN: usize = 100;

/// Characters of a source line that are shown.
const MAX_LINE: usize = 120;

/// One mistake at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A short name for programs: `unknown-option`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where, unless the file itself could not be read.
    pub location: Option<Location>,
    /// The line as written, and how many characters of it are meant.
    pub source: Option<(String, usize)>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All mistakes of one run, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Errors and warnings beyond [`MAX_SHOWN`].
    unshown: usize,
    errors: usize,
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<(Fault, Option<Span>)>,
}

impl Report {
    /// Adds a fault at `span`.
    pub(super) fn at(&mut self, span: Span, fault: impl Into<Fault>) {
        self.found.push((fault.into(), Some(span)));
    }

    /// Adds a fault that has no place.
    pub(super) fn nowhere(&mut self, fault: impl Into<Fault>) {
        self.found.push((fault.into(), None));
    }

    /// Whether nothing was found so far that stops a load.
    pub(super) fn is_good(&self) -> bool {
        let errors = |(fault, _): &(Fault, _)| fault.severity() == Severity::Error;
        !self.found.iter().any(errors)
    }

    /// A scope that is written like an option also lacks an `=`: that is one mistake.
    fn one_complaint_each(&mut self) {
        let scopes: Vec<Option<Span>> = self
            .found
            .iter()
            .filter(|(fault, _)| matches!(fault, Fault::ScopeAsOption { .. }))
            .map(|(_, span)| *span)
            .collect();
        self.found.retain(|(fault, span)| {
            let equals = matches!(fault, Fault::Syntax(SyntaxFault::MissingEquals { .. }));
            !equals || !scopes.contains(span)
        });
    }

    /// Sorts by place and looks up the lines.
    pub(super) fn finish(mut self, files: &Files) -> Diagnostics {
        self.one_complaint_each();
        self.found.sort_by_key(|(_, span)| *span);
        // Several scopes may inherit one bad setting: it is still one mistake.
        self.found.dedup_by(|later, first| {
            later.1 == first.1 && later.0.to_string() == first.0.to_string()
        });
        let errors = self
            .found
            .iter()
            .filter(|(fault, _)| fault.severity() == Severity::Error)
            .count();
        let unshown = self.found.len().saturating_sub(MAX_SHOWN);
        // Errors first when not all fit: a flood of warnings must not hide why nothing was loaded.
        if unshown > 0 {
            self.found.sort_by_key(|(fault, _)| fault.severity());
            self.found.truncate(MAX_SHOWN);
        }
        Diagnostics {
            list: self
                .found
                .iter()
                .map(|(fault, span)| diagnose(fault, *span, files))
                .collect(),
            unshown,
            errors,
        }
    }
}

fn diagnose(fault: &Fault, span: Option<Span>, files: &Files) -> Diagnostic {
    let place = span.and_then(|span| {
        let (location, line) = files.locate(span.file, span.start)?;
        let text = &files.get(span.file)?.text;
        let meant = text.get(span.start..span.end).unwrap_or_default();
        let width = meant.lines().next().unwrap_or_default().chars().count();
        Some((location, (hide_secrets(line), width.max(1))))
    });
    let (location, source) = place.unzip();
    Diagnostic {
        severity: fault.severity(),
        code: fault.code(),
        message: fault.to_string(),
        location,
        source,
        hint: fault.hint(),
    }
}

impl Diagnostics {
    /// The diagnostics, at most [`MAX_SHOWN`].
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many errors there are, the ones not shown included.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are, the ones not shown included.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.list
            .len()
            .saturating_add(self.unshown)
            .saturating_sub(self.errors)
    }

    /// The text for a person; with ANSI colours for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.list {
            // Writing to a String cannot fail.
            let _ = diagnostic.write(&mut out, colour);
            out.push('\n');
        }
        if self.unshown > 0 {
            let _ = writeln!(out, "and {} more\n", self.unshown);
        }
        let _ = writeln!(
            out,
            "{}, {}",
            counted(self.errors, "error"),
            counted(self.warnings(), "warning")
        );
        out
    }

    /// The same for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let list: Vec<serde_json::Value> = self.list.iter().map(Diagnostic::to_json).collect();
        json!({
            "errors": self.errors,
            "warnings": self.warnings(),
            "unshown": self.unshown,
            "diagnostics": list,
        })
    }
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The plain text.
impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn to_json(&self) -> serde_json::Value {
        json!({
            "severity": self.severity.name(),
            "code": self.code,
            "message": self.message,
            "file": self.location.as_ref().map(|at| at.file.as_str()),
            "line": self.location.as_ref().map(|at| at.line),
            "column": self.location.as_ref().map(|at| at.column),
            "source": self.source.as_ref().map(|(line, _)| line.as_str()),
            "hint": self.hint,
        })
    }

    fn write(&self, out: &mut String, colour: bool) -> fmt::Result {
        let (strong, bold, plain) = match (colour, self.severity) {
            (false, _) => ("", "", ""),
            (true, Severity::Error) => ("\x1b[1;31m", "\x1b[1m", "\x1b[0m"),
            (true, Severity::Warning) => ("\x1b[1;33m", "\x1b[1m", "\x1b[0m"),
        };
        if let Some(at) = &self.location {
            write!(out, "{bold}{}:{}:{}:{plain} ", at.file, at.line, at.column)?;
        }
        writeln!(
            out,
            "{strong}{}:{plain} {}",
            self.severity.name(),
            shown(&self.message)
        )?;
        if let (Some(at), Some((line, width))) = (&self.location, &self.source) {
            let (line, column) = window(line, at.column);
            let number = at.line.to_string();
            let gutter = " ".repeat(number.len());
            let room = line.chars().count().saturating_sub(column).max(1);
            let carets = "^".repeat((*width).min(room));
            let indent = " ".repeat(column);
            writeln!(out, " {number} | {line}")?;
            writeln!(out, " {gutter} | {indent}{strong}{carets}{plain}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(out, "   = {}", shown(hint)),
            None => Ok(()),
        }
    }
}

/// Parts of names whose values are nobody's business.
const SECRETS: [&str; 4] = ["secret", "passw", "passphrase", "token"];

/// The words that are meant by parts of misspelt names.
const MEANT: [&str; 4] = ["secret", "password", "passphrase", "token"];

/// Whether what is set by `name` is nobody's business.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let meant = |part| nearest(part, MEANT).is_some();
    SECRETS.iter().any(|part| name.contains(part)) || name.split('_').any(meant)
}

/// Where the first such name in `line` from `start` on ends.
fn secret_name(line: &str, start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        let of_name = |c: char| c.is_alphanumeric() || c == '_';
        let begin = at.saturating_add(rest.find(of_name)?);
        let name = line.get(begin..).unwrap_or_default();
        let length = name.find(|c| !of_name(c)).unwrap_or(name.len());
        at = begin.saturating_add(length);
        if name.get(..length).is_some_and(names_secret) {
            return Some(at);
        }
    }
    None
}

/// The line with stars in place of what looks like a secret: diagnostics go to the log, too.
fn hide_secrets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut done = 0_usize;
    while let Some(name_end) = secret_name(line, done) {
        let behind = line.get(name_end..).unwrap_or_default();
        let value = behind.trim_start_matches([' ', '\t', '=', ':']);
        let between = behind.len().saturating_sub(value.len());
        let between = behind.get(..between).unwrap_or_default();
        // `/etc/passwd"` sets nothing; with the `=` forgotten a string may be a value still.
        let sets = between.contains(['=', ':']) || (!between.is_empty() && value.starts_with('"'));
        let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
        let start = if sets {
            line.len().saturating_sub(value.len())
        } else {
            line.len().saturating_sub(behind.len())
        };
        let quoted = line
            .get(..start)
            .is_some_and(|before| before.ends_with('"'));
        let end = if quoted {
            value.find('"')
        } else {
            value.find(|c: char| c.is_whitespace() || c == '}')
        };
        let end = end.filter(|_| sets);
        let end = start.saturating_add(end.unwrap_or(if sets { value.len() } else { 0 }));
        out.push_str(line.get(done..start).unwrap_or_default());
        let hidden = line.get(start..end).unwrap_or_default();
        out.extend(hidden.chars().map(|_| '*'));
        done = end;
    }
    out.push_str(line.get(done..).unwrap_or_default());
    out
}

/// Nothing in a file may steer the terminal: control and invisible characters become `?`, tabs one blank.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' => ' ',
            c if c.is_control() || is_invisible(c) => '?',
            c => c,
        })
        .collect()
}

/// The part of a long line around `column` (from 1), and how far in the column then is (from 0).
fn window(line: &str, column: usize) -> (String, usize) {
    let column = column.saturating_sub(1);
    let start = column.saturating_sub(MAX_LINE / 2);
    let start = if line.chars().count() <= MAX_LINE {
        0
    } else {
        start
    };
    let part: String = line.chars().skip(start).take(MAX_LINE).collect();
    (shown(&part), column.saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = hide_secrets(r#"a { XMPP_Dialback_Secret = "s3 cr" x = 1 Passwort = abc }"#);
        assert_eq!(
            shown,
            r#"a { XMPP_Dialback_Secret = "*****" x = 1 Passwort = *** }"#
        );
        for open in ["secret", "uri = \"/etc/passwd\" }", "the secret of it"] {
            assert_eq!(hide_secrets(open), open);
        }
        assert_eq!(hide_secrets("secret \"a\""), "secret \"*\"");
        assert_eq!(hide_secrets("x_secret = \"open"), "x_secret = \"****");
        assert_eq!(hide_secrets("é = 1"), "é = 1");
        for typo in [
            "Secert",
            "XMPP_Dialback_Sercet",
            "pasword",
            "tokn",
            "geheim_secret_",
        ] {
            let shown = hide_secrets(&format!("{typo} = \"abc\" x = 1"));
            assert_eq!(shown, format!("{typo} = \"***\" x = 1"));
        }
        for other in ["server", "listen", "domain", "timeout", "tls_certificate"] {
            let line = format!("{other} = abc");
            assert_eq!(hide_secrets(&line), line);
        }
    }
}
