//! An XMPP client for one user at a terminal or in a script: `stanzactl chat`.
//!
//! [`Session::start`] connects, proves the server by [`Trust`], logs in and binds; it speaks TLS or not at all. [`Chat`]
//! turns typed lines into stanzas and stanzas into [`Line`]s and does no I/O; [`converse`] drives the two. What a peer
//! wrote reaches a terminal through [`Line`] only, which lets no character through that moves a cursor.

mod chat;
mod error;
mod line;
mod roster;
mod run;
mod session;
mod stream;
mod tls;
mod words;

pub use chat::{Act, Chat};
pub use error::ClientError;
pub use line::{Kind, Line};
pub use run::{Until, converse};
pub use session::{Account, Session};
pub use stream::{Secured, Server};
pub use tls::{Fingerprint, NotAFingerprint, Trust};
