//! `kv`: plain data under names, kept in the store for every worker and every generation.

use std::time::Duration;

use bytes::Bytes;
use mlua::{Error as LuaError, Lua, Table, Value};

use crate::script::hub::Hub;
use crate::script::plain::{Plain, from_lua, to_lua};
use crate::script::{FunctionDoc, Module, ModuleDoc};
use crate::store::StoreError;

/// What scripts keep is apart from what the server keeps.
const PREFIX: &str = "script/";
/// Longest key, in bytes.
const MAX_KEY: usize = 512;
/// Entries that `kv.list` gives when it is not told.
const LIST: usize = 100;
/// Most entries that one `kv.list` gives.
const MAX_LIST: usize = 1_000;
/// Longest time to live, in seconds: ten years.
const MAX_TTL: f64 = 10.0 * 366.0 * 86_400.0;

pub(super) struct Kv;

impl Module for Kv {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "kv",
            doc: "Plain data in the store: the same for all workers, and for every generation. Each call waits for the store.",
            functions: &[
                FunctionDoc {
                    name: ".get",
                    args: &[("key", "string")],
                    returns: "any",
                    doc: "The value, or nil.",
                },
                FunctionDoc {
                    name: ".set",
                    args: &[("key", "string"), ("value", "any"), ("seconds?", "number")],
                    returns: "",
                    doc: "Keeps plain data (nil, boolean, number, string, tables of these), for so many seconds or for good. It is on disk when this returns.",
                },
                FunctionDoc {
                    name: ".delete",
                    args: &[("key", "string")],
                    returns: "boolean",
                    doc: "Whether there was something.",
                },
                FunctionDoc {
                    name: ".incr",
                    args: &[("key", "string"), ("by?", "integer")],
                    returns: "integer",
                    doc: "Adds 1, or `by`, to an integer that starts at 0, in one step that no other worker can come between.",
                },
                FunctionDoc {
                    name: ".list",
                    args: &[("prefix", "string"), ("limit?", "integer")],
                    returns: "table<string, any>",
                    doc: "The entries whose key starts like this, 100 or `limit` of them, in the keys' order.",
                },
            ],
        }
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let at = hub.clone();
        let get = lua.create_async_function(move |lua, key| get(at.clone(), lua, key))?;
        table.set("get", get)?;
        let at = hub.clone();
        let set = lua.create_async_function(move |_, entry| set(at.clone(), entry))?;
        table.set("set", set)?;
        let at = hub.clone();
        let delete = lua.create_async_function(move |_, key| delete(at.clone(), key))?;
        table.set("delete", delete)?;
        let at = hub.clone();
        let incr = lua.create_async_function(move |_, what| incr(at.clone(), what))?;
        table.set("incr", incr)?;
        let at = hub.clone();
        let list = lua.create_async_function(move |lua, what| list(at.clone(), lua, what))?;
        table.set("list", list)?;
        Ok(table)
    }
}

async fn get(hub: Hub, lua: Lua, key: String) -> mlua::Result<Value> {
    let found = hub.store()?.kv_get(&full(&key)?).await.map_err(refused)?;
    found.map_or(Ok(Value::Nil), |bytes| to_lua(&lua, &parse(&bytes)))
}

async fn set(hub: Hub, (key, value, seconds): (String, Value, Option<f64>)) -> mlua::Result<()> {
    let plain = from_lua(&value).map_err(LuaError::external)?;
    let expires = seconds.map(|seconds| expiry(&hub, seconds)).transpose()?;
    let bytes = Bytes::from(plain.to_string());
    let answer = hub.store()?.kv_set(&full(&key)?, bytes, expires);
    answer.await.map_err(refused)
}

async fn delete(hub: Hub, key: String) -> mlua::Result<bool> {
    hub.store()?.kv_delete(&full(&key)?).await.map_err(refused)
}

async fn incr(hub: Hub, (key, by): (String, Option<i64>)) -> mlua::Result<i64> {
    let answer = hub.store()?.kv_incr(&full(&key)?, by.unwrap_or(1));
    answer.await.map_err(refused)
}

async fn list(hub: Hub, lua: Lua, (prefix, limit): (String, Option<usize>)) -> mlua::Result<Table> {
    let limit = limit.unwrap_or(LIST).min(MAX_LIST);
    let found = hub.store()?.kv_list(&full(&prefix)?, limit).await;
    let table = lua.create_table()?;
    for (key, value) in found.map_err(refused)? {
        let key = key.strip_prefix(PREFIX).unwrap_or(&key);
        table.raw_set(key, to_lua(&lua, &parse(&value))?)?;
    }
    Ok(table)
}

fn full(key: &str) -> mlua::Result<String> {
    if key.len() > MAX_KEY {
        return Err(LuaError::runtime(format!(
            "a key may have {MAX_KEY} bytes, this has {}",
            key.len()
        )));
    }
    Ok(format!("{PREFIX}{key}"))
}

/// A value that another program wrote as bare text is text.
fn parse(bytes: &[u8]) -> Plain {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Plain::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// The moment that lies `seconds` ahead, in milliseconds since 1970.
fn expiry(hub: &Hub, seconds: f64) -> mlua::Result<i64> {
    if !(seconds > 0.0 && seconds <= MAX_TTL) {
        return Err(LuaError::runtime(format!(
            "seconds must be above 0 and at most {MAX_TTL}"
        )));
    }
    let ahead = Duration::from_secs_f64(seconds).as_millis();
    let ahead = i64::try_from(ahead).map_err(LuaError::external)?;
    Ok(hub.host().wall_ms().saturating_add(ahead))
}

fn refused(error: StoreError) -> LuaError {
    LuaError::runtime(format!("kv: {error}"))
}
