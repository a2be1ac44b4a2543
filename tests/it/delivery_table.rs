//! Where a stanza for a local user goes: every kind and type, to the account, to a resource that is there and to one that is
//! not, whatever resources the user has (RFC 6121 §8.5). Written from the RFC; where it leaves a choice, this is ours.

use std::collections::{BTreeMap, BTreeSet};

use stanzad::xml::Element;

use crate::attacks::online;
use crate::harness::{Client, Login, Server};

/// A resource's name, and its priority. `None`: it is connected and has not said that it is available.
type Resource = (&'static str, Option<i8>);

/// What the recipient has, in the columns of the tables: its name, and its resources.
const USERS: [(&str, &[Resource]); 6] = [
    ("nobody", &[]),
    ("away", &[]),
    ("connected", &[("desk", None)]),
    ("negative", &[("desk", Some(-1))]),
    ("one", &[("desk", Some(0))]),
    (
        "several",
        &[
            ("desk", Some(5)),
            ("phone", Some(5)),
            ("watch", Some(1)),
            ("bot", Some(-1)),
        ],
    ),
];

/// The one recipient that is no account.
const NOBODY: &str = "nobody";

/// What becomes of it: the resources that get it, `kept` for later, `error` to its sender, `-` for nothing at all.
type Row = (&'static str, [&'static str; 6]);

const BARE: &[Row] = &[
    (
        "message normal",
        ["error", "kept", "kept", "kept", "desk", "desk phone"],
    ),
    (
        "message chat",
        ["error", "kept", "kept", "kept", "desk", "desk phone"],
    ),
    (
        "message groupchat",
        ["error", "error", "error", "error", "error", "error"],
    ),
    (
        "message headline",
        ["-", "-", "-", "-", "desk", "desk phone watch"],
    ),
    ("message error", ["-", "-", "-", "-", "-", "-"]),
    (
        "message odd",
        ["error", "kept", "kept", "kept", "desk", "desk phone"],
    ),
    (
        "presence",
        ["-", "-", "-", "desk", "desk", "bot desk phone watch"],
    ),
    (
        "presence unavailable",
        ["-", "-", "-", "desk", "desk", "bot desk phone watch"],
    ),
    ("presence probe", ["-", "-", "-", "-", "-", "-"]),
    (
        "iq get",
        ["error", "error", "error", "error", "error", "error"],
    ),
    (
        "iq set",
        ["error", "error", "error", "error", "error", "error"],
    ),
    ("iq result", ["-", "-", "-", "-", "-", "-"]),
    ("iq error", ["-", "-", "-", "-", "-", "-"]),
];

/// To `desk`, which the first two do not have.
const DESK: &[Row] = &[
    (
        "message normal",
        ["error", "error", "desk", "desk", "desk", "desk"],
    ),
    (
        "message chat",
        ["error", "kept", "desk", "desk", "desk", "desk"],
    ),
    (
        "message groupchat",
        ["error", "error", "desk", "desk", "desk", "desk"],
    ),
    (
        "message headline",
        ["-", "-", "desk", "desk", "desk", "desk"],
    ),
    ("message error", ["-", "-", "desk", "desk", "desk", "desk"]),
    ("presence", ["-", "-", "desk", "desk", "desk", "desk"]),
    (
        "presence unavailable",
        ["-", "-", "desk", "desk", "desk", "desk"],
    ),
    ("presence probe", ["-", "-", "-", "-", "-", "-"]),
    ("presence error", ["-", "-", "desk", "desk", "desk", "desk"]),
    ("iq get", ["error", "error", "desk", "desk", "desk", "desk"]),
    ("iq set", ["error", "error", "desk", "desk", "desk", "desk"]),
    ("iq result", ["-", "-", "desk", "desk", "desk", "desk"]),
    ("iq error", ["-", "-", "desk", "desk", "desk", "desk"]),
];

/// To a resource that nobody has.
const GONE: &[Row] = &[
    (
        "message normal",
        ["error", "error", "error", "error", "error", "error"],
    ),
    (
        "message chat",
        ["error", "kept", "kept", "kept", "desk", "desk phone"],
    ),
    (
        "message groupchat",
        ["error", "error", "error", "error", "error", "error"],
    ),
    ("message headline", ["-", "-", "-", "-", "-", "-"]),
    ("message error", ["-", "-", "-", "-", "-", "-"]),
    ("presence", ["-", "-", "-", "-", "-", "-"]),
    ("presence unavailable", ["-", "-", "-", "-", "-", "-"]),
    ("presence probe", ["-", "-", "-", "-", "-", "-"]),
    ("presence error", ["-", "-", "-", "-", "-", "-"]),
    (
        "iq get",
        ["error", "error", "error", "error", "error", "error"],
    ),
    (
        "iq set",
        ["error", "error", "error", "error", "error", "error"],
    ),
    ("iq result", ["-", "-", "-", "-", "-", "-"]),
    ("iq error", ["-", "-", "-", "-", "-", "-"]),
];

const ADDRESSES: [(&str, &[Row]); 3] = [("", BARE), ("/desk", DESK), ("/gone", GONE)];

fn stanza(what: &str, to: &str, id: &str) -> String {
    let (kind, type_) = what.split_once(' ').unwrap_or((what, ""));
    let content = match (kind, type_) {
        (_, "error") => {
            "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        }
        ("message", _) => "<body>x</body>",
        ("iq", _) => "<teapot xmlns='urn:example:teapot'/>",
        _ => "",
    };
    let type_ = match type_ {
        "" => String::new(),
        type_ => format!(" type='{type_}'"),
    };
    format!("<{kind} to='{to}'{type_} id='{id}'>{content}</{kind}>")
}

/// Everything that came before the answer to a ping.
fn heard(client: &mut Client) -> Vec<Element> {
    client
        .send("<iq type='get' id='now' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let mut heard = Vec::new();
    loop {
        let element = client.expect("anything", |_| true).unwrap();
        if element.attr("id") == Some("now") {
            return heard;
        }
        heard.push(element);
    }
}

/// A recipient's resources, online.
fn resources(server: &Server, user: &str, has: &[Resource]) -> Vec<Client> {
    let mut clients: Vec<Client> = has
        .iter()
        .map(|(resource, priority)| {
            let login = Login::direct(server.direct(), user).resource(resource);
            let mut client = Client::login(&login).unwrap();
            if let Some(priority) = priority {
                let presence = format!("<presence><priority>{priority}</priority></presence>");
                client.send(&presence).unwrap();
            }
            client
        })
        .collect();
    for client in &mut clients {
        heard(client);
    }
    clients
}

/// Who got what, by id.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<String>>);

impl Seen {
    fn note(&mut self, who: &str, elements: &[Element], from: &str) {
        let sent = elements
            .iter()
            .filter(|element| element.attr("from").is_some_and(|by| by.starts_with(from)));
        for id in sent.filter_map(|element| element.attr("id")) {
            let got = self.0.entry(id.to_owned()).or_default();
            assert!(got.insert(who.to_owned()), "{id} came twice to {who}");
        }
    }

    fn of(&self, id: &str) -> String {
        let got = self.0.get(id);
        got.map_or("-".to_owned(), |who| {
            who.iter().cloned().collect::<Vec<_>>().join(" ")
        })
    }
}

/// What becomes of every stanza for that user; those that differ from the tables are listed.
fn differences(server: &Server, sender: &mut Client, column: usize) -> Vec<String> {
    let (user, has) = USERS[column];
    let mut clients = resources(server, user, has);
    let bare = format!("{user}@localhost");
    let mut seen = Seen::default();
    let mut expected = Vec::new();
    for (resource, rows) in ADDRESSES {
        let to = format!("{bare}{resource}");
        for (what, becomes) in rows {
            let id = format!("{what} to {to}");
            sender.send(&stanza(what, &to, &id)).unwrap();
            expected.push((id, becomes[column]));
        }
        // RFC 6120 §10.1: in order, so whatever has been answered when this comes has been dealt with.
        let answers = heard(sender);
        for answer in answers.iter().filter(|answer| answer.name() != "presence") {
            assert_eq!(answer.attr("type"), Some("error"), "{answer}");
            assert!(answer.to_string().contains("<service-unavailable "));
        }
        seen.note("error", &answers, &bare);
    }
    for (client, (resource, _)) in clients.iter_mut().zip(has) {
        let got = heard(client);
        // RFC 6121 §8.5.2.1: the address stays as it was written.
        let rewritten = got.iter().find(|element| {
            let sent_to = element.attr("id").and_then(|id| id.split(" to ").nth(1));
            sent_to.is_some() && sent_to != element.attr("to")
        });
        assert!(rewritten.is_none(), "{rewritten:?}");
        seen.note(resource, &got, "alice@");
    }
    if user != NOBODY {
        seen.note("kept", &online(server, user).kept, "alice@");
    }
    expected
        .into_iter()
        .filter(|(id, becomes)| seen.of(id) != *becomes)
        .map(|(id, becomes)| format!("{id}: {} and not {becomes}", seen.of(&id)))
        .collect()
}

#[test]
fn every_stanza_goes_where_the_rfc_says() {
    let server = Server::start();
    server.users(&["alice"]);
    for (user, _) in USERS.iter().filter(|(user, _)| *user != NOBODY) {
        server.users(&[user]);
    }
    let mut alice = online(&server, "alice");
    let wrong: Vec<String> = (0..USERS.len())
        .flat_map(|column| differences(&server, &mut alice, column))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
