//! The stanza language as text: tokens, then a tree whose every node knows where it was written.
//!
//! Parsing always succeeds: what cannot be understood becomes a [`SyntaxFault`] and is skipped, so that one run shows all
//! faults. Nothing here knows any option or scope by name.
//!
//! ```text
//! item    := include | option | scope
//! include := ("include" | "readonly_include") scalar
//! option  := word "="? ( scalar | list | dict )      "=" is required before a scalar and a list
//! scope   := word scalar? "="? "{" item* "}"
//! list    := "(" ( scalar ","? )* ")"
//! dict    := "[" ( word "=" scalar )* "]"
//! scalar  := bare word | "quoted, may span lines"
//! ```

mod lexer;
mod parser;

pub(super) use lexer::is_invisible;
pub(super) use parser::parse;

/// How deep scopes may nest before the parser gives up on the inner ones.
pub(super) const MAX_NESTING: usize = 32;

/// A stretch of bytes in one of the files read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// The file's place in the list of files read.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// One behind the last byte.
    pub(super) end: usize,
}

impl Span {
    /// For what is not written in any file.
    pub(super) const NOWHERE: Span = Span {
        file: 0,
        start: 0,
        end: 0,
    };

    /// From the start of `self` to the end of `last`.
    pub(super) fn to(self, last: Span) -> Span {
        Span {
            end: last.end.max(self.end),
            ..self
        }
    }
}

/// A word or quoted string, escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) span: Span,
}

/// What stands behind an option's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Scalar(Scalar),
    List(Vec<Scalar>, Span),
    Dict(Vec<(Scalar, Scalar)>, Span),
}

impl Node {
    pub(super) fn span(&self) -> Span {
        match self {
            Node::Scalar(scalar) => scalar.span,
            Node::List(_, span) | Node::Dict(_, span) => *span,
        }
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Option {
        name: Scalar,
        value: Node,
    },
    Scope {
        word: Scalar,
        name: Option<Scalar>,
        items: Vec<Item>,
    },
    Include {
        path: Scalar,
    },
}

/// The tree of one file, and what was wrong with its text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) items: Vec<Item>,
    pub(super) faults: Vec<(SyntaxFault, Span)>,
}

/// What can be wrong with the text alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxFault {
    #[error("this string has no closing quote")]
    UnterminatedString,
    #[error("this comment is never closed")]
    UnterminatedComment,
    #[error("single quotes do not quote here")]
    SingleQuote,
    #[error("typographic quotes do not quote here")]
    TypographicQuote,
    #[error("an invisible character stands here, {}", .0.escape_unicode())]
    Invisible(char),
    #[error("`{mark}` does not start a comment")]
    OtherComment { mark: &'static str },
    #[error("this comment has ended before: comments do not nest")]
    StrayCommentEnd,
    #[error("`{text}` stands in a comment, which `#` starts")]
    CommentedName { text: String },
    #[error("there are no semicolons in this language")]
    Semicolon,
    #[error("`{word}` is opened here and never closed")]
    UnclosedScope { word: String },
    #[error("this {what} is opened here and never closed")]
    UnclosedValue {
        what: &'static str,
        close: &'static str,
    },
    #[error("`}}` closes nothing")]
    UnmatchedClose,
    #[error("`=` is missing after `{name}`")]
    MissingEquals { name: String },
    #[error("`{mark}` is not how `{name}` gets its value")]
    OtherAssignment { name: String, mark: &'static str },
    #[error("no `=` stands between `{word}` and its name")]
    EqualsBeforeName { word: String },
    #[error("a scope has one name")]
    TwoNames { word: String },
    #[error("`{mark}` ends this word")]
    NeedsQuotes { mark: char },
    #[error("a list does not stand in square brackets")]
    ListInBrackets,
    #[error("a comma does not belong into the value of `{name}`")]
    Comma {
        name: String,
        /// The number that was meant.
        number: Option<String>,
    },
    #[error("`{name}` has no value")]
    MissingValue { name: String },
    #[error("`{found}` is not expected here")]
    Unexpected { found: String },
    #[error("scopes nest deeper than {MAX_NESTING} levels")]
    TooDeep,
}

impl SyntaxFault {
    /// The fault's name for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            SyntaxFault::UnterminatedString => "unterminated-string",
            SyntaxFault::UnterminatedComment => "unterminated-comment",
            SyntaxFault::SingleQuote => "single-quote",
            SyntaxFault::TypographicQuote => "typographic-quote",
            SyntaxFault::Invisible(_) => "invisible-character",
            SyntaxFault::OtherComment { .. } => "other-comment",
            SyntaxFault::StrayCommentEnd => "stray-comment-end",
            SyntaxFault::CommentedName { .. } => "commented-name",
            SyntaxFault::Semicolon => "semicolon",
            SyntaxFault::OtherAssignment { .. } => "other-assignment",
            SyntaxFault::EqualsBeforeName { .. } => "equals-before-name",
            SyntaxFault::TwoNames { .. } => "two-names",
            SyntaxFault::NeedsQuotes { .. } => "needs-quotes",
            SyntaxFault::ListInBrackets => "list-in-brackets",
            SyntaxFault::Comma { .. } => "comma",
            SyntaxFault::UnclosedScope { .. } => "unclosed-scope",
            SyntaxFault::UnclosedValue { .. } => "unclosed-value",
            SyntaxFault::UnmatchedClose => "unmatched-close",
            SyntaxFault::MissingEquals { .. } => "missing-equals",
            SyntaxFault::MissingValue { .. } => "missing-value",
            SyntaxFault::Unexpected { .. } => "unexpected",
            SyntaxFault::TooDeep => "too-deep",
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            SyntaxFault::UnterminatedString => "end it with `\"`".to_owned(),
            SyntaxFault::UnterminatedComment => "end it with `*/`".to_owned(),
            SyntaxFault::SingleQuote | SyntaxFault::TypographicQuote => {
                "use double quotes: \"\"".to_owned()
            }
            SyntaxFault::Invisible(_) => "remove it: it came with a copied text".to_owned(),
            SyntaxFault::OtherComment { .. } => "write `#`, or `/* */` around it".to_owned(),
            SyntaxFault::StrayCommentEnd => {
                "the first `*/` ends a comment: remove this one".to_owned()
            }
            SyntaxFault::CommentedName { text } => format!("write \"{text}\", with the quotes"),
            SyntaxFault::OtherAssignment { name, mark: "+=" } => {
                format!("nothing is appended: write the whole list, `{name} = ( ... )`")
            }
            SyntaxFault::OtherAssignment { name, .. } => format!("write `{name} = value`"),
            SyntaxFault::EqualsBeforeName { word } => format!("write `{word} \"name\" {{ }}`"),
            SyntaxFault::TwoNames { word } => {
                format!("write a scope for each: `{word} \"name\" {{ }}`")
            }
            SyntaxFault::NeedsQuotes { .. } => "put the whole value into double quotes".to_owned(),
            SyntaxFault::ListInBrackets => "a list is written ( \"a\" \"b\" )".to_owned(),
            SyntaxFault::Comma {
                name,
                number: Some(number),
            } => format!("numbers have no separators: write `{name} = {number}`"),
            SyntaxFault::Comma { .. } => "a list is written ( \"a\" \"b\" )".to_owned(),
            SyntaxFault::Semicolon => "remove it: blanks separate options".to_owned(),
            SyntaxFault::UnclosedScope { .. } => "a `}` is missing".to_owned(),
            SyntaxFault::UnclosedValue { close, .. } => format!("a `{close}` is missing"),
            SyntaxFault::UnmatchedClose => "remove it, or look for a `{` missing above".to_owned(),
            SyntaxFault::MissingEquals { name } => {
                format!("write `{name} = value`, or `{name} \"name\" {{ }}` if it is a scope")
            }
            SyntaxFault::MissingValue { name } => {
                format!("write `{name} = value`, or `{name} {{ }}` if it is a scope")
            }
            SyntaxFault::Unexpected { .. } => {
                "an option `name = value` or a scope `name { }` belongs here".to_owned()
            }
            SyntaxFault::TooDeep => "no scope needs that: look for a missing `}`".to_owned(),
        }
    }
}
