//! XEP-0077 after the login: users change their own password and remove their own account. Registration itself comes
//! before the login, in `src/stream/negotiate/`.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Answer, Request, Service, Target};
use crate::accounts::{AccountError, Accounts};
use crate::config::Config;
use crate::hook::{Outbox, Peer};
use crate::sasl::Secret;
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::xml::Element;

const NS: &str = "jabber:iq:register";

pub(super) struct Register {
    accounts: Arc<Accounts>,
    config: Rc<dyn Fn() -> Arc<Config>>,
    outbox: Rc<dyn Outbox>,
}

impl Register {
    pub(super) fn new(
        accounts: Arc<Accounts>,
        config: Rc<dyn Fn() -> Arc<Config>>,
        outbox: Rc<dyn Outbox>,
    ) -> Register {
        Register {
            accounts,
            config,
            outbox,
        }
    }

    /// XEP-0077 §3.3. The password comes as it is: not without TLS, and not for anybody else (T97).
    fn change(&self, peer: &Peer, name: &str, password: &str) -> Answer {
        if peer.tls.is_none() {
            return Answer::refuse(Condition::NotAuthorized);
        }
        let own = peer.jid.to_bare();
        if crate::jid::Jid::from_parts(Some(name), own.domain(), None).as_ref() != Ok(&own) {
            return Answer::refuse(Condition::NotAllowed);
        }
        let iterations = (self.config)().limits().scram_iterations;
        let (accounts, password, spared) = (
            self.accounts.clone(),
            Secret::new(password.as_bytes()),
            Some(peer.id),
        );
        Answer::wait(async move {
            accounts
                .change_password(&own, password, iterations, spared)
                .await
                .map_err(|error| refused(&error))?;
            tracing::info!(user = %own, "a user has changed its password");
            Ok(None)
        })
    }

    /// XEP-0077 §3.2: everything of the account goes, other sessions end at once, this one when its answer is written, and contacts
    /// hear that it is no contact any more.
    fn remove(&self, peer: &Arc<Peer>) -> Answer {
        let (accounts, peer, outbox) = (self.accounts.clone(), peer.clone(), self.outbox.clone());
        Answer::wait(async move {
            let own = peer.jid.to_bare();
            accounts
                .remove(&own, Some(peer.id), move |farewells| {
                    outbox.send_all(farewells, 1);
                })
                .await
                .map_err(|error| refused(&error))?;
            tracing::info!(user = %own, "a user has removed its account");
            peer.revoked.store(true, Ordering::Relaxed);
            Ok(None)
        })
    }
}

/// What the client is told.
fn refused(error: &AccountError) -> StanzaError {
    match error {
        AccountError::NotFound => StanzaError::new(Condition::RegistrationRequired),
        AccountError::Password(error) => {
            StanzaError::new(Condition::NotAcceptable).with_text(error.to_string())
        }
        error => {
            tracing::error!(%error, "an account is not changed");
            StanzaError::new(Condition::InternalServerError)
        }
    }
}

impl Service for Register {
    fn name(&self) -> &'static str {
        "xep0077_register"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, _kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        !matches!(target, Target::Account(_)) && payload.is("query", NS)
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let Request { payload, peer, .. } = request;
        if request.kind == "get" {
            let part = |name: &str| Element::new(name, NS);
            let name = peer.jid.local().unwrap_or_default();
            return Answer::Now(Ok(Some(
                part("query")
                    .with_child(part("registered"))
                    .with_child(part("username").with_text(name))
                    .with_child(part("password")),
            )));
        }
        let given = |name: &str| {
            let child = payload.child(name, NS)?;
            Some(child.text().into_owned()).filter(|text| !text.is_empty())
        };
        if payload.child("remove", NS).is_some() {
            return match payload.elements().count() {
                1 => self.remove(peer),
                _ => Answer::refuse(Condition::BadRequest),
            };
        }
        match (given("username"), given("password")) {
            (Some(name), Some(password)) => self.change(peer, &name, &password),
            _ => Answer::refuse(Condition::BadRequest),
        }
    }
}
