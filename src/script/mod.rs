//! Lua: VMs, generations, budgets, hot reload. The only module that names mlua.
//!
//! A [`Coordinator`] on the control thread reads the script files and brings generations live; an [`Engine`] per worker
//! is a handler on that worker's bus. What scripts see of the server comes through [`Host`]; what they can call, through
//! [`Module`]s.
//!
//! **Invariant:** no borrow, lock or turn is held while Lua runs, and an event sees one generation from start to end.

mod announced;
mod api;
mod complaints;
mod conversation;
mod coordinator;
mod dispatch;
mod engine;
mod filter;
mod host;
mod hub;
mod live;
mod load;
mod nearest;
mod plain;
mod report;
mod run;
pub mod sandbox;
mod scratch;
mod settings;
mod snapshot;
mod status;
mod tidy;
mod timers;
mod verdict;
mod watch;

#[cfg(test)]
mod manual;
#[cfg(test)]
mod tests;

pub use announced::Announced;
pub use api::modules;
pub use coordinator::{Control, Coordinator, Gone, Seat};
pub use engine::Engine;
pub use host::{FunctionDoc, Host, Module, ModuleDoc, Online};
pub use hub::{Hub, Parts};
pub use report::{Failure, Report};
pub use scratch::Modules;
pub use settings::Settings;
pub use snapshot::SnapshotError;
pub use status::{HookLine, ScriptLine};
