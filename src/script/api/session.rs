//! The session that a hook is given: who sent the stanza, and the data that scripts keep with it.

use std::sync::Arc;

use mlua::{MetaMethod, UserData, UserDataFields, UserDataMethods, Value};

use crate::hook::Peer;
use crate::script::plain::{from_lua, to_lua};
#[cfg(test)]
use crate::script::{FunctionDoc, ModuleDoc};

use super::jid::LuaJid;

/// Most entries of `sess.vars`.
const MAX_VARS: usize = 64;
/// Most bytes of all of them, keys and values written as JSON.
const MAX_VARS_BYTES: usize = 16_384;

/// The class.
#[cfg(test)]
pub(in crate::script) const DOC: ModuleDoc = ModuleDoc {
    name: "session",
    doc: "Who sent a stanza. `sess.vars` keeps plain data with the session, across stanzas and generations; what it gives is a copy, so assign again what you change.",
    functions: &[
        FunctionDoc {
            name: ":jid",
            args: &[],
            returns: "jid",
            doc: "What the stream has proved: a client's full address, a component's domain.",
        },
        FunctionDoc {
            name: ":addr",
            args: &[],
            returns: "string?",
            doc: "The peer's network address and port.",
        },
        FunctionDoc {
            name: ":kind",
            args: &[],
            returns: "\"client\"|\"component\"|\"internal\"",
            doc: "What kind of peer it is.",
        },
        FunctionDoc {
            name: ":tls",
            args: &[],
            returns: "{ version: string, cipher: string }?",
            doc: "What TLS has negotiated; nil without TLS.",
        },
    ],
};

/// A session in Lua.
#[derive(Clone)]
pub(in crate::script) struct LuaSession(Arc<Peer>);

impl LuaSession {
    pub(in crate::script) fn new(peer: &Arc<Peer>) -> LuaSession {
        LuaSession(Arc::clone(peer))
    }

    /// Whose it is.
    pub(in crate::script) fn peer(&self) -> Arc<Peer> {
        Arc::clone(&self.0)
    }
}

impl UserData for LuaSession {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("vars", |_, this| Ok(Vars(Arc::clone(&this.0))));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("jid", |_, this, ()| Ok(LuaJid(this.0.jid.clone())));
        methods.add_method("addr", |_, this, ()| {
            Ok(this.0.addr.map(|addr| addr.to_string()))
        });
        methods.add_method("kind", |_, this, ()| Ok(this.0.kind.name()));
        methods.add_method("tls", |lua, this, ()| {
            let Some(tls) = &this.0.tls else {
                return Ok(None);
            };
            let table = lua.create_table()?;
            table.set("version", tls.version)?;
            table.set("cipher", tls.cipher.as_str())?;
            Ok(Some(table))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("session {}", this.0.jid))
        });
    }
}

/// `sess.vars`. No lock is held while Lua runs: each access copies.
struct Vars(Arc<Peer>);

impl UserData for Vars {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: String| {
            let found = this.0.vars.lock().get(&key).cloned();
            found.map_or(Ok(Value::Nil), |plain| to_lua(lua, &plain))
        });
        methods.add_meta_method(
            MetaMethod::NewIndex,
            |_, this, (key, value): (String, Value)| this.set(key, &value),
        );
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let copy = serde_json::Value::Object(this.0.vars.lock().clone());
            let next = lua.globals().get::<Value>("next")?;
            Ok((next, to_lua(lua, &copy)?, Value::Nil))
        });
    }
}

impl Vars {
    fn set(&self, key: String, value: &Value) -> mlua::Result<()> {
        if value.is_nil() {
            self.0.vars.lock().remove(&key);
            return Ok(());
        }
        let plain = from_lua(value).map_err(mlua::Error::external)?;
        let mut vars = self.0.vars.lock();
        let others = vars.iter().filter(|(have, _)| **have != key);
        let (count, bytes) = others.fold((0_usize, 0_usize), |(count, bytes), (have, value)| {
            (count + 1, bytes + have.len() + value.to_string().len())
        });
        if count >= MAX_VARS || bytes + key.len() + plain.to_string().len() > MAX_VARS_BYTES {
            return Err(mlua::Error::runtime(format!(
                "sess.vars holds at most {MAX_VARS} entries and {MAX_VARS_BYTES} bytes"
            )));
        }
        vars.insert(key, plain);
        Ok(())
    }
}
