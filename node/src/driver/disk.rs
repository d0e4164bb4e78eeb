//! The disk's driver: looks at the datadir once a second. What it sees is an event; where the datadir is lost, the
//! core's thread is told past the queue, so that nothing more is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::core::Event;
use crate::guard::DiskGuard;
use crate::handle::NodeHandle;

/// How often the datadir is looked at: a full disk at 500 MB a second has a second's notice in the default.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks until the node ends, or has nothing left to look at.
pub(crate) async fn run(node: NodeHandle, guard: DiskGuard, mut stop: watch::Receiver<bool>) {
    let guard = Arc::new(guard);
    let mut interval = interval(LOOK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.changed() => return,
        }
        let looking = guard.clone();
        // A look may hang with the file system: off the async threads.
        let Ok(seen) = tokio::task::spawn_blocking(move || looking.look()).await else { return };
        let event = match seen {
            Ok(room) => Event::Room(room),
            Err(lost) => {
                node.lose_datadir(lost);
                Event::Tick
            }
        };
        if node.send(event).await.is_none() {
            return;
        }
    }
}
