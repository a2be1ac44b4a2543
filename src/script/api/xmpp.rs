//! `xmpp`: verdicts, sending, who is there, conversations.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{Error as LuaError, Function, Lua, MultiValue, Table, Value};

use crate::script::conversation::{Speaker, key_from, key_of, open};
use crate::script::dispatch;
use crate::script::hub::Hub;
use crate::script::load::{loading, register_module};
use crate::script::plain::from_lua;
use crate::script::run::{Call, Running, finish};
use crate::script::verdict::Rejection;
use crate::script::{FunctionDoc, Module, ModuleDoc};

use super::jid::JidArg;
use super::stanza::{LuaStanza, message, own_stanza, stanza_error};
use super::timer::delay;

/// How long `xmpp.receive` waits when it is not told, in seconds.
const RECEIVE: f64 = 60.0;

/// Most addresses of one `xmpp.fanout`.
const FANOUT_MAX: usize = 10_000;

const DOC: ModuleDoc = ModuleDoc {
    name: "xmpp",
    doc: "Verdicts, sending, who is there, conversations. The verdicts are `xmpp.NEXT` (not mine: go on), `xmpp.DONE` (handled), `xmpp.DROP` (throw it away), `xmpp.reject(...)`; to return nothing means next.",
    functions: &[
        FunctionDoc {
            name: ".registerModule",
            args: &[("name", "string"), ("module", "table")],
            returns: "",
            doc: "Puts the table's functions that are named like a hook on it, calls its `init`, `deinit` and `selftest` at their times, and knows the others as `name.function`.",
        },
        FunctionDoc {
            name: ".feature",
            args: &[("namespace", "string")],
            returns: "",
            doc: "While a script is loaded: service discovery announces this namespace for as long as the script is live.",
        },
        FunctionDoc {
            name: ".streamFeature",
            args: &[("name", "string"), ("namespace", "string")],
            returns: "",
            doc: "While a script is loaded: streams announce this empty element after the login for as long as the script is live.",
        },
        FunctionDoc {
            name: ".reject",
            args: &[("condition", "condition"), ("text?", "string")],
            returns: "verdict",
            doc: "The verdict that refuses a stanza: its sender gets this error.",
        },
        FunctionDoc {
            name: ":send",
            args: &[("xml", "string")],
            returns: "boolean, string?",
            doc: "Parses a stanza and sends it. `from` must be at a domain of this server; left out, it is the server itself.",
        },
        FunctionDoc {
            name: ".routeStanza",
            args: &[("stanza", "stanza|xmlnode")],
            returns: "boolean, string?",
            doc: "Sends a stanza. It is routed after the current one; false and the reason when it cannot be.",
        },
        FunctionDoc {
            name: ".fanout",
            args: &[("stanza", "stanza|xmlnode"), ("to", "(jid|string)[]")],
            returns: "boolean, string?",
            doc: "Sends one stanza to each of the addresses, at most 10,000. They are routed after the current one and share one body.",
        },
        FunctionDoc {
            name: ".message",
            args: &[("to", "jid|string"), ("body", "string")],
            returns: "stanza",
            doc: "A new message, not sent yet.",
        },
        FunctionDoc {
            name: ".stanza",
            args: &[("what", "string|xmlnode|stanza")],
            returns: "stanza",
            doc: "A stanza of your own: from its XML, from a node, or a copy of another one. Not sent yet.",
        },
        FunctionDoc {
            name: ".connected",
            args: &[("jid", "jid|string")],
            returns: "boolean",
            doc: "Whether that user (bare address) or that session (full address) is connected.",
        },
        FunctionDoc {
            name: ".online",
            args: &[("jid", "jid|string")],
            returns: "{ availability: boolean, show: string, status: string }?",
            doc: "The user's presence; nil when there is none.",
        },
        FunctionDoc {
            name: ".valid_domain",
            args: &[("domain", "string")],
            returns: "boolean",
            doc: "Whether this server serves the domain.",
        },
        FunctionDoc {
            name: ".converse",
            args: &[
                ("with", "stanza|string"),
                ("fn", "string|fun(stanza: stanza?, data: any)"),
                ("data?", "any"),
            ],
            returns: "verdict",
            doc: "Opens a conversation with the stanza's sender (or `\"FROM\"`, `\"FROM TO\"`) and returns the verdict done: `return xmpp.converse(...)`. The function gets this stanza and the data. With a registered name it goes on in the next generation; a bare function ends with its own.",
        },
        FunctionDoc {
            name: ".receive",
            args: &[("seconds?", "number"), ("data?", "any")],
            returns: "stanza?",
            doc: "In a conversation: waits for the next message, 60 s or so long; nil when none came. If a new generation comes meanwhile, the function is started again with the next message and this data.",
        },
        FunctionDoc {
            name: ".spawn",
            args: &[("fn", "function"), ("...", "any")],
            returns: "",
            doc: "Runs a function beside this one; nobody waits for it. It ends with its generation, 60 s after the next at most.",
        },
    ],
};

pub(super) struct Xmpp;

impl Module for Xmpp {
    fn doc(&self) -> &'static ModuleDoc {
        &DOC
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.set("NEXT", "next")?;
        table.set("DONE", "done")?;
        table.set("DROP", "drop")?;
        table.set(
            "registerModule",
            lua.create_function(|lua, (name, module): (String, Table)| {
                register_module(lua, &name, &module)
            })?,
        )?;
        table.set(
            "reject",
            lua.create_function(|_, (name, text): (String, Option<String>)| {
                stanza_error(&name, text).map(Rejection)
            })?,
        )?;
        table.set(
            "message",
            lua.create_function(|lua, (to, body): (JidArg, String)| {
                message(&to, &body)?.charged_to(lua)
            })?,
        )?;
        table.set(
            "stanza",
            lua.create_function(|lua, what: Value| {
                LuaStanza::own(own_stanza(lua, &what)?).charged_to(lua)
            })?,
        )?;
        install_features(lua, &table)?;
        install_sending(lua, hub, &table)?;
        install_presence(lua, hub, &table)?;
        install_tasks(lua, hub, &table)?;
        Ok(table)
    }
}

fn install_features(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set(
        "feature",
        lua.create_function(|lua, namespace: String| {
            let loading = loading(lua, "xmpp.feature")?;
            let mut registered = loading.registered.borrow_mut();
            registered
                .announcements
                .disco(loading.script.get(), namespace)
        })?,
    )?;
    table.set(
        "streamFeature",
        lua.create_function(|lua, (name, namespace): (String, String)| {
            let loading = loading(lua, "xmpp.streamFeature")?;
            let mut registered = loading.registered.borrow_mut();
            registered
                .announcements
                .stream(loading.script.get(), name, namespace)
        })?,
    )
}

fn install_sending(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    let at = hub.clone();
    table.set(
        "send",
        lua.create_function(move |lua, args: MultiValue| {
            // Momentum writes xmpp:send(text).
            let text = args.iter().find(|arg| !arg.is_table());
            let stanza = text.map(|text| own_stanza(lua, text));
            Ok(match stanza {
                Some(Ok(stanza)) => said(at.send(stanza)),
                Some(Err(error)) => (false, Some(message_in(&error))),
                None => return Err(LuaError::runtime("xmpp:send takes a stanza as text")),
            })
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "routeStanza",
        lua.create_function(move |lua, what: Value| Ok(said(at.send(own_stanza(lua, &what)?))))?,
    )?;
    let at = hub.clone();
    table.set(
        "fanout",
        lua.create_function(move |lua, (what, to): (Value, Table)| {
            if to.raw_len() > FANOUT_MAX {
                return Err(LuaError::runtime(format!(
                    "xmpp.fanout takes at most {FANOUT_MAX} addresses"
                )));
            }
            let to: Vec<JidArg> = to.sequence_values().collect::<mlua::Result<_>>()?;
            let to = to.into_iter().map(|to| to.0).collect();
            Ok(said(at.fan_out(own_stanza(lua, &what)?, to)))
        })?,
    )?;
    Ok(())
}

/// The text of an error that is a result here.
fn message_in(error: &LuaError) -> String {
    match error {
        LuaError::RuntimeError(message) => message.clone(),
        other => other.to_string(),
    }
}

fn said<E: std::error::Error>(sent: Result<(), E>) -> (bool, Option<String>) {
    match sent {
        Ok(()) => (true, None),
        Err(error) => (false, Some(error.to_string())),
    }
}

fn install_presence(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    let at = hub.clone();
    table.set(
        "connected",
        lua.create_function(move |_, jid: JidArg| Ok(at.host().connected(&jid.0)))?,
    )?;
    let at = hub.clone();
    table.set(
        "online",
        lua.create_function(move |lua, jid: JidArg| {
            let Some(online) = at.host().online(&jid.0) else {
                return Ok(None);
            };
            let table = lua.create_table()?;
            table.set("availability", online.available)?;
            table.set("show", online.show)?;
            table.set("status", online.status)?;
            Ok(Some(table))
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "valid_domain",
        lua.create_function(move |_, domain: String| {
            // Most ask for a domain as an address gave it: then it is in its normal form.
            let host = at.host();
            Ok(host.serves(&domain)
                || crate::jid::Jid::new(&domain).is_ok_and(|jid| host.serves(jid.domain())))
        })?,
    )
}

fn install_tasks(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    let at = hub.clone();
    table.set(
        "converse",
        lua.create_function(move |_, (with, function, data): (Value, Value, Value)| {
            converse(&at, &with, function, &data)
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "receive",
        lua.create_async_function(move |lua, (seconds, data): (Option<f64>, Option<Value>)| {
            let hub = at.clone();
            async move {
                let call = hub.call()?;
                let conversation = call.conversation.clone().ok_or_else(|| {
                    LuaError::runtime(
                        "xmpp.receive works only in a conversation: see xmpp.converse",
                    )
                })?;
                let data = data
                    .map(|data| from_lua(&data))
                    .transpose()
                    .map_err(LuaError::external)?;
                let timeout = delay(seconds.unwrap_or(RECEIVE))?;
                let said = conversation.receive(timeout, data).await;
                said.map(|said| {
                    call.hops.set(call.hops.get().max(said.hops));
                    call.renewed.set(true);
                    LuaStanza::read_only(said.stanza).charged_to(&lua)
                })
                .transpose()
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "spawn",
        lua.create_function(
            move |_, (function, args): (Function, mlua::Variadic<Value>)| {
                spawn(&at, function, args.into_iter().collect())
            },
        )?,
    )
}

fn converse(hub: &Hub, with: &Value, function: Value, data: &Value) -> mlua::Result<&'static str> {
    if hub.engine().is_none() {
        return Err(LuaError::runtime("a selftest has no conversations"));
    }
    let call = hub.call()?;
    let key = match with {
        Value::String(text) => key_from(&text.to_string_lossy()),
        Value::UserData(stanza) => key_of(&stanza.borrow::<LuaStanza>()?.snapshot()),
        _ => None,
    };
    let key = key.ok_or_else(|| {
        LuaError::runtime("a conversation is with a stanza's sender, \"FROM\" or \"FROM TO\"")
    })?;
    let speaker = match function {
        Value::String(name) => {
            let name = name.to_str()?.to_owned();
            if call.live.named(&name).is_none() {
                return Err(LuaError::runtime(format!(
                    "no function is registered as \"{name}\""
                )));
            }
            Speaker::Named(name)
        }
        Value::Function(function) => Speaker::Function(call.script, function),
        other => {
            return Err(LuaError::runtime(format!(
                "a conversation is a function or its name, not a {}",
                other.type_name()
            )));
        }
    };
    let data = from_lua(data).map_err(LuaError::external)?;
    open(hub, key, speaker, data, &call).map_err(LuaError::external)?;
    Ok("done")
}

fn spawn(hub: &Hub, function: Function, args: MultiValue) -> mlua::Result<()> {
    let from = hub.call()?;
    let task = hub
        .task()
        .ok_or_else(|| LuaError::runtime("too many functions run beside others"))?;
    let call = Rc::new(Call {
        live: Rc::clone(&from.live),
        script: from.script,
        what: "spawn",
        peer: from.peer.clone(),
        stanza: from.stanza.clone(),
        hops: Cell::new(from.hops.get()),
        locals: RefCell::new(None),
        renewed: Cell::new(false),
        conversation: None,
    });
    let hub = hub.clone();
    tokio::task::spawn_local(async move {
        let _task = task;
        let running = Running::new(&hub, Rc::clone(&call), &function, args);
        if let Err(error) = finish(running, None).await {
            dispatch::note(&hub, &call, &error);
        }
    });
    Ok(())
}
