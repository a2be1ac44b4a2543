//! Configuration: what the shipped one says, what mistakes look like, and that the manual is what runs.

use std::path::{Path, PathBuf};

use stanzad::config::{
    self, BUILT_IN, Config, Form, Mechanism, Origin, ScriptDir, Source, TlsMode, ValueOrigin,
};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares with a file, or writes it when `UPDATE_GENERATED=1`.
fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|v| v == "1") {
        std::fs::write(path, text).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        have == text,
        "{} is not what the program says; look at the difference, then UPDATE_GENERATED=1 cargo test --test it config\n\
         --- in the file\n{have}\n--- now\n{text}",
        path.display()
    );
}

#[test]
fn shipped_configuration_is_the_built_in_one_and_valid() {
    let text = std::fs::read_to_string(here("etc/stanzad.conf")).unwrap();
    assert_eq!(text, BUILT_IN);
    let config = Config::load(&Source::built_in()).unwrap();
    assert!(config.warnings().is_empty(), "{}", config.warnings());
    let listens: Vec<(String, TlsMode)> = config
        .xmpp_listens()
        .iter()
        .map(|listen| (listen.addr.to_string(), listen.anyone.tls))
        .collect();
    let want = [
        ("127.0.0.1:5222", TlsMode::Required),
        ("[::1]:5222", TlsMode::Required),
        ("127.0.0.1:5223", TlsMode::Direct),
        ("[::1]:5223", TlsMode::Direct),
    ];
    assert_eq!(listens, want.map(|(addr, tls)| (addr.to_owned(), tls)));
    assert!(config.is_local_domain("localhost"));
    assert!(!config.is_local_domain("example.org"));
    assert_eq!(
        config.control_listens()[0].path,
        Path::new("var/stanzad.sock")
    );
    assert_eq!(config.control_listens()[0].file_mode, 0o600);
    let scripts: Vec<&str> = config.scripts().iter().map(|s| s.source.as_str()).collect();
    assert_eq!(
        scripts,
        [
            "msys.xmpp.presence",
            "dialplan",
            "chatstates",
            "bot",
            "fanout"
        ]
    );
    assert_eq!(config.thread_pools().len(), 1);
    assert_eq!(config.origin().to_string(), "built in");
}

#[test]
fn mistakes_look_as_they_should() {
    let dir = here("tests/config");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 14, "only {} cases", cases.len());
    for case in cases {
        let source = Source {
            origin: Origin::File(case.clone()),
            data_dir: None,
        };
        let (code, text) = config::check(&source, Form::Plain);
        // The repository may stand anywhere.
        let text = text.replace(&format!("{}/", dir.display()), "");
        same_as_file(
            &case.with_extension("diag"),
            &format!("{text}exit {code}\n"),
        );
    }
}

#[test]
fn manual_is_made_from_the_tables() {
    same_as_file(&here("docs/config-reference.md"), &config::reference());
}

fn load(text: &str) -> std::sync::Arc<Config> {
    match Config::load(&Source::text("test.conf", text)) {
        Ok(config) => config,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

const FALLBACK: &str = r#"
tls_key = "unused.pem"
Domain "Example.ORG." { XMPP_Role = SERVER }
xmpp {}
XMPP_Listener {
  AuthScramParameters = [ uri = "store:" ]
  idle_time = 100
  max_depth = "64"
  Peer "10.0.0.0/8" { idle_time = 200  login_time = 5 }
  Peer "10.1.0.0/16" { login_time = 6 }
  Listen "*:0" {
    max_depth = 32
    Peer "10.0.0.0/16" { idle_time = 300 }
    Peer "2001:db8::/32" { tls = either }
  }
}
xmpp_listener { idle_time = 110 }
"#;

#[test]
fn options_fall_back_peer_by_peer() {
    let config = load(FALLBACK);
    let listen = &config.xmpp_listens()[0];
    let at = |ip: &str| listen.for_peer(ip.parse().unwrap());
    let idle = |ip: &str| at(ip).idle_time.unwrap().as_secs();
    let login = |ip: &str| at(ip).login_time.as_secs();
    assert_eq!((idle("192.0.2.1"), login("192.0.2.1")), (110, 30));
    assert_eq!((idle("10.9.9.9"), login("10.9.9.9")), (200, 5));
    assert_eq!((idle("10.0.9.9"), login("10.0.9.9")), (300, 5));
    assert_eq!(
        (idle("::ffff:10.0.9.9"), login("::ffff:10.0.9.9")),
        (300, 5)
    );
    // The longest prefix in the listener is the only one of the listener that counts.
    assert_eq!((idle("10.1.9.9"), login("10.1.9.9")), (110, 6));
    assert_eq!(at("10.1.9.9").max_depth, 32);
    assert_eq!(at("2001:db8::9").tls, TlsMode::Either);
    assert_eq!(
        at("192.0.2.1").mechanisms,
        [Mechanism::ScramSha256, Mechanism::ScramSha1]
    );
    assert!(listen.dual_stack);
    assert!(config.is_local_domain("example.org"));
}

#[test]
fn eval_tells_value_origin_and_way() {
    let config = load(FALLBACK);
    let say = |path: &[&str], option: &str| match config.eval(path, option) {
        Ok(evaluated) => evaluated.to_string(),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(
        say(&["xmpp_listener", "listen", "*:0"], "IDLE_TIME"),
        "idle_time = 110 (test.conf:17; asked: Listen \"*:0\", xmpp_listener)"
    );
    assert_eq!(
        say(
            &["xmpp_listener", "listen", "*:0", "peer", "10.0.1.1"],
            "login_time"
        ),
        "login_time = 5 (test.conf:9; asked: Peer \"10.0.0.0/16\", Peer \"10.0.0.0/8\")"
    );
    assert_eq!(
        say(&["xmpp_listener"], "disable_nagle_algorithm"),
        "disable_nagle_algorithm = true (default; asked: xmpp_listener, global, default)"
    );
    assert_eq!(
        say(&["domain", "elsewhere.example"], "xmpp_role"),
        "XMPP_Role = (no value) (default; asked: default)"
    );
    assert_eq!(
        say(&["xmpp_listner"], "idle_time"),
        "error: no scope `xmpp_listner` in the global scope; did you mean `xmpp_listener`?"
    );
    assert_eq!(
        say(&[], "idle_tme"),
        "error: unknown option `idle_tme`; did you mean `idle_time`?"
    );
    assert_eq!(
        say(&[], "idle_time"),
        "error: `idle_time` is not an option of the global scope or the scopes around it"
    );
    let mut source = Source::text("test.conf", FALLBACK);
    source.data_dir = Some(PathBuf::from("elsewhere"));
    let moved = Config::load(&source).unwrap();
    let data = moved.eval(&[], "data_dir").unwrap();
    assert_eq!(data.origin, ValueOrigin::CommandLine);
    assert_eq!(moved.data_dir(), Path::new("elsewhere"));
}

#[test]
fn diff_names_what_changes_and_what_waits_for_a_restart() {
    let old = load(FALLBACK);
    let changed = FALLBACK
        .replace("idle_time = 110", "idle_time = 120")
        .replace("max_depth = 32", "max_depth = 64")
        .replace("Listen \"*:0\"", "listen_backlog = 9 Listen \"*:0\"")
        + "Domain \"new.example\" { XMPP_Role = server }\nThreadPool \"more\" {}\nmax_sessions_per_user = 10\n";
    let new = load(&changed);
    let mut changes: Vec<String> = Config::diff(&old, &new)
        .iter()
        .map(ToString::to_string)
        .collect();
    changes.sort();
    let want = [
        "Domain \"new.example\": (none) -> present",
        "ThreadPool \"more\": (none) -> present (at the next start)",
        "xmpp_listener Listen \"*:0\" max_depth: 32 -> 64",
        "xmpp_listener idle_time: 110 -> 120",
        "xmpp_listener listen_backlog: 500 -> 9 (at the next start)",
    ];
    assert_eq!(changes, want);
    assert!(Config::diff(&new, &new).is_empty());
    let scripts = |order: [&str; 2]| {
        let [a, b] = order.map(|name| format!("script {name} {{ source = {name} }}"));
        load(&format!("scriptlet scriptlet {{ {a} {b} }}"))
    };
    let changes = Config::diff(&scripts(["a", "b"]), &scripts(["b", "a"]));
    assert_eq!(
        changes[0].to_string(),
        "scriptlet \"scriptlet\" order: a, b -> b, a"
    );
}

#[test]
fn includes_are_relative_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "main.conf",
        "hostname = a\ninclude \"sub/first.conf\"\ninclude conf.d\n",
    );
    write(
        "sub/first.conf",
        "readonly_include second.conf\nscript_dir = lua\n",
    );
    write("sub/second.conf", "hostname = b");
    write("conf.d/20.conf", "hostname = \"d\"");
    write("conf.d/10.conf", "hostname = c");
    write("sub/lua/empty.lua", "");
    // Hidden, left behind by an editor or a package manager, or a directory: none of them counts.
    for ignored in [
        ".hidden",
        "30.conf~",
        "#40.conf#",
        "50.conf.bak",
        "60.conf.dpkg-old",
        "70.conf.rpmsave",
        "sub/80.conf",
    ] {
        write(&format!("conf.d/{ignored}"), "not } a { configuration");
    }
    let config = Config::load(&Source {
        origin: Origin::File(dir.path().join("main.conf")),
        data_dir: None,
    })
    .unwrap();
    assert_eq!(config.hostname(), "d");
    assert_eq!(config.files().count(), 5);
    assert_eq!(
        *config.script_dir(),
        ScriptDir::Dir(dir.path().join("sub/lua"))
    );
    let origin = config.eval(&[], "hostname").unwrap().origin;
    let ValueOrigin::Set(at) = origin else {
        panic!("{origin:?}")
    };
    assert!(at.to_string().ends_with("conf.d/20.conf:1"), "{at}");
}

#[test]
fn dead_link_in_a_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("conf.d/10.conf")).unwrap();
    std::fs::write(dir.path().join("main.conf"), "include conf.d\n").unwrap();
    let said = check_file(dir.path(), "main.conf");
    assert!(
        said.starts_with("main.conf:1:9: error: cannot read conf.d/10.conf: No such file"),
        "{said}"
    );
}

#[test]
fn local_changes_are_read_last_and_need_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    let text = "Local_Changes_File = local.conf\nhostname = a\nmax_sessions_per_user = 7\n";
    std::fs::write(&main, text).unwrap();
    let load = || {
        Config::load(&Source {
            origin: Origin::File(main.clone()),
            data_dir: None,
        })
        .unwrap()
    };
    assert_eq!(load().hostname(), "a");
    std::fs::write(dir.path().join("local.conf"), "\nhostname = b\n").unwrap();
    let config = load();
    assert_eq!(config.hostname(), "b");
    assert_eq!(config.limits().max_sessions_per_user, 7);
    let origin = config.eval(&[], "hostname").unwrap().origin;
    let ValueOrigin::Set(at) = origin else {
        panic!("{origin:?}")
    };
    assert!(at.to_string().ends_with("local.conf:2"), "{at}");
}

const DOMAINS: &str = r##"
tls_key = "global.key"
Domain "/^[a-z]+[.]team[.]example$/" { XMPP_Role = "server" }
Domain "/[.]example$/" { XMPP_Role = "client"  tls_certificate = "all.pem" }
Domain "own.team.example" { tls_certificate = "own.pem" }
Domain "out.team.example" { XMPP_Role = "client" }
Domain "#XMPP#both.example" { XMPP_Role = "server" }
Domain "both.example" { XMPP_Role = "client"  tls_certificate = "both.pem"  tls_key = "both.key" }
Domain "#xmpp#alone.test" { XMPP_Role = "server" }
"##;

#[test]
fn domains_fall_back_from_prefix_to_name_to_patterns_option_by_option() {
    let dir = tempfile::tempdir().unwrap();
    let signed = rcgen_pem(dir.path());
    for name in ["global.key", "all.pem", "own.pem", "both.pem", "both.key"] {
        std::fs::write(dir.path().join(name), &signed).unwrap();
    }
    let main = dir.path().join("main.conf");
    std::fs::write(&main, DOMAINS).unwrap();
    let config = Config::load(&Source {
        origin: Origin::File(main),
        data_dir: None,
    })
    .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    for (domain, served) in [
        ("a.team.example", true),
        ("own.team.example", true),
        // What a name's own scope says goes before any pattern.
        ("out.team.example", false),
        ("a.b.team.example", false),
        ("both.example", true),
        ("alone.test", true),
        ("elsewhere.test", false),
    ] {
        assert_eq!(config.is_local_domain(domain), served, "{domain}");
    }
    let certificate = |domain: &str| {
        let files = config.certificate_of(domain)?;
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name(&files.chain), name(&files.key)))
    };
    let pair = |chain: &str, key: &str| Some((chain.to_owned(), key.to_owned()));
    assert_eq!(
        certificate("own.team.example"),
        pair("own.pem", "global.key")
    );
    assert_eq!(certificate("a.team.example"), pair("all.pem", "global.key"));
    assert_eq!(certificate("both.example"), pair("both.pem", "both.key"));
    assert_eq!(certificate("alone.test"), None);
    let mut served = config.served();
    served.sort();
    let names = [
        "/^[a-z]+[.]team[.]example$/",
        "alone.test",
        "both.example",
        "own.team.example",
    ];
    assert_eq!(served, names);
    let role = config.eval(&["domain", "own.team.example"], "xmpp_role");
    assert!(
        role.unwrap().to_string().ends_with(
            "asked: Domain \"own.team.example\", Domain \"/^[a-z]+[.]team[.]example$/\")"
        )
    );
}

/// A certificate and its key in one text.
fn rcgen_pem(dir: &Path) -> Vec<u8> {
    stanzad::net::tls::Certificate::self_signed(dir, "any.example").unwrap();
    let mut pem = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            pem.extend(std::fs::read(path).unwrap());
        }
    }
    pem
}

#[test]
fn patterns_are_bounded_in_number() {
    let patterns: String = (0..65)
        .map(|n| format!("Domain \"/^{n}[.]example$/\" {{ XMPP_Role = \"server\" }}\n"))
        .collect();
    let refused = Config::load(&Source::text("many.conf", &patterns)).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.starts_with("many.conf:65:8: error: more than 64 patterns"),
        "{said}"
    );
}

#[test]
fn every_spelling_of_a_value_is_read() {
    for yes in ["true", "ON", "Enabled", "1", "\"true\""] {
        let config = load(&format!("{FALLBACK}\ndisable_nagle_algorithm = {yes}"));
        assert!(config.xmpp_listens()[0].disable_nagle_algorithm, "{yes}");
    }
    for no in ["false", "off", "disabled", "0", "\"off\""] {
        let config = load(&format!("{FALLBACK}\ndisable_nagle_algorithm = {no}"));
        assert!(!config.xmpp_listens()[0].disable_nagle_algorithm, "{no}");
    }
    let config = load(
        "control_listener = { file_mode = \"0640\" Listen /tmp/2025 {} }\n\
         hostname = \"a \\\"quoted\\\"\\tname with \\d and\nlines\" /* a\ncomment */ max_sessions_per_user = \"7\"",
    );
    assert_eq!(config.control_listens()[0].file_mode, 0o640);
    assert_eq!(config.control_listens()[0].path, Path::new("/tmp/2025"));
    assert_eq!(config.hostname(), "a \"quoted\"\tname with \\d and\nlines");
    assert_eq!(config.limits().max_sessions_per_user, 7);
}

#[test]
fn json_says_the_same() {
    let source = Source::text("broken.conf", "hostnam = x\n");
    let (code, text) = config::check(&source, Form::Json);
    assert_eq!(code, config::EXIT_CONFIG);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["errors"], 1);
    let first = &json["diagnostics"][0];
    assert_eq!(first["code"], "unknown-option");
    assert_eq!(
        (first["line"].as_u64(), first["column"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(first["hint"], "did you mean `hostname`?");
}

/// What `check` says about a file, its directory left out.
fn check_file(dir: &Path, name: &str) -> String {
    let source = Source {
        origin: Origin::File(dir.join(name)),
        data_dir: None,
    };
    let (code, text) = config::check(&source, Form::Plain);
    assert_eq!(code, config::EXIT_CONFIG);
    text.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = check_file(dir.path(), "missing.conf");
    assert!(
        missing.starts_with("error: cannot read missing.conf: No such file"),
        "{missing}"
    );
    std::fs::write(dir.path().join("latin1.conf"), b"hostname = \"\xe9\"\n").unwrap();
    let latin1 = check_file(dir.path(), "latin1.conf");
    assert!(
        latin1.starts_with("error: latin1.conf is not UTF-8 text (byte 12)"),
        "{latin1}"
    );
}

#[test]
fn include_loops_and_towers_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.conf", "include b.conf");
    write("b.conf", "xmpp { }\ninclude a.conf");
    let looped = check_file(dir.path(), "a.conf");
    assert!(
        looped.starts_with("b.conf:2:9: error: a.conf includes itself"),
        "{looped}"
    );
    for floor in 0..20 {
        let above = floor + 1;
        write(&format!("{floor}.conf"), &format!("include {above}.conf"));
    }
    let tower = check_file(dir.path(), "0.conf");
    assert!(
        tower.starts_with("15.conf:1:9: error: includes nest deeper than 16 files"),
        "{tower}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "[", "]", "(", ")", "=", ",", ";", "\"", "'", "\n", "/*", "*/", "#", "\\", "\t", "é", "\u{202e}",
                "xmpp", "xmpp_listener", "Listen", "\"*:5222\"", "\"[::1]:0\"", "Peer", "\"10.0.0.0/8\"", "Domain", "x.example",
                "tls", "none", "idle_time", "60", "mechanisms", "AuthPlainParameters", "uri", "\"store:\"", "include", "script",
                "scriptlet", "control_listener", "pool_name", "enabled", "true", "\"/[.]x$/\"", "\"/(\"", "/", "\"#xmpp#x\"",
                "readonly_include", "Local_Changes_File", "*/", "//", "--", ":", ":=", "+=", "“", "”", "\u{200b}", "XMPP_Dialback_Secret",
                "source", "10", "$x",
            ]),
            0..60,
        )
    ) {
        config::fuzz_entry(words.join(" ").as_bytes());
        config::fuzz_entry(words.concat().as_bytes());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        config::fuzz_entry(&bytes);
    }
}
