//! Who hears of whom, and when (RFC 6121 §4): one user, and contacts in every relation to her.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::harness::{Client, Login, Server, Setup};

/// Alice's contacts, and what she has with each: `both` see each other, `from` sees her, `to` is seen by her, `asked` has been
/// asked by her, `asks` waits for her answer, `nobody` has nothing to do with her.
const CONTACTS: [(&str, &str, &str, &str); 6] = [
    ("both", "both", "both", ""),
    ("from", "from", "to", ""),
    ("to", "to", "from", ""),
    ("asked", "none", "none", "out"),
    ("asks", "none", "none", "in"),
    ("nobody", "", "", ""),
];

struct World {
    server: Server,
    /// In the order of [`CONTACTS`], each at `desk` and available.
    contacts: Vec<Client>,
}

fn login(server: &Server, user: &str, resource: &str) -> Client {
    Client::login(&Login::direct(server.direct(), user).resource(resource)).unwrap()
}

fn import(server: &Server, owner: &str, roster: &Value) {
    let owner = format!("{owner}@localhost");
    let args = ["roster", "import", &owner, "-"];
    let ended = server.ctl_with_input(&args, &roster.to_string());
    assert!(ended.code == Some(0), "{}", ended.message());
}

fn record(subscription: &str, pending: &str) -> Value {
    let pending: Map<String, Value> = (!pending.is_empty())
        .then(|| (pending.to_owned(), json!(true)))
        .into_iter()
        .collect();
    json!({ "subscription": subscription, "groups": [], "pending_requests": pending })
}

impl World {
    fn new() -> Self {
        let server = Setup::new().workers(4).shipped_scripts().start();
        server.users(&["alice"]);
        let known = CONTACTS.iter().filter(|(_, mine, ..)| !mine.is_empty());
        let roster: Map<String, Value> = known
            .map(|(user, mine, _, pending)| (format!("{user}@localhost"), record(mine, pending)))
            .collect();
        import(&server, "alice", &Value::from(roster));
        let mut contacts = Vec::new();
        for (user, _, theirs, pending) in CONTACTS {
            server.users(&[user]);
            let other_end = match pending {
                "out" => "in",
                "in" => "out",
                _ => "",
            };
            if !theirs.is_empty() {
                let theirs = json!({ "alice@localhost": record(theirs, other_end) });
                import(&server, user, &theirs);
            }
            let mut client = login(&server, user, "desk");
            client.send("<presence/>").unwrap();
            let own = format!("{user}@localhost/desk");
            let asked = (other_end == "in").then_some("subscribe alice@localhost");
            let expected: Vec<&str> = [own.as_str()].into_iter().chain(asked).collect();
            hears(&mut client, &expected);
            contacts.push(client);
        }
        World { server, contacts }
    }

    /// Whether those contacts hear exactly this, and the others nothing.
    fn hear(&mut self, who: &[&str], what: &str) {
        for (client, (user, ..)) in self.contacts.iter_mut().zip(CONTACTS) {
            let expected: &[&str] = if who.contains(&user) { &[what] } else { &[] };
            hears(client, expected);
        }
    }
}

/// Whether exactly this presence comes, in any order, each once: `type from`, or `from` alone where it is available.
fn hears(client: &mut Client, expected: &[&str]) {
    let mut missing: BTreeSet<&str> = expected.iter().copied().collect();
    let mut others = Vec::new();
    let mut fenced = false;
    loop {
        if missing.is_empty() && !fenced {
            fenced = true;
            client
                .send("<iq type='get' id='fence' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
                .unwrap();
        }
        let element = client
            .expect(&format!("{missing:?} of {expected:?}"), |_| true)
            .unwrap();
        if element.attr("id") == Some("fence") {
            break;
        }
        if element.name() == "presence" {
            let type_ = element.attr("type").map(|type_| format!("{type_} "));
            let from = element.attr("from").unwrap_or_default();
            let told = type_.unwrap_or_default() + from;
            if !missing.remove(told.as_str()) {
                others.push(told);
            }
        }
    }
    assert!(others.is_empty(), "{others:?} beside {expected:?}");
}

const HER: &str = "alice@localhost/desk";

#[test]
fn initial_presence_is_told_to_subscribers_and_answered_by_contacts() {
    let mut world = World::new();
    let mut alice = login(&world.server, "alice", "desk");
    let mut phone = login(&world.server, "alice", "phone");
    phone
        .send("<presence><priority>-1</priority></presence>")
        .unwrap();
    // §4.2.2, §4.3: whom she sees answers for each resource; her other resources and the request that waits are told too. A
    // resource that has not said that it is available hears nothing.
    let seen = [
        "both@localhost/desk",
        "to@localhost/desk",
        "subscribe asks@localhost",
        "alice@localhost/phone",
    ];
    hears(&mut phone, &seen);
    world.hear(&["both", "from"], "alice@localhost/phone");
    hears(&mut alice, &[]);

    alice.send("<presence/>").unwrap();
    hears(&mut alice, &[&seen[..], &[HER]].concat());
    hears(&mut phone, &[HER]);
    world.hear(&["both", "from"], HER);

    // §4.4: a change is told to the same, and nobody is asked again.
    alice
        .send("<presence><show>away</show><priority>300</priority></presence>")
        .unwrap();
    hears(&mut alice, &[HER]);
    hears(&mut phone, &[HER]);
    world.hear(&["both", "from"], HER);

    // §4.5: so is the end; whoever is unavailable hears nothing any more, and then it begins anew.
    alice.send("<presence type='unavailable'/>").unwrap();
    let gone = format!("unavailable {HER}");
    hears(&mut phone, &[&gone]);
    world.hear(&["both", "from"], &gone);
    world.contacts[0]
        .send("<presence><show>dnd</show></presence>")
        .unwrap();
    hears(&mut world.contacts[0], &["both@localhost/desk"]);
    hears(&mut phone, &["both@localhost/desk"]);
    hears(&mut alice, &[]);
    alice.send("<presence/>").unwrap();
    hears(&mut alice, &[&seen[..], &[HER]].concat());
    world.hear(&["both", "from"], HER);
    hears(&mut phone, &[HER]);

    // A stream that breaks is an end too, once; one of two resources is not the other.
    drop(alice);
    hears(&mut phone, &[&gone]);
    world.hear(&["both", "from"], &gone);
}

#[test]
fn directed_presence_is_for_one_until_the_end() {
    let mut world = World::new();
    let mut alice = login(&world.server, "alice", "desk");
    let say = |alice: &mut Client, to: &str, type_: &str| {
        let xml = format!("<presence to='{to}@localhost/desk'{type_}/>");
        alice.send(&xml).unwrap();
    };
    // §4.6.1: without presence to all, and to anybody.
    for user in ["nobody", "to", "both"] {
        say(&mut alice, user, "");
        world.hear(&[user], HER);
    }
    alice.send("<presence/>").unwrap();
    hears(
        &mut alice,
        &[
            HER,
            "both@localhost/desk",
            "to@localhost/desk",
            "subscribe asks@localhost",
        ],
    );
    world.hear(&["both", "from"], HER);
    // §4.6.3: what is told to all later is not for them.
    alice.send("<presence><show>xa</show></presence>").unwrap();
    hears(&mut alice, &[HER]);
    world.hear(&["both", "from"], HER);
    // What is taken back is taken back for good.
    let gone = format!("unavailable {HER}");
    say(&mut alice, "to", " type='unavailable'");
    world.hear(&["to"], &gone);
    // §4.6.3: at the end all hear it who believed that she was there, each once.
    alice.send("<presence type='unavailable'/>").unwrap();
    world.hear(&["both", "from", "nobody"], &gone);
    drop(alice);
    world.hear(&[], "");
}

#[test]
fn presence_is_kept_for_nobody() {
    let mut world = World::new();
    let both = world.contacts.remove(0);
    both.close().unwrap();
    let mut alice = login(&world.server, "alice", "desk");
    alice.send("<presence/>").unwrap();
    alice
        .send("<presence to='both@localhost'><status>x</status></presence>")
        .unwrap();
    hears(
        &mut alice,
        &[HER, "to@localhost/desk", "subscribe asks@localhost"],
    );
    alice.send("<presence type='unavailable'/>").unwrap();
    hears(&mut alice, &[]);
    let mut both = login(&world.server, "both", "desk");
    both.send("<presence/>").unwrap();
    hears(&mut both, &["both@localhost/desk"]);
}
