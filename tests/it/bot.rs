//! The bot that ships: what it remembers, and whom it answers.

use std::fs;

use crate::harness::{Client, Login, Server, Setup};

const BOT: &str = "bot@localhost";

fn online(server: &Server, user: &str, resource: &str) -> Client {
    Client::online(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

/// Says something to the bot and gives its answer.
fn ask(client: &mut Client, text: &str) -> String {
    client.say(BOT, "q", text).unwrap();
    heard(client)
}

/// The next message, which is the bot's.
fn heard(client: &mut Client) -> String {
    let message = client.message().unwrap();
    assert_eq!(message.attr("from"), Some(BOT), "{message}");
    message
        .child("body", message.ns())
        .unwrap()
        .text()
        .into_owned()
}

/// Saves the bot with a command more, and waits until it is live.
fn teach(server: &Server, command: &str) {
    let file = server.setup().scripts().join("bot.lua");
    let text = fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once("commands.note =").unwrap();
    let place = server.log().place();
    fs::write(
        &file,
        format!("{before}{command}\n\ncommands.note ={after}"),
    )
    .unwrap();
    server.log().wait_from(place, "the save", |line| {
        line.contains(" live on 4 workers, ")
    });
}

#[test]
fn the_bot_remembers_each_sender_over_saves_and_restarts() {
    let mut server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice", "bob"]);
    let mut pc = online(&server, "alice", "pc");
    let mut phone = online(&server, "alice", "phone");
    let mut bob = online(&server, "bob", "pc");
    assert!(
        ask(&mut pc, "help").contains("note TEXT"),
        "help tells the commands"
    );
    assert_eq!(ask(&mut pc, "note milk"), "Noted. That makes 1.");
    // Another worker, the same memory.
    assert_eq!(ask(&mut phone, "note bread"), "Noted. That makes 2.");
    assert_eq!(ask(&mut bob, "note"), "You have no notes.");

    assert_eq!(ask(&mut pc, "count"), "I do not understand. Say help.");
    teach(
        &server,
        "commands.count = { \"counts your notes\", function(args, message, memory)\n  return #memory.notes\nend }",
    );
    assert_eq!(ask(&mut pc, "count"), "2");
    // It asks back before the restart, and understands the answer behind it.
    assert_eq!(ask(&mut pc, "forget"), "Really? Say yes.");

    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
    server.restart();
    let mut pc = online(&server, "alice", "pc");
    assert_eq!(ask(&mut pc, "no"), "Then I keep it.");
    assert_eq!(ask(&mut pc, "note"), "milk\nbread");
}

#[test]
fn a_reminder_rings_once_even_after_kill_9() {
    let mut server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "pc");
    assert_eq!(ask(&mut alice, "remind 1s tea"), "I will remind you in 1s.");
    assert_eq!(heard(&mut alice), "You wanted to be reminded: tea");
    // What the bot has said it does is on disk.
    assert_eq!(
        ask(&mut alice, "remind 2s cake"),
        "I will remind you in 2s."
    );
    server.kill();
    server.restart();
    // Online already when it rings, or away and it is kept: once in either case.
    let mut alice = online(&server, "alice", "pc");
    let kept = std::mem::take(&mut alice.kept);
    let reminder = match kept.first() {
        Some(kept) => kept.clone(),
        None => alice.message().unwrap(),
    };
    let body = reminder.child("body", reminder.ns()).unwrap();
    assert_eq!(body.text(), "You wanted to be reminded: cake");
    assert!(kept.len() <= 1, "{kept:?}");
    assert_eq!(ask(&mut alice, "note"), "You have no notes.");
}

#[test]
fn the_bot_is_there_for_who_subscribes_and_silent_to_the_rest() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "pc");
    alice
        .send(&format!("<presence type='subscribe' to='{BOT}'/>"))
        .unwrap();
    let from_bot = |from: &str| from == BOT || from.starts_with("bot@localhost/");
    for kind in [Some("subscribed"), None] {
        let presence = alice
            .expect("the bot's presence", |element| {
                element.name() == "presence" && element.attr("from").is_some_and(from_bot)
            })
            .unwrap();
        assert_eq!(presence.attr("type"), kind, "{presence}");
    }
    // Nothing comes back for any of these, not even an error: the answer to the last message is the first thing heard.
    for silent in [
        "type='error'><body>oops</body><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        "type='headline'><body>news</body>",
        "type='groupchat'><body>all</body>",
        "type='chat'><received xmlns='urn:xmpp:receipts' id='1'/>",
        "type='chat'><body>old</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
    ] {
        alice
            .send(&format!("<message to='{BOT}' {silent}</message>"))
            .unwrap();
    }
    assert_eq!(ask(&mut alice, "thanks"), "You are welcome.");
}
