//! Sees saves: waits until the script files have been quiet for a moment.

use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::settings::Settings;
use super::snapshot;

/// An editor's write, rename and chmod belong together: this long without another one means that it has finished.
const SETTLE: Duration = Duration::from_millis(100);
/// A file that is written to all the time is read at least this often.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// The watch over the script files.
pub(super) struct Watch {
    /// Kept: dropping it ends the watch.
    _watcher: Option<RecommendedWatcher>,
    touched: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches what `settings` name. What cannot be watched is logged: `stanzactl script reload` still works.
    pub(super) fn on(settings: &Settings) -> Watch {
        // One place is enough: a touch that finds it taken adds nothing.
        let (touch, touched) = mpsc::channel(1);
        let paths = snapshot::watched(settings);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| is_write(&event.kind)) {
                let _ = touch.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            for path in &paths {
                watcher.watch(path, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, ?paths, "scripts are not watched, reload them by hand");
        }
        Watch {
            _watcher: watcher.ok(),
            touched,
        }
    }

    /// Until something was written and then left alone for [`SETTLE`].
    pub(super) async fn settled(&mut self) {
        if self.touched.recv().await.is_none() {
            // Nothing is watched.
            std::future::pending::<()>().await;
        }
        let latest = Instant::now() + SETTLE_MAX;
        loop {
            let quiet = (Instant::now() + SETTLE).min(latest);
            if !matches!(
                tokio::time::timeout_at(quiet, self.touched.recv()).await,
                Ok(Some(()))
            ) {
                return;
            }
        }
    }
}

/// Reading a file is an event too; ours must not wake us.
fn is_write(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}
