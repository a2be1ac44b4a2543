//! What the server itself answers: discovery, private XML, cards.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use stanzad::xml::Element;

use crate::attacks::{ask, condition, online};
use crate::harness::{Client, Login, Server, Setup};

const INFO: &str = "http://jabber.org/protocol/disco#info";

/// Asks for `payload` with an iq of `type_` to `to` (none: without `to`).
fn iq(client: &mut Client, type_: &str, to: &str, payload: &str) -> Element {
    let to = match to {
        "" => String::new(),
        to => format!(" to='{to}'"),
    };
    ask(
        client,
        &format!("<iq type='{type_}' id='q'{to}>{payload}</iq>"),
    )
}

/// What a result carries.
fn payload(answer: &Element) -> &Element {
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    answer.elements().next().unwrap()
}

/// The features that a disco#info answer names.
fn features(info: &Element) -> BTreeSet<String> {
    let features = info
        .elements()
        .filter(|element| element.is("feature", INFO));
    features
        .filter_map(|feature| feature.attr("var").map(str::to_owned))
        .collect()
}

#[test]
fn the_manual_names_what_disco_announces() {
    let server = Setup::new().shipped_scripts().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/services.md");
    let page = fs::read_to_string(page).unwrap();
    let told: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    let query = format!("<query xmlns='{INFO}'/>");
    let answer = iq(&mut alice, "get", "localhost", &query);
    assert_eq!(features(payload(&answer)), told);
}

#[test]
fn streams_announce_roster_versions_and_pre_approval() {
    let server = Setup::new().shipped_scripts().start();
    server.users(&["alice"]);
    let told = features_after_login(&server, "alice");
    for (name, namespace) in [
        ("ver", "urn:xmpp:features:rosterver"),
        ("sub", "urn:xmpp:features:pre-approval"),
    ] {
        assert!(told.child(name, namespace).is_some(), "{told}");
    }
}

/// The stream features after the login.
fn features_after_login(server: &Server, user: &str) -> Element {
    let login = Login::direct(server.direct(), user);
    let mut client = Client::connect(login.addr, login.via).unwrap();
    client.features().unwrap();
    client.authenticate(&login).unwrap();
    client.open().unwrap();
    client.features().unwrap()
}

#[test]
fn accounts_show_no_items_to_others_whether_they_exist_or_not() {
    let server = Server::start();
    server.users(&["alice", "bob"]);
    let mut alice = online(&server, "alice");
    let _bob = online(&server, "bob");
    // XEP-0030 §8: an empty list, not an error.
    for to in ["bob@localhost", "nobody@localhost"] {
        for node in ["", " node='music'"] {
            let query = format!("<query xmlns='http://jabber.org/protocol/disco#items'{node}/>");
            let answer = iq(&mut alice, "get", to, &query);
            let items = payload(&answer);
            assert_eq!(items.elements().count(), 0, "{answer}");
            let told = (!node.is_empty()).then_some("music");
            assert_eq!(items.attr("node"), told, "{answer}");
        }
        let query = format!("<query xmlns='{INFO}'/>");
        let answer = iq(&mut alice, "get", to, &query);
        assert_eq!(condition(&answer), "service-unavailable", "{to}");
    }
}

#[test]
fn capabilities_are_the_hash_of_what_disco_answers() {
    let server = Server::start();
    server.users(&["alice"]);
    let told = features_after_login(&server, "alice");
    let caps = told
        .child("c", "http://jabber.org/protocol/caps")
        .unwrap_or_else(|| panic!("{told}"));
    assert_eq!(caps.attr("hash"), Some("sha-1"));
    let (node, ver) = (caps.attr("node").unwrap(), caps.attr("ver").unwrap());

    let mut alice = online(&server, "alice");
    let query = |node: &str| format!("<query xmlns='{INFO}' node='{node}'/>");
    let hashed = format!("{node}#{ver}");
    let answer = iq(&mut alice, "get", "localhost", &query(&hashed));
    let info = payload(&answer);
    assert_eq!(info.attr("node"), Some(&*hashed));
    // XEP-0115 §5.4: as a client checks it.
    let identity = info.child("identity", INFO).unwrap();
    let part = |key: &str| identity.attr(key).unwrap_or_default();
    let mut text = format!("{}/{}//{}<", part("category"), part("type"), part("name"));
    for feature in features(info) {
        text += &format!("{feature}<");
    }
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    assert_eq!(STANDARD.encode(hash), ver);
    let plain = iq(
        &mut alice,
        "get",
        "localhost",
        &format!("<query xmlns='{INFO}'/>"),
    );
    assert_eq!(features(payload(&plain)), features(info));

    for (to, node) in [
        ("localhost", node),
        ("localhost", &*format!("{node}#AAAA")),
        ("alice@localhost", &*hashed),
    ] {
        let answer = iq(&mut alice, "get", to, &query(node));
        assert_eq!(condition(&answer), "item-not-found", "{to} {node}");
    }
    let own = iq(
        &mut alice,
        "get",
        "alice@localhost",
        &format!("<query xmlns='{INFO}'/>"),
    );
    let own = payload(&own).child("identity", INFO).unwrap();
    assert_eq!(
        (own.attr("category"), own.attr("type")),
        (Some("account"), Some("registered"))
    );
}

#[test]
fn a_script_announces_what_it_does_for_as_long_as_it_is_live() {
    let setup =
        Setup::new().config("scriptlet \"scriptlet\" { script \"own\" { source = \"own\" } }\n");
    let file = setup.scripts().join("own.lua");
    fs::create_dir_all(setup.scripts()).unwrap();
    fs::write(
        &file,
        "xmpp.feature('urn:own')\nxmpp.streamFeature('own', 'urn:own:1')\n",
    )
    .unwrap();
    let server = setup.start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut announced = || {
        let told = features_after_login(&server, "alice");
        let caps = told.child("c", "http://jabber.org/protocol/caps").unwrap();
        let query = format!(
            "<query xmlns='{INFO}' node='{}#{}'/>",
            caps.attr("node").unwrap(),
            caps.attr("ver").unwrap()
        );
        let answer = iq(&mut alice, "get", "localhost", &query);
        let disco = features(payload(&answer)).contains("urn:own");
        (told.child("own", "urn:own:1").is_some(), disco)
    };
    assert_eq!(announced(), (true, true));

    let place = server.log().place();
    fs::write(&file, "\n").unwrap();
    let live = |line: &str| line.contains("generation 2 live");
    server.log().wait_from(place, "generation 2", live);
    assert_eq!(announced(), (false, false));
}

#[test]
fn private_xml_is_kept_by_its_name_and_namespace() {
    let mut server = Server::start();
    server.users(&["alice", "bob"]);
    let query = |inner: &str| format!("<query xmlns='jabber:iq:private'>{inner}</query>");
    let shelf = "<shelf xmlns='urn:example:shelf'/>";
    let full = "<shelf xmlns='urn:example:shelf'><jar label='a &amp; b'>ü</jar></shelf>";
    let other = "<shelf xmlns='urn:example:other'/>";
    {
        let mut alice = online(&server, "alice");
        let empty = iq(&mut alice, "get", "", &query(shelf));
        let asked = payload(&empty).elements().next().unwrap();
        assert!(asked.is("shelf", "urn:example:shelf") && asked.children().is_empty());
        let set = iq(&mut alice, "set", "alice@localhost", &query(full));
        assert!(set.elements().next().is_none(), "{set}");
    }
    // What was acknowledged is on the disk.
    server.kill();
    server.restart();
    let mut alice = online(&server, "alice");
    let kept = iq(&mut alice, "get", "", &query(shelf));
    let kept = payload(&kept).elements().next().unwrap().to_string();
    assert_eq!(
        kept,
        Element::parse(full.as_bytes(), "", &[])
            .unwrap()
            .to_string()
    );
    let nothing = iq(&mut alice, "get", "", &query(other));
    assert!(
        payload(&nothing)
            .elements()
            .next()
            .unwrap()
            .children()
            .is_empty()
    );
    // An empty element takes the place of the full one.
    payload_is_empty(&iq(&mut alice, "set", "", &query(shelf)));
    let gone = iq(&mut alice, "get", "", &query(shelf));
    assert!(
        payload(&gone)
            .elements()
            .next()
            .unwrap()
            .children()
            .is_empty()
    );

    for bad in ["", "<a xmlns='urn:x'/><b xmlns='urn:x'/>"] {
        let answer = iq(&mut alice, "get", "", &query(bad));
        assert_eq!(condition(&answer), "not-acceptable", "{bad}");
    }
    let answer = iq(&mut alice, "set", "", &query("<no-namespace-of-its-own/>"));
    assert_eq!(condition(&answer), "not-acceptable");
    // Of somebody else, or of nobody: alike.
    let mut bob = online(&server, "bob");
    for of in ["alice@localhost", "nobody@localhost"] {
        for type_ in ["get", "set"] {
            let answer = iq(&mut bob, type_, of, &query(full));
            assert_eq!(condition(&answer), "forbidden", "{type_} {of}");
        }
    }
}

fn payload_is_empty(answer: &Element) {
    assert_eq!(answer.attr("type"), Some("result"), "{answer}");
    assert!(answer.elements().next().is_none(), "{answer}");
}

#[test]
fn t64_what_a_user_may_keep_is_bounded() {
    let server = Setup::new()
        .config("private_max_size = 2048\nprivate_max_elements = 3\nvcard_max_size = 2048\n")
        .start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut set = |number: usize, bytes: usize| {
        let text = "x".repeat(bytes);
        let query = format!(
            "<query xmlns='jabber:iq:private'><a xmlns='urn:x:{number}'>{text}</a></query>"
        );
        iq(&mut alice, "set", "", &query)
    };
    assert_eq!(condition(&set(1, 3000)), "not-acceptable");
    for number in 0..3 {
        payload_is_empty(&set(number, 1000));
    }
    assert_eq!(condition(&set(3, 1)), "resource-constraint");
    // In place of one that is there, it fits.
    payload_is_empty(&set(2, 1500));
    let many: String = (0..17).map(|n| format!("<a xmlns='urn:m:{n}'/>")).collect();
    let query = format!("<query xmlns='jabber:iq:private'>{many}</query>");
    let answer = iq(&mut alice, "set", "", &query);
    assert_eq!(condition(&answer), "not-acceptable");
    let long = format!(
        "<query xmlns='jabber:iq:private'><a xmlns='urn:{}' b=''/></query>",
        "x".repeat(2000)
    );
    let answer = iq(&mut alice, "set", "", &long);
    assert_eq!(condition(&answer), "not-acceptable");
    let card = format!(
        "<vCard xmlns='vcard-temp'><FN>{}</FN></vCard>",
        "x".repeat(2048)
    );
    let answer = iq(&mut alice, "set", "", &card);
    assert_eq!(condition(&answer), "not-acceptable");
}

#[test]
fn a_card_is_for_everybody_and_of_its_owner() {
    let server = Server::start();
    server.users(&["alice", "bob", "carol"]);
    let mut alice = online(&server, "alice");
    let mut bob = online(&server, "bob");
    let none = "<vCard xmlns='vcard-temp'/>";
    let card = "<vCard xmlns='vcard-temp'><FN>Alice Liddell</FN></vCard>";
    let own = iq(&mut alice, "get", "", none);
    assert_eq!(condition(&own), "item-not-found");
    payload_is_empty(&iq(&mut alice, "set", "", card));
    for (bobs, to) in [
        (true, "alice@localhost"),
        (false, "alice@localhost"),
        (false, ""),
    ] {
        let client = if bobs { &mut bob } else { &mut alice };
        let answer = iq(client, "get", to, none);
        assert_eq!(
            payload(&answer).child("FN", "vcard-temp").unwrap().text(),
            "Alice Liddell"
        );
        let from = answer.attr("from");
        assert_eq!(from, Some("alice@localhost").filter(|_| !to.is_empty()));
    }
    for of in ["alice@localhost", "nobody@localhost"] {
        let answer = iq(
            &mut bob,
            "set",
            of,
            "<vCard xmlns='vcard-temp'><FN>X</FN></vCard>",
        );
        assert_eq!(condition(&answer), "forbidden");
    }
    // Who has no card, and who does not exist: alike (XEP-0054 §3.3).
    let of = |bob: &mut _, user: &str| {
        let answer = iq(bob, "get", &format!("{user}@localhost"), none);
        assert_eq!(condition(&answer), "service-unavailable");
        answer.to_string().replace(user, "USER")
    };
    assert_eq!(of(&mut bob, "carol"), of(&mut bob, "nobody"));
    payload_is_empty(&iq(&mut alice, "set", "", none));
    assert_eq!(of(&mut bob, "alice"), of(&mut bob, "nobody"));
}

#[test]
fn answers_that_wait_keep_their_order() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let card = "<vCard xmlns='vcard-temp'><FN>A</FN></vCard>";
    let xml: String = (0..20)
        .map(|n| match n % 2 {
            0 => format!("<iq type='set' id='n{n}'>{card}</iq>"),
            _ => format!(
                "<iq type='get' id='n{n}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
            ),
        })
        .collect();
    alice.send(&xml).unwrap();
    for n in 0..20 {
        let answer = alice.expect("an answer", |element| element.name() == "iq");
        assert_eq!(answer.unwrap().attr("id"), Some(&*format!("n{n}")));
    }
}
