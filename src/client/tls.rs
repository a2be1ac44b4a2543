//! Whom a client believes: fingerprints that somebody vouched for, and the system's certification authorities.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::ClientError;

/// The protocol that a client names in the handshake (XEP-0368 §3).
const ALPN: &[u8] = b"xmpp-client";

/// Names another file of certification authorities, as for OpenSSL.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
/// Where systems keep their certification authorities: Debian and Alpine, Fedora, SUSE, BSD.
const ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Not 32 bytes in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons")]
pub struct NotAFingerprint;

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Reads `AB:CD:...` and `abcd...`.
    fn from_str(text: &str) -> Result<Fingerprint, NotAFingerprint> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|letter| *letter != ':')
            .map(|letter| {
                letter
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect::<Option<_>>()
            .ok_or(NotAFingerprint)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if rest.is_empty() => Ok(Fingerprint(bytes)),
            _ => Err(NotAFingerprint),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(out, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Whose certificate is believed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Certificates that somebody vouched for: the operator, or the daemon on its console.
    pub fingerprints: Vec<Fingerprint>,
    /// Whether the system's certification authorities may vouch too, for the domain's name.
    pub authorities: bool,
}

/// A handshake's settings, and what the server showed.
pub(super) struct Handshake {
    pub(super) config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl Handshake {
    pub(super) fn new(trust: &Trust) -> Result<Handshake, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let authorities = if trust.authorities {
            authorities(&provider)?
        } else {
            None
        };
        let verifier = Arc::new(Verifier {
            fingerprints: trust.fingerprints.clone(),
            authorities,
            provider: provider.clone(),
            shown: Mutex::default(),
        });
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Roots(error.to_string()))?;
        let mut config = versions
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Handshake {
            config: Arc::new(config),
            verifier,
        })
    }

    /// What a failed handshake with `server` means.
    pub(super) fn failure(&self, server: &str, error: Error) -> ClientError {
        let shown = *self.verifier.shown.lock();
        match (error, shown) {
            (Error::InvalidCertificate(why), Some(fingerprint)) => ClientError::Untrusted {
                server: server.to_owned(),
                fingerprint,
                why: match why {
                    CertificateError::ApplicationVerificationFailure
                        if !self.verifier.fingerprints.is_empty() =>
                    {
                        "it is another than the one that was named".to_owned()
                    }
                    CertificateError::UnknownIssuer
                    | CertificateError::ApplicationVerificationFailure => {
                        "nobody vouches for it".to_owned()
                    }
                    other => Error::InvalidCertificate(other).to_string(),
                },
            },
            (error, _) => ClientError::Tls {
                server: server.to_owned(),
                source: error,
            },
        }
    }
}

/// The first file of certification authorities that is there.
fn authorities(
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, ClientError> {
    let named = std::env::var_os(ROOTS_VARIABLE).map(PathBuf::from);
    let Some(path) = named.or_else(|| ROOTS.iter().map(PathBuf::from).find(|path| path.exists()))
    else {
        return Ok(None);
    };
    let told = |path: &Path, why: &dyn fmt::Display| {
        ClientError::Roots(format!("{}: {why}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&path).map_err(|error| told(&path, &error))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.flatten());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map(Some)
        .map_err(|error| told(&path, &error))
}

/// Believes a fingerprint, else asks the authorities.
#[derive(Debug)]
struct Verifier {
    fingerprints: Vec<Fingerprint>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    /// What the server showed, for whoever has to tell that it is not believed.
    shown: Mutex<Option<Fingerprint>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        *self.shown.lock() = Some(shown);
        if self.fingerprints.contains(&shown) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now)
            }
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let shown = Fingerprint::of(&CertificateDer::from(vec![1, 2, 3]));
        let text = shown.to_string();
        assert!(text.starts_with("03:90:58:C6:"), "{text}");
        assert_eq!(text.parse(), Ok(shown));
        assert_eq!(text.replace(':', "").to_lowercase().parse(), Ok(shown));
        for wrong in [
            "",
            "AB",
            &text[1..],
            &format!("{text}:00"),
            "no hexadecimal",
        ] {
            assert_eq!(
                wrong.parse::<Fingerprint>(),
                Err(NotAFingerprint),
                "{wrong}"
            );
        }
    }
}
