//! Addresses (RFC 7622).
//!
//! A [`Jid`] is prepared once, when it is made, and compared as bytes ever after. **Invariant:** two spellings of one
//! address are one `Jid`: the localpart and the resource are prepared by the crate `jid`, which nothing else here names;
//! the domain has its one spelling from [`domain`].

mod domain;
#[cfg(test)]
mod tests;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ::jid::{NodePart, ResourcePart};

/// Bytes in each part of an address (RFC 7622 §3.1).
pub const MAX_PART_BYTES: usize = 1023;

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something stands before `@`, but it is empty or not allowed there.
    #[error(
        "the part before the @ is empty, too long or has a character that is not allowed there"
    )]
    Local,
    /// The domain is missing, too long or not a host name, an IP address or an internationalised name.
    #[error("the domain is empty, too long or not a valid name or IP address")]
    Domain,
    /// Something stands behind `/`, but it is empty or not allowed there.
    #[error(
        "the part behind the / is empty, too long or has a character that is not allowed there"
    )]
    Resource,
}

/// An address, `local@domain/resource`, prepared (RFC 7622 §3). Cheap to clone; equal, hashed and ordered like its text.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Bytes before the `@`; 0: no localpart.
    local: u16,
    /// Bytes before the `/`; 0: no resource.
    bare: u16,
}

impl Jid {
    /// Prepares `text`. RFC 7622 §3.1: the resource begins at the first `/`, the domain behind the first `@` before that.
    ///
    /// # Errors
    /// The part that is not allowed.
    pub fn new(text: &str) -> Result<Jid, Error> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        Jid::from_parts(local, domain, resource)
    }

    /// Prepares and joins parts.
    ///
    /// # Errors
    /// The part that is not allowed; a part that is given must not be empty.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Jid, Error> {
        let local = local.map(prepare_local).transpose()?;
        let domain = domain::prepare(domain).ok_or(Error::Domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        Ok(Jid::join(local.as_deref(), &domain, resource.as_deref()))
    }

    /// Joins prepared parts, none of them longer than [`MAX_PART_BYTES`], so that the offsets fit.
    fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> Jid {
        let before = local.map_or(0, str::len);
        let bare = domain.len() + if before > 0 { before + 1 } else { 0 };
        let mut text = String::with_capacity(bare + resource.map_or(0, |part| part.len() + 1));
        if let Some(local) = local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(domain);
        if let Some(resource) = resource {
            text.push('/');
            text.push_str(resource);
        }
        Jid {
            text: text.into(),
            local: u16::try_from(before).unwrap_or_default(),
            bare: resource.map_or(0, |_| u16::try_from(bare).unwrap_or_default()),
        }
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        (self.local > 0).then(|| self.cut(0, usize::from(self.local)))
    }

    /// The domain: a name in lower case with internationalised labels as Unicode, or an IP address.
    #[must_use]
    pub fn domain(&self) -> &str {
        let start = match self.local {
            0 => 0,
            local => usize::from(local) + 1,
        };
        self.cut(start, self.bare_len())
    }

    /// The part behind the `/`.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.is_full()
            .then(|| self.cut(self.bare_len() + 1, self.text.len()))
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address without its resource, borrowed: a key for maps of bare addresses.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        self.cut(0, self.bare_len())
    }

    /// The address without its resource.
    #[must_use]
    pub fn to_bare(&self) -> Jid {
        if self.is_bare() {
            return self.clone();
        }
        Jid {
            text: self.bare_str().into(),
            local: self.local,
            bare: 0,
        }
    }

    /// Whether there is no resource.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.bare == 0
    }

    /// Whether there is a resource.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bare != 0
    }

    /// The same bare address with `resource`.
    ///
    /// # Errors
    /// [`Error::Resource`].
    pub fn with_resource(&self, resource: &str) -> Result<Jid, Error> {
        let resource = prepare_resource(resource)?;
        Ok(Jid::join(self.local(), self.domain(), Some(&resource)))
    }

    fn bare_len(&self) -> usize {
        match self.bare {
            0 => self.text.len(),
            bare => usize::from(bare),
        }
    }

    /// The offsets are of our own making and lie on `@`, `/` or the ends.
    fn cut(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }
}

/// RFC 7622 §3.3, prepared with the older Nodeprep as other servers do.
fn prepare_local(part: &str) -> Result<Cow<'_, str>, Error> {
    let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'+');
    prepare_part(part, plain, |part| {
        NodePart::new(part)
            .map(|node| node.as_str().to_owned())
            .map_err(|_| Error::Local)
    })
}

/// RFC 7622 §3.4, prepared with the older Resourceprep as other servers do.
fn prepare_resource(part: &str) -> Result<Cow<'_, str>, Error> {
    prepare_part(
        part,
        |byte| matches!(byte, 0x20..=0x7e),
        |part| {
            ResourcePart::new(part)
                .map(|resource| resource.as_str().to_owned())
                .map_err(|_| Error::Resource)
        },
    )
}

/// A short part of `plain` bytes is prepared already. Any other goes through `prepare` twice: Unicode normalisation after
/// case folding is not stable for every input, and what is not stable would be one address here and another at a peer.
fn prepare_part(
    part: &str,
    plain: impl Fn(u8) -> bool,
    prepare: impl Fn(&str) -> Result<String, Error>,
) -> Result<Cow<'_, str>, Error> {
    if !part.is_empty() && part.len() <= MAX_PART_BYTES && part.bytes().all(plain) {
        return Ok(Cow::Borrowed(part));
    }
    let once = prepare(part)?;
    prepare(&once).map(Cow::Owned)
}

impl PartialEq for Jid {
    fn eq(&self, other: &Jid) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Jid) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Jid) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Jid {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for Jid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Jid, Error> {
        Jid::new(text)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.text)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Jid({})", self.text)
    }
}
