//! The sandbox by itself: what it stops, what it lets through, and that it is still Lua.

mod attacks;
mod language;
mod oracle;

use std::time::Duration;

use super::budget::thread_cpu;
use super::{Limits, ScriptError, Vm, What};

/// A script under the name `attack.lua`, called once: what came out and the CPU time that it took.
fn run(vm: &Vm, source: &str) -> (Result<mlua::MultiValue, ScriptError>, Duration) {
    let chunk = vm.load("attack.lua", source.as_bytes()).unwrap();
    let before = thread_cpu();
    let result = vm.call_now(&chunk, ());
    (result, thread_cpu() - before)
}

fn vm() -> Vm {
    Vm::new(Limits::default()).unwrap()
}

/// A VM for tests of meaning, which must not depend on how fast this machine is.
fn patient() -> Vm {
    Vm::new(Limits {
        cpu: Duration::from_secs(60),
        instructions: 1_000_000_000,
        ..Limits::default()
    })
    .unwrap()
}

/// Runs `source` and gives its first result as text.
fn eval(source: &str) -> String {
    eval_in(&patient(), source)
}

fn eval_in(vm: &Vm, source: &str) -> String {
    let values = run(vm, source).0.unwrap();
    let first = values.into_iter().next().unwrap_or(mlua::Value::Nil);
    first.to_string().unwrap()
}

/// The error of `source`.
fn fails(source: &str) -> ScriptError {
    match run(&patient(), source).0 {
        Ok(values) => panic!("no error but {values:?}"),
        Err(error) => error,
    }
}

fn what(error: &ScriptError) -> Option<What> {
    match error {
        ScriptError::Budget { what, .. } => Some(*what),
        ScriptError::Memory { .. } => Some(What::Memory),
        _ => None,
    }
}
