//! SCRAM and PLAIN for the client's role (RFC 5802, 7677, 4616), as pure steps like the server's.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::Hash;
use super::{Mechanism, NONCE_BYTES, PasswordError, Secret, prep};

/// The most PBKDF2 rounds that a server may ask of us: some seconds of work.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The fewest: a server that asks for less wants a proof that is cheap to guess from (RFC 7677 §4).
const MIN_ITERATIONS: u32 = 4096;

/// Why a client does not go on with a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Not what SCRAM's messages look like.
    #[error("the server's SCRAM message is malformed")]
    Malformed,
    /// The nonce does not begin with ours: an old message, played again.
    #[error("the server answers another login than ours")]
    Nonce,
    /// Rounds out of bounds.
    #[error(
        "the server asks for {0} rounds of PBKDF2, which is not between {MIN_ITERATIONS} and {MAX_ITERATIONS}"
    )]
    Iterations(u32),
    /// The server's signature is wrong: it does not know this user's keys.
    #[error("the server has not proved that it knows the user")]
    Unproved,
}

/// PLAIN's one message (RFC 4616 §2). For streams under TLS only.
///
/// # Errors
/// SASLprep refuses the name or the password.
pub fn plain(user: &str, password: &str) -> Result<Secret, PasswordError> {
    let (user, password) = (prep::prepare(user)?, prep::prepare(password)?);
    Ok(Secret::new(format!("\0{user}\0{password}").into_bytes()))
}

/// A SCRAM exchange that waits for the server's first message.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    password: Secret,
    nonce: String,
    first_bare: String,
}

impl Scram {
    /// Starts one; `None` if `mechanism` is not of SCRAM. `nonce` must be fresh randomness.
    ///
    /// # Errors
    /// SASLprep refuses the name or the password.
    pub fn new(
        mechanism: Mechanism,
        user: &str,
        password: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Option<Scram>, PasswordError> {
        let hash = match mechanism {
            Mechanism::ScramSha256 => Hash::Sha256,
            Mechanism::ScramSha1 => Hash::Sha1,
            Mechanism::Plain => return Ok(None),
        };
        let name = prep::prepare(user)?.replace('=', "=3D").replace(',', "=2C");
        let nonce = STANDARD.encode(nonce);
        Ok(Some(Scram {
            hash,
            password: Secret::new(prep::prepare(password)?.as_bytes()),
            first_bare: format!("n={name},r={nonce}"),
            nonce,
        }))
    }

    /// The client's first message. It says that we bind no channel.
    #[must_use]
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The client's final message for the server's first, and what the server must prove then. Costs as many rounds of
    /// PBKDF2 as the server asks for.
    ///
    /// # Errors
    /// [`Distrust`] of what the server sent.
    pub fn answer(self, server_first: &[u8]) -> Result<(String, ServerProof), Distrust> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| Distrust::Malformed)?;
        let mut fields = server_first.split(',');
        let mut field = |name| fields.next().and_then(|field| field.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(rounds)) = (field("r="), field("s="), field("i="))
        else {
            return Err(Distrust::Malformed);
        };
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(Distrust::Nonce);
        }
        let salt = STANDARD.decode(salt).map_err(|_| Distrust::Malformed)?;
        let rounds: NonZeroU32 = rounds.parse().map_err(|_| Distrust::Malformed)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&rounds.get()) {
            return Err(Distrust::Iterations(rounds.get()));
        }
        // `biws`: the header `n,,` in base64.
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let salted = self
            .hash
            .salted_password(self.password.expose(), &salt, rounds);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.hmac(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        let expected = Secret::new(self.hash.hmac(&server_key, signed.as_bytes()));
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((message, ServerProof(expected)))
    }
}

/// The signature that the server owes.
#[derive(Debug)]
pub struct ServerProof(Secret);

impl ServerProof {
    /// Looks at the server's final message (RFC 5802 §7).
    ///
    /// # Errors
    /// [`Distrust`]: whoever sent it does not know the user's keys.
    pub fn check(&self, server_final: &[u8]) -> Result<(), Distrust> {
        let signature = std::str::from_utf8(server_final)
            .ok()
            .and_then(|text| text.strip_prefix("v="))
            .and_then(|rest| rest.split(',').next())
            .and_then(|signature| STANDARD.decode(signature).ok())
            .ok_or(Distrust::Malformed)?;
        if self.0.matches(&signature) {
            Ok(())
        } else {
            Err(Distrust::Unproved)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3, whose nonce is not base64 of 18 bytes.
    fn rfc_7677() -> Scram {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        Scram {
            hash: Hash::Sha256,
            password: Secret::new(*b"pencil"),
            nonce: nonce.to_owned(),
            first_bare: format!("n=user,r={nonce}"),
        }
    }

    const FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn rfc_7677_section_3_from_the_clients_side() {
        let scram = rfc_7677();
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (last, proof) = scram.answer(FIRST.as_bytes()).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        proof
            .check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
            .unwrap();
        let zeros = format!("v={}", STANDARD.encode([0; 32]));
        assert_eq!(proof.check(zeros.as_bytes()), Err(Distrust::Unproved));
        assert_eq!(proof.check(b"e=other-error"), Err(Distrust::Malformed));
    }

    #[test]
    fn a_server_that_lies_gets_no_proof() {
        let answer = |first: &str| rfc_7677().answer(first.as_bytes()).map(|(last, _)| last);
        for (first, expected) in [
            (FIRST.replace("i=4096", "i=1"), Distrust::Iterations(1)),
            (
                FIRST.replace("i=4096", "i=4294967295"),
                Distrust::Iterations(u32::MAX),
            ),
            (FIRST.replace("i=4096", "i=-1"), Distrust::Malformed),
            (FIRST.replace("r=rOpr", "r=rOpq"), Distrust::Nonce),
            (
                "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096".to_owned(),
                Distrust::Nonce,
            ),
            (FIRST.replace("s=", "s=*"), Distrust::Malformed),
            (format!("m=must,{FIRST}"), Distrust::Malformed),
            (String::new(), Distrust::Malformed),
        ] {
            assert_eq!(answer(&first), Err(expected), "{first}");
        }
        assert_eq!(rfc_7677().answer(b"\xff").err(), Some(Distrust::Malformed));
    }

    #[test]
    fn names_are_escaped_and_plain_is_no_scram() {
        let nonce = [0; NONCE_BYTES];
        let scram = Scram::new(Mechanism::ScramSha1, "a=,b", "secret", nonce)
            .unwrap()
            .unwrap();
        assert!(scram.first().starts_with("n,,n=a=3D=2Cb,r="));
        let none = Scram::new(Mechanism::Plain, "a", "secret", nonce).unwrap();
        assert!(none.is_none());
        let message = plain("alice", "secret").unwrap();
        assert_eq!(message.expose(), b"\0alice\0secret");
        assert_eq!(plain("alice", "").unwrap_err(), PasswordError::Empty);
    }
}
