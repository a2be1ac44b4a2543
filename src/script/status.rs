//! What the console shows about scripts.

use std::collections::BTreeMap;
use std::time::Duration;

/// A scriptlet, summed over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLine {
    /// Its name in the configuration.
    pub name: String,
    /// Its file, below the script directory or absolute.
    pub file: String,
    /// The generation that runs.
    pub generation: u64,
    /// How many functions it has at hook points.
    pub handlers: usize,
    /// How often they were called, in all generations.
    pub calls: u64,
    /// How often they failed.
    pub errors: u64,
    /// Time spent in them.
    pub busy: Duration,
    /// Whether stanzas are refused while it cannot decide.
    pub required: bool,
    /// Whether it is out of work, on some worker.
    pub parked: bool,
}

/// A function at a hook point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookLine {
    /// The point.
    pub hook: &'static str,
    /// `early` or `late`.
    pub band: &'static str,
    /// Higher runs first inside a band.
    pub priority: i64,
    /// The scriptlet's name.
    pub script: String,
    /// Its hook options that filter; empty: it is called for every stanza.
    pub filter: String,
    /// `file:line` of the function.
    pub at: String,
}

/// What one worker tells.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerStatus {
    pub(super) scripts: Vec<ScriptLine>,
    pub(super) hooks: Vec<HookLine>,
}

/// Sums what the workers tell, by script, in configuration order.
pub(super) fn sum(workers: &[WorkerStatus]) -> Vec<ScriptLine> {
    let mut order: Vec<&str> = Vec::new();
    let mut by_name: BTreeMap<&str, ScriptLine> = BTreeMap::new();
    for line in workers.iter().flat_map(|worker| &worker.scripts) {
        if let Some(sum) = by_name.get_mut(line.name.as_str()) {
            sum.calls = sum.calls.saturating_add(line.calls);
            sum.errors = sum.errors.saturating_add(line.errors);
            sum.busy = sum.busy.saturating_add(line.busy);
            sum.parked |= line.parked;
        } else {
            order.push(&line.name);
            by_name.insert(&line.name, line.clone());
        }
    }
    order
        .iter()
        .filter_map(|name| by_name.remove(name))
        .collect()
}
