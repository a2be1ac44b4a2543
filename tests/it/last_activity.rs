//! Last activity (XEP-0012): how long the server runs, how long ago somebody went, and who may know.

use serde_json::json;
use stanzad::xml::Element;

use crate::attacks::{ask, condition, online};
use crate::harness::{Client, Login, Server, Setup};

const NS: &str = "jabber:iq:last";

/// A server where `watcher` sees each of `seen`.
fn start(seen: &[&str], watcher: &str) -> Server {
    let server = Setup::new().shipped_scripts().workers(4).start();
    server.users(seen).users(&[watcher]);
    for user in seen {
        let contact = json!({ format!("{watcher}@localhost"): { "subscription": "from" } });
        let jid = format!("{user}@localhost");
        let ended = server.ctl_with_input(&["roster", "import", &jid], &contact.to_string());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    server
}

fn last(client: &mut Client, of: &str) -> Element {
    ask(
        client,
        &format!("<iq type='get' id='q' to='{of}'><query xmlns='{NS}'/></iq>"),
    )
}

/// Seconds and text of an answer.
fn told(answer: &Element) -> (u64, String) {
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    let query = answer.child("query", NS).unwrap();
    let seconds = query.attr("seconds").unwrap().parse().unwrap();
    (seconds, query.text().into_owned())
}

/// The text that goes with a going.
fn words(answer: &Element) -> String {
    let (seconds, words) = told(answer);
    assert!(seconds < 3_600, "{answer}");
    words
}

fn hears_gone(client: &mut Client, who: &str) {
    client
        .expect(&format!("{who} has gone"), |element| {
            element.name() == "presence"
                && element.attr("type") == Some("unavailable")
                && element.attr("from") == Some(who)
        })
        .unwrap();
}

#[test]
fn the_server_tells_how_long_it_runs() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let (seconds, text) = told(&last(&mut alice, "localhost"));
    assert!(seconds < 3_600 && text.is_empty());
    assert_eq!(told(&last(&mut alice, "alice@localhost")), (0, "".into()));
    let set = format!("<iq type='set' id='q' to='localhost'><query xmlns='{NS}'/></iq>");
    assert_eq!(condition(&ask(&mut alice, &set)), "service-unavailable");
}

#[test]
fn a_contact_learns_when_the_last_resource_went_and_what_it_said() {
    let mut server = start(&["bob"], "alice");
    let bob = "bob@localhost";
    let mut alice = online(&server, "alice");
    assert_eq!(condition(&last(&mut alice, bob)), "item-not-found");

    let mut desk = online(&server, "bob");
    let phone = Login::direct(server.direct(), "bob").resource("phone");
    let mut phone = Client::online(&phone).unwrap();
    assert_eq!(told(&last(&mut alice, bob)), (0, "".into()));
    let leave = |client: &mut Client, words: &str| {
        let xml = format!("<presence type='unavailable'><status>{words}</status></presence>");
        client.send(&xml).unwrap();
    };
    leave(&mut desk, "to the phone");
    hears_gone(&mut alice, "bob@localhost/desk");
    assert_eq!(told(&last(&mut alice, bob)), (0, "".into()));
    leave(&mut phone, "off to tea");
    hears_gone(&mut alice, "bob@localhost/phone");
    assert_eq!(words(&last(&mut alice, bob)), "off to tea");

    // Who is connected, and shows itself to one alone, is not seen to come and go.
    desk.send("<presence to='alice@localhost'/><presence type='unavailable'/>")
        .unwrap();
    hears_gone(&mut alice, "bob@localhost/desk");
    phone.close().unwrap();
    desk.close().unwrap();
    assert_eq!(words(&last(&mut alice, bob)), "off to tea");

    // Who vanishes says nothing.
    drop(online(&server, "bob"));
    hears_gone(&mut alice, "bob@localhost/desk");
    assert_eq!(words(&last(&mut alice, bob)), "");

    // What is long is cut, between two letters.
    let mut desk = online(&server, "bob");
    leave(&mut desk, &format!("x{}", "ü".repeat(1_000)));
    hears_gone(&mut alice, "bob@localhost/desk");
    let kept = format!("x{}", "ü".repeat(511));
    assert_eq!(words(&last(&mut alice, bob)), kept);

    // The end of the server is a going, too, and the next one knows of it.
    desk.send("<presence/>").unwrap();
    let back = |element: &Element| {
        element.name() == "presence" && element.attr("from") == Some("bob@localhost/desk")
    };
    alice.expect("bob is back", back).unwrap();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
    server.restart();
    let mut alice = online(&server, "alice");
    assert_eq!(words(&last(&mut alice, bob)), "");
}

#[test]
fn of_two_that_go_at_once_one_is_the_last() {
    let users = ["ann", "ben", "cat", "dan", "eve", "fay"];
    let server = start(&users, "alice");
    let mut alice = online(&server, "alice");
    for user in users {
        let mut sessions = ["desk", "phone"].map(|resource| {
            let login = Login::direct(server.direct(), user).resource(resource);
            Client::online(&login).unwrap()
        });
        for session in &mut sessions {
            session.send("<presence type='unavailable'/>").unwrap();
        }
        let from = |element: &Element| {
            let gone = element.attr("type") == Some("unavailable");
            let from = element.attr("from").unwrap_or_default();
            gone && from.starts_with(&format!("{user}@"))
        };
        for _ in &sessions {
            alice.expect("a session has gone", from).unwrap();
        }
        assert_eq!(words(&last(&mut alice, &format!("{user}@localhost"))), "");
    }
}

/// T48: who may not see a user's presence gets one answer for those who are there, who have gone, who block, and who do
/// not exist.
#[test]
fn t48_strangers_do_not_learn_when_somebody_went() {
    let server = start(&["bob", "gone", "blocks"], "alice");
    server.users(&["carol"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    drop(online(&server, "gone"));
    hears_gone(&mut alice, "gone@localhost/desk");
    let mut blocks = online(&server, "blocks");
    let block = "<iq type='set' id='q'><block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block></iq>";
    assert_eq!(ask(&mut blocks, block).attr("type"), Some("result"));

    let mut carol = online(&server, "carol");
    let answer = |client: &mut Client, of: &str, mine: &str| {
        let answer = last(client, &format!("{of}@localhost"));
        assert_eq!(condition(&answer), "forbidden", "{of}");
        answer.to_string().replace(of, "USER").replace(mine, "MINE")
    };
    let nobody = answer(&mut carol, "nobody", "carol");
    for user in ["bob", "gone", "blocks"] {
        assert_eq!(answer(&mut carol, user, "carol"), nobody);
    }
    assert_eq!(answer(&mut alice, "blocks", "alice"), nobody);
    // Bob is seen by alice, and does not see her.
    assert_eq!(answer(&mut bob, "alice", "bob"), nobody);
}
