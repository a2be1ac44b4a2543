//! SASL mechanisms as pure steps: PLAIN, SCRAM-SHA-1, SCRAM-SHA-256 (RFC 4422, 4616, 5802, 7677). What follows is the
//! server's side; [`client`] is the other.
//!
//! [`begin`] starts an exchange and gives a [`Step`]. A step that waits carries the only value with which the exchange
//! can go on, so an answer out of order cannot be written. Nothing here does I/O, knows a clock or makes randomness:
//! credentials, key derivation and the nonce come from the driver.
//!
//! An unknown user costs the same as a known one and fails at the same step: see [`Unknown`].

pub mod client;
mod handshake;
mod keys;
mod plain;
mod prep;
mod scram;
mod secret;

pub use handshake::{handshake, proves};
pub use keys::{
    Credentials, DEFAULT_ITERATIONS, PasswordError, PlainWork, SALT_BYTES, ScramKeys, Unknown,
};
pub use plain::PlainCheck;
pub use secret::Secret;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jid::Jid;
use keys::Hash;

/// Random bytes that the driver gives each exchange for the server's part of the SCRAM nonce (RFC 5802 §5.1).
pub const NONCE_BYTES: usize = 18;

/// A mechanism that this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 4616. Offered and accepted under TLS only.
    Plain,
}

impl Mechanism {
    /// Every mechanism, the one we like best first.
    pub const ALL: [Mechanism; 3] = [
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
    ];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
        }
    }

    /// The mechanism of that registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Self::ALL.into_iter().find(|have| have.name() == name)
    }

    /// Whether the exchange shows the password to whoever reads the stream (RFC 6120 §13.8.3).
    #[must_use]
    pub fn shows_password(self) -> bool {
        matches!(self, Mechanism::Plain)
    }
}

/// Why an exchange failed: the conditions of RFC 6120 §6.5 that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer gave up.
    #[error("the peer aborted the exchange")]
    Aborted,
    /// PLAIN was tried without TLS.
    #[error("the mechanism needs an encrypted stream")]
    EncryptionRequired,
    /// Not base64, or not what base64 may look like.
    #[error("the data is not strict base64")]
    IncorrectEncoding,
    /// The authorization identity is not the account that logs in.
    #[error("the authorization identity is not the user's own address")]
    InvalidAuthzid,
    /// A mechanism that was not offered.
    #[error("the mechanism was not offered")]
    InvalidMechanism,
    /// The mechanism's own syntax was broken, or it asked for what was not offered.
    #[error("the mechanism's message is malformed")]
    MalformedRequest,
    /// Wrong password, or no such user: nobody outside learns which.
    #[error("wrong name or password")]
    NotAuthorized,
    /// Our own trouble.
    #[error("credentials could not be checked now")]
    TemporaryAuthFailure,
}

impl Failure {
    /// The element name in `urn:ietf:params:xml:ns:xmpp-sasl`.
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Failure::Aborted => "aborted",
            Failure::EncryptionRequired => "encryption-required",
            Failure::IncorrectEncoding => "incorrect-encoding",
            Failure::InvalidAuthzid => "invalid-authzid",
            Failure::InvalidMechanism => "invalid-mechanism",
            Failure::MalformedRequest => "malformed-request",
            Failure::NotAuthorized => "not-authorized",
            Failure::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Send this (possibly empty) challenge, then give the answer to [`Reply::respond`].
    Challenge(Vec<u8>, Reply),
    /// Look the user up, then call [`Lookup::answer`].
    NeedCredentials(Lookup),
    /// Run the work away from the worker, then give its keys to [`PlainCheck::derived`].
    NeedDerive(PlainWork, PlainCheck),
    /// The peer is who it says.
    Success(Success),
    /// The exchange is over.
    Failure(Failure),
}

/// A login.
#[derive(Clone, Debug)]
pub struct Success {
    /// The user's bare JID.
    pub user: Jid,
    /// Data to send along with success (SCRAM's server signature).
    pub data: Option<Vec<u8>>,
}

/// An exchange that waits for the peer's answer.
#[derive(Debug)]
pub struct Reply(Awaiting);

#[derive(Debug)]
enum Awaiting {
    First(Start),
    ScramProof(Box<scram::AwaitProof>),
}

/// What an exchange starts from.
#[derive(Debug)]
struct Start {
    mechanism: Mechanism,
    domain: String,
    nonce: [u8; NONCE_BYTES],
}

/// Starts an exchange for a user of `domain`. `nonce` must be fresh randomness. `initial` is the decoded initial
/// response, `None` when the peer sent none (it then gets an empty challenge, RFC 4422 §3.3).
#[must_use]
pub fn begin(
    mechanism: Mechanism,
    domain: &str,
    nonce: [u8; NONCE_BYTES],
    initial: Option<&[u8]>,
) -> Step {
    let start = Start {
        mechanism,
        domain: domain.to_owned(),
        nonce,
    };
    match initial {
        Some(data) => start.first(data),
        None => Step::Challenge(Vec::new(), Reply(Awaiting::First(start))),
    }
}

impl Start {
    fn first(self, data: &[u8]) -> Step {
        let hash = match self.mechanism {
            Mechanism::Plain => return settle(plain::first(&self.domain, data)),
            Mechanism::ScramSha1 => Hash::Sha1,
            Mechanism::ScramSha256 => Hash::Sha256,
        };
        let nonce = STANDARD.encode(self.nonce);
        settle(scram::first(hash, &self.domain, &nonce, data))
    }
}

fn settle(outcome: Result<Step, Failure>) -> Step {
    outcome.unwrap_or_else(Step::Failure)
}

impl Reply {
    /// Goes on with the peer's decoded answer.
    #[must_use]
    pub fn respond(self, data: &[u8]) -> Step {
        match self.0 {
            Awaiting::First(start) => start.first(data),
            Awaiting::ScramProof(proof) => settle(proof.check(data)),
        }
    }
}

/// An exchange that waits for a user's credentials.
#[derive(Debug)]
pub struct Lookup {
    user: Jid,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    Plain(Secret),
    Scram(Box<scram::AwaitKeys>),
}

impl Lookup {
    /// The bare JID to look up.
    #[must_use]
    pub fn user(&self) -> &Jid {
        &self.user
    }

    /// Goes on with the stored credentials. `None` (no such user) takes the same way with `unknown`'s made-up salt, and
    /// fails at the proof.
    #[must_use]
    pub fn answer(self, stored: Option<Credentials>, unknown: Unknown) -> Step {
        match self.purpose {
            Purpose::Plain(password) => plain::keys(self.user, password, stored, unknown),
            Purpose::Scram(scram) => {
                let (challenge, proof) = scram.keys(self.user, stored, unknown);
                Step::Challenge(challenge, Reply(Awaiting::ScramProof(Box::new(proof))))
            }
        }
    }
}

/// The prepared bare JID of login name `name` at `domain`, which `authzid`, if given, must be too (RFC 6120 §6.3.8).
fn login(domain: &str, name: &str, authzid: Option<&str>) -> Result<Jid, Failure> {
    let name = prep::prepare(name).map_err(|_| Failure::MalformedRequest)?;
    let user = Jid::from_parts(Some(&name), domain, None).map_err(|_| Failure::MalformedRequest)?;
    match authzid {
        Some(wish) if Jid::new(wish).ok().as_ref() != Some(&user) => Err(Failure::InvalidAuthzid),
        _ => Ok(user),
    }
}

#[cfg(test)]
pub(crate) mod tests;
