//! TLS for client streams: certificates, the server's settings, and the driver that runs rustls over a non-blocking
//! socket.
//!
//! Why rustls with ring, and not aws-lc-rs: `docs/decisions/crypto-provider.md`.

mod certificate;
mod driver;
mod settings;

pub use certificate::{Certificate, CertificateError};
pub use driver::{Info, Tls, TlsError};
pub use settings::{ALPN_CLIENT, Identities, Matcher, ServerSettings};

#[cfg(test)]
mod tests;
