//! `Domain "/regex/"`: the pattern, compiled with limits, and what is wrong or doubtful about it.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, ErrorKind, Span, parse::ParserBuilder};
use regex_syntax::hir::Look;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

/// Bytes that one compiled pattern, and its search cache, may take.
const MAX_COMPILED: usize = 1 << 20;

/// How deep groups may nest in a pattern.
const MAX_GROUPS: u32 = 32;

/// Patterns of one configuration. Each may be tried for a name that has no scope of its own.
pub(super) const MAX_PATTERNS: usize = 64;

/// A pattern that compiles. Matching takes time linear in the name, whatever the pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

/// Why a name that begins with `/` is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternFault {
    #[error("this pattern has no closing `/`")]
    Unclosed,
    #[error("a pattern takes no flags: `{flags}` stands behind its closing `/`")]
    Flags { flags: String },
    #[error("this pattern is empty: it would match every domain")]
    Empty,
    #[error("this pattern is longer than {MAX_PATTERN} bytes")]
    TooLong,
    #[error("this pattern takes more than {MAX_COMPILED} bytes when compiled")]
    TooLarge,
    #[error("patterns cannot look around (`(?=`, `(?!`, `(?<=`, `(?<!`)")]
    LookAround,
    #[error("patterns cannot refer back to a group")]
    Backreference,
    #[error("this is not a regular expression: {0}")]
    Syntax(String),
}

/// What is probably not meant so in a pattern that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It also matches names that go on behind what was meant.
    OpenEnd,
    /// A `.` between letters stands for any character.
    AnyCharacter,
}

/// Something about a part of a name: which bytes of the name, slashes included.
pub(super) type At<T> = (T, Range<usize>);

impl Pattern {
    /// Compiles `name`, slashes included. Upper and lower case are one, as in domain names.
    ///
    /// # Errors
    /// What is wrong, and where in `name`.
    pub(super) fn compile(name: &str) -> Result<Pattern, At<PatternFault>> {
        let whole = 0..name.len();
        let body = body(name).map_err(|fault| (fault, whole.clone()))?;
        if let Err(error) = ParserBuilder::new()
            .nest_limit(MAX_GROUPS)
            .build()
            .parse(body)
        {
            return Err((syntax_fault(error.kind()), in_name(error.span())));
        }
        RegexBuilder::new(body)
            .case_insensitive(true)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(MAX_GROUPS)
            .build()
            .map(Pattern)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => (PatternFault::TooLarge, whole),
                other => (PatternFault::Syntax(last_line(&other.to_string())), whole),
            })
    }

    /// Whether `domain`, as addresses spell it, is one that is meant.
    pub(super) fn matches(&self, domain: &str) -> bool {
        self.0.is_match(domain)
    }
}

/// Whether a scope's name is meant as a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.starts_with('/')
}

/// What is doubtful about a pattern that compiles.
pub(super) fn doubts(name: &str) -> Vec<At<Doubt>> {
    let Ok(body) = body(name) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let open_end = regex_syntax::parse(body)
        .is_ok_and(|hir| !hir.properties().look_set_suffix().contains(Look::End));
    if open_end {
        let end = name.len();
        found.push((Doubt::OpenEnd, end.saturating_sub(1)..end));
    }
    let parsed = ParserBuilder::new()
        .nest_limit(MAX_GROUPS)
        .build()
        .parse(body);
    if let Ok(ast) = parsed {
        let mut dots = Vec::new();
        bare_dots(&ast, &mut dots);
        // One is enough to make the point.
        found.extend(dots.first().map(|at| (Doubt::AnyCharacter, in_name(at))));
    }
    found
}

/// What stands between the slashes.
fn body(name: &str) -> Result<&str, PatternFault> {
    let open = name.strip_prefix('/').unwrap_or(name);
    if open.len() > MAX_PATTERN {
        return Err(PatternFault::TooLong);
    }
    match open.rsplit_once('/') {
        None => Err(PatternFault::Unclosed),
        Some((_, flags)) if !flags.is_empty() && flags.bytes().all(|b| b.is_ascii_lowercase()) => {
            Err(PatternFault::Flags {
                flags: flags.to_owned(),
            })
        }
        Some((_, behind)) if !behind.is_empty() => Err(PatternFault::Unclosed),
        Some(("", _)) => Err(PatternFault::Empty),
        Some((body, _)) => Ok(body),
    }
}

/// The bytes of the name, whose first is a slash.
fn in_name(span: &Span) -> Range<usize> {
    span.start.offset.saturating_add(1)..span.end.offset.saturating_add(1)
}

fn syntax_fault(kind: &ErrorKind) -> PatternFault {
    match kind {
        ErrorKind::UnsupportedLookAround => PatternFault::LookAround,
        ErrorKind::UnsupportedBackreference => PatternFault::Backreference,
        other => PatternFault::Syntax(other.to_string()),
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_owned()
}

/// Every `.` that stands alone between two letters or digits.
fn bare_dots<'a>(ast: &'a Ast, found: &mut Vec<&'a Span>) {
    match ast {
        Ast::Concat(concat) => {
            for three in concat.asts.windows(3) {
                if let [before, Ast::Dot(dot), after] = three
                    && is_letter(before)
                    && is_letter(after)
                {
                    found.push(dot);
                }
            }
            concat.asts.iter().for_each(|inner| bare_dots(inner, found));
        }
        Ast::Alternation(choice) => choice.asts.iter().for_each(|inner| bare_dots(inner, found)),
        Ast::Group(group) => bare_dots(&group.ast, found),
        Ast::Repetition(repetition) => bare_dots(&repetition.ast, found),
        _ => {}
    }
}

fn is_letter(ast: &Ast) -> bool {
    matches!(ast, Ast::Literal(literal) if literal.c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str) -> At<PatternFault> {
        Pattern::compile(name).unwrap_err()
    }

    #[test]
    fn names_are_matched_whatever_their_case() {
        let pattern = Pattern::compile("/(?:^|[.])Chat[.]example$/").unwrap();
        assert!(pattern.matches("chat.example"));
        assert!(pattern.matches("a.chat.example"));
        assert!(!pattern.matches("achat.example"));
        assert!(!pattern.matches("chat.example.org"));
        let unicode = Pattern::compile("/^bücher[.]example$/").unwrap();
        assert!(unicode.matches("bücher.example"));
    }

    #[test]
    fn faults_point_into_the_name() {
        assert_eq!(fault("/x").0, PatternFault::Unclosed);
        assert_eq!(fault("//").0, PatternFault::Empty);
        assert_eq!(fault("/x/i").0, PatternFault::Flags { flags: "i".into() });
        assert_eq!(fault("/a(?!b)/"), (PatternFault::LookAround, 2..5));
        assert_eq!(fault("/(a)\\1/"), (PatternFault::Backreference, 4..6));
        let (what, at) = fault("/a(b/");
        assert_eq!(
            what.to_string(),
            "this is not a regular expression: unclosed group"
        );
        assert_eq!(at, 2..3);
        assert_eq!(fault("/(a{1000}){1000}/").0, PatternFault::TooLarge);
        let deep = format!("/{}{}/", "(".repeat(40), ")".repeat(40));
        assert!(matches!(fault(&deep).0, PatternFault::Syntax(_)));
        let long = format!("/{}/", "a".repeat(2000));
        assert_eq!(fault(&long).0, PatternFault::TooLong);
    }

    #[test]
    fn doubts_are_open_ends_and_bare_dots() {
        assert_eq!(doubts("/^chat[.]example$/"), []);
        assert_eq!(doubts("/^(a|b)[.]example$/"), []);
        assert_eq!(doubts("/^.*[.]example$/"), []);
        assert_eq!(doubts("/[.]example/"), [(Doubt::OpenEnd, 11..12)]);
        assert_eq!(doubts("/^a.example$/"), [(Doubt::AnyCharacter, 3..4)]);
        assert_eq!(doubts("/^a$|b/"), [(Doubt::OpenEnd, 6..7)]);
    }

    #[test]
    fn a_hostile_pattern_costs_time_linear_in_the_name() {
        let pattern = Pattern::compile("/^(a+)+$/").unwrap();
        // Backtracking would take 2^1000 steps.
        let name = format!("{}b", "a".repeat(1000));
        assert!(!pattern.matches(&name));
    }
}
