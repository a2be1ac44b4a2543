//! Whom users block, read and changed by the console.

use std::time::Duration;

use tokio::sync::oneshot;

use super::backend::failed;
use super::{Common, Workers};
use crate::control::Refused;
use crate::directory::{BlockChange, BlockError};
use crate::jid::Jid;

/// How long a change may take: it waits for the disk.
const CHANGE_TIME: Duration = Duration::from_secs(10);

/// The addresses that a user blocks.
pub(super) async fn list(common: &Common, jid: &Jid) -> Result<Vec<Jid>, Refused> {
    let listed = common.store.recipient(jid.bare_str()).await;
    listed
        .map_err(failed)?
        .ok_or_else(|| Refused::NoSuchUser(jid.clone()))
}

/// Changes them in the user's account turn, which needs a worker.
pub(super) async fn change(
    workers: &Workers,
    jid: &Jid,
    change: BlockChange,
) -> Result<(), Refused> {
    let Some(worker) = workers.first() else {
        return Err(Refused::Failed("no worker runs".into()));
    };
    let (tell, told) = oneshot::channel();
    let owner = jid.clone();
    worker.run(move |local| {
        let delivery = local.delivery().clone();
        tokio::task::spawn_local(async move {
            // Nobody listens if the console has given up: the change stands.
            let _ = tell.send(delivery.block(&owner, change).await);
        });
    });
    let changed = tokio::time::timeout(CHANGE_TIME, told)
        .await
        .map_err(failed)?
        .map_err(failed)?;
    changed.map_err(|error| match error {
        BlockError::NoSuchUser => Refused::NoSuchUser(jid.clone()),
        error => failed(error),
    })
}
