//! What the console lists of sessions, and how it ends them.

use std::sync::Arc;

use super::Common;
use crate::control::{Deleted, Refused, SessionRow};
use crate::directory::{Closing, Entry};
use crate::jid::Jid;
use crate::stanza::format_time;

/// Every session, or those of a user, a resource or a domain, in the order of their log-in.
pub(super) fn list(common: &Common, of: Option<&Jid>) -> Vec<SessionRow> {
    let now_ms = common.clock.monotonic_ms();
    let wall_ms = common.clock.wall_ms();
    let entries = common.directory.entries().into_iter();
    let mut rows: Vec<SessionRow> = entries
        .filter(|entry| of.is_none_or(|of| is_of(&entry.jid, of)))
        .map(|entry| row(entry, now_ms, wall_ms))
        .collect();
    rows.sort_by_key(|row| row.id);
    rows
}

fn is_of(jid: &Jid, of: &Jid) -> bool {
    match (of.local(), of.resource()) {
        (_, Some(_)) => jid == of,
        (Some(_), None) => jid.bare_str() == of.as_str(),
        (None, None) => jid.domain() == of.domain(),
    }
}

fn row(entry: Entry, now_ms: u64, wall_ms: i64) -> SessionRow {
    let age_ms = now_ms.saturating_sub(entry.about.bound_at_ms);
    let since = wall_ms.saturating_sub_unsigned(age_ms);
    SessionRow {
        id: entry.session,
        jid: entry.jid.to_string(),
        address: entry
            .about
            .addr
            .map_or_else(String::new, |addr| addr.to_string()),
        tls: entry.about.tls.map(str::to_owned),
        priority: entry.priority,
        show: entry.priority.map(|_| entry.show),
        worker: entry.about.worker,
        since: format_time(since),
        age_seconds: age_ms / 1000,
        waiting_bytes: entry.outbox_bytes,
        state: if entry.detached { "detached" } else { "live" },
    }
}

/// Asks the session of a full address, or every session of a bare one, to end.
pub(super) fn kick(common: &Common, jid: &Jid, reason: &str) -> Result<Deleted, Refused> {
    if jid.local().is_none() {
        return Err(Refused::NotAUser(jid.to_string()));
    }
    let why = Closing::Kicked(Arc::from(reason));
    let closed = common.accounts.end_sessions(jid, &why, None);
    if closed > 0 {
        return Ok(Deleted {
            sessions_closed: closed,
        });
    }
    let others = list(common, Some(&jid.to_bare()));
    Err(Refused::NoSession {
        jid: jid.clone(),
        others: others.into_iter().map(|row| row.jid).collect(),
    })
}
