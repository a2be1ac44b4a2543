//! What is stored of a password, and how it is derived (RFC 5802 §3).

use std::fmt;
use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};

use super::{Secret, prep};

/// PBKDF2 rounds for new passwords (RFC 7677 §4 asks for at least 4096).
pub const DEFAULT_ITERATIONS: u32 = 10_000;

/// Length of the salts of users, known and unknown, in bytes.
pub const SALT_BYTES: usize = 16;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    fn hmac_algorithm(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn digest_algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        }
    }

    fn pbkdf2_algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }

    /// Bytes that the hash gives.
    pub(super) fn len(self) -> usize {
        self.digest_algorithm().output_len()
    }

    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        #[cfg(test)]
        work::count(|work| work.hmac += 1);
        let key = hmac::Key::new(self.hmac_algorithm(), key);
        hmac::sign(&key, data).as_ref().to_vec()
    }

    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        #[cfg(test)]
        work::count(|work| work.digest += 1);
        digest::digest(self.digest_algorithm(), data)
            .as_ref()
            .to_vec()
    }

    pub(super) fn salted_password(
        self,
        password: &[u8],
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Vec<u8> {
        #[cfg(test)]
        work::count(|work| work.rounds += u64::from(iterations.get()));
        let mut out = vec![0; self.len()];
        pbkdf2::derive(
            self.pbkdf2_algorithm(),
            iterations,
            salt,
            password,
            &mut out,
        );
        out
    }

    /// Derives both keys of a prepared password. Zero iterations, which nobody stores, count as one.
    fn keys(self, password: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let salted = self.salted_password(password, salt, rounds);
        ScramKeys {
            salt: salt.to_vec(),
            iterations: rounds.get(),
            stored_key: self.digest(&self.hmac(&salted, b"Client Key")),
            server_key: self.hmac(&salted, b"Server Key"),
        }
    }
}

/// What a server keeps of a password for one hash (RFC 5802 §3): enough to check a login, not enough to make one.
#[derive(Clone)]
pub struct ScramKeys {
    /// Random bytes of this user's.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: Vec<u8>,
    /// The key of the server's signature.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What is stored of a user's password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// For SCRAM-SHA-1.
    pub sha1: ScramKeys,
    /// For SCRAM-SHA-256 and PLAIN.
    pub sha256: ScramKeys,
}

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing, or nothing that survives preparation.
    #[error("the password is empty")]
    Empty,
    /// Longer than 1023 bytes.
    #[error("the password is longer than 1023 bytes")]
    TooLong,
    /// Control characters and the like (RFC 4013 §2.3).
    #[error("the password has a character that SASLprep prohibits")]
    Prohibited,
}

impl Credentials {
    /// Derives what is stored of `password`. Costs `iterations` rounds for each hash: not for a worker.
    ///
    /// # Errors
    /// [`PasswordError`] when SASLprep refuses the password.
    pub fn derive(
        password: &str,
        iterations: u32,
        salt: &[u8],
    ) -> Result<Credentials, PasswordError> {
        let prepared = prep::prepare(password)?;
        Ok(Credentials {
            sha1: Hash::Sha1.keys(prepared.as_bytes(), salt, iterations),
            sha256: Hash::Sha256.keys(prepared.as_bytes(), salt, iterations),
        })
    }

    pub(super) fn into_keys(self, hash: Hash) -> ScramKeys {
        match hash {
            Hash::Sha1 => self.sha1,
            Hash::Sha256 => self.sha256,
        }
    }
}

/// What an unknown user is shown, so that it looks like a known one: a salt that stays the same from try to try, and
/// the usual iterations.
#[derive(Clone, Debug)]
pub struct Unknown {
    salt: Vec<u8>,
    iterations: u32,
}

impl Unknown {
    /// The face of `user` (a bare JID) if it is unknown. `secret` is this server's own and never changes; `iterations`
    /// are those that new passwords get.
    #[must_use]
    pub fn new(secret: &[u8; 32], user: &str, iterations: u32) -> Unknown {
        let mut salt = Hash::Sha256.hmac(secret, user.as_bytes());
        salt.truncate(SALT_BYTES);
        Unknown { salt, iterations }
    }

    /// Keys that no password has.
    pub(super) fn into_keys(self, hash: Hash) -> ScramKeys {
        ScramKeys {
            salt: self.salt,
            iterations: self.iterations,
            stored_key: vec![0; hash.len()],
            server_key: vec![0; hash.len()],
        }
    }
}

/// The derivation that PLAIN needs: milliseconds of CPU, to be run away from the worker.
#[derive(Debug)]
pub struct PlainWork {
    pub(super) password: Secret,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl PlainWork {
    /// Derives the SHA-256 keys of the password.
    #[must_use]
    pub fn run(&self) -> ScramKeys {
        Hash::Sha256.keys(self.password.expose(), &self.salt, self.iterations)
    }
}

/// Counts of what was computed, for the tests that compare the cost of known and unknown users.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Work {
        pub(crate) hmac: u64,
        pub(crate) digest: u64,
        pub(crate) rounds: u64,
    }

    thread_local! {
        static WORK: Cell<Work> = const { Cell::new(Work { hmac: 0, digest: 0, rounds: 0 }) };
    }

    pub(crate) fn count(add: impl FnOnce(&mut Work)) {
        let mut work = WORK.get();
        add(&mut work);
        WORK.set(work);
    }

    pub(crate) fn take() -> Work {
        WORK.take()
    }
}
