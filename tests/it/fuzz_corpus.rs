//! Every file of `tests/fuzz/corpus/TARGET` through the check of its target, which panics where an invariant breaks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fuzz::{TARGETS, Target};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(path)
}

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = here("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|file| file.expect("a directory entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
}

fn replay(target: &str) {
    let (_, check) = target_of(target);
    for file in corpus(target) {
        let data = fs::read(&file).expect("a readable file");
        println!("{}", file.display());
        check(&data);
        // Also what a cut connection leaves of it.
        check(data.get(..data.len() / 2).unwrap_or_default());
    }
}

fn target_of(name: &str) -> Target {
    let mut targets = TARGETS.into_iter();
    targets.find(|(have, _)| *have == name).expect("a target")
}

#[test]
fn framer() {
    replay("framer");
}

#[test]
fn stanza() {
    replay("stanza");
}

#[test]
fn jid() {
    replay("jid");
}

#[test]
fn sasl() {
    replay("sasl");
}

#[test]
fn stream() {
    replay("stream");
}

#[test]
fn config() {
    replay("config");
    // Every beginning as well: a text that ends anywhere is the commonest broken one.
    for file in corpus("config") {
        let data = fs::read(&file).expect("a readable file");
        for end in 0..data.len() {
            stanzad::config::fuzz_entry(&data[..end]);
        }
    }
}

/// What never comes to a session checks nothing of one: the files named so do.
#[test]
fn seeds_come_to_a_login_and_to_a_session() {
    for (target, good) in [
        ("sasl", good("sasl", crate::fuzz::sasl::run)),
        ("stream", good("stream", crate::fuzz::stream::run)),
    ] {
        assert!(good >= 4, "{target}: {good}");
    }
}

fn good(target: &str, run: fn(&[u8]) -> bool) -> usize {
    let name = |file: &PathBuf| {
        file.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let mut files = corpus(target);
    files.retain(|file| name(file).is_some_and(|name| name.starts_with("good_")));
    for file in &files {
        let data = fs::read(file).expect("a readable file");
        assert!(run(&data), "{}", file.display());
    }
    files.len()
}

#[test]
fn targets_have_their_programs_and_nothing_more() {
    let manifest = fs::read_to_string(here("Cargo.toml")).expect("a manifest");
    let programs = manifest.matches("[[bin]]").count();
    assert_eq!(programs, TARGETS.len());
    let folders = fs::read_dir(here("corpus")).expect("the corpus").count();
    assert_eq!(folders, TARGETS.len());
    for (name, _) in TARGETS {
        let program = here("targets").join(format!("{name}.rs"));
        let text = fs::read_to_string(&program).expect("a program");
        assert!(text.contains(&format!("stanzad_fuzz::{name}::check")));
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")));
    }
}
