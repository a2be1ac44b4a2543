//! Attacks by what accounts are called and what belongs to them (docs/security.md, T91, T98, T118, T124).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::attacks::{add, ask, condition, login_at, online};
use crate::harness::{Client, Login, Server, Setup};

fn keep(client: &mut Client, text: &str) {
    let query = format!("<query xmlns='jabber:iq:private'><a xmlns='urn:x'>{text}</a></query>");
    let answer = ask(client, &format!("<iq type='set' id='q'>{query}</iq>"));
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
}

fn kept(client: &mut Client) -> String {
    let query = "<query xmlns='jabber:iq:private'><a xmlns='urn:x'/></query>";
    ask(client, &format!("<iq type='get' id='q'>{query}</iq>")).to_string()
}

fn files(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        }
        found.insert(path);
    }
}

#[test]
fn t91_t118_names_are_neither_paths_nor_patterns() {
    const NAMES: [&str; 8] = ["..", ".", "%", "_", "a_c", "abc", "*", "con"];
    let server = Server::start();
    let mut before = BTreeSet::new();
    files(server.setup().directory(), &mut before);
    server.users(&NAMES);
    for name in NAMES {
        let mut client = online(&server, name);
        assert_eq!(client.jid, format!("{name}@localhost/desk"));
        keep(&mut client, &format!("of {name}."));
        let item = format!("<item jid='friend@localhost' name='{name}'/>");
        let query = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
        ask(&mut client, &format!("<iq type='set' id='q'>{query}</iq>"));
        client.close().unwrap();
    }
    let mut sender = online(&server, "abc");
    for name in NAMES.iter().filter(|name| **name != "abc") {
        sender
            .say(&format!("{name}@localhost"), name, "for you")
            .unwrap();
    }
    assert!(sender.drain().unwrap().is_empty());
    drop(sender);
    // What would be everybody's, were a name a pattern, is its own alone.
    for name in ["%", "_", "*"] {
        let ended = server.ctl(&["user", "delete", &format!("{name}@localhost")]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(Client::login(&Login::direct(server.direct(), name)).is_err());
    }
    for name in ["..", ".", "a_c", "abc", "con"] {
        let mut client = online(&server, name);
        let ids: Vec<_> = client.kept.iter().map(|kept| kept.attr("id")).collect();
        let expected: &[_] = if name == "abc" { &[] } else { &[Some(name)] };
        assert_eq!(ids, expected);
        let got = kept(&mut client);
        assert!(got.contains(&format!(">of {name}.<")), "{got}");
        let query = "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>";
        let roster = ask(&mut client, query).to_string();
        assert!(roster.contains(&format!("'{name}'")), "{roster}");
    }
    let mut after = BTreeSet::new();
    files(server.setup().directory(), &mut after);
    let made: Vec<_> = after.difference(&before).collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn t98_two_domains_share_nothing() {
    let server = Setup::new()
        .shipped_scripts()
        .config("Domain \"other.example\" { XMPP_Role = \"server\" }\n")
        .start();
    server.users(&["alice", "mallory"]);
    add(&server, "alice@other.example");
    let mut here = online(&server, "alice");
    let mut there = login_at(&server, "other.example", "alice");
    assert_eq!(there.drain().unwrap().len(), 0);

    keep(&mut here, "secret");
    assert!(!kept(&mut there).contains("secret"));
    for (set, get) in [
        (
            "<vCard xmlns='vcard-temp'><FN>secret</FN></vCard>",
            "<vCard xmlns='vcard-temp'/>",
        ),
        (
            "<query xmlns='jabber:iq:roster'><item jid='x@localhost' name='secret'/></query>",
            "<query xmlns='jabber:iq:roster'/>",
        ),
        (
            "<block xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></block>",
            "<blocklist xmlns='urn:xmpp:blocking'/>",
        ),
    ] {
        let done = ask(&mut here, &format!("<iq type='set' id='q'>{set}</iq>"));
        assert_eq!(done.attr("type"), Some("result"), "{done}");
        let got = ask(&mut there, &format!("<iq type='get' id='q'>{get}</iq>")).to_string();
        assert!(!got.contains("secret") && !got.contains("mallory"), "{got}");
    }
    // Neither sees the other come and go, nor gets what is for the other.
    there.send("<presence/>").unwrap();
    let mut mallory = online(&server, "mallory");
    mallory.say("alice@localhost", "m1", "blocked").unwrap();
    mallory.say("alice@other.example", "m2", "welcome").unwrap();
    let refused = mallory.drain().unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].attr("id"), Some("m1"));
    let got = there.drain().unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].attr("id"), Some("m2"));
    assert!(here.drain().unwrap().is_empty());
    let roster =
        "<iq type='get' id='q' to='alice@other.example'><query xmlns='jabber:iq:roster'/></iq>";
    assert_eq!(condition(&ask(&mut here, roster)), "forbidden");

    // The end of one account is not that of the other.
    keep(&mut there, "mine");
    let ended = server.ctl(&["user", "delete", "alice@localhost"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(kept(&mut there).contains("mine"));
    login_at(&server, "other.example", "alice").drain().unwrap();
}

#[test]
fn t124_no_command_takes_a_password_as_an_argument() {
    let server = Server::start();
    server.users(&["alice"]);
    for args in [
        &["user", "add", "bob@localhost", "--password", "hunter2"][..],
        &["user", "add", "bob@localhost", "--password=hunter2"],
        &["user", "add", "bob@localhost", "hunter2"],
        &["user", "passwd", "alice@localhost", "hunter2"],
    ] {
        let ended = server.ctl(args);
        assert_ne!(ended.code, Some(0), "{args:?}");
        let told = server.log().all().join("\n");
        assert!(!told.contains("hunter2"), "{told}");
    }
    online(&server, "alice");
}
