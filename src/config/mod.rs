//! The stanza language: text, tree with spans, one option table, immutable typed settings, diagnostics.
//!
//! [`Config::load`] goes the whole way: `syntax` parses (always, with faults), `merge` follows includes, checks every name and
//! value against `place` and `table` and merges the pieces of scopes, `rules` judges the whole, `resolve` walks the fallback
//! once and makes the typed views that the rest of the server reads. A loaded [`Config`] never changes; a reload makes a
//! new one and [`Config::diff`] says what differs.

mod diagnostic;
mod domains;
mod doubts;
mod eval;
mod fallback;
mod fault;
mod foreign;
mod hold;
mod include;
mod listed;
mod merge;
mod names;
mod pattern;
mod place;
mod reference;
mod resolve;
mod rules;
mod scope;
mod settings;
mod show;
mod source;
mod syntax;
mod table;
mod value;

use std::path::Path;
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Diagnostics, MAX_SHOWN};
pub use domains::DomainPattern;
pub use eval::{Change, EvalError, Evaluated, ValueOrigin};
pub use fault::Severity;
pub use reference::reference;
pub use settings::{
    Certificate, Component, ComponentStreams, ControlListen, Domain, Drain, Limits, Listen,
    LogLevel, Mechanism, OnError, PeerSettings, Registration, Role, Script, ScriptDir,
    ScriptLimits, ThreadPool, TlsMode,
};
pub use show::Shown;
pub use source::{BUILT_IN, Location, Origin, SEARCHED, Source};

use crate::jid::Jid;
use fault::Fault;
use merge::{Includes, Merged, merge};
use resolve::Resolver;
use scope::Scope;
use settings::Settings;
use source::Files;

/// The exit code of a start or check with a configuration that cannot be used.
pub const EXIT_CONFIG: u8 = 2;

/// A checked configuration. It never changes.
#[derive(Debug)]
pub struct Config {
    source: Source,
    files: Files,
    root: Scope,
    settings: Settings,
    warnings: Diagnostics,
}

impl Config {
    /// Reads and checks everything. Touches files, never the network.
    ///
    /// # Errors
    /// All mistakes at once; nothing is loaded if there is an error among them.
    pub fn load(source: &Source) -> Result<Arc<Config>, Diagnostics> {
        let Merged {
            root,
            files,
            mut report,
        } = merge(&source.origin, Includes::Follow);
        let complete = report.is_good();
        let resolver = Resolver {
            root: &root,
            files: &files,
        };
        let settings = resolver.settings(source);
        rules::judge(resolver, &settings, complete, &mut report);
        doubts::judge(resolver, &settings, complete, &mut report);
        rules::judge_files(resolver, &settings, &mut report);
        let diagnostics = report.finish(&files);
        if diagnostics.errors() > 0 {
            return Err(diagnostics);
        }
        Ok(Arc::new(Config {
            source: source.clone(),
            files,
            root,
            settings,
            warnings: diagnostics,
        }))
    }

    /// What was loaded; load it again for a reload.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where the text came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.source.origin
    }

    /// What is probably not meant so.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Every file that was read, in reading order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.names()
    }

    /// The name of this machine.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.settings.hostname
    }

    /// The data directory, relative to the working directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// Where the scripts come from.
    #[must_use]
    pub fn script_dir(&self) -> &ScriptDir {
        &self.settings.script_dir
    }

    /// How much is logged.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.settings.log_level
    }

    /// How much the XMPP module logs.
    #[must_use]
    pub fn xmpp_log_level(&self) -> LogLevel {
        self.settings.xmpp_log_level
    }

    /// The pools of workers; `default` is always among them.
    #[must_use]
    pub fn thread_pools(&self) -> &[ThreadPool] {
        &self.settings.thread_pools
    }

    /// The sockets for XMPP that are to be opened, by port and address. Two configurations whose [`Config::diff`] asks for no
    /// restart have the same sockets at the same places.
    #[must_use]
    pub fn xmpp_listens(&self) -> &[Listen] {
        &self.settings.xmpp_listens
    }

    /// The sockets for the console that are to be opened.
    #[must_use]
    pub fn control_listens(&self) -> &[ControlListen] {
        &self.settings.control_listens
    }

    /// Every domain that has a scope of its own.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.settings.domains.named
    }

    /// `Domain "/regex/"` scopes, in the order of the file.
    #[must_use]
    pub fn domain_patterns(&self) -> &[DomainPattern] {
        &self.settings.domains.patterns
    }

    /// The domains that are served here, and the patterns of such, as the configuration writes them.
    #[must_use]
    pub fn served(&self) -> Vec<String> {
        let named = self.domains().iter().map(|d| (&d.name, d.role));
        let patterns = self.domain_patterns().iter().map(|p| (&p.name, p.role));
        named
            .chain(patterns)
            .filter(|(_, role)| *role == Some(Role::Server))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether users of `domain` (as a [`crate::jid::Jid`] spells it) log in here. A hash look-up; a name that has no scope
    /// of its own is tried against each pattern.
    #[must_use]
    pub fn is_local_domain(&self, domain: &str) -> bool {
        self.settings.domains.serves(domain)
    }

    /// The certificate of `domain` (as a [`crate::jid::Jid`] spells it); `None`: the listener's.
    #[must_use]
    pub fn certificate_of(&self, domain: &str) -> Option<&Certificate> {
        self.settings.domains.certificate(domain)
    }

    /// Who may make an account at `domain` (as a [`crate::jid::Jid`] spells it) by a client.
    #[must_use]
    pub fn registration_of(&self, domain: &str) -> Registration {
        self.settings.domains.registration(domain)
    }

    /// Who may administer `domain` (as a [`crate::jid::Jid`] spells it) by commands: bare addresses.
    #[must_use]
    pub fn admins_of(&self, domain: &str) -> &[Jid] {
        self.settings.domains.admins(domain)
    }

    /// Where the people behind `domain` (as a [`crate::jid::Jid`] spells it) are reached: fields of XEP-0157 with their URIs,
    /// none of them empty.
    #[must_use]
    pub fn contacts_of(&self, domain: &str) -> Vec<(&'static str, &[String])> {
        self.settings.domains.contacts(domain)
    }

    /// Whether `user`, a bare address, may administer any domain: its name is nobody's to take.
    #[must_use]
    pub fn names_admin(&self, user: &Jid) -> bool {
        self.settings.domains.names_admin(user)
    }

    /// The component that speaks for `domain` (as a [`crate::jid::Jid`] spells it), connected or not.
    #[must_use]
    pub fn component(&self, domain: &str) -> Option<&Arc<Component>> {
        self.settings.components.get(domain)
    }

    /// Every component, by name.
    pub fn components(&self) -> impl Iterator<Item = &Arc<Component>> {
        self.settings.components.values()
    }

    /// The scripts, in the order in which they run.
    #[must_use]
    pub fn scripts(&self) -> &[Script] {
        &self.settings.scripts
    }

    /// What bounds users, sessions and turns.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What the script engine keeps to.
    #[must_use]
    pub fn script_limits(&self) -> &ScriptLimits {
        &self.settings.script_limits
    }

    /// How long each step of the shutdown may take.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.settings.drain
    }
}

/// How [`check`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Plain,
    /// For a person at a terminal.
    Colour,
    /// For a program: one JSON object.
    Json,
}

/// `stanzad check`: the exit code (0, or [`EXIT_CONFIG`]) and what to print.
#[must_use]
pub fn check(source: &Source, form: Form) -> (u8, String) {
    let loaded = Config::load(source);
    let (code, diagnostics) = match &loaded {
        Ok(config) => (0, config.warnings()),
        Err(diagnostics) => (EXIT_CONFIG, diagnostics),
    };
    let valid = loaded.is_ok();
    let text = match form {
        Form::Json => {
            let mut json = diagnostics.to_json();
            json["valid"] = valid.into();
            json["configuration"] = source.origin.to_string().into();
            format!("{json}\n")
        }
        Form::Plain | Form::Colour => {
            let mut text = String::new();
            if !diagnostics.is_empty() {
                text.push_str(&diagnostics.render(form == Form::Colour));
            }
            let verdict = if valid { "valid" } else { "not valid" };
            text.push_str(&format!("configuration {verdict}: {}\n", source.origin));
            text
        }
    };
    (code, text)
}

/// The known word nearest to `word`, if it is near enough to be what was meant.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing mistakes, and comparing costs their product.
    const MAX_WORD: usize = 64;
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|have| !have.is_empty())
        .map(|have| {
            let distance = strsim::osa_distance(&word, &have.to_ascii_lowercase());
            (distance, have)
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, have)| have)
}

/// For fuzzing: any bytes are read, judged and rendered without a panic, and includes are left alone.
pub fn fuzz_entry(bytes: &[u8]) {
    let source = Source::text("text", &String::from_utf8_lossy(bytes));
    let Merged {
        root,
        files,
        mut report,
    } = merge(&source.origin, Includes::Ignore);
    let resolver = Resolver {
        root: &root,
        files: &files,
    };
    let settings = resolver.settings(&source);
    rules::judge(resolver, &settings, true, &mut report);
    doubts::judge(resolver, &settings, true, &mut report);
    let stranger = std::net::IpAddr::from([192, 0, 2, 1]);
    let listens = settings.xmpp_listens.iter();
    let bound = listens.map(|listen| listen.for_peer(stranger).max_depth);
    // The values go nowhere: computing them is the test.
    std::hint::black_box((bound.max(), report.finish(&files).render(true)));
}
