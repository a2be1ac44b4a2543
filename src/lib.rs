//! stanzad: an XMPP daemon that operators configure with stanzas and program with Lua.
//!
//! The walk of one stanza, each stop naming the next:
//!
//! 1. [`listener`] accepts a socket and hands it to a worker ([`net`]).
//! 2. [`stream`] negotiates: TLS, SASL ([`sasl`]), resource binding. It cuts bytes into stanzas with [`xml`].
//! 3. [`session`] owns one authenticated peer: its read loop, its outbox, its receipts.
//! 4. [`router`] stamps `from`, fires the hooks of [`hook`] (native [`services`] and Lua [`script`]s are
//!    equal handlers there) and decides where the stanza goes.
//! 5. [`delivery`] makes it so: a live outbox found in the [`directory`], the spool of the [`store`], or an error.
//!
//! Modules import lower layers only; `docs/architecture.md` has the table and `tests/it/layering.rs` checks it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod server;

pub mod control;

pub mod listener;

pub mod session;

pub mod roster;
pub mod router;

pub mod delivery;

pub mod script;
pub mod services;

pub mod accounts;
pub mod stream;

pub mod client;
pub mod config;
pub mod directory;
pub mod hook;
pub mod limit;
pub mod net;
pub mod observe;
pub mod store;

pub mod form;
pub mod jid;
pub mod sasl;
pub mod stanza;
pub mod xml;
