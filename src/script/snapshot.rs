//! All script files of one moment, read once: every worker builds its VM from the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{OnError, Script, ScriptLimits};

use super::settings::Settings;

/// Most `.lua` files below a script directory.
const MAX_FILES: usize = 1_000;
/// Largest script file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Largest sum of all script files, in bytes.
const MAX_TOTAL_BYTES: u64 = 16 << 20;
/// How deep directories of scripts may nest.
const MAX_DIR_DEPTH: usize = 8;
/// Stubs for editors live here; the engine does not read them.
const STUBS_DIR: &str = "types";

/// The scripts that ship, by path below `scripts/`. A test compares them with the files.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("bot.lua", include_str!("../../scripts/bot.lua")),
    (
        "chatstates.lua",
        include_str!("../../scripts/chatstates.lua"),
    ),
    ("dialplan.lua", include_str!("../../scripts/dialplan.lua")),
    ("fanout.lua", include_str!("../../scripts/fanout.lua")),
    (
        "msys/attendant.lua",
        include_str!("../../scripts/msys/attendant.lua"),
    ),
    ("msys/boot.lua", include_str!("../../scripts/msys/boot.lua")),
    ("msys/bot.lua", include_str!("../../scripts/msys/bot.lua")),
    (
        "msys/dialplan.lua",
        include_str!("../../scripts/msys/dialplan.lua"),
    ),
    (
        "msys/fanout.lua",
        include_str!("../../scripts/msys/fanout.lua"),
    ),
    (
        "msys/xmpp/presence.lua",
        include_str!("../../scripts/msys/xmpp/presence.lua"),
    ),
    ("msys/xmpp.lua", include_str!("../../scripts/msys/xmpp.lua")),
];

/// Why the script files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One file is larger than a script may be.
    #[error("{path} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The directory holds more than it may.
    #[error("{path} holds more than {MAX_FILES} scripts or {MAX_TOTAL_BYTES} bytes of them")]
    TooMany {
        /// Which directory.
        path: PathBuf,
    },
}

/// One script file.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its name in messages: the path below the script directory, or the absolute path.
    pub(super) name: Arc<str>,
    /// Its text.
    pub(super) text: Bytes,
}

/// The files of one moment, and what to do with them.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// By path below the script directory (`msys/xmpp.lua`), or absolute path.
    files: BTreeMap<String, Source>,
    /// The scriptlets, in configuration order.
    pub(super) scripts: Vec<Script>,
    /// The domains of the server.
    pub(super) domains: Vec<String>,
    /// What they may take.
    pub(super) limits: ScriptLimits,
}

impl Snapshot {
    /// Reads every script once. A file that is empty is most likely half saved: its text of `before` is kept.
    pub(super) fn read(
        settings: &Settings,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, SnapshotError> {
        let mut files: BTreeMap<String, Source> = BTreeMap::new();
        for (path, text) in BUILT_IN {
            files.insert((*path).to_owned(), source(path, text.as_bytes()));
        }
        let mut total = 0;
        if let Some(dir) = settings.dir.as_deref().filter(|dir| dir.is_dir()) {
            let mut found = Vec::new();
            list(dir, 0, &mut found)?;
            for path in found {
                let Ok(below) = path.strip_prefix(dir) else {
                    continue;
                };
                let key = below.to_string_lossy().into_owned();
                add(&mut files, &mut total, key, &path, before)?;
            }
            if total > MAX_TOTAL_BYTES {
                return Err(SnapshotError::TooMany {
                    path: dir.to_owned(),
                });
            }
        }
        for spec in &settings.scripts {
            if let Some(path) = absolute(&spec.source) {
                let key = path.to_string_lossy().into_owned();
                if !files.contains_key(&key) {
                    add(&mut files, &mut total, key, &path, before)?;
                }
            }
        }
        Ok(Snapshot {
            files,
            scripts: settings.scripts.clone(),
            domains: settings.domains.clone(),
            limits: settings.limits.clone(),
        })
    }

    /// The file that `name` means in a `source` or a `require`: dots and slashes separate, `.lua` may be left out.
    pub(super) fn find(&self, name: &str) -> Option<&Source> {
        if let Some(path) = absolute(name) {
            return self.files.get(path.to_string_lossy().as_ref());
        }
        let stem = name.strip_suffix(".lua").unwrap_or(name).replace('.', "/");
        self.files
            .get(&format!("{stem}.lua"))
            .or_else(|| self.files.get(&format!("{stem}/init.lua")))
    }

    /// The file of that [`Source::name`], which Lua may have cut at its front: `...end/of/it.lua`.
    pub(super) fn by_name(&self, name: &str) -> Option<&Source> {
        match name.strip_prefix("...") {
            Some(end) => self
                .files
                .iter()
                .find(|(key, _)| key.ends_with(end))
                .map(|(_, source)| source),
            None => self.files.get(name),
        }
    }

    /// Names of files that differ from `before`, gone ones included.
    pub(super) fn changed_since(&self, before: &Snapshot) -> Vec<String> {
        let mut changed: Vec<String> = self
            .files
            .iter()
            .filter(|(key, source)| {
                before.files.get(*key).map(|old| &old.text) != Some(&source.text)
            })
            .map(|(key, _)| key.clone())
            .collect();
        changed.extend(
            before
                .files
                .keys()
                .filter(|key| !self.files.contains_key(*key))
                .cloned(),
        );
        changed
    }

    /// A number that differs when anything in the snapshot differs.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (key, source) in &self.files {
            key.hash(&mut hasher);
            source.text.hash(&mut hasher);
        }
        for spec in &self.scripts {
            (
                &spec.name,
                &spec.source,
                spec.required,
                spec.on_error == OnError::Reject,
            )
                .hash(&mut hasher);
        }
        self.domains.hash(&mut hasher);
        let limits = &self.limits;
        (limits.cpu_budget, limits.memory, limits.hook_wait).hash(&mut hasher);
        (limits.old_generations, limits.old_generation_time).hash(&mut hasher);
        hasher.finish()
    }

    /// Names of every file, for "did you mean".
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// Directories and files to watch for `settings`: the script directory, and each absolute source's directory.
pub(super) fn watched(settings: &Settings) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = settings
        .dir
        .iter()
        .filter(|dir| dir.is_dir())
        .cloned()
        .collect();
    for spec in &settings.scripts {
        if let Some(parent) = absolute(&spec.source).as_deref().and_then(Path::parent)
            && !paths.iter().any(|have| parent.starts_with(have))
        {
            paths.push(parent.to_owned());
        }
    }
    paths
}

fn absolute(source: &str) -> Option<PathBuf> {
    let path = Path::new(source);
    path.is_absolute().then(|| {
        if path.extension().is_some_and(|have| have == "lua") {
            path.to_owned()
        } else {
            let mut name = path.as_os_str().to_owned();
            name.push(".lua");
            PathBuf::from(name)
        }
    })
}

fn source(name: &str, text: &[u8]) -> Source {
    Source {
        name: name.into(),
        text: Bytes::copy_from_slice(text),
    }
}

fn list(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), SnapshotError> {
    let refused = |source| SnapshotError::Read {
        path: dir.to_owned(),
        source,
    };
    for entry in fs::read_dir(dir).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let path = entry.path();
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        if hidden || (depth == 0 && name == STUBS_DIR) {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DIR_DEPTH {
                list(&path, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|have| have == "lua") {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(SnapshotError::TooMany {
                path: dir.to_owned(),
            });
        }
    }
    Ok(())
}

fn add(
    files: &mut BTreeMap<String, Source>,
    total: &mut u64,
    key: String,
    path: &Path,
    before: Option<&Snapshot>,
) -> Result<(), SnapshotError> {
    let refused = |source| SnapshotError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        // Gone between listing and reading: an editor renames.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !Path::new(&key).is_absolute() => {
            return Ok(());
        }
        Err(error) => return Err(refused(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(refused)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(SnapshotError::TooLarge {
            path: path.to_owned(),
        });
    }
    *total += text.len() as u64;
    if !text.is_empty() {
        files.insert(key.clone(), source(&key, &text));
    } else if let Some(old) = before.and_then(|before| before.files.get(&key)) {
        files.insert(key, old.clone());
    }
    Ok(())
}
