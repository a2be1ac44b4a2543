//! What to load, and how much it may take.

use std::path::PathBuf;

use crate::config::{Script, ScriptLimits};

/// Which scripts to load, from where, and how much they may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The script directory; `None` or a directory that does not exist: only the scripts compiled in.
    pub dir: Option<PathBuf>,
    /// The scriptlets, in configuration order.
    pub scripts: Vec<Script>,
    /// The domains that selftests find served, beside `localhost`. Another set makes a new generation.
    pub domains: Vec<String>,
    /// What a script may take.
    pub limits: ScriptLimits,
}
