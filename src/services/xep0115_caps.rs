//! XEP-0115: Entity Capabilities of the server itself: a hash of what disco answers, told in the stream's features, so
//! that clients that know the hash need not ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::xml::Element;

pub(super) const NS: &str = "http://jabber.org/protocol/caps";

/// What names this software; a hash behind it names one set of features.
const NODE: &str = "urn:x-stanzad";

/// What is announced.
pub(super) struct Caps {
    ver: String,
}

impl Caps {
    /// Of an entity with these identities (category, type, language, name) and features.
    pub(super) fn new(identities: &[[&str; 4]], features: &[&str]) -> Caps {
        Caps {
            ver: verification(identities, features),
        }
    }

    /// The disco node under which the same is answered again (XEP-0115 §6.2).
    pub(super) fn node(&self) -> String {
        format!("{NODE}#{}", self.ver)
    }

    /// The stream feature (XEP-0115 §6.3).
    pub(super) fn element(&self) -> Element {
        Element::new("c", NS)
            .with_attr("hash", "sha-1")
            .with_attr("node", NODE)
            .with_attr("ver", &self.ver)
    }
}

/// XEP-0115 §5.1. Texts are compared by their bytes, as `str` does. There are no forms among what we tell.
fn verification(identities: &[[&str; 4]], features: &[&str]) -> String {
    let mut identities: Vec<String> = identities.iter().map(|parts| parts.join("/")).collect();
    identities.sort_unstable();
    let mut features = features.to_vec();
    features.sort_unstable();
    let mut text = String::new();
    for part in identities.iter().map(String::as_str).chain(features) {
        text.push_str(part);
        text.push('<');
    }
    // The protocol's hash. Nothing here is secret or signed.
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of XEP-0115 §5.2.
    #[test]
    fn verification_string_is_that_of_the_specification() {
        let features = [
            "http://jabber.org/protocol/muc",
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/disco#info",
        ];
        let ver = verification(&[["client", "pc", "", "Exodus 0.9.1"]], &features);
        assert_eq!(ver, "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }
}
