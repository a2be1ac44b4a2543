//! `config show`: every value in force, and who says so.

use super::Config;
use super::eval::{EvalError, Evaluated, Step, ValueOrigin, join, step};
use super::nearest;
use super::place::{PLACES, Place};
use super::scope::Scope;
use super::table::{OPTIONS, Opt, find};

/// One value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `xmpp_listener Listen "*:5222"`; empty: global.
    pub scope: String,
    /// The option, in Momentum's spelling.
    pub option: &'static str,
    /// The value as it would be written; `None`: it has none. A secret is not shown.
    pub value: Option<String>,
    /// `etc/stanzad.conf:12`, `command line` or `default`.
    pub from: String,
}

impl Config {
    /// What holds in the scope that `path` leads to, in the words of [`Config::eval`], with the options to be shown behind
    /// it: `xmpp_listener listen *:5222 idle_time`. A name that holds blanks stands in double quotes.
    ///
    /// Without options: every option of the scope, and what the scopes in it set or could set first. Without a path: all.
    ///
    /// # Errors
    /// When a word makes no sense where it stands.
    pub fn show(&self, path: &str) -> Result<Vec<Shown>, EvalError> {
        let words = words(path);
        let mut steps: Vec<Step> = Vec::new();
        let mut here = Place::Global;
        let mut rest = words.iter().map(String::as_str);
        let mut options: Vec<&'static Opt> = Vec::new();
        while let Some(word) = rest.next() {
            if options.is_empty() && here.child(word).is_some() {
                let (place, key) = step(here, word, &mut rest)?;
                here = place;
                steps.push((place, key));
            } else {
                options.push(find(word).ok_or_else(|| unknown(word, here))?);
            }
        }
        let title = self.title(&steps);
        if options.is_empty() {
            return Ok(self.listing(&steps, here, &title));
        }
        options
            .iter()
            .map(|opt| Ok(shown(&title, self.evaluate(&steps, opt)?)))
            .collect()
    }

    /// The scope's own options, then the scopes in it.
    fn listing(&self, steps: &[Step], here: Place, title: &str) -> Vec<Shown> {
        let own = OPTIONS.iter().filter(|opt| opt.legal_in(here));
        let mut rows: Vec<Shown> = own
            .filter_map(|opt| self.evaluate(steps, opt).ok())
            .map(|evaluated| shown(title, evaluated))
            .collect();
        if let Some(scope) = self.find_scope(steps) {
            let mut around: Vec<Place> = steps.iter().map(|(place, _)| *place).collect();
            around.push(Place::Global);
            self.inner(scope, steps, &around, title, &mut rows);
        }
        rows
    }

    /// What the scopes inside `scope` set, and what no scope around them could have set.
    fn inner(
        &self,
        scope: &Scope,
        steps: &[Step],
        around: &[Place],
        title: &str,
        rows: &mut Vec<Shown>,
    ) {
        for place in PLACES.iter().map(|row| row.place) {
            for child in scope.all(place) {
                let title = join(title, &child.title());
                let deeper = [steps, &[(place, child.key.clone())]].concat();
                for opt in OPTIONS.iter().filter(|opt| opt.legal_in(place)) {
                    let first = !around.iter().any(|wider| opt.legal_in(*wider));
                    if (first || child.get(opt).is_some())
                        && let Ok(evaluated) = self.evaluate(&deeper, opt)
                    {
                        rows.push(shown(&title, evaluated));
                    }
                }
                let around = [around, &[place]].concat();
                self.inner(child, &deeper, &around, &title, rows);
            }
        }
    }

    fn find_scope(&self, steps: &[Step]) -> Option<&Scope> {
        steps
            .iter()
            .try_fold(&self.root, |scope, (place, key)| scope.child(*place, key))
    }

    /// The scopes' names as they are written, or as they would be.
    fn title(&self, steps: &[Step]) -> String {
        let mut here = Some(&self.root);
        let mut title = String::new();
        for (place, key) in steps {
            here = here.and_then(|scope| scope.child(*place, key));
            let written = here.map(Scope::title);
            let word = place.info().word;
            let step = written.unwrap_or_else(|| match key.as_str() {
                "" => word.to_owned(),
                key => format!("{word} \"{key}\""),
            });
            title = join(&title, &step);
        }
        title
    }
}

fn shown(scope: &str, evaluated: Evaluated) -> Shown {
    Shown {
        scope: scope.to_owned(),
        option: evaluated.option,
        value: evaluated.value,
        from: match evaluated.origin {
            ValueOrigin::Set(at) => at.to_string(),
            ValueOrigin::CommandLine => "command line".to_owned(),
            ValueOrigin::Default => "default".to_owned(),
        },
    }
}

fn unknown(word: &str, here: Place) -> EvalError {
    let scopes = here.children().map(|child| child.info().word);
    EvalError::UnknownWord {
        word: word.to_owned(),
        scope: here.info().title,
        near: nearest(word, scopes.chain(OPTIONS.iter().map(|opt| opt.name))),
    }
}

/// Words between blanks; in double quotes blanks count.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
