//! Text to tokens.

use super::{Span, SyntaxFault};

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word.
    Word(String),
    /// A double-quoted string, escapes resolved.
    Quoted(String),
    /// One of `{ } [ ] ( ) = , ;`.
    Mark(char),
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
    /// Whether it is the first on its line.
    pub(super) first: bool,
}

impl Token {
    /// Whether it is the mark `mark`.
    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    /// Its text, if it is a word or a string.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(text) | Kind::Quoted(text) => Some(text),
            Kind::Mark(_) => None,
        }
    }
}

/// The tokens of a text and what was wrong with it.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) faults: Vec<(SyntaxFault, Span)>,
    /// Some string spans lines.
    pub(super) spanning: bool,
    /// The text ends inside a string or comment: complaints about missing brackets would only confuse.
    pub(super) cut_short: bool,
}

/// How far a string reaches that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strings {
    /// Strings may span lines.
    ManyLines,
    /// A string ends with its line: for a text that lacks a quote somewhere.
    OneLine,
}

/// Cuts `text`, the content of file number `file`, into tokens.
pub(super) fn lex(file: usize, text: &str, strings: Strings) -> Lexed {
    let mut lexer = Lexer {
        file,
        text,
        at: 0,
        first: true,
        strings,
        out: Lexed {
            tokens: Vec::new(),
            faults: Vec::new(),
            cut_short: false,
            spanning: false,
        },
    };
    while let Some(next) = lexer.peek() {
        lexer.token(next);
    }
    lexer.out
}

struct Lexer<'a> {
    file: usize,
    text: &'a str,
    at: usize,
    first: bool,
    strings: Strings,
    out: Lexed,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self, by: char) {
        self.at = self.at.saturating_add(by.len_utf8());
    }

    fn span_from(&self, start: usize) -> Span {
        Span {
            file: self.file,
            start,
            end: self.at,
        }
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let span = self.span_from(start);
        let first = std::mem::replace(&mut self.first, false);
        self.out.tokens.push(Token { kind, span, first });
    }

    fn token(&mut self, next: char) {
        let start = self.at;
        match next {
            '\n' => {
                self.first = true;
                self.bump(next);
            }
            _ if next.is_whitespace() || next == '\u{feff}' => self.bump(next),
            '#' => self.line_comment(),
            '/' if self.rest().starts_with("/*") => self.block_comment(),
            '"' => self.string(),
            '\'' if self.single_quoted() => {}
            '{' | '}' | '[' | ']' | '(' | ')' | '=' | ',' | ';' => {
                self.bump(next);
                self.push(Kind::Mark(next), start);
            }
            _ => self.word(),
        }
    }

    fn line_comment(&mut self) {
        let length = self.rest().find('\n').unwrap_or(self.rest().len());
        self.at = self.at.saturating_add(length);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let Some(length) = self.rest().find("*/") else {
            self.at = self.text.len();
            self.unfinished(SyntaxFault::UnterminatedComment, start, "/*");
            return;
        };
        let end = self.at.saturating_add(length).saturating_add(2);
        let lines = self.text.get(start..end).is_some_and(|c| c.contains('\n'));
        self.first |= lines;
        self.at = end;
    }

    /// Points at the opening mark only: the rest of the file is not what is wrong.
    fn unfinished(&mut self, fault: SyntaxFault, start: usize, mark: &str) {
        let span = Span {
            file: self.file,
            start,
            end: start.saturating_add(mark.len()),
        };
        self.out.faults.push((fault, span));
        self.out.cut_short = self.peek().is_none();
    }

    /// A quoted string. `\n \r \t \\ \"` are escapes; a backslash before anything else is itself.
    fn string(&mut self) {
        let start = self.at;
        self.bump('"');
        let mut text = String::new();
        while let Some(next) = self.peek() {
            if next == '\n' && self.strings == Strings::OneLine {
                break;
            }
            self.bump(next);
            match next {
                '"' => {
                    self.out.spanning |= text.contains('\n');
                    self.push(Kind::Quoted(text), start);
                    return;
                }
                '\\' => self.escape(&mut text),
                _ => text.push(next),
            }
        }
        self.out.spanning |= text.contains('\n');
        self.unfinished(SyntaxFault::UnterminatedString, start, "\"");
        // It stands for itself, so that the option before it has a value.
        self.push(Kind::Quoted(text), start);
    }

    /// Other languages' quotes, closed on the same line: a fault, but what is meant is plain.
    fn single_quoted(&mut self) -> bool {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default();
        let inner = line.strip_prefix('\'').and_then(|l| l.split_once('\''));
        let Some(inner) = inner.map(|(inner, _)| inner.to_owned()) else {
            return false;
        };
        self.at = start.saturating_add(inner.len()).saturating_add(2);
        let span = self.span_from(start);
        self.out.faults.push((SyntaxFault::SingleQuote, span));
        self.push(Kind::Quoted(inner), start);
        true
    }

    fn escape(&mut self, text: &mut String) {
        let Some(next) = self.peek() else { return };
        let plain = match next {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '\\' | '"' => next,
            _ => {
                text.push('\\');
                return;
            }
        };
        text.push(plain);
        self.bump(next);
    }

    fn word(&mut self) {
        let start = self.at;
        while let Some(next) = self.peek() {
            let ends = next.is_whitespace()
                || matches!(
                    next,
                    '#' | '"' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | ',' | ';'
                )
                || (next == '/' && self.rest().starts_with("/*"));
            if ends {
                break;
            }
            self.bump(next);
        }
        let word = self.text.get(start..self.at).unwrap_or_default().to_owned();
        if word.contains('\'') {
            let span = self.span_from(start);
            self.out.faults.push((SyntaxFault::SingleQuote, span));
        }
        self.push(Kind::Word(word), start);
    }
}
