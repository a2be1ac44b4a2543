//! The framer's state machine: one pass over the bytes of a header, a stanza or an end tag.
//!
//! It is given the bytes of the frame from its first one, longer at each call, and goes on where it stopped: [`Machine::pos`].
//! What it must look at together (a reference, a character, the name in an end tag) is bounded, so that bytes that come
//! one at a time cost the same as bytes that come at once.

use memchr::{memchr, memchr2, memchr3, memmem};
use smallvec::SmallVec;

use super::chars::{self, Run};
use super::{Bound, Error, Fault, Limits, Restricted};

/// `<?xml ... ?>`.
const MAX_DECLARATION_BYTES: usize = 128;
const CDATA: &[u8] = b"<![CDATA[";

/// A place in the frame.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.start..self.end).unwrap_or_default()
    }
}

/// What the machine reads.
enum Phase {
    /// The header of a stream, perhaps behind an XML declaration.
    Header,
    /// Stanzas, until the end tag of this name.
    Stream(Box<[u8]>),
    /// One element and no stream around it.
    Document,
    /// The stream has ended.
    Ended,
}

/// Where in the syntax the next byte stands.
#[derive(Clone, Copy)]
enum State {
    /// Outside of the outermost element.
    Outside,
    /// In the text of an element.
    Text,
    Cdata,
    StartName,
    /// In a start tag, where an attribute may follow if there was white space.
    Tag {
        spaced: bool,
    },
    AttributeName,
    Equals,
    Quote,
    Value(u8),
    /// Behind the `/` of an empty element's tag.
    EmptyEnd,
    EndName,
    EndTail,
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A stream header, whose start tag begins at this place.
    Header(usize),
    /// An element, and whether it may be forwarded as bytes ([`super::Raw::self_contained`]).
    Element(bool),
    /// The end tag of the stream.
    End,
}

enum Step {
    On,
    More,
    Done(Cut),
}

pub(super) struct Machine {
    pub(super) limits: Limits,
    /// How far the frame has been read.
    pub(super) pos: usize,
    phase: Phase,
    state: State,
    /// The name of the tag or attribute under way; its value.
    name: Span,
    value: usize,
    /// The names of the open elements.
    open: SmallVec<[Span; 6]>,
    /// The names of the attributes of the tag under way.
    attributes: SmallVec<[Span; 6]>,
    elements: usize,
    self_contained: bool,
}

impl Machine {
    /// For a stream.
    pub(super) fn stream(limits: Limits) -> Machine {
        Machine {
            limits,
            pos: 0,
            phase: Phase::Header,
            state: State::Outside,
            name: Span::default(),
            value: 0,
            open: SmallVec::new(),
            attributes: SmallVec::new(),
            elements: 0,
            self_contained: true,
        }
    }

    /// For one element.
    pub(super) fn document(limits: Limits) -> Machine {
        Machine {
            phase: Phase::Document,
            ..Machine::stream(limits)
        }
    }

    /// Whether white space is no part of a frame here.
    pub(super) fn is_between_stanzas(&self) -> bool {
        matches!(self.phase, Phase::Stream(_) | Phase::Ended)
    }

    /// Reads on in `data`, the frame so far. At the end of a frame `pos` is its length, and the next frame may begin after
    /// [`Machine::begin`].
    pub(super) fn scan(&mut self, data: &[u8]) -> Result<Option<Cut>, Error> {
        loop {
            let step = match self.state {
                State::Text => self.text(data)?,
                State::Tag { spaced } => self.tag(data, spaced)?,
                State::StartName => self.start_name(data)?,
                State::AttributeName => self.attribute_name(data)?,
                State::Equals => self.equals(data)?,
                State::Quote => self.quote(data)?,
                State::Value(quote) => self.attribute_value(data, quote)?,
                State::EndName => self.end_name(data)?,
                State::EndTail => self.end_tail(data)?,
                State::EmptyEnd => self.empty_end(data)?,
                State::Cdata => self.cdata(data)?,
                State::Outside => self.outside(data)?,
            };
            match step {
                Step::On => {}
                Step::More => return Ok(None),
                Step::Done(cut) => return Ok(Some(cut)),
            }
        }
    }

    /// Makes ready for the next frame.
    pub(super) fn begin(&mut self) {
        self.pos = 0;
        self.state = State::Outside;
        for list in [&mut self.open, &mut self.attributes] {
            // An idle stream keeps no heap for the one deep stanza that it once had.
            if list.spilled() {
                *list = SmallVec::new();
            }
            list.clear();
        }
        self.elements = 0;
        self.self_contained = true;
    }

    fn skip_space(&mut self, data: &[u8]) -> Option<u8> {
        loop {
            let byte = *data.get(self.pos)?;
            if !chars::is_space(byte) {
                return Some(byte);
            }
            self.pos += 1;
        }
    }

    fn outside(&mut self, data: &[u8]) -> Result<Step, Error> {
        if matches!(self.phase, Phase::Header) {
            if self.pos == 0 && matches!(data.first(), Some(0 | 0xef | 0xfe | 0xff)) {
                return Err(Error::UnsupportedEncoding);
            }
            if let Some(step) = self.declaration(data)? {
                return Ok(step);
            }
        }
        match self.skip_space(data) {
            None => Ok(Step::More),
            Some(_) if matches!(self.phase, Phase::Ended) => Err(Fault::AfterEnd.into()),
            Some(b'<') => self.markup(data),
            Some(_) => Err(match self.phase {
                Phase::Stream(_) => Error::TextBetweenStanzas,
                Phase::Header => Error::NotStream,
                Phase::Document | Phase::Ended => Fault::Tag.into(),
            }),
        }
    }

    /// Reads an XML declaration (XML 1.0 §2.8), which may only be the very first thing.
    fn declaration(&mut self, data: &[u8]) -> Result<Option<Step>, Error> {
        const START: &[u8] = b"<?xml";
        let shared = data.len().min(START.len());
        if self.pos > 0 || data.get(..shared) != START.get(..shared) {
            return Ok(None);
        }
        let Some(behind) = data.get(START.len()) else {
            return Ok(Some(Step::More));
        };
        if !chars::is_space(*behind) {
            return Ok(None);
        }
        let window = data.get(..MAX_DECLARATION_BYTES).unwrap_or(data);
        let Some(end) = memmem::find(window, b"?>") else {
            return if window.len() < MAX_DECLARATION_BYTES {
                Ok(Some(Step::More))
            } else {
                Err(Fault::Declaration.into())
            };
        };
        super::tag::check_declaration(window.get(START.len()..end).unwrap_or_default())?;
        self.pos = end + 2;
        Ok(Some(Step::On))
    }

    fn text(&mut self, data: &[u8]) -> Result<Step, Error> {
        let rest = data.get(self.pos..).unwrap_or_default();
        let found = memchr2(b'<', b'&', rest);
        let run = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
        self.run(run, Run::Text, found.is_some())?;
        match found.and_then(|at| rest.get(at..)) {
            None => Ok(Step::More),
            Some([b'<', ..]) => self.markup(data),
            Some(reference) => self.reference(reference),
        }
    }

    /// Goes on behind the good part of a run. An element with a carriage return is written again before it is forwarded, so
    /// that peers need not agree on what it means.
    fn run(&mut self, bytes: &[u8], kind: Run, whole: bool) -> Result<(), Error> {
        let checked = chars::check_run(bytes, kind, whole)?;
        self.pos += checked.good;
        self.self_contained &= !checked.carriage_return;
        Ok(())
    }

    fn reference(&mut self, bytes: &[u8]) -> Result<Step, Error> {
        match chars::reference(bytes)? {
            None => Ok(Step::More),
            Some(length) => {
                self.pos += length;
                Ok(Step::On)
            }
        }
    }

    /// At a `<`.
    fn markup(&mut self, data: &[u8]) -> Result<Step, Error> {
        let rest = data.get(self.pos..).unwrap_or_default();
        match rest.get(1) {
            None => return Ok(Step::More),
            Some(b'!') => return self.cdata_start(rest),
            Some(b'?') => {
                return Err(Error::Restricted(Restricted::ProcessingInstruction));
            }
            Some(b'/') => {
                if self.open.is_empty() && !matches!(self.phase, Phase::Stream(_)) {
                    return Err(Fault::EndTag.into());
                }
                self.pos += 2;
                self.state = State::EndName;
            }
            Some(_) => {
                self.pos += 1;
                self.state = State::StartName;
            }
        }
        self.name.start = self.pos;
        Ok(Step::On)
    }

    /// At `<!`.
    fn cdata_start(&mut self, rest: &[u8]) -> Result<Step, Error> {
        let shared = rest.len().min(CDATA.len());
        if rest.get(..shared) != CDATA.get(..shared) {
            return Err(Error::Restricted(Restricted::Declaration));
        }
        if shared < CDATA.len() {
            return Ok(Step::More);
        }
        if self.open.is_empty() {
            return Err(match self.phase {
                Phase::Stream(_) => Error::TextBetweenStanzas,
                _ => Fault::Tag.into(),
            });
        }
        self.pos += CDATA.len();
        self.state = State::Cdata;
        Ok(Step::On)
    }

    fn cdata(&mut self, data: &[u8]) -> Result<Step, Error> {
        let rest = data.get(self.pos..).unwrap_or_default();
        let Some(at) = memchr(b']', rest) else {
            self.run(rest, Run::Other, false)?;
            return Ok(Step::More);
        };
        let run = rest.get(..at).unwrap_or_default();
        self.run(run, Run::Other, true)?;
        match rest.get(at..).unwrap_or_default() {
            [b']', b']', b'>', ..] => {
                self.pos += 3;
                self.state = State::Text;
                Ok(Step::On)
            }
            [b']'] | [b']', b']'] => Ok(Step::More),
            _ => {
                self.pos += 1;
                Ok(Step::On)
            }
        }
    }

    /// Reads to the end of the name under way; false: it has not come in full.
    fn read_name(&mut self, data: &[u8]) -> Result<bool, Error> {
        loop {
            let rest = data.get(self.pos..).unwrap_or_default();
            let plain = rest.iter().position(|byte| !chars::is_name_byte(*byte));
            self.pos += plain.unwrap_or(rest.len());
            self.name.end = self.pos;
            let max = self.limits.name_bytes;
            // Before what comes next is looked at: else how much was read at once would decide which of two faults is told.
            if self.name.end.saturating_sub(self.name.start) > max {
                let what = Bound::Name;
                return Err(Error::Limit { what, max });
            }
            let wide = match rest.get(plain.unwrap_or(rest.len())..) {
                None | Some([]) => None,
                Some(rest @ [0x80..=0xff, ..]) => chars::first_char(rest)?,
                Some(_) => Some(('\0', 0)),
            };
            match wide {
                None => return Ok(false),
                Some((_, 0)) => return Ok(true),
                Some((c, length)) if chars::is_wide_name_char(c) => self.pos += length,
                Some(_) => return Err(Fault::Name.into()),
            }
        }
    }

    fn start_name(&mut self, data: &[u8]) -> Result<Step, Error> {
        if !self.read_name(data)? {
            return Ok(Step::More);
        }
        let name = self.name.of(data);
        let prefix = chars::prefix(name)?;
        if prefix.is_some() {
            self.self_contained = false;
        }
        if matches!(self.phase, Phase::Header) {
            let local = prefix.map_or(0, |prefix| prefix.len() + 1);
            if name.get(local..) != Some(b"stream") {
                return Err(Error::NotStream);
            }
        }
        self.elements += 1;
        for (count, max, what) in [
            (self.open.len() + 1, self.limits.depth, Bound::Depth),
            (self.elements, self.limits.elements, Bound::Elements),
        ] {
            if count > max {
                return Err(Error::Limit { what, max });
            }
        }
        // The element is open from here, and its name stays there while attributes come.
        self.open.push(self.name);
        self.attributes.clear();
        self.state = State::Tag { spaced: false };
        Ok(Step::On)
    }

    fn tag(&mut self, data: &[u8], spaced: bool) -> Result<Step, Error> {
        let before = self.pos;
        let next = self.skip_space(data);
        let spaced = spaced || self.pos > before;
        match next {
            None => {
                self.state = State::Tag { spaced };
                return Ok(Step::More);
            }
            Some(b'>') => {
                self.pos += 1;
                return Ok(self.start_done(data));
            }
            Some(b'/') => {
                self.pos += 1;
                self.state = State::EmptyEnd;
            }
            Some(_) if spaced => {
                self.name.start = self.pos;
                self.state = State::AttributeName;
            }
            Some(_) => return Err(Fault::Tag.into()),
        }
        Ok(Step::On)
    }

    fn attribute_name(&mut self, data: &[u8]) -> Result<Step, Error> {
        if !self.read_name(data)? {
            return Ok(Step::More);
        }
        let name = self.name.of(data);
        if chars::prefix(name)?.is_some_and(|prefix| prefix != b"xml") {
            self.self_contained = false;
        }
        if self.attributes.iter().any(|have| have.of(data) == name) {
            return Err(Fault::DuplicateAttribute.into());
        }
        self.attributes.push(self.name);
        let max = self.limits.attributes;
        if self.attributes.len() > max {
            let what = Bound::Attributes;
            return Err(Error::Limit { what, max });
        }
        self.state = State::Equals;
        Ok(Step::On)
    }

    fn equals(&mut self, data: &[u8]) -> Result<Step, Error> {
        match self.skip_space(data) {
            None => Ok(Step::More),
            Some(b'=') => {
                self.pos += 1;
                self.state = State::Quote;
                Ok(Step::On)
            }
            Some(_) => Err(Fault::Tag.into()),
        }
    }

    fn quote(&mut self, data: &[u8]) -> Result<Step, Error> {
        match self.skip_space(data) {
            None => Ok(Step::More),
            Some(quote @ (b'"' | b'\'')) => {
                self.pos += 1;
                self.value = self.pos;
                self.state = State::Value(quote);
                Ok(Step::On)
            }
            Some(_) => Err(Fault::Tag.into()),
        }
    }

    fn attribute_value(&mut self, data: &[u8], quote: u8) -> Result<Step, Error> {
        let rest = data.get(self.pos..).unwrap_or_default();
        let found = memchr3(quote, b'<', b'&', rest);
        let run = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
        self.run(run, Run::Other, found.is_some())?;
        match found.and_then(|at| rest.get(at..)) {
            None => Ok(Step::More),
            Some([b'<', ..]) => Err(Fault::LessThan.into()),
            Some(reference @ [b'&', ..]) => self.reference(reference),
            Some(_) => {
                let value = data.get(self.value..self.pos).unwrap_or_default();
                if self.name.of(data) == b"xmlns" && !is_plain_namespace(value) {
                    self.self_contained = false;
                }
                self.pos += 1;
                self.state = State::Tag { spaced: false };
                Ok(Step::On)
            }
        }
    }

    fn empty_end(&mut self, data: &[u8]) -> Result<Step, Error> {
        match data.get(self.pos) {
            None => Ok(Step::More),
            Some(b'>') if !matches!(self.phase, Phase::Header) => {
                self.pos += 1;
                Ok(self.element_done())
            }
            Some(b'>') => Err(Error::NotStream),
            Some(_) => Err(Fault::Tag.into()),
        }
    }

    /// Behind the `>` of a start tag.
    fn start_done(&mut self, data: &[u8]) -> Step {
        if !matches!(self.phase, Phase::Header) {
            self.state = State::Text;
            return Step::On;
        }
        let name = self.open.pop().unwrap_or_default();
        self.phase = Phase::Stream(name.of(data).into());
        Step::Done(Cut::Header(name.start.saturating_sub(1)))
    }

    fn element_done(&mut self) -> Step {
        self.open.pop();
        if self.open.is_empty() {
            return Step::Done(Cut::Element(self.self_contained));
        }
        self.state = State::Text;
        Step::On
    }

    fn end_name(&mut self, data: &[u8]) -> Result<Step, Error> {
        let expected = match (self.open.last(), &self.phase) {
            (Some(open), _) => open.of(data),
            (None, Phase::Stream(name)) => name,
            (None, _) => return Err(Fault::EndTag.into()),
        };
        let read = self.pos.saturating_sub(self.name.start);
        let missing = expected.get(read..).unwrap_or_default();
        let rest = data.get(self.pos..).unwrap_or_default();
        let shared = missing.len().min(rest.len());
        if rest.get(..shared) != missing.get(..shared) {
            return Err(Fault::EndTag.into());
        }
        self.pos += shared;
        if shared < missing.len() {
            return Ok(Step::More);
        }
        self.state = State::EndTail;
        Ok(Step::On)
    }

    fn end_tail(&mut self, data: &[u8]) -> Result<Step, Error> {
        match self.skip_space(data) {
            None => Ok(Step::More),
            Some(b'>') if self.open.is_empty() => {
                self.pos += 1;
                self.phase = Phase::Ended;
                Ok(Step::Done(Cut::End))
            }
            Some(b'>') => {
                self.pos += 1;
                Ok(self.element_done())
            }
            Some(_) => Err(Fault::EndTag.into()),
        }
    }
}

/// A namespace name that cannot be anything but itself and is not reserved. The parser looks closer at others.
fn is_plain_namespace(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'&')
        && value != super::XML_NS.as_bytes()
        && value != super::XMLNS_NS.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Frame, Framer};

    #[test]
    fn a_declaration_comes_in_pieces_and_in_time() {
        let open = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        for cut in 1..open.len() {
            let (mut first, mut second) = open.as_bytes().split_at(cut);
            let mut framer = Framer::new(Limits::BEFORE_AUTH);
            assert_eq!(framer.next(&mut first).map(|it| it.is_none()), Ok(true));
            let header = framer.next(&mut second);
            assert!(matches!(header, Ok(Some(Frame::Header(_)))), "{cut}");
        }
        let endless = format!("<?xml{}", " ".repeat(MAX_DECLARATION_BYTES));
        for (length, refused) in [
            (MAX_DECLARATION_BYTES - 1, false),
            (MAX_DECLARATION_BYTES, true),
            (MAX_DECLARATION_BYTES + 1, true),
        ] {
            let told = Framer::new(Limits::BEFORE_AUTH).next(&mut &endless.as_bytes()[..length]);
            assert_eq!(told.is_err(), refused, "{length}");
        }
    }
}
