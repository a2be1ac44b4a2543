//! What a running daemon can take of a new configuration: what only a start can change stays as it was at the start.

use std::sync::Arc;

use super::Config;
use super::diagnostic::Diagnostics;
use super::place::{Effect, PLACES, Place};
use super::resolve::Resolver;
use super::scope::{Scope, Setting};
use super::source::Files;
use super::table::OPTIONS;

impl Config {
    /// This configuration, with every option and scope that needs a restart as in `started`, the one of the start. What only
    /// `started` says has `(at the start)` behind its file's name.
    #[must_use]
    pub fn held_to(&self, started: &Config) -> Arc<Config> {
        let mut files: Files = self.files.clone();
        let offset = files.append(&started.files, " (at the start)");
        let mut root = self.root.clone();
        hold(&started.root, &mut root, offset);
        let resolver = Resolver {
            root: &root,
            files: &files,
        };
        let settings = resolver.settings(&self.source);
        Arc::new(Config {
            source: self.source.clone(),
            settings,
            files,
            root,
            warnings: Diagnostics::clone(&self.warnings),
        })
    }
}

/// Puts back into `new` what needs a restart.
fn hold(started: &Scope, new: &mut Scope, offset: usize) {
    for opt in OPTIONS.iter().filter(|opt| opt.effect == Effect::Restart) {
        match started.get(opt) {
            Some(same) if new.get(opt).is_some_and(|have| have.value == same.value) => {}
            Some(setting) => new.set(opt, moved(setting, offset)),
            None => new.unset(opt),
        }
    }
    for place in PLACES.iter().map(|row| row.place) {
        if place.info().effect == Effect::Restart {
            hold_scopes(started, new, place, offset);
        }
        for child in &mut new.children {
            if child.place == place
                && let Some(before) = started.child(place, &child.key)
            {
                hold(before, child, offset);
            }
        }
    }
}

/// Scopes that came go, scopes that went come back.
fn hold_scopes(started: &Scope, new: &mut Scope, place: Place, offset: usize) {
    new.children
        .retain(|child| child.place != place || started.child(place, &child.key).is_some());
    for before in started.all(place) {
        if new.child(place, &before.key).is_none() {
            let mut back = before.clone();
            move_all(&mut back, offset);
            new.children.push(back);
        }
    }
}

fn moved(setting: &Setting, offset: usize) -> Setting {
    let mut moved = setting.clone();
    moved.at.file = moved.at.file.saturating_add(offset);
    moved
}

fn move_all(scope: &mut Scope, offset: usize) {
    scope.at.file = scope.at.file.saturating_add(offset);
    for setting in scope.settings_mut() {
        setting.at.file = setting.at.file.saturating_add(offset);
    }
    for child in &mut scope.children {
        move_all(child, offset);
    }
}
