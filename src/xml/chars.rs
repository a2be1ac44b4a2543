//! Characters, names and references (XML 1.0 §2.2, §2.3, §4.1), checked over bytes that may not have come in full.

use memchr::memmem;

use super::Fault;

/// `&` to `;`: as long as `&#x0010FFFF;`.
const MAX_REFERENCE_BYTES: usize = 12;

/// The entities of XML 1.0 §4.6.
const ENTITIES: [(&[u8], char); 5] = [
    (b"amp", '&'),
    (b"lt", '<'),
    (b"gt", '>'),
    (b"apos", '\''),
    (b"quot", '"'),
];

/// White space (XML 1.0 §2.3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// XML 1.0 §2.2.
pub(super) fn is_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether XML can carry all of `text` (XML 1.0 §2.2).
#[must_use]
pub fn is_text(text: &str) -> bool {
    text.chars().all(is_char)
}

/// ASCII that may stand in a name, the colon counted. A table, because every byte of every name is looked up.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b':');
        byte += 1;
    }
    table
};

/// See [`NAME_BYTES`].
pub(super) fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// Name characters that need more than one byte (XML 1.0 §2.3), at the start of a name and elsewhere. U+FDF0 to U+FFFD, which
/// the fifth edition has too, are left out: clients that read with rxml would have to close their stream (it lacks them).
fn is_wide_name_start(c: char) -> bool {
    matches!(c,
        '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
        | '\u{10000}'..='\u{effff}')
}

/// See [`is_wide_name_start`].
pub(super) fn is_wide_name_char(c: char) -> bool {
    is_wide_name_start(c) || matches!(c, '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || is_wide_name_start(c)
}

/// Whether `name` can name an element or attribute: a name without colon (Namespaces in XML §3, `NCName`).
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start)
        && chars.all(|c| {
            if c.is_ascii() {
                c != ':' && is_name_byte(c as u8)
            } else {
                is_wide_name_char(c)
            }
        })
}

/// The prefix of a name whose characters are all name characters (Namespaces in XML §4, `QName`).
pub(super) fn prefix(name: &[u8]) -> Result<Option<&[u8]>, Fault> {
    match name.iter().position(|byte| *byte == b':') {
        None => check_start(name).map(|()| None),
        Some(colon) => {
            let (prefix, local) = name.split_at(colon);
            let local = local.get(1..).unwrap_or_default();
            check_start(prefix)?;
            check_start(local)?;
            if local.contains(&b':') {
                return Err(Fault::Name);
            }
            Ok(Some(prefix))
        }
    }
}

/// Whether a part of a name begins as it may.
fn check_start(part: &[u8]) -> Result<(), Fault> {
    let good = match part.first() {
        Some(byte) if byte.is_ascii() => byte.is_ascii_alphabetic() || *byte == b'_',
        Some(_) => first_char(part)?.is_some_and(|(c, _)| is_wide_name_start(c)),
        None => false,
    };
    if good { Ok(()) } else { Err(Fault::Name) }
}

/// The first character of `bytes` and its length; `None` if it has not come in full.
pub(super) fn first_char(bytes: &[u8]) -> Result<Option<(char, usize)>, Fault> {
    let head = bytes.get(..4).unwrap_or(bytes);
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() == 0 => {
            return error.error_len().map_or(Ok(None), |_| Err(Fault::Utf8));
        }
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    Ok(valid.chars().next().map(|c| (c, c.len_utf8())))
}

/// What a run of character data may not have besides forbidden characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// `]]>`.
    Text,
    /// Nothing: an attribute value or a CDATA section, whose ends the caller finds.
    Other,
}

/// What a run of character data turned out to be.
pub(super) struct Checked {
    /// How many bytes are good: fewer than the run has only if what follows it is not known and its last character, or a
    /// `]]>`, may be unfinished.
    pub(super) good: usize,
    /// Whether there is a carriage return. It is legal, but parsers differ in what they make of it.
    pub(super) carriage_return: bool,
}

/// Checks a run of character data. `whole`: what follows it is known.
pub(super) fn check_run(bytes: &[u8], kind: Run, whole: bool) -> Result<Checked, Fault> {
    let (mut high, mut control, mut bracket, mut carriage_return) = (false, false, false, false);
    for &byte in bytes {
        high |= byte >= 0x80;
        control |= byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
        bracket |= byte == b']';
        carriage_return |= byte == b'\r';
    }
    if control {
        return Err(Fault::Char);
    }
    let mut good = bytes.len();
    if high {
        good = check_wide(bytes, whole)?;
    }
    if bracket && kind == Run::Text {
        if memmem::find(bytes, b"]]>").is_some() {
            return Err(Fault::CdataEnd);
        }
        if !whole && good == bytes.len() {
            let tail = bytes.iter().rev().take(2);
            good -= tail.take_while(|byte| **byte == b']').count();
        }
    }
    Ok(Checked {
        good,
        carriage_return,
    })
}

/// UTF-8, and none of the two non-characters that it can write and XML forbids.
fn check_wide(bytes: &[u8], whole: bool) -> Result<usize, Fault> {
    let good = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() && !whole => error.valid_up_to(),
        Err(_) => return Err(Fault::Utf8),
    };
    let forbidden = memmem::find(bytes, b"\xef\xbf\xbe").or(memmem::find(bytes, b"\xef\xbf\xbf"));
    if forbidden.is_some() {
        return Err(Fault::Char);
    }
    Ok(good)
}

/// The length of the reference at the start of `bytes`, which begin with `&`; `None` if it has not come in full, and what has
/// come is the beginning of one.
pub(super) fn reference(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let window = bytes.get(..MAX_REFERENCE_BYTES).unwrap_or(bytes);
    let body = window.get(1..).unwrap_or_default();
    let end = body
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'#');
    match end.and_then(|end| body.get(..end).zip(body.get(end))) {
        Some((name, b';')) => match resolve(name) {
            Some(_) => Ok(Some(name.len() + 2)),
            None => Err(Fault::Reference),
        },
        None if window.len() < MAX_REFERENCE_BYTES && begins_reference(body) => Ok(None),
        _ => Err(Fault::Reference),
    }
}

fn begins_reference(name: &[u8]) -> bool {
    match name {
        [b'#'] => true,
        [b'#', b'x', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        [b'#', decimal @ ..] => decimal.iter().all(u8::is_ascii_digit),
        _ => ENTITIES.iter().any(|(entity, _)| entity.starts_with(name)),
    }
}

/// What `&name;` stands for: one of the five entities, or a legal character by number.
pub(super) fn resolve(name: &[u8]) -> Option<char> {
    let digits = |digits: &[u8], radix| {
        let text = std::str::from_utf8(digits).ok()?;
        if !text.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let number = u32::from_str_radix(text, radix).ok()?;
        char::from_u32(number).filter(|c| is_char(*c))
    };
    match name {
        [b'#', b'x', hex @ ..] => digits(hex, 16),
        [b'#', decimal @ ..] => digits(decimal, 10),
        _ => ENTITIES
            .iter()
            .find(|(entity, _)| *entity == name)
            .map(|(_, char)| *char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{CLIENT_NS, Element};

    #[test]
    fn what_xml_can_carry() {
        assert!(is_text("a\t\n\r é\u{e000}\u{fffd}\u{10ffff}"));
        for bad in [
            '\0', '\u{8}', '\u{b}', '\u{c}', '\u{e}', '\u{1f}', '\u{fffe}', '\u{ffff}',
        ] {
            assert!(!is_text(&format!("a{bad}b")), "{bad:?}");
        }
    }

    #[test]
    fn a_reference_is_refused_as_soon_as_it_cannot_become_one() {
        for begun in ["&", "&a", "&apos", "&quo", "&#", "&#1", "&#x", "&#xAf0"] {
            assert_eq!(reference(begun.as_bytes()), Ok(None), "{begun}");
        }
        for broken in ["&b", "&ampx", "&Am", "&#i", "&#1f", "&#xg", "&##", "&#x#"] {
            let told = reference(broken.as_bytes());
            assert_eq!(told, Err(Fault::Reference), "{broken}");
        }
        for (whole, length) in [("&lt;x", 4), ("&#38;", 5), ("&#x26;;", 6)] {
            assert_eq!(reference(whole.as_bytes()), Ok(Some(length)), "{whole}");
        }
    }

    /// XML 1.0 §2.3 at the ends of its ranges, but for U+FDF0 to U+FFFD; an element's name is checked alike while it is framed.
    #[test]
    fn characters_of_names() {
        let starts = "_azAZÀÖØöø\u{2ff}\u{370}\u{37d}\u{37f}\u{1fff}\u{200c}\u{200d}\u{2070}\u{218f}\u{2c00}\u{2fef}\
        \u{3001}\u{d7ff}\u{f900}\u{fdcf}\u{10000}\u{effff}";
        let inner = "-.09·\u{300}\u{36f}\u{203f}\u{2040}";
        let never = " /\u{7f}\u{80}\u{b6}\u{b8}\u{bf}×÷\u{37e}\u{2000}\u{200b}\u{200e}\u{203e}\u{2041}\u{206f}\u{2190}\
        \u{2bff}\u{2ff0}\u{3000}\u{e000}\u{f8ff}\u{fdd0}\u{fdf0}\u{fffd}\u{f0000}";
        for (chars, first, later) in [
            (starts, true, true),
            (inner, false, true),
            (never, false, false),
        ] {
            for c in chars.chars() {
                for (name, good) in [(format!("{c}"), first), (format!("a{c}"), later)] {
                    assert_eq!(is_name(&name), good, "{name:?}");
                    let read =
                        framed(&format!("<{name}></{name}>")).is_ok_and(|it| it.name() == name);
                    assert_eq!(read, good, "{name:?}");
                }
            }
        }
        // Whichever character the first four bytes end in.
        for name in ["éa가", "éé가", "가é", "aaa가", "가\u{10000}", "\u{10000}é"] {
            assert!(
                is_name(name) && framed(&format!("<{name}/>")).is_ok(),
                "{name}"
            );
        }
        assert!(!is_name("") && !is_name("a:b") && !is_name(":") && is_name("a.b-c_1"));
    }

    fn framed(text: &str) -> Result<Element, crate::xml::Error> {
        Element::parse(text.as_bytes(), CLIENT_NS, &[])
    }
}
