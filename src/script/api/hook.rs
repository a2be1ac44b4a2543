//! `hook(name, priority_or_options, fn)`: the native way to a hook point.

use mlua::{Error as LuaError, Function, Lua, Value};

use crate::hook::{Band, POINTS, Point};
use crate::script::filter::Filter;
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
            doc: "Puts a function on a hook point. `options` is its priority (higher runs first, 0 is usual), or a table of [hook options](#hook-options) such as `{ to = \"bot\", body = true }`.",
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
    let placed = Placed::read(&options, point)?;
    let loading = loading(lua, "hook()")?;
    let entry = Entry {
        script: loading.script.get(),
        priority: placed.priority,
        filter: placed.filter,
        at: defined_at(&function),
        function: Some(function),
    };
    loading.registered.borrow_mut().chains[point as usize][placed.place].push(entry);
    Ok(())
}

/// What the options of a handler say.
#[derive(Default)]
pub(in crate::script) struct Placed {
    /// Of its band in a chain.
    pub(in crate::script) place: usize,
    pub(in crate::script) priority: i64,
    pub(in crate::script) filter: Filter,
}

impl Placed {
    /// Reads a priority or a table of [`crate::script::filter::OPTIONS`].
    ///
    /// # Errors
    /// Says which option is wrong, and how.
    pub(in crate::script) fn read(options: &Value, point: Point) -> mlua::Result<Placed> {
        let table = match options {
            Value::Nil => return Ok(Placed::default()),
            Value::Integer(priority) => {
                return Ok(Placed {
                    priority: *priority,
                    ..Placed::default()
                });
            }
            Value::Table(table) => table,
            other => {
                return Err(LuaError::runtime(format!(
                    "a hook's options are a priority or a table such as {{ priority = 0, band = \"early\" }}, not a {}",
                    other.type_name()
                )));
            }
        };
        let filter = Filter::read(table, point)?;
        let band = match table.raw_get::<Option<String>>("band")? {
            None => Band::Early,
            Some(word) => Band::from_name(&word).ok_or_else(|| {
                LuaError::runtime(format!(
                    "there is no band \"{word}\": use \"early\" or \"late\""
                ))
            })?,
        };
        Ok(Placed {
            place: place(band).ok_or_else(|| {
                LuaError::runtime("the native band is the server's own: use \"early\" or \"late\"")
            })?,
            priority: table.raw_get::<Option<i64>>("priority")?.unwrap_or(0),
            filter,
        })
    }
}
