//! Lists whose entries are checked one by one: addresses of users, and URIs by which people are reached.

use super::syntax::{Scalar, Span};
use super::value::{Kind, Misfit, Value, ValueFault};
use crate::jid::Jid;

/// The longest list.
const ENTRIES_MAX: usize = 64;

/// The longest URI: everybody who asks the server what it is gets all of them.
const URI_BYTES: usize = 512;

/// The entries of a list of that kind, each once.
pub(super) fn entries(
    option: &'static str,
    kind: Kind,
    items: &[Scalar],
    span: Span,
) -> Result<Value, Misfit> {
    if items.len() > ENTRIES_MAX {
        let most = ENTRIES_MAX;
        return Err(ValueFault::TooMany { option, most }.at(span));
    }
    let mut entries: Vec<String> = Vec::new();
    for item in items {
        let entry = entry(kind, &item.text).map_err(|fault| fault.at(item.span))?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Ok(Value::List(entries))
}

/// One entry, as it is kept.
pub(super) fn entry(kind: Kind, text: &str) -> Result<String, ValueFault> {
    let got = || text.to_owned();
    match kind {
        Kind::Users => user(text).ok_or_else(|| ValueFault::User { got: got() }),
        _ if reaches_somebody(text) => Ok(got()),
        _ => Err(ValueFault::Uri { got: got() }),
    }
}

/// The address of a user, as addresses are spelled: a domain has no password, and a resource is not a person.
fn user(text: &str) -> Option<String> {
    let jid = Jid::new(text).ok()?;
    let user = jid.local().is_some() && jid.is_bare();
    user.then(|| jid.as_str().to_owned())
}

/// Whether `text` is a URI (RFC 3986) of a scheme that clients can open, with somebody or something behind it.
fn reaches_somebody(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte);
    if text.len() > URI_BYTES || !text.bytes().all(allowed) {
        return false;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let place = rest.split(['?', '#']).next().unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => place
            .strip_prefix("//")
            .and_then(|place| place.split('/').next())
            .is_some_and(|host| !host.is_empty()),
        "mailto" => place
            .split_once('@')
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()),
        "xmpp" => decoded(place).is_some_and(|place| Jid::new(&place).is_ok()),
        "tel" => place.bytes().any(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// `%40` and the like as the characters that they stand for (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hex)?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_reach_somebody() {
        for good in [
            "mailto:abuse@example.org",
            "MAILTO:abuse@example.org?subject=abuse",
            "xmpp:example.org",
            "xmpp:admins@example.org?message",
            "xmpp:d%C3%BCrer@example.org",
            "https://example.org",
            "http://[2001:db8::1]:8080/help#top",
            "tel:+49-30-123",
        ] {
            assert!(reaches_somebody(good), "{good}");
        }
        let long = format!("https://example.org/{}", "x".repeat(URI_BYTES));
        for bad in [
            "",
            "abuse@example.org",
            "mailto:",
            "mailto:abuse",
            "mailto:@example.org",
            "xmpp:",
            "xmpp://example.org",
            "xmpp:a%4@example.org",
            "xmpp:a%+4@example.org",
            "xmpp:%ff@example.org",
            "https:example.org",
            "https:///help",
            "tel:help",
            "javascript:alert(1)",
            "https://example.org/a b",
            "https://example.org/<b>",
            "https://ex\u{e4}mple.org",
            long.as_str(),
        ] {
            assert!(!reaches_somebody(bad), "{bad}");
        }
    }
}
