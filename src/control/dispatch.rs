//! One parsed request against the backend.

use serde::Serialize;
use serde_json::{Value, json};

use super::backend::Backend;
use super::command::Verb;
use super::local;
use super::protocol::{Fault, Request};
use super::refused::{Failure, Refused};
use super::{queue, roster};
use crate::directory::BlockChange;
use crate::jid::Jid;
use crate::observe::trace::{Record, Watch};

/// How long an invite is good for if nothing is said.
const WEEK_HOURS: u32 = 168;

/// What a client is told that is sent away without a reason.
const KICKED: &str = "the operator has ended this session";

/// The longest reason that a peer is given.
const REASON_CHARS: usize = 500;

/// What a command gives.
pub(super) enum Outcome {
    /// One object.
    Record(Value),
    /// Several.
    Rows(Vec<Value>),
    /// Several of more.
    Page(Vec<Value>),
    /// Records until the client closes.
    Live(Watch),
    /// The backend's shutdown, once this answer is out.
    Shutdown,
}

/// Runs `verb`; `request` has been checked against the command's row.
pub(super) async fn run<B: Backend>(
    backend: &B,
    verb: Verb,
    request: &Request,
) -> Result<Outcome, Fault> {
    Ok(match verb {
        Verb::Completion => Outcome::Record(local::completion(request)),
        Verb::Help => Outcome::Rows(local::help(request)?),
        Verb::Version => Outcome::Record(json!({ "version": env!("CARGO_PKG_VERSION") })),
        Verb::Summary => Outcome::Record(value(backend.summary().await?)?),
        Verb::UserAdd => user_add(backend, request).await?,
        Verb::UserPasswd => user_passwd(backend, request).await?,
        Verb::UserDelete => user_delete(backend, request).await?,
        Verb::UserList => user_list(backend, request).await?,
        Verb::InviteCreate => invite_create(backend, request).await?,
        Verb::InviteList => rows(backend.invite_list().await?)?,
        Verb::InviteRevoke => {
            let id = argument(request, "id");
            backend.invite_revoke(id).await?;
            Outcome::Record(json!({ "id": id }))
        }
        Verb::RosterShow | Verb::RosterImport | Verb::RosterExport => {
            rosters(backend, verb, request).await?
        }
        Verb::SessionList => {
            let of = optional_address(request, "jid")?;
            rows(backend.session_list(of.as_ref()).await?)?
        }
        Verb::SessionKick => {
            let jid = address(argument(request, "jid"))?;
            let closed = backend.session_kick(&jid, reason(request, KICKED)?).await?;
            Outcome::Record(
                json!({ "jid": jid.as_str(), "sessions_closed": closed.sessions_closed }),
            )
        }
        Verb::ComponentList => rows(backend.component_list().await?)?,
        Verb::ComponentKick => {
            let jid = address(argument(request, "jid"))?;
            backend
                .component_kick(
                    &jid,
                    reason(request, "the operator has ended this connection")?,
                )
                .await?;
            Outcome::Record(json!({ "jid": jid.as_str() }))
        }
        Verb::BlockList => Outcome::Rows(block_list(backend, request).await?),
        Verb::BlockAdd => block(backend, request, BlockChange::Block).await?,
        Verb::BlockRemove if addresses(request)?.is_empty() => {
            block(backend, request, |_| BlockChange::UnblockAll).await?
        }
        Verb::BlockRemove => block(backend, request, BlockChange::Unblock).await?,
        Verb::ScriptList => rows(backend.script_list().await?)?,
        Verb::ScriptShow => {
            let name = argument(request, "name");
            Outcome::Record(value(backend.script_show(name).await?)?)
        }
        Verb::ScriptReload => Outcome::Record(value(backend.script_reload().await?)?),
        Verb::ConfigCheck => Outcome::Record(config_check(backend, request).await?),
        Verb::ConfigReload => Outcome::Record(value(backend.config_reload().await?)?),
        Verb::ConfigShow => Outcome::Record(value(
            backend.config_show(argument(request, "path")).await?,
        )?),
        Verb::Hooks => rows(backend.hooks().await?)?,
        Verb::QueueList
        | Verb::QueueShow
        | Verb::QueueDelete
        | Verb::QueueRetry
        | Verb::QueueBounce => queue::run(backend, verb, request).await?,
        Verb::Trace => {
            let jid = address(argument(request, "jid"))?;
            Outcome::Live(backend.traces().watch(jid.as_str())?)
        }
        Verb::Chat => return Err(Fault::NotAsked("chat")),
        Verb::Shutdown => Outcome::Shutdown,
    })
}

async fn config_check<B: Backend>(backend: &B, request: &Request) -> Result<Value, Fault> {
    let file = request.args.get("file").map(String::as_str);
    value(backend.config_check(file).await?)
}

async fn block_list<B: Backend>(backend: &B, request: &Request) -> Result<Vec<Value>, Fault> {
    let listed = backend.block_list(&user(request, "jid")?).await?;
    let rows = listed.iter().map(|jid| json!({ "address": jid.as_str() }));
    Ok(rows.collect())
}

async fn user_add<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let jid = user(request, "jid")?;
    backend.user_add(&jid, password(request)?).await?;
    Ok(Outcome::Record(json!({ "jid": jid.as_str() })))
}

async fn user_passwd<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let jid = user(request, "jid")?;
    backend.user_passwd(&jid, password(request)?).await?;
    Ok(Outcome::Record(json!({ "jid": jid.as_str() })))
}

async fn user_delete<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let jid = user(request, "jid")?;
    let closed = backend.user_delete(&jid).await?.sessions_closed;
    let done = json!({ "jid": jid.as_str(), "sessions_closed": closed });
    Ok(Outcome::Record(done))
}

async fn user_list<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let domain = optional_address(request, "domain")?;
    rows(backend.user_list(domain.as_ref().map(Jid::domain)).await?)
}

async fn invite_create<B: Backend>(backend: &B, request: &Request) -> Result<Outcome, Fault> {
    let domain = optional_address(request, "domain")?;
    let uses = count(request, "uses").unwrap_or(1);
    let hours = count(request, "hours").unwrap_or(WEEK_HOURS);
    let domain = domain.as_ref().map(Jid::domain);
    let made = backend.invite_create(domain, uses, hours).await?;
    Ok(Outcome::Record(value(made)?))
}

async fn rosters<B: Backend>(backend: &B, verb: Verb, request: &Request) -> Result<Outcome, Fault> {
    let jid = user(request, "jid")?;
    Ok(match verb {
        Verb::RosterImport => {
            let items = roster::read(argument(request, "record")).map_err(Refused::BadRecord)?;
            let replace = request.args.contains_key("replace");
            Outcome::Record(value(backend.roster_import(&jid, items, replace).await?)?)
        }
        Verb::RosterExport => Outcome::Record(roster::record(&backend.roster(&jid).await?)),
        _ => Outcome::Rows(roster::rows(&backend.roster(&jid).await?)),
    })
}

async fn block<B: Backend>(
    backend: &B,
    request: &Request,
    change: impl FnOnce(Vec<Jid>) -> BlockChange,
) -> Result<Outcome, Fault> {
    let (jid, jids) = (user(request, "jid")?, addresses(request)?);
    let named: Vec<String> = jids.iter().map(Jid::to_string).collect();
    backend.block_change(&jid, change(jids)).await?;
    Ok(Outcome::Record(
        json!({ "jid": jid.as_str(), "addresses": named }),
    ))
}

/// The object of one trace record; `missed` counts the records thrown away before it.
pub(super) fn trace_row(record: &Record, missed: u64) -> Value {
    let when = jiff::Timestamp::try_from(record.when).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let steps: Vec<Value> = record
        .steps
        .iter()
        .map(|step| {
            json!({
                "point": step.point,
                "handler": &*step.handler,
                "verdict": step.verdict,
                "us": u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    json!({
        "when": format!("{when:.3}"),
        "kind": record.kind,
        "id": record.id,
        "from": record.from,
        "to": record.to,
        "steps": steps,
        "fate": record.fate,
        "missed": missed,
    })
}

fn rows<T: Serialize>(list: Vec<T>) -> Result<Outcome, Fault> {
    list.into_iter()
        .map(value)
        .collect::<Result<_, _>>()
        .map(Outcome::Rows)
}

pub(super) fn value<T: Serialize>(data: T) -> Result<Value, Fault> {
    serde_json::to_value(data).map_err(|error| Refused::Failed(Failure::from(error)).into())
}

/// An argument whose presence `protocol::parse` has checked.
pub(super) fn argument<'r>(request: &'r Request, name: &str) -> &'r str {
    request.args.get(name).map_or("", String::as_str)
}

/// An argument that may have been left out.
pub(super) fn optional<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.args.get(name).map(String::as_str)
}

/// A number, whose form `protocol::parse` has checked.
fn count(request: &Request, name: &str) -> Option<u32> {
    request.args.get(name)?.parse().ok()
}

fn address(given: &str) -> Result<Jid, Refused> {
    Jid::new(given).map_err(|source| Refused::BadAddress {
        given: given.to_owned(),
        source,
    })
}

fn optional_address(request: &Request, name: &str) -> Result<Option<Jid>, Refused> {
    request
        .args
        .get(name)
        .map(|given| address(given))
        .transpose()
}

fn addresses(request: &Request) -> Result<Vec<Jid>, Refused> {
    let given = argument(request, "addresses").split_whitespace();
    given.map(address).collect()
}

/// What a peer is told, `otherwise` if the operator gives no reason: one line of text.
pub(super) fn reason<'r>(request: &'r Request, otherwise: &'r str) -> Result<&'r str, Fault> {
    let reason = request.args.get("reason").map_or("", |given| given.trim());
    if reason.chars().count() > REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(Refused::BadReason.into());
    }
    Ok(match reason {
        "" => otherwise,
        reason => reason,
    })
}

fn user(request: &Request, name: &str) -> Result<Jid, Fault> {
    let jid = address(argument(request, name))?;
    if jid.local().is_none() || jid.resource().is_some() {
        return Err(Refused::NotAUser(jid.to_string()).into());
    }
    Ok(jid)
}

fn password(request: &Request) -> Result<&str, Fault> {
    match argument(request, "password") {
        "" => Err(Refused::BadPassword("it is empty".into()).into()),
        password => Ok(password),
    }
}
