//! Arguments of library functions, with Lua's coercions, but no number is read from a long string.

use mlua::{Error, Lua, LuaString, MultiValue, Result, Value};

/// A string longer than this is not a number, whatever it holds: reading one takes time that nothing charges.
pub(super) const NUMBER_BYTES: usize = 200;

/// The arguments of one call to `function`.
pub(super) struct Args<'a> {
    lua: &'a Lua,
    function: &'static str,
    values: Vec<Value>,
}

impl<'a> Args<'a> {
    pub(super) fn new(lua: &'a Lua, function: &'static str, values: MultiValue) -> Args<'a> {
        Args {
            lua,
            function,
            values: values.into_iter().collect(),
        }
    }

    /// How many were given.
    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    /// The argument at `index`, counted from 0; nil if it was not given.
    pub(super) fn get(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Nil)
    }

    /// A string, or a number as Lua writes it.
    pub(super) fn string(&self, index: usize) -> Result<LuaString> {
        match self.get(index) {
            Value::String(string) => Ok(string.clone()),
            number @ (Value::Integer(_) | Value::Number(_)) => self
                .lua
                .coerce_string(number.clone())?
                .ok_or_else(|| self.wrong(index, "string")),
            _ => Err(self.wrong(index, "string")),
        }
    }

    /// An integer, a float without a fraction, or a string that holds one of them.
    pub(super) fn integer(&self, index: usize) -> Result<i64> {
        let number = match self.get(index) {
            Value::String(string) => read_number(self.lua, string)?.unwrap_or(Value::Nil),
            other => other.clone(),
        };
        match number {
            Value::Integer(integer) => Ok(integer),
            Value::Number(float) => {
                whole(float).ok_or_else(|| self.bad(index, "number has no integer representation"))
            }
            _ => Err(self.wrong(index, "number")),
        }
    }

    /// Like [`Args::integer`], `default` for nil.
    pub(super) fn integer_or(&self, index: usize, default: i64) -> Result<i64> {
        match self.get(index) {
            Value::Nil => Ok(default),
            _ => self.integer(index),
        }
    }

    /// Lua's truth.
    pub(super) fn truth(&self, index: usize) -> bool {
        !matches!(self.get(index), Value::Nil | Value::Boolean(false))
    }

    /// The error for an argument of the wrong type.
    pub(super) fn wrong(&self, index: usize, expected: &str) -> Error {
        let got = match self.values.get(index) {
            Some(value) => value.type_name(),
            None => "no value",
        };
        self.bad(index, &format!("{expected} expected, got {got}"))
    }

    /// The error for an argument that will not do.
    pub(super) fn bad(&self, index: usize, why: &str) -> Error {
        Error::runtime(format_args!(
            "bad argument #{} to '{}' ({why})",
            index + 1,
            self.function
        ))
    }
}

/// The number that a string holds by Lua's rules, unless the string is long.
pub(super) fn read_number(lua: &Lua, string: &LuaString) -> Result<Option<Value>> {
    if string.as_bytes().len() > NUMBER_BYTES {
        return Ok(None);
    }
    let value = Value::String(string.clone());
    // Lua's own conversion keeps "0x10" and "1e2" right; an integer stays an integer.
    if let Some(float) = lua.coerce_number(value.clone())? {
        let integer = match whole(float) {
            Some(_) if !looks_like_float(&string.as_bytes()) => lua.coerce_integer(value)?,
            _ => None,
        };
        return Ok(Some(integer.map_or(Value::Number(float), Value::Integer)));
    }
    Ok(None)
}

/// Whether a numeral that Lua accepts makes a float: it has a point or an exponent.
fn looks_like_float(numeral: &[u8]) -> bool {
    let hex = numeral.iter().any(|byte| matches!(byte, b'x' | b'X'));
    numeral.iter().any(|byte| match byte {
        b'.' => true,
        b'e' | b'E' => !hex,
        b'p' | b'P' => hex,
        _ => false,
    })
}

/// The integer that equals `float`.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn whole(float: f64) -> Option<i64> {
    let integer = float as i64;
    // 2^63 saturates to i64::MAX, which as a float is 2^63 again: the only value that must be told apart.
    (float.fract() == 0.0 && float < 9_223_372_036_854_775_808.0 && integer as f64 == float)
        .then_some(integer)
}
