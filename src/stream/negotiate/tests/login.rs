//! SASL.

use super::*;

#[test]
fn plain_under_tls_leads_to_a_bound_resource() {
    let mut stream = secure();
    let said = stream.say(HEADER);
    assert_eq!(
        said,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' \
         id='00000000000000000000000000000000' from='example.org'><stream:features>\
         <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism>\
         <mechanism>PLAIN</mechanism></mechanisms>\
         <register xmlns='http://jabber.org/features/iq-register'/>\
         <register xmlns='urn:xmpp:ibr-token:0'/>\
         <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes>\
         <idle-seconds>30</idle-seconds></limits>\
         </stream:features>"
    );
    assert_eq!(stream.say(&plain("\0anna\0secret")), success());
    let said = stream.say(HEADER);
    assert!(
        said.ends_with(
            "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
             <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
             <sm xmlns='urn:xmpp:sm:3'/><more xmlns='urn:example:more' of='example.org'/>\
             <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>\
             </stream:features>"
        ),
        "{said}"
    );
    let said = stream.say(BIND);
    assert_eq!(
        said,
        "<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <jid>anna@example.org/made</jid></bind></iq>"
    );
    assert_eq!(
        stream.over,
        Some(Over::Bound(
            "anna@example.org/made".to_owned(),
            Mechanism::Plain
        ))
    );
}

#[test]
fn bytes_that_come_one_at_a_time_are_answered_alike() {
    let conversation = [HEADER, &plain("\0anna\0secret"), HEADER, BIND];
    let (mut whole, mut bytes) = (secure(), secure());
    for text in conversation {
        let in_bytes: String = text.chars().map(|c| bytes.say(&c.to_string())).collect();
        assert_eq!(whole.say(text), in_bytes);
    }
    assert_eq!(whole.over, bytes.over);
}

#[test]
fn scram_logs_in_with_and_without_initial_response() {
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
        let client = ScramClient::new(mechanism, "n,,", "anna", "secret");
        let mut stream = secure();
        stream.say(HEADER);
        let said = scram(&mut stream, &client, mechanism);
        assert!(said.starts_with("<success"), "{said}");

        let mut stream = secure();
        stream.say(HEADER);
        let said = stream.say(&auth(mechanism.name(), ""));
        assert!(challenge(&said).is_empty());
        let said = stream.say(&response(&client.first()));
        let (last, verifier) = client.last(&challenge(&said));
        let said = stream.say(&response(&last));
        let expected = STANDARD.encode(verifier);
        assert_eq!(
            said,
            format!("<success xmlns='{SASL_NS}'>{expected}</success>")
        );
        stream.say(HEADER);
        stream.say(BIND);
        assert!(matches!(stream.over, Some(Over::Bound(_, used)) if used == mechanism));
    }
}

#[test]
fn t20_another_authzid_never_gets_a_session() {
    for authzid in [
        "bob@example.org",
        "anna@example.org/x",
        "anna@other.example",
        "bob",
    ] {
        let mut stream = secure();
        stream.say(HEADER);
        let said = stream.say(&plain(&format!("{authzid}\0anna\0secret")));
        assert_eq!(said, failure("invalid-authzid"));
        let client = ScramClient::new(
            Mechanism::ScramSha1,
            &format!("n,a={authzid},"),
            "anna",
            "secret",
        );
        let said = stream.say(&auth("SCRAM-SHA-1", &STANDARD.encode(client.first())));
        assert_eq!(said, failure("invalid-authzid"));
        assert!(stream.asked.is_empty());
    }
}

#[test]
fn t21_plain_is_neither_offered_nor_taken_without_tls() {
    for starttls in [StartTls::Absent, StartTls::Offered, StartTls::Required] {
        let mut stream = stream(starttls, &Mechanism::ALL, false);
        let said = stream.say(HEADER);
        assert!(!said.contains("PLAIN"), "{said}");
        assert_eq!(
            stream.say(&plain("\0anna\0secret")),
            failure("encryption-required")
        );
        assert!(stream.asked.is_empty());
    }
}

#[test]
fn t22_what_is_not_offered_is_not_taken() {
    let names = [
        "SCRAM-SHA-1",
        "PLAIN",
        "SCRAM-SHA-256-PLUS",
        "EXTERNAL",
        "ANONYMOUS",
        "DIGEST-MD5",
        "scram-sha-256",
        "",
    ];
    for name in names {
        let mut stream = stream(StartTls::Required, &[Mechanism::ScramSha256], true);
        let said = stream.say(HEADER);
        assert_eq!(said.matches("<mechanism>").count(), 1, "{said}");
        let said = stream.say(&auth(name, &STANDARD.encode("\0anna\0secret")));
        assert_eq!(said, failure("invalid-mechanism"));
        assert!(stream.asked.is_empty());
    }
    let mut stream = secure();
    stream.say(HEADER);
    let legacy = "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>anna</username>\
         <password>secret</password></query></iq>";
    let said = stream.say(legacy);
    assert_refused(&stream, &said, StreamCondition::NotAuthorized);
}

#[test]
fn t25_unknown_users_hear_what_wrong_passwords_hear() {
    let transcript = |name: &str| {
        let mut stream = secure();
        let mut said = stream.say(HEADER);
        said += &stream.say(&plain(&format!("\0{name}\0wrong")));
        for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
            let client = ScramClient::new(mechanism, "n,,", name, "wrong");
            let first = stream.say(&auth(mechanism.name(), &STANDARD.encode(client.first())));
            let (last, _) = client.last(&challenge(&first));
            // The salt differs from user to user; its length must not.
            said += &first.len().to_string();
            said += &stream.say(&response(&last));
        }
        (said, stream.asked.join("\n").replace(name, "NAME"))
    };
    assert_eq!(transcript("anna"), transcript("nobo"));
}

#[test]
fn failures_are_counted_and_end_the_stream() {
    let mut stream = secure();
    stream.say(HEADER);
    for _ in 1..MAX_FAILURES {
        assert_eq!(
            stream.say(&plain("\0anna\0wrong")),
            failure("not-authorized")
        );
        let failed = stream.negotiation.take_failed_login().unwrap();
        assert_eq!(failed.user.unwrap().as_str(), "anna@example.org");
        assert_eq!(failed.mechanism, Some(Mechanism::Plain));
        assert_eq!(failed.failure, Failure::NotAuthorized);
    }
    let said = stream.say(&plain("\0anna\0wrong"));
    assert!(said.starts_with(&failure("not-authorized")), "{said}");
    assert_refused(&stream, &said, StreamCondition::PolicyViolation);
    assert_eq!(stream.say(&plain("\0anna\0secret")), "");
}

#[test]
fn a_failed_login_may_be_tried_again() {
    let mut stream = secure();
    stream.say(HEADER);
    stream.say(&plain("\0anna\0wrong"));
    assert_eq!(stream.say(&plain("\0anna\0secret")), success());
}

#[test]
fn broken_base64_is_incorrect_encoding() {
    for text in [
        "!",
        "AGFubmEAc2VjcmV0\n",
        " AGFubmEAc2VjcmV0",
        "AGFu bmEA",
        "AA",
        "AB==",
    ] {
        let mut stream = secure();
        stream.say(HEADER);
        assert_eq!(
            stream.say(&auth("PLAIN", text)),
            failure("incorrect-encoding"),
            "{text:?}"
        );
    }
    let mut stream = secure();
    stream.say(HEADER);
    assert_eq!(
        stream.say(&auth("PLAIN", "=")),
        failure("malformed-request"),
        "a response of length zero is a response"
    );
}

#[test]
fn our_own_trouble_is_temporary() {
    for give in [Event::Found(None), Event::Derived(None)] {
        let mut stream = secure();
        stream.say(HEADER);
        let mut out = Vec::new();
        let element = Element::parse(plain("\0anna\0secret").as_bytes(), "jabber:client", &[]);
        let event = Event::Element {
            element: element.unwrap(),
            behind: false,
        };
        let Next::Lookup(user) = stream.negotiation.on(event, &mut out) else {
            panic!("no look-up")
        };
        if matches!(give, Event::Derived(_)) {
            let unknown = Unknown::new(&[7; 32], user.as_str(), ITERATIONS);
            let next = stream
                .negotiation
                .on(Event::Found(Some((None, unknown))), &mut out);
            assert!(matches!(next, Next::Derive(_)));
        }
        assert!(matches!(stream.negotiation.on(give, &mut out), Next::Read));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            failure("temporary-auth-failure")
        );
    }
}
