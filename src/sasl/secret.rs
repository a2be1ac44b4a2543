//! Bytes that are neither printed nor compared with `==`.

use std::fmt;

use subtle::ConstantTimeEq;

/// A password or a key. It has no `PartialEq`, and `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps `bytes`.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes themselves, for whoever computes with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same bytes, in a time that depends on their lengths only.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t27_secrets_are_not_compared_with_equals() {
        trait Which<A> {
            fn is_unambiguous() {}
        }
        struct Comparable;
        impl<T> Which<()> for T {}
        impl<T: PartialEq> Which<Comparable> for T {}
        // If a secret had `==`, there would be two to choose from, and this would not compile.
        <Secret as Which<_>>::is_unambiguous();
        let secret = Secret::new(*b"secret");
        assert!(secret.matches(b"secret"));
        assert!(!secret.matches(b"secreT") && !secret.matches(b"secre") && !secret.matches(b""));
    }
}
