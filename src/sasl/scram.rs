//! SCRAM for the server's role (RFC 5802), without channel binding: `-PLUS` is not offered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jid::Jid;

use super::keys::Hash;
use super::{
    Credentials, Failure, Lookup, Purpose, ScramKeys, Secret, Step, Success, Unknown, login,
};

/// The longest nonce that we take from a client, in bytes.
const MAX_CLIENT_NONCE: usize = 256;

/// The client's word about channel binding (RFC 5802 §7, `gs2-cbind-flag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// `n`: the client cannot.
    Unsupported,
    /// `y`: the client could, but believes that we cannot. Right, as long as no `-PLUS` is offered; once one is, this
    /// tells of somebody who took it out of our list.
    NotOffered,
    /// `p=name`: the client binds.
    Required,
}

/// The parts of a client's first message.
struct ClientFirst<'a> {
    gs2_header: &'a str,
    binding: Binding,
    authzid: Option<String>,
    /// As sent: it is part of what is signed.
    bare: &'a str,
    name: String,
    nonce: &'a str,
}

/// Takes the client's first message, adds `server_nonce` (printable ASCII) to its nonce, and asks for the user's keys.
pub(super) fn first(
    hash: Hash,
    domain: &str,
    server_nonce: &str,
    message: &[u8],
) -> Result<Step, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
    let message = ClientFirst::parse(text).ok_or(Failure::MalformedRequest)?;
    match message.binding {
        Binding::Unsupported | Binding::NotOffered => {}
        // RFC 5802 §6: a client must not bind under a mechanism without -PLUS, and no other is offered.
        Binding::Required => return Err(Failure::MalformedRequest),
    }
    let user = login(domain, &message.name, message.authzid.as_deref())?;
    let nonce = format!("{}{server_nonce}", message.nonce);
    let scram = AwaitKeys {
        hash,
        gs2_header: message.gs2_header.to_owned(),
        client_first_bare: message.bare.to_owned(),
        nonce,
    };
    Ok(Step::NeedCredentials(Lookup {
        user,
        purpose: Purpose::Scram(Box::new(scram)),
    }))
}

/// A SCRAM exchange that waits for the user's keys.
#[derive(Debug)]
pub(super) struct AwaitKeys {
    hash: Hash,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
}

impl AwaitKeys {
    /// The server's first message, and the exchange that waits for the client's proof.
    pub(super) fn keys(
        self,
        user: Jid,
        stored: Option<Credentials>,
        unknown: Unknown,
    ) -> (Vec<u8>, AwaitProof) {
        let known = stored.is_some();
        let keys = match stored {
            Some(credentials) => credentials.into_keys(self.hash),
            None => unknown.into_keys(self.hash),
        };
        let server_first = format!(
            "r={},s={},i={}",
            self.nonce,
            STANDARD.encode(&keys.salt),
            keys.iterations
        );
        let proof = AwaitProof {
            hash: self.hash,
            user,
            known,
            keys,
            gs2_header: self.gs2_header,
            signed: format!("{},{server_first}", self.client_first_bare),
            nonce: self.nonce,
        };
        (server_first.into_bytes(), proof)
    }
}

/// A SCRAM exchange that waits for the client's proof.
#[derive(Debug)]
pub(super) struct AwaitProof {
    hash: Hash,
    user: Jid,
    known: bool,
    keys: ScramKeys,
    gs2_header: String,
    nonce: String,
    /// `client-first-message-bare "," server-first-message`.
    signed: String,
}

impl AwaitProof {
    /// Checks the client's final message (RFC 5802 §3 and §5.1).
    pub(super) fn check(self, message: &[u8]) -> Result<Step, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
        let message = ClientFinal::parse(text).ok_or(Failure::MalformedRequest)?;
        if message.binding != self.gs2_header.as_bytes() || message.nonce != self.nonce {
            return Err(Failure::NotAuthorized);
        }
        let signed = format!("{},{}", self.signed, message.without_proof);
        let signature = self.hash.hmac(&self.keys.stored_key, signed.as_bytes());
        if message.proof.len() != signature.len() {
            return Err(Failure::MalformedRequest);
        }
        let client_key: Vec<u8> = message
            .proof
            .iter()
            .zip(&signature)
            .map(|(proof, sign)| proof ^ sign)
            .collect();
        let stored_key = Secret::new(self.hash.digest(&client_key));
        let verifier = self.hash.hmac(&self.keys.server_key, signed.as_bytes());
        // `&`, not `&&`: the comparison is made for unknown users too.
        if !(stored_key.matches(&self.keys.stored_key) & self.known) {
            return Err(Failure::NotAuthorized);
        }
        Ok(Step::Success(Success {
            user: self.user,
            data: Some(format!("v={}", STANDARD.encode(verifier)).into_bytes()),
        }))
    }
}

impl<'a> ClientFirst<'a> {
    /// `gs2-header client-first-message-bare` (RFC 5802 §7).
    fn parse(text: &'a str) -> Option<ClientFirst<'a>> {
        let (flag, rest) = text.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let binding = match flag {
            "n" => Binding::Unsupported,
            "y" => Binding::NotOffered,
            _ if flag.starts_with("p=") => Binding::Required,
            _ => return None,
        };
        let authzid = match authzid {
            "" => None,
            _ => Some(saslname(authzid.strip_prefix("a=")?)?),
        };
        let mut attributes = bare.split(',');
        // A mandatory extension (`m=`) would stand here, and must be refused.
        let name = saslname(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if nonce.is_empty() || nonce.len() > MAX_CLIENT_NONCE || !nonce.bytes().all(printable) {
            return None;
        }
        attributes.all(is_extension).then_some(ClientFirst {
            gs2_header: text.strip_suffix(bare)?,
            binding,
            authzid,
            bare,
            name,
            nonce,
        })
    }
}

/// The parts of a client's final message.
struct ClientFinal<'a> {
    binding: Vec<u8>,
    nonce: &'a str,
    proof: Vec<u8>,
    /// As sent: it is part of what is signed.
    without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    /// `channel-binding "," nonce ["," extensions] "," proof` (RFC 5802 §7).
    fn parse(text: &'a str) -> Option<ClientFinal<'a>> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if !attributes.all(is_extension) {
            return None;
        }
        Some(ClientFinal {
            binding: STANDARD.decode(binding).ok()?,
            nonce,
            proof: STANDARD.decode(proof).ok()?,
            without_proof,
        })
    }
}

/// Whether `byte` may stand in a nonce: printable ASCII but the comma.
fn printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x2B | 0x2D..=0x7E)
}

/// Whether `attribute` is an optional extension, which is ignored: a letter that has no other meaning here, `=`, and a
/// value (RFC 5802 §7, `attr-val`).
fn is_extension(attribute: &str) -> bool {
    let mut bytes = attribute.bytes();
    let letter = bytes.next();
    letter.is_some_and(|byte| byte.is_ascii_alphabetic() && !b"acimnprsv".contains(&byte))
        && bytes.next() == Some(b'=')
        && bytes.len() > 0
        && !attribute.contains('\0')
}

/// A name with `=2C` and `=3D` decoded; any other `=` and the empty name are refused (RFC 5802 §5.1).
fn saslname(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    out.push_str(pieces.next()?);
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix("2C") {
            out.push(',');
            out.push_str(rest);
        } else {
            out.push('=');
            out.push_str(piece.strip_prefix("3D")?);
        }
    }
    (!out.is_empty() && !out.contains('\0')).then_some(out)
}
