//! Certificates with their keys: read from PEM files, or made for ourselves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

/// The years that a self-signed certificate is valid for. It is trusted by its fingerprint, not by its dates, and no
/// clock is at hand here.
const SELF_SIGNED_YEARS: (i32, i32) = (2025, 2125);

/// A certificate chain with its private key.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    fingerprint: String,
    sha1: String,
    path: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not PEM, or not with what it should hold.
    #[error("{}: no usable {what} in PEM form: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What the reader says.
        source: pem::Error,
    },
    /// Certificate and key do not fit together, or their kind is not supported.
    #[error("{} cannot be used with {}: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A certificate cannot be made for a name like this.
    #[error("`{domain}` is neither a DNS name nor an IP address")]
    NotAName {
        /// The name.
        domain: String,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate for {domain}: {source}")]
    Generate {
        /// The domain.
        domain: String,
        /// What rcgen says.
        source: rcgen::Error,
    },
}

impl Certificate {
    /// Reads a chain (end entity first) and its private key (PKCS#8, PKCS#1 or SEC1) from PEM files. Both may be in one
    /// file.
    ///
    /// # Errors
    /// [`CertificateError`], naming the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let chain_pem = read(certificate)?;
        let chain = CertificateDer::pem_slice_iter(&chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| match chain.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(chain),
            })
            .map_err(|source| CertificateError::Pem {
                path: certificate.to_owned(),
                what: "certificate",
                source,
            })?;
        let key_pem = if key == certificate {
            chain_pem
        } else {
            read(key)?
        };
        let private =
            PrivateKeyDer::from_pem_slice(&key_pem).map_err(|source| CertificateError::Pem {
                path: key.to_owned(),
                what: "private key",
                source,
            })?;
        let leaf = chain.first().map_or(&[][..], |first| first.as_ref());
        let fingerprint = hex(&ring::digest::SHA256, leaf).join(":");
        let sha1 = hex(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, leaf).concat();
        let certified =
            CertifiedKey::from_der(chain, private, &default_provider()).map_err(|source| {
                CertificateError::Unusable {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                    source,
                }
            })?;
        Ok(Certificate {
            key: Arc::new(certified),
            fingerprint,
            sha1,
            path: certificate.to_owned(),
        })
    }

    /// The self-signed certificate of `domain` that is kept in `dir` as `DOMAIN.pem` (certificate and key, readable by
    /// its owner only). It is made when it is missing, and never changes after that: people pin its fingerprint.
    ///
    /// # Errors
    /// [`CertificateError`]. A file that exists but cannot be used is an error; it is not replaced.
    pub fn self_signed(dir: &Path, domain: &str) -> Result<Certificate, CertificateError> {
        let name = domain.trim_start_matches('[').trim_end_matches(']');
        // Also what makes the name safe as a file's.
        if ServerName::try_from(name).is_err() {
            return Err(CertificateError::NotAName {
                domain: domain.to_owned(),
            });
        }
        let path = dir.join(format!("{name}.pem"));
        let written = match path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => write_private(dir, &path, generate(name)?.as_bytes()),
            Err(source) => Err(source),
        };
        written.map_err(|source| CertificateError::Write {
            path: path.clone(),
            source,
        })?;
        Certificate::load(&path, &path)
    }

    /// SHA-256 of the end entity's DER, as `AB:CD:...`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// SHA-1 of the end entity's DER, as `abcd...`: for people whose client shows no other.
    #[must_use]
    pub fn sha1(&self) -> &str {
        &self.sha1
    }

    /// The file that it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The digest of `der`, a pair of digits for each byte.
fn hex(algorithm: &'static ring::digest::Algorithm, der: &[u8]) -> Vec<String> {
    let digest = ring::digest::digest(algorithm, der);
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02X}")).collect()
}

/// A new ECDSA P-256 key and its certificate for `name`, as PEM.
fn generate(name: &str) -> Result<String, CertificateError> {
    let make = || {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = rcgen::date_time_ymd(SELF_SIGNED_YEARS.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(SELF_SIGNED_YEARS.1, 1, 1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key)?;
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    };
    make().map_err(|source| CertificateError::Generate {
        domain: name.to_owned(),
        source,
    })
}

/// Puts `bytes` at `path`, whole or not at all, readable by the owner only.
fn write_private(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let new = path.with_extension("pem.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}
