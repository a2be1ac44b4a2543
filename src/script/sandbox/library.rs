//! What the prelude needs from Rust: charging, errors, and the library functions that are neither strings nor Lua.

use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{Error, Function, IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use super::Loader;
use super::args::{Args, read_number};
use super::budget::{Budget, Tripped};
use super::error::{OUT_OF_MEMORY, Place, Report, is_memory, root, without_ours};
use super::strings::RESULTS;

/// Bytes that a script may hand to `load`: compiling takes time that nothing charges.
const LOAD_BYTES: usize = 32 << 10;

/// The first byte of compiled Lua.
pub(super) const BYTECODE: u8 = 0x1b;

/// The table `rust` of the prelude.
pub(super) fn natives(lua: &Lua, budget: &Rc<Budget>, loader: &Loader) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("spent", spent(lua, budget)?)?;
    table.raw_set("caught", caught(lua, budget)?)?;
    table.raw_set("explained", explained(lua, budget)?)?;
    table.raw_set("metafield", metafield(lua)?)?;
    table.raw_set("number", number(lua)?)?;
    table.raw_set("uniform", uniform(lua, budget)?)?;
    table.raw_set("concat", concat(lua, budget)?)?;
    table.raw_set("charged", charged(lua, budget)?)?;
    table.raw_set("compile", compile(lua, budget)?)?;
    table.raw_set("source", source(lua, budget, loader)?)?;
    table.raw_set("results", RESULTS)?;
    Ok(table)
}

/// `spent(n)` charges `n` instructions; true once the call's budget is used up.
fn spent(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, instructions: u64| Ok(meter.charge(lua, instructions).is_err()))
}

/// `caught(error)`: what a script's `pcall` may see of it. An error of a Rust function becomes the string that a Lua
/// function would have raised; a failed allocation ends the call.
fn caught(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, error: Value| {
        let memory = match &error {
            Value::Error(error) => is_memory(error),
            Value::String(text) => text.as_bytes() == OUT_OF_MEMORY.as_bytes(),
            _ => false,
        };
        if memory {
            meter.out_of_memory(Place::of_stack(lua));
        }
        match error {
            Value::Error(error) => {
                if let Error::ExternalError(cause) = root(&error)
                    && cause.is::<Tripped>()
                {
                    return Ok(Value::Error(error));
                }
                let report = Report::of(&error);
                let text = match report.place {
                    Some(place) => format!("{place}: {}", report.message),
                    None => report.message,
                };
                Ok(Value::String(lua.create_string(text)?))
            }
            Value::String(text) => {
                let short = text.to_str().ok().and_then(|text| {
                    let rest = without_ours(&text);
                    (rest.len() < text.len()).then(|| rest.to_owned())
                });
                Ok(Value::String(match short {
                    Some(rest) => lua.create_string(rest)?,
                    None => text,
                }))
            }
            other => Ok(other),
        }
    })
}

/// `explained(error)`: an error on its way out of a script, text with a traceback. Other objects are not asked for theirs.
fn explained(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, error: Value| {
        let text = match &error {
            Value::Error(_) => return Ok(error),
            _ if meter.tripped() => return Ok(error),
            Value::String(text) => text.as_bytes().to_vec(),
            other => format!("the error is no text but a {}", other.type_name()).into_bytes(),
        };
        let mut text = text;
        text.push(b'\n');
        text.extend_from_slice(&lua.traceback(None, 1)?.as_bytes());
        Ok(Value::String(lua.create_string(text)?))
    })
}

/// `metafield(table, name)`: a field of its metatable, protected or not.
fn metafield(lua: &Lua) -> Result<Function> {
    lua.create_function(
        |_, (table, name): (Table, String)| match table.metatable() {
            Some(metatable) => metatable.raw_get::<Value>(name),
            None => Ok(Value::Nil),
        },
    )
}

/// `uniform(list)`: whether it is all numbers or all strings, so that comparing them calls nothing.
fn uniform(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, list: Table| {
        let size = list.raw_len();
        meter.charge(lua, size as u64)?;
        let kind = |value: &Value| match value {
            Value::Integer(_) | Value::Number(_) => Some(false),
            Value::String(_) => Some(true),
            _ => None,
        };
        let first = kind(&list.raw_get(1)?);
        for index in 2..=size {
            if first.is_none() || kind(&list.raw_get(index)?) != first {
                return Ok(false);
            }
        }
        Ok(size == 0 || first.is_some())
    })
}

/// `number(value)`: a number as it is, a short string's number, else nil.
fn number(lua: &Lua) -> Result<Function> {
    lua.create_function(|lua, value: Value| match value {
        Value::Integer(_) | Value::Number(_) => Ok(value),
        Value::String(string) => Ok(read_number(lua, &string)?.unwrap_or(Value::Nil)),
        _ => Ok(Value::Nil),
    })
}

/// `concat(list, separator, first, last)` on a list without metamethods.
fn concat(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, values: MultiValue| {
        let args = Args::new(lua, "concat", values);
        let Value::Table(list) = args.get(0) else {
            return Err(args.wrong(0, "table"));
        };
        let separator = match args.get(1) {
            Value::Nil => lua.create_string("")?,
            _ => args.string(1)?,
        };
        let separator = separator.as_bytes();
        let first = args.integer_or(2, 1)?;
        let last = match args.get(3) {
            Value::Nil => i64::try_from(list.raw_len()).unwrap_or(i64::MAX),
            _ => args.integer(3)?,
        };
        let most = meter.limits().output;
        let mut out = Vec::new();
        for index in first..=last {
            let before = out.len();
            let value = list.raw_get::<Value>(index)?;
            let kind = value.type_name();
            match value {
                Value::String(text) => out.extend_from_slice(&text.as_bytes()),
                number @ (Value::Integer(_) | Value::Number(_)) => {
                    if let Some(text) = lua.coerce_string(number)? {
                        out.extend_from_slice(&text.as_bytes());
                    }
                }
                _ => {
                    return Err(Error::runtime(format_args!(
                        "invalid value (at index {index}) in table for 'concat' (a {kind} value)"
                    )));
                }
            }
            if index != last {
                out.extend_from_slice(&separator);
            }
            if out.len() > most {
                return Err(Error::runtime(format_args!(
                    "resulting string too large: 'concat' would make more than {most} bytes"
                )));
            }
            meter.charge_bytes(lua, out.len() - before)?;
        }
        lua.create_string(&out)
    })
}

/// `charged(f, unit)`: `f`, but the bytes of its string arguments are bounded and charged; if `unit` is given, also that
/// many instructions for each item of a table argument, times the logarithm of their number (sorting).
fn charged(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, (function, unit): (Function, Option<u64>)| {
        let meter = Rc::clone(&meter);
        lua.create_function(move |lua, args: MultiValue| {
            let most = meter.limits().output;
            let mut bytes = args.len();
            let mut items = 0;
            for value in &args {
                match value {
                    Value::String(text) => bytes = bytes.saturating_add(text.as_bytes().len()),
                    Value::Table(list) => items = list.raw_len() as u64,
                    _ => {}
                }
            }
            if bytes > most {
                return Err(Error::runtime(format_args!(
                    "{bytes} bytes in the arguments, {most} are allowed"
                )));
            }
            meter.charge_bytes(lua, bytes)?;
            if let Some(unit) = unit {
                let log = u64::from(items.checked_ilog2().unwrap_or(0)) + 1;
                meter.charge(lua, items.saturating_mul(log).saturating_mul(unit))?;
            }
            function.call::<MultiValue>(args)
        })
    })
}

/// `compile(text, name, env)`: the chunk as a function, or nil and what is wrong. Without `env` it sees the globals.
fn compile(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, values: MultiValue| {
        let args = Args::new(lua, "load", values);
        let text = args.string(0)?;
        let bytes = text.as_bytes().to_vec();
        let name = match args.get(1) {
            Value::Nil => String::from("load"),
            _ => args.string(1)?.to_string_lossy(),
        };
        if bytes.first() == Some(&BYTECODE) {
            return refused(lua, "attempt to load a binary chunk (mode is 't')");
        }
        if bytes.len() > LOAD_BYTES {
            return refused(
                lua,
                &format!("{} bytes to load, {LOAD_BYTES} are allowed", bytes.len()),
            );
        }
        meter.charge(lua, bytes.len() as u64)?;
        let mut chunk = lua
            .load(bytes)
            .set_name(format!("@{}", name.trim_start_matches(['@', '='])))
            .set_mode(ChunkMode::Text);
        if let Value::Table(env) = args.get(2) {
            chunk = chunk.set_environment(env.clone());
        }
        match chunk.into_function() {
            Ok(function) => function.into_lua_multi(lua),
            Err(error) if is_memory(&error) => Err(error),
            Err(error) => refused(lua, &syntax(&error)),
        }
    })
}

/// `source(name)`: the chunk that `require(name)` runs, or nil and why not.
fn source(lua: &Lua, budget: &Rc<Budget>, loader: &Loader) -> Result<Function> {
    let meter = Rc::clone(budget);
    let loader = Rc::clone(loader);
    lua.create_function(move |lua, name: String| {
        let found = loader.borrow().as_ref().and_then(|find| find(&name));
        let Some((chunk, bytes)) = found else {
            return refused(lua, &format!("module '{name}' not found"));
        };
        meter.charge_bytes(lua, bytes.len())?;
        match super::compile(lua, &chunk, &bytes) {
            Ok(function) => function.into_lua_multi(lua),
            Err(error) => refused(lua, &error.to_string()),
        }
    })
}

fn refused(lua: &Lua, why: &str) -> Result<MultiValue> {
    (Value::Nil, lua.create_string(why)?).into_lua_multi(lua)
}

fn syntax(error: &Error) -> String {
    let report = Report::of(error);
    match report.place {
        Some(place) => format!("{place}: {}", report.message),
        None => report.message,
    }
}
