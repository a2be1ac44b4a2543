//! `stanzactl config` against a running daemon: what a reload changes, what it leaves, and what it says.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Client, Ended, Login, Server, Setup};

fn file(server: &Server) -> PathBuf {
    server.setup().directory().join("stanzad.conf")
}

fn text(server: &Server) -> String {
    fs::read_to_string(file(server)).unwrap()
}

/// The configuration with `more` behind it.
fn append(server: &Server, more: &str) {
    fs::write(file(server), text(server) + more).unwrap();
}

/// What `stanzactl --json` answers, whatever its exit code.
fn ask(server: &Server, args: &[&str]) -> (Option<i32>, Value) {
    let ended = server.ctl(&[&["--json"], args].concat());
    let answer = serde_json::from_str(&ended.stdout);
    let answer = answer.unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
    (ended.code, answer)
}

/// The changes of an answer: option, old, new, effect.
fn changes(answer: &Value) -> Vec<[String; 4]> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = answer["changes"].as_array().unwrap().iter();
    rows.map(|row| ["option", "old", "new", "effect"].map(|key| word(&row[key])))
        .collect()
}

/// What is in force for an option, and who says so, its directory left out.
fn in_force(server: &Server, path: &[&str]) -> (String, String) {
    let (_, shown) = ask(server, &[&["config", "show"], path].concat());
    let row = &shown["settings"][0];
    let here = format!("{}/", server.setup().directory().display());
    (
        row["value"].as_str().unwrap_or("-").to_owned(),
        row["from"].as_str().unwrap().replace(&here, ""),
    )
}

fn add(server: &Server, jid: &str) -> Ended {
    server.ctl_with_input(&["user", "add", jid, "--password-stdin"], "secret\n")
}

#[test]
fn reload_of_a_live_option_is_in_force_at_once() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    append(
        &server,
        "Domain \"second.example\" { XMPP_Role = \"server\" }\nmax_sessions_per_user = 1\n",
    );

    let (code, checked) = ask(&server, &["config", "check"]);
    assert_eq!(code, Some(0), "{checked:#}");
    let expected = [
        ["max_sessions_per_user", "10", "1", "live"],
        ["Domain \"second.example\"", "-", "present", "live"],
    ]
    .map(|row| row.map(str::to_owned));
    assert_eq!(changes(&checked), expected);
    assert_eq!(
        add(&server, "bob@second.example").code,
        Some(1),
        "checked, not loaded"
    );

    let said = server.ctl(&["config", "reload"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let here = format!("{}/", server.setup().directory().display());
    assert_eq!(
        said.stdout.replace(&here, ""),
        "configuration valid: stanzad.conf\n  \
         max_sessions_per_user: 10 -> 1: applied live\n  \
         Domain \"second.example\": (none) -> present: applied live\n"
    );
    assert_eq!(add(&server, "bob@second.example").code, Some(0));
    let second = Client::login(&Login::direct(server.direct(), "alice").resource("second"));
    assert!(
        second.is_err(),
        "one session is all that a user may have now"
    );
    alice.drain().unwrap();

    let again = server.ctl(&["config", "reload"]).stdout;
    assert!(again.contains("nothing differs from what runs"), "{again}");
}

#[test]
fn reload_with_a_fault_changes_nothing_and_lists_every_fault() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    let generation = ask(&server, &["summary"]).1["generation"].clone();
    append(
        &server,
        "log_level = \"debug\"\nhostnme = \"x\"\nDomain \"/(/\" { XMPP_Role = \"server\" }\n",
    );
    let said = server.ctl(&["config", "reload"]);
    assert_eq!(said.code, Some(1));
    for part in [
        "the configuration is not valid",
        "did you mean `hostname`?",
        "not a regular expression: unclosed group",
        "2 errors, 0 warnings",
        "nothing has changed",
    ] {
        assert!(
            said.message().contains(part),
            "no {part} in {}",
            said.stderr
        );
    }
    let (code, refused) = ask(&server, &["config", "check"]);
    assert_eq!(code, Some(1));
    assert_eq!(refused["error"]["code"], "configuration");
    let first = &refused["error"]["details"]["diagnostics"][0];
    assert_eq!(first["code"], "unknown-option", "{first:#}");
    assert!(first["line"].is_u64());

    assert_eq!(in_force(&server, &["log_level"]).0, "\"info\"");
    assert_eq!(ask(&server, &["summary"]).1["generation"], generation);
    alice.drain().unwrap();
}

#[test]
fn reload_names_what_needs_a_restart_and_applies_the_rest() {
    let mut server = Server::start();
    server.users(&["alice"]);
    let before = text(&server);
    let moved = before.replace(
        "Listen \"127.0.0.2:0\" { tls = \"direct\" }",
        "listen_backlog = 9\n  Listen \"127.0.0.9:0\" { tls = \"direct\" }",
    ) + "max_sessions_per_user = 7\n";
    assert_ne!(before, moved);
    fs::write(file(&server), &moved).unwrap();
    let expected = [
        ["max_sessions_per_user", "10", "7", "live"],
        ["xmpp_listener listen_backlog", "500", "9", "restart"],
        [
            "xmpp_listener Listen \"127.0.0.2:0\"",
            "present",
            "-",
            "restart",
        ],
        [
            "xmpp_listener Listen \"127.0.0.9:0\"",
            "-",
            "present",
            "restart",
        ],
    ]
    .map(|row| row.map(str::to_owned));
    let (code, reloaded) = ask(&server, &["config", "reload"]);
    assert_eq!(code, Some(0), "{reloaded:#}");
    assert_eq!(changes(&reloaded), expected);

    assert_eq!(in_force(&server, &["max_sessions_per_user"]).0, "7");
    let backlog = in_force(&server, &["xmpp_listener", "listen_backlog"]);
    assert_eq!(backlog, ("500".to_owned(), "default".to_owned()));
    // The socket that has gone from the file is served until the restart, with live options of now.
    let login = Login::direct(server.direct(), "alice");
    Client::online(&login).unwrap().drain().unwrap();

    // What waits for the restart is said each time; what is applied is said once.
    let place = server.log().place();
    server.signal(Signal::HUP);
    let waits =
        |line: &str| line.contains("needs a restart: xmpp_listener listen_backlog: 500 -> 9");
    server.log().wait_from(place, "the difference", waits);
    let (_, again) = ask(&server, &["config", "reload"]);
    assert_eq!(changes(&again), expected[1..]);

    server.signal(Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
    server.restart();
    // The harness writes its own configuration before a start: the old one again.
    assert_eq!(in_force(&server, &["max_sessions_per_user"]).0, "10");
}

#[test]
fn reload_with_a_broken_script_changes_nothing() {
    let server = Server::start();
    let before = text(&server);
    append(
        &server,
        "max_sessions_per_user = 7\nscriptlet \"scriptlet\" { script \"mine\" { source = \"nowhere\" } }\n",
    );
    let said = server.ctl(&["config", "reload"]);
    assert_eq!(said.code, Some(1));
    assert!(said.message().contains("nowhere"), "{}", said.stderr);
    assert_eq!(in_force(&server, &["max_sessions_per_user"]).0, "10");
    fs::write(file(&server), before).unwrap();

    // The next save is judged by the scripts in force, not by those that were refused.
    let generation = ask(&server, &["summary"]).1["generation"].as_u64().unwrap();
    let dialplan = server.setup().scripts().join("dialplan.lua");
    let lua = fs::read_to_string(&dialplan).unwrap();
    let place = server.log().place();
    fs::write(&dialplan, lua + "\n-- saved\n").unwrap();
    let live = |line: &str| line.contains(&format!("generation {}", generation + 1));
    server.log().wait_from(place, "the saved script", live);
}

#[test]
fn show_tells_every_value_and_who_set_it() {
    let setup = Setup::new().config(
        "xmpp_listener {\n  idle_time = 600\n  Peer \"192.0.2.0/24\" { idle_time = 60 }\n}\n\
         Domain \"#xmpp#partner.example\" { XMPP_Role = \"client\"  XMPP_Dialback_Secret = \"between us\" }\n\
         ThreadPool \"my pool\" { Concurrency = 1 }\n",
    );
    let server = setup.start();
    let place = |line| format!("stanzad.conf:{line}");
    let default = || "default".to_owned();
    assert_eq!(
        in_force(&server, &["hostname"]),
        ("\"localhost\"".to_owned(), place(1))
    );
    let listen = ["xmpp_listener", "listen", "127.0.0.1:0"];
    let of = |option: &'static str| in_force(&server, &[&listen[..], &[option]].concat());
    assert_eq!(of("IDLE_TIME"), ("600".to_owned(), place(14)));
    assert_eq!(of("max_depth"), ("128".to_owned(), default()));
    let peer = in_force(
        &server,
        &["xmpp_listener", "peer", "192.0.2.7", "idle_time"],
    );
    assert_eq!(peer, ("60".to_owned(), place(15)));
    assert_eq!(in_force(&server, &["data_dir"]).1, "command line");
    assert_eq!(
        in_force(&server, &["ThreadPool", "\"my pool\"", "Concurrency"]).0,
        "1"
    );

    let all = server.ctl(&["config", "show"]).stdout;
    for row in [
        "\"#xmpp#partner.example\" XMPP_Dialback_Secret = (secret)",
        "scram_iterations = 10000 ",
        "xmpp_listener Peer \"192.0.2.0/24\" idle_time = 60",
        "log_level = \"info\" ",
        "tls_key = (none)",
    ] {
        assert!(all.contains(row), "no {row} in\n{all}");
    }
    let json = server.ctl(&["--json", "config", "show"]).stdout;
    assert!(!format!("{all}{json}").contains("between us"));

    let wrong = server.ctl(&["config", "show", "xmpp_listner", "idle_time"]);
    assert_eq!(wrong.code, Some(1));
    let near = "neither a scope nor an option of the global scope: `xmpp_listner`; did you mean `xmpp_listener`?";
    assert!(wrong.message().contains(near), "{}", wrong.stderr);
}

#[test]
fn check_of_another_file_compares_it_with_what_runs() {
    let server = Server::start();
    let other = server.setup().directory().join("other.conf");
    fs::write(&other, text(&server) + "max_depth = 64\n").unwrap();
    let wrong = server
        .ctl_command(&["config", "check", "other.conf"])
        .current_dir(server.setup().directory())
        .output()
        .unwrap();
    let wrong = Ended::from(wrong);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stdout);
    assert!(
        wrong.message().contains("other.conf:")
            && wrong.message().contains("it belongs in xmpp_listener"),
        "{}",
        wrong.stderr
    );
    fs::write(&other, text(&server) + "xmpp_listener { max_depth = 64 }\n").unwrap();
    let path = other.display().to_string();
    let (code, checked) = ask(&server, &["config", "check", &path]);
    assert_eq!(code, Some(0), "{checked:#}");
    assert_eq!(
        changes(&checked)[0],
        ["xmpp_listener max_depth", "128", "64", "live"]
    );
    assert_eq!(in_force(&server, &["xmpp_listener", "max_depth"]).0, "128");
}
