//! A conversation without I/O: typed lines in, stanzas and lines to show out.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::line::{Kind, Line, clean, clean_lines};
use super::roster::Contacts;
use super::words::stanza_error;
use crate::jid::Jid;
use crate::xml::{CLIENT_NS, Element};

const DELAY_NS: &str = "urn:xmpp:delay";
const PING_NS: &str = "urn:xmpp:ping";
const STANZAS_NS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// The id of the request for the roster.
const ROSTER_ID: &str = "roster";
/// What the ids of our pings begin with.
const PING_ID: &str = "ping-";
/// What the ids of messages begin with that we send to ourselves.
const FENCE_ID: &str = "fence-";

/// The longest message that is sent, in bytes.
const MESSAGE_BYTES: usize = 60_000;

const HELP: &str = "\
/to JID       what you type goes there from now on
JID: text     one message to somebody else
/who          whom you know, and who is there
/add JID      ask to see when they are online
/accept JID   let them see when you are online; /deny JID does not
/quit         good-bye; ^D does the same. A line that begins with / is sent with //";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Send this.
    Send(Element),
    /// Show this.
    Show(Line),
    /// The ping or the fence of that number is back.
    Back(u64),
    /// The user goes.
    Quit,
}

/// One user's side of conversations.
pub struct Chat {
    me: Jid,
    to: Option<Jid>,
    contacts: Contacts,
    messages: u64,
    asked: u64,
}

impl Chat {
    /// `me` is bound; lines go to `to` unless they say otherwise.
    #[must_use]
    pub fn new(me: Jid, to: Option<Jid>) -> Chat {
        Chat {
            me,
            to,
            contacts: Contacts::default(),
            messages: 0,
            asked: 0,
        }
    }

    /// The roster is asked for before the first presence, so that its pushes come (RFC 6121 §2.2).
    #[must_use]
    pub fn hello(&self) -> Vec<Act> {
        let roster = Element::new("iq", CLIENT_NS)
            .with_attr("type", "get")
            .with_attr("id", ROSTER_ID)
            .with_child(Contacts::query());
        let said = match &self.to {
            Some(to) => format!(
                "{} is online. What you type goes to {}; /help says what else there is.",
                clean(self.me.bare_str()),
                clean(to.as_str())
            ),
            None => format!(
                "{} is online. `/to JID` says whom you write to; /help what else there is.",
                clean(self.me.bare_str())
            ),
        };
        vec![
            Act::Send(roster),
            Act::Send(Element::new("presence", CLIENT_NS)),
            Act::Show(Line::note(said)),
        ]
    }

    /// A message to ourselves, and its number. When it is back, so is what others answered at once to the messages before
    /// it: answers to requests overtake messages that queue behind those that were kept, so that a ping would not do.
    pub fn fence(&mut self) -> (Element, u64) {
        self.asked = self.asked.saturating_add(1);
        let fence = Element::new("message", CLIENT_NS)
            .with_attr("id", &format!("{FENCE_ID}{}", self.asked))
            .with_attr("to", self.me.as_str());
        (fence, self.asked)
    }

    /// A ping to the server, and its number.
    pub fn ping(&mut self) -> (Element, u64) {
        self.asked = self.asked.saturating_add(1);
        let ping = Element::new("iq", CLIENT_NS)
            .with_attr("type", "get")
            .with_attr("id", &format!("{PING_ID}{}", self.asked))
            .with_attr("to", self.me.domain())
            .with_child(Element::new("ping", PING_NS));
        (ping, self.asked)
    }

    /// What a typed line asks for.
    pub fn typed(&mut self, line: &str) -> Vec<Act> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return Vec::new();
        }
        if let Some(text) = line.strip_prefix("//") {
            return self.message(self.to.clone(), &format!("/{text}"));
        }
        // XEP-0245: the recipient's client shows it as an action.
        if line.starts_with('/') && !line.starts_with("/me ") {
            return self.command(line);
        }
        match addressed(line) {
            Some((to, text)) => self.message(Some(to), text),
            None => self.message(self.to.clone(), line),
        }
    }

    fn message(&mut self, to: Option<Jid>, text: &str) -> Vec<Act> {
        let Some(to) = to else {
            return note("to whom? `/to JID`, or `JID: text`");
        };
        if text.len() > MESSAGE_BYTES {
            return note(format!(
                "not sent: {} bytes, a message may have {MESSAGE_BYTES}",
                text.len()
            ));
        }
        self.messages = self.messages.saturating_add(1);
        let message = Element::new("message", CLIENT_NS)
            .with_attr("type", "chat")
            .with_attr("to", to.as_str())
            .with_attr("id", &format!("m{}", self.messages))
            .with_child(Element::new("body", CLIENT_NS).with_text(text));
        vec![Act::Send(message)]
    }

    fn command(&mut self, line: &str) -> Vec<Act> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let kind = match word {
            "/help" => return HELP.lines().flat_map(note).collect(),
            "/quit" => return vec![Act::Quit],
            "/who" => return self.who(),
            "/to" => None,
            "/add" => Some("subscribe"),
            "/accept" => Some("subscribed"),
            "/deny" => Some("unsubscribed"),
            _ => {
                return note(format!(
                    "there is no `{}`; /help lists what there is",
                    clean(word)
                ));
            }
        };
        let jid = match Jid::new(rest) {
            Ok(jid) => jid,
            Err(_) if rest.is_empty() => {
                return note(format!("{word} needs an address: {word} bob@localhost"));
            }
            Err(error) => return note(format!("`{}` is no address: {error}", clean(rest))),
        };
        let shown = clean(jid.as_str());
        let Some(kind) = kind else {
            self.to = Some(jid);
            return note(format!("what you type goes to {shown}"));
        };
        let presence = Element::new("presence", CLIENT_NS)
            .with_attr("to", jid.bare_str())
            .with_attr("type", kind);
        let said = match kind {
            "subscribe" => format!("asked {shown}"),
            "subscribed" => format!("{shown} may see when you are online"),
            _ => format!("{shown} does not see when you are online"),
        };
        vec![Act::Send(presence), Act::Show(Line::note(said))]
    }

    fn who(&self) -> Vec<Act> {
        let list = self.contacts.list();
        if list.is_empty() {
            return note("nobody yet: /add JID asks somebody");
        }
        list.into_iter().flat_map(note).collect()
    }

    /// What a stanza of the server's means; `now` is the local time.
    pub fn heard(&mut self, stanza: &Element, now: &Zoned) -> Vec<Act> {
        match (stanza.name(), stanza.ns()) {
            ("message", CLIENT_NS) => self.heard_message(stanza, now),
            ("presence", CLIENT_NS) => self.heard_presence(stanza, now),
            ("iq", CLIENT_NS) => self.heard_iq(stanza),
            _ => Vec::new(),
        }
    }

    fn heard_message(&self, message: &Element, now: &Zoned) -> Vec<Act> {
        let own = message.attr("from") == Some(self.me.as_str());
        let fence = message.attr("id").and_then(|id| id.strip_prefix(FENCE_ID));
        if let Some(number) = fence.filter(|_| own) {
            return number.parse().map(Act::Back).into_iter().collect();
        }
        let from = self.sender(message);
        if message.attr("type") == Some("error") {
            let text = format!("did not get your message: {}", stanza_error(message));
            return vec![show(Kind::Error, now, from, text)];
        }
        let body = message.child("body", CLIENT_NS);
        let Some(text) = body.or_else(|| message.child("subject", CLIENT_NS)) else {
            return Vec::new();
        };
        let stamp = self.kept_since(message);
        let when = stamp.as_ref().map_or(now, |stamp| stamp);
        let line = Line {
            kind: Kind::Message,
            when: clock(when, now),
            kept: stamp.is_some(),
            from,
            text: clean_lines(&text.text()),
        };
        vec![Act::Show(line)]
    }

    /// Since when our own server has kept a message (XEP-0203); what others say of that is not believed.
    fn kept_since(&self, message: &Element) -> Option<Zoned> {
        let delay = message.elements().find(|child| {
            child.is("delay", DELAY_NS) && child.attr("from") == Some(self.me.domain())
        })?;
        let stamp: Timestamp = delay.attr("stamp")?.parse().ok()?;
        Some(stamp.to_zoned(TimeZone::system()))
    }

    fn heard_presence(&mut self, presence: &Element, now: &Zoned) -> Vec<Act> {
        let Some(from) = presence.attr("from").and_then(|from| Jid::new(from).ok()) else {
            return Vec::new();
        };
        // The user knows where else they are logged in.
        if from.bare_str() == self.me.bare_str() {
            return Vec::new();
        }
        let who = clean(from.bare_str());
        let resource = from.resource().unwrap_or_default();
        let text = match presence.attr("type") {
            None => self
                .contacts
                .presence(from.bare_str(), resource, Some(state(presence))),
            Some("unavailable") => self.contacts.presence(from.bare_str(), resource, None),
            Some("subscribe") => Some(format!(
                "wants to see when you are online: /accept {who} or /deny {who}"
            )),
            Some("subscribed") => Some("lets you see when they are online".to_owned()),
            Some("unsubscribed") => Some("does not let you see when they are online".to_owned()),
            Some("unsubscribe") => {
                Some("does not want to see any more when you are online".to_owned())
            }
            Some("error") => {
                let text = format!("was not reached: {}", stanza_error(presence));
                return vec![show(Kind::Error, now, who, text)];
            }
            Some(_) => None,
        };
        text.map(|text| show(Kind::Presence, now, who, text))
            .into_iter()
            .collect()
    }

    fn heard_iq(&mut self, iq: &Element) -> Vec<Act> {
        let id = iq.attr("id").unwrap_or_default();
        let kind = iq.attr("type").unwrap_or_default();
        match kind {
            "result" | "error" => {
                if let Some(number) = id.strip_prefix(PING_ID).filter(|_| self.is_mine(iq)) {
                    return number.parse().map(Act::Back).into_iter().collect();
                }
                if kind == "result" && id == ROSTER_ID && self.is_mine(iq) {
                    self.contacts.take(iq);
                }
                Vec::new()
            }
            // A push that is not our own account's would put strangers into the roster (RFC 6121 §2.1.6).
            "set" if self.is_mine(iq) && self.contacts.take(iq) => {
                vec![Act::Send(answer(iq, "result"))]
            }
            "get" | "set" => {
                let condition = Element::new("service-unavailable", STANZAS_NS);
                let error = Element::new("error", CLIENT_NS)
                    .with_attr("type", "cancel")
                    .with_child(condition);
                vec![Act::Send(answer(iq, "error").with_child(error))]
            }
            _ => Vec::new(),
        }
    }

    /// Whether our own account or its server says so.
    fn is_mine(&self, iq: &Element) -> bool {
        iq.attr("from").is_none_or(|from| {
            from == self.me.bare_str() || from == self.me.as_str() || from == self.me.domain()
        })
    }

    fn sender(&self, stanza: &Element) -> String {
        let from = stanza.attr("from").unwrap_or(self.me.domain());
        clean(Jid::new(from).as_ref().map_or(from, Jid::bare_str))
    }
}

fn note(text: impl Into<String>) -> Vec<Act> {
    vec![Act::Show(Line::note(text))]
}

fn show(kind: Kind, now: &Zoned, from: String, text: String) -> Act {
    Act::Show(Line {
        kind,
        when: clock(now, now),
        kept: false,
        from,
        text,
    })
}

fn answer(iq: &Element, kind: &str) -> Element {
    let mut answer = Element::new("iq", CLIENT_NS).with_attr("type", kind);
    answer.set_attr("id", iq.attr("id"));
    answer.set_attr("to", iq.attr("from"));
    answer
}

/// `JID: text`: an address of somebody, then what is said.
fn addressed(line: &str) -> Option<(Jid, &str)> {
    let (to, text) = line.split_once(": ")?;
    let plausible = to.contains('@') && !to.contains(char::is_whitespace);
    let to = Jid::new(to).ok().filter(|_| plausible)?;
    Some((to, text))
}

/// The time of the day, with the day if it is another than `now`'s.
fn clock(when: &Zoned, now: &Zoned) -> String {
    let form = if when.date() == now.date() {
        "%H:%M"
    } else {
        "%b %d %H:%M"
    };
    when.strftime(form).to_string()
}

/// What a presence says of its sender (RFC 6121 §4.7.2).
fn state(presence: &Element) -> String {
    let child = |name| presence.child(name, CLIENT_NS).map(|it| clean(&it.text()));
    let show = match child("show").as_deref() {
        Some("away") => "away",
        Some("xa") => "away for long",
        Some("dnd") => "busy",
        Some("chat") => "ready to chat",
        _ => "online",
    };
    match child("status").filter(|status| !status.is_empty()) {
        Some(status) => format!("{show}: {status}"),
        None => show.to_owned(),
    }
}

#[cfg(test)]
mod tests;
