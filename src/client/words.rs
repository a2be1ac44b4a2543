//! Conditions of the protocol in human words.

use super::line::clean;
use crate::jid::Jid;
use crate::xml::Element;

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// The condition and the text of an error element.
fn parts(error: &Element, ns: &str) -> (String, Option<String>) {
    let condition = error
        .elements()
        .find(|child| child.ns() == ns && child.name() != "text")
        .map_or_else(|| "undefined-condition".to_owned(), |it| clean(it.name()));
    let text = error.child("text", ns).map(|text| clean(&text.text()));
    (condition, text.filter(|text| !text.is_empty()))
}

/// `words (condition)`, or `words (condition): the server's own text`.
fn told(words: Option<&str>, condition: &str, text: Option<String>) -> String {
    let mut told = match words {
        Some(words) => format!("{words} ({condition})"),
        None => condition.to_owned(),
    };
    if let Some(text) = text {
        told += ": ";
        told += &text;
    }
    told
}

/// Why a stanza came back (RFC 6120 §8.3.3).
pub(super) fn stanza_error(stanza: &Element) -> String {
    let Some(error) = stanza.elements().find(|child| child.name() == "error") else {
        return "no reason given".to_owned();
    };
    let (condition, text) = parts(error, STANZAS);
    let words = match condition.as_str() {
        "service-unavailable" => "there is nobody of that address who takes it",
        "item-not-found" => "there is no such address",
        "recipient-unavailable" => "nobody is there just now",
        "remote-server-not-found" => "no server of that domain is found",
        "remote-server-timeout" => "the other server does not answer",
        "forbidden" | "not-authorized" => "you may not",
        "not-allowed" => "nobody may",
        "not-acceptable" | "policy-violation" => "it is against the rules there",
        "resource-constraint" => "too much waits there, try later",
        "jid-malformed" => "this is no address",
        "gone" | "redirect" => "the address has moved",
        "registration-required" | "subscription-required" => "only for members",
        "bad-request" | "feature-not-implemented" | "unexpected-request" => "it is not understood",
        "internal-server-error" => "the server failed",
        "conflict" => "it is taken",
        _ => return told(None, &condition, text),
    };
    told(Some(words), &condition, text)
}

/// Why the server ended the stream (RFC 6120 §4.9.3).
pub(super) fn stream_error(error: &Element) -> String {
    let (condition, text) = parts(error, STREAMS);
    let words = match condition.as_str() {
        "system-shutdown" => "it is stopping",
        "conflict" => "the same resource logged in elsewhere",
        "connection-timeout" => "this side was silent for too long",
        "host-unknown" | "host-gone" => "it does not serve this domain",
        "not-authorized" => "this user may not be here any more",
        "policy-violation" => "a rule was broken",
        "resource-constraint" => "it has too much to do",
        "reset" => "it asks to connect again",
        _ => return told(None, &condition, text),
    };
    told(Some(words), &condition, text)
}

/// Why a login failed (RFC 6120 §6.5).
pub(super) fn login_failure(jid: &Jid, failure: &Element) -> String {
    let (condition, text) = parts(failure, failure.ns());
    let user = jid.bare_str();
    match condition.as_str() {
        "not-authorized" => format!(
            "wrong password, or there is no user {user}; `stanzactl user add {user}` makes it, `stanzactl user passwd {user}` \
             changes its password"
        ),
        "temporary-auth-failure" => told(
            Some("the server cannot check passwords now"),
            &condition,
            text,
        ),
        "account-disabled" | "credentials-expired" => {
            told(Some("this user may not log in"), &condition, text)
        }
        _ => format!("the login was refused: {}", told(None, &condition, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(xml: &str) -> Element {
        Element::parse(xml.as_bytes(), "jabber:client", &[]).unwrap()
    }

    #[test]
    fn conditions_become_words() {
        let stanza = element(
            "<message type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no&#10;bob</text></error></message>",
        );
        assert_eq!(
            stanza_error(&stanza),
            "there is no such address (item-not-found): no bob"
        );
        let stream = element(
            "<error xmlns='http://etherx.jabber.org/streams'><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>",
        );
        assert_eq!(stream_error(&stream), "it is stopping (system-shutdown)");
        let unheard =
            element("<iq><error><x xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
        assert_eq!(stanza_error(&unheard), "x");
        assert_eq!(stanza_error(&element("<iq/>")), "no reason given");
        let jid = Jid::new("a@x").unwrap();
        let failure = element(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
        );
        assert!(
            login_failure(&jid, &failure).starts_with("wrong password, or there is no user a@x;")
        );
    }
}
