//! What the daemon says when it is ready: what is in force, where to connect, what to do next.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::TlsMode;

/// The facts of a start.
#[derive(Clone, Debug)]
pub struct Banner {
    /// The daemon's version.
    pub version: &'static str,
    /// The configuration file, or `built in`.
    pub configuration: String,
    /// The data directory.
    pub data: PathBuf,
    /// The script directory, or `built in`.
    pub scripts: String,
    /// What the script engine said of its first generation.
    pub generation: String,
    /// The domains served.
    pub domains: Vec<String>,
    /// The certificates in force.
    pub certificates: Vec<Certified>,
    /// The sockets that accept clients.
    pub sockets: Vec<Socket>,
    /// The console's sockets.
    pub console: Vec<PathBuf>,
}

/// A certificate in force.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The domain, or `default`.
    pub domain: String,
    /// SHA-256 of the leaf.
    pub fingerprint: String,
    /// Made by this server for itself.
    pub self_signed: bool,
}

/// A socket that accepts clients.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Where it is bound.
    pub addr: SocketAddr,
    /// When TLS begins there.
    pub tls: TlsMode,
}

impl fmt::Display for Banner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.domains.first().map_or_else(
            || "alice@localhost".to_owned(),
            |domain| format!("alice@{domain}"),
        );
        writeln!(
            out,
            "stanzad {} serves {}",
            self.version,
            self.domains.join(", ")
        )?;
        writeln!(out, "  configuration  {}", self.configuration)?;
        writeln!(out, "  data           {}", self.data.display())?;
        writeln!(
            out,
            "  scripts        {}  ({})",
            self.scripts, self.generation
        )?;
        for certificate in &self.certificates {
            let made = if certificate.self_signed {
                ", self-signed"
            } else {
                ""
            };
            writeln!(
                out,
                "  certificate    {} (SHA-256{made}, {})",
                certificate.fingerprint, certificate.domain
            )?;
        }
        for socket in &self.sockets {
            let how = match socket.tls {
                TlsMode::None => "without TLS",
                TlsMode::Offered => "STARTTLS offered",
                TlsMode::Required => "STARTTLS",
                TlsMode::Direct => "TLS from the first byte",
                TlsMode::Either => "STARTTLS, or TLS from the first byte",
            };
            writeln!(out, "  clients        {}  {how}", socket.addr)?;
        }
        for path in &self.console {
            writeln!(out, "  console        {}", path.display())?;
        }
        writeln!(out, "  make a user    stanzactl user add {user}")?;
        write!(out, "ready")
    }
}
