//! The live trace of one stanza: begun when somebody watches one of its addresses, published when its way ends.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::delivery::{Fate, Receipt};
use crate::directory::{Account, Outbox, Outcome, Safe};
use crate::hook::{Event, TraceStep};
use crate::jid::Jid;
use crate::observe::trace::{Record, Registry};
use crate::stanza::{Kind, Stanza, StanzaError};

/// A list to collect steps in, if the stanza is watched.
pub(super) fn begin(registry: &Registry, stanza: &Stanza) -> Option<Vec<TraceStep>> {
    if !registry.active() {
        return None;
    }
    let from = stanza.from().map_or("", Jid::as_str);
    let to = stanza.to().map_or("", Jid::as_str);
    registry.wants(from, to).then(Vec::new)
}

/// What is known of the stanza's way when it ends.
fn record(event: &mut Event, fate: String) -> Record {
    let steps = event.trace.take().unwrap_or_default();
    let stanza = event.stanza.as_ref();
    let text = |jid: Option<&Jid>| jid.map_or_else(String::new, |jid| jid.as_str().to_owned());
    Record {
        when: SystemTime::now(),
        kind: stanza.map_or("", |stanza| stanza.kind().name()),
        id: stanza.map_or_else(String::new, |stanza| {
            stanza.id().unwrap_or_default().to_owned()
        }),
        from: stanza.map_or_else(|| event.peer.jid.as_str().to_owned(), |s| text(s.from())),
        to: text(stanza.and_then(Stanza::to)),
        steps,
        fate,
    }
}

/// Gives the collected steps to the watchers. What the recipient's account turn has yet to decide is waited for, outside
/// of the stanza's way: then the receipt that comes back stands for the one that went in.
pub(super) fn publish(
    registry: &Arc<Registry>,
    event: &mut Event,
    fate: String,
    receipt: Receipt,
) -> Receipt {
    let mut record = record(event, fate);
    let Receipt::Stored { outcome, stanza } = receipt else {
        registry.publish(&record);
        return receipt;
    };
    let (tell, told) = oneshot::channel();
    let registry = registry.clone();
    let kept = event.stanza.clone();
    tokio::task::spawn_local(async move {
        let outcome = outcome.await;
        record.fate = match &outcome {
            Ok(outcome) => settled(outcome, kept.as_ref()),
            Err(_) => "lost: the server stops".to_owned(),
        };
        registry.publish(&record);
        if let Ok(outcome) = outcome {
            // The session may have ended meanwhile.
            let _ = tell.send(outcome);
        }
    });
    Receipt::Stored {
        outcome: told,
        stanza,
    }
}

fn settled(outcome: &Outcome, stanza: Option<&Stanza>) -> String {
    match outcome {
        Ok(Safe::Written(account, outbox, _)) => reached(account, outbox),
        Ok(Safe::Now) if stanza.is_some_and(|stanza| stanza.kind() == Kind::Message) => {
            Fate::Spool.to_string()
        }
        Ok(Safe::Now) => Fate::Nowhere.to_string(),
        Err(error) => refused(error),
    }
}

/// Where delivery has put a stanza.
pub(super) fn fate(fate: Fate, receipt: &Receipt) -> String {
    match (fate, receipt) {
        (
            Fate::Outbox(1),
            Receipt::Written {
                account: Some(account),
                outbox,
                ..
            },
        ) => reached(account, outbox),
        (fate, _) => fate.to_string(),
    }
}

/// The fate of a stanza that an error answers.
pub(super) fn refused(error: &StanzaError) -> String {
    format!("refused: {}", error.condition.name())
}

/// The address behind an outbox, unless its session has ended meanwhile.
fn reached(account: &Account, outbox: &Arc<Outbox>) -> String {
    let resource = account.lock().and_then(|state| {
        let mut resources = state.resources().iter();
        resources
            .find(|resource| Arc::ptr_eq(&resource.outbox, outbox))
            .map(|resource| resource.jid.clone())
    });
    format!(
        "delivered to {}",
        resource.as_ref().unwrap_or(account.bare())
    )
}
