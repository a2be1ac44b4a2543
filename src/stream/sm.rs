//! The elements of stream management (XEP-0198): read, and written.

use crate::stanza::Condition;
use crate::xml::{Element, escape_attr};

/// The namespace of stream management.
pub const SM_NS: &str = "urn:xmpp:sm:3";

const STANZAS_NS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a peer says about its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Management {
    /// Count from here on.
    Enable {
        /// It wants to be able to resume.
        resume: bool,
        /// For how many seconds at most, if it says so.
        max: Option<u64>,
    },
    /// Go on with an earlier stream.
    Resume {
        /// The name that its `<enabled/>` gave it.
        previd: String,
        /// How many stanzas the peer has handled on it.
        h: u32,
    },
    /// How many stanzas have you handled?
    Request,
    /// So many stanzas are handled.
    Ack(u32),
}

/// What [`Management::read`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Managed {
    /// An element of stream management that a peer may send.
    Yes(Management),
    /// One that lacks what it must have.
    Malformed,
    /// Something else.
    No,
}

impl Management {
    /// Reads an element.
    #[must_use]
    pub fn read(element: &Element) -> Managed {
        if element.ns() != SM_NS {
            return Managed::No;
        }
        let number = |name: &str| element.attr(name).and_then(|text| text.trim().parse().ok());
        match element.name() {
            "enable" => Managed::Yes(Management::Enable {
                resume: matches!(element.attr("resume"), Some("true" | "1")),
                max: element
                    .attr("max")
                    .and_then(|text| text.trim().parse().ok()),
            }),
            "resume" => match (element.attr("previd"), number("h")) {
                (Some(previd), Some(h)) => Managed::Yes(Management::Resume {
                    previd: previd.to_owned(),
                    h,
                }),
                _ => Managed::Malformed,
            },
            "r" => Managed::Yes(Management::Request),
            "a" => number("h").map_or(Managed::Malformed, |h| Managed::Yes(Management::Ack(h))),
            _ => Managed::No,
        }
    }
}

/// `<failed/>` with a condition of stanza errors.
#[must_use]
pub fn failed(condition: Condition) -> String {
    let condition = condition.name();
    format!("<failed xmlns='{SM_NS}'><{condition} xmlns='{STANZAS_NS}'/></failed>")
}

/// `<failed/>` for a peer that acknowledges more than it was sent.
#[must_use]
pub fn failed_too_high(h: u32, sent: u32) -> String {
    let condition = Condition::UndefinedCondition.name();
    format!(
        "<failed xmlns='{SM_NS}'><{condition} xmlns='{STANZAS_NS}'/>\
         <handled-count-too-high h='{h}' send-count='{sent}'/></failed>"
    )
}

/// `<resumed/>`: the server has handled `h` stanzas of the session `previd`.
#[must_use]
pub fn resumed(previd: &str, h: u32) -> String {
    let mut out = format!("<resumed xmlns='{SM_NS}' h='{h}' previd='").into_bytes();
    escape_attr(&mut out, previd);
    out.extend_from_slice(b"'/>");
    String::from_utf8_lossy(&out).into_owned()
}

/// `<a/>`.
#[must_use]
pub fn ack(h: u32) -> String {
    format!("<a xmlns='{SM_NS}' h='{h}'/>")
}

/// `<r/>`.
pub const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// `<enabled/>`; with the stream's name, and the seconds for which it can be resumed, if it can.
#[must_use]
pub fn enabled(resume: Option<(&str, u64)>) -> String {
    match resume {
        None => format!("<enabled xmlns='{SM_NS}'/>"),
        // The name is hexadecimal digits.
        Some((id, max)) => {
            format!("<enabled xmlns='{SM_NS}' id='{id}' resume='true' max='{max}'/>")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::CLIENT_NS;

    /// The closed table of what a peer may say.
    #[test]
    fn what_a_peer_may_say() {
        let enable = |resume, max| Managed::Yes(Management::Enable { resume, max });
        let rows = [
            ("<enable xmlns='urn:xmpp:sm:3'/>", enable(false, None)),
            (
                "<enable xmlns='urn:xmpp:sm:3' resume='true' max='60'/>",
                enable(true, Some(60)),
            ),
            (
                "<enable xmlns='urn:xmpp:sm:3' resume='1' max='x'/>",
                enable(true, None),
            ),
            (
                "<enable xmlns='urn:xmpp:sm:3' resume='0'/>",
                enable(false, None),
            ),
            (
                "<resume xmlns='urn:xmpp:sm:3' previd='p' h='4294967295'/>",
                Managed::Yes(Management::Resume {
                    previd: "p".to_owned(),
                    h: u32::MAX,
                }),
            ),
            ("<resume xmlns='urn:xmpp:sm:3' h='1'/>", Managed::Malformed),
            (
                "<resume xmlns='urn:xmpp:sm:3' previd='p' h='4294967296'/>",
                Managed::Malformed,
            ),
            (
                "<r xmlns='urn:xmpp:sm:3'/>",
                Managed::Yes(Management::Request),
            ),
            (
                "<a xmlns='urn:xmpp:sm:3' h=' 7 '/>",
                Managed::Yes(Management::Ack(7)),
            ),
            ("<a xmlns='urn:xmpp:sm:3'/>", Managed::Malformed),
            ("<a xmlns='urn:xmpp:sm:3' h='-1'/>", Managed::Malformed),
            ("<enabled xmlns='urn:xmpp:sm:3'/>", Managed::No),
            ("<r xmlns='urn:xmpp:sm:2'/>", Managed::No),
            ("<r/>", Managed::No),
        ];
        for (xml, wanted) in rows {
            let element = Element::parse(xml.as_bytes(), CLIENT_NS, &[]).unwrap();
            assert_eq!(Management::read(&element), wanted, "{xml}");
        }
    }
}
