//! Writing: what is written parses alone, whatever it is made of.

use std::io::Write;

use super::{Attribute, Element, Node, XML_NS};

/// Appends `text` as character data. Characters that XML forbids become U+FFFD.
pub fn escape_text(out: &mut Vec<u8>, text: &str) {
    // A bare carriage return would be read as a line feed (XML 1.0 §2.11).
    escape(out, text, |byte| matches!(byte, b'\t' | b'\n'));
}

/// Appends `value` for use between single or double quotes. Characters that XML forbids become U+FFFD.
pub fn escape_attr(out: &mut Vec<u8>, value: &str) {
    escape(out, value, |_| false);
}

/// `bare`: the control characters that may stand as they are.
fn escape(out: &mut Vec<u8>, text: &str, bare: impl Fn(u8) -> bool) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let plain = match byte {
            b'<' | b'>' | b'&' | b'\'' | b'"' => false,
            0..0x20 => bare(byte),
            // The first byte of U+FFFE and U+FFFF, and of many others.
            0xef => true_char(bytes.get(at..at + 3)),
            _ => true,
        };
        if plain {
            continue;
        }
        out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
        done = at + if byte == 0xef { 3 } else { 1 };
        out.extend_from_slice(match byte {
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            b'\'' => b"&apos;",
            b'"' => b"&quot;",
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            b'\r' => b"&#13;",
            _ => "\u{fffd}".as_bytes(),
        });
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
}

fn true_char(bytes: Option<&[u8]>) -> bool {
    !matches!(bytes, Some([0xef, 0xbf, 0xbe | 0xbf]))
}

impl Element {
    /// Appends the element, for a place where `default_ns` is the default namespace.
    pub fn write_to(&self, out: &mut Vec<u8>, default_ns: &str) {
        if !self.write_start(out, default_ns) {
            return;
        }
        let mut open = vec![(self, self.children().iter(), default_ns)];
        while let Some((element, rest, around)) = open.last_mut() {
            let inside = element.default_ns(around);
            match rest.next() {
                Some(Node::Text(text)) => escape_text(out, text),
                Some(Node::Element(child)) => {
                    if child.write_start(out, inside) {
                        open.push((child, child.children().iter(), inside));
                    }
                }
                None => {
                    element.write_end(out);
                    open.pop();
                }
            }
        }
    }

    /// Appends the children, for a place where `default_ns` is the default namespace.
    pub(crate) fn write_children(&self, out: &mut Vec<u8>, default_ns: &str) {
        for node in self.children() {
            match node {
                Node::Text(text) => escape_text(out, text),
                Node::Element(child) => child.write_to(out, default_ns),
            }
        }
    }

    /// The default namespace inside of this element.
    fn default_ns<'a>(&'a self, around: &'a str) -> &'a str {
        if self.ns() == XML_NS {
            around
        } else {
            self.ns()
        }
    }

    fn prefix(&self) -> &'static str {
        if self.ns() == XML_NS { "xml:" } else { "" }
    }

    /// Writes the start tag; false: the element is empty and its tag complete.
    fn write_start(&self, out: &mut Vec<u8>, around: &str) -> bool {
        out.push(b'<');
        out.extend_from_slice(self.prefix().as_bytes());
        out.extend_from_slice(self.name().as_bytes());
        if self.default_ns(around) != around {
            write_attr(out, "xmlns", self.ns());
        }
        write_attributes(out, self.attrs());
        let content = !self.children().is_empty();
        out.extend_from_slice(if content { b">" } else { b"/>" });
        content
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "</{}{}>", self.prefix(), self.name());
    }
}

/// Appends attributes with the declarations that they need.
pub(crate) fn write_attributes(out: &mut Vec<u8>, attributes: &[Attribute]) {
    for (number, attribute) in attributes.iter().enumerate() {
        let (name, value) = (attribute.name(), attribute.value());
        match attribute.ns() {
            "" => write_attr(out, name, value),
            XML_NS => write_attr(out, &format!("xml:{name}"), value),
            ns => {
                write_attr(out, &format!("xmlns:ns{number}"), ns);
                write_attr(out, &format!("ns{number}:{name}"), value);
            }
        }
    }
}

/// Appends ` name='value'`.
pub(crate) fn write_attr(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_attr(out, value);
    out.push(b'\'');
}
