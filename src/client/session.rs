//! From an address to a bound resource.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::stream::Stream;
use super::words::login_failure;
use super::{ClientError, Server, Trust};
use crate::jid::Jid;
use crate::net::Clock;
use crate::sasl::client::{Scram, plain};
use crate::sasl::{Mechanism, NONCE_BYTES};
use crate::xml::{CLIENT_NS, Element};

const SASL_NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND_NS: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// Who logs in.
pub struct Account {
    /// The bare address; a resource in it is asked for.
    pub jid: Jid,
    /// The password.
    pub password: String,
}

/// A stream with a bound resource.
pub struct Session {
    pub(super) stream: Stream,
    /// The full address that the server gave.
    pub jid: Jid,
}

impl Session {
    /// Connects to `server`, proves it by `trust`, logs in and binds. No presence is sent.
    ///
    /// # Errors
    /// [`ClientError`]: at which step, and why.
    pub async fn start(
        server: &Server,
        trust: &Trust,
        account: &Account,
        clock: &Clock,
    ) -> Result<Session, ClientError> {
        let mut stream = Stream::connect(server, account.jid.domain(), trust).await?;
        let features = stream.open().await?;
        log_in(&mut stream, &features, account, clock).await?;
        stream.open().await?;
        let jid = bind(&mut stream, account.jid.resource()).await?;
        Ok(Session { stream, jid })
    }
}

/// The best mechanism that the server offers.
fn choose(features: &Element) -> Result<Mechanism, ClientError> {
    let list = features.child("mechanisms", SASL_NS);
    let offered: Vec<String> = list
        .into_iter()
        .flat_map(Element::elements)
        .map(|mechanism| mechanism.text().into_owned())
        .collect();
    Mechanism::ALL
        .into_iter()
        .find(|mechanism| offered.iter().any(|name| name == mechanism.name()))
        .ok_or_else(|| ClientError::Mechanisms(super::line::clean(&offered.join(", "))))
}

/// One SASL exchange (RFC 6120 §6.4).
async fn log_in(
    stream: &mut Stream,
    features: &Element,
    account: &Account,
    clock: &Clock,
) -> Result<(), ClientError> {
    let mechanism = choose(features)?;
    let user = account.jid.local().unwrap_or_default();
    let mut nonce = [0; NONCE_BYTES];
    clock.random(&mut nonce);
    let Some(scram) = Scram::new(mechanism, user, &account.password, nonce)? else {
        let message = plain(user, &account.password)?;
        stream.send(&auth(mechanism, message.expose())).await?;
        return sasl_answer(stream, "success", account).await.map(drop);
    };
    stream
        .send(&auth(mechanism, scram.first().as_bytes()))
        .await?;
    let challenge = sasl_answer(stream, "challenge", account).await?;
    // Some seconds of work at the most, in a program that has nothing else to do.
    let (message, proof) = scram.answer(&challenge)?;
    let response = Element::new("response", SASL_NS).with_text(&STANDARD.encode(message));
    stream.send(&response).await?;
    let success = sasl_answer(stream, "success", account).await?;
    Ok(proof.check(&success)?)
}

fn auth(mechanism: Mechanism, initial: &[u8]) -> Element {
    Element::new("auth", SASL_NS)
        .with_attr("mechanism", mechanism.name())
        .with_text(&STANDARD.encode(initial))
}

/// The data of the answer that is wanted.
async fn sasl_answer(
    stream: &mut Stream,
    wanted: &'static str,
    account: &Account,
) -> Result<Vec<u8>, ClientError> {
    let answer = stream.answer().await?;
    if answer.is("failure", SASL_NS) {
        return Err(ClientError::Refused(login_failure(&account.jid, &answer)));
    }
    if !answer.is(wanted, SASL_NS) {
        return Err(ClientError::unexpected("the login's next step", &answer));
    }
    STANDARD
        .decode(answer.text().as_bytes())
        .map_err(|_| crate::sasl::client::Distrust::Malformed.into())
}

/// Binds a resource (RFC 6120 §7.6), the server's choice unless one is named.
async fn bind(stream: &mut Stream, resource: Option<&str>) -> Result<Jid, ClientError> {
    let mut bind = Element::new("bind", BIND_NS);
    if let Some(resource) = resource {
        bind = bind.with_child(Element::new("resource", BIND_NS).with_text(resource));
    }
    let request = Element::new("iq", CLIENT_NS)
        .with_attr("type", "set")
        .with_attr("id", "bind")
        .with_child(bind);
    stream.send(&request).await?;
    let answer = stream.answer().await?;
    if answer.attr("type") == Some("error") {
        let why = super::words::stanza_error(&answer);
        return Err(ClientError::Refused(format!("no resource is bound: {why}")));
    }
    answer
        .child("bind", BIND_NS)
        .and_then(|bind| bind.child("jid", BIND_NS))
        .and_then(|jid| Jid::new(&jid.text()).ok())
        .ok_or_else(|| ClientError::unexpected("a bound address", &answer))
}
