//! Lua 5.4 patterns (manual §6.4.1), matched with a meter.
//!
//! Lua's own matcher backtracks in C for as long as a pattern asks: `find` can run for hours inside one instruction. This
//! one decides the same and pays for every step from the script's budget.

use memchr::memchr;

/// Captures that a pattern may have.
const CAPTURES: usize = 32;

/// How deep a match may nest; Lua's own bound.
const DEPTH: u32 = 200;

/// Steps between two payments.
const STEPS: u32 = 2048;

/// What is wrong with a pattern, in Lua's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum PatternError {
    #[error("invalid capture index %{0}")]
    CaptureIndex(i32),
    #[error("invalid pattern capture")]
    NotOpen,
    #[error("unfinished capture")]
    Unfinished,
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    #[error("malformed pattern (missing ']')")]
    MissingBracket,
    #[error("malformed pattern (missing arguments to '%b')")]
    MissingBalance,
    #[error("missing '[' after '%f' in pattern")]
    MissingFrontier,
    #[error("too many captures")]
    TooManyCaptures,
    #[error("pattern too complex")]
    TooComplex,
    #[error("invalid use of '%' in replacement string")]
    BadReplacement,
    #[error("{0}")]
    Stopped(super::budget::Tripped),
}

type Matched = Result<Option<usize>, PatternError>;

/// How far a capture has come.
#[derive(Clone, Copy)]
enum Extent {
    Open,
    Position,
    Length(usize),
}

/// A capture, as far as a caller cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture<'a> {
    Text(&'a [u8]),
    /// A byte position, counted from 1.
    Position(usize),
}

/// Pays for steps; an error stops the match.
pub(super) trait Meter {
    fn pay(&self, steps: u32) -> Result<(), super::budget::Tripped>;
}

/// One subject and one pattern.
pub(super) struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    meter: &'a dyn Meter,
    captures: [(usize, Extent); CAPTURES],
    level: usize,
    depth: u32,
    steps: u32,
}

impl<'a> Matcher<'a> {
    /// `pattern` comes without its anchor.
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8], meter: &'a dyn Meter) -> Matcher<'a> {
        Matcher {
            subject,
            pattern,
            meter,
            captures: [(0, Extent::Open); CAPTURES],
            level: 0,
            depth: 0,
            steps: 0,
        }
    }

    /// The end of the match that starts exactly at `start`.
    pub(super) fn at(&mut self, start: usize) -> Matched {
        self.level = 0;
        self.depth = 0;
        self.run(start, 0)
    }

    /// The first match at `start` or later (only there if `anchored`): its start and end.
    pub(super) fn search(
        &mut self,
        start: usize,
        anchored: bool,
    ) -> Result<Option<(usize, usize)>, PatternError> {
        for at in start..=self.subject.len() {
            if let Some(end) = self.at(at)? {
                return Ok(Some((at, end)));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    /// How many captures the last match has; without any, the whole match stands for one.
    pub(super) fn count(&self) -> usize {
        self.level
    }

    /// Capture `index`, from 0, of the match `start..end`.
    pub(super) fn capture(
        &self,
        index: usize,
        start: usize,
        end: usize,
    ) -> Result<Capture<'a>, PatternError> {
        if index >= self.level {
            if index != 0 {
                let shown = i32::try_from(index + 1).unwrap_or(i32::MAX);
                return Err(PatternError::CaptureIndex(shown));
            }
            return Ok(Capture::Text(self.text(start, end)));
        }
        match self.captures.get(index) {
            Some(&(from, Extent::Length(length))) => {
                Ok(Capture::Text(self.text(from, from + length)))
            }
            Some(&(from, Extent::Position)) => Ok(Capture::Position(from + 1)),
            _ => Err(PatternError::Unfinished),
        }
    }

    fn text(&self, start: usize, end: usize) -> &'a [u8] {
        self.subject.get(start..end).unwrap_or_default()
    }

    /// The pattern's byte at `place`; 0 behind its end, like the C string's terminator.
    fn pat(&self, place: usize) -> u8 {
        self.pattern.get(place).copied().unwrap_or(0)
    }

    fn step(&mut self, cost: usize) -> Result<(), PatternError> {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.steps = self.steps.saturating_add(cost);
        if self.steps >= STEPS {
            let steps = std::mem::take(&mut self.steps);
            self.meter.pay(steps).map_err(PatternError::Stopped)?;
        }
        Ok(())
    }

    /// Pays for what was not paid yet.
    pub(super) fn settle(&mut self) -> Result<(), PatternError> {
        let steps = std::mem::take(&mut self.steps);
        self.meter.pay(steps).map_err(PatternError::Stopped)
    }

    fn run(&mut self, s: usize, p: usize) -> Matched {
        if self.depth == DEPTH {
            return Err(PatternError::TooComplex);
        }
        self.depth += 1;
        let end = self.items(s, p);
        self.depth -= 1;
        end
    }

    /// Matches the pattern from `p` on at `s`.
    fn items(&mut self, mut s: usize, mut p: usize) -> Matched {
        loop {
            self.step(1)?;
            if p >= self.pattern.len() {
                return Ok(Some(s));
            }
            match self.pat(p) {
                b'(' if self.pat(p + 1) == b')' => {
                    return self.open(s, p + 2, Extent::Position);
                }
                b'(' => return self.open(s, p + 1, Extent::Open),
                b')' => return self.close(s, p + 1),
                b'$' if p + 1 == self.pattern.len() => {
                    return Ok((s == self.subject.len()).then_some(s));
                }
                b'%' => match self.pat(p + 1) {
                    b'b' => match self.balance(s, p + 2)? {
                        Some(end) => (s, p) = (end, p + 4),
                        None => return Ok(None),
                    },
                    b'f' => match self.frontier(s, p + 2)? {
                        Some(next) => p = next,
                        None => return Ok(None),
                    },
                    digit @ b'0'..=b'9' => match self.again(s, digit)? {
                        Some(end) => (s, p) = (end, p + 2),
                        None => return Ok(None),
                    },
                    _ => match self.single(s, p)? {
                        Step::Go(next) => (s, p) = next,
                        Step::Done(end) => return Ok(end),
                    },
                },
                _ => match self.single(s, p)? {
                    Step::Go(next) => (s, p) = next,
                    Step::Done(end) => return Ok(end),
                },
            }
        }
    }

    /// One character class and its suffix.
    fn single(&mut self, s: usize, p: usize) -> Result<Step, PatternError> {
        let after = self.class_end(p)?;
        let suffix = self.pat(after);
        if !self.fits(s, p, after)? {
            return Ok(match suffix {
                b'*' | b'?' | b'-' => Step::Go((s, after + 1)),
                _ => Step::Done(None),
            });
        }
        Ok(match suffix {
            b'?' => match self.run(s + 1, after + 1)? {
                Some(end) => Step::Done(Some(end)),
                None => Step::Go((s, after + 1)),
            },
            b'+' => Step::Done(self.greedy(s + 1, p, after)?),
            b'*' => Step::Done(self.greedy(s, p, after)?),
            b'-' => Step::Done(self.lazy(s, p, after)?),
            _ => Step::Go((s + 1, after)),
        })
    }

    fn greedy(&mut self, s: usize, p: usize, after: usize) -> Matched {
        let mut end = s;
        while self.fits(end, p, after)? {
            end += 1;
        }
        loop {
            if let Some(found) = self.run(end, after + 1)? {
                return Ok(Some(found));
            }
            if end == s {
                return Ok(None);
            }
            end -= 1;
        }
    }

    fn lazy(&mut self, mut s: usize, p: usize, after: usize) -> Matched {
        loop {
            if let Some(found) = self.run(s, after + 1)? {
                return Ok(Some(found));
            }
            if !self.fits(s, p, after)? {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, extent: Extent) -> Matched {
        let level = self.level;
        let Some(slot) = self.captures.get_mut(level) else {
            return Err(PatternError::TooManyCaptures);
        };
        *slot = (s, extent);
        self.level = level + 1;
        let end = self.run(s, p)?;
        if end.is_none() {
            self.level -= 1;
        }
        Ok(end)
    }

    fn close(&mut self, s: usize, p: usize) -> Matched {
        let open = (0..self.level)
            .rev()
            .find(|&level| matches!(self.captures.get(level), Some((_, Extent::Open))));
        let Some(level) = open else {
            return Err(PatternError::NotOpen);
        };
        self.extent(level, |from| Extent::Length(s - from));
        let end = self.run(s, p)?;
        if end.is_none() {
            self.extent(level, |_| Extent::Open);
        }
        Ok(end)
    }

    fn extent(&mut self, level: usize, extent: impl FnOnce(usize) -> Extent) {
        if let Some(slot) = self.captures.get_mut(level) {
            slot.1 = extent(slot.0);
        }
    }

    /// `%1` ... `%9`: what the capture holds, once more.
    fn again(&mut self, s: usize, digit: u8) -> Matched {
        let index = i32::from(digit) - i32::from(b'1');
        let bad = PatternError::CaptureIndex(index + 1);
        let level = usize::try_from(index).unwrap_or(usize::MAX);
        let (from, extent) = match self.captures.get(level) {
            Some(&capture) if level < self.level => capture,
            _ => return Err(bad),
        };
        let length = match extent {
            Extent::Length(length) => length,
            // Lua reads a position's mark as a length that no subject has.
            Extent::Position => return Ok(None),
            Extent::Open => return Err(bad),
        };
        self.step(length / 16)?;
        let same = self.subject.get(s..s + length) == self.subject.get(from..from + length);
        Ok(same.then_some(s + length))
    }

    /// `%bxy`.
    fn balance(&mut self, s: usize, p: usize) -> Matched {
        if p + 1 >= self.pattern.len() {
            return Err(PatternError::MissingBalance);
        }
        let (begin, end) = (self.pat(p), self.pat(p + 1));
        if self.subject.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut open = 1_usize;
        let mut at = s + 1;
        while let Some(&byte) = self.subject.get(at) {
            self.step(1)?;
            if byte == end {
                open -= 1;
                if open == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == begin {
                open += 1;
            }
            at += 1;
        }
        Ok(None)
    }

    /// `%f[set]`: where the pattern goes on, if `s` is on the set's frontier.
    fn frontier(&mut self, s: usize, p: usize) -> Matched {
        if self.pat(p) != b'[' {
            return Err(PatternError::MissingFrontier);
        }
        let after = self.class_end(p)?;
        let before = match s.checked_sub(1) {
            Some(previous) => self.subject.get(previous).copied().unwrap_or(0),
            None => 0,
        };
        let here = self.subject.get(s).copied().unwrap_or(0);
        self.step(after - p)?;
        let crosses = !self.in_set(before, p, after - 1) && self.in_set(here, p, after - 1);
        Ok(crosses.then_some(after))
    }

    /// The place behind the character class at `p`.
    fn class_end(&mut self, p: usize) -> Result<usize, PatternError> {
        match self.pat(p) {
            b'%' if p + 1 >= self.pattern.len() => Err(PatternError::EndsWithEscape),
            b'%' => Ok(p + 2),
            b'[' => {
                let mut at = p + 1;
                if self.pat(at) == b'^' {
                    at += 1;
                }
                loop {
                    if at >= self.pattern.len() {
                        return Err(PatternError::MissingBracket);
                    }
                    let escape = self.pat(at) == b'%';
                    at += 1;
                    if escape && at < self.pattern.len() {
                        at += 1;
                    }
                    if at < self.pattern.len() && self.pat(at) == b']' {
                        self.step(at - p)?;
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the subject's byte at `s` is in the class `p..after`.
    fn fits(&mut self, s: usize, p: usize, after: usize) -> Result<bool, PatternError> {
        self.step(1)?;
        let Some(&byte) = self.subject.get(s) else {
            return Ok(false);
        };
        Ok(match self.pat(p) {
            b'.' => true,
            b'%' => in_class(byte, self.pat(p + 1)),
            b'[' => {
                self.step(after - p)?;
                self.in_set(byte, p, after - 1)
            }
            literal => literal == byte,
        })
    }

    /// Whether `byte` is in the set whose brackets are at `open` and `close`.
    fn in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let negated = self.pat(open + 1) == b'^';
        let mut at = if negated { open + 2 } else { open + 1 };
        while at < close {
            let here = self.pat(at);
            if here == b'%' {
                at += 1;
                if in_class(byte, self.pat(at)) {
                    return !negated;
                }
            } else if self.pat(at + 1) == b'-' && at + 2 < close {
                if (here..=self.pat(at + 2)).contains(&byte) {
                    return !negated;
                }
                at += 2;
            } else if here == byte {
                return !negated;
            }
            at += 1;
        }
        negated
    }
}

/// What a single item led to.
enum Step {
    Go((usize, usize)),
    Done(Option<usize>),
}

/// `%a`, `%d` ...: ASCII, as in the C locale.
fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is == class.is_ascii_lowercase()
}

/// Whether `pattern` matches only itself, so that a plain search will do.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

/// Takes the anchor off.
pub(super) fn split_anchor(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, pattern),
    }
}

/// Appends the replacement string of `gsub` with its `%0` ... `%9` filled in from the match `start..end`.
pub(super) fn expand(
    out: &mut Vec<u8>,
    matcher: &Matcher<'_>,
    (start, end): (usize, usize),
    mut replacement: &[u8],
) -> Result<(), PatternError> {
    while let Some(escape) = memchr(b'%', replacement) {
        let (text, rest) = replacement.split_at(escape);
        out.extend_from_slice(text);
        let code = rest.get(1).copied().unwrap_or(0);
        match code {
            b'%' => out.push(b'%'),
            b'0' => out.extend_from_slice(matcher.text(start, end)),
            b'1'..=b'9' => match matcher.capture(usize::from(code - b'1'), start, end)? {
                Capture::Text(text) => out.extend_from_slice(text),
                Capture::Position(at) => out.extend_from_slice(at.to_string().as_bytes()),
            },
            _ => return Err(PatternError::BadReplacement),
        }
        replacement = rest.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(replacement);
    Ok(())
}
