//! Stream headers and features (RFC 6120 §4.3.2, §4.7, §4.8).

use crate::jid::Jid;
use crate::sasl::Mechanism;
use crate::xml::{CLIENT_NS, COMPONENT_NS, Header, STREAM_NS, escape_attr};

use super::{
    BIND_NS, Bounds, LIMITS_NS, Negotiation, Next, SASL_NS, StartTls, State, StreamCondition,
    TLS_NS,
};
use crate::stream::sm::SM_NS;

/// A part of a header, or what is wrong with it.
pub(super) type Judged<T> = Result<T, (StreamCondition, &'static str)>;

/// The domain that the stream is opened to, ours or not.
pub(super) fn domain(header: &Header) -> Judged<Jid> {
    let to = header.to.as_deref().and_then(|to| Jid::new(to).ok());
    to.filter(|to| to.as_str() == to.domain())
        .ok_or((StreamCondition::ImproperAddressing, "opened to no domain"))
}

impl Negotiation {
    /// Judges the peer's header, answers with ours and the features.
    pub(super) fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Next {
        // A login is a client's; nobody becomes a component behind one (T18).
        if (header.stream_ns.as_str(), header.ns.as_str()) == (STREAM_NS, COMPONENT_NS)
            && self.user.is_none()
        {
            return self.component_header(header, out);
        }
        let (domain, from) = match self.judge(header) {
            Ok(good) => good,
            Err((condition, reason)) => return self.refuse(condition, reason, out),
        };
        self.domain = Some(domain);
        self.write_header(from.as_ref(), out);
        self.write_features(out);
        self.state = State::Features;
        Next::Read
    }

    /// The domain the stream is opened to, and the peer's `from`.
    fn judge(&self, header: &Header) -> Judged<(String, Option<Jid>)> {
        if header.stream_ns != STREAM_NS {
            return Err((
                StreamCondition::InvalidNamespace,
                "not the namespace of streams",
            ));
        }
        if header.ns != CLIENT_NS {
            return Err((
                StreamCondition::InvalidNamespace,
                "not the namespace of clients",
            ));
        }
        if !header.version.as_deref().is_some_and(is_supported) {
            return Err((StreamCondition::UnsupportedVersion, "not XMPP 1.0"));
        }
        let domain = domain(header)?;
        if !(self.rules.serves)(domain.domain()) {
            return Err((
                StreamCondition::HostUnknown,
                "opened to a domain that is not served here",
            ));
        }
        let domain = domain.as_str().to_owned();
        let from = match &header.from {
            None => None,
            Some(from) => Some(
                Jid::new(from)
                    .map_err(|_| (StreamCondition::InvalidFrom, "`from` is not an address"))?,
            ),
        };
        if let Some(user) = &self.user {
            // The login was for one user of one domain. Another name now would be a session in another's place (T18).
            if domain != user.domain() {
                return Err((
                    StreamCondition::HostUnknown,
                    "another domain than that of the login",
                ));
            }
            if from
                .as_ref()
                .is_some_and(|from| from.bare_str() != user.as_str())
            {
                return Err((
                    StreamCondition::InvalidFrom,
                    "another user than that of the login",
                ));
            }
        }
        Ok((domain, from))
    }

    /// Ours; `to` is the peer's `from` (RFC 6120 §4.7.2).
    pub(super) fn write_header(&mut self, to: Option<&Jid>, out: &mut Vec<u8>) {
        let own = self.domain.as_ref().or(self.rules.speaker.as_ref());
        self.stream_id = self.clock.random_id();
        // XEP-0114 is older than XMPP 1.0: a version would promise features.
        let version = match self.content_ns {
            CLIENT_NS => " version='1.0' xml:lang='en'",
            _ => "",
        };
        out.extend_from_slice(
            format!(
                "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{STREAM_NS}'{version} id='{}'",
                self.content_ns, self.stream_id
            )
            .as_bytes(),
        );
        for (name, value) in [
            ("from", own.map(String::as_str)),
            ("to", to.map(Jid::as_str)),
        ] {
            if let Some(value) = value {
                out.extend_from_slice(format!(" {name}='").as_bytes());
                escape_attr(out, value);
                out.push(b'\'');
            }
        }
        out.push(b'>');
        self.header_sent = true;
    }

    /// What the peer may do now (RFC 6120 §4.3.2). What is offered here is what is accepted later.
    fn write_features(&mut self, out: &mut Vec<u8>) {
        let (before_auth, bound) = self.rules.bounds;
        let mut features = String::from("<stream:features>");
        let bounds = if self.user.is_some() {
            features.push_str(&format!(
                "<bind xmlns='{BIND_NS}'/>\
                 <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
                 <sm xmlns='{SM_NS}'/>{}",
                (self.rules.after_login)(self.domain.as_deref().unwrap_or_default())
            ));
            bound
        } else {
            if !self.encrypted && self.rules.starttls != StartTls::Absent {
                let required = match self.rules.starttls {
                    StartTls::Required => "<required/>",
                    _ => "",
                };
                features.push_str(&format!("<starttls xmlns='{TLS_NS}'>{required}</starttls>"));
            }
            self.offered = self.mechanisms_now();
            if !self.offered.is_empty() {
                features.push_str(&format!("<mechanisms xmlns='{SASL_NS}'>"));
                for mechanism in &self.offered {
                    features.push_str(&format!("<mechanism>{}</mechanism>", mechanism.name()));
                }
                features.push_str("</mechanisms>");
            }
            if self.registration().is_some() {
                // XEP-0077 §6, XEP-0445 §4.
                features.push_str(
                    "<register xmlns='http://jabber.org/features/iq-register'/>\
                     <register xmlns='urn:xmpp:ibr-token:0'/>",
                );
            }
            before_auth
        };
        features.push_str(&bounds.feature());
        features.push_str("</stream:features>");
        out.extend_from_slice(features.as_bytes());
    }

    /// Without TLS: nothing where TLS is required, and nothing that shows the password (T17, T21).
    fn mechanisms_now(&self) -> Vec<Mechanism> {
        let all = self.rules.mechanisms.iter().copied();
        if self.encrypted {
            return all.collect();
        }
        match self.rules.starttls {
            StartTls::Required => Vec::new(),
            _ => all
                .filter(|mechanism| !mechanism.shows_password())
                .collect(),
        }
    }
}

impl Bounds {
    /// XEP-0478 §3.1. A stream that may be silent for ever says nothing about silence.
    fn feature(self) -> String {
        let idle = self.idle.map_or_else(String::new, |idle| {
            format!("<idle-seconds>{}</idle-seconds>", idle.as_secs())
        });
        format!(
            "<limits xmlns='{LIMITS_NS}'><max-bytes>{}</max-bytes>{idle}</limits>",
            self.max_bytes
        )
    }
}

/// RFC 6120 §4.7.5: `major.minor`, compared as numbers; we speak 1.0, and so does every later minor version.
fn is_supported(version: &str) -> bool {
    let Some((major, minor)) = version.split_once('.') else {
        return false;
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    number(minor) && number(major) && major.bytes().any(|digit| digit != b'0')
}
