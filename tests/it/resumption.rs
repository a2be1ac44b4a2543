//! Streams that survive their connections (XEP-0198 §5), with 4 workers: each connection lands on another one.

use std::time::{Duration, Instant};

use stanzad::xml::Element;

use crate::harness::{Client, Login, PATIENCE, Server, Setup};
use crate::stream_management::{
    SM, ack, h, handled, ids, managed, messages, sm, start, start_gated,
};

pub const TO: &str = "juliet@localhost/r";

/// A worker that nobody else uses.
const EAST: &str = r#"
ThreadPool "east" { Concurrency = 1 }
xmpp_listener { Listen "127.0.0.5:0" { tls = "direct" pool_name = "east" } }
"#;

/// Logged in and available, with a session that can be resumed, and its name.
pub fn resumable(server: &Server, user: &str) -> (Client, String) {
    resumable_at(&Login::direct(server.direct(), user).resource("r"))
}

pub fn resumable_at(login: &Login) -> (Client, String) {
    let mut client = Client::online(login).unwrap();
    assert!(client.kept.is_empty(), "{:?}", client.kept);
    client
        .send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        .unwrap();
    let enabled = sm(&mut client, "enabled");
    assert_eq!(enabled.attr("resume"), Some("true"), "{enabled}");
    let id = enabled.attr("id").unwrap().to_owned();
    assert_eq!(id.len(), 32, "128 bits");
    (client, id)
}

/// Logged in, and has asked to resume; what it is told.
pub fn resume(server: &Server, user: &str, id: &str, h: u32) -> (Client, Element) {
    resume_at(&Login::direct(server.direct(), user), id, h)
}

fn resume_at(login: &Login, id: &str, h: u32) -> (Client, Element) {
    let mut client = Client::connect(login.addr, login.via).unwrap();
    client.features().unwrap();
    client.authenticate(login).unwrap();
    client.open().unwrap();
    client.features().unwrap();
    let told = ask_to_resume(&mut client, id, h);
    (client, told)
}

fn ask_to_resume(client: &mut Client, id: &str, h: u32) -> Element {
    client
        .send(&format!(
            "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>"
        ))
        .unwrap();
    client
        .expect("answer", |element| element.ns() == SM)
        .unwrap()
}

/// The same, which must succeed; and the server's `h`.
pub fn resumed(server: &Server, user: &str, id: &str, seen: u32) -> (Client, u32) {
    let (client, told) = resume(server, user, id, seen);
    assert_eq!(told.name(), "resumed", "{told}");
    assert_eq!(told.attr("previd"), Some(id));
    let handled = h(&told);
    (client, handled)
}

pub fn assert_failed(told: &Element, condition: &str) {
    assert_eq!(told.name(), "failed", "{told}");
    assert!(
        told.to_string().contains(&format!("<{condition} ")),
        "{told}"
    );
}

pub fn sessions(server: &Server, of: &str) -> Vec<serde_json::Value> {
    let listed = server.ctl(&["--json", "session", "list", of]);
    serde_json::from_str(&listed.stdout).unwrap()
}

/// Until the user's sessions are as `good` wants them; and what it makes of them.
pub fn wait_until<T>(
    server: &Server,
    of: &str,
    good: impl Fn(&[serde_json::Value]) -> Option<T>,
) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = sessions(server, of);
        if let Some(found) = good(&rows) {
            return found;
        }
        assert!(Instant::now() < until, "{of} still has {rows:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Until the user has one session, in that state, or none; and its row.
pub fn wait_for(server: &Server, of: &str, state: Option<&str>) -> Option<serde_json::Value> {
    wait_until(server, of, |rows| match (rows, state) {
        ([], None) => Some(None),
        ([row], Some(state)) if row["state"] == state => Some(Some(row.clone())),
        _ => None,
    })
}

/// Until all sessions of the user have lost their connections.
pub fn wait_for_lost(server: &Server, of: &str) {
    wait_until(server, of, |rows| {
        rows.iter()
            .all(|row| row["state"] == "detached")
            .then_some(())
    });
}

pub fn say(client: &mut Client, ids: &[&str]) {
    for id in ids {
        client.say(TO, id, "said").unwrap();
    }
    let answers = client.drain().unwrap();
    assert!(answers.is_empty(), "{answers:?}");
}

#[test]
fn a_lost_connection_is_resumed_on_another_worker_and_nothing_is_lost_or_doubled() {
    let server = start(EAST);
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1", "2"]);
    messages(&mut juliet, &["1", "2"]);
    juliet.say("romeo@localhost", "j1", "hers").unwrap();
    assert_eq!(handled(&mut juliet), 1);
    messages(&mut romeo, &["j1"]);
    let before = wait_for(&server, "juliet@localhost", Some("live")).unwrap();
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    say(&mut romeo, &["3"]);

    let east = Login::direct(server.listening("127.0.0.5:"), "juliet");
    let (mut juliet, told) = resume_at(&east, &id, 1);
    assert_eq!((told.name(), h(&told)), ("resumed", 1));
    let came = messages(&mut juliet, &["2", "3"]);
    assert_eq!(came[0].attr("to"), Some(TO));
    let after = wait_for(&server, "juliet@localhost", Some("live")).unwrap();
    assert_ne!(before["worker"], after["worker"]);
    assert_eq!(before["id"], after["id"], "it is the same session");
    assert_eq!(after["priority"], 0, "and as available as it was");
    // The count goes on, both ways.
    ack(&mut juliet, 3);
    juliet.say("romeo@localhost", "j2", "hers").unwrap();
    assert_eq!(handled(&mut juliet), 2);
    messages(&mut romeo, &["j2"]);
    juliet.close().unwrap();
    wait_for(&server, "juliet@localhost", None);
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "{:?}", juliet.kept);
}

#[test]
fn a_session_moves_while_its_old_connection_still_stands() {
    let server = start("");
    let (mut old, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1"]);
    messages(&mut old, &["1"]);
    let (mut new, counted) = resumed(&server, "juliet", &id, 0);
    assert_eq!(counted, 0);
    messages(&mut new, &["1"]);
    let error = old
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    assert!(error.to_string().contains("<conflict "), "{error}");
    say(&mut romeo, &["2"]);
    messages(&mut new, &["2"]);
    assert_eq!(
        new.ask(
            "p",
            "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        .unwrap()
        .attr("to"),
        Some(TO)
    );
    // As often as its client likes.
    ack(&mut new, 2);
    assert_eq!(handled(&mut new), 1);
    let (mut newest, counted) = resumed(&server, "juliet", &id, 2);
    assert_eq!(counted, 1);
    say(&mut romeo, &["3"]);
    messages(&mut newest, &["3"]);
}

#[test]
fn t33_a_session_is_resumed_by_its_user_alone_and_by_one_at_a_time() {
    let server = start("");
    let (mut juliet, id) = resumable(&server, "juliet");
    // Somebody else, a name that is none, and no name.
    for (user, previd) in [
        ("romeo", id.as_str()),
        ("juliet", "00000000000000000000000000000000"),
        ("juliet", ""),
    ] {
        let (mut client, told) = resume(&server, user, previd, 0);
        assert_failed(&told, "item-not-found");
        let bound = client
            .ask(
                "b",
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            )
            .unwrap();
        assert_eq!(bound.attr("type"), Some("result"), "it may bind instead");
        client.close().unwrap();
    }
    // More than was sent: the session stays where it is.
    let (_, told) = resume(&server, "juliet", &id, 7);
    assert_failed(&told, "undefined-condition");
    let too_high = told.child("handled-count-too-high", SM).unwrap();
    assert_eq!(too_high.attr("send-count"), Some("0"));
    assert_eq!(handled(&mut juliet), 0, "as it was");

    // Many at once: each gets it from the one before or is refused, and one has it in the end.
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let login = Login::direct(server.direct(), "juliet");
            let mut client = Client::connect(login.addr, login.via).unwrap();
            client.features().unwrap();
            client.authenticate(&login).unwrap();
            client.open().unwrap();
            client.features().unwrap();
            client
        })
        .collect();
    let racers: Vec<_> = racers
        .into_iter()
        .map(|mut client| {
            let id = id.clone();
            std::thread::spawn(move || {
                let told = ask_to_resume(&mut client, &id, 0);
                (client, told)
            })
        })
        .collect();
    let racers: Vec<_> = racers
        .into_iter()
        .map(|racer| racer.join().unwrap())
        .collect();
    let mut have = Vec::new();
    for (client, told) in racers {
        match told.name() {
            "resumed" => have.push(client),
            _ => assert_failed(&told, "item-not-found"),
        }
    }
    assert!(!have.is_empty());
    let row = wait_for(&server, "juliet@localhost", Some("live")).unwrap();
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1"]);
    let got = have.iter_mut().filter_map(|client| client.message().ok());
    assert_eq!(got.count(), 1, "one of {row}");
}

#[test]
fn t33_no_session_is_resumed_after_its_password_was_changed() {
    let server = start("");
    let (juliet, id) = resumable(&server, "juliet");
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    let changed = server.ctl_with_input(
        &["user", "passwd", "juliet@localhost", "--password-stdin"],
        "secret\n",
    );
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let (_, told) = resume(&server, "juliet", &id, 0);
    assert_failed(&told, "item-not-found");
}

#[test]
fn who_does_not_come_back_gets_its_messages_later_once_in_order_and_stamped() {
    let server = start("sm_resume_time = 5\n");
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1", "2"]);
    messages(&mut juliet, &["1", "2"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut juliet), 0);
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    say(&mut romeo, &["3"]);
    romeo
        .send(&format!(
            "<iq type='get' id='q' to='{TO}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .unwrap();
    let bounced = romeo
        .expect("error", |element| element.attr("id") == Some("q"))
        .unwrap();
    assert!(
        bounced.to_string().contains("<service-unavailable "),
        "{bounced}"
    );
    wait_for(&server, "juliet@localhost", None);
    let (_, told) = resume(&server, "juliet", &id, 1);
    assert_failed(&told, "item-not-found");
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), ["2", "3"]);
    for message in &juliet.kept {
        assert!(
            message.child("delay", "urn:xmpp:delay").is_some(),
            "{message}"
        );
    }
    juliet.close().unwrap();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "{:?}", juliet.kept);
}

#[test]
fn who_does_not_come_back_leaves_its_messages_to_another_resource() {
    let server = start("sm_resume_time = 5\n");
    let (mut juliet, _) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1", "2", "3"]);
    messages(&mut juliet, &["1", "2", "3"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut juliet), 0);
    let desk = Login::direct(server.direct(), "juliet").resource("desk");
    let mut desk = Client::online(&desk).unwrap();
    drop(juliet);
    messages(&mut desk, &["2", "3"]);
    assert!(desk.drain().unwrap().is_empty());
}

#[test]
fn t34_a_user_leaves_few_sessions_behind() {
    let server = start("sm_detached_max = 2\nmax_sessions_per_user = 3\n");
    for n in 0..5 {
        let login = Login::direct(server.direct(), "juliet").resource(&format!("r{n}"));
        let mut juliet = Client::login(&login).unwrap();
        juliet
            .send("<enable xmlns='urn:xmpp:sm:3' resume='true' max='5000'/>")
            .unwrap();
        let enabled = sm(&mut juliet, "enabled");
        assert_eq!(enabled.attr("max"), Some("300"), "no longer than allowed");
        drop(juliet);
        wait_for_lost(&server, "juliet@localhost");
    }
    wait_until(&server, "juliet@localhost", |rows| {
        let left: Vec<_> = rows.iter().map(|row| row["jid"].as_str()).collect();
        let last = ["juliet@localhost/r3", "juliet@localhost/r4"].map(Some);
        (left == last && rows.iter().all(|row| row["state"] == "detached")).then_some(())
    });
    let kicked = server.ctl(&["session", "kick", "juliet@localhost"]);
    assert_eq!(kicked.code, Some(0), "{}", kicked.stderr);
    wait_for(&server, "juliet@localhost", None);
}

/// Its stanza is neither lost nor routed twice: it was not counted, and its client sends it again.
#[test]
fn a_hook_that_waits_does_not_hold_up_who_resumes() {
    let server = start_gated();
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    juliet.say("romeo@localhost", "1", "quick").unwrap();
    messages(&mut romeo, &["1"]);
    ack(&mut romeo, 1);
    juliet.say("romeo@localhost", "2", "wait").unwrap();
    juliet.say("romeo@localhost", "3", "quick").unwrap();
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    let (mut juliet, counted) = resumed(&server, "juliet", &id, 0);
    assert_eq!(counted, 1);
    romeo.say(TO, "go", "go").unwrap();
    for (id, body) in [("2", "wait"), ("3", "quick")] {
        juliet.say("romeo@localhost", id, body).unwrap();
    }
    assert_eq!(handled(&mut juliet), 3);
    messages(&mut romeo, &["2", "3"]);
    assert!(romeo.drain().unwrap().is_empty());
}

/// Nobody resumes: the hook goes on without the socket, and its stanza with it.
#[test]
fn a_hook_that_waits_outlives_the_connection() {
    let server = start_gated();
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    juliet.say("romeo@localhost", "1", "wait").unwrap();
    // Its end is behind the message.
    assert_eq!(handled(&mut juliet), 0);
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    romeo.say(TO, "go", "go").unwrap();
    messages(&mut romeo, &["1"]);
    let (_juliet, counted) = resumed(&server, "juliet", &id, 0);
    assert_eq!(counted, 1);
}

#[test]
fn what_waits_for_a_lost_client_survives_a_kill() {
    let mut server = start("");
    let (mut juliet, _) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1"]);
    messages(&mut juliet, &["1"]);
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    for id in ["2", "3"] {
        romeo.say(TO, id, "said").unwrap();
    }
    assert_eq!(handled(&mut romeo), 4, "with a ping");
    server.kill();
    server.restart();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), ["1", "2", "3"]);
}

#[test]
fn who_does_not_answer_in_time_has_lost_its_connection() {
    let server = start("sm_ack_time = 1\n");
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1"]);
    messages(&mut juliet, &["1"]);
    wait_for(&server, "juliet@localhost", Some("detached"));
    let (mut juliet, _) = resumed(&server, "juliet", &id, 0);
    messages(&mut juliet, &["1"]);
    ack(&mut juliet, 1);
}

#[test]
fn another_session_with_its_resource_ends_one_that_waits_and_gets_what_it_was_sent() {
    let server = Setup::new().workers(4).start();
    server.users(&["romeo", "juliet"]);
    let (mut juliet, id) = resumable(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    say(&mut romeo, &["1"]);
    messages(&mut juliet, &["1"]);
    drop(juliet);
    wait_for(&server, "juliet@localhost", Some("detached"));
    let login = Login::direct(server.direct(), "juliet").resource("r");
    let juliet = Client::online(&login).unwrap();
    assert_eq!(ids(&juliet.kept), ["1"]);
    let (_, told) = resume(&server, "juliet", &id, 0);
    assert_failed(&told, "item-not-found");
}
