//! XEP-0157: Contact Addresses. Whom to write to about a domain, beside what service discovery says of it.

use crate::config::Config;
use crate::form::{Field, FieldKind, Form, FormKind};

/// What the form is about.
const ABOUT: &str = "http://jabber.org/network/serverinfo";

/// The addresses that `domain` publishes, if there are any.
pub(super) fn form(config: &Config, domain: &str) -> Option<Form> {
    let contacts = config.contacts_of(domain);
    if contacts.is_empty() {
        return None;
    }
    let form = Form::new(FormKind::Result, ABOUT);
    let fields = contacts.into_iter().map(|(name, uris)| {
        Field::new(FieldKind::ListMulti, name, "").with_values(uris.iter().cloned())
    });
    Some(fields.fold(form, Form::with_field))
}
