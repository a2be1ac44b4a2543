//! The rules of docs/architecture.md that a compiler does not check: which room may import which, who may name a crate,
//! and how long functions and files may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The table of docs/architecture.md, from the highest room to the lowest. A room imports only what stands below it.
const TABLE: &[(u8, &[&str])] = &[
    (8, &["server", "control"]),
    (7, &["listener"]),
    (6, &["session"]),
    (5, &["router"]),
    (4, &["delivery"]),
    (3, &["script", "services"]),
    (2, &["stream", "accounts", "roster"]),
    (
        1,
        &[
            "client",
            "hook",
            "store",
            "directory",
            "net",
            "limit",
            "config",
            "observe",
        ],
    ),
    (0, &["stanza", "form", "sasl", "xml", "jid"]),
];

/// Functions longer than [`FUNCTION_LINES`], each with its reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];
/// Files longer than [`FILE_LINES`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

const FUNCTION_LINES: usize = 80;
const FILE_LINES: usize = 600;

struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let short = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push(Source {
                    path: short.replace('\\', "/"),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Highest first: a smaller number imports a larger one.
fn ranks() -> BTreeMap<&'static str, usize> {
    TABLE
        .iter()
        .flat_map(|(_, rooms)| rooms.iter().copied())
        .enumerate()
        .map(|(rank, room)| (room, rank))
        .collect()
}

fn layer(room: &str) -> u8 {
    TABLE
        .iter()
        .find(|(_, rooms)| rooms.contains(&room))
        .map(|(layer, _)| *layer)
        .unwrap()
}

/// `src/stream/negotiate.rs` is in the room `stream`; `src/lib.rs` and the binaries are in none.
fn room_of(path: &str) -> Option<&str> {
    let (room, _) = path.strip_prefix("src/")?.split_once('/')?;
    (room != "bin").then_some(room)
}

fn without_comment(line: &str) -> &str {
    let start = line.trim_start();
    if start.starts_with("//") { "" } else { line }
}

/// The rooms that `text` names as `crate::room`, with the line of each.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let code: Vec<&str> = text.lines().map(without_comment).collect();
    let code = code.join("\n");
    for (at, _) in code.match_indices("crate::") {
        let standalone =
            !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if !standalone {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).into_iter().map(|head| (line, head))),
            None => found.push((line, head(rest))),
        }
    }
    found
}

/// The first names of `{a, b::c, d::{e, f}}`, given what stands behind the first brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 1_i32;
    let mut heads = Vec::new();
    let mut expecting = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expecting = true,
            letter if expecting && !letter.is_whitespace() => {
                heads.push(head(&group[at..]));
                expecting = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

#[test]
fn rooms_import_only_what_stands_below_them() {
    let ranks = ranks();
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some(room) = room_of(&source.path) else {
            continue;
        };
        let Some(rank) = ranks.get(room) else {
            faults.push(format!(
                "{}: the room `{room}` is not in the table of docs/architecture.md: give it a layer there and in {}",
                source.path,
                file!()
            ));
            continue;
        };
        for (line, target) in imports(&source.text) {
            let Some(below) = ranks.get(target.as_str()) else {
                continue;
            };
            if below < rank {
                faults.push(format!(
                    "{}:{line}: `{room}` (layer {}) imports `{target}` (layer {}), which stands above it in the table \
                     of docs/architecture.md: define a trait in `{room}` that `{target}` implements, or move what both need down",
                    source.path,
                    layer(room),
                    layer(&target),
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_of_the_table_exists_and_is_declared() {
    let declared =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for room in ranks().keys() {
        assert!(
            declared.contains(&format!("pub mod {room};")),
            "the table names `{room}`, src/lib.rs does not"
        );
    }
}

/// Fails when a file outside `home` mentions one of `names` as a path or in a `use`.
fn only(home: &str, names: &[&str], sentence: &str) {
    let mut faults = Vec::new();
    for source in sources("src") {
        if source.path.starts_with(home) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let code = without_comment(line);
            let named = names.iter().any(|name| {
                code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !code[..at].ends_with(|before: char| {
                        before.is_alphanumeric() || before == '_' || before == ':'
                    })
                }) || code.trim() == format!("use {name};")
            });
            if named {
                faults.push(format!("{}:{}: {}", source.path, number + 1, code.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{sentence}\n{}\n", faults.join("\n"));
}

#[test]
fn only_script_names_mlua() {
    only(
        "src/script/",
        &["mlua"],
        "only src/script may name mlua: everything else talks to scripts through hook::Handler",
    );
}

#[test]
fn only_jid_names_the_crate_jid() {
    let mut faults = Vec::new();
    for source in sources("src") {
        if source.path.starts_with("src/jid/") {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let code = without_comment(line);
            if code.contains("::jid::")
                && ["crate", "stanzad", "super", "api"]
                    .iter()
                    .all(|room| !code.contains(&format!("{room}::jid::")))
                || code.trim_start().starts_with("use jid::")
            {
                faults.push(format!("{}:{}: {}", source.path, number + 1, code.trim()));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "only src/jid may name the crate jid, which holds two spellings of one address for two addresses\n{}\n",
        faults.join("\n")
    );
}

#[test]
fn layer_0_has_no_io_and_no_clock() {
    let forbidden = [
        "tokio::",
        "std::fs",
        "TcpStream",
        "UdpSocket",
        "std::time::Instant",
        "SystemTime",
        "Instant::now",
    ];
    let (_, rooms) = TABLE.last().unwrap();
    for source in sources("src") {
        let Some(room) = room_of(&source.path) else {
            continue;
        };
        if !rooms.contains(&room) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            for word in forbidden {
                assert!(
                    !without_comment(line).contains(word),
                    "{}:{}: layer 0 names no {word}: hand it what it needs",
                    source.path,
                    number + 1
                );
            }
        }
    }
}

/// Name, first line and length of each function, relying on rustfmt's indentation.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(name) = function_name(code) else {
            continue;
        };
        // A trait's function without a body ends its signature in a semicolon.
        let signature_end = lines[start..]
            .iter()
            .find(|line| line.ends_with(['{', '}', ';']));
        if signature_end.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let Some(length) = lines[start..].iter().position(|line| *line == close) else {
            continue;
        };
        found.push((name, start + 1, length + 1));
    }
    found
}

fn function_name(code: &str) -> Option<String> {
    let mut rest = code;
    if let Some(public) = rest.strip_prefix("pub") {
        rest = match public.strip_prefix('(') {
            Some(scope) => scope.split_once(") ")?.1,
            None => public.trim_start(),
        };
    }
    for word in ["const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    // `fn $name` of a macro is as long as what it wraps: not a function of ours.
    rest.strip_prefix("fn ")
        .map(head)
        .filter(|name| !name.is_empty())
}

#[test]
fn functions_and_files_stay_short() {
    let mut faults = Vec::new();
    let all = ["src", "tests/it", "tests/fuzz/src"].map(sources);
    for source in all.into_iter().flatten() {
        let length = source.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if length > FILE_LINES && !excused {
            faults.push(format!(
                "{}: {length} lines, the budget is {FILE_LINES}: split it along meaning",
                source.path
            ));
        }
        for (name, line, length) in functions(&source.text) {
            let key = format!("{} {name}", source.path);
            let excused = LONG_FUNCTIONS.iter().any(|(function, _)| *function == key);
            if length > FUNCTION_LINES && !excused {
                faults.push(format!(
                    "{}:{line}: `{name}` has {length} lines, the budget is {FUNCTION_LINES}",
                    source.path
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "\n{}\n(a longer one wants a line with its reason in {})\n",
        faults.join("\n"),
        file!()
    );
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let text = "use crate::{jid::Jid, xml};\n// crate::server\nfn f(x: crate::hook::Event) {}\nuse crate::store;\n";
    let found: Vec<String> = imports(text).into_iter().map(|(_, room)| room).collect();
    assert_eq!(found, ["jid", "xml", "hook", "store"]);
}
