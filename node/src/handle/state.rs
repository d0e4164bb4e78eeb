//! Where the core stands, as the other threads see it: shown by its thread after each event, read by whoever asks.
//!
//! One thing goes the other way: that the datadir is lost is noted here and not in the queue, so that the core
//! acknowledges nothing of what waits there.

use super::NodeHandle;
use crate::core::{Alarms, Core, MAX_INDEX_LAG_ROWS, Room, SyncState};
use crate::guard::DatadirLost;

/// Where the core stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    sync: SyncState,
    best_height: u64,
    room: Option<Room>,
    low_room: Option<Room>,
    alarms: Alarms,
}

impl NodeHandle {
    /// Where the node stands in following the chain.
    #[must_use]
    pub fn sync_state(&self) -> SyncState {
        self.shared.state.lock().sync
    }

    /// The height of the header of most work, whether its body is here or not.
    #[must_use]
    pub fn best_height(&self) -> u64 {
        self.shared.state.lock().best_height
    }

    /// The disk as it was last looked at, where there is one.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        self.shared.state.lock().room
    }

    /// The disk, while it has too little room for orders and mining.
    #[must_use]
    pub fn low_room(&self) -> Option<Room> {
        self.shared.state.lock().low_room
    }

    /// The alarms that stand.
    #[must_use]
    pub fn alarms(&self) -> Alarms {
        self.shared.state.lock().alarms
    }

    /// Whether an order that breaks no rule would be taken now, as far as memory tells.
    #[must_use]
    pub fn takes_orders(&self) -> bool {
        let reader = self.reader();
        let has_index = reader.index_failure().is_none() && reader.index_lag() <= MAX_INDEX_LAG_ROWS;
        !self.sync_state().is_syncing() && self.low_room().is_none() && has_index
    }

    /// Shows where the core stands after an event.
    pub(crate) fn show(&self, core: &Core) {
        let sync = core.sync_state();
        let best_height = match sync {
            SyncState::Synced => core.best_height(),
            SyncState::Syncing { best } => best,
        };
        self.shared.metrics.sync(best_height);
        let (room, low_room, alarms) = (core.room(), core.low_room(), core.alarms());
        *self.shared.state.lock() = State { sync, best_height, room, low_room, alarms };
    }

    /// Notes that the datadir is lost.
    pub(crate) fn lose_datadir(&self, lost: DatadirLost) {
        // The first reason is the one that is told.
        let _ = self.shared.lost.set(lost);
    }

    /// Why the datadir is lost, if it is.
    pub(crate) fn lost_datadir(&self) -> Option<&DatadirLost> {
        self.shared.lost.get()
    }
}
