//! Which names somebody may register. The operator is not bound to these rules.

use crate::jid::Jid;

/// The longest name, in characters: RFC 7622 allows 1023 bytes, which no contact list shows.
const MAX_CHARS: usize = 64;

/// Names that others take for the operator (RFC 2142), or for the server itself.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "daemon",
    "help",
    "hostmaster",
    "info",
    "mailer-daemon",
    "nobody",
    "noc",
    "operator",
    "postmaster",
    "register",
    "root",
    "security",
    "server",
    "stanzad",
    "support",
    "sysadmin",
    "system",
    "webmaster",
    "xmpp",
];

/// Why a name may not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Fewer characters than the configuration asks for.
    #[error("the name has fewer than {0} characters")]
    Short(usize),
    /// More characters than people can tell apart.
    #[error("the name has more than {MAX_CHARS} characters")]
    Long,
    /// The name is for the operator to give.
    #[error("this name is reserved")]
    Reserved,
    /// Letters of several alphabets, of which some look alike (T38).
    #[error("the name mixes Latin letters with those of another alphabet")]
    Mixed,
}

/// Judges the local part of `user`, which is prepared already.
pub(super) fn check(user: &Jid, min: usize) -> Result<(), NameError> {
    let name = user.local().unwrap_or_default();
    let chars = name.chars().count();
    if chars < min {
        return Err(NameError::Short(min));
    }
    if chars > MAX_CHARS {
        return Err(NameError::Long);
    }
    if RESERVED.contains(&name) {
        return Err(NameError::Reserved);
    }
    let latin = name.chars().any(|c| c.is_ascii_alphabetic());
    if latin && name.chars().any(looks_latin) {
        return Err(NameError::Mixed);
    }
    Ok(())
}

/// Letters of the alphabets that share shapes with Latin: Greek, Cyrillic and its supplement, Armenian, Cherokee.
fn looks_latin(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t38_reserved_and_lookalike_names_are_refused() {
        let check = |name: &str, min| {
            let user = Jid::from_parts(Some(name), "example.org", None).unwrap();
            super::check(&user, min)
        };
        assert_eq!(check("anna", 2), Ok(()));
        assert_eq!(check("жанна", 2), Ok(()));
        assert_eq!(check("jürgen", 2), Ok(()));
        assert_eq!(check("Admin", 2), Err(NameError::Reserved));
        assert_eq!(check("ＰＯＳＴＭＡＳＴＥＲ", 2), Err(NameError::Reserved));
        // Its first letter is Cyrillic.
        assert_eq!(check("аdmin", 2), Err(NameError::Mixed));
        assert_eq!(check("a", 2), Err(NameError::Short(2)));
        assert_eq!(check(&"é".repeat(65), 2), Err(NameError::Long));
    }
}
