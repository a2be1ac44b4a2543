//! Sessions that wait for their client outlive a restart of the server (XEP-0198 §5).

use stanzad::store::spool::{Owner, Quota, SpoolRow};
use stanzad::store::{Store, StoreOptions};

use crate::harness::{Client, Login, Server};
use crate::resumption::{
    TO, assert_failed, resumable, resumable_at, resume, resumed, say, sessions, wait_for,
    wait_for_lost,
};
use crate::stream_management::{ack, handled, ids, managed, messages, start};

const PRESENCE: &str =
    "scriptlet \"scriptlet\" { script \"presence\" { source = \"msys.xmpp.presence\" } }\n";

fn stop_and_start(server: &mut Server) {
    server.signal(rustix::process::Signal::TERM);
    let ended = server.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    server.restart();
}

#[test]
fn sessions_are_resumed_after_the_server_was_restarted() {
    let mut server = start(PRESENCE);
    let (mut juliet, hers) = resumable(&server, "juliet");
    let (mut romeo, his) = resumable(&server, "romeo");
    // He believes that she is available, and nobody says otherwise.
    juliet
        .send("<presence to='romeo@localhost/r'><show>dnd</show></presence>")
        .unwrap();
    romeo
        .expect("presence", |element| element.name() == "presence")
        .unwrap();
    say(&mut romeo, &["1", "2"]);
    messages(&mut juliet, &["1", "2"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut juliet), 1);
    assert_eq!(handled(&mut romeo), 3, "two and a ping");
    // One is connected when the server stops, the other is not.
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    say(&mut romeo, &["3"]);
    stop_and_start(&mut server);
    let error = romeo
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    assert!(error.to_string().contains("<system-shutdown "), "{error}");

    wait_for(&server, "juliet@localhost", Some("detached"));
    // Presence, the answers to two pings: he has handled all.
    let (mut romeo, counted) = resumed(&server, "romeo", &his, 3);
    assert_eq!(counted, 5);
    say(&mut romeo, &["4"]);
    let (mut juliet, counted) = resumed(&server, "juliet", &hers, 1);
    assert_eq!(counted, 1);
    let came = messages(&mut juliet, &["2", "3", "4"]);
    for message in &came[..2] {
        assert!(message.child("delay", "urn:xmpp:delay").is_none());
    }
    ack(&mut juliet, 4);
    let row = wait_for(&server, "juliet@localhost", Some("live")).unwrap();
    assert_eq!(row["priority"], 0);
    romeo
        .send("<iq type='get' id='quiet'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let first = romeo
        .expect("nothing but the answer", |element| {
            element.name() == "presence" || element.attr("id") == Some("quiet")
        })
        .unwrap();
    assert_eq!(first.name(), "iq", "nobody has said that she is gone");
    // She goes now, and he hears it: the presence that she had directed to him was not forgotten.
    juliet.close().unwrap();
    romeo
        .expect("presence", |element| {
            element.name() == "presence" && element.attr("type") == Some("unavailable")
        })
        .unwrap();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "{:?}", juliet.kept);
}

#[test]
fn who_does_not_come_back_after_a_restart_gets_its_messages_once() {
    let mut server = start("sm_resume_time = 5\n");
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1", "2"]);
    messages(&mut juliet, &["1", "2"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut juliet), 0);
    stop_and_start(&mut server);
    wait_for(&server, "juliet@localhost", None);
    let (_, told) = resume(&server, "juliet", &id, 1);
    assert_failed(&told, "item-not-found");
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), ["2"]);
    juliet.close().unwrap();
    // A record is read once.
    stop_and_start(&mut server);
    assert!(sessions(&server, "juliet@localhost").is_empty());
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "{:?}", juliet.kept);
}

#[test]
fn what_two_sessions_have_before_a_restart_comes_to_each_once() {
    let mut server = start("");
    let (juliet, hers) = resumable(&server, "juliet");
    let desk = Login::direct(server.direct(), "juliet").resource("desk");
    let (desk, at_desk) = resumable_at(&desk);
    drop((juliet, desk));
    let mut romeo = managed(&server, "romeo");
    wait_for_lost(&server, "juliet@localhost");
    romeo.say("juliet@localhost", "1", "for both").unwrap();
    assert!(romeo.drain().unwrap().is_empty());
    stop_and_start(&mut server);
    // One of them leaves without a word about it: the other sends it.
    let (juliet, _) = resumed(&server, "juliet", &hers, 0);
    juliet.close().unwrap();
    wait_for(&server, "juliet@localhost", Some("detached"));
    let mut romeo = managed(&server, "romeo");
    romeo.say("juliet@localhost", "2", "for the desk").unwrap();
    assert!(romeo.drain().unwrap().is_empty());
    let (mut desk, _) = resumed(&server, "juliet", &at_desk, 0);
    messages(&mut desk, &["1", "2"]);
    // With the presence of the session that has left.
    ack(&mut desk, 3);
    desk.close().unwrap();
    wait_for(&server, "juliet@localhost", None);
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "{:?}", juliet.kept);
}

#[test]
fn what_was_stored_after_a_session_was_saved_comes_before_anything_new() {
    let mut server = start("");
    let (juliet, hers) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    say(&mut romeo, &["1"]);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
    // As when another session has said something between hers being saved and its own end.
    let late = format!("<message from='romeo@localhost/r' to='{TO}' type='chat' id='2'/>");
    let row = SpoolRow {
        owner: Owner::parse("juliet@localhost").unwrap(),
        stanza: late.into(),
        from: None,
        stored_at: 0,
        expires_at: None,
    };
    let quota = Quota {
        rows: 100,
        bytes: 1 << 20,
    };
    let store = Store::open(&server.setup().data(), StoreOptions::new(|| 0)).unwrap();
    store.spool_append(vec![row], quota).wait().unwrap();
    store.close().wait().unwrap();
    server.restart();
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["3"]);
    let (mut juliet, _) = resumed(&server, "juliet", &hers, 0);
    messages(&mut juliet, &["1", "2", "3"]);
}
