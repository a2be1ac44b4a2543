//! Users come, change their password and go: the one place for the console, for registration and for users themselves.
//!
//! Passwords become keys away from the worker. What must happen behind a change in the store (who is known, which sessions
//! end) happens even if nobody waits for it any more. Whose asking it is was checked by the caller.

mod invites;
mod name;

pub use invites::{Invitation, Token};
pub use name::NameError;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use crate::directory::{Closing, Directory};
use crate::jid::Jid;
use crate::limit::Rate;
use crate::net::Clock;
use crate::roster::farewell;
use crate::sasl::{Credentials, PasswordError, SALT_BYTES, Secret};
use crate::stanza::Stanza;
use crate::store::{Store, StoreError};

/// The window in which attempts to register are counted per address.
const REGISTRATION_WINDOW_MS: u64 = 3_600_000;

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("the user exists already")]
    Exists,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The name may not be registered.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No client could log in with that password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The invite is unknown, expired, used up, revoked, or for another domain.
    #[error("the invite is not valid")]
    Invite,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The work was not finished: the server stops, or a thread failed.
    #[error("the work was not finished: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// On what terms somebody may register.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What the password's keys cost.
    pub iterations: u32,
    /// Characters of the name, at least.
    pub min_name: usize,
    /// The name carries rights that nobody may give itself (T38).
    pub reserved: bool,
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> AccountError {
        match error {
            StoreError::Exists => AccountError::Exists,
            StoreError::NotFound => AccountError::NotFound,
            StoreError::InviteSpent => AccountError::Invite,
            error => AccountError::Store(error),
        }
    }
}

/// Makes, changes and removes accounts. Shared by all threads; futures stay on the thread that asked.
pub struct Accounts {
    store: Store,
    directory: Arc<Directory>,
    clock: Clock,
    registrations: Rate,
}

impl Accounts {
    /// The accounts of `store`, whose sessions are in `directory`.
    #[must_use]
    pub fn new(store: Store, directory: Arc<Directory>, clock: Clock) -> Accounts {
        Accounts {
            store,
            directory,
            clock,
            registrations: Rate::new(REGISTRATION_WINDOW_MS),
        }
    }

    /// Counts an attempt to register from `address`, unless it has had `most` within an hour. Failed ones count too: each
    /// tells whether a name is taken (T25).
    #[must_use]
    pub fn may_register(&self, address: IpAddr, most: u32) -> bool {
        let now_ms = self.clock.monotonic_ms();
        self.registrations.count(address, most, now_ms)
    }

    /// Makes a user by the operator's word.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::Password`], or ours.
    pub async fn create(
        self: &Arc<Self>,
        user: &Jid,
        password: Secret,
        iterations: u32,
    ) -> Result<(), AccountError> {
        let credentials = self.derive(password, iterations).await?;
        self.made(user, move |store, user| {
            store.user_create(user, credentials)
        })
        .await
    }

    /// Makes a user who asks for it: the name keeps to the rules, and the invite, where there is one, loses a use. What can
    /// be refused without computing keys is refused before.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn register(
        self: &Arc<Self>,
        user: &Jid,
        password: Secret,
        invite: Option<Invitation>,
        terms: Terms,
    ) -> Result<(), AccountError> {
        name::check(user, terms.min_name)?;
        let invite = match invite {
            Some(invite) => Some(self.admit(user.domain(), invite).await?),
            None => None,
        };
        if self.store.user_exists(user.as_str()).await? {
            return Err(AccountError::Exists);
        }
        // Behind the look at the store: of an administrator who exists nobody learns what it is.
        if terms.reserved {
            return Err(NameError::Reserved.into());
        }
        let credentials = self.derive(password, terms.iterations).await?;
        self.made(user, move |store, user| match invite {
            Some(id) => store.user_create_invited(user, credentials, &id),
            None => store.user_create(user, credentials),
        })
        .await
    }

    /// Changes a password. Whoever logged in with the old one is out (T33, T39), except for session number `spared`.
    ///
    /// # Errors
    /// [`AccountError::NotFound`], [`AccountError::Password`], or ours.
    pub async fn change_password(
        self: &Arc<Self>,
        user: &Jid,
        password: Secret,
        iterations: u32,
        spared: Option<u64>,
    ) -> Result<(), AccountError> {
        let credentials = self.derive(password, iterations).await?;
        let (this, user) = (self.clone(), user.to_bare());
        whole(async move {
            this.store
                .user_set_credentials(user.as_str(), credentials)
                .await?;
            this.end_sessions(&user, &Closing::Revoked, spared);
            Ok(())
        })
        .await
    }

    /// Removes a user with all that is kept for it, and asks its sessions to end, except for number `spared`. Returns how
    /// many there were. `tell` gets what its contacts have to hear, for routing: else they would see whoever has the name
    /// next, and be seen.
    ///
    /// # Errors
    /// [`AccountError::NotFound`], or ours.
    pub async fn remove(
        self: &Arc<Self>,
        user: &Jid,
        spared: Option<u64>,
        tell: impl FnOnce(Vec<Stanza>) + 'static,
    ) -> Result<usize, AccountError> {
        let (this, user) = (self.clone(), user.to_bare());
        whole(async move {
            let roster = this.store.roster(user.as_str()).await?;
            this.store.user_delete(user.as_str()).await?;
            this.changed(user.as_str());
            tell(farewell(&user, &roster, &this.available(user.as_str())));
            Ok(this.end_sessions(&user, &Closing::Revoked, spared))
        })
        .await
    }

    /// Asks the session of a full address, or every session of a bare one, to end, except for number `spared`. Returns how
    /// many there were.
    pub fn end_sessions(&self, of: &Jid, why: &Closing, spared: Option<u64>) -> usize {
        let Some(account) = self.directory.find(of.bare_str()) else {
            return 0;
        };
        let Some(state) = account.lock() else {
            return 0;
        };
        let resources = state.resources().iter();
        resources
            .filter(|resource| of.is_bare() || resource.jid == *of)
            .filter(|resource| Some(resource.session) != spared)
            .map(|resource| resource.outbox.close(why.clone()))
            .count()
    }

    async fn made(
        self: &Arc<Self>,
        user: &Jid,
        make: impl FnOnce(&Store, &Jid) -> crate::store::Answer<()> + 'static,
    ) -> Result<(), AccountError> {
        let (this, user) = (self.clone(), user.to_bare());
        whole(async move {
            make(&this.store, &user).await?;
            this.changed(user.as_str());
            Ok(())
        })
        .await
    }

    async fn derive(&self, password: Secret, iterations: u32) -> Result<Credentials, AccountError> {
        let mut salt = [0u8; SALT_BYTES];
        self.clock.random(&mut salt);
        let derived = tokio::task::spawn_blocking(move || {
            let password = String::from_utf8_lossy(password.expose());
            Credentials::derive(&password, iterations, &salt)
        })
        .await?;
        Ok(derived?)
    }

    /// A live account remembers whether its user exists, its contacts and whom it blocks: it has to ask again.
    fn changed(&self, bare: &str) {
        if let Some(account) = self.directory.find(bare)
            && let Some(mut state) = account.lock()
        {
            state.set_known(None);
            state.set_roster(None);
            account.set_blocks(&mut state, None);
        }
    }

    fn available(&self, bare: &str) -> Vec<Jid> {
        let account = self.directory.find(bare);
        let state = account.as_ref().and_then(|account| account.lock());
        let resources = state.iter().flat_map(|state| state.resources());
        resources
            .filter(|resource| resource.told.is_seen())
            .map(|resource| resource.jid.clone())
            .collect()
    }
}

/// Does `work` to its end, even if nobody waits for it any more.
async fn whole<T: 'static>(
    work: impl Future<Output = Result<T, AccountError>> + 'static,
) -> Result<T, AccountError> {
    tokio::task::spawn_local(work).await?
}
