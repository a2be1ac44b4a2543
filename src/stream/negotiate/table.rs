//! What every element means in every state of a negotiation: a closed table (T17).

use crate::stream::sm::SM_NS;
use crate::xml::Element;

use super::{BIND_NS, COMPRESS_NS, PARS_NS, REGISTER_NS, SASL_NS, StreamCondition, TLS_NS};

/// Where a stream is when an element comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Features are told, no TLS.
    Clear,
    /// Features are told, TLS is on.
    Encrypted,
    /// A SASL challenge is sent.
    Exchange,
    /// The login is done, features are told.
    Authenticated,
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StartTls,
    Auth,
    Response,
    Abort,
    Compress,
    /// The iq that asks for a resource.
    Bind,
    /// An iq about registration, or one that shows an invite.
    Register,
    /// An element of stream management.
    Manage,
    /// Any other message, presence or iq.
    Stanza,
    /// What no client stream has.
    Unknown,
}

impl Kind {
    pub(super) fn of(element: &Element) -> Kind {
        match (element.name(), element.ns()) {
            ("starttls", TLS_NS) => Kind::StartTls,
            ("auth", SASL_NS) => Kind::Auth,
            ("response", SASL_NS) => Kind::Response,
            ("abort", SASL_NS) => Kind::Abort,
            ("compress", COMPRESS_NS) => Kind::Compress,
            ("iq", crate::xml::CLIENT_NS)
                if element.attr("type") == Some("set")
                    && element.child("bind", BIND_NS).is_some() =>
            {
                Kind::Bind
            }
            ("iq", crate::xml::CLIENT_NS)
                if matches!(element.attr("type"), Some("get" | "set"))
                    && (element.child("query", REGISTER_NS).is_some()
                        || element.child("preauth", PARS_NS).is_some()) =>
            {
                Kind::Register
            }
            ("iq" | "message" | "presence", crate::xml::CLIENT_NS) => Kind::Stanza,
            ("enable" | "resume" | "r" | "a", SM_NS) => Kind::Manage,
            _ => Kind::Unknown,
        }
    }
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Begin TLS, or say that there is none and close.
    StartTls,
    /// Begin a SASL exchange.
    Auth,
    /// Go on with the SASL exchange.
    Respond,
    /// End the SASL exchange.
    Abort,
    /// Say that there is no compression; the stream goes on.
    NoCompression,
    /// Bind a resource.
    Bind,
    /// Register an account, or say why not; the stream goes on.
    Register,
    /// Resume an earlier stream, or say that stream management is not possible yet; the stream goes on.
    Manage,
    /// Close the stream.
    Refuse(StreamCondition),
}

/// RFC 6120 §4.9.3.12: what comes before its time is `not-authorized`; §4.9.3.24: what never has a time is
/// `unsupported-stanza-type`.
pub(super) fn answer(place: Place, kind: Kind) -> Answer {
    match (kind, place) {
        (Kind::StartTls, Place::Clear | Place::Encrypted | Place::Authenticated) => {
            Answer::StartTls
        }
        (Kind::Auth, Place::Clear | Place::Encrypted) => Answer::Auth,
        (Kind::Response, Place::Exchange) => Answer::Respond,
        (Kind::Abort, Place::Exchange) => Answer::Abort,
        (Kind::Compress, Place::Clear | Place::Encrypted | Place::Authenticated) => {
            Answer::NoCompression
        }
        (Kind::Bind, Place::Authenticated) => Answer::Bind,
        (Kind::Register, Place::Clear | Place::Encrypted) => Answer::Register,
        (Kind::Manage, Place::Clear | Place::Encrypted | Place::Authenticated) => Answer::Manage,
        (Kind::Unknown, _) => Answer::Refuse(StreamCondition::UnsupportedStanzaType),
        (
            Kind::StartTls
            | Kind::Auth
            | Kind::Response
            | Kind::Abort
            | Kind::Compress
            | Kind::Bind
            | Kind::Register
            | Kind::Manage
            | Kind::Stanza,
            _,
        ) => Answer::Refuse(StreamCondition::NotAuthorized),
    }
}
