//! Start tags that the framer has passed, read without a tree.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use super::{Error, Fault, chars};

/// A start tag.
pub(crate) struct StartTag<'a> {
    /// The name with its prefix.
    pub(crate) name: &'a str,
    /// Name and raw value of each attribute; see [`decode_attr`].
    pub(crate) attributes: Attributes<'a>,
}

/// Reads name and raw value of one attribute after the other, to the end of the tag.
#[derive(Clone)]
pub(crate) struct Attributes<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> StartTag<'a> {
    /// Reads the start tag at the beginning of `text`, whose first byte is `<`.
    pub(crate) fn read(text: &'a str) -> Option<StartTag<'a>> {
        let rest = text.strip_prefix('<')?;
        let length = rest
            .bytes()
            .position(|byte| chars::is_space(byte) || matches!(byte, b'/' | b'>'))?;
        let name = rest.get(..length)?;
        Some(StartTag {
            name,
            attributes: Attributes {
                text,
                pos: length + 1,
            },
        })
    }
}

impl Attributes<'_> {
    /// After the last attribute: where the content begins, behind the `>`; `None` for an empty element.
    pub(crate) fn content(&self) -> Option<usize> {
        let rest = self.text.get(self.pos..)?;
        rest.starts_with('>').then_some(self.pos + 1)
    }

    /// After the last attribute: whether the element, which has that name, is empty and nothing comes behind it.
    pub(crate) fn is_all(&self, name: &str) -> bool {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let end = rest
            .strip_prefix("></")
            .and_then(|rest| rest.strip_suffix('>'));
        rest == "/>" || end == Some(name)
    }

    fn skip_space(&mut self) {
        let rest = self.text.as_bytes().get(self.pos..).unwrap_or_default();
        self.pos += rest
            .iter()
            .take_while(|byte| chars::is_space(**byte))
            .count();
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_space();
        let rest = self.text.get(self.pos..)?;
        if rest.starts_with(['/', '>']) {
            return None;
        }
        let equals = memchr(b'=', rest.as_bytes())?;
        let name = rest.get(..equals)?.trim_ascii_end();
        self.pos += equals + 1;
        self.skip_space();
        let rest = self.text.get(self.pos..)?;
        let quote = *rest.as_bytes().first()?;
        let value = rest.get(1..)?;
        let value = value.get(..memchr(quote, value.as_bytes())?)?;
        self.pos += value.len() + 2;
        Some((name, value))
    }
}

/// The value of a well-formed attribute: references resolved, white space normalised (XML 1.0 §3.3.3, §2.11).
pub(crate) fn decode_attr(raw: &str) -> Cow<'_, str> {
    let special = raw
        .bytes()
        .any(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r'));
    if !special {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest
        .bytes()
        .position(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r'))
    {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        let reference = special
            .strip_prefix('&')
            .and_then(|reference| reference.split_once(';'));
        rest = match reference {
            Some((name, behind)) => {
                out.extend(chars::resolve(name.as_bytes()));
                behind
            }
            None => {
                out.push(' ');
                special
                    .strip_prefix("\r\n")
                    .or_else(|| special.get(1..))
                    .unwrap_or_default()
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Checks what stands between `<?xml` and `?>` (XML 1.0 §2.8): `version` 1.0, then perhaps `encoding`, which must be UTF-8,
/// then perhaps `standalone`.
pub(super) fn check_declaration(body: &[u8]) -> Result<(), Error> {
    let mut rest = std::str::from_utf8(body).map_err(|_| Fault::Declaration)?;
    let mut next = 0;
    while let Some((name, value, behind)) = pseudo_attribute(rest) {
        let (place, good) = match name {
            "version" => (1, value == "1.0"),
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(Error::UnsupportedEncoding);
            }
            "encoding" => (2, next > 0),
            "standalone" => (3, next > 0 && matches!(value, "yes" | "no")),
            _ => (0, false),
        };
        if !good || place <= next {
            return Err(Fault::Declaration.into());
        }
        next = place;
        rest = behind;
    }
    if next == 0 || !rest.bytes().all(chars::is_space) {
        return Err(Fault::Declaration.into());
    }
    Ok(())
}

/// White space, a name, `=`, and a quoted value; and what follows.
fn pseudo_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let trim = |text: &'_ str| -> usize {
        text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len()
    };
    let spaced = trim(text);
    if spaced == 0 {
        return None;
    }
    let (name, rest) = text.get(spaced..)?.split_once('=')?;
    let rest = rest.get(trim(rest)..)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, behind) = rest.get(1..)?.split_once(quote)?;
    let clean = memchr3(b'<', b'&', b'>', value.as_bytes()).is_none();
    clean.then_some((
        name.trim_end_matches([' ', '\t', '\n', '\r']),
        value,
        behind,
    ))
}
