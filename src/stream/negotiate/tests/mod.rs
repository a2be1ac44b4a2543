//! Conversations as bytes, without sockets: what the peer sends, what it is told.

mod bind;
mod component;
mod login;
mod manage;
mod order;
mod register;

use super::*;
use crate::directory::AckTooHigh;
use crate::net::TimeSource;
use crate::sasl::tests::ScramClient;
use crate::stanza::Condition;
use crate::xml::{Frame, Framer, Limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const ITERATIONS: u32 = 64;
const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const BIND: &str = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

/// Random bytes that count, so that nothing repeats and everything is reproduced.
#[derive(Default)]
struct Counting(AtomicU8);

impl TimeSource for Counting {
    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn random(&self, out: &mut [u8]) {
        out.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// A server and its user `anna` with the password `secret`, as one peer sees them.
struct Stream {
    negotiation: Negotiation,
    framer: Framer,
    header: Header,
    /// What the bind is answered with, taken once.
    refuse_bind: Option<StanzaError>,
    /// Everything the server was asked for.
    asked: Vec<String>,
    over: Option<Over>,
}

#[derive(Debug, PartialEq)]
enum Over {
    Bound(String, Mechanism),
    Attached(String),
    Ended,
    Refused(StreamCondition),
}

fn stream(starttls: StartTls, mechanisms: &[Mechanism], encrypted: bool) -> Stream {
    let rules = Rules {
        starttls,
        mechanisms: mechanisms.to_vec(),
        serves: Box::new(|domain| {
            ["example.org", "other.example", "invited.example"].contains(&domain)
        }),
        speaker: Some("example.org".to_owned()),
        registration: Box::new(|domain| match domain {
            "example.org" => Registration::Open,
            "invited.example" => Registration::Invite,
            _ => Registration::Closed,
        }),
        registration_without_tls: false,
        components: Components::Here,
        component: Box::new(|domain| (domain == "gw.example.org").then(gateway)),
        bounds: (
            Bounds {
                max_bytes: 10_000,
                idle: Some(Duration::from_secs(30)),
            },
            Bounds {
                max_bytes: 262_144,
                idle: None,
            },
        ),
        after_login: Rc::new(|domain| {
            format!("<more xmlns='urn:example:more' of='{domain}'/>").into()
        }),
    };
    let clock = Clock::new(Arc::new(Counting::default()));
    Stream {
        negotiation: Negotiation::new(rules, clock, encrypted),
        framer: Framer::new(Limits::BEFORE_AUTH),
        header: Header::default(),
        refuse_bind: None,
        asked: Vec::new(),
        over: None,
    }
}

/// Whose secret is `hush`.
fn gateway() -> Arc<Component> {
    Arc::new(Component {
        jid: Jid::new("gw.example.org").unwrap(),
        secret: Secret::new(*b"hush"),
        outbox_size: 1 << 20,
    })
}

/// Under TLS, with every mechanism.
fn secure() -> Stream {
    stream(StartTls::Required, &Mechanism::ALL, true)
}

impl Stream {
    /// What the server says to `text`.
    fn say(&mut self, text: &str) -> String {
        let mut input = text.as_bytes();
        let mut out = Vec::new();
        while self.over.is_none() {
            let event = match self.framer.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Frame::Whitespace)) => continue,
                Ok(Some(Frame::End)) => Event::End,
                Ok(Some(Frame::Header(header))) => {
                    self.header = header.clone();
                    Event::Header(header)
                }
                Ok(Some(Frame::Stanza(raw))) => Event::Element {
                    element: Element::parse(&raw.bytes, &self.header.ns, &self.header.prefixes)
                        .unwrap(),
                    behind: !input.is_empty(),
                },
                Err(error) => Event::Broken(error),
            };
            self.give(event, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    /// Gives an event, and the server's answers to what it asks for.
    fn give(&mut self, event: Event, out: &mut Vec<u8>) {
        let mut event = Some(event);
        while let Some(now) = event.take() {
            match self.negotiation.on(now, out) {
                Next::Read => {}
                Next::Restart => self.framer.restart(),
                Next::StartTls => {
                    self.framer.restart();
                    event = Some(Event::Encrypted);
                }
                Next::Lookup(user) => {
                    self.asked.push(format!("look up {user}"));
                    let stored = (user.as_str() == "anna@example.org")
                        .then(|| Credentials::derive("secret", ITERATIONS, &[1; 16]).unwrap());
                    let unknown = Unknown::new(&[7; 32], user.as_str(), ITERATIONS);
                    event = Some(Event::Found(Some((stored, unknown))));
                }
                Next::Derive(work) => {
                    self.asked.push("derive".to_owned());
                    event = Some(Event::Derived(Some(work.run())));
                }
                Next::Bind(user, wish) => {
                    self.asked.push(format!("bind {user} {wish:?}"));
                    let jid = user
                        .with_resource(wish.as_deref().unwrap_or("made"))
                        .unwrap();
                    event = Some(Event::Resource(match self.refuse_bind.take() {
                        Some(error) => Err(error),
                        None => Ok(jid),
                    }));
                }
                Next::Resume { user, previd, h } => {
                    self.asked.push(format!("resume {previd} of {user} at {h}"));
                    let jid = user.with_resource("old").unwrap();
                    event = Some(Event::Resumed(match previd.as_str() {
                        "mine" if h <= 7 => Ok((jid, 3)),
                        "mine" => Err(AckTooHigh { h, sent: 7 }.into()),
                        _ => Err(NotResumed::Gone),
                    }));
                }
                Next::Register(account) => {
                    let NewAccount { user, invite, .. } = account;
                    self.asked.push(format!("register {user} {invite:?}"));
                    event = Some(Event::Registered(match user.local() {
                        Some("anna") => Err(StanzaError::new(Condition::Conflict)),
                        _ => Ok(()),
                    }));
                }
                Next::ShowInvite(domain, token) => {
                    self.asked.push(format!("show an invite to {domain}"));
                    event = Some(Event::Shown(match token.expose() {
                        b"good" => Ok("id".to_owned()),
                        _ => Err(StanzaError::new(Condition::ItemNotFound)),
                    }));
                }
                Next::Bound(jid, mechanism) => {
                    self.over = Some(Over::Bound(jid.as_str().to_owned(), mechanism));
                }
                Next::Attach(component) => {
                    self.asked.push(format!("attach {}", component.jid));
                    event = Some(Event::Attached);
                }
                Next::Attached(component) => {
                    self.over = Some(Over::Attached(component.jid.as_str().to_owned()));
                }
                Next::End => self.over = Some(Over::Ended),
                Next::Refused(refusal) => self.over = Some(Over::Refused(refusal.condition)),
            }
        }
    }

    /// Logs in with PLAIN and opens the stream again.
    fn log_in(&mut self) -> String {
        self.say(HEADER);
        assert_eq!(self.say(&plain("\0anna\0secret")), success());
        self.say(HEADER)
    }
}

fn auth(mechanism: &str, text: &str) -> String {
    format!("<auth xmlns='{SASL_NS}' mechanism='{mechanism}'>{text}</auth>")
}

fn plain(message: &str) -> String {
    auth("PLAIN", &STANDARD.encode(message))
}

fn response(data: &[u8]) -> String {
    format!(
        "<response xmlns='{SASL_NS}'>{}</response>",
        STANDARD.encode(data)
    )
}

fn success() -> String {
    format!("<success xmlns='{SASL_NS}'/>")
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL_NS}'><{condition}/></failure>")
}

fn challenge(said: &str) -> Vec<u8> {
    let start = format!("<challenge xmlns='{SASL_NS}'>");
    let text = said
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix("</challenge>"));
    STANDARD
        .decode(text.unwrap_or_else(|| panic!("{said}")))
        .unwrap()
}

fn scram(stream: &mut Stream, client: &ScramClient, mechanism: Mechanism) -> String {
    let said = stream.say(&auth(mechanism.name(), &STANDARD.encode(client.first())));
    let (last, _) = client.last(&challenge(&said));
    stream.say(&response(&last))
}

#[track_caller]
fn assert_refused(stream: &Stream, said: &str, condition: StreamCondition) {
    assert_eq!(stream.over, Some(Over::Refused(condition)), "{said}");
    let error = stream_error_bytes(condition, None, None);
    let error = String::from_utf8(error).unwrap();
    assert!(said.ends_with(&error), "{said}");
}
