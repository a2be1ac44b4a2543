//! What the daemon says when it is ready: what is in force, where to connect, what to do next.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::TlsMode;

/// Sockets, certificates and consoles beyond these are counted, not shown: a banner fits a screen.
const SHOWN: usize = 2;

/// The page that leads from localhost to a domain.
const NEXT: &str = "docs/first-domain.md";

/// The facts of a start. `{}` shows them as plain text, `{:#}` with what can be pasted in bold.
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
    /// How stanzactl is called.
    pub stanzactl: String,
}

/// A certificate in force.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The domain, or `default`.
    pub domain: String,
    /// SHA-256 of the leaf, `AB:CD:...`.
    pub fingerprint: String,
    /// SHA-1 of the leaf, `abcd...`.
    pub sha1: String,
    /// The file that it was read from.
    pub file: PathBuf,
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
        let domains = self.domains.join(", ");
        writeln!(out, "stanzad {} serves {domains}", self.version)?;
        line(out, "configuration", &self.configuration)?;
        line(out, "data", &self.data.display().to_string())?;
        for path in self.console.iter().take(SHOWN) {
            line(out, "console", &path.display().to_string())?;
        }
        line(out, "scripts", &self.scripts)?;
        writeln!(out, "  {}", self.generation)?;
        self.clients(out)?;
        self.certificates(out)?;
        writeln!(out, "Next, in another terminal:")?;
        self.first_steps(out)?;
        write!(out, "ready")
    }
}

/// One line of the banner, its name in front.
fn line(out: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(out, "  {name:<13}  {text}")
}

/// [`line()`] of what is pasted, and what is said behind it.
fn paste(out: &mut fmt::Formatter<'_>, name: &str, text: &str, behind: &str) -> fmt::Result {
    if out.alternate() {
        line(out, name, &format!("\u{1b}[1m{text}\u{1b}[0m{behind}"))
    } else {
        line(out, name, &format!("{text}{behind}"))
    }
}

fn more(out: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => line(out, "", &format!("and {more} more: stanzactl summary")),
    }
}

impl Banner {
    /// Where clients connect; sockets of one port and kind, as of IPv4 and IPv6, share a line.
    fn clients(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(u16, TlsMode, String)> = Vec::new();
        for Socket { addr, tls } in &self.sockets {
            let same = lines
                .iter_mut()
                .find(|(port, mode, _)| *port == addr.port() && mode == tls);
            match same {
                Some((.., list)) => *list += &format!(" and {addr}"),
                None => lines.push((addr.port(), *tls, addr.to_string())),
            }
        }
        for (_, tls, list) in lines.iter().take(SHOWN) {
            let how = match tls {
                TlsMode::None => "without TLS",
                TlsMode::Offered => "STARTTLS offered",
                TlsMode::Required => "STARTTLS",
                TlsMode::Direct => "TLS from the first byte",
                TlsMode::Either => "STARTTLS, or TLS from the first byte",
            };
            line(out, "clients", &format!("{list}  {how}"))?;
        }
        more(out, lines.len())
    }

    fn certificates(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for certificate in self.certificates.iter().take(SHOWN) {
            let made = if certificate.self_signed {
                "self-signed, "
            } else {
                ""
            };
            let Certified {
                domain,
                fingerprint,
                ..
            } = certificate;
            let text = format!("{domain}, {made}SHA-256 {fingerprint}");
            line(out, "certificate", &text)?;
        }
        more(out, self.certificates.len())
    }

    /// A user, a client, a domain.
    fn first_steps(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.domains.first().map_or("localhost", String::as_str);
        let (user, ctl) = (format!("alice@{domain}"), &self.stanzactl);
        paste(out, "a user", &format!("{ctl} user add {user}"), "")?;
        paste(
            out,
            "stanzactl",
            &format!("{ctl} chat {user} echo@{domain}"),
            "",
        )?;
        match (self.certificates.first(), self.nearest()) {
            (Some(own), Some(addr)) if own.self_signed => {
                self.pinning_clients(out, &user, own, addr)?;
            }
            _ => {
                let anywhere = format!("{user} and the password, once DNS names this server");
                line(out, "Gajim, Dino", &anywhere)?;
                line(out, "Conversations", &anywhere)?;
                paste(out, "profanity", &format!("/connect {user} tls force"), "")?;
                paste(out, "slixmpp", "xmpp.connect()", "")?;
            }
        }
        // Dino has no list of certificates of its own (dino/dino issue 57); a phone does not reach a loopback address.
        let who = match self.certificates.first() {
            Some(own) if !own.self_signed => "",
            _ => "; Dino and Conversations want one",
        };
        line(out, "your domain", &format!("{NEXT}{who}"))
    }

    /// Clients that must be told whom to believe.
    fn pinning_clients(
        &self,
        out: &mut fmt::Formatter<'_>,
        user: &str,
        own: &Certified,
        addr: SocketAddr,
    ) -> fmt::Result {
        let domain = self.domains.first().map_or("localhost", String::as_str);
        let (host, port) = match addr.ip() {
            ip if ip.is_unspecified() => (domain.to_owned(), addr.port()),
            ip => (ip.to_string(), addr.port()),
        };
        let advanced = format!("{user}, host {host}, port {port}; compare the SHA-256");
        line(out, "Gajim", &advanced)?;
        let connect = format!("/connect {user} server {host} port {port} tls force");
        paste(out, "profanity", &connect, "")?;
        paste(
            out,
            "",
            "/tls always",
            &format!("  if its SHA-1 is {}", own.sha1),
        )?;
        let file = own.file.display();
        let slixmpp = format!("xmpp.ca_certs = \"{file}\"; xmpp.connect(\"{host}\", {port})");
        paste(out, "slixmpp", &slixmpp, "")?;
        if addr.ip().is_loopback() {
            return Ok(());
        }
        line(out, "Conversations", &advanced)
    }

    /// The socket that is best for trying: IPv4, STARTTLS.
    fn nearest(&self) -> Option<SocketAddr> {
        let rank = |socket: &&Socket| {
            let kind = match socket.tls {
                TlsMode::Required => 0,
                TlsMode::Either | TlsMode::Offered => 1,
                TlsMode::Direct => 2,
                TlsMode::None => 3,
            };
            (kind, !matches!(socket.addr.ip(), IpAddr::V4(_)))
        };
        self.sockets
            .iter()
            .min_by_key(rank)
            .map(|socket| socket.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certified(domain: &str, self_signed: bool) -> Certified {
        Certified {
            domain: domain.to_owned(),
            fingerprint: ["AB"; 32].join(":"),
            sha1: "cd".repeat(20),
            file: format!("/srv/var/tls/{domain}.pem").into(),
            self_signed,
        }
    }

    fn socket(addr: &str, tls: TlsMode) -> Socket {
        Socket {
            addr: addr.parse().unwrap(),
            tls,
        }
    }

    fn shipped() -> Banner {
        Banner {
            version: "0.1.0",
            configuration: "built in".to_owned(),
            data: "/srv/var".into(),
            scripts: "/srv/scripts".to_owned(),
            generation: "generation 1 live on 2 workers, 7 ms: dialplan.lua, chatstates.lua"
                .to_owned(),
            domains: vec!["localhost".to_owned()],
            certificates: vec![certified("localhost", true)],
            sockets: vec![
                socket("127.0.0.1:5222", TlsMode::Required),
                socket("[::1]:5222", TlsMode::Required),
                socket("127.0.0.1:5223", TlsMode::Direct),
                socket("[::1]:5223", TlsMode::Direct),
            ],
            console: vec!["/srv/var/stanzad.sock".into()],
            stanzactl: "stanzactl".to_owned(),
        }
    }

    /// Lines of a terminal of 80 columns.
    fn rows(banner: &Banner) -> usize {
        let shown = banner.to_string();
        shown
            .lines()
            .map(|line| line.chars().count().div_ceil(80).max(1))
            .sum()
    }

    #[test]
    fn first_start_in_one_screen() {
        let expected = "\
stanzad 0.1.0 serves localhost
  configuration  built in
  data           /srv/var
  console        /srv/var/stanzad.sock
  scripts        /srv/scripts
  generation 1 live on 2 workers, 7 ms: dialplan.lua, chatstates.lua
  clients        127.0.0.1:5222 and [::1]:5222  STARTTLS
  clients        127.0.0.1:5223 and [::1]:5223  TLS from the first byte
  certificate    localhost, self-signed, SHA-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB
Next, in another terminal:
  a user         stanzactl user add alice@localhost
  stanzactl      stanzactl chat alice@localhost echo@localhost
  Gajim          alice@localhost, host 127.0.0.1, port 5222; compare the SHA-256
  profanity      /connect alice@localhost server 127.0.0.1 port 5222 tls force
                 /tls always  if its SHA-1 is cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
  slixmpp        xmpp.ca_certs = \"/srv/var/tls/localhost.pem\"; xmpp.connect(\"127.0.0.1\", 5222)
  your domain    docs/first-domain.md; Dino and Conversations want one
ready";
        let banner = shipped();
        assert_eq!(banner.to_string(), expected);
        assert!(rows(&banner) <= 24, "{} rows", rows(&banner));
        let bold = format!("{banner:#}");
        assert!(
            bold.contains("\u{1b}[1m/tls always\u{1b}[0m  if its"),
            "{bold}"
        );
        assert_eq!(
            bold.replace("\u{1b}[1m", "").replace("\u{1b}[0m", ""),
            expected
        );
    }

    #[test]
    fn real_domain_needs_an_address_and_a_password_only() {
        let mut banner = shipped();
        banner.domains = ["example.org", "a.example", "b.example", "c.example"]
            .map(str::to_owned)
            .into();
        banner.certificates = banner
            .domains
            .iter()
            .map(|name| certified(name, false))
            .collect();
        banner.sockets = vec![
            socket("[::]:5222", TlsMode::Required),
            socket("[::]:5223", TlsMode::Direct),
        ];
        let expected = "\
                 and 2 more: stanzactl summary
Next, in another terminal:
  a user         stanzactl user add alice@example.org
  stanzactl      stanzactl chat alice@example.org echo@example.org
  Gajim, Dino    alice@example.org and the password, once DNS names this server
  Conversations  alice@example.org and the password, once DNS names this server
  profanity      /connect alice@example.org tls force
  slixmpp        xmpp.connect()
  your domain    docs/first-domain.md
ready";
        let shown = banner.to_string();
        assert!(shown.ends_with(expected), "{shown}");
        assert!(rows(&banner) <= 24, "{} rows", rows(&banner));
    }

    #[test]
    fn phones_reach_what_is_not_loopback() {
        let mut banner = shipped();
        banner.sockets = vec![socket("0.0.0.0:5222", TlsMode::Either)];
        let shown = banner.to_string();
        let line =
            "Conversations  alice@localhost, host localhost, port 5222; compare the SHA-256\n";
        assert!(shown.contains(line), "{shown}");
    }
}
