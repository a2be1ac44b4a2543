//! Every file of `tests/fuzz/corpus/TARGET` through the target's `fuzz_entry`, which panics where an invariant breaks.

use std::fs;
use std::path::Path;

fn replay(target: &str, entry: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|file| file.expect("a directory entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    for file in files {
        let data = fs::read(&file).expect("a readable file");
        println!("{}", file.display());
        entry(&data);
        // Also what a cut connection leaves of it.
        entry(data.get(..data.len() / 2).unwrap_or_default());
    }
}

#[test]
fn framer() {
    replay("framer", stanzad::xml::fuzz_entry);
}

#[test]
fn jid() {
    replay("jid", stanzad::jid::fuzz_entry);
}

#[test]
fn stanza() {
    replay("stanza", stanzad::stanza::fuzz_entry);
}

#[test]
fn sasl() {
    replay("sasl", stanzad::sasl::fuzz_entry);
}
