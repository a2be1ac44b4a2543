//! Starting and stopping: the messages that an operator gets, and the exit codes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Client, Ended, Login, Server, Setup, Via, stanzad};

/// Runs a daemon that is expected to give up.
fn ended(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// Runs `setup` with one more listening socket than it has.
fn with_socket(setup: Setup, listen: &str) -> Setup {
    setup.config(&format!("xmpp_listener {{\n  {listen}\n}}\n"))
}

/// What a daemon says that gives up, with what differs from run to run replaced.
fn said(setup: &Setup, ended: &Ended) -> String {
    assert_eq!(ended.stdout, "", "the banner is for those who start");
    assert_eq!(ended.message(), ended.stderr, "said once, and nothing else");
    let directory = setup.directory().display().to_string();
    ended.stderr.replace(&directory, "DIR")
}

/// What it says with that configuration more, and its exit code.
fn refusal(setup: &Setup) -> (Option<i32>, String) {
    let ended = ended(&mut setup.command());
    (ended.code, said(setup, &ended))
}

#[test]
fn port_in_use_names_the_address_the_holder_and_the_next_command() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let setup = with_socket(Setup::new(), &format!("Listen \"{addr}\" {{}}"));
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(3), "{said}");
    let pid = std::process::id();
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    let expected = format!(
        "stanzad: cannot listen on {addr}: process {pid} ({}) has the port. `kill {pid}` ends it; or give another port in \
         a configuration of your own: stanzad -c FILE\n",
        name.trim_end()
    );
    assert_eq!(said, expected);
}

#[test]
fn address_of_another_machine_is_named() {
    // TEST-NET-1 (RFC 5737) is nobody's.
    let setup = with_socket(Setup::new(), "Listen \"192.0.2.1:5222\" {}");
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(3), "{said}");
    let expected =
        "stanzad: cannot listen on 192.0.2.1:5222: Cannot assign requested address (os error 99)\n";
    assert_eq!(said, expected);
}

#[test]
fn wrong_configuration_ends_with_2_and_a_caret() {
    let setup = Setup::new().config("Domain \"localhost\" { XMPP_Rule = \"server\" }\n");
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(2), "{said}");
    let expected = "\
stanzad: DIR/stanzad.conf:13:22: error: unknown option `XMPP_Rule` in Domain
 13 | Domain \"localhost\" { XMPP_Rule = \"server\" }
    |                      ^^^^^^^^^
   = did you mean `XMPP_Role`?

1 error, 0 warnings

";
    assert_eq!(said, expected);
}

#[test]
fn check_says_what_a_start_would() {
    let good = Setup::new();
    let mut command = good.command();
    let ok = ended(command.arg("check"));
    assert_eq!(ok.code, Some(0), "{}", ok.stderr);
    assert!(
        ok.stdout.starts_with("configuration valid: "),
        "{}",
        ok.stdout
    );
    assert!(!good.data().exists(), "a check makes nothing");

    let bad = Setup::new().config("nonsense = 1\n");
    let mut command = bad.command();
    let refused = ended(command.args(["check", "--json"]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let report: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(report["errors"], 1);
    assert!(report["diagnostics"][0]["line"].as_u64().unwrap() > 1);
}

#[test]
fn missing_configuration_file_is_named() {
    let setup = Setup::new();
    let missing = setup.directory().join("nowhere.conf");
    let ended = ended(stanzad().arg("-c").arg(&missing));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let expected = "\
stanzad: error: cannot read DIR/nowhere.conf: No such file or directory (os error 2)
   = check the path and its permissions

1 error, 0 warnings

";
    assert_eq!(said(&setup, &ended), expected);
}

#[test]
fn data_directory_that_cannot_be_used_is_named() {
    let setup = Setup::new();
    fs::write(setup.data(), "a file, not a directory").unwrap();
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(3), "{said}");
    let expected = "\
stanzad: cannot create the data directory DIR/data: File exists (os error 17)
  data directory: DIR/data; another one: stanzad --data DIR
";
    assert_eq!(said, expected);
}

#[test]
fn damaged_database_is_named() {
    let setup = Setup::new();
    fs::create_dir(setup.data()).unwrap();
    fs::write(setup.data().join("stanzad.db"), "x".repeat(5000)).unwrap();
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(3), "{said}");
    let expected = "\
stanzad: cannot set up the database: file is not a database
  data directory: DIR/data; another one: stanzad --data DIR
";
    assert_eq!(said, expected);
}

#[test]
fn second_daemon_on_the_same_data_is_refused() {
    let server = Setup::new().start();
    let (code, said) = refusal(server.setup());
    assert_eq!(code, Some(3), "{said}");
    let expected = format!(
        "\
stanzad: the data directory DIR/data is in use by process {}
  data directory: DIR/data; another one: stanzad --data DIR
",
        server.pid()
    );
    assert_eq!(said, expected);
    let summary = server.ctl(&["summary"]);
    assert_eq!(
        summary.code,
        Some(0),
        "the first runs on: {}",
        summary.stderr
    );
}

#[test]
fn file_in_the_console_s_place_is_left_alone() {
    let setup = Setup::new();
    fs::create_dir(setup.data()).unwrap();
    fs::write(setup.socket(), "notes").unwrap();
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(3), "{said}");
    let expected = "stanzad: DIR/data/stanzad.sock is there and is no socket: move it away, or name another path in \
                    control_listener\n";
    assert_eq!(said, expected);
    assert_eq!(fs::read_to_string(setup.socket()).unwrap(), "notes");
}

#[test]
fn missing_certificate_is_named() {
    let setup = with_socket(
        Setup::new(),
        "Listen \"127.0.0.4:0\" { tls_certificate = \"nowhere.pem\" }",
    );
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(2), "{said}");
    let expected = "\
stanzad: DIR/stanzad.conf:14:44: error: cannot read DIR/nowhere.pem: No such file or directory (os error 2)
 14 |   Listen \"127.0.0.4:0\" { tls_certificate = \"nowhere.pem\" }
    |                                            ^^^^^^^^^^^^^
   = check path and permissions; `none` stands for a self-signed certificate

1 error, 0 warnings

";
    assert_eq!(said, expected);
}

#[test]
fn broken_script_stops_the_start_with_line_and_caret() {
    let setup = Setup::new().shipped_scripts();
    fs::write(setup.scripts().join("dialplan.lua"), "local x = = 1\n").unwrap();
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(2), "{said}");
    let expected = "\
stanzad: dialplan.lua:1: unexpected symbol near '='
  1 | local x = = 1
    |           ^
";
    assert_eq!(said, expected);
}

#[test]
fn missing_script_is_named() {
    let setup = Setup::new()
        .config("scriptlet \"scriptlet\" { script \"mine\" { source = \"nowhere\" } }\n");
    let (code, said) = refusal(&setup);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(
        said,
        "stanzad: script \"mine\": there is no script file \"nowhere\"\n"
    );
}

#[test]
fn bad_log_filter_is_named() {
    let ended = ended(stanzad().args(["--log", "stanzad=loud"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("`stanzad=loud`"), "{}", ended.stderr);
}

#[test]
fn banner_says_what_is_in_force() {
    let server = Server::start();
    let banner = server.banner();
    for expected in [
        server.setup().data().display().to_string(),
        server.setup().scripts().display().to_string(),
        server.setup().socket().display().to_string(),
        "stanzad.conf".to_owned(),
        "localhost, self-signed, SHA-256".to_owned(),
        "stanzactl user add alice@localhost".to_owned(),
        server.direct().to_string(),
    ] {
        assert!(banner.contains(&expected), "no {expected} in\n{banner}");
    }
}

#[test]
fn without_any_file_the_shipped_configuration_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let ended = ended(stanzad().current_dir(directory.path()).arg("check"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "configuration valid: built in\n");
}

#[test]
fn sigterm_closes_sessions_and_ends_with_0() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    server.signal(Signal::TERM);
    let error = alice
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    let streams = "urn:ietf:params:xml:ns:xmpp-streams";
    assert!(error.child("system-shutdown", streams).is_some(), "{error}");
    let socket = server.setup().socket();
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!socket.exists(), "the console's socket is gone");
}

#[test]
fn who_logs_in_while_sessions_are_closed_binds_no_more() {
    let setup = Setup::new().config("drain_flush_time = 0\ndrain_close_time = 60\n");
    let server = setup.start();
    server.users(&["alice", "bob", "carol"]);
    let login = |user| Login::direct(server.direct(), user);
    // Bob does not read: his session takes a while to close.
    let bob = Client::online(&login("bob")).unwrap();
    let mut alice = Client::online(&login("alice")).unwrap();
    let body = "x".repeat(100_000);
    for n in 0..150 {
        alice.say("bob@localhost", &n.to_string(), &body).unwrap();
    }
    assert!(alice.drain().unwrap().is_empty());
    let mut carol = Client::connect(server.direct(), Via::Direct).unwrap();
    carol.features().unwrap();
    carol.authenticate(&login("carol")).unwrap();
    carol.open().unwrap();
    carol.features().unwrap();

    server.signal(Signal::TERM);
    server
        .log()
        .wait("the closing", |line| line.contains("closing sessions"));
    // On a slow machine it may be over already.
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let answer = carol
        .send(bind)
        .and_then(|()| carol.expect("an answer", |element| element.attr("id") == Some("b")));
    if let Ok(answer) = answer {
        assert!(
            answer.to_string().contains("the server is stopping"),
            "{answer}"
        );
    }
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let late = ended.stderr.contains("not everything ended in time");
    assert!(!late, "{}", ended.stderr);
    drop(bob);
}

#[test]
fn sighup_reloads_and_a_wrong_configuration_changes_nothing() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    let config = server.setup().directory().join("stanzad.conf");
    let good = fs::read_to_string(&config).unwrap();

    let place = server.log().place();
    fs::write(
        &config,
        good.clone() + "Domain \"second.example\" { XMPP_Role = \"server\" }\n",
    )
    .unwrap();
    server.signal(Signal::HUP);
    let (place, _) = server
        .log()
        .wait_from(place, "a reload", |line| line.contains("now in force"));
    alice.drain().unwrap();

    fs::write(&config, good + "nonsense = 1\n").unwrap();
    server.signal(Signal::HUP);
    server
        .log()
        .wait_from(place, "a refusal", |line| line.contains("nonsense"));
    alice.drain().unwrap();
}

#[test]
fn log_level_changes_while_it_runs() {
    let server = Server::start();
    server.users(&["alice"]);
    let config = server.setup().directory().join("stanzad.conf");
    let text = fs::read_to_string(&config).unwrap();
    let place = server.log().place();
    fs::write(&config, text + "log_level = \"debug\"\n").unwrap();
    server.signal(Signal::HUP);
    let reloaded = |line: &str| line.contains("now in force") && line.contains("log_level");
    let (place, _) = server.log().wait_from(place, "a reload", reloaded);
    let before = server.log().all()[..place]
        .iter()
        .any(|line| line.contains("DEBUG"));
    assert!(!before, "debug was off");
    Client::online(&Login::direct(server.direct(), "alice")).unwrap();
    server.log().wait_from(place, "a line of debug", |line| {
        line.contains("DEBUG") && line.contains("alice@localhost")
    });
}

#[test]
fn socket_of_a_killed_daemon_does_not_hinder_the_next() {
    let mut server = Server::start();
    server.kill();
    assert!(server.setup().socket().exists());
    server.restart();
    assert_eq!(server.ctl(&["version"]).code, Some(0));
}

#[test]
fn data_directory_and_database_are_for_the_daemon_only() {
    let server = Server::start();
    for entry in fs::read_dir(server.setup().data()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(
            mode & 0o007,
            0,
            "{:?} is open to everybody: {mode:o}",
            entry.path()
        );
    }
}
