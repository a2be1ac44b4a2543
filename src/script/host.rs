//! What the engine needs of the rest of the server, and what it offers to layers above: traits, implemented there.

use mlua::Lua;

use crate::jid::Jid;

use super::hub::Hub;

/// The server as scripts see it. Implemented by the composition root, one per worker.
pub trait Host {
    /// Whether a session of that user (bare JID), or exactly that session (full JID), is connected.
    fn connected(&self, jid: &Jid) -> bool;

    /// The user's most available presence; `None` when no session sent any.
    fn online(&self, jid: &Jid) -> Option<Online>;

    /// Whether `domain` is one that this server serves; `from` of what a script sends must be at such a domain.
    fn serves(&self, domain: &str) -> bool;

    /// The server's clock: milliseconds since 1970 UTC.
    fn wall_ms(&self) -> i64;

    /// A domain that this server serves: `from` of what a script sends without one.
    fn domain(&self) -> String;
}

/// A user's presence, as `xmpp.online` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Online {
    /// Whether some resource is available.
    pub available: bool,
    /// `<show/>`: empty, `away`, `chat`, `dnd` or `xa`.
    pub show: String,
    /// `<status/>`.
    pub status: String,
}

/// A table of Lua functions. Rooms above this layer bring theirs at composition.
pub trait Module {
    /// The table's name in Lua, and what is in it; stubs and manual are made from this.
    fn doc(&self) -> &'static ModuleDoc;

    /// Makes the table.
    ///
    /// # Errors
    /// When Lua is out of memory.
    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<mlua::Table>;
}

/// What a module offers, for the stubs and the manual.
pub struct ModuleDoc {
    /// The global's name.
    pub name: &'static str,
    /// One line.
    pub doc: &'static str,
    /// Its functions.
    pub functions: &'static [FunctionDoc],
}

/// One function or method, in the notation of LuaLS.
pub struct FunctionDoc {
    /// With its separator: `.get` or `:body`.
    pub name: &'static str,
    /// Arguments in order, as name (with `?` when it may be left out) and type.
    pub args: &'static [(&'static str, &'static str)],
    /// The type of what it returns; empty: nothing.
    pub returns: &'static str,
    /// One line.
    pub doc: &'static str,
}
