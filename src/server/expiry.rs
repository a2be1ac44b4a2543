//! Gives back what has expired in the queues of users.

use std::sync::Arc;
use std::time::Duration;

use super::{Common, Workers, queue};

/// How often it looks: a tenth of the time that a message is kept, within these.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long it leaves the store to others when there is more to do.
const BREATH: Duration = Duration::from_millis(200);

/// Looks for ever, on a worker, a bounded number of messages at a time.
pub(super) async fn watch(common: Arc<Common>, workers: Workers) {
    let mut failing = false;
    let mut wait = Duration::ZERO;
    loop {
        tokio::time::sleep(wait).await;
        let looked = queue::on_worker(&workers, |local| async move {
            let expired = local.delivery().expire().await?;
            let more = expired.more;
            Ok::<_, crate::store::StoreError>((queue::told(&local, expired.returned), more))
        });
        wait = interval(&common);
        let error: Box<dyn std::error::Error> = match looked.await {
            Ok(Ok((returned, more))) => {
                failing = false;
                if returned.bounced > 0 || returned.silent > 0 {
                    tracing::info!(
                        bounced = returned.bounced,
                        silent = returned.silent,
                        "messages have expired: their senders are told"
                    );
                }
                if more {
                    wait = BREATH;
                }
                continue;
            }
            Ok(Err(error)) => error.into(),
            Err(error) => error.into(),
        };
        // Said once: a disk that is full stays so for a while.
        if !failing {
            tracing::error!(%error, "cannot give back what has expired, trying again");
        }
        failing = true;
    }
}

fn interval(common: &Common) -> Duration {
    let kept = common.config.load().limits().offline_expiration;
    kept.map_or(LOOK.1, |kept| (kept / 10).clamp(LOOK.0, LOOK.1))
}
