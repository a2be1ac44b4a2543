//! Stream errors (RFC 6120 §4.9).

use super::sm::SM_NS;
use crate::xml::{self, escape_text};

/// The namespace of the application's own error elements (XEP-0205 §4).
const APPLICATION_NS: &str = "urn:xmpp:errors";

/// The namespace of the conditions.
const STREAMS_NS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a stream is closed: the conditions of RFC 6120 §4.9.3 that we send.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum StreamCondition {
            $($(#[$doc])* $variant,)*
        }

        impl StreamCondition {
            /// Every condition.
            pub const ALL: &[StreamCondition] = &[$(StreamCondition::$variant,)*];

            /// The name of the element.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(StreamCondition::$variant => $name,)*
                }
            }
        }
    };
}

conditions! {
    /// XML that cannot be processed.
    BadFormat = "bad-format",
    /// A newer stream took the place of this one.
    Conflict = "conflict",
    /// The peer did not come to the point, or cannot be reached any more.
    ConnectionTimeout = "connection-timeout",
    /// The domain is not served any more.
    HostGone = "host-gone",
    /// The domain is not served here.
    HostUnknown = "host-unknown",
    /// An address is missing or unusable.
    ImproperAddressing = "improper-addressing",
    /// Our fault.
    InternalServerError = "internal-server-error",
    /// A `from` that the stream has not proved.
    InvalidFrom = "invalid-from",
    /// Not the namespace of streams, or not that of clients.
    InvalidNamespace = "invalid-namespace",
    /// Not before the login, or not at this step of it.
    NotAuthorized = "not-authorized",
    /// Not XML.
    NotWellFormed = "not-well-formed",
    /// Against the rules of this server.
    PolicyViolation = "policy-violation",
    /// Too much to do.
    ResourceConstraint = "resource-constraint",
    /// XML that XMPP forbids.
    RestrictedXml = "restricted-xml",
    /// The server stops.
    SystemShutdown = "system-shutdown",
    /// None of these; an application's condition says more.
    UndefinedCondition = "undefined-condition",
    /// Not UTF-8.
    UnsupportedEncoding = "unsupported-encoding",
    /// A mandatory feature that the peer lacks.
    UnsupportedFeature = "unsupported-feature",
    /// An element that no stream of this kind has.
    UnsupportedStanzaType = "unsupported-stanza-type",
    /// Not XMPP 1.0.
    UnsupportedVersion = "unsupported-version",
}

impl StreamCondition {
    /// The condition for XML that the framer or the parser refused.
    #[must_use]
    pub fn of(error: &xml::Error) -> StreamCondition {
        let name = error.condition();
        Self::ALL
            .iter()
            .copied()
            .find(|condition| condition.name() == name)
            .unwrap_or(StreamCondition::UndefinedCondition)
    }
}

/// The last bytes of a stream: the error and the end of the stream (RFC 6120 §4.9.1.1). `text` is for people;
/// `application` names an element of `urn:xmpp:errors`, like `stanza-too-big`.
#[must_use]
pub fn stream_error_bytes(
    condition: StreamCondition,
    text: Option<&str>,
    application: Option<&str>,
) -> Vec<u8> {
    let mut out =
        format!("<stream:error><{} xmlns='{STREAMS_NS}'/>", condition.name()).into_bytes();
    if let Some(text) = text {
        out.extend_from_slice(format!("<text xmlns='{STREAMS_NS}' xml:lang='en'>").as_bytes());
        escape_text(&mut out, text);
        out.extend_from_slice(b"</text>");
    }
    if let Some(application) = application {
        out.extend_from_slice(format!("<{application} xmlns='{APPLICATION_NS}'/>").as_bytes());
    }
    out.extend_from_slice(b"</stream:error></stream:stream>");
    out
}

/// The same for a peer that acknowledges more than it was sent (XEP-0198 §4).
#[must_use]
pub fn too_high_bytes(h: u32, sent: u32) -> Vec<u8> {
    format!(
        "<stream:error><{} xmlns='{STREAMS_NS}'/>\
         <handled-count-too-high xmlns='{SM_NS}' h='{h}' send-count='{sent}'/>\
         </stream:error></stream:stream>",
        StreamCondition::UndefinedCondition.name()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_xml_error_has_its_condition() {
        let errors = [
            xml::Error::NotStream,
            xml::Error::TooBig(1),
            xml::Error::UnsupportedEncoding,
            xml::Error::NotWellFormed(xml::Fault::Utf8),
            xml::Error::Restricted(xml::Restricted::Declaration),
        ];
        for error in errors {
            assert_eq!(StreamCondition::of(&error).name(), error.condition());
        }
    }

    #[test]
    fn an_error_is_one_element_and_the_end() {
        let bytes = stream_error_bytes(
            StreamCondition::PolicyViolation,
            Some("a < b"),
            Some("stanza-too-big"),
        );
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &lt; b</text>\
             <stanza-too-big xmlns='urn:xmpp:errors'/></stream:error></stream:stream>"
        );
    }
}
