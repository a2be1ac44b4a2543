//! Commands of administrators: users made, removed, listed, sent away (XEP-0050, XEP-0133).

use std::fs;
use std::io::ErrorKind;

use stanzad::xml::Element;

use crate::attacks::{ask, condition, ends_with, online};
use crate::harness::{Client, Login, Server, Setup, Via};

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ADMIN: &str = "http://jabber.org/protocol/admin";
const FORMS: &str = "jabber:x:data";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";
const INFO: &str = "http://jabber.org/protocol/disco#info";

/// alice administers localhost, bob the other domain, carol nothing.
const TWO: &str = "admins = ( \"Alice@localhost\" )\n\
                   Domain \"other.example\" { XMPP_Role = \"server\" admins = ( \"bob@localhost\" ) }\n";

fn start(config: &str) -> Server {
    let server = Setup::new().config(config).start();
    server.users(&["alice", "bob", "carol"]);
    server
}

fn node(name: &str) -> String {
    format!("{ADMIN}#{name}")
}

/// Sends a step of a command to `domain`: `how` holds more attributes.
fn step(client: &mut Client, domain: &str, name: &str, how: &str, payload: &str) -> Element {
    let node = node(name);
    ask(
        client,
        &format!(
            "<iq type='set' id='q' to='{domain}'><command xmlns='{COMMANDS}' node='{node}' {how}>\
             {payload}</command></iq>"
        ),
    )
}

fn command(answer: &Element) -> &Element {
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    answer.child("command", COMMANDS).unwrap()
}

/// The session of a command whose form has come.
fn session(answer: &Element) -> String {
    let command = command(answer);
    assert_eq!(command.attr("status"), Some("executing"), "{answer}");
    let form = command.child("x", FORMS).unwrap();
    assert_eq!(form.attr("type"), Some("form"), "{answer}");
    command.attr("sessionid").unwrap().to_owned()
}

fn begin(client: &mut Client, name: &str) -> String {
    session(&step(client, "localhost", name, "action='execute'", ""))
}

/// A form that is filled in, a field without a value for each empty list.
fn form(fields: &[(&str, &[&str])]) -> String {
    let field = |var: &str, values: &[&str]| {
        let values = values.iter().map(|value| format!("<value>{value}</value>"));
        format!("<field var='{var}'>{}</field>", String::from_iter(values))
    };
    let about = field("FORM_TYPE", &[ADMIN]);
    let fields = fields.iter().map(|(var, values)| field(var, values));
    let fields = String::from_iter(fields);
    format!("<x xmlns='{FORMS}' type='submit'>{about}{fields}</x>")
}

/// Sends the form of a session.
fn fill(client: &mut Client, name: &str, session: &str, fields: &[(&str, &[&str])]) -> Element {
    let how = format!("sessionid='{session}'");
    step(client, "localhost", name, &how, &form(fields))
}

/// A command from its first step to its last answer.
fn run(client: &mut Client, name: &str, fields: &[(&str, &[&str])]) -> Element {
    let session = begin(client, name);
    fill(client, name, &session, fields)
}

fn is_done(answer: &Element) {
    assert_eq!(
        command(answer).attr("status"),
        Some("completed"),
        "{answer}"
    );
}

/// The more precise condition of an error to a command.
fn detail(answer: &Element) -> &str {
    let error = answer.child("error", answer.ns()).unwrap();
    let detail = error.elements().find(|element| element.ns() == COMMANDS);
    detail.unwrap_or_else(|| panic!("{answer}")).name()
}

/// What a result tells in its field `var`.
fn told(answer: &Element, var: &str) -> Vec<String> {
    is_done(answer);
    let form = command(answer).child("x", FORMS).unwrap();
    assert_eq!(form.attr("type"), Some("result"), "{answer}");
    let mut fields = form.elements();
    let field = fields.find(|field| field.attr("var") == Some(var)).unwrap();
    field
        .elements()
        .map(|value| value.text().into_owned())
        .collect()
}

fn login(server: &Server, user: &str, password: &str) -> Login {
    let mut login = Login::direct(server.direct(), user).resource("desk");
    login.password = password.to_owned();
    login
}

fn add<'a>(user: &'a [&'a str], password: &'a [&'a str]) -> Vec<(&'a str, &'a [&'a str])> {
    vec![
        ("accountjid", user),
        ("password", password),
        ("password-verify", password),
    ]
}

/// What disco tells at `place`, a domain or an account of it, of the commands of the domain: their nodes.
fn listed(client: &mut Client, place: &str) -> Vec<String> {
    let domain = place.rsplit('@').next();
    let query = format!("<query xmlns='{ITEMS}' node='{COMMANDS}'/>");
    let answer = ask(
        client,
        &format!("<iq type='get' id='q' to='{place}'>{query}</iq>"),
    );
    let list = answer
        .child("query", ITEMS)
        .unwrap_or_else(|| panic!("{answer}"));
    let node = |item: &Element| {
        assert_eq!(item.attr("jid"), domain, "{item}");
        item.attr("node").unwrap().to_owned()
    };
    list.elements().map(node).collect()
}

#[test]
fn an_administrator_makes_a_user_and_removes_it() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let asked = step(&mut alice, "localhost", "add-user", "action='execute'", "");
    let actions = command(&asked).child("actions", COMMANDS).unwrap();
    assert_eq!(actions.attr("execute"), Some("complete"), "{asked}");
    assert!(actions.child("complete", COMMANDS).is_some(), "{asked}");
    let id = session(&asked);
    let dora = add(&["Dora@localhost"], &["pass word"]);
    let made = fill(&mut alice, "add-user", &id, &dora);
    is_done(&made);
    assert_eq!(command(&made).attr("sessionid"), Some(&*id));
    let mut dora_here = Client::online(&login(&server, "dora", "pass word")).unwrap();

    let again = begin(&mut alice, "add-user");
    let exists = fill(&mut alice, "add-user", &again, &dora);
    assert_eq!(condition(&exists), "conflict");
    // What was refused can be mended.
    let emil = add(&["emil@localhost"], &["word"]);
    is_done(&fill(&mut alice, "add-user", &again, &emil));

    let both: &[&str] = &["dora@localhost", "emil@localhost", ""];
    is_done(&run(&mut alice, "delete-user", &[("accountjids", both)]));
    assert_eq!(ends_with(&mut dora_here), "not-authorized");
    for user in ["dora", "emil"] {
        let refused = Client::login(&login(&server, user, "pass word"))
            .err()
            .unwrap();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    }
    let half: &[&str] = &["bob@localhost", "nobody@localhost"];
    let absent = run(&mut alice, "delete-user", &[("accountjids", half)]);
    assert_eq!(condition(&absent), "item-not-found");
    Client::login(&login(&server, "bob", "secret")).expect("nobody is deleted if one is not there");

    // The address of a session means its user here, and one user may be named twice.
    let twice: &[&str] = &["bob@localhost", "bob@localhost/desk"];
    is_done(&run(&mut alice, "delete-user", &[("accountjids", twice)]));
    let gone = Client::login(&login(&server, "bob", "secret")).err();
    assert_eq!(gone.unwrap().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn an_administrator_lists_and_counts_users() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let _bob = online(&server, "bob");
    let all = ["alice@localhost", "bob@localhost", "carol@localhost"];
    let users = run(&mut alice, "get-registered-users-list", &[]);
    assert_eq!(told(&users, "registereduserjids"), all);
    let some = run(
        &mut alice,
        "get-registered-users-list",
        &[("max_items", &["2"])],
    );
    assert_eq!(told(&some, "registereduserjids"), all[..2]);
    let note = command(&some).child("note", COMMANDS).unwrap();
    assert_eq!(note.text(), "2 of 3");
    let here = run(
        &mut alice,
        "get-online-users-list",
        &[("max_items", &["none"])],
    );
    assert_eq!(told(&here, "onlineuserjids"), all[..2]);
    let odd = run(
        &mut alice,
        "get-online-users-list",
        &[("max_items", &["few"])],
    );
    assert_eq!(condition(&odd), "not-acceptable");
    for (name, field, count) in [
        ("get-registered-users-num", "registeredusersnum", "3"),
        ("get-online-users-num", "onlineusersnum", "2"),
    ] {
        let counted = step(&mut alice, "localhost", name, "", "");
        assert_eq!(told(&counted, field), [count]);
    }
}

#[test]
fn an_administrator_ends_sessions_and_changes_passwords() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let mut bobs = ["desk", "phone", "car"].map(|resource| {
        Client::online(&Login::direct(server.direct(), "bob").resource(resource)).unwrap()
    });
    let one: &[&str] = &["bob@localhost/phone"];
    is_done(&run(
        &mut alice,
        "end-user-session",
        &[("accountjids", one)],
    ));
    assert_eq!(ends_with(&mut bobs[1]), "policy-violation");
    bobs[0].drain().unwrap();
    bobs[2].drain().unwrap();
    let all: &[&str] = &["bob@localhost"];
    let ended = run(&mut alice, "end-user-session", &[("accountjids", all)]);
    let note = command(&ended).child("note", COMMANDS).unwrap();
    assert_eq!(note.text(), "2 sessions of others ended");
    assert_eq!(ends_with(&mut bobs[0]), "policy-violation");
    assert_eq!(ends_with(&mut bobs[2]), "policy-violation");

    let mut bob = online(&server, "bob");
    let new = [("accountjid", all), ("password", &["other"] as &[&str])];
    is_done(&run(&mut alice, "change-user-password", &new));
    assert_eq!(ends_with(&mut bob), "not-authorized");
    Client::login(&login(&server, "bob", "other")).unwrap();
    // Its own: the session that asked goes on.
    let own = [
        ("accountjid", &["alice@localhost"] as &[&str]),
        ("password", &["new"]),
    ];
    is_done(&run(&mut alice, "change-user-password", &own));
    alice.drain().unwrap();
    // It hears what came of it before it goes.
    let gone: &[&str] = &["alice@localhost"];
    is_done(&run(&mut alice, "delete-user", &[("accountjids", gone)]));
    assert_eq!(ends_with(&mut alice), "not-authorized");
}

#[test]
fn commands_are_discovered_by_whom_they_are_for() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let nodes = listed(&mut alice, "localhost");
    assert!(nodes.contains(&node("add-user")), "{nodes:?}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/services.md");
    let page = fs::read_to_string(page).unwrap();
    for node in &nodes {
        let name = node.rsplit('#').next().unwrap();
        assert!(
            page.contains(&format!("`{name}`")),
            "the manual lacks {name}"
        );
        let query = format!("<query xmlns='{INFO}' node='{node}'/>");
        let iq = format!("<iq type='get' id='q' to='localhost'>{query}</iq>");
        let answer = ask(&mut alice, &iq);
        let info = answer.child("query", INFO).unwrap();
        let identity = info.child("identity", INFO).unwrap();
        assert_eq!(identity.attr("type"), Some("command-node"), "{answer}");
        let mut features = info.elements().filter_map(|feature| feature.attr("var"));
        assert!(features.any(|feature| feature == FORMS), "{answer}");
    }
}

/// Some clients look for commands at their user's own account. Those are the commands of its domain, and no more.
#[test]
fn an_administrator_finds_the_commands_at_its_own_address() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let nodes = listed(&mut alice, "localhost");
    assert_eq!(listed(&mut alice, "alice@localhost"), nodes);
    let begun = step(&mut alice, "alice@localhost", "add-user", "", "");
    let how = format!("sessionid='{}'", session(&begun));
    let fields = form(&add(&["eve@localhost"], &["secret"]));
    is_done(&step(
        &mut alice,
        "alice@localhost",
        "add-user",
        &how,
        &fields,
    ));
    Client::login(&login(&server, "eve", "secret")).unwrap();
    for user in ["bob", "carol"] {
        let mut other = online(&server, user);
        refuses_everything(&mut other, &format!("{user}@localhost"), &nodes);
    }
}

/// Nothing of `nodes` is shown to `who`, or done for it.
fn refuses_everything(who: &mut Client, domain: &str, nodes: &[String]) {
    assert_eq!(listed(who, domain), [""; 0], "{domain}");
    for node in nodes {
        let name = node.rsplit('#').next().unwrap();
        for how in ["", "action='complete'", "sessionid='0'"] {
            let fields = add(&["eve@localhost"], &["secret"]);
            let answer = step(who, domain, name, how, &form(&fields));
            assert_eq!(condition(&answer), "forbidden", "{name} {domain} {how}");
        }
        let query = format!("<query xmlns='{INFO}' node='{node}'/>");
        let iq = format!("<iq type='get' id='q' to='{domain}'>{query}</iq>");
        assert_eq!(condition(&ask(who, &iq)), "forbidden", "{iq}");
    }
}

/// Every command, by everybody who may not give it: none is told of it, none is heard.
#[test]
fn t82_t96_commands_are_for_the_admins_of_their_domain_alone() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    let mut carol = online(&server, "carol");
    let nodes = listed(&mut alice, "localhost");
    assert_eq!(listed(&mut bob, "other.example"), nodes);
    refuses_everything(&mut alice, "other.example", &nodes);
    refuses_everything(&mut bob, "localhost", &nodes);
    refuses_everything(&mut carol, "localhost", &nodes);
    refuses_everything(&mut carol, "other.example", &nodes);
    let eve = Client::login(&login(&server, "eve", "secret"))
        .err()
        .unwrap();
    assert_eq!(eve.kind(), ErrorKind::PermissionDenied, "{eve}");
}

/// Two domains with a user of the same name: an admin of one reaches nobody of the other.
#[test]
fn t82_t98_an_admin_of_one_domain_has_no_say_in_another() {
    let server = start(TWO);
    let carol = ["user", "add", "carol@other.example", "--password-stdin"];
    assert_eq!(server.ctl_with_input(&carol, "secret\n").code, Some(0));
    let mut alice = online(&server, "alice");
    let theirs: &[&str] = &["carol@other.example"];
    let mixed: &[&str] = &["carol@localhost", "carol@other.example"];
    let password: &[&str] = &["stolen"];
    for (name, fields) in [
        ("add-user", add(&["eve@other.example"], password)),
        (
            "change-user-password",
            vec![("accountjid", theirs), ("password", password)],
        ),
        ("delete-user", vec![("accountjids", theirs)]),
        ("delete-user", vec![("accountjids", mixed)]),
        ("end-user-session", vec![("accountjids", mixed)]),
    ] {
        let answer = run(&mut alice, name, &fields);
        assert_eq!(condition(&answer), "not-allowed", "{name}");
    }
    let mut bob = online(&server, "bob");
    let asked = step(
        &mut bob,
        "other.example",
        "get-registered-users-list",
        "",
        "",
    );
    let how = format!("sessionid='{}'", session(&asked));
    let users = step(
        &mut bob,
        "other.example",
        "get-registered-users-list",
        &how,
        &form(&[]),
    );
    assert_eq!(told(&users, "registereduserjids"), theirs);
    let ours = run(&mut alice, "get-registered-users-list", &[]);
    assert!(told(&ours, "registereduserjids").contains(&"carol@localhost".to_owned()));
}

/// The right is asked for at every step, and a reload takes it at once.
#[test]
fn t76_t82_a_right_that_is_taken_ends_a_command_that_was_begun() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    let id = begin(&mut alice, "add-user");
    let file = server.setup().directory().join("stanzad.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("Alice@localhost", "bob@localhost")).unwrap();
    assert_eq!(server.ctl(&["config", "reload"]).code, Some(0));
    let fields = add(&["dora@localhost"], &["word"]);
    let answer = fill(&mut alice, "add-user", &id, &fields);
    assert_eq!(condition(&answer), "forbidden");
    assert_eq!(listed(&mut alice, "localhost"), [""; 0]);
    let mut bob = online(&server, "bob");
    is_done(&run(&mut bob, "add-user", &fields));
}

#[test]
fn t76_a_session_of_a_command_is_of_no_use_to_others() {
    let server = start("admins = ( \"alice@localhost\" \"bob@localhost\" )\n");
    let mut alice = online(&server, "alice");
    let phone = Login::direct(server.direct(), "alice").resource("phone");
    let mut phone = Client::online(&phone).unwrap();
    let mut bob = online(&server, "bob");
    let id = begin(&mut alice, "add-user");
    let fields = add(&["dora@localhost"], &["word"]);
    for other in [&mut phone, &mut bob] {
        let answer = fill(other, "add-user", &id, &fields);
        assert_eq!(
            (condition(&answer), detail(&answer)),
            ("bad-request", "bad-sessionid")
        );
    }
    let answer = fill(
        &mut alice,
        "delete-user",
        &id,
        &[("accountjids", &["bob@localhost"])],
    );
    assert_eq!(
        detail(&answer),
        "bad-sessionid",
        "it is a session of another command"
    );
    is_done(&fill(&mut alice, "add-user", &id, &fields));
    let answer = fill(&mut alice, "add-user", &id, &fields);
    assert_eq!(detail(&answer), "bad-sessionid", "it is over");

    // Begun and never ended: the latest few are kept, the others give way.
    let first = begin(&mut alice, "delete-user");
    let mut last = String::new();
    for _ in 0..100 {
        last = begin(&mut alice, "delete-user");
    }
    let absent: &[(&str, &[&str])] = &[("accountjids", &["nobody@localhost"])];
    let answer = fill(&mut alice, "delete-user", &first, absent);
    assert_eq!(detail(&answer), "bad-sessionid");
    let answer = fill(&mut alice, "delete-user", &last, absent);
    assert_eq!(condition(&answer), "item-not-found");
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let server = start(TWO);
    let mut alice = online(&server, "alice");
    for (how, expected) in [
        ("action='explode'", "malformed-action"),
        ("action='complete'", "bad-action"),
        ("sessionid=''", "bad-sessionid"),
    ] {
        let answer = step(&mut alice, "localhost", "add-user", how, "");
        assert_eq!(detail(&answer), expected, "{how}");
    }
    let answer = step(&mut alice, "localhost", "shutdown", "", "");
    assert_eq!(condition(&answer), "item-not-found");

    let id = begin(&mut alice, "add-user");
    for (action, expected) in [("next", "bad-action"), ("prev", "bad-action")] {
        let how = format!("sessionid='{id}' action='{action}'");
        let answer = step(&mut alice, "localhost", "add-user", &how, "");
        assert_eq!(detail(&answer), expected, "{action}");
    }
    let how = format!("sessionid='{id}'");
    for payload in [
        String::new(),
        format!("<x xmlns='{FORMS}' type='result'/>"),
        form(&[]),
        form(&[("accountjid", &["dora@localhost"])]),
        form(&add(&["@"], &["word"])),
        form(&add(&["dora@localhost", "emil@localhost"], &["word"])),
        form(&add(&["dora@localhost"], &["word"])).replace(ADMIN, "urn:other"),
    ] {
        let answer = step(&mut alice, "localhost", "add-user", &how, &payload);
        assert_eq!(detail(&answer), "bad-payload", "{payload}");
    }
    let differ = [
        ("accountjid", &["dora@localhost"] as &[&str]),
        ("password", &["word"]),
        ("password-verify", &["world"]),
    ];
    let answer = fill(&mut alice, "add-user", &id, &differ);
    assert_eq!(condition(&answer), "not-acceptable");
    // An error says which session it is about, and nothing of what was filled in.
    let echo = answer.child("command", COMMANDS).unwrap();
    assert_eq!(echo.attr("sessionid"), Some(&*id));
    assert_eq!(echo.attr("node"), Some(&*node("add-user")));
    assert!(echo.children().is_empty(), "{answer}");
    for whole in ["localhost", "dora@localhost/desk"] {
        let answer = fill(&mut alice, "add-user", &id, &add(&[whole], &["word"]));
        assert_eq!(condition(&answer), "bad-request", "{whole}");
    }
    let names: Vec<String> = (0..101).map(|n| format!("u{n}@localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = run(&mut alice, "delete-user", &[("accountjids", &names)]);
    assert_eq!(condition(&answer), "not-acceptable");

    let how = format!("sessionid='{id}' action='cancel'");
    let answer = step(&mut alice, "localhost", "add-user", &how, "");
    assert_eq!(
        command(&answer).attr("status"),
        Some("canceled"),
        "{answer}"
    );
    let counted = step(&mut alice, "localhost", "get-registered-users-num", "", "");
    assert_eq!(told(&counted, "registeredusersnum"), ["3"]);
}

#[test]
fn t38_nobody_registers_the_name_of_an_admin() {
    let config = "Registration = \"open\"\nadmins = ( \"alice@localhost\" \"zoe@localhost\" )\n";
    let server = start(config);
    let mut client = Client::connect(server.direct(), Via::Direct).unwrap();
    client.features().unwrap();
    let mut register = |name: &str| {
        let fields = format!("<username>{name}</username><password>mine</password>");
        let query = format!("<query xmlns='jabber:iq:register'>{fields}</query>");
        ask(
            &mut client,
            &format!("<iq type='set' id='q' to='localhost'>{query}</iq>"),
        )
    };
    assert_eq!(condition(&register("Zoe")), "not-acceptable");
    // Who exists looks like any other user.
    assert_eq!(condition(&register("alice")), "conflict");
    assert_eq!(condition(&register("bob")), "conflict");
    assert_eq!(register("dora").attr("type"), Some("result"));
}

#[test]
fn t92_passwords_that_administrators_give_are_not_logged() {
    let server = start(&format!("log_level = \"trace\"\n{TWO}"));
    let secret = "correct-horse-battery";
    let mut alice = online(&server, "alice");
    is_done(&run(
        &mut alice,
        "add-user",
        &add(&["dora@localhost"], &[secret]),
    ));
    let dora: &[&str] = &["dora@localhost"];
    let other = "staple-correct-horse";
    let fields = [("accountjid", dora), ("password", &[other] as &[&str])];
    is_done(&run(&mut alice, "change-user-password", &fields));
    server.log().wait("the command in the log", |line| {
        line.contains("has changed a password") && line.contains("dora@localhost")
    });
    let said = server.log().all();
    assert!(
        said.iter()
            .all(|line| !line.contains(secret) && !line.contains(other))
    );
}
