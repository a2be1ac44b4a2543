//! What must hold for any bytes that a peer or a file may send: a module per target, each with a `check` that panics where an
//! invariant breaks.
//!
//! Two callers: the fuzz targets of this crate (`tests/fuzz/run`), and `cargo test` of stanzad, which compiles these files too and
//! replays `tests/fuzz/corpus`. So what a target found is a file there and a test from then on.

pub mod config;
pub mod framer;
pub mod jid;
pub mod oracle;
mod proof;
pub mod sasl;
pub mod stanza;
pub mod stream;

/// A target: its name, which is also that of its corpus, and what it checks.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("framer", framer::check),
    ("stanza", stanza::check),
    ("jid", jid::check),
    ("sasl", sasl::check),
    ("config", config::check),
    ("stream", stream::check),
];
