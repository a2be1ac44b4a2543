//! Which certificate is shown to whom, and what TLS we speak.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::Certificate;

/// The protocol that a client names when it names one (XEP-0368 §3).
pub const ALPN_CLIENT: &[u8] = b"xmpp-client";

/// The certificates of a listener, by domain.
#[derive(Debug)]
pub struct Identities {
    default: Certificate,
    by_domain: HashMap<String, Certificate>,
}

impl Identities {
    /// Starts with the certificate that is shown for every name that has none of its own.
    #[must_use]
    pub fn new(default: Certificate) -> Identities {
        Identities {
            default,
            by_domain: HashMap::new(),
        }
    }

    /// Shows `certificate` for `domain` (A-labels; upper and lower case are one).
    pub fn add(&mut self, domain: &str, certificate: Certificate) {
        self.by_domain
            .insert(domain.to_ascii_lowercase(), certificate);
    }

    /// Builds the settings of a listener for clients.
    ///
    /// # Errors
    /// When rustls finds no cipher suite for the protocol versions: a build without ring's suites.
    pub fn into_settings(self) -> Result<ServerSettings, rustls::Error> {
        let keys: HashMap<String, Arc<CertifiedKey>> = self
            .by_domain
            .into_iter()
            .map(|(domain, certificate)| (domain, certificate.certified_key()))
            .collect();
        let keys = Arc::new(keys);
        let by_domain = keys
            .iter()
            .map(|(domain, key)| Ok((domain.clone(), server_config(key, &keys)?)))
            .collect::<Result<_, rustls::Error>>()?;
        Ok(ServerSettings {
            default: server_config(&self.default.certified_key(), &keys)?,
            by_domain,
        })
    }
}

/// What rustls needs for a handshake, by the domain that the stream was opened to.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    default: Arc<ServerConfig>,
    by_domain: HashMap<String, Arc<ServerConfig>>,
}

impl ServerSettings {
    /// Settings for a stream opened to `domain` (before STARTTLS), or to nobody yet (direct TLS). A server name in the
    /// handshake itself decides over both; this decides for clients that send none.
    #[must_use]
    pub fn for_domain(&self, domain: Option<&str>) -> Arc<ServerConfig> {
        let own = domain.and_then(|domain| self.by_domain.get(domain));
        Arc::clone(own.unwrap_or(&self.default))
    }
}

/// TLS 1.2 and 1.3 without client certificates. A client that offers ALPN must offer ours (T16).
///
/// Sessions are not resumed: no tickets, no cache. XMPP connections live long, so resumption would save little; and so
/// no key of ours opens recorded TLS 1.2 sessions, no session moves from one domain to another, there is no early data,
/// and an idle server holds nothing for clients that are gone.
fn server_config(
    default: &Arc<CertifiedKey>,
    by_domain: &Arc<HashMap<String, Arc<CertifiedKey>>>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver = ByName {
        default: Arc::clone(default),
        by_domain: Arc::clone(by_domain),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN_CLIENT.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Chooses the certificate by the name in the client's hello.
#[derive(Debug)]
struct ByName {
    default: Arc<CertifiedKey>,
    by_domain: Arc<HashMap<String, Arc<CertifiedKey>>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello
            .server_name()
            .and_then(|name| self.by_domain.get(&name.to_ascii_lowercase()));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}
