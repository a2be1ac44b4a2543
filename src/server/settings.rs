//! What the console asks of the configuration.

use std::path::PathBuf;

use super::Common;
use super::reload::{ReloadError, Reloads, load};
use crate::config::{Change, Config, Diagnostics, Origin, Source};
use crate::control::{ChangeRow, ConfigReport, Refused, SettingReport, SettingRow};

/// Where `config show` begins to say where a value comes from, unless the value is longer.
const PLACE: usize = 48;

/// Reads the configuration again and puts it in force.
pub(super) async fn reload(common: &Common, reloads: &Reloads) -> Result<ConfigReport, Refused> {
    let reloaded = reloads.reload().await.map_err(refused)?;
    let report = report(common, &reloaded.config, &reloaded.changes, "applied live");
    Ok(report)
}

/// Reads a configuration, this daemon's or another, and says what a reload of it would change.
pub(super) async fn check(common: &Common, file: Option<&str>) -> Result<ConfigReport, Refused> {
    let mut source: Source = common.options.source.clone();
    if let Some(file) = file {
        source.origin = Origin::File(PathBuf::from(file));
    }
    let config = load(&source).await.map_err(refused)?;
    let changes = Config::diff(&common.config.load(), &config);
    Ok(report(common, &config, &changes, "live"))
}

/// The values in force.
pub(super) fn show(common: &Common, path: &str) -> Result<SettingReport, Refused> {
    let shown = common.config.load().show(path);
    let shown = shown.map_err(|error| Refused::NoSetting(error.to_string()))?;
    let settings: Vec<SettingRow> = shown
        .into_iter()
        .map(|shown| SettingRow {
            scope: shown.scope,
            option: shown.option.to_owned(),
            value: shown.value,
            from: shown.from,
        })
        .collect();
    let text = settings.iter().map(line).collect();
    Ok(SettingReport { settings, text })
}

/// `xmpp_listener idle_time = 600    # stanzad.conf:14`, so that a search finds scope, option and place in one line.
fn line(row: &SettingRow) -> String {
    let gap = if row.scope.is_empty() { "" } else { " " };
    let value = row.value.as_deref().unwrap_or("(none)");
    let setting = format!("{}{gap}{} = {value}", row.scope, row.option);
    format!("{setting:<PLACE$}  # {}\n", row.from)
}

fn refused(error: ReloadError) -> Refused {
    match error {
        ReloadError::Config(diagnostics) => Refused::Configuration {
            report: diagnostics.to_string().trim_end().to_owned(),
            details: diagnostics.to_json(),
        },
        ReloadError::Scripts { generation, report } => Refused::Scripts { generation, report },
        other => Refused::Failed(Box::new(other)),
    }
}

fn report(common: &Common, config: &Config, changes: &[Change], live: &str) -> ConfigReport {
    let warnings: &Diagnostics = config.warnings();
    let running = common.config.load();
    let mut text = String::new();
    if !warnings.is_empty() {
        text.push_str(&warnings.to_string());
    }
    text.push_str(&format!("configuration valid: {}\n", config.origin()));
    for change in changes {
        let effect = if change.live { live } else { "needs a restart" };
        text.push_str(&format!("  {}: {effect}\n", change.difference()));
    }
    if changes.is_empty() {
        text.push_str(&format!(
            "  nothing differs from what runs, {}\n",
            running.origin()
        ));
    }
    ConfigReport {
        configuration: config.origin().to_string(),
        warnings: warnings.to_json()["diagnostics"].take(),
        changes: changes.iter().map(row).collect(),
        text,
    }
}

fn row(change: &Change) -> ChangeRow {
    ChangeRow {
        option: change.path.clone(),
        old: change.old.clone(),
        new: change.new.clone(),
        effect: if change.live { "live" } else { "restart" },
    }
}
