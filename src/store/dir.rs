//! The data directory: made for its owner only, and held by one daemon at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// The file whose lock means "in use". Its content, the holder's process number, only serves messages.
const LOCK_FILE: &str = "stanzad.lock";
/// A process number fits; anything longer was not written by us.
const LOCK_BYTES: u64 = 16;
const OWNER_ONLY_DIR: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

/// A data directory that this process holds until this is dropped (or the process ends, however it ends).
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing (0700) and takes its lock.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another daemon has it, [`StoreError::Io`].
    pub(super) fn hold(path: &Path) -> Result<DataDir, StoreError> {
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(OWNER_ONLY_DIR)
                .create(path)
                .map_err(|e| StoreError::io("cannot create the data directory", path, e))?;
        }
        let lock_path = path.join(LOCK_FILE);
        let mut lock = owner_only(&lock_path)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked {
                    dir: path.to_owned(),
                    pid: read_pid(&mut lock),
                });
            }
            Err(e) => return Err(StoreError::io("cannot lock", &lock_path, e.into())),
        }
        write_pid(&mut lock).map_err(|e| StoreError::io("cannot write", &lock_path, e))?;
        Ok(DataDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the file where it is missing, and its owner's only (0600) in any case.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        owner_only(&path)?;
        Ok(path)
    }

    /// Makes the names of new files in the directory durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| StoreError::io("cannot sync the directory", &self.path, e))
    }
}

fn owner_only(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY_FILE)
        .open(path)
        .map_err(|e| StoreError::io("cannot open", path, e))?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY_FILE))
        .map_err(|e| StoreError::io("cannot set the permissions of", path, e))?;
    Ok(file)
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(LOCK_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}
