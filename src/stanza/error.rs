//! Stanza errors (RFC 6120 §8.3).

use crate::xml::Element;

/// The namespace of conditions and their text.
const ERROR_NS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What the sender can do about an error (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// Log in or prove something, then send again.
    Auth,
    /// Do not send again.
    Cancel,
    /// Nothing: it was a warning.
    Continue,
    /// Change what was sent, then send again.
    Modify,
    /// Send again later.
    Wait,
}

impl ErrorType {
    const ALL: [ErrorType; 5] = [
        ErrorType::Auth,
        ErrorType::Cancel,
        ErrorType::Continue,
        ErrorType::Modify,
        ErrorType::Wait,
    ];

    /// The value of the attribute `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ErrorType> {
        ErrorType::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $kind:ident;)*) => {
        /// Every condition of RFC 6120 §8.3.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition {
            $($(#[$doc])* $variant,)*
        }

        impl Condition {
            /// Every condition, in the order of the RFC.
            pub const ALL: &'static [Condition] = &[$(Condition::$variant,)*];

            /// The element's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Condition::$variant => $name,)*
                }
            }

            /// The type that RFC 6120 §8.3.3 recommends; the first where it gives two.
            #[must_use]
            pub fn default_type(self) -> ErrorType {
                match self {
                    $(Condition::$variant => ErrorType::$kind,)*
                }
            }
        }
    };
}

conditions! {
    /// §8.3.3.1: what was sent breaks the protocol.
    BadRequest, "bad-request", Modify;
    /// §8.3.3.2: something of that name is there already.
    Conflict, "conflict", Cancel;
    /// §8.3.3.3: not implemented.
    FeatureNotImplemented, "feature-not-implemented", Cancel;
    /// §8.3.3.4: the sender may not.
    Forbidden, "forbidden", Auth;
    /// §8.3.3.5: the recipient is gone for good.
    Gone, "gone", Cancel;
    /// §8.3.3.6: our fault.
    InternalServerError, "internal-server-error", Cancel;
    /// §8.3.3.7: nothing of that address or name.
    ItemNotFound, "item-not-found", Cancel;
    /// §8.3.3.8: an address that is none.
    JidMalformed, "jid-malformed", Modify;
    /// §8.3.3.9: understood, and against the rules.
    NotAcceptable, "not-acceptable", Modify;
    /// §8.3.3.10: nobody may.
    NotAllowed, "not-allowed", Cancel;
    /// §8.3.3.11: log in first.
    NotAuthorized, "not-authorized", Auth;
    /// §8.3.3.12: against local policy.
    PolicyViolation, "policy-violation", Modify;
    /// §8.3.3.13: nobody is there just now.
    RecipientUnavailable, "recipient-unavailable", Wait;
    /// §8.3.3.14: ask elsewhere.
    Redirect, "redirect", Modify;
    /// §8.3.3.15: register first.
    RegistrationRequired, "registration-required", Auth;
    /// §8.3.3.16: the recipient's server does not exist.
    RemoteServerNotFound, "remote-server-not-found", Cancel;
    /// §8.3.3.17: the recipient's server does not answer.
    RemoteServerTimeout, "remote-server-timeout", Wait;
    /// §8.3.3.18: too busy, or too much is stored.
    ResourceConstraint, "resource-constraint", Wait;
    /// §8.3.3.19: nobody offers that service.
    ServiceUnavailable, "service-unavailable", Cancel;
    /// §8.3.3.20: subscribe first.
    SubscriptionRequired, "subscription-required", Auth;
    /// §8.3.3.21: none of the others.
    UndefinedCondition, "undefined-condition", Cancel;
    /// §8.3.3.22: not now, perhaps later.
    UnexpectedRequest, "unexpected-request", Wait;
}

impl Condition {
    /// The condition of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Condition> {
        Condition::ALL
            .iter()
            .copied()
            .find(|condition| condition.name() == name)
    }
}

/// A stanza error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What is wrong.
    pub condition: Condition,
    /// What the sender can do about it.
    pub kind: ErrorType,
    /// For people, in English.
    pub text: Option<String>,
    /// What the protocol at hand says more precisely: an element of that name and namespace (RFC 6120 §8.3.4).
    pub detail: Option<(&'static str, &'static str)>,
}

impl StanzaError {
    /// `condition` with its default type and no text.
    #[must_use]
    pub fn new(condition: Condition) -> StanzaError {
        StanzaError {
            condition,
            kind: condition.default_type(),
            text: None,
            detail: None,
        }
    }

    /// The same with `text`.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> StanzaError {
        self.text = Some(text.into());
        self
    }

    /// The same with the condition that the protocol of namespace `ns` calls `name` (RFC 6120 §8.3.4).
    #[must_use]
    pub fn with_detail(mut self, name: &'static str, ns: &'static str) -> StanzaError {
        self.detail = Some((name, ns));
        self
    }

    /// The same with another type.
    #[must_use]
    pub fn with_type(mut self, kind: ErrorType) -> StanzaError {
        self.kind = kind;
        self
    }

    /// The element `error`, to stand in a stanza.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", crate::xml::CLIENT_NS)
            .with_attr("type", self.kind.name())
            .with_child(Element::new(self.condition.name(), ERROR_NS));
        if let Some(text) = &self.text {
            let text = Element::new("text", ERROR_NS)
                .with_attr("xml:lang", "en")
                .with_text(text);
            error.push(text);
        }
        if let Some((name, ns)) = self.detail {
            error.push(Element::new(name, ns));
        }
        error
    }

    /// Reads an element `error`. A condition that we do not know is undefined; an unknown type is the condition's default; its
    /// detail is not read.
    #[must_use]
    pub fn from_element(error: &Element) -> StanzaError {
        let condition = error
            .elements()
            .filter(|child| child.ns() == ERROR_NS)
            .find_map(|child| Condition::from_name(child.name()))
            .unwrap_or(Condition::UndefinedCondition);
        StanzaError {
            condition,
            kind: error
                .attr("type")
                .and_then(ErrorType::from_name)
                .unwrap_or(condition.default_type()),
            text: error
                .child("text", ERROR_NS)
                .map(|text| text.text().into_owned()),
            detail: None,
        }
    }
}

impl std::fmt::Display for StanzaError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.condition.name())?;
        match &self.text {
            Some(text) => write!(out, " ({text})"),
            None => Ok(()),
        }
    }
}
