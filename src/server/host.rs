//! The server as scripts see it.

use std::sync::Arc;

use super::Common;
use crate::config::{Config, Role};
use crate::jid::Jid;
use crate::script;

pub(super) struct Host(pub(super) Arc<Common>);

impl script::Host for Host {
    fn connected(&self, jid: &Jid) -> bool {
        self.0.directory.connected(jid)
    }

    fn online(&self, jid: &Jid) -> Option<script::Online> {
        let online = self.0.directory.online(jid.bare_str())?;
        Some(script::Online {
            available: online.available,
            show: online.show,
            status: online.status,
        })
    }

    fn wall_ms(&self) -> i64 {
        self.0.clock.wall_ms()
    }

    fn serves(&self, domain: &str) -> bool {
        self.0.config.load().is_local_domain(domain)
    }

    fn domain(&self) -> String {
        let config = self.0.config.load();
        config
            .domains()
            .iter()
            .find(|domain| domain.role == Some(Role::Server))
            .map_or_else(
                || config.hostname().to_owned(),
                |domain| domain.name.clone(),
            )
    }
}

/// What the configuration says about scripts, in the script engine's terms.
pub(super) fn settings(common: &Common, config: &Config) -> script::Settings {
    script::Settings {
        dir: match common.script_dir(config) {
            crate::config::ScriptDir::Dir(dir) => Some(dir),
            crate::config::ScriptDir::BuiltIn => None,
        },
        scripts: config.scripts().to_vec(),
        domains: config
            .domains()
            .iter()
            .filter(|domain| config.is_local_domain(&domain.name))
            .map(|domain| domain.name.clone())
            .collect(),
        limits: config.script_limits().clone(),
    }
}
