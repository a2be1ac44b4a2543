//! `queue ...`: what waits, as the console shows it and what it does with it.

use serde::Serialize;
use serde_json::Value;

use super::backend::Backend;
use super::command::Verb;
use super::dispatch::{Outcome, argument, optional, reason, value};
use super::protocol::{Fault, Request};
use super::refused::Refused;
use crate::jid::Jid;
use crate::store::spool::Owner;

/// Rows that a listing gives when nobody says how many, and at most: `--after` goes on.
const LISTED: usize = 1_000;
const LISTED_MOST: usize = 100_000;

/// What senders are told if the operator gives no reason.
const GIVEN_UP: &str = "the operator of the server has given this message up";

/// What a command means: one message, or all that waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The message of that number.
    Row(i64),
    /// Everything of that queue.
    Owner(Owner),
}

/// `queue list`.
#[derive(Clone, Debug, Serialize)]
pub struct QueueTotal {
    /// Whose it is: a user's bare address, else kind and name.
    pub owner: String,
    /// `user`, `domain`, `account` or `destination`.
    pub kind: &'static str,
    /// How many messages wait.
    pub messages: u64,
    /// Bytes of their stanzas.
    pub bytes: u64,
    /// When the first was stored, in the format of XEP-0082.
    pub oldest_at: String,
    /// How often in a row it was looked at in vain.
    pub tries: u32,
    /// When it is looked at next, likewise.
    pub next_at: Option<String>,
}

/// `queue list OWNER`.
#[derive(Clone, Debug, Serialize)]
pub struct QueueRow {
    /// Its number.
    pub id: i64,
    /// Who sent it.
    pub from: Option<String>,
    /// When it was stored, in the format of XEP-0082.
    pub stored_at: String,
    /// From when on it is no longer delivered.
    pub expires_at: Option<String>,
    /// Bytes of its stanza.
    pub bytes: u64,
}

/// `queue show`.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStanza {
    /// For whom it waits.
    pub owner: String,
    /// What a listing says of it.
    #[serde(flatten)]
    pub row: QueueRow,
    /// The stanza as XML.
    pub stanza: String,
}

/// `queue delete`.
#[derive(Clone, Debug, Serialize)]
pub struct Thrown {
    /// For whom it waited.
    pub owner: String,
    /// How many messages are gone.
    pub deleted: usize,
    /// How many stay, because a session is being given them.
    pub underway: usize,
}

/// `queue retry`.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// For whom it waits.
    pub owner: String,
    /// The session that fetched it.
    pub session: Option<String>,
    /// How many messages a session has been given, or is being given.
    pub given: u64,
    /// How many wait on.
    pub waits: u64,
    /// Why they do.
    pub why: Option<&'static str>,
}

/// `queue bounce`.
#[derive(Clone, Debug, Serialize)]
pub struct GivenUp {
    /// For whom it waited.
    pub owner: String,
    /// How many messages went back to their senders.
    pub bounced: usize,
    /// How many are gone without a word, because nobody is owed one.
    pub silent: usize,
    /// How many stay, because a session is being given them.
    pub underway: usize,
}

/// Runs a command of this group.
pub(super) async fn run<B: Backend>(
    backend: &B,
    verb: Verb,
    request: &Request,
) -> Result<Outcome, Fault> {
    let what = || waiting(argument(request, "what"));
    Ok(match verb {
        Verb::QueueList => list(backend, request).await?,
        Verb::QueueShow => match number(argument(request, "id")) {
            Some(id) => Outcome::Record(value(backend.queue_show(id).await?)?),
            None => return Err(Refused::NotQueued(argument(request, "id").to_owned()).into()),
        },
        Verb::QueueRetry => Outcome::Record(value(backend.queue_retry(what()?).await?)?),
        Verb::QueueBounce => {
            let reason = reason(request, GIVEN_UP)?;
            Outcome::Record(value(backend.queue_bounce(what()?, reason).await?)?)
        }
        _ => Outcome::Record(value(backend.queue_delete(what()?).await?)?),
    })
}

/// A row for each queue, or for each message of one.
async fn list<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let limit = optional(request, "limit").and_then(|given| given.parse().ok());
    let limit = limit.unwrap_or(LISTED).min(LISTED_MOST);
    // One more shows whether there is more.
    let asked = limit.saturating_add(1);
    let after = optional(request, "after");
    let of = optional(request, "owner");
    let mut rows: Vec<Value> = match of.map(|of| (of, Owner::parse(of))) {
        Some((_, Some(owner))) => {
            let after = match after {
                None => 0,
                Some(given) => number(given).ok_or_else(|| not_after(given))?,
            };
            let rows = backend.queue_rows(&owner, after, asked).await?;
            rows.into_iter().map(value).collect::<Result<_, _>>()?
        }
        of => {
            let domain = of.map(|(text, _)| domain(text)).transpose()?;
            let after = match after {
                None => None,
                Some(given) => Some(Owner::parse(given).ok_or_else(|| not_after(given))?),
            };
            let rows = backend.queue_totals(domain.as_deref(), after, asked);
            let rows = rows.await?;
            rows.into_iter().map(value).collect::<Result<_, _>>()?
        }
    };
    Ok(if rows.len() > limit {
        rows.truncate(limit);
        Outcome::Page(rows)
    } else {
        Outcome::Rows(rows)
    })
}

fn not_after(given: &str) -> Refused {
    Refused::NotAfter(given.to_owned())
}

fn domain(text: &str) -> Result<String, Refused> {
    match Jid::new(text) {
        Ok(jid) if jid.local().is_none() && jid.resource().is_none() => Ok(jid.domain().to_owned()),
        _ => Err(Refused::NotAQueue(text.to_owned())),
    }
}

fn waiting(text: &str) -> Result<Waiting, Refused> {
    if let Some(id) = number(text) {
        return Ok(Waiting::Row(id));
    }
    let owner = Owner::parse(text).map(Waiting::Owner);
    owner.ok_or_else(|| Refused::NotAQueue(text.to_owned()))
}

/// A message's number.
fn number(given: &str) -> Option<i64> {
    given.parse().ok().filter(|id| *id > 0)
}
