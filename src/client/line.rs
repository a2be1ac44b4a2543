//! What is shown: a line at a time, in which a peer's words are words and nothing else.

use serde::Serialize;

/// The longest text of a peer that is shown whole, in characters.
const SHOWN: usize = 8000;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody wrote.
    Message,
    /// Somebody came, went, or asks for presence.
    Presence,
    /// Something was refused.
    Error,
    /// The client itself speaks.
    Note,
}

/// One line, or several of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it tells.
    pub kind: Kind,
    /// When it was said, local time: `14:03`, or `Nov 20 14:03` for what was kept since another day. Empty for notes.
    pub when: String,
    /// Whether the server had kept it.
    pub kept: bool,
    /// Who said it; empty for notes.
    pub from: String,
    /// What was said. May have line feeds, no other control characters.
    pub text: String,
}

impl Line {
    /// The client's own word.
    pub(super) fn note(text: impl Into<String>) -> Line {
        Line {
            kind: Kind::Note,
            when: String::new(),
            kept: false,
            from: String::new(),
            text: text.into(),
        }
    }

    /// As people see it. The second and later lines of a text are set in, so that no text looks like another line.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut head = String::new();
        if !self.when.is_empty() {
            head += &self.when;
            head += "  ";
        }
        if self.kept {
            head += "(kept for you) ";
        }
        if !self.from.is_empty() {
            head += &self.from;
            head += if self.kind == Kind::Message {
                ": "
            } else {
                " "
            };
        }
        let indent = if self.when.is_empty() {
            "  ".to_owned()
        } else {
            format!("{:width$}| ", "", width = self.when.len() + 2)
        };
        head + &self.text.replace('\n', &format!("\n{indent}"))
    }
}

/// One line of a peer's words: no control characters, no marks that turn the direction of writing, no line breaks.
pub(super) fn clean(text: &str) -> String {
    clean_lines(text).replace('\n', " ")
}

/// A peer's words, line feeds kept. What could drive a terminal or make a text look like another becomes U+FFFD: C0 and
/// C1 controls, bidirectional controls (Unicode TR 9 §2), other separators of lines. What is too long is cut.
pub(super) fn clean_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end_matches('\n');
    let mut shown: String = text.chars().take(SHOWN).map(harmless).collect();
    let more = text.chars().skip(SHOWN).count();
    if more > 0 {
        shown += &format!("… ({more} characters more)");
    }
    shown
}

fn harmless(letter: char) -> char {
    match letter {
        '\n' => '\n',
        '\t' => ' ',
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        '\u{2028}' | '\u{2029}' => char::REPLACEMENT_CHARACTER,
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t110_a_peer_does_not_drive_the_terminal() {
        assert_eq!(
            clean("\u{1b}[2J\u{1b}]0;root\u{7}a\u{8}\u{9b}31mb\rc\u{7f}"),
            "\u{fffd}[2J\u{fffd}]0;root\u{fffd}a\u{fffd}\u{fffd}31mb\u{fffd}c\u{fffd}"
        );
        for turn in [
            '\u{202e}', '\u{2066}', '\u{2069}', '\u{200f}', '\u{61c}', '\u{85}', '\u{2028}',
        ] {
            assert_eq!(clean(&turn.to_string()), "\u{fffd}", "{turn:?}");
        }
        assert_eq!(clean("שלום, жук, 你好 👩‍🚀\ttab"), "שלום, жук, 你好 👩‍🚀 tab");
        assert_eq!(clean("a\nb\r\nc\n"), "a b c");
        let long = clean(&"x".repeat(SHOWN + 5));
        assert!(long.ends_with("x… (5 characters more)"));
    }

    #[test]
    fn t110_no_text_looks_like_another_line() {
        let line = Line {
            kind: Kind::Message,
            when: "14:03".to_owned(),
            kept: false,
            from: "eve@localhost".to_owned(),
            text: clean_lines("hi\n14:04  bank@localhost: pay"),
        };
        assert_eq!(
            line.shown(),
            "14:03  eve@localhost: hi\n       | 14:04  bank@localhost: pay"
        );
    }
}
