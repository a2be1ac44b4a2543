//! The operator's console over a unix socket: commands, tables, JSON.
//!
//! One request a connection: a line of JSON that names a row of [`COMMANDS`], answered by lines of JSON ([`Reply`]).
//! The table makes `help`, stanzactl's usage and `docs/console.md`. What a command does is a [`Backend`], implemented by
//! the composition root; this room knows the protocol, its bounds, and how answers look to people.

mod backend;
mod client;
mod command;
mod completion;
mod dispatch;
mod listener;
mod local;
#[cfg(test)]
mod manual;
mod nearest;
mod protocol;
mod queue;
mod refused;
mod render;
mod roster;
mod shape;
#[cfg(test)]
mod tests;

pub use backend::{
    Backend, CertificateRow, ChangeRow, ComponentRow, ConfigReport, Deleted, HandlerRow, HookRow,
    Imported, InviteRow, Listening, NewInvite, Reloaded, ScriptPage, ScriptRow, SessionRow,
    SettingReport, SettingRow, Summary, UserRow,
};
pub use client::{Answers, ClientError, Tried, Unreachable, connect};
pub use command::{COMMANDS, Command, GROUPS};
pub use listener::{BindError, Listener};
pub use local::answer_here;
pub use protocol::{Complaint, Reply, Request, unknown};
pub use queue::{Attempt, GivenUp, QueueRow, QueueStanza, QueueTotal, Thrown, Waiting};
pub use refused::{Failure, Refused};
pub use render::{shown, trace};
pub use roster::BadRecord;
pub use shape::{Answer, Arg, ArgKind};

/// The socket's name in a data or run directory.
pub const SOCKET_NAME: &str = "stanzad.sock";
/// The environment variable that names the socket to stanzactl.
pub const SOCKET_VARIABLE: &str = "STANZAD_SOCKET";
