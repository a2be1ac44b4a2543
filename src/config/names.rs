//! The names of scopes that mean something: addresses, networks, domains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::jid::Jid;

/// What a `Listen` in `xmpp_listener` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpName {
    pub(super) addr: SocketAddr,
    pub(super) dual_stack: bool,
}

/// Reads `*:P`, `:P`, `1.2.3.4:P`, `[*]:P`, `[::1]:P`.
pub(super) fn tcp(text: &str) -> Option<TcpName> {
    let (host, port) = text.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    let (ip, dual_stack) = match host {
        "" | "*" => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), true),
        "[*]" => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), false),
        _ => match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => (IpAddr::V6(inner.parse().ok()?), false),
            None => (IpAddr::V4(host.parse().ok()?), false),
        },
    };
    Some(TcpName {
        addr: SocketAddr::new(ip, port),
        dual_stack,
    })
}

impl TcpName {
    /// Whether the kernel would refuse to bind both.
    pub(super) fn collides(self, other: TcpName) -> bool {
        if self.addr.port() != other.addr.port() || self.addr.port() == 0 {
            return false;
        }
        let (a, b) = (self.addr.ip(), other.addr.ip());
        let same_family = a.is_ipv4() == b.is_ipv4();
        self.dual_stack
            || other.dual_stack
            || a == b
            || (same_family && (a.is_unspecified() || b.is_unspecified()))
    }
}

/// An address or network, host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Net {
    base: IpAddr,
    prefix: u8,
}

impl Net {
    /// Reads `10.0.0.0/8`, `10.1.2.3`, `2001:db8::/32`. Brackets around IPv6 are allowed, not needed.
    pub(super) fn parse(text: &str) -> Option<Net> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        let ip: IpAddr = bare.unwrap_or(address).parse().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => most,
        };
        (prefix <= most).then(|| Net {
            base: mask(ip, prefix),
            prefix,
        })
    }

    /// The network that `text` means, if it names an address in it and not the network.
    pub(super) fn with_host_bits(text: &str) -> Option<Net> {
        let net = Net::parse(text)?;
        let (address, _) = text.split_once('/')?;
        let ip: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        (ip != net.base).then_some(net)
    }

    /// How many bits are fixed.
    pub(super) fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `ip` is in it.
    pub(super) fn contains(self, ip: IpAddr) -> bool {
        self.base.is_ipv4() == ip.is_ipv4() && mask(ip, self.prefix) == self.base
    }

    /// Whether the whole of `inner` is in it.
    pub(super) fn covers(self, inner: Net) -> bool {
        self.prefix <= inner.prefix && self.contains(inner.base)
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.base, self.prefix)
    }
}

fn mask(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let keep = u32::MAX
                .checked_shl(32_u32.saturating_sub(u32::from(prefix)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & keep))
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX
                .checked_shl(128_u32.saturating_sub(u32::from(prefix)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & keep))
        }
    }
}

/// The prefix of names that are meant for XMPP alone.
pub(super) const XMPP_PREFIX: &str = "#xmpp#";

/// Why a domain's name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DomainFault {
    /// `#smtp#example.org`.
    OtherProtocol,
    /// `#xmpp#/regex/`.
    PrefixedPattern,
    /// `#xmpp#`, `#xmpp#example.org#more`.
    BadPrefix,
    /// `*.example.org`.
    Wildcard,
    /// `https://example.org`, `example.org:5222`, `example.org/`: the name in it.
    Decorated(String),
    NotAName,
}

/// The normal form of a `Domain` scope's name that is no pattern: as [`domain_name`], `#xmpp#` kept in front.
pub(super) fn domain(text: &str) -> Result<String, DomainFault> {
    let lower = text.to_ascii_lowercase();
    let (prefix, name) = match lower.strip_prefix(XMPP_PREFIX) {
        Some(name) => (XMPP_PREFIX, name),
        None if lower.starts_with('#') => return Err(DomainFault::OtherProtocol),
        None => ("", lower.as_str()),
    };
    if let Some(name) = domain_name(name) {
        return Ok(format!("{prefix}{name}"));
    }
    Err(if name.starts_with('*') {
        DomainFault::Wildcard
    } else if !prefix.is_empty() && name.starts_with('/') {
        DomainFault::PrefixedPattern
    } else if !prefix.is_empty() && (name.is_empty() || name.contains('#')) {
        DomainFault::BadPrefix
    } else {
        bare(name).map_or(DomainFault::NotAName, DomainFault::Decorated)
    })
}

/// The domain's name in a URL or behind which a port stands.
fn bare(text: &str) -> Option<String> {
    let behind = text.split_once("://").map_or(text, |(_, behind)| behind);
    let host = behind.split('/').next().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    domain_name(name).filter(|_| name != text)
}

/// The domain as addresses spell it: whatever is equal in a [`Jid`] is equal here.
fn domain_name(text: &str) -> Option<String> {
    let jid = Jid::new(text).ok()?;
    let alone = jid.local().is_none() && jid.resource().is_none();
    alone.then(|| jid.domain().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_names() {
        let any = tcp("*:5222").unwrap();
        assert!(any.dual_stack && any.addr.port() == 5222);
        assert_eq!(tcp(":5222"), Some(any));
        assert_eq!(tcp("[*]:1").unwrap().addr.to_string(), "[::]:1");
        assert_eq!(tcp("[::1]:1").unwrap().addr.to_string(), "[::1]:1");
        assert_eq!(tcp("10.0.0.1:1").unwrap().addr.to_string(), "10.0.0.1:1");
        for bad in [
            "",
            ":",
            "*",
            "5222",
            "localhost:1",
            "::1:5222",
            "*:65536",
            "*:+1",
            "[10.0.0.1]:1",
        ] {
            assert_eq!(tcp(bad), None, "{bad}");
        }
    }

    #[test]
    fn collisions() {
        let collide = |a: &str, b: &str| tcp(a).unwrap().collides(tcp(b).unwrap());
        assert!(collide("*:1", "127.0.0.1:1"));
        assert!(collide("[*]:1", "[::1]:1"));
        assert!(collide("0.0.0.0:1", "127.0.0.1:1"));
        assert!(!collide("0.0.0.0:1", "[::]:1"));
        assert!(!collide("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:00"));
    }

    #[test]
    fn networks() {
        let net = |text: &str| Net::parse(text).unwrap();
        assert_eq!(net("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(net("10.1.2.3").to_string(), "10.1.2.3/32");
        assert_eq!(net("[2001:db8::1]/32").to_string(), "2001:db8::/32");
        assert!(net("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!net("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(net("10.0.0.0/8").covers(net("10.2.0.0/16")));
        assert!(!net("10.2.0.0/16").covers(net("10.0.0.0/8")));
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "x",
        ] {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
    }
}
