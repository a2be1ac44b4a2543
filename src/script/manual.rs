//! The stubs for editors and the generated parts of the manual, made from the tables that run.

use std::fmt::Write as _;
use std::path::Path;

use crate::hook::POINTS;
use crate::stanza::Condition;

use super::api::{CLASSES, GLOBALS};
use super::filter::OPTIONS;
use super::sandbox::{ALLOWED, Allowed};
use super::{FunctionDoc, ModuleDoc, modules};

const AGAIN: &str = "UPDATE_GENERATED=1 cargo test --lib script::manual";

/// Names joined as LuaLS writes a choice.
fn choice<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join("|")
}

fn stubs() -> String {
    let mut out = format!(
        "---@meta\n-- What scripts can call, for editors with the Lua language server. Made by `{AGAIN}`.\n\n"
    );
    let hooks = choice(POINTS.iter().map(|row| row.name));
    let conditions = choice(Condition::ALL.iter().map(|condition| condition.name()));
    let _ = writeln!(
        out,
        "---@alias hookname {hooks}\n---@alias condition {conditions}"
    );
    let _ = writeln!(
        out,
        "---@alias verdict nil|\"next\"|\"done\"|\"drop\"|rejection\n\n---@class rejection"
    );
    out.push_str("---@class hookoptions\n");
    for (name, kind, doc) in OPTIONS {
        let _ = writeln!(out, "---@field {name}? {kind} {doc}");
    }
    out.push('\n');
    for class in CLASSES {
        let name = class.name.split(':').next().unwrap_or_default();
        let _ = writeln!(out, "---{}\n---@class {}", class.doc, class.name);
        if name == "session" {
            out.push_str("---@field vars table<string, any>\n");
        }
        // Not its own name: a module may have that.
        let owner = format!("{name}_class");
        let _ = writeln!(out, "local {owner} = {{}}\n");
        functions(&mut out, &owner, class);
    }
    for module in modules() {
        let doc = module.doc();
        let _ = writeln!(out, "---{}\n{} = {{}}\n", doc.doc, doc.name);
        if doc.name == "xmpp" {
            out.push_str("xmpp.NEXT = \"next\"\nxmpp.DONE = \"done\"\nxmpp.DROP = \"drop\"\n\n");
        }
        functions(&mut out, doc.name, doc);
    }
    functions(&mut out, "", GLOBALS);
    out.push_str("---Momentum's names (scripts/msys/boot.lua).\nmsys = { xmpp = { CONT = \"next\", DONE = \"done\" }, registerModule = xmpp.registerModule, sleep = timer.sleep }\n");
    out
}

fn functions(out: &mut String, owner: &str, doc: &ModuleDoc) {
    for function in doc.functions {
        let _ = writeln!(out, "---{}", function.doc);
        for (name, kind) in function.args {
            let _ = writeln!(out, "---@param {name} {kind}");
        }
        for kind in results(function.returns) {
            let _ = writeln!(out, "---@return {kind}");
        }
        let _ = writeln!(
            out,
            "function {owner}{}({}) end\n",
            function.name,
            args(function)
        );
    }
}

/// The types of several results, split at the commas that are in no brackets.
fn results(returns: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = returns.split(|c: char| {
        depth += i32::from(matches!(c, '{' | '(' | '<')) - i32::from(matches!(c, '}' | ')' | '>'));
        c == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn args(function: &FunctionDoc) -> String {
    let names = function
        .args
        .iter()
        .map(|(name, _)| name.trim_end_matches('?'));
    names.collect::<Vec<_>>().join(", ")
}

fn hook_table() -> String {
    let mut out = String::from(
        "| hook | arguments | verdicts | when nobody decides | since |\n|---|---|---|---|---|\n",
    );
    for row in POINTS {
        let args: Vec<String> = row
            .args
            .iter()
            .map(|(name, kind)| format!("{name}: {kind}"))
            .collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            row.name,
            args.join(", "),
            row.verdicts.join(", "),
            row.default,
            row.since
        );
    }
    out.push('\n');
    for row in POINTS {
        let _ = writeln!(out, "- `{}`: {}", row.name, row.doc);
    }
    out
}

fn api_tables() -> String {
    let mut out = String::new();
    let modules = modules();
    let tables = modules.iter().map(|module| module.doc());
    for doc in std::iter::once(GLOBALS)
        .chain(CLASSES.iter().copied())
        .chain(tables)
    {
        let name = doc.name.split(':').next().unwrap_or_default();
        let title = if name.is_empty() {
            "Functions without a table".to_owned()
        } else {
            format!("`{name}`")
        };
        let _ = writeln!(
            out,
            "### {title}\n\n{}\n\n| call | gives | |\n|---|---|---|",
            doc.doc
        );
        for function in doc.functions {
            let args: Vec<&str> = function.args.iter().map(|(name, _)| *name).collect();
            let call = format!("{name}{}({})", function.name, args.join(", "));
            let returns = function.returns.replace('|', "\\|");
            let _ = writeln!(
                out,
                "| `{call}` | {returns} | {} |",
                function.doc.replace('|', "\\|")
            );
        }
        out.push('\n');
    }
    out
}

fn option_table() -> String {
    let mut out = String::from("| option | is | |\n|---|---|---|\n");
    for (name, kind, doc) in OPTIONS {
        let kind = kind.replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | {kind} | {doc} |");
    }
    out
}

/// What of Lua's own library there is, and how it differs.
fn library() -> String {
    let same = |row: &&Allowed| row.doc == "As in Lua.";
    let names = |rows: Vec<&Allowed>| {
        let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.name)).collect();
        names.join(", ")
    };
    let mut out = format!(
        "As in Lua: {}.\n\n",
        names(ALLOWED.iter().filter(same).collect())
    );
    for row in ALLOWED.iter().filter(|row| !same(row)) {
        let _ = writeln!(out, "- `{}`: {}", row.name, row.doc);
    }
    out
}

/// The manual with its generated parts replaced.
fn manual(old: &str) -> String {
    let parts = [
        ("hooks", hook_table()),
        ("options", option_table()),
        ("api", api_tables()),
        ("library", library()),
    ];
    parts.iter().fold(old.to_owned(), |text, (name, made)| {
        let (from, to) = (
            format!("<!-- {name}: made by `{AGAIN}` -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = text
            .split_once(&from)
            .unwrap_or_else(|| panic!("docs/scripting.md has no {from}"));
        let (_, after) = rest
            .split_once(&to)
            .unwrap_or_else(|| panic!("docs/scripting.md has no {to}"));
        format!("{before}{from}{made}{to}{after}")
    })
}

fn compare(path: &str, make: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    let made = make(&have);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, made).unwrap();
    } else {
        assert!(have == made, "{} is old: {AGAIN}", path.display());
    }
}

#[test]
fn stubs_are_those_of_the_tables() {
    compare("scripts/types/stanzad.lua", |_| stubs());
}

#[test]
fn the_manual_has_the_tables() {
    compare("docs/scripting.md", manual);
}
