//! Tokens to a tree.

use super::lexer::{Kind, Lexed, Strings, Token, lex};
use super::{Item, MAX_NESTING, Node, Parsed, Scalar, Span, SyntaxFault};

/// Parses `text`, the content of file number `file`.
pub(in super::super) fn parse(file: usize, text: &str) -> Parsed {
    let lexed = lex(file, text, Strings::ManyLines);
    let spanning = lexed.spanning;
    let parsed = parse_tokens(lexed);
    // Something is wrong and a string spans lines: most likely that string lacks its quote, and everything behind it was
    // read inside out.
    if spanning && !parsed.faults.is_empty() {
        return parse_tokens(lex(file, text, Strings::OneLine));
    }
    parsed
}

fn parse_tokens(lexed: Lexed) -> Parsed {
    let mut parser = Parser {
        tokens: lexed.tokens,
        at: 0,
        faults: lexed.faults,
        cut_short: lexed.cut_short,
    };
    let items = parser.items(None, 0);
    Parsed {
        items,
        faults: parser.faults,
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    faults: Vec<(SyntaxFault, Span)>,
    cut_short: bool,
}

impl Parser {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at.saturating_add(ahead))
    }

    fn next_is(&self, ahead: usize, mark: char) -> bool {
        self.peek(ahead).is_some_and(|token| token.is(mark))
    }

    fn skip(&mut self, tokens: usize) {
        self.at = self.at.saturating_add(tokens);
    }

    fn fault(&mut self, fault: SyntaxFault, span: Span) {
        self.faults.push((fault, span));
    }

    /// The next token if it is a word or string.
    fn scalar(&mut self) -> Option<Scalar> {
        let token = self.peek(0)?;
        let scalar = Scalar {
            text: token.scalar()?.to_owned(),
            span: token.span,
        };
        self.skip(1);
        Some(scalar)
    }

    /// Items up to the brace that closes `open`, or to the end of the text.
    fn items(&mut self, open: Option<&Scalar>, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some(token) = self.peek(0) {
            let span = token.span;
            match &token.kind {
                Kind::Mark('}') if open.is_some() => {
                    self.skip(1);
                    return items;
                }
                Kind::Mark('}') => {
                    self.fault(SyntaxFault::UnmatchedClose, span);
                    self.skip(1);
                }
                Kind::Mark(';') => {
                    self.fault(SyntaxFault::Semicolon, span);
                    self.skip(1);
                }
                Kind::Word(_) => {
                    let item = self.item(depth);
                    items.extend(item);
                }
                Kind::Quoted(_) | Kind::Mark(_) => self.unexpected(),
            }
        }
        if let Some(word) = open.filter(|_| !self.cut_short) {
            let fault = SyntaxFault::UnclosedScope {
                word: word.text.clone(),
            };
            self.fault(fault, word.span);
        }
        items
    }

    /// Reports the next token and goes on behind what stands with it on its line.
    fn unexpected(&mut self) {
        let Some(token) = self.peek(0) else { return };
        let found = match &token.kind {
            Kind::Word(text) => text.clone(),
            Kind::Quoted(text) => format!("\"{text}\""),
            Kind::Mark(mark) => mark.to_string(),
        };
        let span = token.span;
        self.fault(SyntaxFault::Unexpected { found }, span);
        self.skip(1);
        self.skip_rest_of_line();
    }

    /// What stands on this line, and a block that begins on it.
    fn skip_rest_of_line(&mut self) {
        while let Some(token) = self.peek(0) {
            if token.first || token.is('{') || token.is('}') {
                break;
            }
            self.skip(1);
        }
        if self.next_is(0, '{') {
            self.skip_block();
        }
    }

    /// Skips one balanced `{ ... }`.
    fn skip_block(&mut self) {
        let mut open = 0_usize;
        while let Some(token) = self.peek(0) {
            if token.is('{') {
                open = open.saturating_add(1);
            } else if token.is('}') {
                open = open.saturating_sub(1);
            }
            self.skip(1);
            if open == 0 {
                return;
            }
        }
    }

    /// One statement; the next token is a word.
    fn item(&mut self, depth: usize) -> Option<Item> {
        let word = self.scalar()?;
        let lower = word.text.to_ascii_lowercase();
        if lower == "include" || lower == "readonly_include" {
            return self.include(word);
        }
        self.equals_before_name(&word);
        let named = self.peek(0).is_some_and(|token| token.scalar().is_some());
        if named && self.second_name() {
            let name = self.scalar();
            let span = self.peek(0).map_or(word.span, |token| token.span);
            let fault = SyntaxFault::TwoNames {
                word: word.text.clone(),
            };
            self.fault(fault, span);
            self.skip(1);
            return Some(self.scope_named(word, name, depth));
        }
        let ahead = usize::from(named);
        if self.next_is(ahead, '{')
            || (self.next_is(ahead, '=') && self.next_is(ahead.saturating_add(1), '{'))
        {
            return Some(self.scope(word, depth));
        }
        self.option(word)
    }

    fn include(&mut self, word: Scalar) -> Option<Item> {
        if self.next_is(0, '=') {
            self.skip(1);
        }
        match self.scalar() {
            Some(path) => Some(Item::Include { path }),
            None => {
                let fault = SyntaxFault::MissingValue {
                    name: word.text.clone(),
                };
                self.fault(fault, word.span);
                None
            }
        }
    }

    /// `Domain = "x" {`: the `=` is reported and skipped.
    fn equals_before_name(&mut self, word: &Scalar) {
        let scalar = |token: &Token| token.scalar().is_some();
        if self.next_is(0, '=') && self.peek(1).is_some_and(scalar) && self.next_is(2, '{') {
            let span = self.peek(0).map_or(word.span, |token| token.span);
            let fault = SyntaxFault::EqualsBeforeName {
                word: word.text.clone(),
            };
            self.fault(fault, span);
            self.skip(1);
        }
    }

    /// `Listen "a" "b" {`, the next token being `"a"`.
    fn second_name(&self) -> bool {
        let on_this_line = |token: &Token| !token.first && token.scalar().is_some();
        self.peek(0).is_some_and(on_this_line)
            && self.peek(1).is_some_and(on_this_line)
            && self.next_is(2, '{')
    }

    fn scope(&mut self, word: Scalar, depth: usize) -> Item {
        let name = self.scalar();
        self.scope_named(word, name, depth)
    }

    fn scope_named(&mut self, word: Scalar, name: Option<Scalar>, depth: usize) -> Item {
        if self.next_is(0, '=') {
            self.skip(1);
        }
        let depth = depth.saturating_add(1);
        let items = if depth > MAX_NESTING {
            self.fault(SyntaxFault::TooDeep, word.span);
            self.skip_block();
            Vec::new()
        } else {
            self.skip(1);
            self.items(Some(&word), depth)
        };
        Item::Scope { word, name, items }
    }

    fn option(&mut self, mut name: Scalar) -> Option<Item> {
        let equals = self.assignment(&mut name);
        let before = self.faults.len();
        let value = self.value(&name, equals);
        if let Some((fault, span)) = self.goes_on(&name, value.as_ref()) {
            // One mistake, one complaint.
            self.faults.truncate(before);
            self.fault(fault, span);
            self.skip(1);
            self.skip_rest_of_line();
            return None;
        }
        if value.is_none() {
            let fault = SyntaxFault::MissingValue {
                name: name.text.clone(),
            };
            self.fault(fault, name.span);
        }
        value.map(|value| Item::Option { name, value })
    }

    /// `=`, or what other languages write in its place; whether there is any.
    fn assignment(&mut self, name: &mut Scalar) -> bool {
        let other = |parser: &mut Self, name: &Scalar, mark, tokens: usize| {
            let span = parser.peek(0).map_or(name.span, |token| token.span);
            let name = name.text.clone();
            parser.fault(SyntaxFault::OtherAssignment { name, mark }, span);
            parser.skip(tokens);
            true
        };
        let next = self.peek(0).and_then(Token::scalar);
        let joined = match next {
            Some(":") if self.next_is(1, '=') => Some(":="),
            Some("+") if self.next_is(1, '=') => Some("+="),
            _ => None,
        };
        if let Some(mark) = joined {
            return other(self, name, mark, 2);
        }
        if next == Some(":") {
            return other(self, name, ":", 1);
        }
        if self.next_is(0, '=') && self.next_is(1, '=') {
            return other(self, name, "==", 2);
        }
        if self.next_is(0, '=') {
            self.skip(1);
            return true;
        }
        let Some(word) = name.text.strip_suffix(':').map(str::to_owned) else {
            return false;
        };
        let mark = ":";
        let fault = SyntaxFault::OtherAssignment {
            name: word.clone(),
            mark,
        };
        let start = name.span.end.saturating_sub(mark.len());
        self.fault(fault, Span { start, ..name.span });
        name.span.end = start;
        name.text = word;
        true
    }

    /// What a value that was just read cannot go on with.
    fn goes_on(&self, name: &Scalar, value: Option<&Node>) -> Option<(SyntaxFault, Span)> {
        let token = self.peek(0)?;
        let span = token.span;
        let touches = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let touches = touches.is_some_and(|before| {
            before.span.end == span.start && matches!(before.kind, Kind::Word(_))
        });
        let fault = match &token.kind {
            Kind::Mark(',') => SyntaxFault::Comma {
                name: name.text.clone(),
                number: self.separated(value?),
            },
            Kind::Mark(mark @ ('[' | '(' | ')' | ']' | '=')) if touches && !token.first => {
                SyntaxFault::NeedsQuotes { mark: *mark }
            }
            _ => return None,
        };
        Some((fault, span))
    }

    /// The number that `10,000` means, the value being its first part.
    fn separated(&self, value: &Node) -> Option<String> {
        let Node::Scalar(first) = value else {
            return None;
        };
        let mut number = first.text.clone();
        let mut ahead = 0_usize;
        while self.next_is(ahead, ',') {
            number.push_str(self.peek(ahead.saturating_add(1))?.scalar()?);
            ahead = ahead.saturating_add(2);
        }
        number.bytes().all(|b| b.is_ascii_digit()).then_some(number)
    }

    fn value(&mut self, name: &Scalar, equals: bool) -> Option<Node> {
        let token = self.peek(0)?;
        let span = token.span;
        // `a =` at a line's end, then `b = 1`: `b` is not a's value.
        let next_statement = token.first && (!equals || self.next_is(1, '='));
        let node = match &token.kind {
            Kind::Mark('[') => return Some(self.dict(span)),
            Kind::Mark('(') => self.list(span),
            Kind::Word(_) | Kind::Quoted(_) if !next_statement => Node::Scalar(self.scalar()?),
            _ => return None,
        };
        if !equals {
            let fault = SyntaxFault::MissingEquals {
                name: name.text.clone(),
            };
            self.fault(fault, name.span);
        }
        Some(node)
    }

    fn list(&mut self, open: Span) -> Node {
        self.skip(1);
        let mut values = Vec::new();
        let mut span = open;
        while let Some(token) = self.peek(0) {
            let here = token.span;
            match &token.kind {
                Kind::Mark(')') => {
                    self.skip(1);
                    return Node::List(values, open.to(here));
                }
                Kind::Mark(',') => self.skip(1),
                Kind::Mark(_) => break,
                Kind::Word(_) | Kind::Quoted(_) => {
                    values.extend(self.scalar());
                    span = open.to(here);
                }
            }
        }
        self.unclosed("list", ")", open);
        Node::List(values, span)
    }

    fn dict(&mut self, open: Span) -> Node {
        self.skip(1);
        if let Some(values) = self.list_in_brackets(open) {
            return values;
        }
        let mut pairs = Vec::new();
        let mut span = open;
        while let Some(token) = self.peek(0) {
            let here = token.span;
            if token.is(']') {
                self.skip(1);
                return Node::Dict(pairs, open.to(here));
            }
            // `]` forgotten: the next line holds something else.
            if token.first && !self.next_is(1, '=') {
                break;
            }
            let Some(key) = self.scalar() else { break };
            let equals = self.next_is(0, '=');
            if equals {
                self.skip(1);
            }
            let Some(value) = self.scalar().filter(|_| equals) else {
                let name = key.text.clone();
                let fault = if equals {
                    SyntaxFault::MissingValue { name }
                } else {
                    SyntaxFault::MissingEquals { name }
                };
                self.fault(fault, key.span);
                continue;
            };
            span = open.to(value.span);
            pairs.push((key, value));
        }
        self.unclosed("dictionary", "]", open);
        Node::Dict(pairs, span)
    }

    /// `[ "a" "b" ]`, behind its `[`.
    fn list_in_brackets(&mut self, open: Span) -> Option<Node> {
        let mut ahead = 0;
        let mut values = Vec::new();
        while let Some(token) = self.peek(ahead) {
            ahead = ahead.saturating_add(1);
            match token.scalar() {
                Some(text) => values.push(Scalar {
                    text: text.to_owned(),
                    span: token.span,
                }),
                None if token.is(',') => {}
                None if token.is(']') && !values.is_empty() => {
                    let span = open.to(token.span);
                    self.skip(ahead);
                    self.fault(SyntaxFault::ListInBrackets, span);
                    return Some(Node::List(values, span));
                }
                None => return None,
            }
        }
        None
    }

    fn unclosed(&mut self, what: &'static str, close: &'static str, open: Span) {
        if !self.cut_short {
            self.fault(SyntaxFault::UnclosedValue { what, close }, open);
        }
    }
}
