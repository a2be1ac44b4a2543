//! `timer`: waiting, and functions that run later.

use std::time::Duration;

use mlua::{Error as LuaError, Lua, Table, Value};

use crate::script::coordinator::Order;
use crate::script::hub::Hub;
use crate::script::load::Loading;
use crate::script::plain::{Plain, from_lua};
use crate::script::timers::{MAX_DELAY, MIN_EVERY, Timer, WORKERS};
use crate::script::{FunctionDoc, Module, ModuleDoc};

pub(super) struct TimerModule;

impl Module for TimerModule {
    fn doc(&self) -> &'static ModuleDoc {
        &ModuleDoc {
            name: "timer",
            doc: "Time. A timer names a registered function (`script.register`, or `module.function` of a registered module) and has plain data, so it goes on in the next generation. Timers that `init` starts run on one worker and belong to their generation: the next one starts its own.",
            functions: &[
                FunctionDoc {
                    name: ".sleep",
                    args: &[("seconds", "number")],
                    returns: "",
                    doc: "Waits. In a hook the stream waits too, so sleep shortly or use `xmpp.spawn`.",
                },
                FunctionDoc {
                    name: ".after",
                    args: &[("seconds", "number"), ("name", "string"), ("data?", "any")],
                    returns: "integer",
                    doc: "Calls the registered function once, with the data. Returns the timer's number.",
                },
                FunctionDoc {
                    name: ".every",
                    args: &[("seconds", "number"), ("name", "string"), ("data?", "any")],
                    returns: "integer",
                    doc: "Calls it again and again, every 0.1 s at most.",
                },
                FunctionDoc {
                    name: ".cancel",
                    args: &[("id", "integer")],
                    returns: "",
                    doc: "Stops a timer, of whichever worker.",
                },
            ],
        }
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.set(
            "sleep",
            lua.create_async_function(|_, seconds: f64| async move {
                tokio::time::sleep(delay(seconds)?).await;
                Ok(())
            })?,
        )?;
        for (name, repeats) in [("after", false), ("every", true)] {
            let hub = hub.clone();
            table.set(
                name,
                lua.create_function(move |lua, (seconds, name, data): (f64, String, Value)| {
                    let data = from_lua(&data).map_err(LuaError::external)?;
                    start(lua, &hub, repeats, seconds, (name, data))
                })?,
            )?;
        }
        let hub = hub.clone();
        table.set(
            "cancel",
            lua.create_function(move |_, id: u64| {
                let worker = usize::try_from(id % WORKERS).unwrap_or(usize::MAX);
                if worker == hub.worker() {
                    hub.timers().cancel(id);
                } else if let Some(orders) = hub.shared().orders.get(worker) {
                    orders
                        .try_send(Order::CancelTimer(id))
                        .map_err(|_| LuaError::runtime("the timer's worker is too busy"))?;
                }
                Ok(())
            })?,
        )?;
        Ok(table)
    }
}

fn start(
    lua: &Lua,
    hub: &Hub,
    repeats: bool,
    seconds: f64,
    (name, data): (String, Plain),
) -> mlua::Result<u64> {
    let shortest = if repeats { MIN_EVERY } else { Duration::ZERO };
    let loading = lua
        .app_data_ref::<std::rc::Rc<Loading>>()
        .map(|loading| std::rc::Rc::clone(&loading));
    let timer = Timer {
        id: hub.timers().fresh_id(),
        name,
        data,
        delay: delay(seconds)?.max(shortest),
        repeats,
        by_init: loading.is_some(),
    };
    let id = timer.id;
    match loading {
        // Every worker runs init, but a timer is wanted once.
        Some(loading) if hub.worker() == 0 => loading.timers.borrow_mut().push(timer),
        Some(_) => {}
        None if hub.timers().start(timer) => {}
        None => return Err(LuaError::runtime("too many timers")),
    }
    Ok(id)
}

/// A script's seconds as a duration, at most [`MAX_DELAY`].
pub(super) fn delay(seconds: f64) -> mlua::Result<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(LuaError::runtime("seconds must not be negative"));
    }
    Ok(Duration::try_from_secs_f64(seconds)
        .unwrap_or(MAX_DELAY)
        .min(MAX_DELAY))
}
