//! Invites: tokens that let somebody register (XEP-0445). A token is the invite's id and a secret; the store has the
//! secret's hash alone.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::{AccountError, Accounts};
use crate::sasl::Secret;
use crate::store::{Invite, StoreError};

/// Characters of a token that are the invite's id. The rest, 128 bits, is its secret.
const ID_CHARS: usize = 8;

/// Ids that are tried before giving up: one is taken already once in a million times.
const TRIES: usize = 4;

/// What somebody who registers shows.
#[derive(Clone, Debug)]
pub enum Invitation {
    /// The token itself.
    Token(Secret),
    /// The id of an invite whose token was right, earlier on the same stream.
    Shown(String),
}

/// A new invite, with its secret: nobody can see that again.
#[derive(Clone, Debug)]
pub struct Token {
    /// The invite as it is kept.
    pub invite: Invite,
    /// The token to hand out.
    pub token: Secret,
}

fn hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, secret).as_ref()) {
        *to = *from;
    }
    hash
}

impl Accounts {
    /// Makes an invite to `domain` for `uses` users, good for `hours`.
    ///
    /// # Errors
    /// The store's.
    pub async fn invite(
        self: &Arc<Self>,
        domain: &str,
        uses: u32,
        hours: u32,
    ) -> Result<Token, StoreError> {
        let now = self.clock.wall_ms();
        let mut tries = TRIES;
        loop {
            tries = tries.saturating_sub(1);
            let secret = self.clock.random_id();
            let id: String = self.clock.random_id().chars().take(ID_CHARS).collect();
            let invite = Invite {
                domain: domain.to_owned(),
                hash: hash(secret.as_bytes()),
                uses,
                created_at: now,
                expires_at: now.saturating_add(i64::from(hours).saturating_mul(3_600_000)),
                id,
            };
            match self.store.invite_create(invite.clone()).await {
                Err(StoreError::Exists) if tries > 0 => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let token = format!("{}{secret}", invite.id);
                    return Ok(Token {
                        invite,
                        token: Secret::new(token.into_bytes()),
                    });
                }
            }
        }
    }

    /// The id of the invite to `domain` that `token` belongs to. It takes no use of it.
    ///
    /// # Errors
    /// [`AccountError::Invite`] for whatever is wrong with the token, or ours.
    pub async fn show(&self, domain: &str, token: &Secret) -> Result<String, AccountError> {
        let token = token.expose();
        let (id, secret) = token
            .split_at_checked(ID_CHARS)
            .ok_or(AccountError::Invite)?;
        let id = std::str::from_utf8(id).map_err(|_| AccountError::Invite)?;
        let found = self.store.invite(id).await?;
        // An unknown id costs the same comparison as a known one (T36).
        let kept = found.as_ref().map_or([0; 32], |invite| invite.hash);
        let right = bool::from(kept.ct_eq(&hash(secret)));
        found
            .filter(|invite| right && invite.domain == domain)
            .filter(|invite| invite.expires_at > self.clock.wall_ms())
            .map(|invite| invite.id)
            .ok_or(AccountError::Invite)
    }

    /// The invite's id; a token is looked at now, what was shown before is not looked at again (XEP-0445).
    pub(super) async fn admit(
        &self,
        domain: &str,
        invite: Invitation,
    ) -> Result<String, AccountError> {
        match invite {
            Invitation::Token(token) => self.show(domain, &token).await,
            Invitation::Shown(id) => Ok(id),
        }
    }
}
