//! Why a conversation does not begin, or ends.

use std::io;
use std::time::Duration;

use super::Fingerprint;
use super::line::clean;
use crate::sasl::PasswordError;
use crate::sasl::client::Distrust;
use crate::xml;

/// Why a client gives up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Host and port.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server speaks XMPP, but not TLS.
    #[error("{0} offers no TLS: nothing is sent without it, least of all a password")]
    NoTls(String),
    /// The handshake failed.
    #[error("no TLS with {server}: {source}")]
    Tls {
        /// Host and port.
        server: String,
        /// What the TLS library says.
        source: rustls::Error,
    },
    /// Nobody vouches for the certificate.
    #[error(
        "the certificate of {server} is not trusted: {why}\n  its SHA-256 is {fingerprint}\n  Compare it with what \
         stanzad prints when it starts; if it is the same: --fingerprint {fingerprint}"
    )]
    Untrusted {
        /// Host and port.
        server: String,
        /// Of the certificate that the server showed.
        fingerprint: Fingerprint,
        /// Why it is not trusted.
        why: String,
    },
    /// The files of the system's certification authorities cannot be used.
    #[error("the system's certification authorities cannot be used: {0}")]
    Roots(String),
    /// The domain is no name that a certificate can have.
    #[error("`{0}` is no name that a certificate can have")]
    Name(String),
    /// No mechanism in common.
    #[error("the server offers no login that this client knows: {0}")]
    Mechanisms(String),
    /// The password cannot be sent.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The server's part of the login is wrong.
    #[error("the login was broken off: {0}")]
    Distrust(#[from] Distrust),
    /// The server says no.
    #[error("{0}")]
    Refused(String),
    /// The server answered with something else than what the protocol says.
    #[error("the server answers {got} in place of {wanted}")]
    Unexpected {
        /// What would have been right.
        wanted: &'static str,
        /// What came.
        got: String,
    },
    /// The server's bytes are no XML stream.
    #[error("the server sent what is no XMPP: {0}")]
    Xml(#[from] xml::Error),
    /// The server ended the stream, for a reason it gave.
    #[error("the server ended the connection: {0}")]
    Ended(String),
    /// The connection ended without a reason.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// Silence.
    #[error("the connection is lost: no answer for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// What a script waited for did not come.
    #[error("`{text}` did not come within {} seconds", time.as_secs())]
    NotCome {
        /// The text.
        text: String,
        /// How long.
        time: Duration,
    },
    /// The screen cannot be written.
    #[error("cannot write: {0}")]
    Output(io::Error),
    /// Something else of the system's.
    #[error("{0}")]
    System(io::Error),
}

impl ClientError {
    pub(super) fn lost(error: &io::Error) -> ClientError {
        ClientError::Lost(match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed it".to_owned(),
            _ => error.to_string(),
        })
    }

    pub(super) fn unexpected(wanted: &'static str, got: &xml::Element) -> ClientError {
        ClientError::Unexpected {
            wanted,
            got: format!("<{}/>", clean(got.name())),
        }
    }
}
