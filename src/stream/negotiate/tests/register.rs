//! Registration before the login.

use super::*;

const GET: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";

fn set(fields: &str) -> String {
    format!("<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>")
}

fn account(name: &str) -> String {
    set(&format!(
        "<username>{name}</username><password>secret</password>"
    ))
}

fn at(domain: &str) -> Stream {
    let mut stream = secure();
    stream.say(&HEADER.replace("example.org", domain));
    stream
}

#[test]
fn a_registered_user_logs_in_on_the_same_stream() {
    let mut stream = secure();
    let said = stream.say(HEADER);
    assert!(
        said.contains("<register xmlns='http://jabber.org/features/iq-register'/>"),
        "{said}"
    );
    let said = stream.say(GET);
    assert!(said.contains("<username/><password/></query>"), "{said}");
    assert_eq!(stream.say(&account("Bea")), "<iq type='result' id='r'/>");
    assert_eq!(stream.asked, ["register bea@example.org None"]);
    // A second one is too much (XEP-0077 §3.1).
    assert!(stream.say(&account("carl")).contains("<not-acceptable "));
    assert_eq!(stream.say(&plain("\0anna\0secret")), success());
    let said = stream.say(HEADER);
    assert!(!said.contains("register"), "{said}");
    let said = stream.say(GET);
    assert_refused(&stream, &said, StreamCondition::NotAuthorized);
}

#[test]
fn what_is_not_filled_in_well_is_refused_and_counted() {
    for (fields, condition) in [
        ("", "not-acceptable"),
        ("<username>bea</username>", "not-acceptable"),
        ("<username>bea</username><password/>", "not-acceptable"),
        (
            "<username>a@b</username><password>x</password>",
            "not-acceptable",
        ),
        ("<remove/>", "unexpected-request"),
        (
            "<username>anna</username><password>x</password>",
            "conflict",
        ),
    ] {
        let mut stream = at("example.org");
        let said = stream.say(&set(fields));
        assert!(said.contains(&format!("<{condition} ")), "{fields}: {said}");
        assert!(!said.contains("password>"), "{said}");
        assert_eq!(stream.over, None);
    }
    let mut stream = at("example.org");
    let said = stream
        .say("<iq type='get' id='r' to='other.example'><query xmlns='jabber:iq:register'/></iq>");
    assert!(said.contains("<service-unavailable "), "{said}");
    let mut said = String::new();
    for _ in 1..MAX_FAILURES {
        said = stream.say(&set(""));
    }
    assert_refused(&stream, &said, StreamCondition::PolicyViolation);
    assert!(stream.asked.is_empty());
}

#[test]
fn t37_where_registration_is_closed_nothing_is_offered_and_nothing_taken() {
    let mut stream = secure();
    let said = stream.say(&HEADER.replace("example.org", "other.example"));
    assert!(!said.contains("register"), "{said}");
    for request in [
        GET,
        &account("bea"),
        "<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='good'/></iq>",
    ] {
        let said = stream.say(request);
        assert!(said.contains("<not-allowed "), "{said}");
    }
    assert!(stream.asked.is_empty());
}

#[test]
fn t37_without_tls_nobody_registers() {
    let mut stream = stream(StartTls::Offered, &Mechanism::ALL, false);
    let said = stream.say(HEADER);
    assert!(!said.contains("register"), "{said}");
    for request in [GET, &account("bea")] {
        let said = stream.say(request);
        assert!(said.contains("<not-authorized "), "{said}");
    }
    assert!(stream.asked.is_empty());
}

#[test]
fn an_invite_is_shown_first_or_given_in_the_form() {
    let preauth = |token: &str| {
        format!("<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
    };
    let mut stream = at("invited.example");
    assert!(stream.say(&account("bea")).contains("<forbidden "));
    let said = stream.say(GET);
    assert!(said.contains("var='token'"), "{said}");
    assert!(stream.say(&preauth("bad")).contains("<item-not-found "));
    assert_eq!(stream.say(&preauth("good")), "<iq type='result' id='p'/>");
    let said = stream.say(GET);
    assert!(!said.contains("token"), "{said}");
    assert_eq!(stream.say(&account("bea")), "<iq type='result' id='r'/>");
    assert_eq!(
        stream.asked[2],
        "register bea@invited.example Some(Shown(\"id\"))"
    );

    let mut stream = at("invited.example");
    let form = set(
        "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>bea</value></field>\
         <field var='password'><value>secret</value></field><field var='token'><value>t</value></field></x>",
    );
    assert_eq!(stream.say(&form), "<iq type='result' id='r'/>");
    assert_eq!(
        stream.asked,
        ["register bea@invited.example Some(Token(Secret(***)))"]
    );
}
