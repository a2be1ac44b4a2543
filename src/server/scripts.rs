//! What the console lists of scripts and of hook points.

use crate::control::{HandlerRow, HookRow, Refused, ScriptPage, ScriptRow};
use crate::hook::{Band, POINTS, Point};
use crate::script::{Control, Gone, HookLine, ScriptLine};

/// Every script.
pub(super) async fn list(scripts: &Control) -> Result<Vec<ScriptRow>, Gone> {
    Ok(scripts.scripts().await?.into_iter().map(row).collect())
}

/// One script, with its functions.
pub(super) async fn show(scripts: &Control, name: &str) -> Result<ScriptPage, Refused> {
    let rows = list(scripts).await.map_err(super::backend::failed)?;
    let Some(row) = rows.iter().find(|row| row.name == name).cloned() else {
        return Err(Refused::NoSuchScript {
            name: name.to_owned(),
            names: rows.into_iter().map(|row| row.name).collect(),
        });
    };
    let hooks = scripts.hooks().await.map_err(super::backend::failed)?;
    let own = hooks.into_iter().filter(|line| line.script == name);
    Ok(ScriptPage {
        row,
        functions: own
            .map(|line| HandlerRow {
                point: line.hook.to_owned(),
                band: line.band.to_owned(),
                at: line.at,
                priority: line.priority,
                filter: line.filter,
            })
            .collect(),
    })
}

fn row(line: ScriptLine) -> ScriptRow {
    let busy_us = u64::try_from(line.busy.as_micros()).unwrap_or(u64::MAX);
    ScriptRow {
        name: line.name,
        file: line.file,
        generation: line.generation,
        state: if line.parked { "parked" } else { "live" },
        required: line.required,
        handlers: line.handlers,
        calls: line.calls,
        errors: line.errors,
        us_per_call: busy_us.checked_div(line.calls),
    }
}

/// What runs at each point, in order: `services` are the native ones, `functions` those of scripts.
pub(super) fn hooks(services: &[(Point, String)], functions: &[HookLine]) -> Vec<HookRow> {
    let of_scripts = |point: Point, band: Band| {
        let here = move |line: &&HookLine| line.hook == point.name() && line.band == band.name();
        functions.iter().filter(here).map(|line| HookRow {
            point: line.hook.to_owned(),
            band: line.band.to_owned(),
            handler: format!("script:{}", line.script),
            at: Some(line.at.clone()),
            priority: Some(line.priority),
            filter: Some(line.filter.clone()),
        })
    };
    let native = |point: Point| {
        let here = services.iter().filter(move |(at, _)| *at == point);
        here.map(move |(_, name)| HookRow {
            point: point.name().to_owned(),
            band: Band::Native.name().to_owned(),
            handler: name.clone(),
            at: None,
            priority: None,
            filter: None,
        })
    };
    POINTS
        .iter()
        .flat_map(|row| {
            of_scripts(row.point, Band::Early)
                .chain(native(row.point))
                .chain(of_scripts(row.point, Band::Late))
        })
        .collect()
}
