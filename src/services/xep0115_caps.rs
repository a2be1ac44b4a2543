//! XEP-0115: Entity Capabilities of the server itself: a hash of what disco answers, told in the stream's features, so
//! that clients that know the hash need not ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::form::Form;
use crate::xml::Element;

pub(super) const NS: &str = "http://jabber.org/protocol/caps";

/// What names this software; a hash behind it names one set of features.
const NODE: &str = "urn:x-stanzad";

/// What is announced.
pub(super) struct Caps {
    ver: String,
}

impl Caps {
    /// Of an entity with these identities (category, type, language, name) and features, and a form if it tells one.
    pub(super) fn new(identities: &[[&str; 4]], features: &[&str], form: Option<&Form>) -> Caps {
        Caps {
            ver: verification(identities, features, form),
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

/// XEP-0115 §5.1. Texts are compared by their bytes, as `str` does.
fn verification(identities: &[[&str; 4]], features: &[&str], form: Option<&Form>) -> String {
    let mut identities: Vec<String> = identities.iter().map(|parts| parts.join("/")).collect();
    identities.sort_unstable();
    let mut features = features.to_vec();
    features.sort_unstable();
    let mut text = String::new();
    let form = form.map(parts).unwrap_or_default();
    let parts = identities.iter().map(String::as_str).chain(features);
    for part in parts.chain(form) {
        text.push_str(part);
        text.push('<');
    }
    // The protocol's hash. Nothing here is secret or signed.
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(hash)
}

/// What a form adds: its type, then each field's name and values, all sorted.
fn parts(form: &Form) -> Vec<&str> {
    let mut fields: Vec<_> = form.fields().iter().collect();
    fields.sort_unstable_by_key(|field| field.var());
    let mut parts = vec![form.form_type()];
    for field in fields {
        parts.push(field.var());
        let mut values: Vec<&str> = field.values().iter().map(String::as_str).collect();
        values.sort_unstable();
        parts.extend(values);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Field, FieldKind, FormKind};

    /// The example of XEP-0115 §5.2.
    #[test]
    fn verification_string_is_that_of_the_specification() {
        let features = [
            "http://jabber.org/protocol/muc",
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/disco#info",
        ];
        let ver = verification(&[["client", "pc", "", "Exodus 0.9.1"]], &features, None);
        assert_eq!(ver, "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    /// The example of XEP-0115 §5.3.
    #[test]
    fn forms_are_part_of_it() {
        let features = [
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/muc",
        ];
        let identities = [
            ["client", "pc", "en", "Psi 0.11"],
            ["client", "pc", "el", "\u{3a8} 0.11"],
        ];
        let field = |var, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned());
            Field::new(FieldKind::TextSingle, var, "").with_values(values)
        };
        let form = Form::new(FormKind::Result, "urn:xmpp:dataforms:softwareinfo")
            .with_field(field("software_version", &["0.11"]))
            .with_field(field("ip_version", &["ipv6", "ipv4"]))
            .with_field(field("os", &["Mac"]))
            .with_field(field("os_version", &["10.5.1"]))
            .with_field(field("software", &["Psi"]));
        let ver = verification(&identities, &features, Some(&form));
        assert_eq!(ver, "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }
}
