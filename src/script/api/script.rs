//! `script`: a script about itself.

use std::rc::Rc;

use mlua::{Error as LuaError, Function, Lua, Table};

use crate::script::hub::Hub;
use crate::script::load::{Loading, defined_at, loading};
use crate::script::{FunctionDoc, Module, ModuleDoc};

use super::stanza::LuaStanza;

pub(super) struct Script;

impl Module for Script {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "script",
            doc: "A script about itself.",
            functions: &[
                FunctionDoc {
                    name: ".generation",
                    args: &[],
                    returns: "integer",
                    doc: "The number of the generation that this code belongs to; 0 in a selftest.",
                },
                FunctionDoc {
                    name: ".register",
                    args: &[("name", "string"), ("fn", "function")],
                    returns: "",
                    doc: "Names a function for timers and conversations, which go on in the next generation with the function of that name.",
                },
                FunctionDoc {
                    name: ".call",
                    args: &[],
                    returns: "table",
                    doc: "A table that belongs to this run alone: of a hook, timer, conversation or spawned function. What is global is shared by runs that wait in between.",
                },
                FunctionDoc {
                    name: ".where",
                    args: &[("fn", "function")],
                    returns: "string",
                    doc: "Where a function is written: `file:line`.",
                },
                FunctionDoc {
                    name: ".sent",
                    args: &[],
                    returns: "stanza[]",
                    doc: "In a selftest: the stanzas that were sent since the last time this was called. Nothing leaves a selftest.",
                },
            ],
        }
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let at = hub.clone();
        table.set(
            "generation",
            lua.create_function(move |lua, ()| match at.call() {
                Ok(call) => Ok(call.live.number),
                Err(_) => Ok(lua
                    .app_data_ref::<Rc<Loading>>()
                    .map_or(0, |loading| loading.number)),
            })?,
        )?;
        table.set(
            "register",
            lua.create_function(|lua, (name, function): (String, Function)| {
                let loading = loading(lua, "script.register")?;
                let script = loading.script.get();
                loading
                    .registered
                    .borrow_mut()
                    .functions
                    .insert(name, (script, function));
                Ok(())
            })?,
        )?;
        let at = hub.clone();
        table.set(
            "call",
            lua.create_function(move |lua, ()| {
                let call = at.call()?;
                let mut locals = call.locals.borrow_mut();
                if let Some(table) = locals.as_ref() {
                    return Ok(table.clone());
                }
                Ok(locals.insert(lua.create_table()?).clone())
            })?,
        )?;
        table.set(
            "where",
            lua.create_function(|_, function: Function| Ok(defined_at(&function)))?,
        )?;
        let at = hub.clone();
        table.set(
            "sent",
            lua.create_function(move |_, ()| {
                let sent = at
                    .take_sent()
                    .ok_or_else(|| LuaError::runtime("script.sent works only in a selftest"))?;
                Ok(sent
                    .into_iter()
                    .map(LuaStanza::read_only)
                    .collect::<Vec<_>>())
            })?,
        )?;
        Ok(table)
    }
}
