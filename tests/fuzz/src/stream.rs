//! Negotiation: any sequence of elements, in any reads, with the server's answers in any order.
//!
//! The first line says what the listener grants, in words: `tls` (encrypted from the first byte), `absent` or `offered` (of
//! STARTTLS, else it is required), `plain`, `sha1`, `sha256` (mechanisms, else all), `register` (also without TLS), `gateways`
//! (components in clear text, else inside TLS), `alone` (no components). Every other line
//! is one read, or a part of one if it ends in `+`: one of the words of [`Stream::said`], an event out of its order, or bytes as they are.

mod heard;
mod said;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanzad::config::{Component, Registration};
use stanzad::jid::Jid;
use stanzad::net::{Clock, TimeSource};
use stanzad::sasl::{Credentials, Mechanism, Secret, Unknown, handshake};
use stanzad::stanza::{Condition, StanzaError};
use stanzad::stream::{
    Bounds, Components, Event, Negotiation, NewAccount, Next, NotResumed, Rules, StartTls,
};
use stanzad::xml::{COMPONENT_NS, Element, Frame, Framer, Header, Limits};

use super::proof::{ROUNDS, Transcript, stored};

const SASL_NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// A component, and what it knows.
const GATEWAY: (&str, &str) = ("gw.example.org", "hush");
/// Lines that are looked at.
const MAX_LINES: usize = 100;
/// Failed steps that a stream may take (RFC 6120 §6.4.5 asks for two to five).
const MAX_FAILURES: usize = 5;
const DOMAINS: [(&str, Registration); 3] = [
    ("example.org", Registration::Open),
    ("invited.example", Registration::Invite),
    ("closed.example", Registration::Closed),
];

/// The state machine is closed, what it says is a stream, and no session begins without a proof.
///
/// # Panics
/// When it is not so.
pub fn check(data: &[u8]) {
    run(data);
}

/// [`check`], and whether it came to a session.
pub fn run(data: &[u8]) -> bool {
    let mut lines = data.split(|byte| *byte == b'\n').take(MAX_LINES);
    let words = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let mut stream = Stream::new(&words);
    let mut read = Vec::new();
    for line in lines {
        if let Some(name) = line.strip_prefix(b"event ") {
            if let Some(event) = event(name, None) {
                stream.give(event);
                assert!(stream.over, "an event out of its order goes on");
            }
        } else if let Some(name) = line.strip_prefix(b"swap ") {
            stream.swap = Some(name.to_vec());
        } else {
            let (part, joined) = match line.strip_suffix(b"+") {
                Some(part) => (part, true),
                None => (line, false),
            };
            read.extend(stream.said(part));
            if !joined {
                stream.read(&std::mem::take(&mut read));
            }
        }
        if stream.over {
            break;
        }
    }
    stream.bound
}

/// An answer of the server to the question `asked`, or to none: the one that would open most, if it is not what was asked.
fn event(name: &[u8], asked: Option<&str>) -> Option<Event> {
    let name = std::str::from_utf8(name).ok()?;
    let refused = || StanzaError::new(Condition::Conflict);
    let due = asked == Some(name);
    let unknown = Unknown::new(&[7; 32], "anna@example.org", ROUNDS);
    Some(match name {
        "encrypted" => Event::Encrypted,
        "found" if due => Event::Found(None),
        "found" => Event::Found(Some((stored("secret"), unknown))),
        "derived" if due => Event::Derived(None),
        "derived" => Event::Derived(stored("secret").map(|keys| keys.sha256)),
        "resource" if due => Event::Resource(Err(refused())),
        "resource" => Event::Resource(Jid::new("anna@example.org/x").map_err(|_| refused())),
        "resumed" if due => Event::Resumed(Err(NotResumed::Gone)),
        "resumed" => Event::Resumed(
            Jid::new("anna@example.org/x")
                .map(|jid| (jid, 1))
                .map_err(|_| NotResumed::Gone),
        ),
        "registered" if due => Event::Registered(Err(refused())),
        "registered" => Event::Registered(Ok(())),
        "shown" if due => Event::Shown(Err(refused())),
        "shown" => Event::Shown(Ok("id".to_owned())),
        "attached" => Event::Attached,
        "late" => Event::Late,
        "end" => Event::End,
        _ => return None,
    })
}

/// Random bytes that count: what was found is found again.
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

fn gateway() -> Option<Arc<Component>> {
    let (domain, secret) = GATEWAY;
    Some(Arc::new(Component {
        jid: Jid::new(domain).ok()?,
        secret: Secret::new(secret.as_bytes()),
        outbox_size: 0,
    }))
}

struct User {
    jid: Jid,
    password: String,
    stored: Credentials,
}

fn user(jid: Jid, password: &str) -> Option<User> {
    let password = stringprep::saslprep(password).ok()?.into_owned();
    let stored = stored(&password)?;
    Some(User {
        jid,
        password,
        stored,
    })
}

/// A server with one peer, and what it may do as far as a bystander knows.
struct Stream {
    negotiation: Negotiation,
    framer: Framer,
    header: Header,
    /// Reads what the server says.
    client: Framer,
    client_header: Header,
    users: Vec<User>,
    starttls: StartTls,
    encrypted: bool,
    registers_in_clear: bool,
    /// Where components may connect.
    components: Components,
    /// What a component says to prove itself.
    proof: Option<String>,
    /// The exchange under way: its mechanism, what was said, who was looked up.
    exchange: Option<(Mechanism, Transcript)>,
    claimed: Option<Jid>,
    /// Who has proved who it is, and how.
    login: Option<(Jid, Mechanism)>,
    reopened: bool,
    registered: usize,
    failures: usize,
    /// The event that is given instead of the next answer.
    swap: Option<Vec<u8>>,
    bound: bool,
    over: bool,
}

impl Stream {
    fn new(words: &str) -> Stream {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let has = |word| words.contains(&word);
        let starttls = match (has("absent"), has("offered")) {
            (true, _) => StartTls::Absent,
            (_, true) => StartTls::Offered,
            _ => StartTls::Required,
        };
        let mechanisms = [
            ("sha256", Mechanism::ScramSha256),
            ("sha1", Mechanism::ScramSha1),
            ("plain", Mechanism::Plain),
        ];
        let every = !mechanisms.iter().any(|(word, _)| has(word));
        let granted = mechanisms
            .into_iter()
            .filter(|(word, _)| every || has(word));
        let find = |domain: &str| DOMAINS.iter().find(|(name, _)| *name == domain);
        let components = match (has("alone"), has("gateways")) {
            (true, _) => Components::Nowhere,
            (_, true) => Components::Here,
            _ => Components::Encrypted,
        };
        let rules = Rules {
            starttls,
            mechanisms: granted.map(|(_, mechanism)| mechanism).collect(),
            serves: Box::new(move |domain| find(domain).is_some()),
            speaker: Some("example.org".to_owned()),
            registration: Box::new(move |domain| {
                find(domain).map_or(Registration::Closed, |(_, mode)| *mode)
            }),
            registration_without_tls: has("register"),
            components,
            component: Box::new(|domain| (domain == GATEWAY.0).then(gateway).flatten()),
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
            after_login: Rc::new(|_| "<more xmlns='urn:example:more'/>".into()),
        };
        let encrypted = has("tls");
        let clock = Clock::new(Arc::new(Counting::default()));
        let anna =
            |domain, password| user(Jid::from_parts(Some("anna"), domain, None).ok()?, password);
        let users = [
            anna("example.org", "secret"),
            anna("closed.example", "other"),
        ];
        Stream {
            negotiation: Negotiation::new(rules, clock, encrypted),
            framer: Framer::new(Limits::BEFORE_AUTH),
            header: Header::default(),
            client: Framer::new(Limits::BOUND),
            client_header: Header::default(),
            users: users.into_iter().flatten().collect(),
            starttls,
            encrypted,
            registers_in_clear: has("register"),
            components,
            proof: None,
            exchange: None,
            claimed: None,
            login: None,
            reopened: false,
            registered: 0,
            failures: 0,
            swap: None,
            bound: false,
            over: false,
        }
    }

    fn find(&self, jid: &Jid) -> Option<&User> {
        self.users.iter().find(|user| user.jid == *jid)
    }

    /// One read, as the driver of a socket takes it.
    fn read(&mut self, mut input: &[u8]) {
        while !self.over {
            let event = match self.framer.next(&mut input) {
                Ok(None) => return,
                Ok(Some(Frame::Whitespace)) => continue,
                Ok(Some(Frame::End)) => Event::End,
                Ok(Some(Frame::Header(header))) => {
                    self.header = header.clone();
                    self.reopened = self.login.is_some();
                    Event::Header(header)
                }
                Ok(Some(Frame::Stanza(raw))) => {
                    match Element::parse(&raw.bytes, &self.header.ns, &self.header.prefixes) {
                        Ok(element) => {
                            self.overhear(&element);
                            let behind = !input.trim_ascii_start().is_empty();
                            Event::Element { element, behind }
                        }
                        Err(error) => Event::Broken(error),
                    }
                }
                Err(error) => Event::Broken(error),
            };
            if self.give(event) {
                input = &[];
            }
        }
    }

    /// What the peer says about itself.
    fn overhear(&mut self, element: &Element) {
        let proves = element.is("handshake", COMPONENT_NS);
        self.proof = proves.then(|| element.text().into_owned());
        let data = STANDARD.decode(element.text().as_ref()).ok();
        if element.is("auth", SASL_NS) {
            let mechanism = element.attr("mechanism").and_then(Mechanism::from_name);
            let said = data.filter(|data| !data.is_empty()).into_iter().collect();
            let transcript = Transcript {
                said,
                challenges: Vec::new(),
            };
            self.exchange = mechanism.map(|mechanism| (mechanism, transcript));
            self.claimed = None;
        } else if let (true, Some((_, transcript))) =
            (element.is("response", SASL_NS), &mut self.exchange)
        {
            transcript.said.extend(data);
        }
    }

    /// Gives an event and the server's answers to what it leads to. True: what was read is dropped.
    fn give(&mut self, event: Event) -> bool {
        let mut event = Some(event);
        let mut drop_read = false;
        while let Some(now) = event.take() {
            let mut out = Vec::new();
            let next = self.negotiation.on(now, &mut out);
            self.hear(&out);
            event = match next {
                Next::Read => None,
                Next::Restart => {
                    self.restart();
                    None
                }
                Next::StartTls => {
                    assert!(!self.encrypted && self.starttls != StartTls::Absent);
                    drop_read = true;
                    let event = self.answer("encrypted", Event::Encrypted);
                    self.encrypted |= matches!(event, Event::Encrypted);
                    Some(event)
                }
                Next::Bound(jid, mechanism) => {
                    let login = self.login.as_ref().map(|(user, how)| (user.as_str(), *how));
                    assert_eq!(login, Some((jid.bare_str(), mechanism)), "no such login");
                    assert!(self.reopened && jid.is_full());
                    self.bound = true;
                    self.over = true;
                    None
                }
                Next::Attached(_) => {
                    assert_eq!(out, b"<handshake/>");
                    self.bound = true;
                    self.over = true;
                    None
                }
                Next::End | Next::Refused(_) => {
                    self.over = true;
                    None
                }
                question => Some(self.asked(question)),
            };
        }
        drop_read
    }

    fn restart(&mut self) {
        self.framer.restart();
        self.client.restart();
        self.reopened = false;
    }

    /// What the server answers to a question of the negotiation.
    fn asked(&mut self, question: Next) -> Event {
        let refused = |condition| StanzaError::new(condition);
        match question {
            Next::Lookup(jid) => {
                assert_eq!(Some(jid.domain()), self.negotiation.domain(), "{jid}");
                assert!(jid.is_bare() && self.login.is_none());
                let stored = self.find(&jid).map(|user| user.stored.clone());
                let unknown = Unknown::new(&[7; 32], jid.as_str(), ROUNDS);
                self.claimed = Some(jid);
                self.answer("found", Event::Found(Some((stored, unknown))))
            }
            Next::Derive(work) => self.answer("derived", Event::Derived(Some(work.run()))),
            Next::Bind(user, wish) => {
                let login = self.login.as_ref().map(|(jid, _)| jid);
                assert_eq!(login, Some(&user), "a resource for somebody else");
                assert!(self.reopened, "a resource in the stream of the login");
                let outcome = match wish.as_deref() {
                    Some("taken") => Err(refused(Condition::Conflict)),
                    wish => user
                        .with_resource(wish.unwrap_or("made"))
                        .map_err(|_| refused(Condition::BadRequest)),
                };
                self.answer("resource", Event::Resource(outcome))
            }
            Next::Resume { user, previd, h } => {
                let login = self.login.as_ref().map(|(jid, _)| jid);
                assert_eq!(login, Some(&user), "a session of somebody else");
                assert!(self.reopened, "a session in the stream of the login");
                let outcome = match previd.as_str() {
                    "mine" => user
                        .with_resource("old")
                        .map(|jid| (jid, h))
                        .map_err(|_| NotResumed::Gone),
                    _ => Err(NotResumed::Gone),
                };
                self.answer("resumed", Event::Resumed(outcome))
            }
            Next::Register(account) => {
                let outcome = self.register(&account);
                self.answer("registered", Event::Registered(outcome))
            }
            Next::ShowInvite(domain, token) => {
                assert_eq!(Some(domain.as_str()), self.negotiation.domain());
                let outcome = match token.expose() {
                    b"good" => Ok("id".to_owned()),
                    _ => Err(refused(Condition::ItemNotFound)),
                };
                self.answer("shown", Event::Shown(outcome))
            }
            Next::Attach(component) => {
                let id = self.client_header.id.as_deref().unwrap_or_default();
                let good = handshake(id, GATEWAY.1.as_bytes());
                assert_eq!(self.proof, Some(good), "no proof");
                assert_eq!(component.jid.as_str(), GATEWAY.0);
                assert!(self.login.is_none(), "behind a login");
                let clear = self.components == Components::Here;
                assert!(clear || self.encrypted, "in clear text");
                assert_ne!(self.components, Components::Nowhere);
                self.answer("attached", Event::Attached)
            }
            _ => panic!("no question"),
        }
    }

    /// The right answer, unless another is to be given in its place.
    fn answer(&mut self, name: &str, right: Event) -> Event {
        let wrong = self.swap.take();
        let wrong = wrong.and_then(|wrong| event(&wrong, Some(name)));
        if wrong.is_some() {
            // Nothing that is asked for and not given may open anything.
            self.claimed = None;
        }
        wrong.unwrap_or(right)
    }

    fn register(&mut self, account: &NewAccount) -> Result<(), StanzaError> {
        let domain = self.negotiation.domain().unwrap_or_default().to_owned();
        let mode = DOMAINS.iter().find(|(name, _)| *name == domain);
        let mode = mode.map_or(Registration::Closed, |(_, mode)| *mode);
        assert_eq!(account.user.domain(), domain, "at another domain");
        assert!(self.login.is_none() && self.registered == 0);
        assert!(self.encrypted || self.registers_in_clear, "in clear text");
        assert_ne!(mode, Registration::Closed);
        assert!(mode == Registration::Open || account.invite.is_some());
        let refused = |condition| Err(StanzaError::new(condition));
        if self.find(&account.user).is_some() {
            return refused(Condition::Conflict);
        }
        let password = String::from_utf8_lossy(account.password.expose()).into_owned();
        let Some(user) = user(account.user.clone(), &password) else {
            return refused(Condition::NotAcceptable);
        };
        if self.swap.is_none() {
            self.users.push(user);
            self.registered += 1;
        }
        Ok(())
    }
}
