//! Rosters that the console reads and writes.

use tokio::sync::oneshot;

use super::backend::failed;
use super::{Common, Workers};
use crate::control::{Imported, Refused};
use crate::jid::Jid;
use crate::roster::{Change, RosterError, Rosters};
use crate::stanza::roster::{Roster, RosterItem};

/// A user's roster, as it is on disk: a change is told to nobody before it is there.
pub(super) async fn read(common: &Common, jid: &Jid) -> Result<Roster, Refused> {
    let exists = common.store.user_exists(jid.bare_str()).await;
    if !exists.map_err(failed)? {
        return Err(Refused::NoSuchUser(jid.clone()));
    }
    common.store.roster(jid.bare_str()).await.map_err(failed)
}

/// Writes contacts into a user's roster, all or none, and pushes them to whoever is logged in.
pub(super) async fn import(
    common: &Common,
    workers: &Workers,
    jid: &Jid,
    mut items: Vec<RosterItem>,
    replace: bool,
) -> Result<Imported, Refused> {
    let before = read(common, jid).await?;
    for item in &mut items {
        let known = before.get(&item.jid).map(AsRef::as_ref);
        item.keep_request(jid, known);
    }
    let imported = items.len();
    change(workers, jid, Change::Import { items, replace }).await?;
    let after = read(common, jid).await?;
    Ok(Imported {
        jid: jid.to_string(),
        imported,
        contacts: after.len(),
        version: after.version(),
    })
}

/// Changes a roster in its owner's turn, which any worker can run.
async fn change(workers: &Workers, owner: &Jid, change: Change) -> Result<(), Refused> {
    let (tell, told) = oneshot::channel();
    let jid = owner.clone();
    if let Some(worker) = workers.first() {
        worker.run(move |local| {
            let rosters = local.rosters().clone();
            tokio::task::spawn_local(async move {
                // Nobody listens if the console has given up.
                let _ = tell.send(rosters.change(&jid, change).await);
            });
        });
    }
    match told.await.unwrap_or(Err(RosterError::Gone)) {
        Ok(_) => Ok(()),
        Err(RosterError::NoUser) => Err(Refused::NoSuchUser(owner.clone())),
        Err(error) => Err(failed(error)),
    }
}
