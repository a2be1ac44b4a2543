//! Tracing set-up, counters, and the live trace of stanzas.
//!
//! The lowest room of layer 1: it knows no stanza, session or hook, only their names as text.

mod activity;
mod counters;
mod log;
pub mod trace;

pub use activity::Activity;
pub use counters::{Counter, Counters};
pub use log::{LogError, LogSwitch, init};
