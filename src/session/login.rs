//! What stream negotiation asks of the server: credentials, PBKDF2 off the worker, a resource.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::sm::{keep, number};
use super::{Registered, Shared, withdraw};
use crate::accounts::{AccountError, Accounts, Terms};
use crate::config::{Component, Config};
use crate::delivery::{BindError, Delivery};
use crate::directory::{About, Resumable};
use crate::hook::PeerKind;
use crate::jid::Jid;
use crate::net::Clock;
use crate::sasl::{Credentials, PlainWork, ScramKeys, Secret, Unknown};
use crate::stanza::{Condition, StanzaError};
use crate::store::Store;
use crate::stream::{AuthFailure, Authenticate, LocalFuture, NewAccount, NotResumed};

/// Hexadecimal digits of a resource that the server makes: 64 bits that nobody guesses (RFC 6120 §7.6), and short enough to be read.
const RESOURCE_CHARS: usize = 16;

/// The name of the secret that makes up salts for users who do not exist (T25).
const SALT_SECRET: &str = "unknown-user-salts";

/// How long a session may take to be handed over: it waits for a script and the disk at most that long.
const HANDOVER_TIME: Duration = Duration::from_secs(15);

/// What a login works with.
#[derive(Clone)]
pub struct LoginParts {
    /// What the sessions of this worker share.
    pub shared: Rc<Shared>,
    /// Where users are.
    pub store: Store,
    /// Makes users.
    pub accounts: Arc<Accounts>,
    /// Made-up resources.
    pub clock: Clock,
    /// Whose names nobody registers.
    pub config: Arc<Config>,
}

/// What the configuration says about logins and registrations.
#[derive(Clone, Copy, Debug)]
pub struct LoginRules {
    /// What users without a record are said to have, and new ones get.
    pub iterations: u32,
    /// Characters of a registered name.
    pub min_name: usize,
    /// Tries to register from one address; `None`: no limit.
    pub registrations_per_hour: Option<u32>,
}

/// One connection's login. If the stream fails after the bind, dropping this takes the resource back.
pub struct Login {
    id: u64,
    about: About,
    parts: LoginParts,
    rules: LoginRules,
    registered: RefCell<Option<Registered>>,
}

impl Login {
    /// A login that will bind as session number `id`.
    #[must_use]
    pub fn new(id: u64, about: About, parts: LoginParts, rules: LoginRules) -> Login {
        Login {
            id,
            about,
            parts,
            rules,
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
            self.parts
                .store
                .user(user.bare_str())
                .await
                .map_err(AuthFailure::new)
        })
    }

    fn unknown<'a>(&'a self, user: &'a Jid) -> LocalFuture<'a, Result<Unknown, AuthFailure>> {
        Box::pin(async move {
            let kept = &self.parts.shared.unknown_salts;
            let secret = if let Some(secret) = kept.get() {
                secret
            } else {
                let asked = self.parts.store.secret(SALT_SECRET).await;
                let asked = asked.map_err(AuthFailure::new)?;
                kept.get_or_init(|| asked)
            };
            Ok(Unknown::new(secret, user.bare_str(), self.rules.iterations))
        })
    }

    fn derive(&self, work: PlainWork) -> LocalFuture<'_, Result<ScramKeys, AuthFailure>> {
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work.run())
                .await
                .map_err(AuthFailure::new)
        })
    }

    fn register(&self, account: NewAccount) -> LocalFuture<'_, Result<(), StanzaError>> {
        Box::pin(async move {
            let NewAccount {
                user,
                password,
                invite,
            } = account;
            self.may_register()?;
            let terms = Terms {
                iterations: self.rules.iterations,
                min_name: self.rules.min_name,
                reserved: self.parts.config.names_admin(&user),
            };
            let accounts = &self.parts.accounts;
            accounts
                .register(&user, password, invite, terms)
                .await
                .map_err(|error| self.not_registered(&error))?;
            tracing::info!(%user, addr = ?self.about.addr, "a user has registered");
            Ok(())
        })
    }

    fn show_invite(
        &self,
        domain: String,
        token: Secret,
    ) -> LocalFuture<'_, Result<String, StanzaError>> {
        Box::pin(async move {
            self.may_register()?;
            let shown = self.parts.accounts.show(&domain, &token).await;
            shown.map_err(|error| match error {
                // XEP-0445 §5.
                AccountError::Invite => StanzaError::new(Condition::ItemNotFound)
                    .with_text("the token is not valid, or no longer"),
                error => self.not_registered(&error),
            })
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
            if self.delivery().know(&jid).await.is_err() {
                self.give_back();
                return Err(StanzaError::new(Condition::InternalServerError));
            }
            Ok(jid)
        })
    }

    fn attach(&self, component: &Component, tls: Option<&'static str>) {
        let about = About {
            tls,
            bound_at_ms: self.parts.clock.monotonic_ms(),
            ..self.about.clone()
        };
        let Component {
            jid, outbox_size, ..
        } = component;
        let delivery = self.delivery();
        *self.registered.borrow_mut() = Some(Registered {
            kind: PeerKind::Component,
            id: self.id,
            jid: jid.clone(),
            outbox: delivery.attach(jid, self.id, about, *outbox_size),
            told: Arc::default(),
            resumed: None,
        });
    }

    fn resume<'a>(
        &'a self,
        user: &'a Jid,
        previd: &'a str,
        h: u32,
    ) -> LocalFuture<'a, Result<(Jid, u32), NotResumed>> {
        Box::pin(async move {
            let (registered, handled) = self.take_over(user, previd, h).await?;
            let jid = registered.jid.clone();
            tracing::debug!(%jid, addr = ?self.about.addr, "a session is resumed");
            self.parts.shared.router.counters().resumed.one();
            *self.registered.borrow_mut() = Some(registered);
            Ok((jid, handled))
        })
    }
}

impl Login {
    /// Counts a try, so that names and tokens cannot be guessed one after the other (T25, T37).
    fn may_register(&self) -> Result<(), StanzaError> {
        let (Some(addr), Some(most)) = (self.about.addr, self.rules.registrations_per_hour) else {
            return Ok(());
        };
        if self.parts.accounts.may_register(addr.ip(), most) {
            return Ok(());
        }
        tracing::warn!(%addr, "too many registrations from this address");
        Err(StanzaError::new(Condition::ResourceConstraint)
            .with_text("too many registrations from your address: try again in an hour"))
    }

    /// What the client is told.
    fn not_registered(&self, error: &AccountError) -> StanzaError {
        match error {
            AccountError::Exists => StanzaError::new(Condition::Conflict),
            AccountError::Invite => StanzaError::new(Condition::Forbidden)
                .with_text("the invite is not valid, or no longer"),
            AccountError::Name(error) => {
                StanzaError::new(Condition::NotAcceptable).with_text(error.to_string())
            }
            AccountError::Password(error) => {
                StanzaError::new(Condition::NotAcceptable).with_text(error.to_string())
            }
            error => {
                tracing::error!(addr = ?self.about.addr, %error, "a registration failed");
                StanzaError::new(Condition::InternalServerError)
            }
        }
    }

    /// Takes a session of `user` from the socket that it has or had. Found only among the user's own (T33).
    async fn take_over(
        &self,
        user: &Jid,
        previd: &str,
        h: u32,
    ) -> Result<(Registered, u32), NotResumed> {
        let directory = self.delivery().directory();
        let account = directory.find(user.bare_str()).ok_or(NotResumed::Gone)?;
        let mut registered = {
            let state = account.lock().ok_or(NotResumed::Gone)?;
            let resource = state.resumable(previd).ok_or(NotResumed::Gone)?;
            Registered {
                kind: PeerKind::Client,
                id: resource.session,
                jid: resource.jid.clone(),
                outbox: resource.outbox.clone(),
                told: resource.told.clone(),
                resumed: None,
            }
        };
        let outbox = registered.outbox.clone();
        outbox.could_ack(h)?;
        let mut asked = Asked {
            given: outbox.ask_handover().ok_or(NotResumed::Gone)?,
            registered: &registered,
            shared: &self.parts.shared,
        };
        let given = tokio::time::timeout(HANDOVER_TIME, &mut asked.given).await;
        let Ok(Ok(resumable)) = given else {
            return Err(NotResumed::Gone);
        };
        drop(asked);
        let acked = match outbox.resume(h) {
            Ok(acked) => acked,
            Err(error) => {
                keep(self.parts.shared.clone(), &registered, resumable, None);
                return Err(error.into());
            }
        };
        self.delivery().delete_rows(&registered.jid, acked.rows);
        let about = self.about.clone();
        let bound = directory.with(&registered.jid, |_, state| {
            let resource = state.session_mut(registered.id)?;
            let bound_at_ms = resource.about.bound_at_ms;
            resource.about = About {
                bound_at_ms,
                ..about
            };
            resource.detached_at_ms = None;
            Some(())
        });
        let handled = number(resumable.handled);
        registered.resumed = Some(resumable);
        if bound.is_none() {
            // Somebody has bound its resource meanwhile: it ends as it would have without us.
            *self.registered.borrow_mut() = Some(registered);
            self.give_back();
            return Err(NotResumed::Gone);
        }
        Ok((registered, handled))
    }

    fn give_back(&self) {
        let Some(mut registered) = self.take() else {
            return;
        };
        if let Some(resumable) = registered.resumed.take() {
            keep(self.parts.shared.clone(), &registered, resumable, None);
            return;
        }
        let of = (&registered.jid, registered.id);
        withdraw(&self.parts.shared, registered.kind, of, &registered.outbox);
    }

    fn delivery(&self) -> &Rc<Delivery> {
        self.parts.shared.router.delivery()
    }

    fn register(&self, user: &Jid, wish: Option<&str>) -> Result<Jid, StanzaError> {
        let mut made = String::new();
        let resource = wish.unwrap_or_else(|| {
            made = self.parts.clock.random_id();
            made.truncate(RESOURCE_CHARS);
            &made
        });
        let jid = user
            .with_resource(resource)
            .map_err(|_| StanzaError::new(Condition::BadRequest))?;
        let mut about = self.about.clone();
        about.bound_at_ms = self.parts.clock.monotonic_ms();
        let (outbox, told) =
            self.delivery()
                .bind(&jid, self.id, about)
                .map_err(|error| match error {
                    BindError::TooMany => StanzaError::new(Condition::ResourceConstraint),
                    BindError::Stopping => StanzaError::new(Condition::ResourceConstraint)
                        .with_text("the server is stopping"),
                })?;
        *self.registered.borrow_mut() = Some(Registered {
            kind: PeerKind::Client,
            id: self.id,
            jid: jid.clone(),
            outbox,
            told,
            resumed: None,
        });
        Ok(jid)
    }
}

/// A session that was asked for. What is given when nobody waits for it any more is kept, and can be asked for again.
struct Asked<'a> {
    given: oneshot::Receiver<Resumable>,
    registered: &'a Registered,
    shared: &'a Rc<Shared>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.given.close();
        if let Ok(resumable) = self.given.try_recv() {
            keep(self.shared.clone(), self.registered, resumable, None);
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.give_back();
    }
}
