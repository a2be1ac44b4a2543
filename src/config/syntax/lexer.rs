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
        nested: None,
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
    /// How many tokens there were behind the last comment that held a `/*`.
    nested: Option<usize>,
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
            _ if next.is_whitespace() || (next == '\u{feff}' && self.at == 0) => self.bump(next),
            '#' => self.line_comment(),
            ';' if self.first && !self.line_is(";") => self.other_comment(";"),
            '/' if self.first && self.rest().starts_with("//") => self.other_comment("//"),
            '-' if self.first && self.rest().starts_with("--") => self.other_comment("--"),
            '*' if self.rest().starts_with("*/") => self.stray_comment_end(),
            _ if is_invisible(next) => self.invisible(next),
            '/' if self.rest().starts_with("/*") => self.block_comment(),
            '"' => self.string(),
            '\'' if self.single_quoted() => {}
            '“' | '”' | '„' if self.typographic() => {}
            '{' | '}' | '[' | ']' | '(' | ')' | '=' | ',' | ';' => {
                self.bump(next);
                self.push(Kind::Mark(next), start);
            }
            _ => self.word(),
        }
    }

    /// Whether nothing else stands on the rest of this line.
    fn line_is(&self, text: &str) -> bool {
        self.rest().lines().next().unwrap_or_default().trim() == text
    }

    /// Other languages' comments: what is meant is plain.
    fn other_comment(&mut self, mark: &'static str) {
        let start = self.at;
        self.at = start.saturating_add(mark.len());
        let span = self.span_from(start);
        let fault = SyntaxFault::OtherComment { mark };
        self.out.faults.push((fault, span));
        self.skip_line();
    }

    fn stray_comment_end(&mut self) {
        let start = self.at;
        self.at = start.saturating_add("*/".len());
        let span = self.span_from(start);
        self.out.faults.push((SyntaxFault::StrayCommentEnd, span));
        // What stands before it was meant as a comment.
        if let Some(tokens) = self.nested.take() {
            self.out.tokens.truncate(tokens);
        }
    }

    fn invisible(&mut self, next: char) {
        let start = self.at;
        self.bump(next);
        let span = self.span_from(start);
        self.out.faults.push((SyntaxFault::Invisible(next), span));
    }

    fn line_comment(&mut self) {
        if !self.commented_name() {
            self.skip_line();
        }
    }

    /// `Domain #xmpp#name {`: the name was meant, and a comment it is. It is read as what was meant.
    fn commented_name(&mut self) -> bool {
        let line = self.rest().lines().next().unwrap_or_default();
        let word = line.split_whitespace().next().unwrap_or_default();
        let mut parts = word.split('#').skip(1);
        let protocol = parts.next().unwrap_or_default();
        let named = !protocol.is_empty() && protocol.bytes().all(|b| b.is_ascii_alphabetic());
        if self.first || !named || parts.next().is_none_or(str::is_empty) {
            return false;
        }
        let text = word.to_owned();
        let start = self.at;
        self.at = start.saturating_add(text.len());
        let fault = SyntaxFault::CommentedName { text: text.clone() };
        let span = self.span_from(start);
        self.out.faults.push((fault, span));
        self.push(Kind::Quoted(text), start);
        true
    }

    fn skip_line(&mut self) {
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
        let comment = self.text.get(start..end).unwrap_or_default();
        let lines = comment.contains('\n');
        let nested = comment.get(2..).is_some_and(|inner| inner.contains("/*"));
        self.nested = nested.then_some(self.out.tokens.len());
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
                _ if is_invisible(next) => {
                    self.at = self.at.saturating_sub(next.len_utf8());
                    self.invisible(next);
                }
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

    /// Quotes of a word processor, closed on the same line: what is meant is plain.
    fn typographic(&mut self) -> bool {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default();
        let mut letters = line.char_indices().skip(1);
        let close = letters.find(|(_, c)| matches!(c, '“' | '”' | '"'));
        let Some((end, mark)) = close else {
            return false;
        };
        let from = line.chars().next().map_or(0, char::len_utf8);
        let inner = line.get(from..end).unwrap_or_default().to_owned();
        self.at = start.saturating_add(end).saturating_add(mark.len_utf8());
        let span = self.span_from(start);
        self.out.faults.push((SyntaxFault::TypographicQuote, span));
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
        let mut word = String::new();
        while let Some(next) = self.peek() {
            if is_invisible(next) {
                self.invisible(next);
                continue;
            }
            let ends = next.is_whitespace()
                || matches!(
                    next,
                    '#' | '"' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | ',' | ';'
                )
                || (next == '/' && self.rest().starts_with("/*"));
            if ends {
                break;
            }
            word.push(next);
            self.bump(next);
        }
        if word.contains('\'') {
            let span = self.span_from(start);
            self.out.faults.push((SyntaxFault::SingleQuote, span));
        }
        self.push(Kind::Word(word), start);
    }
}

/// Characters that a copied text brings along: they take no room, or turn the direction of writing.
pub(in super::super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
