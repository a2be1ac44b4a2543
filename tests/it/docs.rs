//! The manual says what is true: files named exist, links resolve, dependencies have their reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown page of the repository, relative to its root.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().unwrap().is_dir() {
                if !hidden && path != Path::new("target") && path != Path::new("var") {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The page without its code: fenced blocks, indented blocks and code spans.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Targets of `[text](target)`.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// Headings as the anchors that Markdown viewers give them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_resolve() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.with_file_name("").join(file),
            };
            let found = root().join(&target).exists()
                && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// A code span of the architecture that names a file or a directory: `src/hook/`, `main.rs`, `tests/it/docs.rs`.
fn named_path(span: &str) -> Option<PathBuf> {
    let plain = span
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let is_path = span.ends_with('/')
        || [".rs", ".lua", ".md", ".conf"]
            .iter()
            .any(|end| span.ends_with(end));
    (plain && is_path).then(|| PathBuf::from(span))
}

#[test]
fn architecture_names_what_exists() {
    let text = read("docs/architecture.md");
    let spans = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let missing: Vec<_> = spans
        .filter_map(named_path)
        .filter(|path| !root().join(path).exists() && !root().join("src").join(path).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "named in docs/architecture.md, but absent: {missing:?}"
    );
}

#[test]
fn architecture_names_every_module() {
    let text = read("docs/architecture.md");
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let named =
                text.contains(&format!("`{name}/`")) || text.contains(&format!("`src/{name}/`"));
            assert!(
                named || name == "bin",
                "docs/architecture.md does not name src/{name}/"
            );
        }
    }
}

/// Names of the dependencies in Cargo.toml, of all kinds.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            names.insert(name.trim().to_owned());
        }
    }
    names
}

#[test]
fn every_dependency_has_its_reason() {
    let page = read("docs/decisions/dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<String> = rows
        .filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(
        dependencies(&read("Cargo.toml")),
        explained,
        "Cargo.toml (left) and docs/decisions/dependencies.md (right) differ"
    );
}

#[test]
fn the_index_names_every_page() {
    let index = read("docs/README.md");
    let linked: BTreeSet<String> = links(&index).into_iter().collect();
    for page in pages() {
        let Ok(page) = page.strip_prefix("docs") else {
            continue;
        };
        let name = page.to_string_lossy();
        assert!(
            name == "README.md" || linked.contains(&*name),
            "docs/README.md does not link {name}"
        );
    }
}

/// Names of the functions of the daemon and its tests.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut pending = vec![root().join("src"), root().join("tests/it")];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(str::trim_start);
            names.extend(lines.filter_map(|line| {
                // Those of the stores' suite are run by the tests of each store.
                let line = line.strip_prefix("pub(in crate::store) ").unwrap_or(line);
                let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
                Some(name.to_owned())
            }));
        }
    }
    names
}

/// Whether a test's name begins with the number of an attack, as `t40_` does.
fn is_of_an_attack(name: &str) -> bool {
    let digits = name.strip_prefix('t').and_then(|rest| rest.split_once('_'));
    digits.is_some_and(|(digits, _)| {
        digits.len() > 1 && digits.chars().all(|digit| digit.is_ascii_digit())
    })
}

#[test]
fn attacks_and_their_tests_name_each_other() {
    let page = read("docs/security.md");
    let rows = page.lines().filter(|line| line.starts_with("| T"));
    let named: BTreeSet<&str> = rows
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|tests| tests.split('`').skip(1).step_by(2))
        .collect();
    let functions = functions();
    let absent: Vec<_> = named
        .iter()
        .filter(|name| !functions.contains(**name))
        .collect();
    assert!(
        absent.is_empty(),
        "docs/security.md names no tests: {absent:?}"
    );
    let unnamed: Vec<_> = functions
        .iter()
        .filter(|name| is_of_an_attack(name) && !named.contains(name.as_str()))
        .collect();
    assert!(
        unnamed.is_empty(),
        "docs/security.md does not name: {unnamed:?}"
    );
}

/// The attacks that are known, by number: T01 to T125, without T99.
#[test]
fn every_attack_has_a_test_or_says_what_it_waits_for() {
    let page = read("docs/security.md");
    let mut listed = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| T")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (ids, tests) = (cells[1], cells[3]);
        let waits = tests.starts_with("waits for ") || tests.starts_with("does not arise: ");
        assert!(waits || tests.starts_with('`'), "{row}");
        listed.extend(ids.split(", ").map(str::to_owned));
    }
    let total = listed.len();
    let listed: BTreeSet<String> = listed.into_iter().collect();
    assert_eq!(total, listed.len(), "one of them stands there twice");
    let known = (1..=125).filter(|number| *number != 99);
    let known: BTreeSet<String> = known.map(|number| format!("T{number:02}")).collect();
    assert_eq!(
        listed, known,
        "docs/security.md (left) and the list (right)"
    );
}

/// The rows of docs/errors.md below that heading: each error and what is said of it.
pub fn errors_listed(heading: &str) -> Vec<(String, String)> {
    let page = read("docs/errors.md");
    let (_, section) = page.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        let means = rest.trim_end_matches(" |").replace(" | ", ": ");
        (name.to_owned(), means)
    })
    .collect()
}
