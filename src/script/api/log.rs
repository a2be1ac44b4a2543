//! `log`: lines of a script's own in the server's log.

use mlua::{Lua, Table, Value, Variadic};

use crate::script::hub::Hub;
use crate::script::sandbox::work;
use crate::script::{FunctionDoc, Module, ModuleDoc};

/// Longest line, in characters.
const MAX_LINE: usize = 2_000;
/// A line costs as much as copying this many bytes: a call cannot write thousands.
const WRITING: usize = 128 << 10;

const ARGS: &[(&str, &str)] = &[("...", "any")];

pub(super) struct Log;

impl Module for Log {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "log",
            doc: "Lines in the server's log, with the script's name. Arguments are joined by spaces.",
            functions: &[
                FunctionDoc {
                    name: ".debug",
                    args: ARGS,
                    returns: "",
                    doc: "For whoever writes the script.",
                },
                FunctionDoc {
                    name: ".info",
                    args: ARGS,
                    returns: "",
                    doc: "Worth knowing.",
                },
                FunctionDoc {
                    name: ".warn",
                    args: ARGS,
                    returns: "",
                    doc: "Somebody should look at it.",
                },
                FunctionDoc {
                    name: ".error",
                    args: ARGS,
                    returns: "",
                    doc: "Something does not work.",
                },
            ],
        }
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for level in ["debug", "info", "warn", "error"] {
            let hub = hub.clone();
            let write = move |lua: &Lua, parts: Variadic<Value>| {
                work(lua, WRITING)?;
                let line = join(&parts)?;
                // Debug formatting keeps what a peer wrote from forging a line.
                match level {
                    "debug" => tracing::debug!(script = %script(&hub), line = ?line, "script says"),
                    "info" => tracing::info!(script = %script(&hub), line = ?line, "script says"),
                    "warn" => tracing::warn!(script = %script(&hub), line = ?line, "script says"),
                    _ => tracing::error!(script = %script(&hub), line = ?line, "script says"),
                }
                Ok(())
            };
            table.set(level, lua.create_function(write)?)?;
        }
        Ok(table)
    }
}

fn script(hub: &Hub) -> String {
    hub.call()
        .ok()
        .and_then(|call| {
            call.live
                .scripts
                .get(call.script)
                .map(|script| script.name.to_string())
        })
        .unwrap_or_default()
}

fn join(parts: &[Value]) -> mlua::Result<String> {
    let mut line = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        match part {
            Value::String(text) => {
                let bytes = text.as_bytes();
                let shown = bytes.get(..MAX_LINE * 4).unwrap_or(&bytes);
                line.push_str(&String::from_utf8_lossy(shown));
            }
            // Its text may be a script's function, which must not run in here.
            Value::Table(_) => line.push_str("table"),
            other => line.push_str(&other.to_string()?),
        }
        if line.len() > MAX_LINE * 4 {
            break;
        }
    }
    Ok(match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    })
}
