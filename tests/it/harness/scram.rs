//! The client's side of SCRAM (RFC 5802 §3), written for tests and apart from `src/sasl`.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2, rand};

/// One exchange.
pub struct Scram {
    sha256: bool,
    password: String,
    first_bare: String,
    server_signature: Vec<u8>,
}

impl Scram {
    pub fn new(sha256: bool, user: &str, password: &str) -> Self {
        let mut nonce = [0_u8; 18];
        rand::SystemRandom::new().fill(&mut nonce).unwrap();
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            sha256,
            password: password.to_owned(),
            first_bare: format!("n={user},r={}", STANDARD.encode(nonce)),
            server_signature: Vec::new(),
        }
    }

    /// client-first-message, base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("n,,{}", self.first_bare))
    }

    /// client-final-message for the server's first, both base64.
    pub fn last(&mut self, challenge: &str) -> String {
        let server_first = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let field = |name: &str| {
            server_first
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .unwrap()
        };
        let salt = STANDARD.decode(field("s=")).unwrap();
        let iterations: NonZeroU32 = field("i=").parse().unwrap();
        let without_proof = format!("c=biws,r={}", field("r="));
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);

        let salted = self.salted(&salt, iterations);
        let client_key = self.hmac(&salted, b"Client Key");
        let stored_key = digest::digest(self.digest(), &client_key);
        let signature = self.hmac(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = self.hmac(&salted, b"Server Key");
        self.server_signature = self.hmac(&server_key, signed.as_bytes());
        STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server has proved that it knows the keys.
    pub fn proved(&self, success: &str) -> bool {
        let expected = format!("v={}", STANDARD.encode(&self.server_signature));
        STANDARD.decode(success).unwrap() == expected.as_bytes()
    }

    fn salted(&self, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = if self.sha256 {
            (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN)
        } else {
            (pbkdf2::PBKDF2_HMAC_SHA1, digest::SHA1_OUTPUT_LEN)
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(
            algorithm,
            iterations,
            salt,
            self.password.as_bytes(),
            &mut salted,
        );
        salted
    }

    fn digest(&self) -> &'static digest::Algorithm {
        if self.sha256 {
            &digest::SHA256
        } else {
            &digest::SHA1_FOR_LEGACY_USE_ONLY
        }
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        let algorithm = if self.sha256 {
            hmac::HMAC_SHA256
        } else {
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
            .as_ref()
            .to_vec()
    }
}
