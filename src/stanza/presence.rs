//! What presence says (RFC 6121 §4.7.2), and the date format of XMPP.

use jiff::Timestamp;

use super::Stanza;
use crate::xml::CLIENT_NS;

impl Stanza {
    /// `<priority/>`, 0 if there is none or if it is no number from -128 to 127 (RFC 6121 §4.7.2.3).
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.child("priority", CLIENT_NS)
            .and_then(|priority| priority.text().trim().parse().ok())
            .unwrap_or(0)
    }

    /// `<show/>`: `away`, `chat`, `dnd` or `xa`; empty for plain available and for anything else.
    #[must_use]
    pub fn show(&self) -> String {
        self.child("show", CLIENT_NS)
            .map(|show| show.text().into_owned())
            .filter(|show| matches!(show.as_str(), "away" | "chat" | "dnd" | "xa"))
            .unwrap_or_default()
    }

    /// The first `<status/>`.
    #[must_use]
    pub fn status(&self) -> String {
        self.child("status", CLIENT_NS)
            .map(|status| status.text().into_owned())
            .unwrap_or_default()
    }
}

/// A time in the date format of XMPP (XEP-0082), in UTC with milliseconds: `2026-11-21T06:24:00.000Z`.
#[must_use]
pub fn format_time(wall_ms: i64) -> String {
    let time = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn presence_says_priority_show_and_status() {
        let text = Bytes::from_static(
            b"<presence><show>away</show><status>tea</status><priority> -3 </priority></presence>",
        );
        let presence = Stanza::from_bytes(&text).unwrap();
        assert_eq!(presence.priority(), -3);
        assert_eq!(presence.show(), "away");
        assert_eq!(presence.status(), "tea");
        let odd = Bytes::from_static(
            b"<presence><show>sleeping</show><priority>999</priority></presence>",
        );
        let odd = Stanza::from_bytes(&odd).unwrap();
        assert_eq!((odd.priority(), odd.show()), (0, String::new()));
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(format_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_time(1_795_242_240_007), "2026-11-21T06:24:00.007Z");
    }

    #[test]
    fn t125_clocks_out_of_their_mind_panic_nowhere() {
        for wall_ms in [i64::MIN, i64::MAX, -1, 253_402_300_800_000] {
            let text = format_time(wall_ms);
            assert!(text.ends_with('Z') && text.contains('T'), "{text}");
        }
    }
}
