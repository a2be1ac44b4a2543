//! Where a configuration comes from, and the files that it was read from.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::syntax::Span;

/// The shipped `etc/stanzad.conf`.
pub const BUILT_IN: &str = include_str!("../../etc/stanzad.conf");

/// Where a configuration is looked for when `-c FILE` does not say, in this order; the shipped one comes last.
pub const SEARCHED: [&str; 2] = ["etc/stanzad.conf", "/etc/stanzad/stanzad.conf"];

/// Files that one configuration may consist of.
pub(super) const MAX_FILES: usize = 1000;

/// The largest file that is read.
pub(super) const MAX_FILE_BYTES: u64 = 4 << 20;

/// How many includes may be open inside each other.
pub(super) const MAX_INCLUDE_DEPTH: usize = 16;

/// Where the text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(PathBuf),
    /// The shipped `etc/stanzad.conf`, compiled in.
    BuiltIn,
    /// Text in memory, under this name; its includes are relative to the working directory.
    Text {
        /// How diagnostics call it.
        name: String,
        /// The text.
        text: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(out),
            Origin::BuiltIn => out.write_str("built in"),
            Origin::Text { name, .. } => out.write_str(name),
        }
    }
}

/// What to load: the text, and what the command line sets above it. Loading the same source again is a reload.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the text comes from.
    pub origin: Origin,
    /// `--data DIR`: goes before the option `data_dir`.
    pub data_dir: Option<PathBuf>,
}

impl Source {
    /// The file that `-c` names, else the first of [`SEARCHED`] that exists, else the shipped one.
    #[must_use]
    pub fn find(file: Option<PathBuf>, data_dir: Option<PathBuf>) -> Source {
        let found = file.or_else(|| {
            SEARCHED
                .iter()
                .map(PathBuf::from)
                .find(|path| path.is_file())
        });
        Source {
            origin: found.map_or(Origin::BuiltIn, Origin::File),
            data_dir,
        }
    }

    /// The shipped configuration.
    #[must_use]
    pub fn built_in() -> Source {
        Source {
            origin: Origin::BuiltIn,
            data_dir: None,
        }
    }

    /// A text in memory.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Source {
        Source {
            origin: Origin::Text {
                name: name.to_owned(),
                text: text.to_owned(),
            },
            data_dir: None,
        }
    }
}

/// One file read.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// How diagnostics call it.
    pub(super) name: String,
    /// The directory that its relative paths start at.
    pub(super) dir: PathBuf,
    pub(super) text: String,
}

/// Every file read, in reading order.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    list: Vec<File>,
}

/// A place in a file as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or `built in`.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// Why a file cannot be read as configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFault {
    #[error("cannot read {path}: {cause}")]
    Io { path: String, cause: std::io::Error },
    #[error("{path} is not UTF-8 text (byte {at})")]
    NotText { path: String, at: usize },
    #[error("{path} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: String },
}

impl Files {
    /// Takes a file in and gives its number.
    pub(super) fn add(&mut self, file: File) -> usize {
        self.list.push(file);
        self.list.len().saturating_sub(1)
    }

    /// Takes all of `other` in, `mark` behind each name; gives the number of the first.
    pub(super) fn append(&mut self, other: &Files, mark: &str) -> usize {
        let offset = self.list.len();
        self.list.extend(other.list.iter().map(|file| File {
            name: format!("{}{mark}", file.name),
            ..file.clone()
        }));
        offset
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&File> {
        self.list.get(number)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|file| file.name.as_str())
    }

    /// The part of a scalar's text, in bytes, as a place in its file. The whole, if escapes stand between.
    pub(super) fn part(&self, whole: Span, part: Range<usize>) -> Span {
        let file = self.get(whole.file);
        let written = file.and_then(|file| file.text.get(whole.start..whole.end));
        let written = written.unwrap_or_default();
        if ["\\n", "\\r", "\\t", "\\\\", "\\\""]
            .iter()
            .any(|escape| written.contains(escape))
        {
            return whole;
        }
        let quoted = usize::from(written.starts_with('"'));
        let start = whole.start.saturating_add(quoted);
        Span {
            start: start.saturating_add(part.start).min(whole.end),
            end: start.saturating_add(part.end).min(whole.end),
            ..whole
        }
    }

    /// Where byte `at` of file number `number` is, and the text of its line.
    pub(super) fn locate(&self, number: usize, at: usize) -> Option<(Location, &str)> {
        let file = self.get(number)?;
        let before = file.text.get(..at)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = file.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let location = Location {
            file: file.name.clone(),
            line: before.matches('\n').count().saturating_add(1),
            column: before
                .get(start..)
                .unwrap_or_default()
                .chars()
                .count()
                .saturating_add(1),
        };
        Some((location, line.trim_end_matches('\r')))
    }
}

/// Reads one file, bounded.
pub(super) fn read(path: &Path) -> Result<File, ReadFault> {
    use std::io::Read;
    let name = || path.display().to_string();
    let io = |cause| ReadFault::Io {
        path: name(),
        cause,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(io)?
        .take(MAX_FILE_BYTES.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(ReadFault::TooLarge { path: name() });
    }
    let text = String::from_utf8(bytes).map_err(|fault| ReadFault::NotText {
        path: name(),
        at: fault.utf8_error().valid_up_to(),
    })?;
    Ok(File {
        name: name(),
        dir: path.parent().unwrap_or(Path::new("")).to_owned(),
        text,
    })
}
