//! What the server says, and what must have been earned before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanzad::stream::StartTls;
use stanzad::xml::{Element, Frame, Header};

use super::{DOMAINS, GATEWAY, MAX_FAILURES, SASL_NS, Stream};

impl Stream {
    /// What the server says: whole frames of a stream, and nothing that was not earned.
    pub(super) fn hear(&mut self, out: &[u8]) {
        let text = String::from_utf8_lossy(out);
        let mut input = out;
        loop {
            match self.client.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Frame::Header(header))) => {
                    let from = header.from.as_deref().unwrap_or_default();
                    let ours = DOMAINS.iter().any(|(name, _)| *name == from);
                    assert!(ours || from == GATEWAY.0, "{text}");
                    assert!(header.id.as_ref().is_some_and(|id| id.len() == 32));
                    self.client_header = header;
                }
                Ok(Some(Frame::Stanza(raw))) => {
                    let Header { ns, prefixes, .. } = &self.client_header;
                    match Element::parse(&raw.bytes, ns, prefixes) {
                        Ok(element) => self.hear_element(&element),
                        Err(error) => panic!("{error}: {text}"),
                    }
                }
                Ok(Some(Frame::End | Frame::Whitespace)) => {}
                Err(error) => panic!("{error}: {text}"),
            }
        }
        assert_eq!(self.client.buffered(), 0, "half a frame: {text}");
    }

    fn hear_element(&mut self, element: &Element) {
        let data = || STANDARD.decode(element.text().as_ref()).expect("base64");
        match (element.name(), element.ns()) {
            ("challenge", SASL_NS) => {
                let (_, transcript) = self.exchange.as_mut().expect("an exchange");
                transcript
                    .challenges
                    .extend(Some(data()).filter(|data| !data.is_empty()));
            }
            ("success", SASL_NS) => {
                let (mechanism, transcript) = self.exchange.take().expect("an exchange");
                let user = self.claimed.take().expect("somebody was looked up");
                let known = self.find(&user).expect("a user");
                let owed = transcript.proves(mechanism, &known.password);
                let owed = owed.expect("a session without a proof");
                assert_eq!(data(), owed.unwrap_or_default(), "the server's signature");
                let hidden = self.starttls != StartTls::Required && !mechanism.shows_password();
                assert!(self.encrypted || hidden, "{mechanism:?} in clear text");
                assert!(self.login.is_none(), "a second login");
                self.login = Some((user, mechanism));
            }
            ("failure", _) => {
                self.exchange = None;
                self.failures += 1;
            }
            ("iq", _) if element.attr("type") == Some("error") => self.failures += 1,
            _ => {}
        }
        assert!(self.failures <= MAX_FAILURES, "another try");
    }
}
