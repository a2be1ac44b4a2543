//! The subscription state machine: every state, every event, in both directions, as RFC 6121 Appendix A has them. The
//! tables here were written from the RFC, not from the script that they hold to it.

use serde_json::{Value, json};

use crate::harness::{Client, Login, Server, Setup};

/// Alice's states towards bob, in the columns of the tables below.
const STATES: [&str; 12] = [
    "none",
    "none+out",
    "none+in",
    "none+out+in",
    "to",
    "to+in",
    "from",
    "from+out",
    "both",
    // RFC 6121 §3.4: a request is granted before it has come.
    "none+approved",
    "none+out+approved",
    "to+approved",
];

/// What follows, and whether the stanza goes on: `>` it does, `.` it does not.
type Row = (&'static str, [&'static str; 12]);

/// A.2: alice sends it to bob.
const SENT: [Row; 4] = [
    (
        "subscribe",
        [
            "> none+out",
            "> none+out",
            "> none+out+in",
            "> none+out+in",
            "> to",
            "> to+in",
            "> from+out",
            "> from+out",
            "> both",
            "> none+out+approved",
            "> none+out+approved",
            "> to+approved",
        ],
    ),
    (
        "unsubscribe",
        [
            "> none",
            "> none",
            "> none+in",
            "> none+in",
            "> none",
            "> none+in",
            "> from",
            "> from",
            "> from",
            "> none+approved",
            "> none+approved",
            "> none+approved",
        ],
    ),
    (
        "subscribed",
        [
            ". none+approved",
            ". none+out+approved",
            "> from",
            "> from+out",
            ". to+approved",
            "> both",
            ". from",
            ". from+out",
            ". both",
            ". none+approved",
            ". none+out+approved",
            ". to+approved",
        ],
    ),
    (
        "unsubscribed",
        [
            ". none",
            ". none+out",
            "> none",
            "> none+out",
            ". to",
            "> to",
            "> none",
            "> none+out",
            "> to",
            ". none",
            ". none+out",
            ". to",
        ],
    ),
];

/// A.3: bob sends it to alice.
const RECEIVED: [Row; 4] = [
    (
        "subscribe",
        [
            "> none+in",
            "> none+out+in",
            ". none+in",
            ". none+out+in",
            "> to+in",
            ". to+in",
            ". from",
            ". from+out",
            ". both",
            ". from",
            ". from+out",
            ". both",
        ],
    ),
    (
        "unsubscribe",
        [
            ". none",
            ". none+out",
            "> none",
            "> none+out",
            ". to",
            "> to",
            "> none",
            "> none+out",
            "> to",
            ". none+approved",
            ". none+out+approved",
            ". to+approved",
        ],
    ),
    (
        "subscribed",
        [
            ". none",
            "> to",
            ". none+in",
            "> to+in",
            ". to",
            ". to+in",
            ". from",
            "> both",
            ". both",
            ". none+approved",
            "> to+approved",
            ". to+approved",
        ],
    ),
    (
        "unsubscribed",
        [
            ". none",
            "> none",
            ". none+in",
            "> none+in",
            "> none",
            "> none+in",
            ". from",
            "> from",
            "> from",
            ". none+approved",
            "> none+approved",
            "> none+approved",
        ],
    ),
];

/// The record of `stanzactl roster import` for one contact in that state.
fn record(state: &str) -> Value {
    let mut parts = state.split('+');
    let subscription = parts.next().unwrap();
    let pending: serde_json::Map<String, Value> =
        parts.map(|part| (part.to_owned(), json!(true))).collect();
    json!({ "subscription": subscription, "groups": [], "pending_requests": pending })
}

/// The state that a record of `stanzactl roster export` shows.
fn state(record: Option<&Value>) -> String {
    let Some(record) = record else {
        return "none".to_owned();
    };
    let mut state = record["subscription"].as_str().unwrap().to_owned();
    for part in ["out", "in", "approved"] {
        if record["pending_requests"][part] == json!(true) {
            state.push('+');
            state.push_str(part);
        }
    }
    state
}

struct Stage {
    server: Server,
    alice: Client,
    bob: Client,
}

impl Stage {
    fn new() -> Self {
        let server = Setup::new().workers(4).shipped_scripts().start();
        server.users(&["alice", "bob"]);
        let online = |user: &str| {
            let login = Login::direct(server.direct(), user).resource("desk");
            let mut client = Client::online(&login).unwrap();
            client
                .ask(
                    "roster",
                    "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
                )
                .unwrap();
            client
        };
        let (alice, bob) = (online("alice"), online("bob"));
        // The two ends are on two workers: nothing holds only because one thread did it all.
        let listed = server.ctl(&["--json", "session", "list"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let sessions = listed.as_array().unwrap();
        assert_eq!(sessions.len(), 2, "{listed}");
        assert_ne!(sessions[0]["worker"], sessions[1]["worker"], "{listed}");
        Stage { server, alice, bob }
    }

    /// Sets what `owner` has about `contact`.
    fn set(&self, owner: &str, contact: &str, state: &str) {
        let record = json!({ format!("{contact}@localhost"): record(state) });
        let owner = format!("{owner}@localhost");
        let args = ["roster", "import", &owner, "-", "--replace"];
        let ended = self.server.ctl_with_input(&args, &record.to_string());
        assert!(ended.code == Some(0), "{}", ended.message());
    }

    fn state(&self) -> String {
        let ended = self.server.ctl(&["roster", "export", "alice@localhost"]);
        assert!(ended.code == Some(0), "{}", ended.message());
        let roster: Value = serde_json::from_str(&ended.stdout).unwrap();
        state(roster.get("bob@localhost"))
    }
}

/// Whether `client` gets presence of that type from `from` before the answer to a ping.
fn hears(client: &mut Client, kind: &str, from: &str) -> bool {
    client
        .send("<iq type='get' id='fence' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let mut heard = false;
    loop {
        let element = client.expect("anything", |_| true).unwrap();
        if element.attr("id") == Some("fence") {
            return heard;
        }
        heard |= element.name() == "presence"
            && element.attr("type") == Some(kind)
            && element.attr("from") == Some(from);
    }
}

/// Holds what has happened to a cell: whether the stanza went on, and Alice's state after it.
fn compare(cell: &str, (passed, state): (bool, &str), what: &str) {
    let (mark, after) = cell.split_once(' ').unwrap();
    assert_eq!((passed, state), (mark == ">", after), "{what}");
}

#[test]
fn every_state_and_event_that_a_user_sends() {
    let mut stage = Stage::new();
    for (kind, cells) in SENT {
        for (before, cell) in STATES.iter().zip(cells) {
            stage.set("alice", "bob", before);
            // Bob's half is such that whatever arrives changes it, and so is given to him.
            let other = match kind {
                "subscribe" => "none",
                "unsubscribe" => "from",
                "subscribed" => "none+out",
                _ => "to",
            };
            stage.set("bob", "alice", other);
            let presence = format!("<presence type='{kind}' to='bob@localhost/anything'/>");
            stage.alice.send(&presence).unwrap();
            // What alice sent has gone its way when what she sends behind it is answered.
            let _ = hears(&mut stage.alice, "none", "nobody");
            let passed = hears(&mut stage.bob, kind, "alice@localhost");
            compare(
                cell,
                (passed, &stage.state()),
                &format!("{kind} in {before}"),
            );
        }
    }
}

#[test]
fn every_state_and_event_that_a_contact_sends() {
    let mut stage = Stage::new();
    for (kind, cells) in RECEIVED {
        for (before, cell) in STATES.iter().zip(cells) {
            stage.set("alice", "bob", before);
            // Bob's half is such that his server lets it out.
            let other = match kind {
                "subscribe" | "unsubscribe" => "none",
                _ => "none+in",
            };
            let other = if kind == "unsubscribed" {
                "from"
            } else {
                other
            };
            stage.set("bob", "alice", other);
            let presence = format!("<presence type='{kind}' to='alice@localhost'/>");
            stage.bob.send(&presence).unwrap();
            let _ = hears(&mut stage.bob, "none", "nobody");
            let passed = hears(&mut stage.alice, kind, "bob@localhost");
            compare(
                cell,
                (passed, &stage.state()),
                &format!("{kind} in {before}"),
            );
        }
    }
}
