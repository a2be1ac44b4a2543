//! An account and its password, with a second opinion on whether a peer has proved that it knows it: SCRAM's client side
//! (RFC 5802 §3) written apart from the server's, and PLAIN's plain comparison.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use stanzad::sasl::{Credentials, Mechanism, SALT_BYTES};

/// PBKDF2 rounds of every account here: what is fuzzed are the steps.
pub(crate) const ROUNDS: u32 = 1;
/// The salt of every account here.
pub(crate) const SALT: [u8; SALT_BYTES] = [1; SALT_BYTES];

/// What a server stores of `password`.
pub(crate) fn stored(password: &str) -> Option<Credentials> {
    Credentials::derive(password, ROUNDS, &SALT).ok()
}

/// What an exchange has said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    /// The client's messages, decoded.
    pub(crate) said: Vec<Vec<u8>>,
    /// The server's challenges, decoded.
    pub(crate) challenges: Vec<Vec<u8>>,
}

impl Transcript {
    /// The first message of the client, in two parts: the header of GSS-API (RFC 5802 §7) and what is signed.
    fn first(&self) -> Option<(&str, &str)> {
        let first = std::str::from_utf8(self.said.first()?).ok()?;
        let comma = first.match_indices(',').nth(1)?.0;
        first.split_at_checked(comma + 1)
    }

    fn server_first(&self) -> Option<&str> {
        let last = self.challenges.last()?;
        std::str::from_utf8(last)
            .ok()
            .filter(|text| !text.is_empty())
    }

    fn nonce(&self) -> Option<&str> {
        self.server_first()?.strip_prefix("r=")?.split(',').next()
    }

    /// `template` with `{nonce}` and `{proof}` replaced by what somebody who knows `password` would write there, so that a fuzzer
    /// gets behind the proof without inverting a hash.
    pub(crate) fn fill(&self, template: &[u8], mechanism: Mechanism, password: &str) -> Vec<u8> {
        let nonce = self.nonce().unwrap_or_default().as_bytes();
        let filled = replace(template, b"{nonce}", nonce);
        let Some(at) = find(&filled, b",p={proof}") else {
            return filled;
        };
        let proof = std::str::from_utf8(&filled[..at])
            .ok()
            .and_then(|without| self.signatures(without, mechanism, password));
        let proof = STANDARD.encode(proof.map(|both| both.0).unwrap_or_default());
        replace(&filled, b"{proof}", proof.as_bytes())
    }

    /// The client's proof and the server's signature.
    fn signatures(
        &self,
        without_proof: &str,
        mechanism: Mechanism,
        password: &str,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let (kdf, mac, hash) = match mechanism {
            Mechanism::ScramSha256 => (
                pbkdf2::PBKDF2_HMAC_SHA256,
                hmac::HMAC_SHA256,
                &digest::SHA256,
            ),
            Mechanism::ScramSha1 => (
                pbkdf2::PBKDF2_HMAC_SHA1,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
            ),
            Mechanism::Plain => return None,
        };
        let mut salted = vec![0; hash.output_len()];
        let rounds = NonZeroU32::new(ROUNDS)?;
        pbkdf2::derive(kdf, rounds, &SALT, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(mac, key), text);
        let (_, bare) = self.first()?;
        let signed = format!("{bare},{},{without_proof}", self.server_first()?);
        let mut proof = sign(&salted, b"Client Key").as_ref().to_vec();
        let stored = digest::digest(hash, &proof);
        let signature = sign(stored.as_ref(), signed.as_bytes());
        for (byte, mask) in proof.iter_mut().zip(signature.as_ref()) {
            *byte ^= mask;
        }
        let server_key = sign(&salted, b"Server Key");
        let server = sign(server_key.as_ref(), signed.as_bytes());
        Some((proof, server.as_ref().to_vec()))
    }

    /// Whether the client has proved that it knows `password`, and what the server owes it then. For SCRAM by its last message
    /// (RFC 5802 §5.1), for PLAIN by its only one.
    pub(crate) fn proves(&self, mechanism: Mechanism, password: &str) -> Option<Option<Vec<u8>>> {
        let last = std::str::from_utf8(self.said.last()?).ok()?;
        if mechanism == Mechanism::Plain {
            let (_, shown) = last.rsplit_once('\0')?;
            let shown = stringprep::saslprep(shown).ok()?;
            return (shown == password).then_some(None);
        }
        let (without_proof, proof) = last.rsplit_once(",p=")?;
        let (gs2, _) = self.first()?;
        let mut fields = without_proof.split(',');
        let bound = STANDARD.decode(fields.next()?.strip_prefix("c=")?).ok()?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let (expected, signature) = self.signatures(without_proof, mechanism, password)?;
        let good = bound == gs2.as_bytes()
            && Some(nonce) == self.nonce()
            && STANDARD.decode(proof).ok()? == expected;
        good.then(|| Some(format!("v={}", STANDARD.encode(signature)).into_bytes()))
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// `text` with the first `what` replaced.
pub(crate) fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    match find(text, what) {
        Some(at) => [&text[..at], by, &text[at + what.len()..]].concat(),
        None => text.to_vec(),
    }
}
