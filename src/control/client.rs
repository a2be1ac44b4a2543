//! The client's side: finding the daemon, asking it, reading its answers. Blocking, for stanzactl and tests.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::protocol::{REPLY_BYTES, Reply, Request};
use super::{SOCKET_NAME, SOCKET_VARIABLE};

/// Where a daemon is looked for when nobody names a socket.
const PLACES: [&str; 2] = ["./var", "/run/stanzad"];

/// One place that did not answer.
#[derive(Debug)]
pub struct Tried {
    /// The socket.
    pub path: PathBuf,
    /// Who named it.
    pub named_by: &'static str,
    /// Why it did not answer.
    pub why: io::Error,
}

/// No daemon answered.
#[derive(Debug)]
pub struct Unreachable(pub Vec<Tried>);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "no stanzad answers. Tried:")?;
        for tried in &self.0 {
            let Tried {
                path,
                named_by,
                why,
            } = tried;
            write!(out, "\n  {} ({named_by}): {why}", path.display())?;
        }
        let denied = |tried: &Tried| tried.why.kind() == io::ErrorKind::PermissionDenied;
        if self.0.iter().any(denied) {
            write!(
                out,
                "\nA socket is there and this user may not open it: run stanzactl as the daemon's user or in its group."
            )
        } else {
            write!(
                out,
                "\nStart the daemon (`stanzad`, or `cargo run --release` in the repository), or name its socket with \
                 --socket PATH: stanzad prints it when it starts."
            )
        }
    }
}

impl std::error::Error for Unreachable {}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error("the connection to the daemon failed: {0}")]
    Io(#[from] io::Error),
    /// A line that is no reply.
    #[error(
        "the daemon answers what this stanzactl does not understand ({0}): are both of one version?"
    )]
    NotAReply(#[from] serde_json::Error),
    /// A line that is too long.
    #[error("the daemon sent a line of more than {REPLY_BYTES} bytes")]
    TooLong,
    /// The daemon closed before it had finished.
    #[error("the daemon closed the connection before its answer was complete")]
    Broken,
}

/// Opens the daemon's socket: `named` if given, else what the environment names, else the first place that answers. A
/// socket that somebody named is the only one tried: a command must not reach another daemon by accident.
///
/// # Errors
/// Nobody answers anywhere.
pub fn connect(named: Option<&Path>) -> Result<UnixStream, Unreachable> {
    let from_environment = env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty());
    let candidates: Vec<(PathBuf, &'static str)> = match (named, from_environment) {
        (Some(path), _) => vec![(path.to_owned(), "--socket")],
        (None, Some(path)) => vec![(path.into(), SOCKET_VARIABLE)],
        (None, None) => PLACES
            .iter()
            .map(|place| (PathBuf::from(place), "default"))
            .collect(),
    };
    let mut tried = Vec::new();
    for (path, named_by) in candidates {
        let is_place = named_by == "default" || path.is_dir();
        let path = if is_place {
            path.join(SOCKET_NAME)
        } else {
            path
        };
        match UnixStream::connect(&path) {
            Ok(stream) => return Ok(stream),
            Err(why) => tried.push(Tried {
                path,
                named_by,
                why,
            }),
        }
    }
    Err(Unreachable(tried))
}

/// The lines of an answer, as they come; the last is `Done` or `Error`.
pub struct Answers {
    read: BufReader<UnixStream>,
    ended: bool,
}

impl Answers {
    /// Sends `request` and gives its answer.
    ///
    /// # Errors
    /// The socket fails.
    pub fn ask(mut stream: UnixStream, request: &Request) -> Result<Self, ClientError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        Ok(Self {
            read: BufReader::new(stream),
            ended: false,
        })
    }

    fn read_reply(&mut self) -> Result<Reply, ClientError> {
        let mut line = Vec::new();
        (&mut self.read)
            .take(REPLY_BYTES)
            .read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => Ok(serde_json::from_slice(&line)?),
            Some(_) if line.len() as u64 == REPLY_BYTES => Err(ClientError::TooLong),
            _ => Err(ClientError::Broken),
        }
    }
}

impl Iterator for Answers {
    type Item = Result<Reply, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let reply = self.read_reply();
        self.ended = !matches!(reply, Ok(Reply::Row(_)));
        Some(reply)
    }
}
