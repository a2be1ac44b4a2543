//! Addresses.

use stanzad::jid::{Jid, MAX_PART_BYTES};

/// One address has one spelling: preparation is idempotent, and the parts make the whole.
///
/// # Panics
/// When it is not so.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(jid) = Jid::new(text) else {
        return;
    };
    assert_eq!(Jid::new(jid.as_str()).as_ref(), Ok(&jid), "prepared twice");
    let again = Jid::from_parts(jid.local(), jid.domain(), jid.resource());
    assert_eq!(again.as_ref(), Ok(&jid), "joined from its parts");
    let bare = jid.to_bare();
    assert_eq!(bare.as_str(), jid.bare_str());
    assert_eq!(Jid::new(bare.as_str()).as_ref(), Ok(&bare), "the bare one");
    if let Some(resource) = jid.resource() {
        assert_eq!(bare.with_resource(resource).as_ref(), Ok(&jid));
    }
    for part in [jid.local(), Some(jid.domain()), jid.resource()] {
        let length = part.map_or(1, str::len);
        assert!((1..=MAX_PART_BYTES).contains(&length), "{part:?}");
    }
    // What would be a part's end, or a terminal's or a log's, is in no part before the resource.
    let odd = |c: char| c.is_whitespace() || c.is_control() || "@/\"'<>&".contains(c);
    assert!(!jid.local().unwrap_or_default().contains(odd), "{jid:?}");
    assert!(!jid.domain().contains(odd), "{jid:?}");
    assert!(!jid.as_str().contains(char::is_control), "{jid:?}");
}
