//! Plain data: what may leave a VM and outlive it. `sess.vars`, `kv`, the data of timers and conversations.

use mlua::{Lua, LuaString, Table, Value};
use serde_json::{Map, Number};

/// Data without functions, userdata or cycles.
pub(super) type Plain = serde_json::Value;

/// How deep tables may nest.
const MAX_DEPTH: usize = 16;
/// Most values in one piece of data.
const MAX_VALUES: usize = 4_096;
/// Most bytes of all its strings and keys.
const MAX_BYTES: usize = 65_536;

/// Why a Lua value is not plain data.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlainError {
    #[error("a {0} cannot be kept: only nil, booleans, numbers, strings and tables of these")]
    Kind(&'static str),
    #[error("tables nest deeper than {MAX_DEPTH}")]
    Depth,
    #[error("more than {MAX_VALUES} values or {MAX_BYTES} bytes")]
    Size,
    #[error("a table's keys must be all strings, or 1, 2, 3 and so on")]
    Keys,
    #[error("text must be UTF-8")]
    Text,
    #[error("a number must be finite")]
    Number,
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

/// Copies a Lua value out of its VM.
pub(super) fn from_lua(value: &Value) -> Result<Plain, PlainError> {
    Room {
        values: MAX_VALUES,
        bytes: MAX_BYTES,
    }
    .copy(value, 0)
}

/// Copies plain data into a VM. JSON null becomes nil.
pub(super) fn to_lua(lua: &Lua, plain: &Plain) -> mlua::Result<Value> {
    Ok(match plain {
        Plain::Null => Value::Nil,
        Plain::Bool(yes) => Value::Boolean(*yes),
        Plain::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Plain::String(text) => Value::String(lua.create_string(text)?),
        Plain::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(to_lua(lua, item)?)?;
            }
            Value::Table(table)
        }
        Plain::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, item) in map {
                table.raw_set(key.as_str(), to_lua(lua, item)?)?;
            }
            Value::Table(table)
        }
    })
}

/// What may still be copied.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    fn copy(&mut self, value: &Value, depth: usize) -> Result<Plain, PlainError> {
        if depth > MAX_DEPTH {
            return Err(PlainError::Depth);
        }
        self.values = self.values.checked_sub(1).ok_or(PlainError::Size)?;
        match value {
            Value::Nil => Ok(Plain::Null),
            Value::Boolean(yes) => Ok(Plain::Bool(*yes)),
            Value::Integer(integer) => Ok(Plain::Number((*integer).into())),
            Value::Number(number) => Number::from_f64(*number)
                .map(Plain::Number)
                .ok_or(PlainError::Number),
            Value::String(text) => Ok(Plain::String(self.text(text)?)),
            Value::Table(table) => self.table(table, depth),
            other => Err(PlainError::Kind(other.type_name())),
        }
    }

    fn text(&mut self, text: &LuaString) -> Result<String, PlainError> {
        let text = text.to_str().map_err(|_| PlainError::Text)?;
        self.bytes = self.bytes.checked_sub(text.len()).ok_or(PlainError::Size)?;
        Ok(text.to_owned())
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Plain, PlainError> {
        let length = table.raw_len();
        if length > 0 {
            return self.sequence(table, length, depth);
        }
        let mut map = Map::new();
        for pair in table.pairs::<Value, Value>() {
            let (Value::String(key), value) = pair? else {
                return Err(PlainError::Keys);
            };
            map.insert(self.text(&key)?, self.copy(&value, depth + 1)?);
        }
        Ok(Plain::Object(map))
    }

    fn sequence(
        &mut self,
        table: &Table,
        length: usize,
        depth: usize,
    ) -> Result<Plain, PlainError> {
        if length > MAX_VALUES {
            return Err(PlainError::Size);
        }
        let mut items = Vec::with_capacity(length);
        for item in table.sequence_values::<Value>() {
            items.push(self.copy(&item?, depth + 1)?);
        }
        if table.pairs::<Value, Value>().count() != items.len() {
            return Err(PlainError::Keys);
        }
        Ok(Plain::Array(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(text: &str) -> Result<String, String> {
        let lua = Lua::new();
        let value: Value = lua.load(text).eval().unwrap();
        from_lua(&value)
            .map(|plain| plain.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn tables_become_arrays_or_objects() {
        assert_eq!(copy("{1, 'b', true}").unwrap(), r#"[1,"b",true]"#);
        assert_eq!(
            copy("{a = {1.5}, b = {}}").unwrap(),
            r#"{"a":[1.5],"b":{}}"#
        );
        assert!(copy("{1, a = 2}").unwrap_err().contains("keys"));
        assert!(copy("{[{}] = 2}").unwrap_err().contains("keys"));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(
            copy("print")
                .unwrap_err()
                .contains("a function cannot be kept")
        );
        assert!(copy("0/0").unwrap_err().contains("finite"));
        assert!(
            copy("(function() local t = {} t.t = t return t end)()")
                .unwrap_err()
                .contains("deeper")
        );
        assert!(copy("('x'):rep(70000)").unwrap_err().contains("bytes"));
        assert!(copy("'\\xff'").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn data_comes_back_as_it_went() {
        let lua = Lua::new();
        let plain: Plain = serde_json::from_str(r#"{"a":[1,{"b":"c"}],"d":false}"#).unwrap();
        let there = to_lua(&lua, &plain).unwrap();
        assert_eq!(from_lua(&there).unwrap(), plain);
    }
}
