//! The allow-list: everything that a script finds in a fresh VM, and why it cannot run away.
//!
//! A test walks the globals and fails on a name that is missing here, and on a name here that is missing there.

/// One name that scripts may use.
#[derive(Debug)]
pub struct Allowed {
    /// As a script writes it.
    pub name: &'static str,
    /// What it is, for the manual; differences from Lua 5.4 are named.
    pub doc: &'static str,
    /// Why one call is bounded.
    pub bound: &'static str,
}

const fn row(name: &'static str, doc: &'static str, bound: &'static str) -> Allowed {
    Allowed { name, doc, bound }
}

const O1: &str = "constant work";
const COUNTED: &str = "written in Lua: every step is counted by the hook";
const CHARGED: &str = "charges the bytes it touches";
const OUTPUT: &str = "charges the bytes it touches; the result is at most the output limit";
const METERED: &str = "our own matcher: every step of backtracking is charged";
const GUARDED: &str = "the arguments' bytes are charged and at most the output limit";
const NUMBERS: &str = "constant work on numbers; a string is read as one only up to 200 bytes";
const VALUE: &str = "a value";

/// The whole list, in alphabetical order.
pub const ALLOWED: &[Allowed] = &[
    row("_G", "The globals.", VALUE),
    row("_VERSION", "Lua's version.", VALUE),
    row("assert", "As in Lua.", O1),
    row("coroutine", "Coroutines.", VALUE),
    row(
        "coroutine.close",
        "As in Lua, but pending `__close` are not run; not for a handler's own coroutine or one that waits.",
        O1,
    ),
    row(
        "coroutine.create",
        "As in Lua.",
        "constant work; a coroutine is counted by the same hook",
    ),
    row(
        "coroutine.isyieldable",
        "As in Lua; false in a handler outside of a coroutine.",
        O1,
    ),
    row(
        "coroutine.resume",
        "As in Lua; an engine wait inside passes through.",
        COUNTED,
    ),
    row("coroutine.running", "As in Lua.", O1),
    row(
        "coroutine.status",
        "As in Lua; `normal` while an engine wait is under way inside.",
        O1,
    ),
    row(
        "coroutine.wrap",
        "As in Lua, but no place is put before the message.",
        COUNTED,
    ),
    row(
        "coroutine.yield",
        "As in Lua; an error outside of a coroutine.",
        O1,
    ),
    row("error", "As in Lua.", O1),
    row("getmetatable", "As in Lua; false for strings.", O1),
    row("ipairs", "As in Lua.", COUNTED),
    row(
        "load",
        "As in Lua; text only, `env` must be a table.",
        "at most 32 KiB of text, charged by the byte",
    ),
    row("math", "Mathematics.", VALUE),
    row("math.abs", "As in Lua.", NUMBERS),
    row("math.acos", "As in Lua.", NUMBERS),
    row("math.asin", "As in Lua.", NUMBERS),
    row("math.atan", "As in Lua.", NUMBERS_CHARGED),
    row("math.ceil", "As in Lua.", NUMBERS),
    row("math.cos", "As in Lua.", NUMBERS),
    row("math.deg", "As in Lua.", NUMBERS),
    row("math.exp", "As in Lua.", NUMBERS),
    row("math.floor", "As in Lua.", NUMBERS),
    row("math.fmod", "As in Lua.", NUMBERS_CHARGED),
    row("math.huge", "As in Lua.", VALUE),
    row("math.log", "As in Lua.", NUMBERS_CHARGED),
    row("math.max", "As in Lua.", NUMBERS_CHARGED),
    row("math.maxinteger", "As in Lua.", VALUE),
    row("math.min", "As in Lua.", NUMBERS_CHARGED),
    row("math.mininteger", "As in Lua.", VALUE),
    row("math.modf", "As in Lua.", NUMBERS),
    row("math.pi", "As in Lua.", VALUE),
    row("math.rad", "As in Lua.", NUMBERS),
    row(
        "math.random",
        "As in Lua; not for secrets.",
        NUMBERS_CHARGED,
    ),
    row(
        "math.randomseed",
        "As in Lua, for this VM only.",
        NUMBERS_CHARGED,
    ),
    row("math.sin", "As in Lua.", NUMBERS),
    row("math.sqrt", "As in Lua.", NUMBERS),
    row("math.tan", "As in Lua.", NUMBERS),
    row("math.tointeger", "As in Lua.", NUMBERS),
    row("math.type", "As in Lua.", O1),
    row("math.ult", "As in Lua.", NUMBERS_CHARGED),
    row(
        "next",
        "As in Lua.",
        "walks over free slots at most: the table's memory",
    ),
    row("os", "Times only.", VALUE),
    row("os.clock", "As in Lua.", O1),
    row("os.date", "As in Lua.", GUARDED),
    row("os.difftime", "As in Lua.", O1),
    row("os.time", "As in Lua.", O1),
    row(
        "pairs",
        "As in Lua.",
        "constant work per step, in a loop that is counted",
    ),
    row(
        "pcall",
        "As in Lua; does not catch a used-up budget or a full memory.",
        COUNTED,
    ),
    row(
        "rawequal",
        "As in Lua.",
        "compares two strings at most: the memory limit",
    ),
    row("rawget", "As in Lua.", O1),
    row("rawlen", "As in Lua.", O1),
    row("rawset", "As in Lua.", O1),
    row(
        "require",
        "Modules from the scripts' directories, once per VM; names are of letters, digits, `_`, `.`, `-`.",
        COUNTED,
    ),
    row("select", "As in Lua.", "moves its arguments: Lua's stack"),
    row(
        "setmetatable",
        "As in Lua; a metatable with `__gc` is refused.",
        O1,
    ),
    row("string", "Strings of bytes.", VALUE),
    row("string.byte", "As in Lua, 4000 results at most.", CHARGED),
    row("string.char", "As in Lua.", CHARGED),
    row("string.find", "As in Lua.", METERED),
    row(
        "string.format",
        "As in Lua; a table is written as `tostring` does.",
        GUARDED,
    ),
    row("string.gmatch", "As in Lua.", METERED),
    row(
        "string.gsub",
        "As in Lua; the replacement function may wait.",
        METERED,
    ),
    row("string.len", "As in Lua.", O1),
    row("string.lower", "As in Lua, ASCII.", CHARGED),
    row("string.match", "As in Lua.", METERED),
    row("string.pack", "As in Lua.", GUARDED),
    row("string.packsize", "As in Lua.", GUARDED),
    row("string.rep", "As in Lua.", OUTPUT),
    row("string.reverse", "As in Lua.", CHARGED),
    row("string.sub", "As in Lua.", CHARGED),
    row("string.unpack", "As in Lua.", GUARDED),
    row("string.upper", "As in Lua, ASCII.", CHARGED),
    row("table", "Tables.", VALUE),
    row("table.concat", "As in Lua.", OUTPUT),
    row("table.insert", "As in Lua.", COUNTED),
    row("table.move", "As in Lua.", COUNTED),
    row(
        "table.pack",
        "As in Lua.",
        "moves its arguments: Lua's stack",
    ),
    row("table.remove", "As in Lua.", COUNTED),
    row(
        "table.sort",
        "As in Lua, and stable; an order that contradicts itself is not noticed.",
        "numbers or strings: n log n is charged before; else written in Lua, and counted",
    ),
    row(
        "table.unpack",
        "As in Lua, 4000 results at most.",
        "the number of results is bounded and charged",
    ),
    row(
        "tonumber",
        "As in Lua; a string of more than 200 bytes is not a number.",
        NUMBERS,
    ),
    row(
        "tostring",
        "As in Lua.",
        "constant work; `__tostring` is counted",
    ),
    row("type", "As in Lua.", O1),
    row("utf8", "UTF-8.", VALUE),
    row("utf8.char", "As in Lua.", GUARDED),
    row("utf8.charpattern", "As in Lua.", VALUE),
    row("utf8.codepoint", "As in Lua.", GUARDED),
    row("utf8.codes", "As in Lua.", GUARDED),
    row("utf8.len", "As in Lua.", GUARDED),
    row("utf8.offset", "As in Lua.", GUARDED),
    row(
        "xpcall",
        "As in Lua, as `pcall`; the handler runs when the stack is unwound.",
        COUNTED,
    ),
];

const NUMBERS_CHARGED: &str = "constant work on numbers; the bytes of a string are charged";
