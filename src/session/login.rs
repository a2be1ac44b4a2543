//! What stream negotiation asks of the server: credentials, PBKDF2 off the worker, a resource.

use std::cell::RefCell;
use std::rc::Rc;

use super::Registered;
use crate::delivery::{BindError, Delivery};
use crate::directory::About;
use crate::jid::Jid;
use crate::net::Clock;
use crate::sasl::{Credentials, PlainWork, ScramKeys, Unknown};
use crate::stanza::{Condition, StanzaError};
use crate::store::Store;
use crate::stream::{AuthFailure, Authenticate, LocalFuture};

/// The name of the secret that makes up salts for users who do not exist (T25).
const SALT_SECRET: &str = "unknown-user-salts";

/// One connection's login. If the stream fails after the bind, dropping this takes the resource back.
pub struct Login {
    id: u64,
    about: About,
    delivery: Rc<Delivery>,
    store: Store,
    clock: Clock,
    iterations: u32,
    registered: RefCell<Option<Registered>>,
}

impl Login {
    /// A login that will bind as session number `id`. `iterations` is what users without a record are said to have.
    #[must_use]
    pub fn new(
        id: u64,
        about: About,
        delivery: Rc<Delivery>,
        (store, clock): (Store, Clock),
        iterations: u32,
    ) -> Login {
        Login {
            id,
            about,
            delivery,
            store,
            clock,
            iterations,
            registered: RefCell::default(),
        }
    }

    /// The resource, once it is bound: from here on it is the session's to give back.
    #[must_use]
    pub fn take(&self) -> Option<Registered> {
        self.registered.borrow_mut().take()
    }
}

impl Authenticate for Login {
    fn credentials<'a>(
        &'a self,
        user: &'a Jid,
    ) -> LocalFuture<'a, Result<Option<Credentials>, AuthFailure>> {
        Box::pin(async move {
            self.store
                .user(user.bare_str())
                .await
                .map_err(AuthFailure::new)
        })
    }

    fn unknown<'a>(&'a self, user: &'a Jid) -> LocalFuture<'a, Result<Unknown, AuthFailure>> {
        Box::pin(async move {
            let secret = self
                .store
                .secret(SALT_SECRET)
                .await
                .map_err(AuthFailure::new)?;
            Ok(Unknown::new(&secret, user.bare_str(), self.iterations))
        })
    }

    fn derive(&self, work: PlainWork) -> LocalFuture<'_, Result<ScramKeys, AuthFailure>> {
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work.run())
                .await
                .map_err(AuthFailure::new)
        })
    }

    fn bind<'a>(
        &'a self,
        user: &'a Jid,
        wish: Option<&'a str>,
    ) -> LocalFuture<'a, Result<Jid, StanzaError>> {
        Box::pin(async move {
            let jid = self.register(user, wish)?;
            // Nobody whom the user blocks gets through to the session: it begins when that is known.
            if self.delivery.know(&jid).await.is_err() {
                self.give_back();
                return Err(StanzaError::new(Condition::InternalServerError));
            }
            Ok(jid)
        })
    }
}

impl Login {
    fn give_back(&self) {
        if let Some(registered) = self.take() {
            // Nothing was asked of it yet: there is nobody to tell.
            let _ = self
                .delivery
                .unbind(&registered.jid, registered.id, &registered.outbox);
        }
    }

    fn register(&self, user: &Jid, wish: Option<&str>) -> Result<Jid, StanzaError> {
        let made;
        let resource = match wish {
            Some(wish) => wish,
            None => {
                made = self.clock.random_id();
                &made
            }
        };
        let jid = user
            .with_resource(resource)
            .map_err(|_| StanzaError::new(Condition::BadRequest))?;
        let mut about = self.about.clone();
        about.bound_at_ms = self.clock.monotonic_ms();
        let (outbox, told) =
            self.delivery
                .bind(&jid, self.id, about)
                .map_err(|error| match error {
                    BindError::TooMany => StanzaError::new(Condition::ResourceConstraint),
                })?;
        *self.registered.borrow_mut() = Some(Registered {
            id: self.id,
            jid: jid.clone(),
            outbox,
            told,
        });
        Ok(jid)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.give_back();
    }
}
