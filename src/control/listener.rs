//! The socket: who may connect, one request a connection, every wait with a deadline.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::backend::Backend;
use super::command::Command;
use super::dispatch::{self, Outcome};
use super::protocol::{self, REQUEST_BYTES, Reply, Request};
use super::shape::ArgKind;
use crate::observe::trace::Watch;

/// Connections served at a time; more wait in the socket's backlog.
const CONNECTIONS: usize = 32;
/// How long a client may take to send its request, and to take one line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The mode of a directory that we make for the socket.
const DIRECTORY_MODE: u32 = 0o750;

/// Why the console's socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error(
        "{path} is the console of a stanzad that runs: stop it, or give this one a data directory of its own (--data DIR)"
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file that is no socket.
    #[error(
        "{path} is there and is no socket: move it away, or name another path in control_listener"
    )]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system said no.
    #[error("cannot open the console's socket {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The console's socket, open. Its file goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    /// Device and inode: we remove only what we made.
    file: (u64, u64),
    socket: UnixListener,
}

impl Listener {
    /// Opens `path` with the permissions `mode`, making its directory if need be. A socket left behind by a dead daemon is
    /// replaced; one that answers is not. Must run inside a runtime.
    ///
    /// # Errors
    /// Somebody answers there, a file stands there, or the system says no.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            && !directory.exists()
        {
            fs::create_dir_all(directory).map_err(failed)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(DIRECTORY_MODE))
                .map_err(failed)?;
        }
        clear(path)?;
        let socket = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
        let made = fs::symlink_metadata(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file: (made.dev(), made.ino()),
            socket,
        })
    }

    /// Serves until it is dropped, connections included. Must run inside a `LocalSet` or a `LocalRuntime`.
    pub async fn serve<B: Backend>(self, backend: Rc<B>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let backend = Rc::clone(&backend);
                    connections.spawn_local(async move {
                        if let Err(error) = converse(stream, &*backend).await {
                            debug!(%error, "console connection ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "console cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, "console socket stays behind");
        }
    }
}

/// Removes a socket at `path` that nobody serves.
fn clear(path: &Path) -> Result<(), BindError> {
    let path_owned = || path.to_owned();
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(BindError::Io {
                path: path_owned(),
                source,
            });
        }
        Ok(found) => found,
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path_owned() });
    }
    match Probe::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|source| BindError::Io {
                path: path_owned(),
                source,
            }),
        Ok(_) => Err(BindError::InUse { path: path_owned() }),
        // A full backlog, or a socket of somebody else: not ours to remove.
        Err(source) => Err(BindError::Io {
            path: path_owned(),
            source,
        }),
    }
}

/// One request and its answer.
async fn converse<B: Backend>(stream: UnixStream, backend: &B) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    let mut asked = (&mut read).take(REQUEST_BYTES);
    if timeout(PATIENCE, asked.read_until(b'\n', &mut line)).await?? == 0 {
        return Ok(());
    }
    let (command, request) = match protocol::parse(&line) {
        Ok(parsed) => parsed,
        Err(fault) => return send(&mut write, &fault.into_reply()).await,
    };
    info!(
        command = command.name,
        args = %shown(command, &request),
        uid = peer.uid(),
        pid = peer.pid(),
        "console command"
    );
    match dispatch::run(backend, command.verb, &request).await {
        Err(fault) => send(&mut write, &fault.into_reply()).await,
        Ok(Outcome::Record(value)) => send(&mut write, &Reply::Done(value)).await,
        Ok(Outcome::Rows(rows)) => send_rows(&mut write, rows, Value::Null).await,
        Ok(Outcome::Page(rows)) => send_rows(&mut write, rows, json!({ "more": true })).await,
        Ok(Outcome::Live(watch)) => follow(watch, &mut read, &mut write).await,
        Ok(Outcome::Shutdown) => {
            let sent = send(&mut write, &Reply::Done(json!({}))).await;
            backend.shutdown();
            sent
        }
    }
}

/// Sends records as they come until the client closes its side.
async fn follow(
    mut watch: Watch,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    // The client knows from this empty row that the watch is set: what it does next is seen.
    send(write, &Reply::Row(Value::Null)).await?;
    let mut ignored = [0_u8; 64];
    loop {
        tokio::select! {
            record = watch.next() => match record {
                Some(record) => {
                    let row = dispatch::trace_row(&record, watch.take_missed());
                    send(write, &Reply::Row(row)).await?;
                }
                None => return Ok(()),
            },
            got = read.read(&mut ignored) => if got? == 0 {
                return Ok(());
            },
        }
    }
}

async fn send_rows(write: &mut OwnedWriteHalf, rows: Vec<Value>, end: Value) -> io::Result<()> {
    for row in rows {
        send(write, &Reply::Row(row)).await?;
    }
    send(write, &Reply::Done(end)).await
}

async fn send(write: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(PATIENCE, write.write_all(&line)).await?
}

/// The arguments for the log, secrets and files left out.
fn shown(command: &Command, request: &Request) -> String {
    let shown: Vec<&str> = command
        .args
        .iter()
        .filter(|arg| !matches!(arg.kind, ArgKind::Secret | ArgKind::Content))
        .filter_map(|arg| request.args.get(arg.name).map(String::as_str))
        .collect();
    shown.join(" ")
}
