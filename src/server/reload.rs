//! SIGHUP: the configuration and the scripts again, all or nothing (DESIGN §7).

use std::sync::Arc;

use super::Common;
use super::host;
use super::identity::Tls;
use crate::config::Config;
use crate::script;

/// What a reload works with.
pub(super) struct Handle {
    pub(super) common: Arc<Common>,
    pub(super) scripts: script::Control,
}

/// Reads the configuration again, takes what can change live, names what needs a restart, and loads the scripts again.
/// What is wrong is logged, and everything stays as it was.
pub(super) async fn reload(handle: &Handle) {
    let common = &handle.common;
    let config = match Config::load(&common.options.source) {
        Ok(config) => config,
        Err(diagnostics) => {
            tracing::error!(
                "the configuration is wrong, the old one stays in force:\n{diagnostics}"
            );
            return;
        }
    };
    let tls = match Tls::load(&config) {
        Ok(tls) => tls,
        Err(error) => {
            tracing::error!("the old configuration stays in force: {error}");
            return;
        }
    };
    let old = common.config.load_full();
    let changes = Config::diff(&old, &config);
    // Sockets, pools and directories are made once: listens keep their place, so that settings found by place fit.
    if changes.iter().any(|change| !change.live) {
        for change in changes.iter().filter(|change| !change.live) {
            tracing::warn!("needs a restart: {change}");
        }
        tracing::warn!(
            "the configuration in force has not changed: restart to apply it, or take these changes back"
        );
    } else {
        for change in &changes {
            tracing::info!("now in force: {change}");
        }
        if changes.is_empty() {
            tracing::info!("the configuration has not changed");
        }
        common.set_log_level(&config);
        common.set_memory_limits(&config);
        common.config.store(config);
        common.tls.store(Arc::new(tls));
    }
    // Its report is logged like that of any saved script.
    if handle
        .scripts
        .reconfigure(host::settings(common))
        .await
        .is_err()
    {
        tracing::error!("the scripts cannot be loaded: the server is stopping");
    }
}
