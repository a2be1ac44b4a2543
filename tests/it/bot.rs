//! The bot that ships: what it remembers, and whom it answers.

use std::fs;

use stanzad::xml::Element;

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
    body(&message)
}

fn body(message: &Element) -> String {
    let body = message.child("body", message.ns());
    body.unwrap_or_else(|| panic!("no body: {message}"))
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
    let (promised, rung) = ("I will remind you in 1s.", "You wanted to be reminded: tea");
    // On a machine that is slow enough the reminder overtakes the promise.
    let mut said = [ask(&mut alice, "remind 1s tea"), heard(&mut alice)];
    said.sort();
    assert_eq!(said, [promised, rung]);

    // What the bot has said it does is on disk.
    let mut said = vec![ask(&mut alice, "remind 1s tea")];
    while !said.iter().any(|said| said == promised) {
        said.push(heard(&mut alice));
    }
    server.kill();
    server.restart();
    // Online already when it rings, or away and it is kept: once in either case.
    let mut alice = online(&server, "alice", "pc");
    said.extend(std::mem::take(&mut alice.kept).iter().map(body));
    while !said.iter().any(|said| said == rung) {
        said.push(heard(&mut alice));
    }
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(ask(&mut alice, "note"), "You have no notes.");
}

#[test]
fn the_bot_is_there_for_who_subscribes_and_silent_to_the_rest() {
    let server = Setup::new().workers(4).shipped_scripts().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice", "pc");
    // Who has asked for the roster hears about subscriptions.
    alice
        .ask(
            "roster",
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
        )
        .unwrap();
    alice
        .send(&format!("<presence type='subscribe' to='{BOT}'/>"))
        .unwrap();
    let from_bot = |element: &Element| {
        let from = element.attr("from").unwrap_or_default();
        element.name() == "presence" && from.starts_with(BOT)
    };
    // In either order: one of them changes the roster first.
    let mut kinds = [(); 2].map(|()| {
        let presence = alice.expect("the bot's presence", from_bot).unwrap();
        presence.attr("type").map(str::to_owned)
    });
    kinds.sort();
    assert_eq!(kinds, [None, Some("subscribed".to_owned())]);
    // Whoever has it as a contact sees it at the next login, too.
    let mut phone =
        Client::login(&Login::direct(server.direct(), "alice").resource("phone")).unwrap();
    phone.send("<presence/>").unwrap();
    let presence = phone.expect("the bot's presence", from_bot).unwrap();
    assert_eq!(presence.attr("type"), None, "{presence}");
    assert_eq!(presence.attr("to"), Some("alice@localhost/phone"));

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
