//! The mark that every measured stanza carries: run and sequence number.

use std::fmt;

/// Written as `run.seq`, decimal, inside a body or an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub run: u32,
    pub seq: u64,
}

impl Stamp {
    /// Most bytes that a stamp takes.
    pub const WIDTH: usize = 10 + 1 + 20;

    /// Reads a stamp at the front of `bytes`; it ends at the first byte that is no digit.
    pub fn parse(bytes: &[u8]) -> Option<Stamp> {
        let (run, rest) = number(bytes)?;
        let (seq, _) = number(rest.strip_prefix(b".")?)?;
        Some(Stamp {
            run: u32::try_from(run).ok()?,
            seq,
        })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.seq)
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(length);
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_with_padding() {
        let stamp = Stamp { run: 77, seq: 12 };
        let text = format!("{stamp} xxxx");
        assert_eq!(Stamp::parse(text.as_bytes()), Some(stamp));
    }

    #[test]
    fn rejects_other_text() {
        assert_eq!(Stamp::parse(b"hello"), None);
        assert_eq!(Stamp::parse(b"1"), None);
        assert_eq!(Stamp::parse(b"1."), None);
        assert_eq!(Stamp::parse(b"99999999999999999999.1"), None);
    }
}
