//! How a component proves that it knows its secret (XEP-0114 §3): not SASL, and as much a step without I/O.

use super::{Hash, Secret};
use crate::xml::escape_text;

/// The handshake of a stream with this id, under this secret: SHA-1 in lower case hexadecimal digits.
#[must_use]
pub fn handshake(stream_id: &str, secret: &[u8]) -> String {
    let digest = Hash::Sha1.digest(&[stream_id.as_bytes(), secret].concat());
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Whether `proof` is the handshake of a stream with this id, in a time that does not depend on how much of it is right.
///
/// XEP-0114 has the secret escaped as in XML first, and nearly nobody does that: both are taken.
#[must_use]
pub fn proves(proof: &str, stream_id: &str, secret: &Secret) -> bool {
    let mut escaped = Vec::new();
    escape_text(&mut escaped, &String::from_utf8_lossy(secret.expose()));
    let good = [secret.expose(), &escaped]
        .map(|secret| Secret::new(handshake(stream_id, secret).into_bytes()))
        .map(|expected| expected.matches(proof.as_bytes()));
    good[0] | good[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_sha1_of_id_and_secret() {
        // printf '3BF96D32test' | sha1sum
        assert_eq!(
            handshake("3BF96D32", b"test"),
            "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e"
        );
    }

    #[test]
    fn proofs_are_compared_whole() {
        let secret = Secret::new(*b"r<m&");
        let good = handshake("id", b"r<m&");
        assert!(proves(&good, "id", &secret));
        assert!(proves(&handshake("id", b"r&lt;m&amp;"), "id", &secret));
        for bad in [
            "",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good} "),
            &handshake("id2", b"r<m&"),
            &handshake("id", b"r<m"),
        ] {
            assert!(!proves(bad, "id", &secret), "{bad}");
        }
    }
}
