//! What the peer sends: the bytes that a line of the input stands for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanzad::sasl::handshake;
use stanzad::xml::{COMPONENT_NS, escape_attr};

use super::{SASL_NS, Stream};

impl Stream {
    /// What a line sends.
    pub(super) fn said(&self, line: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(line);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let mut words = rest.split(' ');
        let mut next = || escaped(words.next().unwrap_or_default());
        let xml = match word {
            "open" => format!(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
                next()
            ),
            "join" => format!(
                "<stream:stream xmlns='{COMPONENT_NS}' \
                 xmlns:stream='http://etherx.jabber.org/streams' to='{}'>",
                next()
            ),
            "prove" => {
                let id = self.client_header.id.as_deref().unwrap_or_default();
                let proof = handshake(id, rest.as_bytes());
                format!("<handshake>{proof}</handshake>")
            }
            "starttls" => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
            "abort" => format!("<abort xmlns='{SASL_NS}'/>"),
            "auth" => {
                let (name, message) = rest.split_once(' ').unwrap_or((rest, ""));
                let data = STANDARD.encode(message);
                format!(
                    "<auth xmlns='{SASL_NS}' mechanism='{}'>{data}</auth>",
                    escaped(name)
                )
            }
            "respond" => {
                let data = STANDARD.encode(self.filled(rest));
                format!("<response xmlns='{SASL_NS}'>{data}</response>")
            }
            "bind" => format!(
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{}</resource></bind></iq>",
                escaped(rest)
            ),
            "register" => {
                let (name, password, token) = (next(), next(), next());
                format!(
                    "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
                     <password>{password}</password><token>{token}</token></query></iq>"
                )
            }
            "invite" => format!(
                "<iq type='set' id='i'><preauth xmlns='urn:xmpp:pars:0' token='{}'/></iq>",
                escaped(rest)
            ),
            "close" => "</stream:stream>".to_owned(),
            _ => return line.to_vec(),
        };
        xml.into_bytes()
    }

    /// `{nonce}` and `{proof}` as who knows the password writes them.
    fn filled(&self, template: &str) -> Vec<u8> {
        let Some((mechanism, transcript)) = &self.exchange else {
            return template.as_bytes().to_vec();
        };
        let known = self.claimed.as_ref().and_then(|user| self.find(user));
        let password = known.map_or("secret", |user| &user.password);
        transcript.fill(template.as_bytes(), *mechanism, password)
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    escape_attr(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
