//! From the bytes of a stream to frames.

use bytes::Bytes;

use super::machine::{Cut, Machine};
use super::{Error, Fault, Limits, chars, parse};

/// Bytes of an unfinished frame that are looked at together: copied in steps that double from here, so that what follows
/// the frame in the same read is not copied with it.
const FIRST_STEP_BYTES: usize = 1024;

/// Cuts a stream into frames (RFC 6120 §4): feed it reads as they come, of any size.
///
/// A frame that came in one read is copied once, from the read; of an unfinished one the framer keeps the bytes, at most
/// [`Limits::stanza_bytes`]. Between frames it owns no heap memory but the name of the stream's tag.
pub struct Framer {
    machine: Machine,
    /// The unfinished frame.
    unfinished: Vec<u8>,
    failed: Option<Error>,
}

/// A piece of a stream.
#[derive(Clone, Debug)]
pub enum Frame {
    /// The stream header.
    Header(Header),
    /// A complete element on the first level.
    Stanza(Raw),
    /// White space between stanzas: a keep-alive (RFC 6120 §4.6.1).
    Whitespace,
    /// The end tag of the stream.
    End,
}

/// A stream header (RFC 6120 §4.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `to`, as written by the peer.
    pub to: Option<String>,
    /// `from`, as written by the peer.
    pub from: Option<String>,
    /// `id`.
    pub id: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `xml:lang`: the default language of the stream's stanzas; `None` also for what is no language tag.
    pub lang: Option<String>,
    /// The default namespace, that of the stanzas; empty if none is declared.
    pub ns: String,
    /// The namespace of the header element itself: should be [`super::STREAM_NS`].
    pub stream_ns: String,
    /// The prefixes declared, with their namespaces.
    pub prefixes: Vec<(String, String)>,
}

/// One complete element, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// From `<` to `>`: well-formed UTF-8.
    pub bytes: Bytes,
    /// Whether the content may be forwarded as it is: no prefix but `xml` occurs in it, no namespace declaration that needs a
    /// closer look, and no carriage return, so that it means the same under any stream with the same default namespace.
    pub self_contained: bool,
}

impl Raw {
    /// Checks `bytes` as the framer of a bound stream would, for an element that did not come by a stream. White space around
    /// the element is dropped.
    ///
    /// # Errors
    /// What is wrong with it; also [`Fault::Unfinished`] and [`Fault::AfterEnd`], if it is not exactly one element.
    pub fn check(bytes: &Bytes, limits: Limits) -> Result<Raw, Error> {
        let (range, self_contained) = check_document(bytes, limits)?;
        Ok(Raw {
            bytes: bytes.slice(range),
            self_contained,
        })
    }
}

/// Where the one element of `bytes` stands, and whether it is self-contained.
pub(super) fn check_document(
    bytes: &[u8],
    limits: Limits,
) -> Result<(std::ops::Range<usize>, bool), Error> {
    let start = space_length(bytes);
    let data = bytes.get(start..).unwrap_or_default();
    let window = data.get(..limits.stanza_bytes).unwrap_or(data);
    let mut machine = Machine::document(limits);
    match machine.scan(window)? {
        Some(Cut::Element(self_contained)) => {
            let behind = data.get(machine.pos..).unwrap_or_default();
            if space_length(behind) < behind.len() {
                return Err(Fault::AfterEnd.into());
            }
            Ok((start..start + machine.pos, self_contained))
        }
        _ if window.len() < data.len() => Err(Error::TooBig(limits.stanza_bytes)),
        _ => Err(Fault::Unfinished.into()),
    }
}

fn space_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| chars::is_space(**byte))
        .count()
}

impl Framer {
    /// Expects a stream header.
    #[must_use]
    pub fn new(limits: Limits) -> Framer {
        Framer {
            machine: Machine::stream(limits),
            unfinished: Vec::new(),
            failed: None,
        }
    }

    /// Changes the limits, from the next frame on if one is under way.
    pub fn set_limits(&mut self, limits: Limits) {
        self.machine.limits = limits;
    }

    /// Expects a new stream header (RFC 6120 §4.3.3). Bytes of an unfinished frame are dropped.
    pub fn restart(&mut self) {
        *self = Framer::new(self.machine.limits);
    }

    /// Bytes held of an unfinished frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.unfinished.len()
    }

    /// Takes bytes from `input`, up to and including the end of one frame. `None`: all are taken and more are needed.
    ///
    /// # Errors
    /// The stream is broken and must be closed; every later call gives the same error.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let frame = self.next_frame(input);
        if let Err(error) = frame {
            self.failed = Some(error);
            self.unfinished = Vec::new();
        }
        frame
    }

    fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        if !self.unfinished.is_empty() {
            return self.go_on(input);
        }
        if self.machine.is_between_stanzas() {
            let space = space_length(input);
            if space > 0 {
                advance(input, space);
                return Ok(Some(Frame::Whitespace));
            }
        }
        if input.is_empty() {
            return Ok(None);
        }
        let limit = self.machine.limits.stanza_bytes;
        let window = input.get(..limit).unwrap_or(input);
        match self.machine.scan(window)? {
            Some(cut) => {
                let end = self.machine.pos;
                let frame = self.frame(cut, window.get(..end).unwrap_or_default(), None)?;
                advance(input, end);
                Ok(Some(frame))
            }
            None if window.len() >= limit => Err(Error::TooBig(limit)),
            None => {
                self.unfinished.extend_from_slice(window);
                *input = &[];
                Ok(None)
            }
        }
    }

    /// Adds to the unfinished frame until it ends or the input does.
    fn go_on(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        let limit = self.machine.limits.stanza_bytes;
        while !input.is_empty() {
            let before = self.unfinished.len();
            let step = before
                .max(FIRST_STEP_BYTES)
                .min(limit.saturating_sub(before));
            if step == 0 {
                return Err(Error::TooBig(limit));
            }
            let step = input.get(..step).unwrap_or(input);
            self.unfinished.extend_from_slice(step);
            let Some(cut) = self.machine.scan(&self.unfinished)? else {
                advance(input, step.len());
                continue;
            };
            let end = self.machine.pos;
            advance(input, end.saturating_sub(before));
            let mut bytes = std::mem::take(&mut self.unfinished);
            bytes.truncate(end);
            return self.frame(cut, &[], Some(bytes)).map(Some);
        }
        if self.unfinished.len() >= limit {
            return Err(Error::TooBig(limit));
        }
        Ok(None)
    }

    /// Makes the frame of bytes that are borrowed from a read, or owned.
    fn frame(&mut self, cut: Cut, read: &[u8], owned: Option<Vec<u8>>) -> Result<Frame, Error> {
        self.machine.begin();
        match cut {
            Cut::End => Ok(Frame::End),
            Cut::Header(start) => {
                let bytes = owned.as_deref().unwrap_or(read);
                parse::header(bytes.get(start..).unwrap_or_default()).map(Frame::Header)
            }
            Cut::Element(self_contained) => Ok(Frame::Stanza(Raw {
                bytes: match owned {
                    Some(bytes) => Bytes::from(bytes.into_boxed_slice()),
                    None => Bytes::copy_from_slice(read),
                },
                self_contained,
            })),
        }
    }
}

fn advance(input: &mut &[u8], length: usize) {
    *input = input.get(length..).unwrap_or_default();
}
