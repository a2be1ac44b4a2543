//! What the server itself answers, one protocol a file, each a set of hook handlers.
//!
//! A [`Service`] answers iq requests that are addressed to the server: to its domain, to nobody, to the sender's own bare
//! JID, or to a user's, on whose behalf the server answers (RFC 6121 §8.5.1). [`register`] puts them on the bus at
//! `client_iq_recv`, and some at `component_iq_recv`; what none of them takes goes on its way. What each does is told in `docs/services.md`.

mod native;
mod rfc6121_session;
mod xep0012_last;
mod xep0030_disco;
mod xep0049_private;
mod xep0050_commands;
mod xep0054_vcard;
mod xep0077_register;
mod xep0092_version;
mod xep0115_caps;
mod xep0133_admin;
mod xep0157_contacts;
mod xep0191_blocking;
mod xep0199_ping;
mod xep0202_time;

pub use xep0012_last::left;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::directory::{BlockChange, BlockError, Blocks, Directory};
use crate::hook::{Band, Bus, Outbox, Peer, Point};
use crate::jid::Jid;
use crate::net::Clock;
use crate::roster::Rosters;
use crate::stanza::{Condition, PayloadStart, StanzaError};
use crate::store::{Store, StoreError};
use crate::xml::Element;
use native::Native;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target<'a> {
    /// The server: this domain of ours.
    Server(&'a str),
    /// The sender's own account: its bare JID, or no `to`.
    Own,
    /// Somebody else's bare JID at a domain of ours. Whether there is such a user is not known.
    Account(&'a Jid),
}

/// A payload, `None` for an empty result; or an error.
type Outcome = Result<Option<Element>, StanzaError>;

/// What a service answers.
enum Answer {
    /// Known at once. Costs no allocation: pings are answered so.
    Now(Outcome),
    /// Known later. The sender's stream waits, others do not.
    Wait(Pin<Box<dyn Future<Output = Outcome>>>),
}

impl Answer {
    /// An answer that waits for `work`.
    fn wait(work: impl Future<Output = Outcome> + 'static) -> Answer {
        Answer::Wait(Box::pin(work))
    }

    /// An empty result once `written` is.
    fn stored(written: crate::store::Answer<()>) -> Answer {
        Answer::wait(async move {
            match written.await {
                Ok(()) => Ok(None),
                Err(error) => Err(not_stored(&error)),
            }
        })
    }

    /// An error with its default type.
    fn refuse(condition: Condition) -> Answer {
        Answer::Now(Err(StanzaError::new(condition)))
    }
}

/// One protocol's answers.
trait Service {
    /// The protocol, as `stanzactl hooks` and `trace` name it: `xep0199_ping`.
    fn name(&self) -> &'static str;

    /// Namespaces that disco announces for it.
    fn features(&self) -> &'static [&'static str];

    /// Whether `payload` in a request of that type, to that target, is its business.
    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool;

    /// What is answered of an account that does not exist, and so to those whom its owner blocks.
    fn nobody(&self) -> Condition {
        Condition::ServiceUnavailable
    }

    /// What an error repeats of `payload` (RFC 6120 §8.3.1), where clients find by it what they had asked.
    fn echo(&self, _payload: &Element) -> Option<Element> {
        None
    }

    /// Whether components are answered too; for protocols that know only users of ours, nothing is taken from them.
    fn for_components(&self) -> bool {
        false
    }

    /// The answer of a service that has one for all that it takes: they are not read any further, and pings cost no tree.
    fn always(&self) -> Option<Outcome> {
        None
    }

    /// Answers, now or later. Asked where there is no answer for all: a service has the one or the other.
    fn answer(&self, _request: &Request<'_>) -> Answer {
        Answer::refuse(self.nobody())
    }
}

/// A request that a service has taken.
struct Request<'a> {
    /// `get` or `set`.
    kind: &'a str,
    payload: &'a Element,
    target: Target<'a>,
    /// By whose stream it came.
    peer: &'a Arc<Peer>,
    /// Who asks: that peer, or somebody at the domain of that component.
    from: &'a Jid,
}

/// What somebody waits for.
pub type Waits<T> = Pin<Box<dyn Future<Output = Result<T, BlockError>>>>;

/// Block lists (XEP-0191), as delivery keeps and enforces them.
pub trait BlockLists {
    /// The list of the user of `jid`, one of whose sessions asks; that session hears of changes from here on.
    fn list(self: Rc<Self>, jid: Jid, session: u64) -> Waits<Blocks>;

    /// Changes the list of the user of `jid`: ready when that is durable and in force.
    fn change(self: Rc<Self>, jid: Jid, change: BlockChange) -> Waits<()>;

    /// Whether `owner` blocks `peer`.
    fn covers(self: Rc<Self>, owner: Jid, peer: Jid) -> Waits<bool>;
}

/// What services work with.
pub struct Parts {
    /// The server's clock.
    pub clock: Clock,
    /// Where users and their documents are.
    pub store: Store,
    /// Changes and removes users.
    pub accounts: Arc<Accounts>,
    /// The configuration in force.
    pub config: Rc<dyn Fn() -> Arc<Config>>,
    /// Who is online.
    pub directory: Arc<Directory>,
    /// Who blocks whom.
    pub blocks: Rc<dyn BlockLists>,
    /// Where they put stanzas of their own.
    pub outbox: Rc<dyn Outbox>,
    /// Who sees whom.
    pub rosters: Rc<dyn Rosters>,
    /// Namespaces that scripts announce; another `Rc` when they have changed.
    pub announced: Announced,
}

/// Namespaces that are announced now.
pub type Announced = Rc<dyn Fn() -> Rc<[String]>>;

/// What streams of a domain announce now, as XML.
pub type StreamFeatures = Box<dyn Fn(&str) -> Rc<str>>;

/// Puts every service on a worker's bus. Returns what tells what the streams of a domain announce after the login: its
/// capabilities.
pub fn register(bus: &mut Bus, parts: &Parts) -> StreamFeatures {
    let Parts {
        clock,
        store,
        accounts,
        config,
        directory,
        blocks,
        outbox,
        rosters,
        announced,
    } = parts;
    let ping: Rc<dyn Service> = Rc::new(xep0199_ping::Ping);
    let admin = xep0133_admin::commands(&xep0133_admin::Tools::new(parts));
    let commands: Rc<dyn Service> = Rc::new(xep0050_commands::Commands::new(admin, clock.clone()));
    let others: Vec<Rc<dyn Service>> = vec![
        Rc::new(xep0092_version::Version),
        Rc::new(xep0202_time::Time::new(clock.clone())),
        Rc::new(rfc6121_session::Session),
        Rc::new(xep0049_private::Private::new(store.clone(), config.clone())),
        Rc::new(xep0077_register::Register::new(
            accounts.clone(),
            config.clone(),
            outbox.clone(),
        )),
        Rc::new(xep0054_vcard::Vcard::new(store.clone(), config.clone())),
        Rc::new(xep0191_blocking::Blocking::new(blocks.clone())),
        Rc::new(xep0012_last::Last::new(
            clock.clone(),
            store.clone(),
            directory.clone(),
            rosters.clone(),
        )),
    ];
    let mut features: Vec<&'static str> = xep0030_disco::FEATURES.to_vec();
    features.extend(ping.features());
    features.extend(commands.features());
    features.extend(others.iter().flat_map(|service| service.features()));
    let disco = Rc::new(xep0030_disco::Disco::new(
        features,
        announced.clone(),
        config.clone(),
        directory.clone(),
    ));
    // Commands are nodes of service discovery: what is theirs comes to them first.
    let services = [ping, commands, disco.clone()].into_iter().chain(others);
    let services: Vec<_> = services.collect();
    let for_components = services.iter().filter(|service| service.for_components());
    for (point, services) in [
        (Point::ComponentIqRecv, for_components.cloned().collect()),
        (Point::ClientIqRecv, services),
    ] {
        let native = Native::new(services, config.clone(), blocks.clone());
        bus.register(point, Band::Native, Rc::new(native));
    }
    // The first of its band: no script hears what the recipient does not want to hear.
    let screen = xep0191_blocking::Screen::new(blocks.clone(), directory.clone());
    bus.register(Point::SubscriptionRecv, Band::Early, Rc::new(screen));
    Box::new(move |domain| disco.stream_feature(domain))
}

/// What the sender hears when a document could not be read or written.
fn not_stored(error: &StoreError) -> StanzaError {
    StanzaError::new(match error {
        StoreError::NotAllowed { .. } => Condition::NotAcceptable,
        StoreError::TooManyDocuments { .. } | StoreError::Overloaded | StoreError::Full => {
            Condition::ResourceConstraint
        }
        error => {
            tracing::error!(%error, "a user's document is neither read nor written");
            Condition::InternalServerError
        }
    })
}

/// An element as a document holds it, unless it is larger than `most` bytes.
fn to_document(element: &Element, most: usize) -> Result<Bytes, StanzaError> {
    let text = element.to_string();
    if text.len() > most {
        let told = format!("more than {most} bytes");
        return Err(StanzaError::new(Condition::NotAcceptable).with_text(told));
    }
    Ok(Bytes::from(text))
}

/// The element of a document. `None`, and a line in the log, when it is damaged.
fn from_document(data: &Bytes, owner: &str, name: &str) -> Option<Element> {
    Element::parse(data, "", &[])
        .inspect_err(|error| tracing::error!(%error, owner, name, "a damaged document"))
        .ok()
}
