//! One Lua state that nothing a script does can hold up, blow up or leave.
//!
//! A [`Vm`] is one generation of scripts on one worker. A script sees the allow-list of [`allow`] and nothing else. Every
//! [`Call`] runs under [`Limits`]: a count hook and our own library functions charge a budget of instructions and of thread
//! CPU time. When it is used up the call's coroutine is frozen where it stands and dropped, so that no `pcall`, error
//! handler or `__close` of the script runs any more. Memory is bounded per VM; after a failed allocation the VM is
//! [condemned](Vm::condemned) and has to be built again.

mod allow;
mod args;
mod budget;
mod call;
mod error;
mod library;
mod meter;
mod pattern;
mod strings;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mlua::chunk::ChunkMode;
use mlua::{
    FromLuaMulti, Function, HookTriggers, IntoLua, IntoLuaMulti, Lua, LuaOptions, StdLib, Table,
};

pub use allow::{ALLOWED, Allowed};
pub use budget::{Limits, What};
pub use call::Call;
pub use error::{Place, ScriptError};
pub(in crate::script) use meter::{Held, work};

use budget::{Budget, STRIDE};
use call::Shared;
use error::{PRELUDE, is_memory};
use meter::Meter;

/// Finds the source of a module: the name for its errors, and its text.
type Find = dyn Fn(&str) -> Option<(String, Bytes)>;
type Loader = Rc<RefCell<Option<Box<Find>>>>;

/// Bytes of one script file.
pub const SOURCE_BYTES: usize = 1 << 20;

/// One generation's Lua state on one worker.
pub struct Vm {
    shared: Rc<Shared>,
    loader: Loader,
    preload: Function,
}

impl Vm {
    /// Builds an empty VM.
    ///
    /// # Errors
    /// [`ScriptError::Sandbox`] when Lua cannot be set up, for example because `limits.memory` is too small for it.
    pub fn new(limits: Limits) -> Result<Vm, ScriptError> {
        Vm::build(limits).map_err(|error| ScriptError::Sandbox(error.to_string()))
    }

    fn build(limits: Limits) -> mlua::Result<Vm> {
        let libs = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::UTF8
            | StdLib::MATH
            | StdLib::OS;
        let lua = Lua::new_with(libs, LuaOptions::new())?;
        let budget = Rc::new(Budget::new(limits));
        let loader = Loader::default();
        let natives = library::natives(&lua, &budget, &loader)?;
        let strings = strings::library(&lua, &budget)?;
        let prelude = lua
            .load(include_str!("prelude.lua"))
            .set_name(PRELUDE)
            .set_mode(ChunkMode::Text);
        let (globals, root, preload) = prelude.call::<(Table, Function, Function)>((
            lua.globals(),
            natives,
            strings,
            Lua::poll_pending(),
            // Only the metatable of strings cannot be had by a safe `getmetatable` once it is protected.
            lua.type_metatable::<mlua::LuaString>(),
        ))?;
        lua.set_globals(globals)?;
        lua.set_app_data(Meter(Rc::clone(&budget)));
        lua.gc_collect()?;
        lua.set_memory_limit(limits.memory)?;
        let hook = Rc::clone(&budget);
        lua.set_global_hook(
            HookTriggers::new().every_nth_instruction(STRIDE),
            move |lua, debug| hook.hook(lua, debug),
        )?;
        Ok(Vm {
            shared: Rc::new(Shared::new(lua, budget, root)),
            loader,
            preload,
        })
    }

    /// The state, to put the script API into its globals. Call functions through [`Vm::call`], not by mlua's own means:
    /// outside of a [`Call`] only instructions are bounded.
    ///
    /// An API function whose work grows with its arguments calls [`work`]; an object that keeps memory outside of Lua has
    /// a [`Held`]; a function that waits is made by `create_async_function`.
    #[must_use]
    pub fn lua(&self) -> &Lua {
        &self.shared.lua
    }

    /// Compiles a script; `name` is what its errors call it.
    ///
    /// # Errors
    /// [`ScriptError::Syntax`], [`ScriptError::Bytecode`] or [`ScriptError::TooLarge`].
    pub fn load(&self, name: &str, source: &[u8]) -> Result<Function, ScriptError> {
        compile(&self.shared.lua, name, source)
    }

    /// Calls `function` under a budget of its own. Nothing runs before the first poll.
    pub fn call<R: FromLuaMulti>(&self, function: &Function, args: impl IntoLuaMulti) -> Call<R> {
        Call::new(&self.shared, function, args)
    }

    /// Calls `function` where nothing may wait: `init`, `selftest`, loading.
    ///
    /// # Errors
    /// Those of a [`Call`], and [`ScriptError::Waits`].
    pub fn call_now<R: FromLuaMulti>(
        &self,
        function: &Function,
        args: impl IntoLuaMulti,
    ) -> Result<R, ScriptError> {
        let mut call = pin!(self.call(function, args));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ScriptError::Waits {
                place: call.place(),
            }),
        }
    }

    /// Says where `require` finds modules. A module is loaded once per VM; its name is of letters, digits, `_`, `.`, `-`.
    pub fn set_loader(&self, find: impl Fn(&str) -> Option<(String, Bytes)> + 'static) {
        self.loader.replace(Some(Box::new(find)));
    }

    /// Makes `require(name)` give `value`.
    ///
    /// # Errors
    /// [`ScriptError::Sandbox`] when memory does not suffice.
    pub fn preload(&self, name: &str, value: impl IntoLua) -> Result<(), ScriptError> {
        self.preload
            .call::<()>((name, value))
            .map_err(|error| ScriptError::Sandbox(error.to_string()))
    }

    /// Whether an allocation has failed: the state may be half-changed and must be built anew.
    #[must_use]
    pub fn condemned(&self) -> bool {
        self.shared.budget.condemned()
    }

    /// Condemns the VM if `error`, met outside of a [`Call`], is a failed allocation: making arguments, say. Going on in it
    /// would collect everything at each further allocation.
    pub fn witness(&self, error: &mlua::Error) {
        if is_memory(error) {
            self.shared.budget.exhausted();
        }
    }

    /// Bytes in use, in Lua and in what scripts keep of ours.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shared.budget.in_use(&self.shared.lua)
    }

    /// One step of the collector; true when a cycle is done. For idle turns, and to empty an old VM before it is dropped.
    pub fn gc_step(&self) -> bool {
        self.shared.lua.gc_step().unwrap_or(true)
    }
}

/// Compiles text, and only text.
fn compile(lua: &Lua, name: &str, source: &[u8]) -> Result<Function, ScriptError> {
    let script = || name.to_owned();
    if source.first() == Some(&library::BYTECODE) {
        return Err(ScriptError::Bytecode { script: script() });
    }
    if source.len() > SOURCE_BYTES {
        return Err(ScriptError::TooLarge {
            script: script(),
            bytes: source.len(),
            limit: SOURCE_BYTES,
        });
    }
    lua.load(source)
        .set_name(format!("@{name}"))
        .set_mode(ChunkMode::Text)
        .into_function()
        .map_err(|error| {
            let start = Place {
                script: script(),
                line: 0,
            };
            ScriptError::from_lua(&error, &start)
        })
}
