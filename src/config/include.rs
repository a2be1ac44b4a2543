//! The files that a configuration consists of beside the first: includes, directories, the file of local changes.

use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::merge::{Includes, Reader};
use super::scope::Scope;
use super::source::{MAX_FILES, MAX_INCLUDE_DEPTH, ReadFault, read};
use super::syntax::{Scalar, Span};
use super::table;
use super::value::Value;

/// What editors and package managers leave beside the files that they change.
const LEFT_BEHIND: [&str; 12] = [
    "~",
    "#",
    ".bak",
    ".old",
    ".orig",
    ".rej",
    ".save",
    ".swp",
    ".tmp",
    ".dpkg-new",
    ".dpkg-dist",
    ".rpmsave",
];
const LEFT_BEHIND_TOO: [&str; 4] = [".dpkg-old", ".dpkg-tmp", ".rpmnew", ".rpmorig"];

/// The files read so far, by their real path.
#[derive(Default)]
pub(super) struct Opened {
    /// Those being read now, to notice loops.
    now: Vec<PathBuf>,
    /// Every one.
    ever: Vec<PathBuf>,
}

impl Opened {
    /// The first file.
    pub(super) fn main(&mut self, path: &Path) {
        let real = path.canonicalize().ok();
        self.now.extend(real.clone());
        self.ever.extend(real);
    }
}

impl Reader {
    /// A file in place, or every visible file of a directory in lexical order.
    pub(super) fn include(&mut self, path: &Scalar, scope: &mut Scope) {
        if let Some((scheme, behind)) = path.text.split_once("://") {
            let fault = Fault::IncludeUri {
                uri: path.text.clone(),
                path: (scheme == "file").then(|| behind.to_owned()),
            };
            self.report.at(path.span, fault);
            return;
        }
        let target = self.beside(path.span.file, &path.text);
        if !target.is_dir() {
            self.include_file(&target, path.span, scope);
            return;
        }
        match listing(&target) {
            Ok(paths) => {
                for each in paths {
                    self.include_file(&each, path.span, scope);
                }
            }
            Err(cause) => self.report.at(
                path.span,
                ReadFault::Io {
                    path: target.display().to_string(),
                    cause,
                },
            ),
        }
    }

    /// A path, relative to the file in which it stands.
    fn beside(&self, file: usize, path: &str) -> PathBuf {
        let base = self.files.get(file).map(|file| &file.dir);
        base.map_or_else(|| PathBuf::from(path), |dir| dir.join(path))
    }

    fn include_file(&mut self, path: &Path, at: Span, scope: &mut Scope) {
        let shown = || path.display().to_string();
        let real = match regular(path) {
            Ok(real) => real,
            Err(fault) => {
                self.report.at(at, fault);
                return;
            }
        };
        let fault = if self.opened.now.contains(&real) {
            Fault::IncludeLoop { path: shown() }
        } else if self.opened.now.len() >= MAX_INCLUDE_DEPTH {
            Fault::IncludeDepth {
                max: MAX_INCLUDE_DEPTH,
            }
        } else if self.files.len() >= MAX_FILES {
            Fault::TooManyFiles { max: MAX_FILES }
        } else {
            match read(path) {
                Ok(file) => {
                    self.opened.now.push(real.clone());
                    self.opened.ever.push(real);
                    self.file(file, scope);
                    self.opened.now.pop();
                    return;
                }
                Err(fault) => fault.into(),
            }
        };
        self.report.at(at, fault);
    }

    /// `Local_Changes_File`: behind everything else. That it does not exist yet is no fault.
    pub(super) fn local_changes(&mut self, root: &mut Scope) {
        let Some(setting) = root.get(&table::LOCAL_CHANGES_FILE).cloned() else {
            return;
        };
        let Value::Text(text) = &setting.value else {
            return;
        };
        let path = self.beside(setting.at.file, text);
        if self.includes == Includes::Ignore || !path.exists() {
            return;
        }
        let read_before = path
            .canonicalize()
            .is_ok_and(|real| self.opened.ever.contains(&real));
        if read_before {
            let path = path.display().to_string();
            self.report
                .at(setting.at, Fault::LocalChangesIncluded { path });
            return;
        }
        self.include_file(&path, setting.at, root);
        let now = root.get(&table::LOCAL_CHANGES_FILE);
        if let Some(moved) = now.filter(|now| now.at != setting.at) {
            self.report.at(moved.at, Fault::LocalChangesMoved);
        }
    }
}

/// The real path of a regular file. Anything else could keep the reader waiting for ever.
fn regular(path: &Path) -> Result<PathBuf, Fault> {
    let io = |cause| {
        let path = path.display().to_string();
        Fault::from(ReadFault::Io { path, cause })
    };
    let real = path.canonicalize().map_err(io)?;
    if real.metadata().map_err(io)?.is_file() {
        Ok(real)
    } else {
        let path = path.display().to_string();
        Err(Fault::NotAFile { path })
    }
}

/// The files of a directory that count: neither hidden nor left behind, no directories, in lexical order of their bytes.
fn listing(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A link that leads nowhere is kept, to be complained about.
        let counts = path.is_file() || !path.exists();
        if !name.starts_with('.') && !is_left_behind(&name) && counts {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_left_behind(name: &str) -> bool {
    let mut ends = LEFT_BEHIND.iter().chain(&LEFT_BEHIND_TOO);
    ends.any(|end| name.ends_with(end))
}
