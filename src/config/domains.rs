//! The domains that the configuration names, one by one or by pattern.

use std::collections::HashMap;

use super::pattern::Pattern;
use super::settings::{Certificate, Domain, Registration, Role};

/// `Domain "/regex/"`: what it says of the domains that it matches.
#[derive(Clone, Debug)]
pub struct DomainPattern {
    /// As the configuration writes it, slashes included.
    pub name: String,
    /// Ours or not; `None`: it does not say.
    pub role: Option<Role>,
    /// Who may make an account by a client; `None`: it does not say.
    pub(super) registration: Option<Registration>,
    /// The certificate of these domains; `None`: it does not say; `Some(None)`: the listener's.
    pub(super) certificate: Option<Option<Certificate>>,
    pub(super) pattern: Pattern,
}

impl DomainPattern {
    /// The certificate that it names.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()?.as_ref()
    }
}

/// Every domain that has a scope, and the patterns for those that have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    pub(super) named: Vec<Domain>,
    /// In the order of the file: the first that sets an option wins.
    pub(super) patterns: Vec<DomainPattern>,
    places: HashMap<String, usize>,
    /// Of those for which nothing says it.
    registration: Registration,
}

impl Domains {
    pub(super) fn new(
        named: Vec<Domain>,
        patterns: Vec<DomainPattern>,
        registration: Registration,
    ) -> Domains {
        let places = named
            .iter()
            .enumerate()
            .map(|(place, domain)| (domain.name.clone(), place))
            .collect();
        Domains {
            named,
            patterns,
            places,
            registration,
        }
    }

    /// Whether users of `name` log in here. A look-up; a name without a scope of its own is tried against each pattern.
    pub(super) fn serves(&self, name: &str) -> bool {
        let role = match self.own(name) {
            Some(domain) => domain.role,
            None => self.matching(name).find_map(|pattern| pattern.role),
        };
        role == Some(Role::Server)
    }

    /// Whether anybody could log in anywhere.
    pub(super) fn serve_nobody(&self) -> bool {
        let named = self.named.iter().map(|domain| domain.role);
        let patterns = self.patterns.iter().map(|pattern| pattern.role);
        !named.chain(patterns).any(|role| role == Some(Role::Server))
    }

    /// Who may make an account at `name` by a client.
    pub(super) fn registration(&self, name: &str) -> Registration {
        match self.own(name) {
            Some(domain) => domain.registration,
            None => self
                .matching(name)
                .find_map(|pattern| pattern.registration)
                .unwrap_or(self.registration),
        }
    }

    /// The certificate of `name`; `None`: the listener's.
    pub(super) fn certificate(&self, name: &str) -> Option<&Certificate> {
        match self.own(name) {
            Some(domain) => domain.certificate.as_ref(),
            None => self
                .matching(name)
                .find_map(|pattern| pattern.certificate.as_ref())?
                .as_ref(),
        }
    }

    fn own(&self, name: &str) -> Option<&Domain> {
        self.places
            .get(name)
            .and_then(|place| self.named.get(*place))
    }

    fn matching(&self, name: &str) -> impl Iterator<Item = &DomainPattern> {
        self.patterns
            .iter()
            .filter(move |pattern| pattern.pattern.matches(name))
    }
}
