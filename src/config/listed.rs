//! Lists whose entries are checked one by one: addresses of users.

use super::syntax::{Scalar, Span};
use super::value::{Misfit, Value, ValueFault};
use crate::jid::Jid;

/// The longest list.
const ENTRIES_MAX: usize = 64;

/// The addresses of users in a list, as addresses are spelled, each once.
pub(super) fn users(option: &'static str, items: &[Scalar], span: Span) -> Result<Value, Misfit> {
    if items.len() > ENTRIES_MAX {
        let most = ENTRIES_MAX;
        return Err(ValueFault::TooMany { option, most }.at(span));
    }
    let mut users: Vec<String> = Vec::new();
    for item in items {
        let user = user(&item.text).map_err(|fault| fault.at(item.span))?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(Value::List(users))
}

/// One address of a user: a domain has no password, and a resource is not a person.
pub(super) fn user(text: &str) -> Result<String, ValueFault> {
    Jid::new(text)
        .ok()
        .filter(|jid| jid.local().is_some() && jid.is_bare())
        .map(|jid| jid.as_str().to_owned())
        .ok_or_else(|| ValueFault::User {
            got: text.to_owned(),
        })
}
