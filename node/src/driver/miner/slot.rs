//! The slot of a block that was found: how long it waits for that, and what ends the wait before.
//!
//! `printsy-miner` keeps the same slot (`miner/program/src/desk/slot.rs`); the clock of a node's own miner is the node's, so
//! that it knows H7's bound as well.

use std::time::Duration;

use printsy_ledger::Template;
use tokio::time::{Instant, sleep};

use super::Driver;

/// How often a block that waits for its time looks at the clock, which may be set meanwhile.
const LOOK_AT_CLOCK_AFTER: Duration = Duration::from_secs(1);
/// A block that waits longer than this for its slot is told of, ms.
const TELL_FROM_MS: u64 = 2_000;

impl Driver {
    /// Waits until the block of this template has its slot, or the tip is as high as it is, and it is too late anyway. A tip
    /// that is another block of the parent's height changes nothing: the block has more work than that, and all would turn
    /// to it, early, and publish the next one early too.
    ///
    /// A node that stops waits no longer; `None` where nobody takes the block yet.
    pub(super) async fn wait_for_slot(&self, template: &Template, parent_at: Instant) -> Option<()> {
        let mut is_told = false;
        let (mut stop, mut changes) = (self.stop.clone(), self.node.changes());
        while self.node.reader().snapshot().tip.height() < template.header.height {
            let early = self.early_by(template, parent_at);
            if early == 0 {
                break;
            }
            if *stop.borrow() {
                return (self.until_taken(template) == 0).then_some(());
            }
            if early > TELL_FROM_MS && !is_told {
                tracing::info!(height = template.header.height, early, "block found, held until its time");
                is_told = true;
            }
            tokio::select! {
                () = sleep(Duration::from_millis(early).min(LOOK_AT_CLOCK_AFTER)) => {}
                stopped = stop.changed() => if stopped.is_err() { return None },
                // A new tip may be as high as the block.
                _ = changes.changed() => {}
            }
        }
        Some(())
    }

    /// How long it is until peers take a block of this template, by this node's clock, ms: from `max_future_ms` before its
    /// time on (H7).
    fn until_taken(&self, template: &Template) -> u64 {
        let taken_from = template.header.time.saturating_sub(self.node.params().max_future_ms);
        taken_from.saturating_sub(self.node.clock().now())
    }

    /// How much too early it is for a block of this template, ms.
    ///
    /// H6: its time is the interval after its parent's, and so should it come, or an easy network would run ahead of its
    /// clock faster than blocks travel. A clock that is late does not hold it longer than the interval after this node saw
    /// the parent, but until peers take it.
    fn early_by(&self, template: &Template, parent_at: Instant) -> u64 {
        let since_parent = u64::try_from(parent_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until_slot = template.header.time.saturating_sub(self.node.clock().now());
        let at_most = self.node.params().min_interval_ms.saturating_sub(since_parent);
        self.until_taken(template).max(until_slot.min(at_most))
    }
}
