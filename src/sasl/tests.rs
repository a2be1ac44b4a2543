//! RFC vectors, refusals, and the equality of known and unknown users.

use super::keys::work::{self, Work};
use super::*;

const DOMAIN: &str = "example.org";
const SECRET: [u8; 32] = [7; 32];
const ITERATIONS: u32 = 64;

/// The client's side of SCRAM, for tests here and of streams.
pub(crate) struct ScramClient {
    hash: Hash,
    password: String,
    gs2: String,
    bare: String,
}

impl ScramClient {
    pub(crate) fn new(mechanism: Mechanism, gs2: &str, name: &str, password: &str) -> ScramClient {
        ScramClient {
            hash: match mechanism {
                Mechanism::ScramSha1 => Hash::Sha1,
                Mechanism::ScramSha256 => Hash::Sha256,
                Mechanism::Plain => panic!("PLAIN is no SCRAM"),
            },
            password: password.to_owned(),
            gs2: gs2.to_owned(),
            bare: format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL"),
        }
    }

    pub(crate) fn first(&self) -> Vec<u8> {
        format!("{}{}", self.gs2, self.bare).into_bytes()
    }

    /// The final message, and what the server has to answer to it.
    pub(crate) fn last(&self, server_first: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let server_first = std::str::from_utf8(server_first).unwrap();
        let field = |letter: &str| {
            let mut all = server_first.split(',');
            all.find_map(|part| part.strip_prefix(letter)).unwrap()
        };
        let without_proof = format!("c={},r={}", STANDARD.encode(&self.gs2), field("r="));
        self.prove(server_first, &without_proof)
    }

    /// [`ScramClient::last`] for a message of which this is all but the proof.
    fn prove(&self, server_first: &str, without_proof: &str) -> (Vec<u8>, Vec<u8>) {
        let field = |letter: &str| {
            let mut all = server_first.split(',');
            all.find_map(|part| part.strip_prefix(letter)).unwrap()
        };
        let salt = STANDARD.decode(field("s=")).unwrap();
        let rounds = field("i=").parse().unwrap();
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let mut salted = vec![0; self.hash.len()];
        ring::pbkdf2::derive(
            match self.hash {
                Hash::Sha1 => ring::pbkdf2::PBKDF2_HMAC_SHA1,
                Hash::Sha256 => ring::pbkdf2::PBKDF2_HMAC_SHA256,
            },
            rounds,
            &salt,
            self.password.as_bytes(),
            &mut salted,
        );
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let signature = self
            .hash
            .hmac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        let verifier = self.hash.hmac(&server_key, signed.as_bytes());
        (
            format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes(),
            format!("v={}", STANDARD.encode(verifier)).into_bytes(),
        )
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials::derive(password, ITERATIONS, &[1; SALT_BYTES]).unwrap()
}

fn unknown(user: &Jid) -> Unknown {
    Unknown::new(&SECRET, user.as_str(), ITERATIONS)
}

/// Starts with one message and answers the look-up.
fn start(mechanism: Mechanism, message: &[u8], stored: Option<Credentials>) -> Step {
    match begin(mechanism, DOMAIN, [3; NONCE_BYTES], Some(message)) {
        Step::NeedCredentials(lookup) => {
            let unknown = unknown(lookup.user());
            lookup.answer(stored, unknown)
        }
        other => other,
    }
}

fn plain(message: &[u8], stored: Option<Credentials>) -> Step {
    match start(Mechanism::Plain, message, stored) {
        Step::NeedDerive(work, check) => check.derived(&work.run()),
        other => other,
    }
}

fn scram(client: &ScramClient, mechanism: Mechanism, stored: Option<Credentials>) -> Step {
    match start(mechanism, &client.first(), stored) {
        Step::Challenge(challenge, reply) => reply.respond(&client.last(&challenge).0),
        other => other,
    }
}

#[track_caller]
fn assert_failure(step: &Step, expected: Failure) {
    assert!(
        matches!(step, Step::Failure(failure) if *failure == expected),
        "{step:?}"
    );
}

#[track_caller]
fn user(step: Step) -> String {
    match step {
        Step::Success(success) => success.user.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Plays a vector: first message, server nonce, salt, server's first, client's final, server's final.
fn vector(hash: Hash, lines: [&str; 6]) {
    let [first, nonce, salt, server_first, last, server_last] = lines;
    let salt = STANDARD.decode(salt).unwrap();
    let stored = Credentials::derive("pencil", 4096, &salt).unwrap();
    let Ok(Step::NeedCredentials(lookup)) =
        scram::first(hash, "example.com", nonce, first.as_bytes())
    else {
        panic!("no look-up")
    };
    assert_eq!(lookup.user().as_str(), "user@example.com");
    let unknown = unknown(lookup.user());
    let Step::Challenge(challenge, reply) = lookup.answer(Some(stored), unknown) else {
        panic!("no challenge")
    };
    assert_eq!(String::from_utf8(challenge).unwrap(), server_first);
    let Step::Success(success) = reply.respond(last.as_bytes()) else {
        panic!("no success")
    };
    assert_eq!(success.data.unwrap(), server_last.as_bytes());
}

#[test]
fn rfc_5802_section_5_vector() {
    vector(
        Hash::Sha1,
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "3rfcNHYJY1ZVvWVs7j",
            "QSXCR+Q6sek8bf92",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn rfc_7677_section_3_vector() {
    vector(
        Hash::Sha256,
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

#[test]
fn right_passwords_log_in() {
    let stored = || Some(credentials("pässword"));
    let message = "\0anna\0pa\u{308}ssword".as_bytes();
    assert_eq!(user(plain(message, stored())), "anna@example.org");
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
        for gs2 in ["n,,", "y,,", "n,a=anna@example.org,"] {
            let client = ScramClient::new(mechanism, gs2, "anna", "pässword");
            let Step::Challenge(challenge, reply) = start(mechanism, &client.first(), stored())
            else {
                panic!("no challenge")
            };
            let (last, verifier) = client.last(&challenge);
            let Step::Success(success) = reply.respond(&last) else {
                panic!("no success with {gs2}")
            };
            assert_eq!(success.user.as_str(), "anna@example.org");
            assert_eq!(success.data, Some(verifier));
        }
    }
}

#[test]
fn wrong_passwords_and_unknown_users_fail_alike() {
    assert_failure(
        &plain(b"\0anna\0wrong", Some(credentials("right"))),
        Failure::NotAuthorized,
    );
    assert_failure(&plain(b"\0nobody\0right", None), Failure::NotAuthorized);
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
        let client = ScramClient::new(mechanism, "n,,", "anna", "wrong");
        let step = scram(&client, mechanism, Some(credentials("right")));
        assert_failure(&step, Failure::NotAuthorized);
        assert_failure(&scram(&client, mechanism, None), Failure::NotAuthorized);
    }
}

#[test]
fn without_initial_response_an_empty_challenge_comes_first() {
    let Step::Challenge(challenge, reply) = begin(Mechanism::Plain, DOMAIN, [0; NONCE_BYTES], None)
    else {
        panic!("no challenge")
    };
    assert!(challenge.is_empty());
    assert!(matches!(
        reply.respond(b"\0anna\0x"),
        Step::NeedCredentials(_)
    ));
}

#[test]
fn t20_only_the_users_own_address_is_an_authzid() {
    let right = || Some(credentials("pw"));
    for own in [
        "",
        "anna@example.org",
        "ANNA@Example.org",
        "anna@example.org.",
    ] {
        let message = format!("{own}\0anna\0pw");
        assert_eq!(user(plain(message.as_bytes(), right())), "anna@example.org");
    }
    for other in [
        "bob@example.org",
        "anna@example.org/phone",
        "anna@example.net",
        "example.org",
        "anna",
        "@",
        " ",
    ] {
        let message = format!("{other}\0anna\0pw");
        assert_failure(&plain(message.as_bytes(), right()), Failure::InvalidAuthzid);
        let client = ScramClient::new(Mechanism::ScramSha1, &format!("n,a={other},"), "anna", "pw");
        assert_failure(
            &scram(&client, Mechanism::ScramSha1, right()),
            Failure::InvalidAuthzid,
        );
    }
    let empty = ScramClient::new(Mechanism::ScramSha1, "n,a=,", "anna", "pw");
    assert_failure(
        &scram(&empty, Mechanism::ScramSha1, right()),
        Failure::MalformedRequest,
    );
}

#[test]
fn t23_channel_binding_that_is_not_offered_is_refused() {
    for flag in [
        "p=tls-exporter,,",
        "p=,,",
        "p=tls-unique,a=anna@example.org,",
    ] {
        let client = ScramClient::new(Mechanism::ScramSha256, flag, "anna", "pw");
        assert_failure(
            &scram(&client, Mechanism::ScramSha256, Some(credentials("pw"))),
            Failure::MalformedRequest,
        );
    }
}

/// RFC 5802 §5.1: both are checked, whatever was signed.
#[test]
fn a_changed_header_or_nonce_is_refused_whatever_was_proved() {
    let client = ScramClient::new(Mechanism::ScramSha256, "n,,", "anna", "pw");
    let answer = |change: fn(&str) -> String| {
        let step = start(
            Mechanism::ScramSha256,
            &client.first(),
            Some(credentials("pw")),
        );
        let Step::Challenge(challenge, reply) = step else {
            panic!("no challenge")
        };
        let server_first = String::from_utf8(challenge).unwrap();
        let (nonce, _) = server_first[2..].split_once(',').unwrap();
        let without_proof = change(&format!("c=biws,r={nonce}"));
        reply.respond(&client.prove(&server_first, &without_proof).0)
    };
    assert_eq!(user(answer(str::to_owned)), "anna@example.org");
    for change in [
        |good: &str| good.replace("biws", "eSws"),
        |good: &str| good.replace("biws", ""),
        |good: &str| format!("{good}x"),
        |good: &str| good[..good.len() - 1].to_owned(),
    ] {
        assert_failure(&answer(change), Failure::NotAuthorized);
    }
}

#[test]
fn t25_unknown_users_look_like_known_ones() {
    let challenge = |name: &str, stored| {
        let client = ScramClient::new(Mechanism::ScramSha256, "n,,", name, "pw");
        match start(Mechanism::ScramSha256, &client.first(), stored) {
            Step::Challenge(challenge, _) => String::from_utf8(challenge).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let made_up = challenge("nobody", None);
    assert_eq!(made_up, challenge("nobody", None), "same from try to try");
    assert_ne!(made_up, challenge("somebody", None), "a salt of its own");
    let real = challenge("anna", Some(credentials("pw")));
    assert_eq!(made_up.len(), real.len());
    assert_eq!(made_up.rsplit(',').next(), real.rsplit(',').next());
    let other_secret = Unknown::new(&[8; 32], "nobody@example.org", ITERATIONS);
    let same_user = Unknown::new(&SECRET, "nobody@example.org", ITERATIONS);
    assert_ne!(
        other_secret.into_keys(Hash::Sha1).salt,
        same_user.into_keys(Hash::Sha1).salt
    );
}

#[test]
fn t25_no_proof_opens_an_unknown_user() {
    // Whoever read this file knows that made-up stored keys are zeros.
    let client = ScramClient::new(Mechanism::ScramSha1, "n,,", "nobody", "pw");
    let Step::Challenge(challenge, reply) = start(Mechanism::ScramSha1, &client.first(), None)
    else {
        panic!("no challenge")
    };
    let (last, _) = client.last(&challenge);
    let last = String::from_utf8(last).unwrap();
    let (without_proof, _) = last.rsplit_once(",p=").unwrap();
    let forged = format!("{without_proof},p={}", STANDARD.encode([0; 20]));
    assert_failure(&reply.respond(forged.as_bytes()), Failure::NotAuthorized);
    let check = PlainCheck {
        user: Jid::new("nobody@example.org").unwrap(),
        known: false,
        stored_key: Secret::new([0; 32]),
    };
    let zeros = ScramKeys {
        salt: Vec::new(),
        iterations: 1,
        stored_key: vec![0; 32],
        server_key: vec![0; 32],
    };
    assert_failure(&check.derived(&zeros), Failure::NotAuthorized);
}

#[test]
fn t26_unknown_users_cost_as_much_as_known_ones() {
    let cost = |run: &dyn Fn() -> Step| {
        work::take();
        assert_failure(&run(), Failure::NotAuthorized);
        work::take()
    };
    let stored = credentials("right");
    let known = || Some(stored.clone());
    let plain_cost = cost(&|| plain(b"\0anna\0wrong", known()));
    assert_eq!(plain_cost, cost(&|| plain(b"\0nobody\0wrong", None)));
    assert_eq!(plain_cost.rounds, u64::from(ITERATIONS));
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
        let client = ScramClient::new(mechanism, "n,,", "anna", "wrong");
        let known_cost = cost(&|| scram(&client, mechanism, known()));
        assert_eq!(known_cost, cost(&|| scram(&client, mechanism, None)));
        assert!(known_cost != Work::default() && known_cost.rounds == 0);
    }
}

#[test]
fn t29_nonce_binding_and_extensions_are_checked() {
    let respond = |change: &dyn Fn(String) -> String| {
        let client = ScramClient::new(Mechanism::ScramSha1, "n,,", "anna", "pw");
        let Step::Challenge(challenge, reply) = start(
            Mechanism::ScramSha1,
            &client.first(),
            Some(credentials("pw")),
        ) else {
            panic!("no challenge")
        };
        let last = String::from_utf8(client.last(&challenge).0).unwrap();
        reply.respond(change(last).as_bytes())
    };
    assert!(matches!(respond(&|last| last), Step::Success(_)));
    let nonce_cut = |last: String| last.replace("r=fyko+d2lbbFgONRv9qkxdawL", "r=fyko");
    assert_failure(&respond(&nonce_cut), Failure::NotAuthorized);
    let other_header = |last: String| last.replace("c=biws", "c=eSws");
    assert_failure(&respond(&other_header), Failure::NotAuthorized);
    let unsigned = |last: String| last.replace(",p=", ",x=1,p=");
    assert_failure(&respond(&unsigned), Failure::NotAuthorized);
    for (from, to) in [
        (",p=", ",m=1,p="),
        (",p=", ",p=AAAA,p="),
        ("c=biws", "c=biws=="),
        ("c=biws", "c=bi ws"),
        ("c=biws,", ""),
        (",p=", ",P="),
        ("=", ""),
    ] {
        let broken = |last: String| last.replace(from, to);
        assert_failure(&respond(&broken), Failure::MalformedRequest);
    }
    let short = |last: String| format!("{}AAAA", &last[..last.find(",p=").unwrap() + 3]);
    assert_failure(&respond(&short), Failure::MalformedRequest);
}

#[test]
fn t29_malformed_first_messages_are_refused() {
    for message in [
        "",
        "n",
        "n,,",
        "n,,n=anna",
        "n,,n=,r=abc",
        "n,,n=anna,r=",
        "n,,n=anna,r=a\u{7f}b",
        "n,,n=anna,r=é",
        "n,,m=ext,n=anna,r=abc",
        "n,,n=anna,r=abc,m=ext",
        "n,,n=anna,r=abc,x",
        "n,,n=anna,r=abc,x=",
        "n,,r=abc,n=anna",
        "n,,n=an=na,r=abc",
        "n,,n=anna=2,r=abc",
        "n,,n=anna=2c,r=abc",
        "n,b=x,n=anna,r=abc",
        "x,,n=anna,r=abc",
        "N,,n=anna,r=abc",
        "n,,n=an\0na,r=abc",
    ] {
        let step = start(Mechanism::ScramSha1, message.as_bytes(), None);
        assert_failure(&step, Failure::MalformedRequest);
    }
    let longest = format!("n,,n=anna,r={}", "x".repeat(256));
    let step = start(Mechanism::ScramSha1, longest.as_bytes(), None);
    assert!(matches!(step, Step::Challenge(..)), "{step:?}");
    let long = format!("n,,n=anna,r={}", "x".repeat(257));
    assert_failure(
        &start(Mechanism::ScramSha1, long.as_bytes(), None),
        Failure::MalformedRequest,
    );
    assert_failure(
        &start(Mechanism::ScramSha1, b"n,,n=\xff,r=abc", None),
        Failure::MalformedRequest,
    );
    let optional = start(Mechanism::ScramSha1, b"n,,n=anna,r=abc,x=1", None);
    assert!(matches!(optional, Step::Challenge(..)), "{optional:?}");
}

#[test]
fn t30_names_are_prepared_before_the_look_up() {
    let looked_up = |name: &str| {
        let message = format!("n,,n={name},r=abc");
        match begin(
            Mechanism::ScramSha1,
            DOMAIN,
            [0; NONCE_BYTES],
            Some(message.as_bytes()),
        ) {
            Step::NeedCredentials(lookup) => Ok(lookup.user().as_str().to_owned()),
            Step::Failure(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    };
    for same in ["anna", "ANNA", "ａｎｎａ", "an\u{ad}na"] {
        assert_eq!(looked_up(same), Ok("anna@example.org".to_owned()), "{same}");
    }
    assert_eq!(looked_up("a=2Cb"), Ok("a,b@example.org".to_owned()));
    assert_eq!(looked_up("a=3D2Cb"), Ok("a=2cb@example.org".to_owned()));
    for bad in [
        "an na",
        "a@b",
        "a/b",
        "a\u{7}b",
        "\u{ad}",
        &"x".repeat(1024),
    ] {
        assert_eq!(looked_up(bad), Err(Failure::MalformedRequest), "{bad:?}");
    }
}

#[test]
fn t30_malformed_plain_messages_are_refused() {
    let long = format!("\0anna\0{}", "x".repeat(1024));
    for message in [
        &b""[..],
        b"anna",
        b"\0anna",
        b"\0anna\0",
        b"\0\0pw",
        b"\0anna\0pw\0",
        b"\0anna\0pw\0more",
        b"\0an\xffna\0pw",
        b"\0anna\0p\x07w",
        long.as_bytes(),
    ] {
        let step = plain(message, Some(credentials("pw")));
        assert_failure(&step, Failure::MalformedRequest);
    }
}

#[test]
fn passwords_that_cannot_be_typed_again_are_refused() {
    let derive = |password: &str| Credentials::derive(password, 1, &[]).map(|_| ());
    assert_eq!(derive(""), Err(PasswordError::Empty));
    assert_eq!(derive("\u{ad}"), Err(PasswordError::Empty));
    assert_eq!(derive("a\u{0}b"), Err(PasswordError::Prohibited));
    assert_eq!(derive(&"x".repeat(1024)), Err(PasswordError::TooLong));
    assert_eq!(derive(&"x".repeat(1023)), Ok(()));
}

#[test]
fn t92_secrets_are_not_printed() {
    let shown = format!(
        "{:?} {:?} {:?}",
        Secret::new(*b"hunter2"),
        credentials("hunter2"),
        start(
            Mechanism::Plain,
            b"\0anna\0hunter2",
            Some(credentials("hunter2"))
        ),
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.starts_with("Secret(***) "), "{shown}");
    let bytes = format!("{:?}", b"hunter2");
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    assert!(!shown.contains("stored_key: ["), "{shown}");
    assert!(
        shown.contains("ScramKeys { iterations: 64, .. }"),
        "{shown}"
    );
}

#[test]
fn names_of_mechanisms_are_found_again() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
    }
    assert_eq!(Mechanism::from_name("plain"), None);
    let shown = Mechanism::ALL.map(Mechanism::shows_password);
    assert_eq!(shown, [false, false, true], "PLAIN alone");
}

/// RFC 6120 §6.5.
#[test]
fn failures_have_their_conditions() {
    for (failure, condition) in [
        (Failure::Aborted, "aborted"),
        (Failure::EncryptionRequired, "encryption-required"),
        (Failure::IncorrectEncoding, "incorrect-encoding"),
        (Failure::InvalidAuthzid, "invalid-authzid"),
        (Failure::InvalidMechanism, "invalid-mechanism"),
        (Failure::MalformedRequest, "malformed-request"),
        (Failure::NotAuthorized, "not-authorized"),
        (Failure::TemporaryAuthFailure, "temporary-auth-failure"),
    ] {
        assert_eq!(failure.condition(), condition);
    }
}
