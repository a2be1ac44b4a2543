//! Acknowledgements on a stream (XEP-0198 §3, §4), with 4 workers: the two who talk land on different ones.

use stanzad::xml::Element;

use crate::harness::{Client, Login, PATIENCE, Server, Setup};

pub const SM: &str = "urn:xmpp:sm:3";

pub fn start(config: &str) -> Server {
    let server = Setup::new().workers(4).config(config).start();
    server.users(&["romeo", "juliet"]);
    server
}

pub fn login(server: &Server, user: &str) -> Client {
    Client::login(&Login::direct(server.direct(), user).resource("r")).unwrap()
}

/// Logged in, available, with acknowledgements; answers of the server's before that are read.
pub fn managed(server: &Server, user: &str) -> Client {
    let mut client = Client::online(&Login::direct(server.direct(), user).resource("r")).unwrap();
    assert!(client.kept.is_empty(), "{:?}", client.kept);
    client.send("<enable xmlns='urn:xmpp:sm:3'/>").unwrap();
    sm(&mut client, "enabled");
    client
}

/// The next element of stream management, which must be of that name.
pub fn sm(client: &mut Client, name: &str) -> Element {
    let element = client
        .expect("element of stream management", |element| {
            element.ns() == SM && element.name() != "r"
        })
        .unwrap();
    assert_eq!(element.name(), name, "{element}");
    element
}

/// `<r/>`, and the `h` of its answer.
pub fn handled(client: &mut Client) -> u32 {
    client.send("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
    h(&sm(client, "a"))
}

pub fn h(ack: &Element) -> u32 {
    ack.attr("h").unwrap().parse().unwrap()
}

pub fn ack(client: &mut Client, h: u32) {
    client
        .send(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"))
        .unwrap();
}

/// Reads messages up to the one of that id, which is the last of `ids`.
pub fn messages(client: &mut Client, ids: &[&str]) -> Vec<Element> {
    ids.iter()
        .map(|id| {
            let message = client.message().unwrap();
            assert_eq!(message.attr("id"), Some(*id), "{message}");
            message
        })
        .collect()
}

pub fn ids(messages: &[Element]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.attr("id").unwrap())
        .collect()
}

fn ping(client: &mut Client) {
    let answers = client.drain().unwrap();
    assert!(answers.is_empty(), "{answers:?}");
}

#[test]
fn stanzas_are_counted_from_enabling_on_and_nothing_else_is() {
    let server = start("");
    let mut romeo = login(&server, "romeo");
    ping(&mut romeo);
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>").unwrap();
    let enabled = sm(&mut romeo, "enabled");
    assert_eq!(enabled.attr("id"), None, "nobody asked to resume");
    assert_eq!(handled(&mut romeo), 0);
    assert_eq!(handled(&mut romeo), 0);
    romeo
        .send(
            "<presence/> <r xmlns='urn:xmpp:sm:3'/>\n\
             <iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>\
             <message to='juliet@localhost' id='2'><body>2</body></message>\
             <r xmlns='urn:xmpp:sm:3'/>",
        )
        .unwrap();
    assert_eq!(h(&sm(&mut romeo, "a")), 1);
    assert_eq!(h(&sm(&mut romeo, "a")), 3);
    // What is refused is handled: an unknown user, an iq without an id, an address that is none.
    romeo
        .send(
            "<message to='nobody@localhost' id='3'><body>3</body></message>\
             <iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>\
             <message to='@@' id='5'><body>5</body></message><r xmlns='urn:xmpp:sm:3'/>",
        )
        .unwrap();
    assert_eq!(h(&sm(&mut romeo, "a")), 6);
    romeo.close().unwrap();
}

#[test]
fn it_is_enabled_once_and_not_before_there_is_a_session() {
    let server = start("");
    let login = Login::direct(server.direct(), "romeo");
    let mut romeo = Client::connect(login.addr, login.via).unwrap();
    romeo.features().unwrap();
    let refused = |romeo: &mut Client, xml: &str| {
        romeo.send(xml).unwrap();
        let failed = sm(romeo, "failed");
        assert!(
            failed.to_string().contains("<unexpected-request "),
            "{xml}: {failed}"
        );
    };
    refused(&mut romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    romeo.authenticate(&login).unwrap();
    romeo.open().unwrap();
    let features = romeo.features().unwrap();
    assert!(features.child("sm", SM).is_some(), "{features}");
    refused(&mut romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    refused(&mut romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    let bound = romeo
        .ask(
            "b",
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        )
        .unwrap();
    assert_eq!(bound.attr("type"), Some("result"));
    refused(&mut romeo, "<r xmlns='urn:xmpp:sm:3'/>");
    refused(&mut romeo, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>").unwrap();
    sm(&mut romeo, "enabled");
    refused(&mut romeo, "<enable xmlns='urn:xmpp:sm:3'/>");
    refused(
        &mut romeo,
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
    );
    assert_eq!(handled(&mut romeo), 0, "the stream goes on");
}

#[test]
fn t33_who_acknowledges_what_it_was_not_sent_is_closed_and_told_the_numbers() {
    let server = start("");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = login(&server, "romeo");
    romeo.say("juliet@localhost/r", "1", "one").unwrap();
    messages(&mut juliet, &["1"]);
    ack(&mut juliet, 3);
    let error = juliet
        .expect("stream error", |element| element.name() == "error")
        .unwrap();
    let text = error.to_string();
    assert!(text.contains("<undefined-condition "), "{text}");
    let too_high = error.child("handled-count-too-high", SM).unwrap();
    assert_eq!(too_high.attr("h"), Some("3"));
    assert_eq!(too_high.attr("send-count"), Some("1"));
    // Nothing was acknowledged.
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), ["1"]);
}

#[test]
fn the_server_asks_behind_what_it_sends_and_again_while_something_is_owed() {
    let server = start("");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = login(&server, "romeo");
    let asked = |juliet: &mut Client| {
        juliet
            .expect("request", |element| {
                element.name() == "r" && element.ns() == SM
            })
            .unwrap();
    };
    romeo.say("juliet@localhost/r", "1", "one").unwrap();
    messages(&mut juliet, &["1"]);
    asked(&mut juliet);
    romeo.say("juliet@localhost/r", "2", "two").unwrap();
    messages(&mut juliet, &["2"]);
    // One request is out; this answers it, and the rest is asked for.
    ack(&mut juliet, 1);
    asked(&mut juliet);
    ack(&mut juliet, 2);
    let quiet = juliet.next_within(PATIENCE / 60).unwrap();
    assert!(quiet.is_none(), "nothing is owed: {quiet:?}");
}

#[test]
fn what_is_not_acknowledged_comes_again_in_order_and_what_is_does_not() {
    let server = start("");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = login(&server, "romeo");
    let to = "juliet@localhost";
    for id in ["1", "2", "3", "4"] {
        romeo.say(to, id, "said").unwrap();
    }
    let seen = messages(&mut juliet, &["1", "2", "3", "4"]);
    assert!(seen[0].child("delay", "urn:xmpp:delay").is_none());
    ack(&mut juliet, 2);
    // The acknowledgement is read before the end of the stream.
    juliet.close().unwrap();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), ["3", "4"]);
    for message in &juliet.kept {
        assert!(
            message.child("delay", "urn:xmpp:delay").is_some(),
            "{message}"
        );
    }
    juliet.close().unwrap();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert!(juliet.kept.is_empty(), "each once: {:?}", juliet.kept);
}

/// The recipient's client has it and says nothing: so it must be on disk before its sender hears that it is safe.
#[test]
fn a_sender_is_told_when_the_recipient_has_acknowledged_or_the_disk_has_it() {
    let mut server = start("");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    for id in ["1", "2", "3"] {
        romeo.say("juliet@localhost", id, "said").unwrap();
    }
    messages(&mut juliet, &["1", "2", "3"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut romeo), 3);
    ping(&mut juliet);
    server.kill();
    server.restart();
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    let kept = ids(&juliet.kept);
    assert!(
        kept == ["2", "3"] || kept == ["1", "2", "3"],
        "all but perhaps the first, which was acknowledged: {kept:?}"
    );
}

#[test]
fn t34_who_never_acknowledges_is_bounded_and_closed() {
    let server = start("sm_unacked_max = 10\noutbox_stall = 1\n");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = login(&server, "romeo");
    let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    for id in &numbers {
        romeo.say("juliet@localhost", id, "said").unwrap();
        ping(&mut romeo);
    }
    // She reads everything, and is given no more than she may owe.
    let mut came = Vec::new();
    let error = loop {
        let element = juliet.expect("element", |_| true).unwrap();
        match element.name() {
            "message" => came.push(element),
            "error" => break element,
            _ => {}
        }
    };
    assert!(error.to_string().contains("<policy-violation "), "{error}");
    // What was on its way when she owed too much came too.
    let came = ids(&came);
    assert!(came.len() >= 10 && came.len() < numbers.len(), "{came:?}");
    assert_eq!(came, numbers[..came.len()]);
    let juliet = Client::online(&Login::direct(server.direct(), "juliet")).unwrap();
    assert_eq!(ids(&juliet.kept), numbers, "all of it, once and in order");
}

#[test]
fn who_acknowledges_gets_more_than_it_may_owe_once_and_in_order() {
    let server = start("sm_unacked_max = 10\n");
    let mut juliet = managed(&server, "juliet");
    let mut romeo = login(&server, "romeo");
    let sender = std::thread::spawn(move || {
        for n in 0..200 {
            romeo
                .say("juliet@localhost", &n.to_string(), "said")
                .unwrap();
        }
        ping(&mut romeo);
        romeo
    });
    for n in 0..200 {
        messages(&mut juliet, &[&n.to_string()]);
        ack(&mut juliet, n + 1);
    }
    let mut romeo = sender.join().unwrap();
    ping(&mut romeo);
    ping(&mut juliet);
}

/// A message "wait" waits until somebody has said "go".
pub const GATE: &str = r#"
hook("client_message_recv", 100, function(sess, stanza)
  local said = stanza:body()
  if said == "go" then
    kv.set("gone", "1")
    return xmpp.DONE
  end
  while said == "wait" and not kv.get("gone") do timer.sleep(0.2) end
end)
"#;

pub fn start_gated() -> Server {
    let setup = Setup::new().workers(4).config(
        "hook_wait = 60\nscript_cpu_budget = 1000\nscriptlet \"scriptlet\" { script \"gate\" { source = \"gate\" } }\n",
    );
    std::fs::create_dir_all(setup.scripts()).unwrap();
    std::fs::write(setup.scripts().join("gate.lua"), GATE).unwrap();
    let server = setup.start();
    server.users(&["romeo", "juliet"]);
    server
}

#[test]
fn requests_are_answered_while_a_hook_waits_and_again_when_it_is_done() {
    let server = start_gated();
    let mut juliet = managed(&server, "juliet");
    let mut romeo = managed(&server, "romeo");
    romeo.say("juliet@localhost", "1", "quick").unwrap();
    messages(&mut juliet, &["1"]);
    ack(&mut juliet, 1);
    assert_eq!(handled(&mut romeo), 1);
    romeo.say("juliet@localhost", "2", "wait").unwrap();
    romeo.say("juliet@localhost", "3", "quick").unwrap();
    assert_eq!(handled(&mut romeo), 1, "how far it is by now");
    juliet.say("romeo@localhost", "go", "go").unwrap();
    assert_eq!(h(&sm(&mut romeo, "a")), 3, "and when it is done, unasked");
    messages(&mut juliet, &["2", "3"]);
}
