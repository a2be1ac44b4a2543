//! `stanzactl completion`: what shells offer when somebody presses Tab.

use std::process::Command;

use crate::harness::{Client, Login, Server};

/// Completes a command line as bash does; `read -ra` keeps what bash takes for the word begun: it breaks at `@`.
const ASK: &str = r#"
set -eu
source <("$CTL" completion bash)
complete -p stanzactl >/dev/null
COMP_LINE=$LINE COMP_POINT=${#LINE}
read -ra COMP_WORDS <<<"${LINE/stanzactl/$CTL}"
[[ $LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
last=${COMP_WORDS[COMP_CWORD]}
[[ $last == *@* ]] && COMP_WORDS[COMP_CWORD]=@${last##*@}
_stanzactl || true
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for `line`, sorted.
fn offered(line: &str) -> Vec<String> {
    let bash = Command::new("bash")
        .args(["--norc", "-c", ASK])
        .env("CTL", env!("CARGO_BIN_EXE_stanzactl"))
        .env("LINE", line)
        .env_remove(stanzad::control::SOCKET_VARIABLE)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&bash.stderr);
    assert!(
        bash.status.success() && errors.is_empty(),
        "{line}: {errors}"
    );
    let offered = String::from_utf8(bash.stdout).unwrap();
    let lines = offered.lines().filter(|line| !line.is_empty());
    let mut offered: Vec<String> = lines.map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered("stanzactl sess"), ["session"]);
    assert_eq!(offered("stanzactl session "), ["kick", "list"]);
    assert_eq!(offered("stanzactl --json user pa"), ["passwd"]);
    assert_eq!(offered("stanzactl help queue d"), ["delete"]);
    assert_eq!(offered("stanzactl help session kick "), [""; 0]);
    assert_eq!(offered("stanzactl completion "), ["bash", "fish", "zsh"]);
    assert_eq!(offered("stanzactl queue list --l"), ["--limit"]);
    assert_eq!(offered("stanzactl queue list --limit "), [""; 0]);
    assert_eq!(offered("stanzactl summary --j"), ["--json"]);
    assert_eq!(offered("stanzactl nonsense "), [""; 0]);
    assert_eq!(offered("stanzactl --socket Cargo.t"), ["Cargo.toml"]);
    assert_eq!(offered("stanzactl config check Cargo.t"), ["Cargo.toml"]);
    for command in stanzad::control::COMMANDS {
        let words = command.name;
        let (before, last) = words.rsplit_once(' ').unwrap_or(("", words));
        let line = format!("stanzactl {before} {last}");
        assert!(offered(&line).contains(&last.to_owned()), "{line}");
    }
}

#[test]
fn bash_completes_what_the_daemon_lists() {
    let server = Server::start();
    server.users(&["alice", "albert", "bob"]);
    let _bob = Client::online(&Login::direct(server.direct(), "bob").resource("desk")).unwrap();
    let socket = server.setup().socket();
    let ask = |rest: &str| offered(&format!("stanzactl --socket {} {rest}", socket.display()));
    assert_eq!(
        ask("user delete al"),
        ["albert@localhost", "alice@localhost"]
    );
    assert_eq!(ask("user delete alice@lo"), ["@localhost"]);
    assert_eq!(ask("session kick "), ["bob@localhost/desk"]);
    assert_eq!(ask("script show dial"), ["dialplan"]);
    assert_eq!(ask("session kick bob@localhost a reason "), [""; 0]);
}

/// What a peer has chosen becomes part of a command line that an operator runs.
#[test]
fn nothing_is_offered_that_a_shell_would_run() {
    let server = Server::start();
    server.users(&["eve"]);
    let login = |resource: &str| {
        Client::online(&Login::direct(server.direct(), "eve").resource(resource)).unwrap()
    };
    let _plain = login("plain");
    let _run = login("$(touch pwned)");
    let _ticks = login("`touch pwned`");
    let _next = login("x;touch");
    let line = format!(
        "stanzactl --socket {} session kick ",
        server.setup().socket().display()
    );
    assert_eq!(offered(&line), ["eve@localhost/plain"]);
}

#[test]
fn the_other_shells_have_their_scripts() {
    let script = |shell: &str| {
        let ctl = Command::new(env!("CARGO_BIN_EXE_stanzactl"))
            .args(["completion", shell])
            .output()
            .unwrap();
        assert!(ctl.status.success());
        String::from_utf8(ctl.stdout).unwrap()
    };
    assert!(script("zsh").starts_with("#compdef stanzactl\n"));
    let fish = script("fish");
    for command in stanzad::control::COMMANDS {
        let last = command.name.rsplit(' ').next().unwrap();
        assert!(
            fish.contains(&format!("-a {last} -d '")),
            "{}",
            command.name
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(!script(shell).contains("@CASES@") && !script(shell).contains("@RULES@"));
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_stanzactl"))
        .args(["completion", "tcsh"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}
