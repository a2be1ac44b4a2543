//! The merged tree: every piece of a scope in one, every option typed.

use std::collections::BTreeMap;

use super::pattern::{Pattern, is_pattern};
use super::place::Place;
use super::syntax::Span;
use super::table::Opt;
use super::value::Value;
use crate::sasl::Secret;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    /// The value's place.
    pub(super) at: Span,
}

/// A scope, all its pieces merged.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) place: Place,
    /// The name as first written; empty if the scope takes none.
    pub(super) name: String,
    /// What makes two pieces one scope: the name in its normal form.
    pub(super) key: String,
    /// Where it is opened first: its name, or its word if it has no name.
    pub(super) at: Span,
    /// Of a `Domain "/regex/"`.
    pub(super) pattern: Option<Pattern>,
    settings: BTreeMap<&'static str, Setting>,
    pub(super) children: Vec<Scope>,
}

impl Scope {
    pub(super) fn new(place: Place, name: String, key: String, at: Span) -> Scope {
        let pattern = (place == Place::Domain && is_pattern(&key))
            .then(|| Pattern::compile(&key).ok())
            .flatten();
        Scope {
            place,
            name,
            key,
            at,
            pattern,
            settings: BTreeMap::new(),
            children: Vec::new(),
        }
    }

    /// The last setting wins.
    pub(super) fn set(&mut self, opt: &'static Opt, setting: Setting) {
        self.settings.insert(opt.name, setting);
    }

    /// Forgets a setting: the scopes around decide again.
    pub(super) fn unset(&mut self, opt: &Opt) {
        self.settings.remove(opt.name);
    }

    /// Everything that this scope itself sets.
    pub(super) fn settings_mut(&mut self) -> impl Iterator<Item = &mut Setting> {
        self.settings.values_mut()
    }

    /// What this scope itself sets.
    pub(super) fn get(&self, opt: &Opt) -> Option<&Setting> {
        self.settings.get(opt.name)
    }

    /// The children of one kind, in the order in which they were first opened.
    pub(super) fn all(&self, place: Place) -> impl Iterator<Item = &Scope> {
        self.children
            .iter()
            .filter(move |child| child.place == place)
    }

    /// The child of that kind and normal name.
    pub(super) fn child(&self, place: Place, key: &str) -> Option<&Scope> {
        self.all(place).find(|child| child.key == key)
    }

    /// The child of that kind and normal name, opened now if it was not.
    pub(super) fn open(&mut self, place: Place, name: &str, key: String, at: Span) -> &mut Scope {
        let have = self
            .children
            .iter()
            .position(|child| child.place == place && child.key == key)
            .unwrap_or(self.children.len());
        if have == self.children.len() {
            self.children
                .push(Scope::new(place, name.to_owned(), key, at));
        }
        &mut self.children[have]
    }

    /// `Listen "*:5222"`, or the word alone.
    pub(super) fn title(&self) -> String {
        let word = self.place.info().word;
        if self.name.is_empty() {
            word.to_owned()
        } else {
            format!("{word} \"{}\"", self.name)
        }
    }
}

/// The scopes in which an option is looked up, the innermost first.
#[derive(Clone, Debug)]
pub(super) struct Chain<'a>(pub(super) Vec<&'a Scope>);

impl<'a> Chain<'a> {
    /// What is set nearest, if anything is: the setting and its scope.
    pub(super) fn found(&self, opt: &Opt) -> Option<(&'a Setting, &'a Scope)> {
        self.0
            .iter()
            .find_map(|scope| scope.get(opt).map(|setting| (setting, *scope)))
    }

    /// The value in force: set, or the default.
    pub(super) fn value(&self, opt: &Opt) -> Option<Value> {
        match self.found(opt) {
            Some((setting, _)) => Some(setting.value.clone()),
            None => opt.default_value(),
        }
    }

    /// A number; 0 when there is no value.
    pub(super) fn number(&self, opt: &Opt) -> u64 {
        match self.value(opt) {
            Some(Value::Number(number)) => number,
            Some(Value::Mode(mode)) => u64::from(mode),
            _ => 0,
        }
    }

    /// A switch; false when there is no value.
    pub(super) fn switch(&self, opt: &Opt) -> bool {
        self.value(opt) == Some(Value::Bool(true))
    }

    /// Text, a path or a word.
    pub(super) fn text(&self, opt: &Opt) -> Option<String> {
        match self.value(opt) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A secret.
    pub(super) fn secret(&self, opt: &Opt) -> Option<Secret> {
        match self.value(opt) {
            Some(Value::Secret(text)) => Some(Secret::new(text.into_bytes())),
            _ => None,
        }
    }

    /// A list's words; none when there is no value.
    pub(super) fn words(&self, opt: &Opt) -> Vec<String> {
        match self.value(opt) {
            Some(Value::List(words)) => words,
            _ => Vec::new(),
        }
    }
}
