//! The string library, in Rust: Lua's own runs for as long as its arguments are long, inside one instruction.
//!
//! Every function charges the bytes it touches and refuses to make more than [`super::Limits::output`]. All of them work
//! on bytes: a string need not be UTF-8.

use std::cell::Cell;
use std::rc::Rc;

use memchr::memmem;
use mlua::{Error, Function, IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use super::args::Args;
use super::budget::{Budget, Tripped};
use super::pattern::{self, Capture, Matcher, Meter, PatternError};

/// Bytes that `string.byte` gives back at most, and values that `table.unpack` does: they go on Lua's stack.
pub(super) const RESULTS: usize = 4000;

type Body = fn(&Shelf<'_>, &Args<'_>) -> Result<MultiValue>;

/// Name and body of each function.
const FUNCTIONS: &[(&str, Body)] = &[
    ("byte", byte),
    ("char", char),
    ("find", find),
    ("len", len),
    ("lower", lower),
    ("match", matched),
    ("rep", rep),
    ("reverse", reverse),
    ("sub", sub),
    ("upper", upper),
];

/// What a library function works with.
struct Shelf<'a> {
    lua: &'a Lua,
    budget: &'a Budget,
}

impl Meter for Shelf<'_> {
    fn pay(&self, steps: u32) -> std::result::Result<(), Tripped> {
        self.budget.charge(self.lua, u64::from(steps / 4) + 1)
    }
}

/// The functions of the string library that are ours, and under names of their own `scan` and `gsub_text`, of which the
/// prelude makes `gmatch` and `gsub`.
pub(super) fn library(lua: &Lua, budget: &Rc<Budget>) -> Result<Table> {
    let table = lua.create_table()?;
    for &(name, body) in FUNCTIONS {
        let meter = Rc::clone(budget);
        let function = lua.create_function(move |lua, values: MultiValue| {
            let shelf = Shelf {
                lua,
                budget: &meter,
            };
            body(&shelf, &Args::new(lua, name, values))
        })?;
        table.raw_set(name, function)?;
    }
    table.raw_set("gsub_text", gsub_text(lua, budget)?)?;
    table.raw_set("scan", scan(lua, budget)?)?;
    Ok(table)
}

impl Shelf<'_> {
    fn touch(&self, bytes: usize) -> Result<()> {
        Ok(self.budget.charge_bytes(self.lua, bytes)?)
    }

    fn give(&self, bytes: &[u8]) -> Result<MultiValue> {
        self.lua.create_string(bytes)?.into_lua_multi(self.lua)
    }

    /// Refuses a result of `bytes` bytes if that is too long.
    fn fits(&self, function: &str, bytes: usize) -> Result<()> {
        let most = self.budget.limits().output;
        if bytes > most {
            return Err(Error::runtime(format_args!(
                "resulting string too large: '{function}' would make {bytes} bytes, {most} are allowed"
            )));
        }
        Ok(())
    }
}

/// A start position as `sub`, `byte` and `find` read it: from the end if negative, at least 1.
fn from_start(position: i64, length: usize) -> usize {
    match usize::try_from(position) {
        Ok(0) => 1,
        Ok(at) => at,
        Err(_) => {
            let back = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            length.checked_sub(back).map_or(1, |at| at + 1)
        }
    }
}

/// An end position: from the end if negative, at most the length.
fn to_end(position: i64, length: usize) -> usize {
    match usize::try_from(position) {
        Ok(at) => at.min(length),
        Err(_) => {
            let back = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            length.checked_sub(back).map_or(0, |at| at + 1)
        }
    }
}

/// The bytes from `first` to `last`, both counted from 1 and included.
fn slice(bytes: &[u8], first: usize, last: usize) -> &[u8] {
    bytes.get(first - 1..last).unwrap_or_default()
}

fn len(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let length = args.string(0)?.as_bytes().len();
    length.into_lua_multi(shelf.lua)
}

fn sub(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let string = args.string(0)?;
    let bytes = string.as_bytes();
    let first = from_start(args.integer(1)?, bytes.len());
    let last = to_end(args.integer_or(2, -1)?, bytes.len());
    let part = slice(&bytes, first, last);
    shelf.touch(part.len())?;
    shelf.give(part)
}

fn byte(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let string = args.string(0)?;
    let bytes = string.as_bytes();
    let start = args.integer_or(1, 1)?;
    let first = from_start(start, bytes.len());
    // The default end is the start as given, before it is clamped.
    let last = to_end(args.integer_or(2, start)?, bytes.len());
    let part = slice(&bytes, first, last);
    if part.len() > RESULTS {
        return Err(Error::runtime("string slice too long"));
    }
    shelf.touch(part.len())?;
    Ok(part
        .iter()
        .map(|&byte| Value::Integer(i64::from(byte)))
        .collect())
}

fn char(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    shelf.touch(args.count())?;
    let bytes = (0..args.count())
        .map(|index| {
            u8::try_from(args.integer(index)?).map_err(|_| args.bad(index, "value out of range"))
        })
        .collect::<Result<Vec<u8>>>()?;
    shelf.give(&bytes)
}

fn mapped(
    shelf: &Shelf<'_>,
    args: &Args<'_>,
    map: impl FnOnce(&mut Vec<u8>),
) -> Result<MultiValue> {
    let string = args.string(0)?;
    let length = string.as_bytes().len();
    shelf.touch(length)?;
    let mut bytes = string.as_bytes().to_vec();
    map(&mut bytes);
    shelf.give(&bytes)
}

fn lower(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    mapped(shelf, args, |bytes| bytes.make_ascii_lowercase())
}

fn upper(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    mapped(shelf, args, |bytes| bytes.make_ascii_uppercase())
}

fn reverse(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    mapped(shelf, args, |bytes| bytes.reverse())
}

fn rep(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let string = args.string(0)?;
    let times = usize::try_from(args.integer(1)?).unwrap_or(0);
    let between = match args.get(2) {
        Value::Nil => None,
        _ => Some(args.string(2)?),
    };
    let bytes = string.as_bytes();
    let between = between.as_ref().map(mlua::LuaString::as_bytes);
    let between: &[u8] = between.as_deref().unwrap_or_default();
    if times == 0 {
        return shelf.give(b"");
    }
    let total = bytes
        .len()
        .saturating_mul(times)
        .saturating_add(between.len().saturating_mul(times - 1));
    shelf.fits("rep", total)?;
    shelf.touch(total)?;
    if total == 0 {
        return shelf.give(b"");
    }
    if between.is_empty() {
        return shelf.give(&bytes.repeat(times));
    }
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&bytes);
    for _ in 1..times {
        out.extend_from_slice(between);
        out.extend_from_slice(&bytes);
    }
    shelf.give(&out)
}

fn find(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let (subject, pattern) = (args.string(0)?, args.string(1)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let start = from_start(args.integer_or(2, 1)?, subject.len()) - 1;
    let Some(rest) = subject.get(start..) else {
        return Ok(nothing());
    };
    if args.truth(3) || pattern::is_plain(&pattern) {
        shelf.touch(rest.len() + pattern.len())?;
        let Some(at) = memmem::find(rest, &pattern) else {
            return Ok(nothing());
        };
        let first = start + at;
        return (first + 1, first + pattern.len()).into_lua_multi(shelf.lua);
    }
    let (anchored, bare) = pattern::split_anchor(&pattern);
    let mut matcher = Matcher::new(&subject, bare, shelf);
    let found = searched(&mut matcher, start, anchored)?;
    let Some((first, end)) = found else {
        return Ok(nothing());
    };
    let mut results = (first + 1, end).into_lua_multi(shelf.lua)?;
    for index in 0..matcher.count() {
        let capture = matcher.capture(index, first, end).map_err(raise)?;
        results.push_back(shelf.value(capture)?);
    }
    Ok(results)
}

fn matched(shelf: &Shelf<'_>, args: &Args<'_>) -> Result<MultiValue> {
    let (subject, pattern) = (args.string(0)?, args.string(1)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let start = from_start(args.integer_or(2, 1)?, subject.len()) - 1;
    if start > subject.len() {
        return Ok(nothing());
    }
    let (anchored, bare) = pattern::split_anchor(&pattern);
    let mut matcher = Matcher::new(&subject, bare, shelf);
    match searched(&mut matcher, start, anchored)? {
        Some(place) => shelf.captures(&matcher, place, matcher.count().max(1)),
        None => Ok(nothing()),
    }
}

/// Searches and pays for all of it, found or not.
fn searched(
    matcher: &mut Matcher<'_>,
    start: usize,
    anchored: bool,
) -> Result<Option<(usize, usize)>> {
    let found = matcher.search(start, anchored).map_err(raise)?;
    matcher.settle().map_err(raise)?;
    Ok(found)
}

impl Shelf<'_> {
    fn value(&self, capture: Capture<'_>) -> Result<Value> {
        match capture {
            Capture::Text(text) => {
                self.touch(text.len())?;
                Ok(Value::String(self.lua.create_string(text)?))
            }
            Capture::Position(at) => Ok(Value::Integer(i64::try_from(at).unwrap_or(i64::MAX))),
        }
    }

    /// The first `count` captures of a match; the match itself stands for the first if there are none.
    fn captures(
        &self,
        matcher: &Matcher<'_>,
        (start, end): (usize, usize),
        count: usize,
    ) -> Result<MultiValue> {
        (0..count)
            .map(|index| self.value(matcher.capture(index, start, end).map_err(raise)?))
            .collect()
    }
}

/// `gsub_text(subject, pattern, replacement, most)`: `gsub` with a replacement string.
fn gsub_text(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, values: MultiValue| {
        let shelf = Shelf {
            lua,
            budget: &meter,
        };
        let args = Args::new(lua, "gsub", values);
        let (subject, pattern, replacement) = (args.string(0)?, args.string(1)?, args.string(2)?);
        let (bytes, pattern) = (subject.as_bytes(), pattern.as_bytes());
        let all = i64::try_from(bytes.len()).unwrap_or(i64::MAX - 1) + 1;
        let most = args.integer_or(3, all)?;
        let (anchored, bare) = pattern::split_anchor(&pattern);
        let mut matcher = Matcher::new(&bytes, bare, &shelf);
        let mut out = Vec::new();
        let (mut at, mut last, mut count) = (0, None, 0_i64);
        while count < most {
            match matcher.at(at).map_err(raise)? {
                Some(end) if Some(end) != last => {
                    count += 1;
                    let before = out.len();
                    pattern::expand(&mut out, &matcher, (at, end), &replacement.as_bytes())
                        .map_err(raise)?;
                    shelf.touch(out.len() - before)?;
                    shelf.fits("gsub", out.len())?;
                    at = end;
                    last = Some(end);
                }
                _ => match bytes.get(at) {
                    Some(&byte) => {
                        out.push(byte);
                        at += 1;
                    }
                    None => break,
                },
            }
            if anchored {
                break;
            }
        }
        matcher.settle().map_err(raise)?;
        if count == 0 {
            return (&subject, count).into_lua_multi(lua);
        }
        out.extend_from_slice(bytes.get(at..).unwrap_or_default());
        shelf.fits("gsub", out.len())?;
        (lua.create_string(&out)?, count).into_lua_multi(lua)
    })
}

/// `scan(subject, pattern, init, anchors)` gives a function that gives, match after match, its first and last position and
/// its captures. With `anchors` a leading `^` binds the one match to the start, as in `gsub`; without, as in `gmatch`, it
/// is a character like any other. A fifth argument limits it to the first capture.
fn scan(lua: &Lua, budget: &Rc<Budget>) -> Result<Function> {
    let meter = Rc::clone(budget);
    lua.create_function(move |lua, values: MultiValue| {
        let args = Args::new(lua, "gmatch", values);
        let (subject, pattern) = (args.string(0)?, args.string(1)?);
        let start = from_start(args.integer_or(2, 1)?, subject.as_bytes().len()) - 1;
        let (anchors, only_first) = (args.truth(3), args.truth(4));
        let meter = Rc::clone(&meter);
        let next = Cell::new(Some((start, None)));
        lua.create_function(move |lua, ()| {
            let shelf = Shelf {
                lua,
                budget: &meter,
            };
            let Some((start, last)) = next.get() else {
                return Ok(nothing());
            };
            let (bytes, pattern) = (subject.as_bytes(), pattern.as_bytes());
            let (anchored, bare) = match anchors {
                true => pattern::split_anchor(&pattern),
                false => (false, &*pattern),
            };
            let mut matcher = Matcher::new(&bytes, bare, &shelf);
            let found = forward(&mut matcher, start..=bytes.len(), last, anchored)?;
            next.set(match found {
                Some((_, end)) if !anchored => Some((end, Some(end))),
                _ => None,
            });
            let Some((first, end)) = found else {
                return Ok(nothing());
            };
            let count = if only_first {
                1
            } else {
                matcher.count().max(1)
            };
            let mut results = shelf.captures(&matcher, (first, end), count)?;
            results.push_front(Value::Integer(i64::try_from(end).unwrap_or(i64::MAX)));
            results.push_front(Value::Integer(i64::try_from(first + 1).unwrap_or(i64::MAX)));
            Ok(results)
        })
    })
}

/// The next match that does not end where the last one did.
fn forward(
    matcher: &mut Matcher<'_>,
    places: std::ops::RangeInclusive<usize>,
    last: Option<usize>,
    anchored: bool,
) -> Result<Option<(usize, usize)>> {
    let mut found = None;
    for at in places {
        match matcher.at(at).map_err(raise)? {
            Some(end) if Some(end) != last => {
                found = Some((at, end));
                break;
            }
            _ if anchored => break,
            _ => {}
        }
    }
    matcher.settle().map_err(raise)?;
    Ok(found)
}

fn nothing() -> MultiValue {
    std::iter::once(Value::Nil).collect()
}

fn raise(error: PatternError) -> Error {
    match error {
        PatternError::Stopped(tripped) => tripped.into(),
        other => Error::runtime(other),
    }
}
