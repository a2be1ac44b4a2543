//! What scripts can call: one Lua table, or one class of objects, per file.

pub(super) mod hook;
pub(super) mod jid;
mod kv;
mod log;
pub(super) mod node;
mod roster;
mod script;
pub(super) mod session;
pub(super) mod stanza;
mod timer;
mod xml;
mod xmpp;

use mlua::{Error as LuaError, Value};

use super::Module;
#[cfg(test)]
use super::ModuleDoc;

/// The modules that ship with the engine.
#[must_use]
pub fn modules() -> Vec<Box<dyn Module>> {
    vec![
        Box::new(xmpp::Xmpp),
        Box::new(xml::Xml),
        Box::new(jid::JidModule),
        Box::new(log::Log),
        Box::new(kv::Kv),
        Box::new(roster::RosterModule),
        Box::new(timer::TimerModule),
        Box::new(script::Script),
    ]
}

/// The classes of objects that scripts are given.
#[cfg(test)]
pub(super) const CLASSES: &[&ModuleDoc] = &[&session::DOC, &stanza::DOC, &node::DOC, &jid::CLASS];

/// Functions that are no table's.
#[cfg(test)]
pub(super) const GLOBALS: &ModuleDoc = &hook::DOC;

/// A value as text. A table is refused: its `__tostring` is a script's function, which must not run in here.
fn text_of(value: &Value) -> mlua::Result<String> {
    match value {
        Value::Table(_) => Err(LuaError::runtime("a table is no text: use tostring")),
        other => other.to_string(),
    }
}
