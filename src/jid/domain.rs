//! One spelling per domain (RFC 7622 §3.2).
//!
//! A name is checked and mapped by UTS 46 into its ASCII form, which is the identity of a domain, and kept as the Unicode
//! form of exactly that: what clients display and keep in rosters. So `xn--mnchen-3ya.example`, `MÜNCHEN.example` and
//! `münchen.example.` are one domain, and `straße.example` is not `strasse.example` (as the older Nameprep had it).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Everything but letters, digits, `-`, `.` and `_` (which some component names have).
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Bytes in a label and in a name (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;
const MAX_NAME_BYTES: usize = 253;

/// The one spelling of `domain`, or `None` if it is none. One trailing dot is dropped (RFC 7622 §3.2).
pub(super) fn prepare(domain: &str) -> Option<Cow<'_, str>> {
    if let Some(address) = domain.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let plain = domain.strip_suffix('.').unwrap_or(domain);
    if is_plain(plain) {
        return Some(Cow::Borrowed(plain));
    }
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            DENIED,
            Hyphens::Check,
            DnsLength::VerifyAllowRootDot,
        )
        .ok()?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let (unicode, checked) = Uts46::new().to_unicode(ascii.as_bytes(), DENIED, Hyphens::Check);
    checked.ok()?;
    (unicode.len() <= super::MAX_PART_BYTES).then(|| Cow::Owned(unicode.into_owned()))
}

/// Whether `domain` is a lower-case ASCII name that UTS 46 would leave as it is.
fn is_plain(domain: &str) -> bool {
    domain.len() <= MAX_NAME_BYTES
        && domain.split('.').all(|label| {
            let label = label.as_bytes();
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label
                    .iter()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
                && label.first() != Some(&b'-')
                && label.last() != Some(&b'-')
                // `xn--` and the reserved names like it.
                && label.get(2..4) != Some(b"--")
        })
}
