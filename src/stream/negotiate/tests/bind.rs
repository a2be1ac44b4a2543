//! Resource binding.

use super::*;

#[test]
fn wished_resources_are_prepared() {
    let wish = |wish: &str| {
        BIND.replace(
            "/></iq>",
            &format!("><resource>{wish}</resource></bind></iq>"),
        )
    };
    let mut stream = secure();
    stream.log_in();
    let said = stream.say(&wish("ｐhone &amp; more"));
    assert!(
        said.contains("<jid>anna@example.org/phone &amp; more</jid>"),
        "{said}"
    );
    let mut stream = secure();
    stream.log_in();
    let said = stream.say(&wish(""));
    assert!(said.contains("<jid>anna@example.org/made</jid>"), "{said}");
    let mut stream = secure();
    stream.log_in();
    let said = stream.say(&wish(&"x".repeat(1024)));
    assert!(said.contains("<bad-request "), "{said}");
    assert_eq!(stream.over, None);
    assert!(stream.say(BIND).contains("<jid>"));
}

#[test]
fn refused_resources_are_counted() {
    let mut stream = secure();
    stream.log_in();
    for _ in 1..MAX_FAILURES {
        stream.refuse_bind = Some(StanzaError::new(Condition::ResourceConstraint));
        let said = stream.say(BIND);
        assert!(said.starts_with("<iq type='error' id='b1'"), "{said}");
        assert!(said.contains("<resource-constraint "), "{said}");
        assert_eq!(stream.over, None);
    }
    stream.refuse_bind = Some(StanzaError::new(Condition::Conflict));
    let said = stream.say(BIND);
    assert_refused(&stream, &said, StreamCondition::PolicyViolation);
}

#[test]
fn a_bind_without_id_is_a_bad_request() {
    let mut stream = secure();
    stream.log_in();
    let said = stream.say(&BIND.replace(" id='b1'", ""));
    assert!(said.contains("<bad-request "), "{said}");
    assert_eq!(stream.over, None);
}
