//! What behaviour tests stand on: a real stanzad in a directory of its own, and clients that talk XMPP to it.
//!
//! Everything waits for events with a deadline ([`PATIENCE`]); nothing sleeps for luck, no port is fixed.

mod client;
mod managed;
mod peer;
mod program;
mod scram;
mod server;
mod tls;

pub use client::Client;
pub use managed::{Managed, Management, Resumption};
pub use peer::{Login, Loss, Mechanism, Peer, Remains, Via};
pub use program::Program;
pub use server::{Ended, Server, Setup, copy_tree, stanzad};
pub use tls::connection;

use std::time::Duration;

/// How long a test waits for what must happen. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
