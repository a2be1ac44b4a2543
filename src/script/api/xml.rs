//! `xml`: making nodes.

use mlua::{Lua, LuaString, Table};

use crate::script::hub::Hub;
use crate::script::sandbox::work;
use crate::script::{FunctionDoc, Module, ModuleDoc};
use crate::xml::{CLIENT_NS, Element};

use super::node::{LuaNode, named};

/// Longest text that is parsed, in bytes: as much as a stanza may have.
const MAX_TEXT: usize = crate::xml::Limits::BOUND.stanza_bytes;
/// Parsing a byte costs as much as copying this many.
const PARSING: usize = 32;

pub(super) struct Xml;

impl Module for Xml {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "xml",
            doc: "XML nodes of your own.",
            functions: &[
                FunctionDoc {
                    name: ".newnode",
                    args: &[("name", "string"), ("ns?", "string")],
                    returns: "xmlnode",
                    doc: "An empty node, in the namespace of stanzas (jabber:client) or this one.",
                },
                FunctionDoc {
                    name: ".parse",
                    args: &[("text", "string")],
                    returns: "xmlnode?, string?",
                    doc: "The node that the text is; nil and the reason when it is none.",
                },
            ],
        }
    }

    fn install(&self, lua: &Lua, _: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let newnode = |lua: &Lua, (name, ns): (String, Option<String>)| {
            LuaNode::new(lua, named(&name, ns.as_deref().unwrap_or(CLIENT_NS))?)
        };
        table.set("newnode", lua.create_function(newnode)?)?;
        let parse = |lua: &Lua, text: LuaString| {
            Ok(match parsed(lua, &text)? {
                Ok(element) => (Some(LuaNode::new(lua, element)?), None),
                Err(why) => (None, Some(why)),
            })
        };
        table.set("parse", lua.create_function(parse)?)?;
        Ok(table)
    }
}

/// The element that a script's text is, or why it is none; charged to the script.
pub(super) fn parsed(lua: &Lua, text: &LuaString) -> mlua::Result<Result<Element, String>> {
    let text = text.as_bytes();
    if text.len() > MAX_TEXT {
        return Ok(Err(format!("more than {MAX_TEXT} bytes")));
    }
    work(lua, text.len() * PARSING)?;
    Ok(Element::parse(&text, CLIENT_NS, &[]).map_err(|error| error.to_string()))
}
