//! What a handler's return values mean.

use mlua::{MultiValue, UserData, Value};

use crate::hook::{PointInfo, Verdict};
use crate::stanza::{Condition, StanzaError};

use super::nearest::nearest;

/// `xmpp.reject(condition, text)`: a refusal on its way out of a handler.
#[derive(Clone)]
pub(super) struct Rejection(pub(super) StanzaError);

impl UserData for Rejection {}

/// A return value that is no verdict, or not one of this hook's.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerdictError {
    #[error(
        "returned \"{word}\", which is no verdict: return nothing, xmpp.NEXT, xmpp.DONE, xmpp.DROP or xmpp.reject(condition, text)"
    )]
    Unknown { word: String },
    #[error(
        "returned a {kind}, which is no verdict: return nothing, xmpp.NEXT, xmpp.DONE, xmpp.DROP or xmpp.reject(condition, text)"
    )]
    Kind { kind: &'static str },
    #[error("returned {verdict}, but {hook} allows only {allowed}")]
    NotHere {
        verdict: &'static str,
        hook: &'static str,
        allowed: String,
    },
}

/// The verdict that `values` are at the hook point of `info`. Nothing returned means next.
pub(super) fn verdict(
    values: &MultiValue,
    info: &'static PointInfo,
) -> Result<Verdict, VerdictError> {
    let verdict = match values.front() {
        None | Some(Value::Nil) => Verdict::Next,
        Some(Value::String(word)) => match word.as_bytes().as_ref() {
            b"next" => Verdict::Next,
            b"done" => Verdict::Done,
            b"drop" => Verdict::Drop,
            _ => {
                return Err(VerdictError::Unknown {
                    word: word.to_string_lossy().chars().take(40).collect(),
                });
            }
        },
        Some(Value::UserData(data)) => match data.borrow::<Rejection>() {
            Ok(rejection) => Verdict::Reject(rejection.0.clone()),
            Err(_) => return Err(VerdictError::Kind { kind: "userdata" }),
        },
        Some(other) => {
            return Err(VerdictError::Kind {
                kind: other.type_name(),
            });
        }
    };
    if info.verdicts.contains(&verdict.name()) {
        Ok(verdict)
    } else {
        Err(VerdictError::NotHere {
            verdict: verdict.name(),
            hook: info.name,
            allowed: info.verdicts.join(", "),
        })
    }
}

/// The condition of that name, or a message with the nearest one.
pub(super) fn condition(name: &str) -> mlua::Result<Condition> {
    Condition::from_name(name).ok_or_else(|| {
        let hint = nearest(name, Condition::ALL.iter().map(|known| known.name()))
            .map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        mlua::Error::runtime(format!(
            "\"{name}\" is no stanza error condition of RFC 6120 §8.3.3{hint}"
        ))
    })
}
