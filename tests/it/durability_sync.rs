//! An answer that acknowledges leaves only after the sync (DESIGN §5 Receipt), whatever the disk does.

use std::thread;

use stanzad::xml::Element;

use crate::harness::{Client, Login, Mechanism, Server, Setup};
use crate::shim::{Disk, Event, Syncs};

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

fn start(users: &[&str]) -> (Server, Disk) {
    let (setup, disk) = Disk::under(Setup::new());
    let server = setup.start();
    server.users(users);
    (server, disk)
}

fn online(server: &Server, user: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).mechanism(Mechanism::Plain)).unwrap()
}

/// Asks for a ping and does not wait for the answer.
fn ask_ping(client: &mut Client, id: &str) {
    let ping =
        format!("<iq type='get' id='{id}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    client.send(&ping).unwrap();
}

/// The next stanza that is no presence.
fn next(client: &mut Client) -> Element {
    client
        .expect("stanza", |element| element.name() != "presence")
        .unwrap()
}

/// The ids of the messages that had been kept for that user, in order.
fn kept(server: &Server, user: &str) -> Vec<String> {
    let kept = online(server, user).kept;
    let id = |message: &Element| message.attr("id").unwrap().to_owned();
    kept.iter().map(id).collect()
}

#[test]
fn while_a_sync_hangs_nothing_is_acknowledged_and_all_else_flows() {
    let (mut server, disk) = start(&["romeo", "juliet", "nurse"]);
    let mut romeo = online(&server, "romeo");
    let mut nurse = online(&server, "nurse");

    let hung = disk.count(Event::Hung);
    disk.set(Syncs::Hang);
    romeo.say("juliet@localhost", "kept", "I am away").unwrap();
    ask_ping(&mut romeo, "behind");
    disk.wait_hung(hung);
    for n in 0..50 {
        // The nurse is answered, and what she says comes through on the stream that waits.
        nurse
            .say("romeo@localhost", &format!("n{n}"), "hark")
            .unwrap();
        assert!(nurse.drain().unwrap().is_empty());
        let said = next(&mut romeo);
        assert_eq!(said.attr("id"), Some(format!("n{n}").as_str()), "{said}");
    }

    disk.set(Syncs::Work);
    let answer = next(&mut romeo);
    assert_eq!(
        (answer.attr("id"), answer.attr("type")),
        (Some("behind"), Some("result"))
    );
    server.kill();
    server.restart();
    assert_eq!(kept(&server, "juliet"), ["kept"]);
}

#[test]
fn a_kill_while_the_sync_hangs_loses_only_what_was_not_acknowledged() {
    let (mut server, disk) = start(&["romeo", "juliet"]);
    let mut romeo = online(&server, "romeo");
    romeo
        .say("juliet@localhost", "acknowledged", "first")
        .unwrap();
    romeo.drain().unwrap();
    let hung = disk.count(Event::Hung);
    disk.set(Syncs::Hang);
    romeo.say("juliet@localhost", "unknown", "second").unwrap();
    ask_ping(&mut romeo, "behind");
    disk.wait_hung(hung);
    server.kill();
    assert!(
        romeo.expect("anything", |_| true).is_err(),
        "no answer, only the end"
    );
    disk.set(Syncs::Work);
    server.restart();
    assert_eq!(
        kept(&server, "juliet").first().map(String::as_str),
        Some("acknowledged")
    );
}

#[test]
fn a_failed_sync_comes_back_to_the_sender_as_an_error() {
    let (mut server, disk) = start(&["romeo", "juliet"]);
    let mut romeo = online(&server, "romeo");
    romeo.say("juliet@localhost", "before", "kept").unwrap();
    romeo.drain().unwrap();

    disk.set(Syncs::Fail);
    romeo
        .say("juliet@localhost", "refused", "not kept")
        .unwrap();
    ask_ping(&mut romeo, "behind");
    let error = next(&mut romeo);
    assert_eq!(
        (error.name(), error.attr("type"), error.attr("id")),
        ("message", Some("error"), Some("refused"))
    );
    let condition = error
        .elements()
        .find(|child| child.name() == "error")
        .unwrap();
    assert!(
        condition.child("internal-server-error", STANZAS).is_some(),
        "{error}"
    );
    let answer = next(&mut romeo);
    assert_eq!(
        (answer.attr("id"), answer.attr("type")),
        (Some("behind"), Some("result"))
    );

    disk.set(Syncs::Work);
    romeo.say("juliet@localhost", "after", "kept").unwrap();
    assert!(romeo.drain().unwrap().is_empty());
    server.kill();
    server.restart();
    assert_eq!(kept(&server, "juliet"), ["before", "after"]);
}

#[test]
fn messages_share_a_slow_sync() {
    const SENDERS: usize = 4;
    const EACH: usize = 250;
    let (server, disk) = start(&["romeo", "juliet", "nurse", "tybalt", "paris"]);
    let senders: Vec<Client> = ["juliet", "nurse", "tybalt", "paris"]
        .map(|name| online(&server, name))
        .into();
    assert_eq!(senders.len(), SENDERS);
    disk.set(Syncs::Slow);
    let before = disk.count(Event::Done);
    let senders: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            thread::spawn(move || {
                for n in 0..EACH {
                    sender
                        .say("romeo@localhost", &n.to_string(), "one of many")
                        .unwrap();
                    ask_ping(&mut sender, &format!("p{n}"));
                }
                // Each ping is answered in turn, and with a result.
                for n in 0..EACH {
                    let answer = next(&mut sender);
                    let expected = format!("p{n}");
                    assert_eq!(
                        (answer.attr("id"), answer.attr("type")),
                        (Some(expected.as_str()), Some("result"))
                    );
                }
                sender
            })
        })
        .collect();
    let senders: Vec<Client> = senders
        .into_iter()
        .map(|sender| sender.join().unwrap())
        .collect();
    let syncs = disk.count(Event::Done) - before;
    let messages = SENDERS * EACH;
    eprintln!("{messages} messages, {syncs} syncs of 10 ms");
    assert!(
        syncs > 0 && messages >= 20 * syncs,
        "{messages} messages took {syncs} syncs"
    );
    assert_eq!(kept(&server, "romeo").len(), messages);
    drop(senders);
}
