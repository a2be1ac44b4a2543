//! Resuming a session instead of binding a resource.

use super::*;

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

fn logged_in() -> Stream {
    let mut stream = secure();
    stream.say(HEADER);
    stream.say(&plain("\0anna\0secret"));
    stream.say(HEADER);
    stream.asked.clear();
    stream
}

#[test]
fn a_session_is_resumed_in_place_of_a_bind() {
    let mut stream = logged_in();
    let said = stream.say("<resume xmlns='urn:xmpp:sm:3' previd='mine' h='7'/>");
    assert_eq!(said, "<resumed xmlns='urn:xmpp:sm:3' h='3' previd='mine'/>");
    assert_eq!(stream.asked, ["resume mine of anna@example.org at 7"]);
    let bound = Over::Bound("anna@example.org/old".to_owned(), Mechanism::Plain);
    assert_eq!(stream.over, Some(bound));
}

#[test]
fn who_cannot_resume_may_bind() {
    let not = [
        (
            "<resume xmlns='urn:xmpp:sm:3' previd='&apos;theirs' h='0'/>",
            format!("<item-not-found xmlns='{STANZAS}'/>"),
        ),
        (
            "<resume xmlns='urn:xmpp:sm:3' previd='mine' h='8'/>",
            format!(
                "<undefined-condition xmlns='{STANZAS}'/><handled-count-too-high h='8' send-count='7'/>"
            ),
        ),
        (
            "<resume xmlns='urn:xmpp:sm:3' previd='mine'/>",
            format!("<bad-request xmlns='{STANZAS}'/>"),
        ),
    ];
    for (resume, condition) in not {
        let mut stream = logged_in();
        let failed = format!("<failed xmlns='urn:xmpp:sm:3'>{condition}</failed>");
        assert_eq!(stream.say(resume), failed);
        assert!(stream.say(BIND).contains("<jid>"));
    }
    // Not for ever: T33.
    let mut stream = logged_in();
    for _ in 0..MAX_FAILURES {
        stream.say("<resume xmlns='urn:xmpp:sm:3' previd='guess' h='0'/>");
    }
    let refused = Over::Refused(StreamCondition::PolicyViolation);
    assert_eq!(stream.over, Some(refused));
}
