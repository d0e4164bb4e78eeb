//! The time by two clocks, and the slot of a block.
//!
//! A block is shown at its own time and not before (H6): peers would take it earlier (H7), but an easy network would then
//! run ahead of its clock faster than blocks travel. A node's own miner keeps the same slot
//! (`node/src/driver/miner/slot.rs`). That time is of the node's clock. This machine's may be another, and be set while a
//! block waits; so nothing waits longer than the interval of H6 after the first work on its parent came, by a clock that
//! nobody sets. Peers take the block by then: see [`Work::interval_ms`](crate::work::Work::interval_ms).

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some moment before: nobody sets this clock. All waits are measured by it.
    pub run_ms: u64,
    /// Milliseconds since 1970: whoever sets this machine's clock sets it. It is for the times of blocks alone.
    pub day_ms: u64,
}

/// When a block may be shown: at its time by the one clock, or at the latest moment by the other, whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The block's own time, ms since 1970.
    pub time: u64,
    /// The moment that it waits for at the most, by the clock that nobody sets, ms.
    pub latest: u64,
}

impl Slot {
    /// How long it is until then, ms.
    #[must_use]
    pub fn wait_ms(&self, now: Now) -> u64 {
        self.time.saturating_sub(now.day_ms).min(self.latest.saturating_sub(now.run_ms))
    }
}
