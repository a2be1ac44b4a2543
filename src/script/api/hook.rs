//! `hook(name, priority_or_options, fn)`: the native way to a hook point.

use mlua::{Error as LuaError, Function, Lua, Value};

use crate::hook::{Band, POINTS, Point};
use crate::script::live::{Entry, place};
use crate::script::load::{defined_at, loading};
use crate::script::nearest::nearest;
#[cfg(test)]
use crate::script::{FunctionDoc, ModuleDoc};

/// What is global without a table.
#[cfg(test)]
pub(in crate::script) const DOC: ModuleDoc = ModuleDoc {
    name: "",
    doc: "Functions without a table.",
    functions: &[
        FunctionDoc {
            name: "hook",
            args: &[
                ("name", "hookname"),
                ("options", "integer|hookoptions"),
                ("fn", "function"),
            ],
            returns: "",
            doc: "Puts a function on a hook point. `options` is its priority (higher runs first, 0 is usual), or `{ priority = 0, band = \"early\" }`; the early band runs before the server's own services, the late one after them.",
        },
        FunctionDoc {
            name: "require",
            args: &[("name", "string")],
            returns: "any",
            doc: "The value of a module: a file of the script directory, a shipped one, or one of the tables here.",
        },
    ],
};

/// Puts a function on a hook point.
pub(in crate::script) fn hook(
    lua: &Lua,
    (name, options, function): (String, Value, Function),
) -> mlua::Result<()> {
    let point = Point::from_name(&name).ok_or_else(|| {
        let hint = nearest(&name, POINTS.iter().map(|row| row.name))
            .map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        LuaError::runtime(format!("there is no hook \"{name}\"{hint}"))
    })?;
    let (priority, band) = options_of(&options)?;
    let place = place(band).ok_or_else(|| {
        LuaError::runtime("the native band is the server's own: use \"early\" or \"late\"")
    })?;
    let loading = loading(lua, "hook()")?;
    let entry = Entry {
        script: loading.script.get(),
        priority,
        at: defined_at(&function),
        function: Some(function),
    };
    loading.registered.borrow_mut().chains[point as usize][place].push(entry);
    Ok(())
}

fn options_of(options: &Value) -> mlua::Result<(i64, Band)> {
    match options {
        Value::Nil => Ok((0, Band::Early)),
        Value::Integer(priority) => Ok((*priority, Band::Early)),
        Value::Table(table) => {
            let priority = table.raw_get::<Option<i64>>("priority")?.unwrap_or(0);
            let band = match table.raw_get::<Option<String>>("band")? {
                None => Band::Early,
                Some(word) => Band::from_name(&word).ok_or_else(|| {
                    LuaError::runtime(format!(
                        "there is no band \"{word}\": use \"early\" or \"late\""
                    ))
                })?,
            };
            Ok((priority, band))
        }
        other => Err(LuaError::runtime(format!(
            "the second argument is a priority or {{ priority = 0, band = \"early\" }}, not a {}",
            other.type_name()
        ))),
    }
}
