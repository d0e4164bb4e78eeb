//! Room on the disk: orders and mining end before it does.
//!
//! A driver tells how many bytes are free; here it is decided what follows. While there is too little, no order is
//! admitted, whoever brought it, and no template is made; blocks are still taken and journalled for as long as
//! there is any room at all, so that the node follows the chain. Both begin again only when a quarter more than the
//! least is free: a disk at the limit must not make them flicker.

use std::fmt;

use printsy_p2p::{PeerKey, Request};

use super::Core;
use super::event::Effect;
use super::sync::Asked;

/// What is free on the datadir's file system, and what must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free for this process, in bytes.
    pub free_bytes: u64,
    /// With less than this, in bytes, the node takes no orders and does not mine; 0: whatever is free is enough.
    pub least_bytes: u64,
}

impl Room {
    /// How much has to be free before what stopped begins again, in bytes.
    #[must_use]
    pub fn enough_bytes(self) -> u64 {
        self.least_bytes.saturating_add(self.least_bytes / 4)
    }
}

/// As a sentence for operators and callers, in MiB.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, enough) = (self.free_bytes >> 20, self.enough_bytes().div_ceil(1 << 20));
        write!(f, "the disk is nearly full: {free} MiB are free, orders and mining need {enough}")
    }
}

/// What was last told of the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guard {
    room: Option<Room>,
    is_low: bool,
}

impl Core {
    /// The disk as it was last looked at, where there is one.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        self.guard.room
    }

    /// The disk, where it has too little room for orders and mining.
    #[must_use]
    pub fn low_room(&self) -> Option<Room> {
        self.guard.room.filter(|_| self.guard.is_low)
    }

    /// The driver looked how much is free.
    pub(super) fn take_room(&mut self, room: Room) {
        let was_low = self.guard.is_low;
        let wanted = if was_low { room.enough_bytes() } else { room.least_bytes };
        self.guard = Guard { room: Some(room), is_low: room.free_bytes < wanted };
        self.metrics.disk(room.free_bytes);
        match (was_low, self.guard.is_low) {
            (false, true) => tracing::error!("{room}; make room: blocks are kept while there is any"),
            (true, false) => {
                tracing::info!(free_bytes = room.free_bytes, "there is room again: orders are taken");
                // What peers have pending was not asked for, or was refused, meanwhile.
                let peers: Vec<PeerKey> = self.peers.iter().map(|(key, _)| key).collect();
                peers.into_iter().for_each(|peer| self.ask(peer, Asked::Pending, Request::Pending));
            }
            _ => return,
        }
        self.effects.push(Effect::StorageChanged);
    }
}
