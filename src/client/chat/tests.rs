use super::*;

fn chat(to: Option<&str>) -> Chat {
    let me = Jid::new("alice@localhost/desk").unwrap();
    Chat::new(me, to.map(|to| Jid::new(to).unwrap()))
}

fn now() -> Zoned {
    let now: Timestamp = "2026-03-04T14:03:00Z".parse().unwrap();
    now.to_zoned(TimeZone::UTC)
}

fn element(xml: &str) -> Element {
    Element::parse(xml.as_bytes(), CLIENT_NS, &[]).unwrap()
}

/// What is sent, as XML, and what is shown, as text.
fn told(acts: Vec<Act>) -> Vec<String> {
    acts.into_iter()
        .map(|act| match act {
            Act::Send(element) => {
                let mut bytes = Vec::new();
                element.write_to(&mut bytes, CLIENT_NS);
                String::from_utf8(bytes).unwrap()
            }
            Act::Show(line) => line.shown(),
            other => format!("{other:?}"),
        })
        .collect()
}

fn typed(chat: &mut Chat, line: &str) -> String {
    told(chat.typed(line)).join("\n")
}

fn heard(chat: &mut Chat, xml: &str) -> String {
    told(chat.heard(&element(xml), &now())).join("\n")
}

#[test]
fn lines_go_to_the_address_that_is_set_or_to_the_one_they_name() {
    let mut chat = chat(None);
    assert_eq!(
        typed(&mut chat, "hi\n"),
        "to whom? `/to JID`, or `JID: text`"
    );
    assert_eq!(typed(&mut chat, " \n"), "");
    assert_eq!(
        typed(&mut chat, "bob@localhost: 1 < 2: true\r\n"),
        "<message type='chat' to='bob@localhost' id='m1'><body>1 &lt; 2: true</body></message>"
    );
    assert_eq!(
        typed(&mut chat, "/to Echo@localhost"),
        "what you type goes to echo@localhost"
    );
    assert_eq!(
        typed(&mut chat, "note: this is no address"),
        "<message type='chat' to='echo@localhost' id='m2'><body>note: this is no address</body></message>"
    );
    assert!(typed(&mut chat, "//to you").contains("<body>/to you</body>"));
    assert!(typed(&mut chat, "/me waves").contains("<body>/me waves</body>"));
    let long = "x".repeat(MESSAGE_BYTES + 1);
    assert!(typed(&mut chat, &long).starts_with("not sent: 60001 bytes"));
}

#[test]
fn commands_say_what_they_did_or_need() {
    let mut chat = chat(Some("bob@localhost"));
    assert_eq!(
        typed(&mut chat, "/add bob@localhost/phone"),
        "<presence to='bob@localhost' type='subscribe'/>\nasked bob@localhost/phone"
    );
    assert!(typed(&mut chat, "/accept bob@localhost").contains("type='subscribed'"));
    assert!(typed(&mut chat, "/deny bob@localhost").contains("type='unsubscribed'"));
    assert_eq!(
        typed(&mut chat, "/add"),
        "/add needs an address: /add bob@localhost"
    );
    assert!(typed(&mut chat, "/to a@b@c").starts_with("`a@b@c` is no address: "));
    assert_eq!(
        typed(&mut chat, "/nick x"),
        "there is no `/nick`; /help lists what there is"
    );
    assert_eq!(
        typed(&mut chat, "/who"),
        "nobody yet: /add JID asks somebody"
    );
    assert_eq!(chat.typed("/quit"), [Act::Quit]);
    assert!(typed(&mut chat, "/help").contains("\n/add JID"));
}

#[test]
fn messages_are_shown_with_time_and_sender() {
    let mut chat = chat(None);
    assert_eq!(
        heard(
            &mut chat,
            "<message from='bob@localhost/x' type='chat'><body>hi</body></message>"
        ),
        "14:03  bob@localhost: hi"
    );
    assert_eq!(
        heard(
            &mut chat,
            "<message from='bob@localhost/x'><composing/></message>"
        ),
        ""
    );
    let refused = "<message from='bob@localhost' type='error'><body>hi</body><error type='cancel'>\
                   <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    assert_eq!(
        heard(&mut chat, refused),
        "14:03  bob@localhost did not get your message: there is nobody of that address who takes it (service-unavailable)"
    );
}

#[test]
fn only_our_own_server_says_that_it_kept_a_message() {
    let mut chat = chat(None);
    let message = |by: &str| {
        format!(
            "<message from='bob@localhost/x'><body>hi</body>\
             <delay xmlns='urn:xmpp:delay' from='{by}' stamp='2020-01-02T12:00:00Z'/></message>"
        )
    };
    let kept = heard(&mut chat, &message("localhost"));
    assert!(
        kept.starts_with("Jan 02 ") && kept.ends_with("  (kept for you) bob@localhost: hi"),
        "{kept}"
    );
    assert_eq!(
        heard(&mut chat, &message("bob@localhost")),
        "14:03  bob@localhost: hi"
    );
}

#[test]
fn presence_is_told_in_words() {
    let mut chat = chat(None);
    let mut say = |xml: &str| heard(&mut chat, xml);
    assert_eq!(
        say("<presence from='alice@localhost/desk'/>"),
        "",
        "our own"
    );
    assert_eq!(say("<presence from='alice@localhost/phone'/>"), "");
    assert_eq!(
        say("<presence from='bob@localhost/x'/>"),
        "14:03  bob@localhost is online"
    );
    assert_eq!(
        say(
            "<presence from='bob@localhost/x'><show>dnd</show><status>at\u{9b}work\nnow</status></presence>"
        ),
        "14:03  bob@localhost is busy: at\u{fffd}work now"
    );
    assert_eq!(
        say("<presence from='bob@localhost/x' type='unavailable'/>"),
        "14:03  bob@localhost is offline"
    );
    assert_eq!(
        say("<presence from='eve@localhost' type='subscribe'/>"),
        "14:03  eve@localhost wants to see when you are online: /accept eve@localhost or /deny eve@localhost"
    );
    assert_eq!(
        say("<presence from='bob@localhost' type='subscribed'/>"),
        "14:03  bob@localhost lets you see when they are online"
    );
    assert_eq!(say("<presence from='not an address@@'/>"), "");
}

#[test]
fn who_lists_the_roster_and_its_presences() {
    let mut chat = chat(None);
    let roster = "<iq type='result' id='roster'><query xmlns='jabber:iq:roster'>\
                  <item jid='bob@localhost' subscription='both'/>\
                  <item jid='carol@localhost' subscription='none' ask='subscribe'/></query></iq>";
    assert_eq!(heard(&mut chat, roster), "");
    heard(&mut chat, "<presence from='bob@localhost/x'/>");
    assert_eq!(
        typed(&mut chat, "/who"),
        "bob@localhost is online\ncarol@localhost is offline  (asked, not answered yet)"
    );
}

#[test]
fn t45_roster_pushes_and_answers_of_strangers_are_not_taken() {
    let mut chat = chat(None);
    let push = |from: &str| {
        format!(
            "<iq type='set' id='p1' from='{from}'><query xmlns='jabber:iq:roster'>\
             <item jid='mallory@evil.example' subscription='both'/></query></iq>"
        )
    };
    let refused = heard(&mut chat, &push("eve@localhost/x"));
    assert!(
        refused.contains("type='error'") && refused.contains("service-unavailable"),
        "{refused}"
    );
    let (_, number) = chat.ping();
    let pong = |from: &str| format!("<iq type='result' id='ping-{number}' from='{from}'/>");
    assert_eq!(chat.heard(&element(&pong("eve@localhost/x")), &now()), []);
    let roster = "<iq type='result' id='roster' from='eve@localhost/x'><query xmlns='jabber:iq:roster'>\
                  <item jid='mallory@evil.example' subscription='both'/></query></iq>";
    assert_eq!(chat.heard(&element(roster), &now()), []);
    assert_eq!(
        typed(&mut chat, "/who"),
        "nobody yet: /add JID asks somebody"
    );
    assert_eq!(
        chat.heard(&element(&pong("localhost")), &now()),
        [Act::Back(number)]
    );
    let (_, number) = chat.fence();
    let fence = |from: &str| format!("<message id='fence-{number}' from='{from}'/>");
    assert_eq!(
        chat.heard(&element(&fence("alice@localhost/other")), &now()),
        []
    );
    let back = chat.heard(&element(&fence("alice@localhost/desk")), &now());
    assert_eq!(back, [Act::Back(number)]);
    let taken = heard(&mut chat, &push("alice@localhost"));
    assert_eq!(taken, "<iq type='result' id='p1' to='alice@localhost'/>");
    assert!(typed(&mut chat, "/who").contains("mallory@evil.example"));
}

#[test]
fn other_requests_are_refused_and_answers_never_answered() {
    let mut chat = chat(None);
    let refused = heard(
        &mut chat,
        "<iq type='get' id='v' from='bob@localhost/x'><query xmlns='jabber:iq:version'/></iq>",
    );
    assert_eq!(
        refused,
        "<iq type='error' id='v' to='bob@localhost/x'><error type='cancel'>\
         <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    );
    assert_eq!(
        heard(
            &mut chat,
            "<iq type='error' id='v' from='bob@localhost/x'/>"
        ),
        ""
    );
}
