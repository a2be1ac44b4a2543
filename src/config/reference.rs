//! `docs/config-reference.md`, made from the tables.

use std::fmt::Write as _;

use super::foreign::FOREIGN;
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
include \"file-or-directory\"     its text, as if it stood here; relative to this file
readonly_include \"...\"          the same
```

- Booleans: `true false on off enabled disabled 1 0`. Numbers are whole, quoted or not, without unit suffixes. Modes are octal.
- In strings, `\\n \\r \\t \\\\ \\\"` are escapes; before anything else a backslash is itself. A string may span lines.
- A word needs quotes if it holds a blank or one of `# \" ' = { } [ ] ( ) , ;`.
- A scope may be opened many times: its pieces add up. The last value of an option wins, lists and dictionaries as a whole.
- An option that a scope does not set is taken from the scopes around it: `Peer` in `Listen`, `Peer` in `xmpp_listener`, `Listen`,
  `xmpp_listener`, global; `Domain \"#xmpp#name\"`, `Domain \"name\"`, patterns, global; then the default.
- A relative path is relative to the file in which it stands, unless its option says otherwise. `~` and `$VARIABLE` are not expanded.
- A directory is read file by file, in lexical order of their names, without the directories in it. Hidden files do not count, nor what
  editors and package managers leave behind: `*~ *# *.bak *.old *.orig *.rej *.save *.swp *.tmp *.dpkg-* *.rpm*`.
- A configuration has at most 1000 files of at most 4 MiB; includes nest 16 deep.

## Domains by pattern

`Domain \"/(^|[.])chat[.]example$/\"` says what holds for every domain that the regular expression matches and whose own scopes do not
say it, option by option: first `\"#xmpp#name\"`, then `\"name\"`, then the patterns in the order of the file. Upper and lower case are one.
A pattern matches anywhere in the name: begin it with `^` or `(^|[.])`, end it with `$`. Matching takes time linear in the name; in
return there are no look-around and no back-references. At most 64 patterns of 1024 bytes.

A name that a pattern serves has no self-signed certificate of its own: it gets the pattern's `tls_certificate`, else the listener's.
A stanza to a domain with a scope of its own costs a look-up as before; to any other domain, a try of each pattern.
";

const FOREIGN_HEAD: &str = "
## Momentum's words

Options and scopes that Momentum knows and stanzad does not. `stanzad check` says the same at each of them.

| word | here |
| --- | --- |
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
    out.push_str(FOREIGN_HEAD);
    for row in FOREIGN {
        let _ = writeln!(out, "| `{}` | {} |", row.word, row.instead);
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
        Naming::Domain => "domain name or pattern",
        Naming::Host => "domain name",
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
