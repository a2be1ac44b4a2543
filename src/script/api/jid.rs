//! `jid`: addresses.

use mlua::{FromLua, Lua, MetaMethod, Table, UserData, UserDataMethods, Value};

use crate::jid::Jid;
use crate::script::hub::Hub;
use crate::script::{FunctionDoc, Module, ModuleDoc};

pub(super) struct JidModule;

impl Module for JidModule {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "jid",
            doc: "Addresses (RFC 7622).",
            functions: &[FunctionDoc {
                name: ".new",
                args: &[("text", "string")],
                returns: "jid?, string?",
                doc: "The address, in its one normal form; nil and the reason when it is none.",
            }],
        }
    }

    fn install(&self, lua: &Lua, _: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let new = |_: &Lua, text: String| {
            Ok(match Jid::new(&text) {
                Ok(jid) => (Some(LuaJid(jid)), None),
                Err(error) => (None, Some(error.to_string())),
            })
        };
        table.set("new", lua.create_function(new)?)?;
        Ok(table)
    }
}

/// The class.
#[cfg(test)]
pub(super) const CLASS: ModuleDoc = ModuleDoc {
    name: "jid",
    doc: "An address. `tostring` gives it whole; two are equal when they are the same address.",
    functions: &[
        FunctionDoc {
            name: ":user",
            args: &[],
            returns: "string?",
            doc: "What stands before the @.",
        },
        FunctionDoc {
            name: ":domain",
            args: &[],
            returns: "string",
            doc: "The domain, internationalized ones in their A-label form.",
        },
        FunctionDoc {
            name: ":resource",
            args: &[],
            returns: "string?",
            doc: "What stands behind the slash.",
        },
        FunctionDoc {
            name: ":bare",
            args: &[],
            returns: "string",
            doc: "Without the resource.",
        },
        FunctionDoc {
            name: ":get",
            args: &[],
            returns: "string",
            doc: "The whole address.",
        },
    ],
};

/// Longest text of an address, in bytes: three parts of 1023 (RFC 7622 §3.1) and two separators.
const MAX_TEXT: usize = 3 * 1023 + 2;

/// An address in Lua.
#[derive(Clone)]
pub(in crate::script) struct LuaJid(pub(in crate::script) Jid);

impl UserData for LuaJid {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("user", |_, this, ()| Ok(this.0.local().map(str::to_owned)));
        methods.add_method("domain", |_, this, ()| Ok(this.0.domain().to_owned()));
        methods.add_method("resource", |_, this, ()| {
            Ok(this.0.resource().map(str::to_owned))
        });
        methods.add_method("bare", |_, this, ()| Ok(this.0.bare_str().to_owned()));
        methods.add_method("get", |_, this, ()| Ok(this.0.as_str().to_owned()));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(this.0.as_str().to_owned())
        });
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: Value| {
            Ok(as_jid(&other).is_some_and(|other| other == this.0))
        });
        methods.add_meta_method(
            MetaMethod::Concat,
            |lua, _, (left, right): (Value, Value)| {
                let both = format!("{}{}", text(&left)?, text(&right)?);
                lua.create_string(both)
            },
        );
    }
}

fn text(value: &Value) -> mlua::Result<String> {
    match as_jid(value) {
        Some(jid) => Ok(jid.as_str().to_owned()),
        None => super::text_of(value),
    }
}

fn as_jid(value: &Value) -> Option<Jid> {
    let data = value.as_userdata()?;
    data.borrow::<LuaJid>().ok().map(|jid| jid.0.clone())
}

/// An address that a script passes: an object or text.
pub(in crate::script) struct JidArg(pub(in crate::script) Jid);

impl FromLua for JidArg {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<JidArg> {
        if let Some(jid) = as_jid(&value) {
            return Ok(JidArg(jid));
        }
        let Value::String(text) = &value else {
            return Err(mlua::Error::runtime(format!(
                "an address is text or a jid, not a {}",
                value.type_name()
            )));
        };
        if text.as_bytes().len() > MAX_TEXT {
            return Err(mlua::Error::runtime(format!(
                "an address has at most {MAX_TEXT} bytes"
            )));
        }
        let text = text.to_string_lossy();
        Jid::new(&text)
            .map(JidArg)
            .map_err(|error| mlua::Error::runtime(format!("\"{text}\" is no address: {error}")))
    }
}
