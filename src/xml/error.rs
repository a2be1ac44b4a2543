//! Why XML is refused, in the terms of RFC 6120 §4.9.3.

/// Why a stream or a text is refused. Every error ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no XML, or breaks Namespaces in XML.
    #[error("not well-formed: {0}")]
    NotWellFormed(Fault),
    /// XML, but not the part that XMPP allows (RFC 6120 §11.1).
    #[error("{0} is not allowed in XMPP")]
    Restricted(Restricted),
    /// A stanza or header with more bytes than [`super::Limits::stanza_bytes`].
    #[error("larger than {0} bytes")]
    TooBig(usize),
    /// More of something than [`super::Limits`] grants.
    #[error("more than {max} {what}")]
    Limit {
        /// More of what.
        what: Bound,
        /// The limit.
        max: usize,
    },
    /// A byte order mark, or a declared encoding other than UTF-8 (RFC 6120 §11.6).
    #[error("the encoding is not UTF-8")]
    UnsupportedEncoding,
    /// The stream does not begin with a start tag named `stream`.
    #[error("the stream does not begin with a stream header")]
    NotStream,
    /// Something other than white space stands between two stanzas.
    #[error("text between stanzas")]
    TextBetweenStanzas,
}

/// What is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// A character that XML forbids (XML 1.0 §2.2).
    #[error("a forbidden character")]
    Char,
    /// An element or attribute name.
    #[error("an invalid name")]
    Name,
    /// A tag's syntax.
    #[error("an invalid tag")]
    Tag,
    /// An attribute given twice, also under two prefixes of one namespace.
    #[error("a duplicate attribute")]
    DuplicateAttribute,
    /// `<` in an attribute value.
    #[error("< in an attribute value")]
    LessThan,
    /// `]]>` in text.
    #[error("]]> in text")]
    CdataEnd,
    /// An entity that is not one of the five, a reference to a forbidden character, or a bare `&`.
    #[error("an invalid reference")]
    Reference,
    /// An end tag with another name than its start tag.
    #[error("a mismatched end tag")]
    EndTag,
    /// The XML declaration.
    #[error("an invalid XML declaration")]
    Declaration,
    /// A prefix that nothing declares.
    #[error("an undeclared prefix")]
    Prefix,
    /// A reserved prefix or namespace bound, a prefix undeclared, or white space or control characters in a namespace name.
    #[error("an invalid namespace declaration")]
    Namespace,
    /// The text ends inside an element.
    #[error("an unfinished element")]
    Unfinished,
    /// Something stands behind the end of the document.
    #[error("data after the end")]
    AfterEnd,
}

/// XML that XMPP forbids (RFC 6120 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Restricted {
    /// `<!` and anything but a CDATA section: a comment or a part of a DTD.
    #[error("a comment or document type declaration")]
    Declaration,
    /// `<?`, also an XML declaration that is not the first thing of its stream.
    #[error("a processing instruction")]
    ProcessingInstruction,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bound {
    /// [`super::Limits::depth`].
    #[error("elements inside one another")]
    Depth,
    /// [`super::Limits::attributes`].
    #[error("attributes of an element")]
    Attributes,
    /// [`super::Limits::elements`].
    #[error("elements in a stanza")]
    Elements,
    /// [`super::Limits::name_bytes`].
    #[error("bytes in a name")]
    Name,
    /// Namespace declarations in force at one place.
    #[error("namespace declarations")]
    Bindings,
}

impl Error {
    /// The stream error condition (RFC 6120 §4.9.3).
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Error::NotWellFormed(_) => "not-well-formed",
            Error::Restricted(_) => "restricted-xml",
            Error::TooBig(_) | Error::Limit { .. } => "policy-violation",
            Error::UnsupportedEncoding => "unsupported-encoding",
            Error::NotStream | Error::TextBetweenStanzas => "bad-format",
        }
    }

    /// The application-specific condition that goes with [`Error::condition`], an element of `urn:xmpp:errors`
    /// (XEP-0205 §4).
    #[must_use]
    pub fn application_condition(&self) -> Option<&'static str> {
        matches!(self, Error::TooBig(_)).then_some("stanza-too-big")
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::NotWellFormed(fault)
    }
}
