//! Stanzas behind a client's stream header: reading, forwarding, editing, answering.

use stanzad::stanza::{Condition, ParseError, Stanza, StanzaError};
use stanzad::xml::{COMPONENT_NS, Frame, Framer, Header, Limits, Raw};

use super::oracle::{self, Tree};

const OPEN: &[u8] = b"<stream:stream xmlns='jabber:client' xmlns:p='urn:p' xml:lang='de' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// A stanza is read back as it was written, by us and by rxml, and so is every answer to it.
///
/// # Panics
/// When it is not.
pub fn check(data: &[u8]) {
    let mut framer = Framer::new(Limits::BOUND);
    let mut opening = OPEN;
    let Ok(Some(Frame::Header(header))) = framer.next(&mut opening) else {
        panic!("our own header");
    };
    let mut input = data;
    while let Ok(Some(frame)) = framer.next(&mut input) {
        let Frame::Stanza(raw) = frame else {
            continue;
        };
        match Stanza::from_raw(&raw, &header) {
            Ok(stanza) => {
                check_round(&stanza);
                let error = StanzaError::new(Condition::BadRequest).with_text("no <&> \u{0}");
                if let Some(answer) = stanza.error(&error) {
                    assert!(!stanza.is_error(), "an error answers an error: {stanza:?}");
                    check_round(&answer);
                }
            }
            Err(ParseError::BadAddress { reply, .. } | ParseError::BadStanza { reply, .. }) => {
                if let Some(reply) = reply {
                    check_round(&reply);
                }
            }
            Err(ParseError::NotStanza(_) | ParseError::Xml(_)) => {}
        }
    }
}

fn check_round(stanza: &Stanza) {
    let bytes = stanza.to_bytes();
    let seen = oracle::read_alone(&bytes);
    let again = match Stanza::from_bytes(&bytes) {
        Ok(again) => again,
        // Error replies to an iq without id or of an unknown type keep that fault.
        Err(ParseError::BadStanza { .. }) if stanza.is_error() => return,
        Err(error) => panic!("{error}: {stanza:?}"),
    };
    assert_eq!(again.to_bytes(), bytes);
    let (Ok(first), Ok(second)) = (stanza.element(), again.element()) else {
        return;
    };
    assert_eq!(first, second);
    check_component(stanza);
    assert_eq!(seen, Tree::of(first), "rxml reads another stanza");
    let mut edited = stanza.clone();
    assert!(edited.edit(|_| {}).is_ok(), "{stanza:?}");
    assert_eq!(edited.element().ok(), Some(first));
}

/// It comes through a component's stream as it was.
fn check_component(stanza: &Stanza) {
    let mut bytes = Vec::new();
    stanza.write_component(&mut bytes);
    // What needs declarations there may be longer than what came.
    let limits = Limits {
        stanza_bytes: usize::MAX,
        attributes: usize::MAX,
        ..Limits::BOUND
    };
    let header = Header {
        ns: COMPONENT_NS.to_owned(),
        ..Header::default()
    };
    let raw = match Raw::check(&bytes.into(), limits) {
        Ok(raw) => raw,
        Err(error) => panic!("{error}: {stanza:?}"),
    };
    match Stanza::from_raw(&raw, &header) {
        Ok(again) => assert_eq!(again.element().ok(), stanza.element().ok()),
        Err(ParseError::BadStanza { .. }) if stanza.is_error() => {}
        Err(error) => panic!("{error}: {stanza:?}"),
    }
}
