//! stanzactl and the console behind it, command by command.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::harness::{Client, Ended, Login, Server};

/// stanzactl where no daemon is.
fn alone(args: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_stanzactl"))
        .current_dir(directory.path())
        .env_remove(stanzad::control::SOCKET_VARIABLE)
        .args(args)
        .output()
        .unwrap()
        .into()
}

/// What `stanzactl --json` answers.
pub fn json(server: &Server, args: &[&str]) -> Value {
    let ended = server.ctl(&[&["--json"], args].concat());
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The row of a listing whose `key` is `value`.
pub fn row<'r>(rows: &'r Value, key: &str, value: &str) -> Option<&'r Value> {
    rows.as_array()
        .unwrap()
        .iter()
        .find(|row| row[key] == value)
}

pub fn online(server: &Server, user: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource("desk")).unwrap()
}

#[test]
fn unreachable_daemon_lists_what_was_tried_and_what_to_do() {
    let ended = alone(&["summary"]);
    let said = ended.message();
    assert_eq!(ended.code, Some(3));
    assert!(
        said.contains("./var/stanzad.sock (default): No such file"),
        "{said}"
    );
    assert!(
        said.contains("/run/stanzad/stanzad.sock (default)"),
        "{said}"
    );
    assert!(said.contains("Start the daemon"), "{said}");

    // A socket that somebody names is the only one tried.
    let ended = alone(&["--socket", "elsewhere.sock", "summary"]);
    let said = ended.message();
    assert_eq!(ended.code, Some(3));
    assert!(said.contains("elsewhere.sock (--socket)"), "{said}");
    assert!(!said.contains("/run/stanzad"), "{said}");
}

#[test]
fn wrong_command_line_names_the_nearest_command() {
    let ended = alone(&["sumary"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("did you mean `summary`?"),
        "{}",
        ended.stderr
    );
    let ended = alone(&["--socket", "x", "sesion", "lst", "alice@localhost"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("did you mean `session list`?"),
        "{}",
        ended.stderr
    );
    let ended = alone(&["user", "remove"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("there is no command `user remove`"),
        "{}",
        ended.stderr
    );
    assert_eq!(alone(&["user", "add"]).code, Some(2));
}

#[test]
fn commands_are_listed_and_explained_without_a_daemon() {
    let all = alone(&[]);
    assert_eq!(all.code, Some(0));
    assert!(all.stdout.contains("shutdown"), "{}", all.stdout);
    assert_eq!(all.stdout, alone(&["help"]).stdout);
    let group = alone(&["user"]);
    assert_eq!(group.code, Some(0));
    assert!(
        group.stdout.contains("user list [DOMAIN]"),
        "{}",
        group.stdout
    );
    assert!(!group.stdout.contains("shutdown"), "{}", group.stdout);
    let one = alone(&["help", "user", "list"]);
    assert!(
        one.stdout.starts_with("stanzactl user list [DOMAIN]\n"),
        "{}",
        one.stdout
    );
    assert!(one.stdout.contains("only users of this domain"));
    for shown in [all, group, one] {
        let wide = shown.stdout.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None);
    }
    let unknown = alone(&["help", "usr", "list"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("`user list`"), "{}", unknown.stderr);
}

#[test]
fn errors_are_json_too_when_json_is_asked_for() {
    let error = |args: &[&str], code: i32| {
        let ended = alone(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stderr, "", "{args:?}");
        let said: Value = serde_json::from_str(&ended.stdout).unwrap();
        said["error"].clone()
    };
    assert_eq!(error(&["summary", "--json"], 3)["code"], "unreachable");
    let unknown = error(&["--json", "sumary"], 2);
    assert_eq!(unknown["code"], "unknown-command");
    assert!(unknown["hint"].as_str().unwrap().contains("`summary`"));
    let usage = error(&["--json", "user", "add"], 2);
    assert_eq!(usage["code"], "usage");
    assert!(
        usage["message"].as_str().unwrap().contains("JID"),
        "{usage:#}"
    );
    assert_eq!(
        error(&["--json", "help", "x"], 2)["code"],
        "unknown-command"
    );
}

#[test]
fn daemon_is_found_by_directory_variable_and_place() {
    let server = Server::start();
    let data = server.setup().data();
    let version = |command: &mut Command| command.arg("version").output().unwrap().status.code();
    let ctl = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanzactl"));
        command.env_remove(stanzad::control::SOCKET_VARIABLE);
        command
    };
    assert_eq!(version(ctl().arg("--socket").arg(&data)), Some(0));
    let variable = stanzad::control::SOCKET_VARIABLE;
    assert_eq!(
        version(ctl().env(variable, server.setup().socket())),
        Some(0)
    );
    std::os::unix::fs::symlink(&data, server.setup().directory().join("var")).unwrap();
    assert_eq!(
        version(ctl().current_dir(server.setup().directory())),
        Some(0)
    );
}

#[test]
fn users_are_made_changed_listed_and_removed() {
    let server = Server::start();
    let alice = "alice@localhost";
    let added = server.ctl_with_input(&["user", "add", alice, "--password-stdin"], "first\n");
    assert_eq!(added.code, Some(0), "{}", added.stderr);

    let twice = server.ctl_with_input(&["user", "add", alice, "--password-stdin"], "other\n");
    assert_eq!(twice.code, Some(1));
    assert!(
        twice.message().contains("alice@localhost exists"),
        "{}",
        twice.stderr
    );
    assert!(
        twice
            .message()
            .contains("stanzactl user passwd alice@localhost"),
        "{}",
        twice.stderr
    );

    let mut login = Login::direct(server.direct(), "alice");
    login.password = "first".to_owned();
    let mut first = Client::login(&login).unwrap();
    let changed = server.ctl_with_input(&["user", "passwd", alice, "--password-stdin"], "second\n");
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    first
        .expect("the end", |_| false)
        .expect_err("who logged in with the old password is out");
    assert!(
        Client::login(&login).is_err(),
        "the old password is of no use"
    );
    login.password = "second".to_owned();
    let mut session = Client::online(&login).unwrap();

    let users = json(&server, &["user", "list"]);
    assert_eq!(row(&users, "jid", alice).unwrap()["sessions"], 1);
    let elsewhere = server.ctl(&["--json", "user", "list", "other.example"]);
    assert!(
        elsewhere.code == Some(1) || elsewhere.stdout.trim() == "[]",
        "{}",
        elsewhere.stderr
    );

    let deleted = json(&server, &["user", "delete", alice]);
    assert_eq!(deleted["sessions_closed"], 1);
    session
        .expect("the end", |_| false)
        .expect_err("the stream was closed");
    assert!(Client::login(&login).is_err());
    assert_eq!(json(&server, &["user", "list"]), Value::Array(Vec::new()));
}

#[test]
fn mistakes_are_answered_with_what_to_do() {
    let server = Server::start();
    let add = |jid: &str, password: &str| {
        server.ctl_with_input(&["user", "add", jid, "--password-stdin"], password)
    };
    let elsewhere = add("alice@elsewhere.example", "secret\n");
    assert_eq!(elsewhere.code, Some(1));
    assert!(
        elsewhere.message().contains("served here: localhost"),
        "{}",
        elsewhere.stderr
    );
    let domain = add("localhost", "secret\n");
    assert_eq!(domain.code, Some(1));
    assert!(
        domain.message().contains("user@domain") && domain.stderr.contains("`stanzactl summary`"),
        "{}",
        domain.stderr
    );
    assert_eq!(add("a b@localhost", "secret\n").code, Some(1));
    assert_eq!(add("alice@localhost", "").code, Some(2));
    assert_eq!(add("alice@localhost", "bell\u{7}\n").code, Some(1));
    let nobody = server.ctl(&["user", "delete", "nobody@localhost"]);
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody
            .message()
            .contains("there is no user nobody@localhost"),
        "{}",
        nobody.stderr
    );
}

#[test]
fn passwords_stay_out_of_the_log() {
    let server = Server::start();
    let secret = "correct horse battery";
    server.ctl_with_input(
        &["user", "add", "alice@localhost", "--password-stdin"],
        &format!("{secret}\n"),
    );
    let line = server
        .log()
        .wait("the command in the log", |line| line.contains("user add"));
    assert!(
        line.contains("alice@localhost") && line.contains("uid="),
        "{line}"
    );
    assert!(server.log().all().iter().all(|line| !line.contains(secret)));
}

#[test]
fn summary_shows_what_runs() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    alice.say("bob@localhost", "kept", "for later").unwrap();
    alice.drain().unwrap();
    let summary = json(&server, &["summary"]);
    assert_eq!(summary["pid"], server.pid());
    assert_eq!(summary["workers"], 2);
    assert_eq!(summary["users"], 2);
    assert_eq!(summary["sessions"], 1);
    assert_eq!(summary["domains"][0], "localhost");
    assert_eq!(summary["counters"]["logins"], 1);
    assert_eq!(summary["counters"]["spooled"], 1);
    assert!(summary["counters"]["stanzas_in"].as_u64().unwrap() >= 2);
    assert!(summary["generation"].as_u64().unwrap() >= 1);

    let text = server.ctl(&["summary"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("data ")), "{text}");
    assert!(text.contains(&server.direct().to_string()), "{text}");
}

#[test]
fn scripts_are_listed_reloaded_and_a_broken_one_is_refused() {
    let server = Server::start();
    let scripts = json(&server, &["script", "list"]);
    let before = row(&scripts, "name", "dialplan").unwrap()["generation"]
        .as_u64()
        .unwrap();
    assert!(row(&scripts, "name", "chatstates").is_some());
    let text = server.ctl(&["script", "list"]).stdout;
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );

    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    alice.say("echo@localhost", "one", "hello").unwrap();
    alice.message().unwrap();
    let shown = json(&server, &["script", "show", "dialplan"]);
    assert_eq!(
        (&shown["state"], &shown["errors"]),
        (&"live".into(), &0.into())
    );
    assert!(shown["calls"].as_u64().unwrap() >= 1, "{shown:#}");
    assert!(shown["us_per_call"].is_u64(), "{shown:#}");
    let functions = shown["functions"].as_array().unwrap();
    let at = functions
        .iter()
        .map(|function| function["at"].as_str().unwrap());
    assert!(at.clone().all(|at| at.contains(".lua:")), "{shown:#}");
    assert!(at.count() >= 1);
    let nobody = server.ctl(&["script", "show", "dialpan"]);
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody.stderr.contains("scripts: dialplan, "),
        "{}",
        nobody.stderr
    );

    let reloaded = json(&server, &["script", "reload"]);
    assert!(
        reloaded["generation"].as_u64().unwrap() > before,
        "{reloaded:#}"
    );

    let file = server.setup().scripts().join("dialplan.lua");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\nthis is not Lua\n")).unwrap();
    let refused = server.ctl(&["script", "reload"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.message().contains("still on"), "{}", refused.stderr);
    assert!(
        refused.message().contains("dialplan.lua:"),
        "{}",
        refused.stderr
    );
}

#[test]
fn hooks_lists_what_runs_at_each_point() {
    let server = Server::start();
    let hooks = json(&server, &["hooks"]);
    let rows = hooks.as_array().unwrap();
    let has = |point: &str, handler: &str| {
        rows.iter()
            .any(|row| row["point"] == point && row["handler"].as_str().unwrap().contains(handler))
    };
    assert!(has("client_message_recv", "dialplan"), "{hooks:#}");
    let filtered = |row: &&Value| row["filter"] == "{ body = false }";
    let chatstates = rows.iter().find(filtered);
    assert_eq!(
        chatstates.unwrap()["handler"],
        "script:chatstates",
        "{hooks:#}"
    );
    assert!(has("client_iq_recv", "ping"), "{hooks:#}");
    for row in rows {
        let of_script = row["handler"].as_str().unwrap().starts_with("script:");
        assert_eq!(row["band"] == "native", !of_script, "{row:#}");
        assert_eq!(
            row["at"].as_str().is_some_and(|at| at.contains(".lua:")),
            of_script
        );
        assert_eq!(row["priority"].is_i64(), of_script, "{row:#}");
    }
    let bands = rows.iter().filter(|row| row["point"] == "client_iq_recv");
    let rank = |row: &Value| {
        ["early", "native", "late"]
            .iter()
            .position(|band| row["band"] == *band)
    };
    assert!(bands.map(rank).is_sorted());
    let text = server.ctl(&["hooks"]).stdout;
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

/// A running `stanzactl --json trace`, whose watch is set.
struct Tracing {
    child: Child,
    records: std::io::Lines<BufReader<ChildStdout>>,
}

impl Tracing {
    fn start(server: &Server, jid: &str) -> Self {
        let mut child = server
            .ctl_command(&["--json", "trace", jid])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut watching = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut watching)
            .unwrap();
        assert!(watching.starts_with("watching"), "{watching}");
        let records = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, records }
    }

    /// The record of the stanza with that id.
    fn record(&mut self, id: &str) -> Value {
        loop {
            let line = self.records.next().expect("the trace goes on").unwrap();
            let record: Value = serde_json::from_str(&line).unwrap();
            if record["id"] == id {
                return record;
            }
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn trace_shows_hooks_verdicts_and_where_a_stanza_went() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let mut trace = Tracing::start(&server, "alice@localhost");

    alice.say("echo@localhost", "to-echo", "hello").unwrap();
    let record = trace.record("to-echo");
    assert_eq!(record["kind"], "message");
    assert_eq!(record["from"], "alice@localhost/desk");
    assert_eq!(record["to"], "echo@localhost");
    let steps = record["steps"].as_array().unwrap();
    let script = |step: &&Value| step["handler"].as_str().unwrap().contains("dialplan");
    let step = steps
        .iter()
        .find(script)
        .unwrap_or_else(|| panic!("{record:#}"));
    assert_eq!(step["verdict"], "done");
    assert!(step["us"].is_u64());

    alice.say("bob@localhost", "to-bob", "hello").unwrap();
    let fate = trace.record("to-bob")["fate"].as_str().unwrap().to_owned();
    assert!(fate.contains("spool"), "bob is away: {fate}");
    let bob = online(&server, "bob");
    alice.say("bob@localhost", "to-bob-2", "hello").unwrap();
    let fate = trace.record("to-bob-2")["fate"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(fate.contains(&bob.jid), "{fate}");
    alice.say("nobody@localhost", "to-nobody", "hello").unwrap();
    let fate = trace.record("to-nobody")["fate"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(fate.contains("service-unavailable"), "{fate}");
}

#[test]
fn shutdown_stops_the_daemon_with_0() {
    let mut server = Server::start();
    assert_eq!(server.ctl(&["shutdown"]).code, Some(0));
    let ended = server.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn console_lists_its_commands_and_its_version() {
    let server = Server::start();
    let help = json(&server, &["help"]);
    assert!(
        row(&help, "usage", "user list [DOMAIN]").is_some(),
        "{help:#}"
    );
    assert_eq!(
        json(&server, &["version"])["version"],
        env!("CARGO_PKG_VERSION")
    );
}

#[test]
fn console_gives_no_one_more_than_the_socket_s_mode() {
    let server = Server::start();
    let mode = std::fs::metadata(server.setup().socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o007, 0, "others may not open the console: {mode:o}");
}
