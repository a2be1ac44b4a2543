//! The domains that the configuration names, one by one or by pattern.

use std::collections::HashMap;

use super::pattern::Pattern;
use super::settings::{Certificate, Domain, Registration, Role};
use super::table::{self, Opt};
use crate::jid::Jid;

/// What a scope says of the people behind its domains; `None`: it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    /// Who may administer them: bare addresses.
    pub(super) admins: Option<Vec<Jid>>,
    /// Where they are reached, for each of [`CONTACTS`]: URIs.
    pub(super) contacts: [Option<Vec<String>>; CONTACTS.len()],
}

/// The options for contact addresses, and what XEP-0157 calls each: in the order of their names.
pub(super) static CONTACTS: [(&Opt, &str); 7] = [
    (&table::ABUSE_ADDRESSES, "abuse-addresses"),
    (&table::ADMIN_ADDRESSES, "admin-addresses"),
    (&table::FEEDBACK_ADDRESSES, "feedback-addresses"),
    (&table::SALES_ADDRESSES, "sales-addresses"),
    (&table::SECURITY_ADDRESSES, "security-addresses"),
    (&table::STATUS_ADDRESSES, "status-addresses"),
    (&table::SUPPORT_ADDRESSES, "support-addresses"),
];

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
    pub(super) people: People,
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
    people: People,
}

impl Domains {
    pub(super) fn new(
        named: Vec<Domain>,
        patterns: Vec<DomainPattern>,
        (registration, people): (Registration, People),
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
            people,
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

    /// Who may administer `name`.
    pub(super) fn admins(&self, name: &str) -> &[Jid] {
        self.says(name, |people| people.admins.as_deref())
            .unwrap_or_default()
    }

    /// Where the people behind `name` are reached: the field of XEP-0157, and URIs.
    pub(super) fn contacts(&self, name: &str) -> Vec<(&'static str, &[String])> {
        let said = |at: usize| self.says(name, |people| people.contacts.get(at)?.as_deref());
        let fields = CONTACTS.iter().enumerate();
        fields
            .filter_map(|(at, (_, field))| Some((*field, said(at)?)))
            .filter(|(_, uris)| !uris.is_empty())
            .collect()
    }

    /// Whether `user` may administer anything.
    pub(super) fn names_admin(&self, user: &Jid) -> bool {
        let named = self.named.iter().map(|domain| &domain.people);
        let patterns = self.patterns.iter().map(|pattern| &pattern.people);
        named
            .chain(patterns)
            .chain([&self.people])
            .flat_map(|people| people.admins.iter().flatten())
            .any(|admin| admin == user)
    }

    /// What is said of `name`: by its own scopes and those around them, else by the first pattern that says it, else globally.
    fn says<'a, T>(&'a self, name: &str, pick: impl Fn(&'a People) -> Option<T>) -> Option<T> {
        match self.own(name) {
            Some(domain) => pick(&domain.people),
            None => self
                .matching(name)
                .find_map(|pattern| pick(&pattern.people))
                .or_else(|| pick(&self.people)),
        }
    }

    fn own(&self, name: &str) -> Option<&Domain> {
        self.places
            .get(name)
            .and_then(|place| self.named.get(*place))
    }

    fn matching<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a DomainPattern> {
        self.patterns
            .iter()
            .filter(move |pattern| pattern.pattern.matches(name))
    }
}
