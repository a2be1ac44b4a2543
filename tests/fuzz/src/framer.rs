//! Bytes to frames to trees and back.

use stanzad::xml::{CLIENT_NS, Element, Error, Fault, Frame, Framer, Header, Limits, Raw};

use super::oracle::{self, OPEN, Tree};

/// The same frames however the bytes come, the same trees as rxml, and what is written is read back.
///
/// # Panics
/// When one of these does not hold.
pub fn check(data: &[u8]) {
    let whole = frames(data, &[data.len()], check_tree);
    let cuts = cuts(data);
    for cuts in [&[1][..], &cuts] {
        let again = frames(data, cuts, |_, _| {});
        assert_eq!(again, whole, "reads of {cuts:?} bytes");
    }
    oracle::compare_headers(data, &cuts);
    oracle::compare(&[OPEN.as_bytes(), data].concat(), &cuts);
}

/// Sizes of reads that depend on every byte of `data`.
fn cuts(data: &[u8]) -> Vec<usize> {
    // FNV-1a, then one step of it for each read.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = data.iter().copied().fold(0xcbf2_9ce4_8422_2325, step);
    let mut cuts = Vec::new();
    for _ in 0..8 {
        hash = step(hash, 1);
        let most = 1_usize << (hash >> 60);
        cuts.push(1 + (hash >> 20) as usize % most.min(64));
    }
    cuts
}

/// A frame that can be compared.
#[derive(Debug, PartialEq)]
enum Seen {
    Header(Header),
    Stanza(Raw),
    End,
}

/// All frames of `data`, read in pieces of `cuts` bytes, again and again, and the stream error behind them. Which of two faults in
/// one run of text is told may depend on the reads, the condition not.
fn frames(
    data: &[u8],
    cuts: &[usize],
    each: impl Fn(&Raw, &Header),
) -> (Vec<Seen>, Option<&'static str>) {
    let limits = Limits::BEFORE_AUTH;
    let mut framer = Framer::new(limits);
    let mut header = Header::default();
    let mut seen = Vec::new();
    for mut input in oracle::pieces(data, cuts) {
        loop {
            let frame = framer.next(&mut input);
            assert!(framer.buffered() <= limits.stanza_bytes);
            match frame {
                Ok(None) => break,
                // How many keep-alives a run of white space makes depends on the reads.
                Ok(Some(Frame::Whitespace)) => {}
                Ok(Some(Frame::Header(got))) => {
                    header = got.clone();
                    seen.push(Seen::Header(got));
                }
                Ok(Some(Frame::Stanza(raw))) => {
                    each(&raw, &header);
                    seen.push(Seen::Stanza(raw));
                }
                Ok(Some(Frame::End)) => seen.push(Seen::End),
                Err(error) => {
                    assert_eq!(
                        framer.next(&mut input).err(),
                        Some(error),
                        "broken for good"
                    );
                    return (seen, Some(error.condition()));
                }
            }
        }
    }
    (seen, None)
}

/// What was framed is read, but for its namespaces; what is written is the same tree for us and for rxml.
fn check_tree(raw: &Raw, header: &Header) {
    assert_eq!(
        Raw::check(&raw.bytes, Limits::BEFORE_AUTH).as_ref(),
        Ok(raw),
        "framed with and without a stream"
    );
    match Element::parse(&raw.bytes, &header.ns, &header.prefixes) {
        Ok(element) => {
            let mut written = Vec::new();
            element.write_to(&mut written, CLIENT_NS);
            let again = Element::parse(&written, CLIENT_NS, &[]);
            assert_eq!(again.as_ref(), Ok(&element), "written and read back");
            assert_eq!(oracle::read_alone(&written), Tree::of(&element));
        }
        Err(error) => assert!(
            !raw.self_contained
                && matches!(
                    error,
                    Error::NotWellFormed(
                        Fault::Prefix | Fault::Namespace | Fault::DuplicateAttribute
                    ) | Error::Limit { .. }
                ),
            "framed but refused: {error}"
        ),
    }
}
