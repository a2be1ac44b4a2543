//! The server's side of SASL: the first line names the mechanism, with a `*` behind it when the client sends no initial
//! response; every other line is a message, in which `{nonce}` and `{proof}` stand for what a client that knows the password
//! would write.

use stanzad::jid::Jid;
use stanzad::sasl::{Failure, Mechanism, NONCE_BYTES, Step, Success, Unknown, begin};

use super::proof::{ROUNDS, Transcript, stored};

const PASSWORD: &str = "secret";
/// A password that no message tries.
const OTHER: &str = "0b5c-77aa-43de";

/// Nobody logs in without the password or as somebody else, and an unknown user looks like a known one.
///
/// # Panics
/// When it is not so.
pub fn check(data: &[u8]) {
    run(data);
}

/// [`check`], and whether it came to a login.
pub fn run(data: &[u8]) -> bool {
    let mut lines = data.split(|byte| *byte == b'\n');
    let name = lines.next().and_then(|name| std::str::from_utf8(name).ok());
    let name = name.unwrap_or_default();
    let (name, initial) = match name.strip_suffix('*') {
        Some(name) => (name, false),
        None => (name, true),
    };
    let Some(mechanism) = Mechanism::from_name(name) else {
        return false;
    };
    let messages: Vec<&[u8]> = lines.collect();
    let known = exchange(mechanism, initial, &messages, Some(PASSWORD));
    let login = known.success.is_some();
    if let Some(success) = known.success {
        let proved = known.transcript.proves(mechanism, PASSWORD);
        assert_eq!(proved, Some(success.data), "success without a proof");
        assert_eq!(known.asked, Some(success.user), "logs in as somebody else");
    }
    let unknown = exchange(mechanism, initial, &messages, None);
    assert!(unknown.success.is_none(), "an unknown user logs in");
    let other = exchange(mechanism, initial, &messages, Some(OTHER));
    assert!(other.success.is_none(), "a wrong password logs in");
    assert_eq!(unknown.seen, other.seen, "an unknown user is told apart");
    login
}

struct Outcome {
    success: Option<Success>,
    transcript: Transcript,
    asked: Option<Jid>,
    /// What the peer saw, but for salts.
    seen: Vec<String>,
}

/// One exchange; `password` is what the server knows of whoever is asked for.
fn exchange(
    mechanism: Mechanism,
    initial: bool,
    messages: &[&[u8]],
    password: Option<&str>,
) -> Outcome {
    let mut messages = messages.iter();
    let mut outcome = Outcome {
        success: None,
        transcript: Transcript::default(),
        asked: None,
        seen: Vec::new(),
    };
    let first = if initial { messages.next() } else { None };
    outcome
        .transcript
        .said
        .extend(first.map(|text| text.to_vec()));
    let nonce = [0; NONCE_BYTES];
    let mut step = begin(mechanism, "localhost", nonce, first.copied());
    loop {
        let transcript = &mut outcome.transcript;
        step = match step {
            Step::NeedCredentials(lookup) => {
                let user = lookup.user().clone();
                assert!(user.is_bare() && user.local().is_some(), "{user}");
                assert_eq!(user.domain(), "localhost", "another domain's user");
                let unknown = Unknown::new(&[7; 32], user.as_str(), ROUNDS);
                assert_eq!(outcome.asked.replace(user), None, "asked twice");
                lookup.answer(password.and_then(stored), unknown)
            }
            Step::NeedDerive(work, check) => check.derived(&work.run()),
            Step::Challenge(challenge, reply) => {
                outcome
                    .seen
                    .push(format!("challenge of {} bytes", challenge.len()));
                if !challenge.is_empty() {
                    transcript.challenges.push(challenge);
                }
                assert!(outcome.seen.len() <= 2, "no exchange is longer");
                let Some(message) = messages.next() else {
                    return outcome;
                };
                // The unknown user and the wrong password are tried with the same messages.
                let tried = if password == Some(PASSWORD) {
                    PASSWORD
                } else {
                    "wrong"
                };
                let message = transcript.fill(message, mechanism, tried);
                transcript.said.push(message.clone());
                reply.respond(&message)
            }
            Step::Success(success) => {
                outcome.success = Some(success);
                return outcome;
            }
            Step::Failure(failure) => {
                let temporary = failure == Failure::TemporaryAuthFailure;
                assert!(!temporary, "nothing here is anybody's trouble");
                outcome.seen.push(failure.condition().to_owned());
                return outcome;
            }
        };
    }
}
