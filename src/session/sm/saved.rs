//! Sessions that wait for their client survive a restart of the server: saved when it stops, restored when it starts.
//!
//! The record is not what keeps messages: each is a row of the spool before it is written here, and only its row's number
//! says that the session had it already. A record that is lost, as after `kill -9`, loses nothing that was acknowledged.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::detached::keep;
use crate::directory::{About, Item, Packed, Resource, Resumable, Show, Told};
use crate::hook::PeerKind;
use crate::jid::Jid;
use crate::session::{Registered, Shared};
use crate::stanza::Stanza;

/// The documents that hold them.
pub const SAVED_KIND: &str = "sm-session";

/// Sessions that are saved of one user; sessions of one user are bounded long before.
pub(super) const SAVED_MAX: u64 = 10_000;

/// One session.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    jid: String,
    id: String,
    /// Until when it may be resumed, in milliseconds since 1970 UTC.
    expires_at: i64,
    resume_seconds: u64,
    handled: u64,
    acked: u32,
    /// How many of `items` had been sent.
    unacked: usize,
    items: Vec<SavedItem>,
    priority: Option<i8>,
    show: String,
    status: String,
    presence: Option<String>,
    interested: bool,
    hears_blocks: bool,
    available: bool,
    inherited: bool,
    directed: Vec<String>,
    vars: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedItem {
    stanza: String,
    row: Option<i64>,
}

fn text(stanza: &Stanza) -> String {
    String::from_utf8_lossy(&stanza.to_bytes()).into_owned()
}

impl Saved {
    /// What there is to save of `resource`.
    pub(super) fn new(
        resource: &Resource,
        packed: Packed,
        resumable: Resumable,
        expires_at: i64,
    ) -> Saved {
        let (available, inherited, directed) = resource.told.parts();
        Saved {
            jid: resource.jid.to_string(),
            id: resource.resume_id.as_deref().unwrap_or_default().to_owned(),
            expires_at,
            resume_seconds: resumable.resume_time.as_secs(),
            handled: resumable.handled,
            acked: packed.acked,
            unacked: packed.unacked,
            items: packed
                .items
                .iter()
                .map(|item| SavedItem {
                    stanza: text(&item.stanza),
                    row: item.row,
                })
                .collect(),
            priority: resource.priority,
            show: resource.show.show.clone(),
            status: resource.show.status.clone(),
            presence: resource.presence.as_ref().map(text),
            interested: resource.interested,
            hears_blocks: resource.hears_blocks,
            available,
            inherited,
            directed: directed.iter().map(Jid::to_string).collect(),
            vars: resumable.vars,
        }
    }

    /// As a document: its name and its data.
    pub(super) fn document(&self) -> Result<(String, Bytes), serde_json::Error> {
        Ok((self.id.clone(), Bytes::from(serde_json::to_vec(self)?)))
    }
}

/// Why a saved session cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is no record of this version.
    #[error("not a saved session: {0}")]
    Json(#[from] serde_json::Error),
    /// An address in it is none.
    #[error("not an address: {0}")]
    Jid(#[from] crate::jid::Error),
    /// A stanza in it is none.
    #[error("not a stanza: {0}")]
    Stanza(#[from] crate::stanza::ParseError),
}

/// Restores a session, as number `id`, to wait on `worker`. One whose time is over ends at once, as it would have.
///
/// # Errors
/// The document holds no session; messages of it are in the spool.
pub fn restore(
    shared: &Rc<Shared>,
    data: &Bytes,
    id: u64,
    worker: usize,
) -> Result<(), RestoreError> {
    let saved: Saved = serde_json::from_slice(data)?;
    let jid = Jid::new(&saved.jid)?;
    let stanza = |text: String| Stanza::from_bytes(&Bytes::from(text));
    let mut items = Vec::with_capacity(saved.items.len());
    for item in saved.items {
        let row = item.row;
        let stanza = stanza(item.stanza)?;
        items.push(Item { stanza, row });
    }
    let directed = saved
        .directed
        .iter()
        .map(|jid| Jid::new(jid))
        .collect::<Result<Vec<_>, _>>()?;
    let told = Arc::new(Told::of_parts(saved.available, saved.inherited, directed));
    let presence = saved.presence.map(stanza).transpose()?;
    let clock = shared.timers.clock();
    let (now_ms, wall_ms) = (clock.monotonic_ms(), clock.wall_ms());
    let left_ms = u64::try_from(saved.expires_at.saturating_sub(wall_ms)).unwrap_or(0);
    let packed = Packed {
        acked: saved.acked,
        unacked: saved.unacked,
        items,
    };
    let rows: Vec<i64> = packed.items.iter().filter_map(|item| item.row).collect();
    let delivery = shared.router.delivery();
    let outbox = delivery.restored_outbox(packed, (shared.sm)().unacked);
    let registered = Registered {
        id,
        kind: PeerKind::Client,
        jid: jid.clone(),
        outbox: outbox.clone(),
        told: told.clone(),
        resumed: None,
    };
    delivery.directory().with(&jid, |_, state| {
        for row in rows {
            if !state.carry(row) {
                let others = state.resources().iter();
                others.for_each(|other| outbox.share_row(row, &other.outbox));
            }
        }
        state.bind(Resource {
            jid: jid.clone(),
            session: id,
            priority: saved.priority,
            show: Show {
                show: saved.show,
                status: saved.status,
            },
            presence,
            interested: saved.interested,
            told,
            outbox,
            about: About {
                worker,
                bound_at_ms: now_ms,
                ..About::default()
            },
            hears_blocks: saved.hears_blocks,
            resume_id: Some(saved.id.into()),
            detached_at_ms: Some(now_ms),
        });
    });
    let resumable = Resumable {
        handled: saved.handled,
        resume_time: Duration::from_secs(saved.resume_seconds),
        vars: saved.vars,
    };
    let until_ms = now_ms.saturating_add(left_ms);
    keep(shared.clone(), &registered, resumable, Some(until_ms));
    Ok(())
}
