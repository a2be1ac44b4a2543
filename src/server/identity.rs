//! Certificates: those of the configuration, and a self-signed one where it names none.

use std::sync::Arc;

use crate::config::{self, Config, Role};
use crate::jid::Jid;
use crate::net::tls::{Certificate, CertificateError, Identities, Matcher, ServerSettings};

use super::banner::Certified;

/// Below the data directory.
const DIRECTORY: &str = "tls";

/// TLS settings by `Listen`, in configuration order.
pub(crate) struct Tls {
    listens: Vec<Arc<ServerSettings>>,
    pub(crate) certified: Vec<Certified>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate cannot be had.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The TLS library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Tls {
    /// Reads, or makes, every certificate of a configuration.
    pub(crate) fn load(config: &Arc<Config>) -> Result<Tls, TlsError> {
        let domains: Vec<&config::Domain> = config
            .domains()
            .iter()
            .filter(|domain| domain.role == Some(Role::Server))
            .collect();
        let first = domains
            .first()
            .map_or("localhost", |domain| domain.name.as_str());
        let dir = config.data_dir().join(DIRECTORY);
        let mut certified = Vec::new();
        let mut listens = Vec::new();
        for listen in config.xmpp_listens() {
            let default = match &listen.certificate {
                Some(files) => Certificate::load(&files.chain, &files.key)?,
                None => Certificate::self_signed(&dir, first)?,
            };
            note(
                &mut certified,
                first,
                &default,
                listen.certificate.is_none(),
            );
            let own_default = listen.certificate.is_none();
            let mut identities = Identities::new(default);
            for domain in &domains {
                let certificate = match &domain.certificate {
                    Some(files) => Certificate::load(&files.chain, &files.key)?,
                    None if own_default && domain.name != first => {
                        Certificate::self_signed(&dir, &domain.name)?
                    }
                    None => continue,
                };
                let self_signed = domain.certificate.is_none();
                note(&mut certified, &domain.name, &certificate, self_signed);
                identities.add(&domain.name, certificate);
            }
            for pattern in config.domain_patterns() {
                let Some(files) = pattern.certificate() else {
                    continue;
                };
                let certificate = Certificate::load(&files.chain, &files.key)?;
                note(&mut certified, &pattern.name, &certificate, false);
                identities.add_matching(matcher(config, files), certificate);
            }
            listens.push(Arc::new(identities.into_settings()?));
        }
        Ok(Tls { listens, certified })
    }

    /// Whether that certificate is among these.
    pub(crate) fn has(&self, certificate: &Certified) -> bool {
        self.certified
            .iter()
            .any(|have| have.fingerprint == certificate.fingerprint)
    }

    /// The settings of the `Listen` at that place in the configuration.
    pub(crate) fn of(&self, listen: usize) -> Option<Arc<ServerSettings>> {
        self.listens.get(listen).cloned()
    }
}

/// Accepts the names whose certificate is in these files. A name in a hello spells another language in A-labels.
fn matcher(config: &Arc<Config>, files: &config::Certificate) -> Matcher {
    let (config, files) = (config.clone(), files.clone());
    Arc::new(move |name| {
        let domain = Jid::new(name).ok();
        domain.is_some_and(|jid| config.certificate_of(jid.domain()) == Some(&files))
    })
}

fn note(
    certified: &mut Vec<Certified>,
    domain: &str,
    certificate: &Certificate,
    self_signed: bool,
) {
    let fingerprint = certificate.fingerprint();
    if !certified.iter().any(|have| have.fingerprint == fingerprint) {
        certified.push(Certified {
            domain: domain.to_owned(),
            fingerprint: fingerprint.to_owned(),
            sha1: certificate.sha1().to_lowercase(),
            file: std::path::absolute(certificate.path())
                .unwrap_or_else(|_| certificate.path().to_owned()),
            self_signed,
        });
    }
}
