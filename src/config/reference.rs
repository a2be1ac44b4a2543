//! `docs/config-reference.md`, made from the tables.

use std::fmt::Write as _;

use super::place::{Effect, Naming, PLACES, PlaceInfo};
use super::table::{OPTIONS, Opt};

const HEAD: &str = "\
# Configuration reference

<!-- Made from the option table by `UPDATE_GENERATED=1 cargo test --test it config`. Do not edit. -->

## The language

A configuration is a tree of scopes that hold options. Blanks and newlines separate, there are no semicolons. `#` starts a
comment, `/* */` encloses one. Case does not matter in the names of options and scopes.

```
option = value                  a bare word, or a string in double quotes
option = ( \"a\" \"b\" )            a list
option = [ key = \"value\" ]      a dictionary
scope { }                       a scope
scope \"name\" { }                a scope with a name
include \"file-or-directory\"     its text, as if it stood here; relative to this file; a directory in lexical order
```

- Booleans: `true false on off enabled disabled 1 0`. Numbers are whole, quoted or not, without unit suffixes. Modes are octal.
- In strings, `\\n \\r \\t \\\\ \\\"` are escapes; before anything else a backslash is itself. A string may span lines.
- A word needs quotes if it holds a blank or one of `# \" ' = { } [ ] ( ) , ;`.
- A scope may be opened many times: its pieces add up. The last value of an option wins, lists and dictionaries as a whole.
- An option that a scope does not set is taken from the scopes around it: `Peer` in `Listen`, `Peer` in `xmpp_listener`, `Listen`,
  `xmpp_listener`, global; `Domain \"#xmpp#name\"`, `Domain \"name\"`, global; then the default.
- A relative path is relative to the file in which it stands, unless its option says otherwise.
";

/// The text of `docs/config-reference.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## Scopes\n\n");
    out.push_str("| scope | stands in | name | comes and goes | what it is |\n");
    out.push_str("| --- | --- | --- | --- | --- |\n");
    for row in PLACES.iter().skip(1) {
        scope_row(row, &mut out);
    }
    out.push_str("\n## Options\n");
    for opt in OPTIONS {
        option(opt, &mut out);
    }
    out
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Live => "at a reload",
        Effect::Restart => "at a restart",
    }
}

fn scope_row(row: &PlaceInfo, out: &mut String) {
    let parents: Vec<&str> = row.parents.iter().map(|p| p.info().title).collect();
    let name = match row.naming {
        Naming::None => "none",
        Naming::Text => "any",
        Naming::Fixed(word) => word,
        Naming::Tcp => "address",
        Naming::Socket => "path",
        Naming::Net => "address or network",
        Naming::Domain => "domain name",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "| `{}` | {} | {name} | {} | {} |",
        row.word,
        parents.join(", "),
        effect(row.effect),
        row.doc
    );
}

fn option(opt: &Opt, out: &mut String) {
    let places: Vec<&str> = opt.places.iter().map(|p| p.info().title).collect();
    let default = opt.default.map_or("none".to_owned(), |d| format!("`{d}`"));
    let _ = write!(
        out,
        "\n### {}\n\n{}\n\n- type: {}\n- default: {default}\n- in: {}\n- a change takes effect: {}\n- since: {}\n",
        opt.name,
        opt.doc,
        opt.kind,
        places.join(", "),
        effect(opt.effect),
        opt.since
    );
}
