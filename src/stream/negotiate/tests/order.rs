//! Headers, STARTTLS, and what comes when.

use super::*;

#[test]
fn starttls_begins_a_new_stream() {
    let mut stream = stream(StartTls::Required, &Mechanism::ALL, false);
    let said = stream.say(HEADER);
    let features = format!("<starttls xmlns='{TLS_NS}'><required/></starttls><limits");
    assert!(said.contains(&features), "{said}");
    assert!(!said.contains("mechanism"), "{said}");
    assert_eq!(stream.say(STARTTLS), format!("<proceed xmlns='{TLS_NS}'/>"));
    let said = stream.say(HEADER);
    assert!(
        said.starts_with("<?xml") && said.contains("PLAIN"),
        "{said}"
    );
    assert!(!said.contains("starttls"), "{said}");
}

#[test]
fn t14_data_behind_starttls_closes_the_stream() {
    for behind in [&plain("\0anna\0secret"), HEADER, " ", "<", "\n"] {
        let mut stream = stream(StartTls::Required, &Mechanism::ALL, false);
        stream.say(HEADER);
        let said = stream.say(&format!("{STARTTLS}{behind}"));
        assert_refused(&stream, &said, StreamCondition::PolicyViolation);
        assert!(!said.contains("proceed"), "{said}");
        assert!(stream.asked.is_empty());
    }
}

/// One element of each kind.
fn elements() -> [(Kind, String); 11] {
    [
        (Kind::StartTls, STARTTLS.to_owned()),
        (Kind::Auth, plain("\0anna\0wrong")),
        (Kind::Response, response(b"x")),
        (Kind::Abort, format!("<abort xmlns='{SASL_NS}'/>")),
        (
            Kind::Compress,
            format!("<compress xmlns='{COMPRESS_NS}'><method>zlib</method></compress>"),
        ),
        (Kind::Bind, BIND.to_owned()),
        (
            Kind::Register,
            "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>".to_owned(),
        ),
        (
            Kind::Stanza,
            "<message to='anna@example.org'><body>x</body></message>".to_owned(),
        ),
        (Kind::Manage, "<enable xmlns='urn:xmpp:sm:3'/>".to_owned()),
        (Kind::Manage, "<r xmlns='urn:xmpp:sm:3'/>".to_owned()),
        (Kind::Unknown, "<enabled xmlns='urn:xmpp:sm:3'/>".to_owned()),
    ]
}

/// What [`t17_every_element_in_every_state_has_its_answer`] expects: a part of the answer, and whether the stream lives.
const TABLE: [(Kind, [(&str, bool); 5]); 11] = {
    const EARLY: (&str, bool) = (
        "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>",
        false,
    );
    const NEVER: (&str, bool) = ("<unsupported-stanza-type ", false);
    const NO_TLS: (&str, bool) = (
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
        false,
    );
    const NO_CHANNEL: (&str, bool) = (
        "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>",
        true,
    );
    const NOT_YET: (&str, bool) = (
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        true,
    );
    const NO_METHOD: (&str, bool) = ("<unsupported-method/>", true);
    // In the clear with TLS required, in the clear with TLS offered, under TLS, in an exchange, after the login.
    [
        (
            Kind::StartTls,
            [
                ("<proceed ", true),
                ("<proceed ", true),
                NO_TLS,
                EARLY,
                NO_TLS,
            ],
        ),
        (
            Kind::Auth,
            [
                ("<encryption-required/>", true),
                ("<encryption-required/>", true),
                ("<not-authorized/></failure>", true),
                EARLY,
                EARLY,
            ],
        ),
        (
            Kind::Response,
            [EARLY, EARLY, EARLY, ("<malformed-request/>", true), EARLY],
        ),
        (
            Kind::Abort,
            [EARLY, EARLY, EARLY, ("<aborted/>", true), EARLY],
        ),
        (
            Kind::Compress,
            [NO_METHOD, NO_METHOD, NO_METHOD, EARLY, NO_METHOD],
        ),
        (Kind::Bind, [EARLY, EARLY, EARLY, EARLY, ("<jid>", true)]),
        (
            Kind::Register,
            [NO_CHANNEL, NO_CHANNEL, ("<username/>", true), EARLY, EARLY],
        ),
        (Kind::Stanza, [EARLY, EARLY, EARLY, EARLY, EARLY]),
        (Kind::Manage, [NOT_YET, NOT_YET, NOT_YET, EARLY, NOT_YET]),
        (Kind::Manage, [NOT_YET, NOT_YET, NOT_YET, EARLY, NOT_YET]),
        (Kind::Unknown, [NEVER, NEVER, NEVER, NEVER, NEVER]),
    ]
};

#[test]
fn t17_every_element_in_every_state_has_its_answer() {
    for ((kind, text), (row, answers)) in elements().into_iter().zip(TABLE) {
        assert_eq!(kind, row);
        for (place, (expected, lives)) in answers.into_iter().enumerate() {
            let mut stream = match place {
                0 => stream(StartTls::Required, &Mechanism::ALL, false),
                1 => stream(StartTls::Offered, &Mechanism::ALL, false),
                _ => secure(),
            };
            match place {
                3 => {
                    stream.say(HEADER);
                    let said = stream.say(&auth("PLAIN", ""));
                    assert!(challenge(&said).is_empty());
                }
                4 => drop(stream.log_in()),
                _ => drop(stream.say(HEADER)),
            }
            stream.asked.clear();
            let said = stream.say(&text);
            assert!(said.contains(expected), "{kind:?} in {place}: {said}");
            let lived = !matches!(stream.over, Some(Over::Refused(_)));
            assert_eq!(lived, lives, "{kind:?} in {place}: {said}");
            if !lives {
                assert_eq!(stream.asked, [""; 0], "{kind:?} in {place}");
            }
        }
    }
}

#[test]
fn t17_no_login_before_required_tls() {
    for mechanism in Mechanism::ALL {
        let mut stream = stream(StartTls::Required, &Mechanism::ALL, false);
        stream.say(HEADER);
        let said = stream.say(&auth(mechanism.name(), &STANDARD.encode("n,,n=anna,r=abc")));
        assert_eq!(said, failure("encryption-required"));
        assert!(stream.asked.is_empty());
    }
}

#[test]
fn t18_nothing_changes_after_the_login() {
    let to = |to: &str| HEADER.replace("to='example.org'", to);
    for (header, condition) in [
        (to("to='other.example'"), StreamCondition::HostUnknown),
        (to("to='unknown.example'"), StreamCondition::HostUnknown),
        (to(""), StreamCondition::ImproperAddressing),
        (
            to("to='example.org' from='bob@example.org'"),
            StreamCondition::InvalidFrom,
        ),
        (
            to("to='example.org' from='anna@other.example'"),
            StreamCondition::InvalidFrom,
        ),
        (
            to("to='example.org' from='@'"),
            StreamCondition::InvalidFrom,
        ),
        (
            HEADER.replace("jabber:client", "jabber:server"),
            StreamCondition::InvalidNamespace,
        ),
        (
            HEADER.replace("version='1.0'>", ">"),
            StreamCondition::UnsupportedVersion,
        ),
    ] {
        let mut stream = secure();
        stream.say(HEADER);
        stream.say(&plain("\0anna\0secret"));
        let said = stream.say(&header);
        assert_refused(&stream, &said, condition);
        assert!(!said.contains("features"), "{said}");
    }
    for from in [
        "anna@example.org",
        "ANNA@example.org",
        "anna@example.org/phone",
    ] {
        let mut stream = secure();
        stream.say(HEADER);
        stream.say(&plain("\0anna\0secret"));
        let said = stream.say(&to(&format!("to='example.org' from='{from}'")));
        assert!(said.contains("<bind "), "{said}");
    }
}

#[test]
fn t18_the_login_is_at_the_domain_of_the_stream() {
    let mut stream = secure();
    stream.say(&HEADER.replace("to='example.org'", "to='other.example'"));
    let said = stream.say(&plain("\0anna\0secret"));
    assert_eq!(said, failure("not-authorized"));
    assert_eq!(stream.asked, ["look up anna@other.example", "derive"]);
}

#[test]
fn bad_headers_are_refused_behind_a_header_of_ours() {
    let change = |from: &str, to: &str| HEADER.replace(from, to);
    for (header, condition) in [
        (
            change("http://etherx.jabber.org/streams", "urn:other"),
            StreamCondition::InvalidNamespace,
        ),
        (
            change("jabber:client", "jabber:server"),
            StreamCondition::InvalidNamespace,
        ),
        (
            change("xmlns='jabber:client'", ""),
            StreamCondition::InvalidNamespace,
        ),
        (
            change("version='1.0'>", ">"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            change("version='1.0'>", "version='0.9'>"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            change("version='1.0'>", "version='1'>"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            change("version='1.0'>", "version='x.0'>"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            change("to='example.org'", ""),
            StreamCondition::ImproperAddressing,
        ),
        (
            change("to='example.org'", "to='nowhere.example'"),
            StreamCondition::HostUnknown,
        ),
        (
            change("to='example.org'", "to='anna@example.org'"),
            StreamCondition::ImproperAddressing,
        ),
        (
            change("to='example.org'", "to='example.org/x'"),
            StreamCondition::ImproperAddressing,
        ),
        (change("to=", "from='@' to="), StreamCondition::InvalidFrom),
        ("<stream>".to_owned(), StreamCondition::InvalidNamespace),
        ("<message/>".to_owned(), StreamCondition::BadFormat),
        ("GET / HTTP/1.1\r\n".to_owned(), StreamCondition::BadFormat),
        ("<!DOCTYPE x>".to_owned(), StreamCondition::RestrictedXml),
    ] {
        let mut stream = secure();
        let said = stream.say(&header);
        assert_refused(&stream, &said, condition);
        assert!(said.contains("<stream:stream "), "{said}");
        assert_eq!(said.matches(" from='example.org'").count(), 1, "{said}");
        assert!(!said.contains("features"), "{said}");
    }
}

#[test]
fn headers_of_later_minor_versions_and_spellings_are_taken() {
    for (from, to) in [
        ("version='1.0'>", "version='1.9'>"),
        ("version='1.0'>", "version='2.0'>"),
        ("to='example.org'", "to='EXAMPLE.org'"),
        ("to='example.org'", "to='example.org.'"),
        ("to='example.org'", "to='other.example'"),
        ("to=", "xml:lang='de' to="),
    ] {
        let mut stream = secure();
        let said = stream.say(&HEADER.replace(from, to));
        assert!(said.contains("PLAIN"), "{said}");
    }
    let mut stream = secure();
    let said = stream.say(&HEADER.replace("to=", "from='anna@example.org' to="));
    assert!(said.contains(" to='anna@example.org'"), "{said}");
}

#[test]
fn t05_limits_before_the_login_are_small() {
    let mut stream = secure();
    stream.say(HEADER);
    let said = stream.say(&auth("PLAIN", &"A".repeat(10_000)));
    assert_eq!(
        stream.over,
        Some(Over::Refused(StreamCondition::PolicyViolation))
    );
    assert!(
        said.contains("<stanza-too-big xmlns='urn:xmpp:errors'/>"),
        "{said}"
    );
}

#[test]
fn t36_stream_ids_do_not_repeat() {
    let mut ids = Vec::new();
    let mut stream = stream(StartTls::Offered, &Mechanism::ALL, false);
    ids.push(stream.say(HEADER));
    stream.say(STARTTLS);
    ids.push(stream.say(HEADER));
    stream.say(&plain("\0anna\0secret"));
    ids.push(stream.say(HEADER));
    let mut ids: Vec<String> = ids
        .iter()
        .map(|said| said.split_once(" id='").unwrap().1[..32].to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn ends_and_deadlines_close_the_stream() {
    let mut stream = secure();
    stream.say(HEADER);
    assert_eq!(stream.say("</stream:stream>"), "</stream:stream>");
    assert_eq!(stream.over, Some(Over::Ended));
    for opened in [false, true] {
        let mut stream = secure();
        if opened {
            stream.say(HEADER);
        }
        let mut out = Vec::new();
        stream.give(Event::Late, &mut out);
        let said = String::from_utf8(out).unwrap();
        assert_refused(&stream, &said, StreamCondition::ConnectionTimeout);
        assert_eq!(said.contains("<stream:stream "), !opened, "{said}");
    }
}

#[test]
fn events_out_of_order_end_the_stream() {
    for event in [
        Event::Encrypted,
        Event::Found(None),
        Event::Derived(None),
        Event::Resource(Ok(Jid::new("anna@example.org/x").unwrap())),
    ] {
        let mut stream = secure();
        stream.say(HEADER);
        let mut out = Vec::new();
        stream.give(event, &mut out);
        assert_eq!(
            stream.over,
            Some(Over::Refused(StreamCondition::InternalServerError))
        );
    }
}

#[test]
fn the_domain_is_known_from_a_good_header_on() {
    let mut stream = secure();
    assert_eq!(stream.negotiation.domain(), None);
    stream.say(HEADER);
    assert_eq!(stream.negotiation.domain(), Some("example.org"));
    let mut stranger = secure();
    stranger.say(&HEADER.replace("example.org", "nowhere.example"));
    assert_eq!(stranger.negotiation.domain(), None);
}
