//! External components (XEP-0114), as the operator lists and ends them and as service discovery names them.

use std::fs;

use serde_json::Value;
use stanzad::xml::Element;

use crate::attacks::{ask, condition, ends_with, online, until};
use crate::components::{GATEWAY, body, gateway, next, setup};
use crate::harness::{Client, Server, Via};

const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// What `stanzactl --json` answers.
fn json(server: &Server, args: &[&str]) -> Value {
    let ended = server.ctl(&[&["--json"], args].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The row of that component.
fn listed(server: &Server, jid: &str) -> Value {
    let rows = json(server, &["component", "list"]);
    let mut rows = rows.as_array().unwrap().iter();
    let found = rows.find(|row| row["jid"] == jid);
    found.unwrap_or_else(|| panic!("no {jid}")).clone()
}

fn other(server: &Server) -> Client {
    Client::component(server.direct(), Via::Direct, "other.localhost", "psst").unwrap()
}

#[test]
fn components_are_listed_connected_or_not() {
    let server = setup().start();
    let absent = listed(&server, GATEWAY);
    assert_eq!(absent["connected"], false, "{absent:#}");
    for key in ["id", "address", "tls", "worker", "since", "waiting_bytes"] {
        assert!(absent[key].is_null(), "{key} of {absent:#}");
    }

    let gw = gateway(&server);
    let _other = other(&server);
    let there = listed(&server, GATEWAY);
    assert_eq!(there["connected"], true, "{there:#}");
    assert!(there["tls"].is_null(), "{there:#}");
    let address = there["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0."), "{address}");
    for key in ["id", "worker", "age_seconds", "waiting_bytes"] {
        assert!(there[key].is_u64(), "{key} of {there:#}");
    }
    assert!(there["since"].as_str().unwrap().ends_with('Z'), "{there:#}");
    let inside_tls = listed(&server, "other.localhost");
    assert_eq!(inside_tls["tls"], "TLSv1.3", "{inside_tls:#}");
    assert_ne!(inside_tls["id"], there["id"]);

    let shown = server.ctl(&["component", "list"]).stdout;
    assert!(shown.contains("COMPONENT"), "{shown}");
    assert!(shown.contains(GATEWAY), "{shown}");
    // They are no sessions of users.
    assert_eq!(json(&server, &["session", "list"]), Value::Array(vec![]));

    gw.close().unwrap();
    until("the gateway has gone", || {
        listed(&server, GATEWAY)["connected"] == false
    });
}

#[test]
fn a_kicked_component_is_told_why_and_may_come_back() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut gw = gateway(&server);
    let kick = ["component", "kick", GATEWAY, "time", "<to>", "go"];
    assert_eq!(json(&server, &kick)["jid"], GATEWAY);
    let error = next(&mut gw, "error");
    assert!(
        error.child("policy-violation", STREAMS).is_some(),
        "{error}"
    );
    let text = error.child("text", STREAMS).unwrap();
    assert_eq!(text.text(), "time <to> go");

    let mut gw = gateway(&server);
    alice.say(GATEWAY, "m", "still?").unwrap();
    assert_eq!(body(&next(&mut gw, "message")), "still?");
    json(&server, &["component", "kick", GATEWAY]);
    assert_eq!(ends_with(&mut gw), "policy-violation");

    until("the gateway has gone", || {
        listed(&server, GATEWAY)["connected"] == false
    });
    for nobody in [GATEWAY, "localhost", "nobody.localhost"] {
        let refused = server.ctl(&["component", "kick", nobody]);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains(nobody), "{}", refused.stderr);
    }
}

#[test]
fn service_discovery_names_the_components_that_are_connected() {
    let server = setup()
        .config("Domain \"second.example\" { XMPP_Role = \"server\" }\n")
        .start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut items = |domain: &str| {
        let query = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
        let answer = ask(
            &mut alice,
            &format!("<iq type='get' id='q' to='{domain}'>{query}</iq>"),
        );
        assert_eq!(answer.attr("type"), Some("result"), "{answer}");
        let query = answer.elements().next().unwrap();
        let jids = query
            .elements()
            .filter_map(|item: &Element| item.attr("jid"));
        jids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(items("localhost").is_empty());
    let gw = gateway(&server);
    assert_eq!(items("localhost"), [GATEWAY]);
    let _other = other(&server);
    assert_eq!(items("localhost"), [GATEWAY, "other.localhost"]);
    assert!(
        items("second.example").is_empty(),
        "they are below localhost"
    );
    gw.close().unwrap();
    until("the gateway has gone", || {
        items("localhost") == ["other.localhost"]
    });
}

#[test]
fn a_reload_ends_components_that_have_gone_or_have_another_secret() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let file = server.setup().directory().join("stanzad.conf");
    let mut gw = gateway(&server);
    let mut stays = other(&server);
    let ping = "<iq type='get' id='q' from='other.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    let reload = |old: &str, new: &str| {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(&file, text.replace(old, new)).unwrap();
        json(&server, &["config", "reload"]);
    };

    reload("secret = \"hush\"", "secret = \"hush now\"");
    assert_eq!(ends_with(&mut gw), "not-authorized");
    let refused = Client::component(server.plain(), Via::Plain, GATEWAY, "hush");
    let told = refused.err().map(|error| error.to_string());
    assert!(told.is_some_and(|told| told.contains("not-authorized")));
    let mut gw = Client::component(server.plain(), Via::Plain, GATEWAY, "hush now").unwrap();
    assert_eq!(ask(&mut stays, ping).attr("type"), Some("result"));

    // What does not concern it leaves it alone.
    reload("admins = ( \"alice@localhost\" )", "");
    let place = server.log().place();
    alice.say(GATEWAY, "m", "still?").unwrap();
    assert_eq!(body(&next(&mut gw, "message")), "still?");

    reload("component \"gw.localhost\" { secret = \"hush now\" }\n", "");
    assert_eq!(ends_with(&mut gw), "host-gone");
    server.log().wait_from(place, "its end", |line| {
        line.contains("gw.localhost") && line.contains("its domain is not served any more")
    });
    let wrong = "its secret has changed";
    let lines = server.log().all();
    assert!(lines.iter().skip(place).all(|line| !line.contains(wrong)));
    let refused = Client::component(server.plain(), Via::Plain, GATEWAY, "hush now");
    let told = refused.err().map(|error| error.to_string());
    assert!(told.is_some_and(|told| told.contains("host-unknown")));
    alice.say(GATEWAY, "m", "and now?").unwrap();
    assert_eq!(
        condition(&alice.message().unwrap()),
        "remote-server-not-found"
    );
    assert_eq!(ask(&mut stays, ping).attr("type"), Some("result"));
}
