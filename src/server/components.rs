//! Components that are connected, and those that may be.

use std::collections::HashMap;
use std::sync::Arc;

use super::Common;
use crate::config::Config;
use crate::control::{ComponentRow, Refused};
use crate::directory::{Closing, Component};
use crate::jid::Jid;
use crate::stanza::format_time;

/// Every component of the configuration.
pub(super) fn list(common: &Common) -> Vec<ComponentRow> {
    let connected = common.directory.components().into_iter();
    let connected: HashMap<Jid, Component> = connected.map(|one| (one.jid.clone(), one)).collect();
    let config = common.config.load();
    let rows = config.components().map(|configured| {
        let jid = &configured.jid;
        row(common, jid, connected.get(jid))
    });
    rows.collect()
}

fn row(common: &Common, jid: &Jid, connected: Option<&Component>) -> ComponentRow {
    let about = connected.map(|one| &one.about);
    let now_ms = common.clock.monotonic_ms();
    let age_ms = about.map(|about| now_ms.saturating_sub(about.bound_at_ms));
    let since = age_ms.map(|age| common.clock.wall_ms().saturating_sub_unsigned(age));
    ComponentRow {
        jid: jid.to_string(),
        connected: connected.is_some(),
        id: connected.map(|one| one.session),
        address: about.and_then(|about| about.addr.map(|addr| addr.to_string())),
        tls: about.and_then(|about| about.tls.map(str::to_owned)),
        worker: about.map(|about| about.worker),
        since: since.map(format_time),
        age_seconds: age_ms.map(|age| age / 1000),
        waiting_bytes: connected.map(|one| one.outbox.bytes()),
    }
}

/// Asks a component's session to end.
pub(super) fn kick(common: &Common, jid: &Jid, reason: &str) -> Result<(), Refused> {
    match common.directory.component(jid.as_str()) {
        Some(outbox) => {
            outbox.close(Closing::Kicked(Arc::from(reason)));
            Ok(())
        }
        None => Err(Refused::NoComponent(jid.clone())),
    }
}

/// Whether the component `jid`, which has proved what `proved` says of it, may be connected by the configuration in force.
pub(super) fn may_stay(common: &Common, proved: &Config, jid: &Jid) -> bool {
    let now = common.config.load();
    is_same(proved, &now, jid)
}

fn is_same(before: &Config, now: &Config, jid: &Jid) -> bool {
    let secret = |config: &Config| {
        let component = config.component(jid.domain())?;
        Some(component.secret.clone())
    };
    match (secret(before), secret(now)) {
        (Some(before), Some(now)) => now.matches(before.expose()),
        _ => false,
    }
}

/// After a reload from `before`: ends the streams of components that have another secret now, beside those that end anyway.
pub(super) fn revoke(common: &Common, before: &Config) {
    for component in common.directory.components() {
        if !component.outbox.is_closing() && !may_stay(common, before, &component.jid) {
            tracing::info!(component = %component.jid, "closing a component: its secret has changed");
            component.outbox.close(Closing::Revoked);
        }
    }
}
