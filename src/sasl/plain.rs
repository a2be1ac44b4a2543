//! PLAIN (RFC 4616): checked against the SCRAM-SHA-256 keys, the password is never stored.

use crate::jid::Jid;

use super::keys::Hash;
use super::{
    Credentials, Failure, Lookup, PlainWork, Purpose, ScramKeys, Secret, Step, Success, Unknown,
    login, prep,
};

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
pub(super) fn first(domain: &str, message: &[u8]) -> Result<Step, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::MalformedRequest);
    };
    let authzid = Some(authzid).filter(|wish| !wish.is_empty());
    let user = login(domain, name, authzid)?;
    let password = prep::prepare(password).map_err(|_| Failure::MalformedRequest)?;
    Ok(Step::NeedCredentials(Lookup {
        user,
        purpose: Purpose::Plain(Secret::new(password.as_bytes())),
    }))
}

/// Known or not, the password is derived once.
pub(super) fn keys(
    user: Jid,
    password: Secret,
    stored: Option<Credentials>,
    unknown: Unknown,
) -> Step {
    let known = stored.is_some();
    let keys = match stored {
        Some(credentials) => credentials.into_keys(Hash::Sha256),
        None => unknown.into_keys(Hash::Sha256),
    };
    let work = PlainWork {
        password,
        salt: keys.salt,
        iterations: keys.iterations,
    };
    let check = PlainCheck {
        user,
        known,
        stored_key: Secret::new(keys.stored_key),
    };
    Step::NeedDerive(work, check)
}

/// A PLAIN exchange that waits for its [`PlainWork`].
#[derive(Debug)]
pub struct PlainCheck {
    pub(super) user: Jid,
    pub(super) known: bool,
    pub(super) stored_key: Secret,
}

impl PlainCheck {
    /// Ends the exchange with what the work gave.
    #[must_use]
    pub fn derived(self, keys: &ScramKeys) -> Step {
        // `&`, not `&&`: the comparison is made for unknown users too.
        if self.stored_key.matches(&keys.stored_key) & self.known {
            Step::Success(Success {
                user: self.user,
                data: None,
            })
        } else {
            Step::Failure(Failure::NotAuthorized)
        }
    }
}
