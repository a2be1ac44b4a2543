//! Scripts are edited while everybody talks: nobody notices but by what the new line does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stanzad::xml::Element;

use crate::harness::{Client, Login, Server, Setup};

const WORKERS: usize = 4;
const USERS: usize = 40;
/// Sessions of each user: they land on different workers.
const RESOURCES: usize = 5;
const SAVES: usize = 50;
/// Every fifth save is broken.
const BROKEN: usize = 5;
const STAMP: &str = "urn:stanzad:test:stamp";
/// How fast one session talks; 200 of them are what the daemon has to do meanwhile.
const PACE: Duration = Duration::from_millis(50);

/// What one session has said and heard.
struct Heard {
    sent: usize,
    /// Number and stamp of each message of its partner, in the order in which they came.
    messages: Vec<(usize, usize)>,
}

/// The shipped dialplan, and a late handler that puts `number` on every message.
fn dialplan(number: usize) -> String {
    let shipped = include_str!("../../scripts/dialplan.lua");
    format!(
        "{shipped}\nhook('client_message_recv', {{ band = 'late' }}, function(session, message)\n  \
         message:addchild('stamp', '{STAMP}'):attr('n', '{number}')\nend)\n"
    )
}

/// The same with a fault in its last line, which is the one returned.
fn broken(number: usize) -> (String, usize) {
    let text = dialplan(number) + "local x = = 1\n";
    let line = text.lines().count();
    (text, line)
}

fn user(index: usize) -> String {
    format!("user{}", index % USERS)
}

fn resource(index: usize) -> String {
    format!("r{}", index / USERS)
}

fn heard(message: &Element) -> (usize, usize) {
    let stamp = message
        .child("stamp", STAMP)
        .unwrap_or_else(|| panic!("no stamp: {message}"));
    let number = |text: &str| {
        text.parse()
            .unwrap_or_else(|_| panic!("no number: {message}"))
    };
    (
        number(message.attr("id").unwrap()),
        number(stamp.attr("n").unwrap()),
    )
}

/// One session: says something to its partner again and again, and hears it, until `stop`.
fn talk(mut client: Client, partner: &str, stop: &AtomicBool) -> io::Result<(Client, Heard)> {
    let mut told = Heard {
        sent: 0,
        messages: Vec::new(),
    };
    while !stop.load(Ordering::Acquire) {
        client.say(partner, &told.sent.to_string(), "hello")?;
        told.sent += 1;
        // In step with the partner: nobody runs ahead of what it hears.
        let due = Instant::now() + PACE;
        let mut answered = false;
        while !answered && !stop.load(Ordering::Acquire) {
            let next = client.next_within(PACE)?;
            // The presence of the user's other resources comes too.
            if let Some(message) = next.filter(|element| element.name() == "message") {
                told.messages.push(heard(&message));
                answered = true;
            }
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok((client, told))
}

/// Saves the dialplan again and again, each time as soon as the report of the save before is in the log.
fn edit(server: &Server) {
    let file = server.setup().scripts().join("dialplan.lua");
    let mut place = server.log().place();
    for number in 1..=SAVES {
        let (text, expected) = if number % BROKEN == 0 {
            let (text, line) = broken(number);
            (
                text,
                Some(format!("dialplan.lua:{line}: unexpected symbol near '='")),
            )
        } else {
            (dialplan(number), None)
        };
        fs::write(&file, text).unwrap();
        let report =
            |line: &str| line.contains(" live on 4 workers, ") || line.contains("dialplan.lua:");
        let (next, line) = server.log().wait_from(place, "report", report);
        place = next;
        if let Some(expected) = expected {
            assert!(line.contains(&expected), "save {number}: {line}");
            place = server
                .log()
                .wait_from(place, "still on", |line| line.contains("still on "))
                .0;
        } else {
            assert!(
                line.contains("live on 4 workers") && line.ends_with(": dialplan.lua"),
                "save {number}: {line}"
            );
        }
    }
}

#[test]
fn fifty_saves_under_load_lose_nothing() {
    let setup = Setup::new().workers(WORKERS).shipped_scripts();
    fs::write(setup.scripts().join("dialplan.lua"), dialplan(0)).unwrap();
    let server = setup.start();
    let names: Vec<String> = (0..USERS).map(user).collect();
    server.users(&names.iter().map(String::as_str).collect::<Vec<_>>());

    let sessions = USERS * RESOURCES;
    let clients: Vec<Client> = (0..sessions)
        .map(|index| {
            Client::online(&Login::direct(server.direct(), &user(index)).resource(&resource(index)))
                .unwrap()
        })
        .collect();
    let addresses: Vec<String> = clients.iter().map(|client| client.jid.clone()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let talking: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(index, client)| {
            let (partner, stop) = (addresses[index ^ 1].clone(), Arc::clone(&stop));
            thread::spawn(move || talk(client, &partner, &stop))
        })
        .collect();
    edit(&server);
    stop.store(true, Ordering::Release);

    let mut clients = Vec::with_capacity(sessions);
    let mut told: Vec<Heard> = Vec::with_capacity(sessions);
    for talker in talking {
        let (client, heard) = talker.join().unwrap().expect("a session was disconnected");
        clients.push(client);
        told.push(heard);
    }
    // Everybody is silent. The first round makes sure that the server has all that was sent, the second that all is heard.
    for _ in 0..2 {
        for (client, told) in clients.iter_mut().zip(&mut told) {
            told.messages
                .extend(client.drain().unwrap().iter().map(heard));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, heard) in told.iter().enumerate() {
        check_order(&addresses[index], &heard.messages, &mut seen);
        let sent = told[index ^ 1].sent;
        assert_eq!(
            heard.messages.len(),
            sent,
            "{} has not heard everything once",
            addresses[index]
        );
    }
    let good: BTreeSet<usize> = (1..=SAVES).filter(|number| number % BROKEN != 0).collect();
    assert!(
        good.is_subset(&seen),
        "not every good save was seen: {seen:?}"
    );
    assert!(
        seen.iter()
            .all(|number| *number == 0 || good.contains(number)),
        "a broken save was seen: {seen:?}"
    );
    assert_eq!(server.stop().code, Some(0));
}

/// Checks that one session has heard its partner in order, and that no stamp falls; notes the stamps.
fn check_order(address: &str, messages: &[(usize, usize)], seen: &mut BTreeSet<usize>) {
    let mut newest = 0;
    for (expected, (number, stamp)) in messages.iter().enumerate() {
        assert_eq!(
            *number, expected,
            "{address} heard something lost, doubled or out of order"
        );
        assert!(
            *stamp >= newest,
            "{address} heard generation {stamp} behind {newest}"
        );
        newest = *stamp;
        seen.insert(*stamp);
    }
}
