//! SASL on the wire (RFC 6120 §6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sasl::{
    self, Credentials, Failure, Lookup, Mechanism, NONCE_BYTES, PlainCheck, Reply, ScramKeys, Step,
    Unknown,
};
use crate::xml::Element;

use super::{FailedLogin, Negotiation, Next, SASL_NS, State};

impl Negotiation {
    /// `<auth/>` (RFC 6120 §6.4.2).
    pub(super) fn auth(&mut self, element: &Element, out: &mut Vec<u8>) -> Next {
        self.claimed = None;
        self.mechanism = element.attr("mechanism").and_then(Mechanism::from_name);
        let Some(mechanism) = self.mechanism.filter(|asked| self.offered.contains(asked)) else {
            let under_tls = self
                .mechanism
                .filter(|asked| self.rules.mechanisms.contains(asked));
            return match under_tls {
                Some(_) if !self.encrypted => self.login_failed(Failure::EncryptionRequired, out),
                _ => self.login_failed(Failure::InvalidMechanism, out),
            };
        };
        let text = element.text();
        let initial = match text.as_ref() {
            "" => Ok(None),
            text => decode(text).map(Some),
        };
        let Some(domain) = self.domain.as_deref() else {
            return self.login_failed(Failure::TemporaryAuthFailure, out);
        };
        match initial {
            Err(failure) => self.login_failed(failure, out),
            Ok(initial) => {
                let mut nonce = [0; NONCE_BYTES];
                self.clock.random(&mut nonce);
                let step = sasl::begin(mechanism, domain, nonce, initial.as_deref());
                self.step(step, out)
            }
        }
    }

    /// `<response/>` (RFC 6120 §6.4.3).
    pub(super) fn respond(&mut self, reply: Reply, element: &Element, out: &mut Vec<u8>) -> Next {
        match decode(&element.text()) {
            Ok(data) => self.step(reply.respond(&data), out),
            Err(failure) => self.login_failed(failure, out),
        }
    }

    /// The driver has looked the user up.
    pub(super) fn found(
        &mut self,
        lookup: Lookup,
        found: Option<(Option<Credentials>, Unknown)>,
        out: &mut Vec<u8>,
    ) -> Next {
        match found {
            Some((stored, unknown)) => self.step(lookup.answer(stored, unknown), out),
            None => self.login_failed(Failure::TemporaryAuthFailure, out),
        }
    }

    /// The driver has derived the keys.
    pub(super) fn derived(
        &mut self,
        check: PlainCheck,
        keys: Option<ScramKeys>,
        out: &mut Vec<u8>,
    ) -> Next {
        match keys {
            Some(keys) => self.step(check.derived(&keys), out),
            None => self.login_failed(Failure::TemporaryAuthFailure, out),
        }
    }

    fn step(&mut self, step: Step, out: &mut Vec<u8>) -> Next {
        match step {
            Step::Challenge(data, reply) => {
                write(out, "challenge", Some(&data));
                self.state = State::Exchange(reply);
                Next::Read
            }
            Step::NeedCredentials(lookup) => {
                let user = lookup.user().clone();
                self.claimed = Some(user.clone());
                self.state = State::Lookup(lookup);
                Next::Lookup(user)
            }
            Step::NeedDerive(work, check) => {
                self.state = State::Derive(check);
                Next::Derive(work)
            }
            Step::Success(success) => {
                write(out, "success", success.data.as_deref());
                self.user = Some(success.user);
                self.restart()
            }
            Step::Failure(failure) => self.login_failed(failure, out),
        }
    }

    /// RFC 6120 §6.4.5: the peer may try again, a few times.
    pub(super) fn login_failed(&mut self, failure: Failure, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(
            format!(
                "<failure xmlns='{SASL_NS}'><{}/></failure>",
                failure.condition()
            )
            .as_bytes(),
        );
        self.failed = Some(FailedLogin {
            mechanism: self.mechanism.take(),
            user: self.claimed.take(),
            failure,
        });
        self.state = State::Features;
        self.count_failure(out)
    }
}

fn write(out: &mut Vec<u8>, name: &str, data: Option<&[u8]>) {
    let element = match data {
        Some(data) => format!(
            "<{name} xmlns='{SASL_NS}'>{}</{name}>",
            STANDARD.encode(data)
        ),
        None => format!("<{name} xmlns='{SASL_NS}'/>"),
    };
    out.extend_from_slice(element.as_bytes());
}

/// RFC 6120 §6.4.2: base64 without white space; `=` is data of length zero.
fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    match text {
        "=" => Ok(Vec::new()),
        text => STANDARD
            .decode(text)
            .map_err(|_| Failure::IncorrectEncoding),
    }
}
