//! Our matcher and string functions against Lua's own, on random subjects and patterns.

use mlua::{Lua, MultiValue, Value};
use proptest::prelude::*;

use super::*;

/// A value as text; errors only as such, for Lua's messages name functions differently.
fn shown(values: mlua::Result<MultiValue>) -> String {
    match values {
        Err(_) => "error".into(),
        Ok(values) => values
            .iter()
            .map(|value| match value {
                Value::String(text) => format!("{:?}", text.as_bytes().to_vec()),
                other => format!("{other:?}"),
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

struct Pair {
    theirs: Lua,
    ours: Vm,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            theirs: Lua::new(),
            ours: patient(),
        }
    }

    /// Runs `source` on both with the same arguments.
    fn same(&self, source: &str, args: &[Arg]) -> Result<(), TestCaseError> {
        let theirs = shown(self.theirs.load(source).call(given(args, &self.theirs)));
        let chunk = self.ours.load("oracle.lua", source.as_bytes()).unwrap();
        let args_ours = given(args, self.ours.lua());
        let ours = self.ours.call_now::<MultiValue>(&chunk, args_ours);
        let ours = shown(ours.map_err(mlua::Error::runtime));
        prop_assert_eq!(ours, theirs, "{} {:?}", source, args);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Arg {
    Text(Vec<u8>),
    Int(i64),
}

fn given(args: &[Arg], lua: &Lua) -> MultiValue {
    args.iter()
        .map(|arg| match arg {
            Arg::Text(text) => Value::String(lua.create_string(text).unwrap()),
            Arg::Int(int) => Value::Integer(*int),
        })
        .collect()
}

fn subject() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop_oneof![
            4 => prop::sample::select(b"abcAB01 _-.(){}[]%".to_vec()),
            1 => any::<u8>(),
        ],
        0..24,
    )
}

/// Patterns that are mostly well-formed.
fn pattern() -> impl Strategy<Value = Vec<u8>> {
    let item = prop_oneof![
        6 => prop::sample::select(vec![
            "a", "b", "c", ".", "%a", "%d", "%s", "%w", "%W", "%p", "%x", "%u", "%l", "%c", "%g", "%z", "%A", "%%", "%.",
            "[abc]", "[^a]", "[a-z]", "[%a_]", "[^%s-]", "[]a]", "[a-]", "[%]]", "[0-9a-fA-F]", "-", "()", "%1", "%2",
            "%b()", "%bab", "%f[%a]", "%f[^%w]", "%f[%z]", "(", ")", "(a)", "(.-)", "(%a+)", "$", "^", "\0",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["[", "[a", "%", "%b", "%b(", "%f", "%9", "]", "%0", "[%"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let suffix = prop::sample::select(vec!["", "", "", "*", "+", "-", "?"]);
    (
        prop::sample::select(vec!["", "", "^"]),
        proptest::collection::vec((item, suffix), 0..6),
        prop::sample::select(vec!["", "", "", "$"]),
    )
        .prop_map(|(head, items, tail)| {
            let mut out = head.as_bytes().to_vec();
            for (item, suffix) in items {
                out.extend_from_slice(&item);
                out.extend_from_slice(suffix.as_bytes());
            }
            out.extend_from_slice(tail.as_bytes());
            out
        })
}

fn replacement() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop::sample::select(vec!["x", "%0", "%1", "%2", "%%", "<>", "%", "\0", ""]),
        0..4,
    )
    .prop_map(|parts| parts.concat().into_bytes())
}

thread_local! {
    static PAIR: Pair = Pair::new();
}

fn same(source: &str, args: &[Arg]) -> Result<(), TestCaseError> {
    PAIR.with(|pair| pair.same(source, args))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn find_and_match(s in subject(), p in pattern(), init in -30_i64..30) {
        let args = [Arg::Text(s), Arg::Text(p), Arg::Int(init)];
        same("local s, p = ... return string.find(s, p)", &args)?;
        same("local s, p, i = ... return string.find(s, p, i)", &args)?;
        same("local s, p, i = ... return string.match(s, p, i)", &args)?;
        same("local s, p, i = ... return string.find(s, p, i, true)", &args)?;
    }

    #[test]
    fn gmatch(s in subject(), p in pattern(), init in -30_i64..30) {
        let args = [Arg::Text(s), Arg::Text(p), Arg::Int(init)];
        same(
            "local s, p, i = ... local t = {}\n\
             for a, b, c in string.gmatch(s, p, i) do t[#t + 1] = tostring(a) .. '/' .. tostring(b) .. '/' .. tostring(c) end\n\
             return table.concat(t, '|')",
            &args,
        )?;
    }

    #[test]
    fn gsub(s in subject(), p in pattern(), r in replacement(), most in -1_i64..5) {
        let args = [Arg::Text(s), Arg::Text(p), Arg::Text(r), Arg::Int(most)];
        same("local s, p, r = ... return string.gsub(s, p, r)", &args)?;
        same("local s, p, r, n = ... return string.gsub(s, p, r, n)", &args)?;
        same("local s, p, r, n = ... return string.gsub(s, p, {a = 'A', b = false, ab = 7}, n)", &args)?;
        same("local s, p = ... return string.gsub(s, p, function(a, b) if a == 'c' then return nil end return tostring(a) .. '.' .. tostring(b) end)", &args)?;
    }

    #[test]
    fn slices(s in subject(), i in -40_i64..40, j in -40_i64..40) {
        let args = [Arg::Text(s), Arg::Int(i), Arg::Int(j)];
        for call in ["sub(s, i)", "sub(s, i, j)", "byte(s, i)", "byte(s, i, j)", "rep(s, i)", "rep(s, i, s)", "upper(s)",
                     "lower(s)", "reverse(s)", "len(s)", "byte(s)"] {
            same(&format!("local s, i, j = ... return string.{call}"), &args)?;
        }
    }

    #[test]
    fn numerals(s in "[ ]?-?(0x)?[0-9a-f]{0,20}([.][0-9]{0,3})?([ep][-+]?[0-9]{1,3})?[ ]?") {
        let args = [Arg::Text(s.into_bytes())];
        same("local s = ... return tonumber(s), math.type(tonumber(s))", &args)?;
        same("local s = ... return s + 1", &args)?;
        same("local s = ... return string.sub('abcdef', s)", &args)?;
    }

    #[test]
    fn tables(list in proptest::collection::vec(-9_i64..9, 0..8), i in -2_i64..10, j in -2_i64..10, k in -2_i64..10) {
        let literal = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let args = [Arg::Int(i), Arg::Int(j), Arg::Int(k)];
        for body in ["table.insert(t, i, j)", "table.remove(t, i)", "table.remove(t)", "table.move(t, i, j, k)", "table.sort(t)",
                     "table.move(t, i, j, k, {5, 6})", "r = table.concat(t, ',', i, j)", "r = table.concat(t, i)",
                     "r = select('#', table.unpack(t, i, j))"] {
            same(
                &format!(
                    "local i, j, k = ... local t, r = {{{literal}}}, nil\n{body}\nlocal keys = {{}}\n\
                     for n = -20, 30 do keys[#keys + 1] = tostring(t[n]) end return r, table.concat(keys, ' ')"
                ),
                &args,
            )?;
        }
    }
}
