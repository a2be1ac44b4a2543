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

/// Whether a certificate is for a domain: the name as the client wrote it.
pub type Matcher = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The certificates of a listener, by domain.
pub struct Identities {
    default: Certificate,
    by_domain: HashMap<String, Certificate>,
    matching: Vec<(Matcher, Certificate)>,
}

impl Identities {
    /// Starts with the certificate that is shown for every name that has none of its own.
    #[must_use]
    pub fn new(default: Certificate) -> Identities {
        Identities {
            default,
            by_domain: HashMap::new(),
            matching: Vec::new(),
        }
    }

    /// Shows `certificate` for `domain` (A-labels; upper and lower case are one).
    pub fn add(&mut self, domain: &str, certificate: Certificate) {
        self.by_domain
            .insert(domain.to_ascii_lowercase(), certificate);
    }

    /// Shows `certificate` for domains that have none of their own and that `matcher` accepts, the first added first.
    pub fn add_matching(&mut self, matcher: Matcher, certificate: Certificate) {
        self.matching.push((matcher, certificate));
    }

    /// Builds the settings of a listener for clients.
    ///
    /// # Errors
    /// When rustls finds no cipher suite for the protocol versions: a build without ring's suites.
    pub fn into_settings(self) -> Result<ServerSettings, rustls::Error> {
        let keys = Arc::new(Keys {
            by_domain: self
                .by_domain
                .into_iter()
                .map(|(domain, certificate)| (domain, certificate.certified_key()))
                .collect(),
            matching: self
                .matching
                .into_iter()
                .map(|(matcher, certificate)| (matcher, certificate.certified_key()))
                .collect(),
        });
        let by_domain = keys
            .by_domain
            .iter()
            .map(|(domain, key)| Ok((domain.clone(), server_config(key, &keys)?)))
            .collect::<Result<_, rustls::Error>>()?;
        let matching = keys
            .matching
            .iter()
            .map(|(matcher, key)| Ok((matcher.clone(), server_config(key, &keys)?)))
            .collect::<Result<_, rustls::Error>>()?;
        Ok(ServerSettings {
            default: server_config(&self.default.certified_key(), &keys)?,
            by_domain,
            matching,
        })
    }
}

/// The certificates with their keys.
struct Keys {
    by_domain: HashMap<String, Arc<CertifiedKey>>,
    matching: Vec<(Matcher, Arc<CertifiedKey>)>,
}

/// What rustls needs for a handshake, by the domain that the stream was opened to.
#[derive(Clone)]
pub struct ServerSettings {
    default: Arc<ServerConfig>,
    by_domain: HashMap<String, Arc<ServerConfig>>,
    matching: Vec<(Matcher, Arc<ServerConfig>)>,
}

impl ServerSettings {
    /// Settings for a stream opened to `domain` (before STARTTLS), or to nobody yet (direct TLS). A server name in the
    /// handshake itself decides over both; this decides for clients that send none.
    #[must_use]
    pub fn for_domain(&self, domain: Option<&str>) -> Arc<ServerConfig> {
        let own = domain.and_then(|domain| choose(domain, &self.by_domain, &self.matching));
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
    keys: &Arc<Keys>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver = ByName {
        default: Arc::clone(default),
        keys: Arc::clone(keys),
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

/// What is there for a domain: by its name, else by the first matcher that accepts it.
fn choose<'a, T>(
    domain: &str,
    by_domain: &'a HashMap<String, T>,
    matching: &'a [(Matcher, T)],
) -> Option<&'a T> {
    by_domain.get(domain).or_else(|| {
        let first = matching.iter().find(|(matcher, _)| matcher(domain));
        first.map(|(_, chosen)| chosen)
    })
}

/// Chooses the certificate by the name in the client's hello.
struct ByName {
    default: Arc<CertifiedKey>,
    keys: Arc<Keys>,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ByName").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello
            .server_name()
            .map(str::to_ascii_lowercase)
            .and_then(|name| choose(&name, &self.keys.by_domain, &self.keys.matching));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}
