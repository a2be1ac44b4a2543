//! The README's tour, taken as the README says: its own blocks are what is typed, edited and expected.
//!
//! Three things differ from a newcomer's terminal. The programs are those that cargo built for the tests. The server is in a
//! directory of its own, whose configuration is the shipped one on an address and ports that are free. And where the README shows a
//! question for a password, the password comes by `--password-stdin`, because a test has no terminal.
//!
//! A line that is expected must occur, in its order; in it `…` stands for anything, a number for any number, a blank for
//! any number of blanks.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Program, copy_tree};

const PASSWORD: &str = "secret";

/// A fenced block of the README.
struct Block {
    language: String,
    text: String,
}

/// The blocks from `## Start` to `## Your own domain`.
fn blocks() -> Vec<Block> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, tour) = readme.split_once("\n## Start\n").unwrap();
    let (tour, _) = tour.split_once("\n## Your own domain\n").unwrap();
    let fenced = tour.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            Block {
                language: language.to_owned(),
                text: text.to_owned(),
            }
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A line with one blank for several and one mark for every number.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for letter in line
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
    {
        if !letter.is_ascii_digit() {
            plain.push(letter);
        } else if !plain.ends_with('#') {
            plain.push('#');
        }
    }
    plain
}

/// Whether `line` is what the README shows.
fn is_as_shown(line: &str, shown: &str) -> bool {
    let (line, shown) = (plain(line), plain(shown));
    let mut rest = line.as_str();
    shown
        .split('…')
        .all(|piece| match rest.split_once(piece.trim()) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
}

/// The shipped configuration on a loopback address that is this process' own, with ports that are free there, and without
/// IPv6, which has one loopback address only.
fn on_free_ports(shipped: &str) -> String {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{b}.{}", a | 64, c.max(1));
    let kept = shipped
        .lines()
        .filter(|line| !line.contains("Listen \"[::1]:"));
    let mut config = kept.collect::<Vec<_>>().join("\n");
    for port in ["5222", "5223"] {
        let free = TcpListener::bind((address.as_str(), 0)).unwrap();
        let from = format!("Listen \"127.0.0.1:{port}\"");
        assert!(config.contains(&from), "{config}");
        config = config.replace(&from, &format!("Listen \"{}\"", free.local_addr().unwrap()));
    }
    config
}

/// Somebody who does what the README says.
struct Newcomer {
    place: TempDir,
    server: Option<Program>,
    /// Lines of the server's that have been seen.
    seen: usize,
    /// The chat of each who has logged in, and how many of its lines have been seen.
    chats: Vec<(Program, usize)>,
}

impl Newcomer {
    fn arrives() -> Self {
        let place = tempfile::tempdir().unwrap();
        copy_tree(&root().join("scripts"), &place.path().join("scripts"));
        let shipped = fs::read_to_string(root().join("etc/stanzad.conf")).unwrap();
        let config = on_free_ports(&shipped);
        fs::create_dir(place.path().join("etc")).unwrap();
        fs::write(place.path().join("etc/stanzad.conf"), config).unwrap();
        Self {
            place,
            server: None,
            seen: 0,
            chats: Vec::new(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(match words.next().unwrap() {
            "target/release/stanzad" => env!("CARGO_BIN_EXE_stanzad"),
            "target/release/stanzactl" => env!("CARGO_BIN_EXE_stanzactl"),
            other => panic!("the tour runs {other}"),
        });
        command
            .env_remove(stanzad::control::SOCKET_VARIABLE)
            .current_dir(self.place.path())
            .args(words);
        command
    }

    fn server_says(&mut self, shown: &[&str]) {
        let server = self.server.as_ref().unwrap();
        for line in shown {
            let line = line.replace(" and [::1]:5222", "");
            let said = |said: &str| is_as_shown(said, &line);
            (self.seen, _) = server.shown.wait_from(self.seen, &line, said);
        }
    }

    /// Types and looks, in the chat that was opened last.
    fn chats(&mut self, lines: &[&str]) {
        let (chat, seen) = self.chats.last_mut().unwrap();
        for line in lines {
            match line.strip_prefix("> ") {
                Some(typed) => chat.say(typed),
                None => {
                    (*seen, _) = chat
                        .shown
                        .wait_from(*seen, line, |said| is_as_shown(said, line))
                }
            }
        }
    }

    /// One command, and what is shown and typed below it.
    fn runs(&mut self, line: &str, below: &[&str]) {
        let asks = |line: &&&str| line.contains("assword for ") || **line == "The same again:";
        let questions = below.iter().filter(asks).count();
        let rest: Vec<&str> = below[questions..].to_vec();
        let mut command = self.command(line);
        if questions > 0 {
            command.arg("--password-stdin");
        }
        let mut program = Program::start(&mut command);
        if questions > 0 {
            program.say(PASSWORD);
        }
        if line.contains("/stanzad") {
            self.server = Some(program.with_stderr());
            self.server_says(&rest);
        } else if line.contains(" chat ") {
            self.chats.push((program, 0));
            self.chats(&rest);
        } else if line.contains(" trace ") {
            let program = program.with_stderr();
            let mut seen = 0;
            for (at, line) in rest.iter().enumerate() {
                (seen, _) = program
                    .shown
                    .wait_from(seen, line, |said| is_as_shown(said, line));
                if at == 0 {
                    // "then type once more into the chat"
                    self.chats(&["> once more"]);
                }
            }
        } else {
            let ended = program.end();
            assert_eq!(ended.code, Some(0), "{line}: {}", ended.stderr);
            for line in rest {
                assert!(
                    ended.stdout.lines().any(|said| is_as_shown(said, line)),
                    "{line}: {}",
                    ended.stdout
                );
            }
        }
    }

    /// A block of the user's terminal: commands, or more of the chat that is open.
    fn terminal(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let starts: Vec<usize> = (0..lines.len())
            .filter(|at| lines[*at].starts_with("$ "))
            .collect();
        if starts.is_empty() {
            return self.chats(&lines);
        }
        for (number, start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(lines.len());
            match &lines[*start]["$ ".len()..] {
                // Done, or this test would not run.
                "cargo build --release" => {}
                command => self.runs(command, &lines[start + 1..end]),
            }
        }
    }

    /// A block of Lua takes the place of what begins as it does: of a function, or of a line.
    fn edits(&self, block: &str) {
        let file = self.place.path().join("scripts/dialplan.lua");
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let wanted: Vec<&str> = block.lines().collect();
        let start = lines
            .iter()
            .position(|line| line.starts_with(wanted[0]))
            .unwrap();
        let end = lines[start..]
            .iter()
            .position(|line| wanted.last() == Some(line) || wanted.len() == 1);
        let end = start + end.unwrap() + 1;
        let edited = [&lines[..start], &wanted, &lines[end..]]
            .concat()
            .join("\n")
            + "\n";
        assert_ne!(edited, text, "an edit that changes nothing");
        fs::write(&file, edited).unwrap();
    }
}

#[test]
fn the_readme_s_tour_goes_as_it_says() {
    let mut newcomer = Newcomer::arrives();
    let blocks = blocks();
    assert!(
        blocks.len() > 8,
        "the tour has become short: {}",
        blocks.len()
    );
    for block in blocks {
        match block.language.as_str() {
            "console" => newcomer.terminal(&block.text),
            "text" => newcomer.server_says(&block.text.lines().collect::<Vec<_>>()),
            "lua" => newcomer.edits(&block.text),
            other => panic!("the tour has a block of {other}"),
        }
        // The prose, where it tells what to do without a block.
        if block.text.contains("trace alice@localhost") {
            newcomer.terminal("$ target/release/stanzactl user add bob@localhost\nNew password for bob@localhost:");
            newcomer.chats(&["> bob@localhost: lunch?"]);
        }
    }
    // What bob typed last has no line below it.
    let (alice, _) = &newcomer.chats[0];
    alice.sees("bob@localhost: at one!");
}

#[test]
fn lines_are_compared_as_the_tour_means_it() {
    let shown = "  generation 1 live on 2 workers, 7 ms: dialplan.lua, …";
    assert!(is_as_shown(
        "2026 INFO x: generation 1 live on 16 workers, 123 ms: dialplan.lua, chatstates.lua",
        shown
    ));
    assert!(!is_as_shown(
        "generation 1 live on 2 workers, 7 ms: chatstates.lua",
        shown
    ));
    assert!(is_as_shown("    => handled", "    => handled"));
    assert!(!is_as_shown(
        "14:03  echo@localhost: hello",
        "14:04  echo@localhost: HELLO"
    ));
}
