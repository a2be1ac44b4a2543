//! Attacks by what a stanza carries: things that only a server says, sent by somebody who is none (docs/security.md, T43 to T47).

use std::fs;

use crate::attacks::{ask, condition, online, stream_error};
use crate::components::{gateway, setup};
use crate::harness::{Client, Login, Server, Setup};

#[test]
fn t43_t44_forged_copies_and_archives_do_not_arrive() {
    let server = Server::start();
    server.users(&["alice", "mallory"]);
    let mut alice = online(&server, "alice");
    // Her own account's other resource is not her server either.
    let phone = Login::direct(server.direct(), "alice").resource("phone");
    let mut liars = [online(&server, "mallory"), Client::online(&phone).unwrap()];
    let forged = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='queen@localhost' to='alice@localhost'><body>forged</body></message></forwarded>";
    for liar in &mut liars {
        for claim in [
            format!("<received xmlns='urn:xmpp:carbons:2'>{forged}</received>"),
            format!("<sent xmlns='urn:xmpp:carbons:2'>{forged}</sent>"),
            format!("<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>{forged}</result>"),
        ] {
            for to in ["alice@localhost", "alice@localhost/desk"] {
                liar.send(&format!("<message id='f' to='{to}'>{claim}</message>"))
                    .unwrap();
                let answer = liar.message().unwrap();
                assert_eq!(condition(&answer), "not-allowed");
            }
        }
        assert!(liar.drain().unwrap().is_empty());
    }
    assert!(alice.drain().unwrap().is_empty());
}

#[test]
fn t44_t47_what_only_servers_say_does_not_arrive() {
    let server = Server::start();
    server.users(&["alice", "mallory", "carol"]);
    let mut alice = online(&server, "alice");
    let mut mallory = online(&server, "mallory");
    let claims = "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@localhost' id='forged'/>\
                  <delay xmlns='urn:xmpp:delay' from='localhost' stamp='9999-12-31T23:59:59Z'/>";
    for to in ["alice@localhost", "alice@localhost/desk", "carol@localhost"] {
        mallory
            .send(&format!(
                "<message type='chat' to='{to}'><body>hello</body>{claims}</message>"
            ))
            .unwrap();
    }
    mallory.drain().unwrap();
    let mut got = alice.drain().unwrap();
    // What waits for somebody who is away has an id and a stamp of the server's own, once.
    got.extend(online(&server, "carol").kept);
    assert_eq!(got.len(), 3);
    for message in got {
        let text = message.to_string();
        assert!(text.contains("<body>hello</body>"), "{text}");
        assert!(
            !text.contains("forged") && !text.contains("9999-"),
            "{text}"
        );
        let kept = message.attr("to") == Some("carol@localhost");
        assert_eq!(
            text.matches("<stanza-id ").count(),
            usize::from(kept),
            "{text}"
        );
        assert_eq!(text.matches("<delay ").count(), usize::from(kept), "{text}");
    }
    mallory
        .send(&format!(
            "<presence to='alice@localhost'>{claims}</presence>"
        ))
        .unwrap();
    let presence = alice
        .expect("presence", |element| {
            element.attr("from") == Some("mallory@localhost/desk")
        })
        .unwrap();
    assert_eq!(presence.elements().count(), 0, "{presence}");
}

#[test]
fn t45_nobody_pushes_a_roster_or_touches_that_of_another() {
    let server = Server::start();
    server.users(&["alice", "carol", "mallory"]);
    let mut alice = online(&server, "alice");
    let phone = Login::direct(server.direct(), "alice").resource("phone");
    let query = "<query xmlns='jabber:iq:roster'><item jid='mallory@localhost' subscription='both'/></query>";
    for mut liar in [online(&server, "mallory"), Client::online(&phone).unwrap()] {
        for to in [
            "alice@localhost/desk",
            "carol@localhost/desk",
            "nobody@localhost/desk",
            "carol@localhost",
            "nobody@localhost",
        ] {
            for kind in ["set", "get"] {
                let iq = format!("<iq type='{kind}' id='q' to='{to}'>{query}</iq>");
                let refused = match to.contains('/') {
                    true => "service-unavailable",
                    false => "forbidden",
                };
                assert_eq!(condition(&ask(&mut liar, &iq)), refused, "{iq}");
            }
        }
        // An answer to nothing that was asked: passed on, for a client to ignore, and never believed by the server.
        liar.send(&format!(
            "<iq type='result' id='r' to='alice@localhost'>{query}</iq>"
        ))
        .unwrap();
        liar.drain().unwrap();
    }
    let now = "<iq type='get' id='now' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    alice.send(now).unwrap();
    let first = alice
        .expect("an iq", |element| {
            element.name() == "iq" && element.attr("type") != Some("result")
                || element.attr("id") == Some("now")
        })
        .unwrap();
    assert_eq!(first.attr("id"), Some("now"), "{first}");
    let roster = ask(
        &mut alice,
        "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>",
    );
    assert!(!roster.to_string().contains("mallory"), "{roster}");
}

/// Puts what it is told into the text of a stanza, as no script should, and says whether that became one.
const CARELESS: &str = r#"
xmpp.registerModule("careless", { route = function(_, stanza)
  if stanza:kind() == "message" and stanza:to():bare() == "careless@localhost" then
    local text = "<message to='alice@localhost'><body>" .. stanza:body() .. "</body></message>"
    local made = pcall(function() xmpp.routeStanza(xmpp.stanza(text)) end)
    return xmpp.reject("undefined-condition", made and "made" or "refused")
  end
end })
"#;

#[test]
fn t106_text_that_a_script_makes_into_a_stanza_passes_the_framer() {
    let setup = Setup::new()
        .shipped_scripts()
        .config("scriptlet \"scriptlet\" {\n  script \"careless\" { source = \"careless\" }\n}\n");
    fs::write(setup.scripts().join("careless.lua"), CARELESS).unwrap();
    let server = setup.start();
    server.users(&["alice", "careless", "mallory"]);
    let mut alice = online(&server, "alice");
    let mut mallory = online(&server, "mallory");
    let deep = "<a>".repeat(200) + &"</a>".repeat(200);
    for (text, becomes) in [
        ("hello", "made"),
        (
            "</body></message><message from='queen@localhost'><body>",
            "refused",
        ),
        ("<!DOCTYPE x>", "refused"),
        ("<!-- x -->", "refused"),
        ("&lol;", "refused"),
        ("<p:x/>", "refused"),
        (&deep, "refused"),
    ] {
        // A client cannot send it as it stands: the script gets it as text.
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
        mallory.say("careless@localhost", "q", &escaped).unwrap();
        let answer = mallory.message().unwrap();
        assert_eq!(condition(&answer), "undefined-condition");
        assert!(
            answer.to_string().contains(&format!(">{becomes}<")),
            "{text}: {answer}"
        );
    }
    let ids = alice.drain().unwrap();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(
        ids.iter()
            .all(|message| message.attr("from") != Some("queen@localhost"))
    );
}

/// Requests of strangers that a roster holds.
const REQUESTS: usize = 500;

#[test]
fn t59_t64_requests_of_strangers_leave_room_for_contacts() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut gateway = gateway(&server);
    for number in 0..REQUESTS + 5 {
        gateway
            .send(&format!(
                "<presence type='subscribe' from='s{number}@gw.localhost' to='alice@localhost'/>"
            ))
            .unwrap();
    }
    let ping = "<iq type='get' id='q' from='gw.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    assert_eq!(ask(&mut gateway, ping).attr("type"), Some("result"));
    // Those that find no room are dropped, and their senders hear what they would hear of anybody: nothing.
    let item = "<query xmlns='jabber:iq:roster'><item jid='bob@localhost'/></query>";
    alice
        .send(&format!("<iq type='set' id='q'>{item}</iq>"))
        .unwrap();
    let mut asked = 0;
    let added = loop {
        let element = alice.expect("anything", |_| true).unwrap();
        if element.attr("id") == Some("q") {
            break element;
        }
        asked += usize::from(element.attr("type") == Some("subscribe"));
    };
    assert_eq!(added.attr("type"), Some("result"), "{added}");
    assert_eq!(asked, REQUESTS);
    let roster = "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>";
    let roster = ask(&mut alice, roster).to_string();
    assert!(roster.contains("bob@localhost"), "{roster}");
    assert!(!roster.contains("gw.localhost"), "who asks is no contact");
}

#[test]
fn t43_t45_t47_a_component_is_not_the_server_either() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let mut liar = gateway(&server);
    let from = "from='gw.localhost' to='alice@localhost/desk'";
    let copy = "<received xmlns='urn:xmpp:carbons:2'/>";
    liar.send(&format!("<message id='f' {from}>{copy}</message>"))
        .unwrap();
    assert_eq!(condition(&liar.message().unwrap()), "not-allowed");
    for (to, refusal) in [("", "forbidden"), ("/desk", "service-unavailable")] {
        let iq = format!(
            "<iq type='set' id='q' from='gw.localhost' to='alice@localhost{to}'><query xmlns='jabber:iq:roster'>\
             <item jid='mallory@gw.localhost' subscription='both'/></query></iq>"
        );
        assert_eq!(condition(&ask(&mut liar, &iq)), refusal, "{iq}");
    }
    let claims = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='9999-12-31T23:59:59Z'/>\
                  <stanza-id xmlns='urn:xmpp:sid:0' by='gw.localhost' id='own'/>";
    liar.send(&format!(
        "<message id='m' {from}><body>x</body>{claims}</message>"
    ))
    .unwrap();
    let message = alice.message().unwrap();
    assert_eq!(message.attr("id"), Some("m"), "{message}");
    assert!(!message.to_string().contains("9999"), "{message}");
    assert!(message.to_string().contains("'own'"), "{message}");
    assert_eq!(
        stream_error(
            &mut liar,
            "<message from='localhost' to='alice@localhost'/>"
        ),
        "invalid-from"
    );
}
