//! `stanzactl roster`: rosters read and written from outside.

use serde_json::{Value, json};
use stanzad::xml::Element;

use crate::attacks::until;
use crate::console::{json, online};
use crate::harness::{Client, Login, Server};

const ROSTER: &str = "jabber:iq:roster";

fn import(server: &Server, args: &[&str], record: &Value) -> Value {
    let args = [&["--json", "roster", "import"], args].concat();
    let ended = server.ctl_with_input(&args, &record.to_string());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn export(server: &Server, jid: &str) -> Value {
    let ended = server.ctl(&["roster", "export", jid]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// What a roster get shows: contact, name, subscription, groups.
fn roster(client: &mut Client, version: Option<&str>) -> Option<Vec<String>> {
    let version = version.map_or(String::new(), |version| format!(" ver='{version}'"));
    let answer = client
        .ask(
            "r",
            &format!("<iq type='get' id='r'><query xmlns='{ROSTER}'{version}/></iq>"),
        )
        .unwrap();
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    let query = answer.child("query", ROSTER)?;
    Some(query.elements().map(told).collect())
}

fn told(item: &Element) -> String {
    let attr = |name| item.attr(name).unwrap_or("-");
    let groups: Vec<_> = item.elements().map(Element::text).collect();
    let ask = item.attr("ask").map_or("", |_| "+ask");
    format!(
        "{} {} {}{ask} {}",
        attr("jid"),
        attr("name"),
        attr("subscription"),
        groups.join(",")
    )
}

/// The next push, answered as a client does.
fn push(client: &mut Client) -> (String, String) {
    let push = client
        .expect("roster push", |element| {
            element.child("query", ROSTER).is_some()
        })
        .unwrap();
    assert_eq!(push.attr("type"), Some("set"), "{push}");
    let id = push.attr("id").unwrap();
    client
        .send(&format!("<iq type='result' id='{id}'/>"))
        .unwrap();
    let query = push.child("query", ROSTER).unwrap();
    let item = query.elements().next().unwrap();
    (told(item), query.attr("ver").unwrap().to_owned())
}

#[test]
fn contacts_added_from_outside_are_there_at_the_next_login() {
    let server = Server::start();
    server.users(&["alice"]);
    assert_eq!(export(&server, "alice@localhost"), json!({}));
    let record = json!({
        "Bob@localhost": {"name": "Bob", "groups": ["Friends", "Work"], "subscription": "both", "pending_requests": {}},
        "carol@localhost": {"subscription": "none", "pending_requests": {"out": true}},
        "dave@localhost": {},
    });
    let done = import(&server, &["alice@localhost"], &record);
    assert_eq!(
        (&done["jid"], &done["imported"]),
        (&"alice@localhost".into(), &3.into())
    );
    assert_eq!(done["contacts"], 3);

    let mut alice = online(&server, "alice");
    let expected = [
        "bob@localhost Bob both Friends,Work",
        "carol@localhost - none+ask ",
        "dave@localhost - none ",
    ];
    assert_eq!(roster(&mut alice, None).unwrap(), expected);

    let exported = export(&server, "alice@localhost");
    assert_eq!(
        exported["bob@localhost"],
        json!({"name": "Bob", "groups": ["Friends", "Work"], "subscription": "both", "pending_requests": {}})
    );
    assert_eq!(
        exported["carol@localhost"]["pending_requests"],
        json!({"out": true})
    );
    let shown = server.ctl(&["roster", "show", "alice@localhost"]).stdout;
    let expected = "\
JID              NAME  STATE     GROUPS
bob@localhost    Bob   both      Friends, Work
carol@localhost        none+out
dave@localhost         none
";
    assert_eq!(shown, expected);
}

#[test]
fn sessions_see_an_import_at_once() {
    let server = Server::start();
    server.users(&["alice"]);
    let jid = "alice@localhost";
    let mut desk = online(&server, "alice");
    let phone = Login::direct(server.direct(), "alice").resource("phone");
    let mut phone = Client::online(&phone).unwrap();
    assert_eq!(roster(&mut desk, None).unwrap(), [""; 0]);
    import(
        &server,
        &[jid],
        &json!({"bob@localhost": {"name": "Bob"}, "carol@localhost": {"groups": ["G"]}}),
    );
    let (first, _) = push(&mut desk);
    let (second, version) = push(&mut desk);
    assert_eq!(
        [first, second],
        ["bob@localhost Bob none ", "carol@localhost - none G"]
    );
    // The phone has not asked for the roster: it gets no push, and all of it when it asks.
    let none = phone.drain().unwrap();
    assert!(
        none.iter().all(|element| element.name() != "iq"),
        "{none:?}"
    );
    assert_eq!(roster(&mut phone, None).unwrap().len(), 2);
    assert_eq!(
        roster(&mut desk, Some(&version)),
        None,
        "it knows that version"
    );

    // What a session does is in the export, and what an export says is what sessions see.
    let put = "<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='dave@localhost' name='D'/></query></iq>";
    assert_eq!(desk.ask("p", put).unwrap().attr("type"), Some("result"));
    let before = export(&server, jid);
    assert_eq!(before["dave@localhost"]["name"], "D");
    import(&server, &[jid, "-", "--replace"], &before);
    assert_eq!(export(&server, jid), before);
}

#[test]
fn what_a_replacing_import_deletes_is_gone_at_once() {
    let server = Server::start();
    server.users(&["alice"]);
    let jid = "alice@localhost";
    import(
        &server,
        &[jid],
        &json!({"bob@localhost": {}, "carol@localhost": {}}),
    );
    let mut alice = online(&server, "alice");
    assert_eq!(roster(&mut alice, None).unwrap().len(), 2);
    let file = server.setup().directory().join("record.json");
    std::fs::write(&file, r#"{"carol@localhost": {"name": "Carol"}}"#).unwrap();
    let done = json(
        &server,
        &["roster", "import", jid, file.to_str().unwrap(), "--replace"],
    );
    assert_eq!(
        (&done["imported"], &done["contacts"]),
        (&1.into(), &1.into())
    );
    let pushes = [push(&mut alice), push(&mut alice)];
    let version = &pushes[1].1;
    let mut told: Vec<&str> = pushes.iter().map(|(item, _)| item.as_str()).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["bob@localhost - remove ", "carol@localhost Carol none "]
    );
    assert_eq!(
        roster(&mut alice, Some(version)),
        None,
        "it knows that version"
    );
    assert_eq!(roster(&mut alice, None).unwrap(), [told[1]]);
}

#[test]
fn request_survives_export_and_import() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut bob = online(&server, "bob");
    bob.send("<presence to='alice@localhost' type='subscribe'><status>Alice?</status></presence>")
        .unwrap();
    // Bob's stream does not say when his request is on alice's disk.
    let mut record = Value::Null;
    until("bob's request in alice's roster", || {
        record = export(&server, "alice@localhost");
        record != json!({})
    });
    let asked = json!({"in": true, "listed": false});
    assert_eq!(record["bob@localhost"]["pending_requests"], asked);
    let shown = json(&server, &["roster", "show", "alice@localhost"]);
    assert_eq!(
        (&shown[0]["state"], &shown[0]["listed"]),
        (&"none+in".into(), &false.into())
    );

    // Here the request is known, so it stays as it came; there it is not, and a plain one stands for it.
    import(&server, &["alice@localhost", "--replace"], &record);
    server.users(&["alina"]);
    import(&server, &["alina@localhost"], &record);
    for (name, status) in [("alice", Some("Alice?")), ("alina", None)] {
        let mut user = Client::login(&Login::direct(server.direct(), name)).unwrap();
        user.send("<presence/>").unwrap();
        let request = user
            .expect("request", |element| {
                element.attr("type") == Some("subscribe")
            })
            .unwrap();
        assert_eq!(request.attr("from"), Some("bob@localhost"));
        let told = request.child("status", "jabber:client").map(Element::text);
        assert_eq!(told.as_deref(), status);
        assert_eq!(roster(&mut user, None).unwrap(), [""; 0], "not listed");
    }
}

#[test]
fn faulty_record_changes_nothing_and_every_fault_is_named() {
    let server = Server::start();
    server.users(&["alice"]);
    let import = |args: &[&str], record: &str| {
        let args = [&["roster", "import"], args].concat();
        server.ctl_with_input(&args, record)
    };
    let refused = import(
        &["alice@localhost"],
        r#"{"bob@localhost": {"name": "Bob"}, "@x": {}, "carol@localhost": {"groups": "G", "subscription": "yes"}}"#,
    );
    assert_eq!(refused.code, Some(1));
    let expected = "\
stanzactl: 3 faults, nothing was imported
  `@x`: not an address: the part before the @ is empty, too long or has a character that is not allowed there
  `carol@localhost`: groups: a text where a list of texts should be
  `carol@localhost`: subscription: `yes` is not none, to, from or both
";
    assert_eq!(refused.stderr, expected);
    assert_eq!(export(&server, "alice@localhost"), json!({}));

    let many: Vec<String> = (0..5_001).map(|n| format!("\"c{n}@x\": {{}}")).collect();
    let refused = import(&["alice@localhost"], &format!("{{{}}}", many.join(",")));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("roster is full"),
        "{}",
        refused.stderr
    );
    assert_eq!(export(&server, "alice@localhost"), json!({}));

    for (jid, told) in [
        ("eve@localhost", "there is no user eve@localhost"),
        (
            "eve@elsewhere.example",
            "`elsewhere.example` is not served here",
        ),
        ("localhost", "is not the address of a user"),
    ] {
        let refused = import(&[jid], "{}");
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let missing = import(&["alice@localhost", "no/such/file"], "");
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("cannot read no/such/file"),
        "{}",
        missing.stderr
    );
    let log = server.log().all().join("\n");
    assert!(
        log.contains("alice@localhost") && !log.contains("Bob"),
        "no names in the log"
    );
}
