//! Client side of SASL PLAIN and SCRAM (RFC 4616, RFC 5802), without channel binding.

use crate::cli::Mechanism;
use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

impl Mechanism {
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    fn hash(self) -> Result<Hash> {
        match self {
            Mechanism::Plain => bail!("PLAIN has no hash"),
            Mechanism::ScramSha1 => Ok(SHA1),
            Mechanism::ScramSha256 => Ok(SHA256),
        }
    }
}

#[derive(Clone, Copy)]
struct Hash {
    hmac: hmac::Algorithm,
    digest: &'static digest::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

const SHA1: Hash = Hash {
    hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
    pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
};
const SHA256: Hash = Hash {
    hmac: hmac::HMAC_SHA256,
    digest: &digest::SHA256,
    pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
};

/// The salted password of one account, worth keeping between logins.
#[derive(Clone, PartialEq, Eq)]
pub struct Salted {
    salt: Vec<u8>,
    iterations: u32,
    password: Vec<u8>,
}

pub fn plain(user: &str, password: &str) -> String {
    BASE64.encode(format!("\0{user}\0{password}"))
}

/// One SCRAM exchange.
pub struct Scram {
    hash: Hash,
    first_bare: String,
    nonce: String,
    server_signature: Vec<u8>,
}

impl Scram {
    pub fn new(mechanism: Mechanism, user: &str) -> Result<Scram> {
        let mut random = [0u8; 18];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| anyhow!("no randomness"))?;
        Scram::with_nonce(mechanism, user, BASE64.encode(random))
    }

    fn with_nonce(mechanism: Mechanism, user: &str, nonce: String) -> Result<Scram> {
        let first_bare = format!("n={user},r={nonce}");
        Ok(Scram {
            hash: mechanism.hash()?,
            first_bare,
            nonce,
            server_signature: Vec::new(),
        })
    }

    /// Client-first message in base64.
    pub fn first(&self) -> String {
        BASE64.encode(format!("n,,{}", self.first_bare))
    }

    /// Client-final message in base64; `known` is the cached salted password.
    pub fn answer(
        &mut self,
        challenge: &[u8],
        password: &str,
        known: Option<Salted>,
    ) -> Result<(String, Salted)> {
        let server_first = String::from_utf8(BASE64.decode(challenge)?)?;
        let nonce = field(&server_first, "r=")?;
        ensure!(nonce.starts_with(&self.nonce), "server changed the nonce");
        let salt = BASE64.decode(field(&server_first, "s=")?)?;
        let iterations = field(&server_first, "i=")?.parse()?;
        let salted = match known {
            Some(known) if known.salt == salt && known.iterations == iterations => known,
            _ => self.salt(password, salt, iterations)?,
        };
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.first_bare);
        let proof = self.proof(&salted.password, message.as_bytes());
        Ok((
            BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof))),
            salted,
        ))
    }

    /// Checks the server's proof in the success data.
    pub fn verify(&self, success: &[u8]) -> Result<()> {
        let data = String::from_utf8(BASE64.decode(success)?)?;
        let signature = BASE64.decode(field(&data, "v=")?)?;
        ensure!(signature == self.server_signature, "wrong server signature");
        Ok(())
    }

    fn salt(&self, password: &str, salt: Vec<u8>, iterations: u32) -> Result<Salted> {
        ensure!(iterations <= 1_000_000, "too many iterations");
        let rounds = NonZeroU32::new(iterations).context("zero iterations")?;
        let mut key = vec![0; self.hash.digest.output_len()];
        pbkdf2::derive(
            self.hash.pbkdf2,
            rounds,
            &salt,
            password.as_bytes(),
            &mut key,
        );
        Ok(Salted {
            salt,
            iterations,
            password: key,
        })
    }

    fn proof(&mut self, salted: &[u8], message: &[u8]) -> Vec<u8> {
        let client_key = self.sign(salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest, &client_key);
        let signature = self.sign(stored_key.as_ref(), message);
        let server_key = self.sign(salted, b"Server Key");
        self.server_signature = self.sign(&server_key, message);
        client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect()
    }

    fn sign(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hash.hmac, key), data)
            .as_ref()
            .to_vec()
    }
}

fn field<'a>(message: &'a str, key: &str) -> Result<&'a str> {
    message
        .split(',')
        .find_map(|part| part.strip_prefix(key))
        .with_context(|| format!("no {key} in the server's SCRAM message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example exchange of RFC 5802, section 5.
    #[test]
    fn rfc5802_example() {
        let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_string();
        let mut scram = Scram::with_nonce(Mechanism::ScramSha1, "user", nonce).unwrap();
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let (answer, salted) = scram
            .answer(BASE64.encode(challenge).as_bytes(), "pencil", None)
            .unwrap();
        let answer = String::from_utf8(BASE64.decode(answer).unwrap()).unwrap();
        assert!(answer.ends_with(",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
        let success = BASE64.encode("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
        scram.verify(success.as_bytes()).unwrap();
        assert_eq!(salted.iterations, 4096);
    }

    #[test]
    fn plain_message() {
        assert_eq!(BASE64.decode(plain("u", "p")).unwrap(), b"\0u\0p");
    }
}
