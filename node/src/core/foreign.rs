//! Blocks by this node's own mining key that it did not make: somebody else has the key, or the same key mines twice.
//!
//! A block was made here if it came from this node's own miner, or as the nonce of a template that this node handed
//! out: whoever holds the key may have it ground elsewhere through this node. Everything else that the key signed is
//! foreign, and is told of once, whatever becomes of it.
//!
//! # Correctness
//! What this node made before it was started comes back from peers: after a reorganisation, or all of it where the
//! datadir was lost. A header's time is at most `max_future_ms` ahead of its maker's clock, so that a block made before
//! the start has no time later than the start and that much: only later ones count. The node is blind to a foreign
//! block for that long after its start, and never raises a false alarm, as long as its clock is not set back.

use std::collections::BTreeSet;

use printsy_consensus::{CheckedBlock, Hash, PublicKey};

use super::Core;
use super::event::BlockSource;

/// How many blocks made here, and how many made elsewhere, are remembered: a day of one miner at two seconds a block.
const MAX_REMEMBERED: usize = 43_200;

/// The key that is watched, and what was seen of it.
#[derive(Debug)]
pub(super) struct Watch {
    key: PublicKey,
    /// No block with a time up to this is foreign, ms.
    before: u64,
    made: Remembered,
    foreign: Remembered,
}

/// Ids by height, so that the oldest are forgotten first.
#[derive(Debug, Default)]
struct Remembered(BTreeSet<(u64, Hash)>);

impl Remembered {
    fn note(&mut self, block: &CheckedBlock) -> bool {
        let is_new = self.0.insert((block.height(), block.id()));
        if self.0.len() > MAX_REMEMBERED {
            self.0.pop_first();
        }
        is_new
    }

    fn has(&self, block: &CheckedBlock) -> bool {
        self.0.contains(&(block.height(), block.id()))
    }
}

impl Core {
    /// Watches for blocks by this node's mining key that it did not make, from `now` (ms) on.
    pub fn watch_key(&mut self, key: PublicKey, now: u64) {
        let before = now.saturating_add(self.ledger.params().max_future_ms);
        self.watch = Some(Watch { key, before, made: Remembered::default(), foreign: Remembered::default() });
    }

    /// Looks whether a block came from where the key's blocks should come from.
    pub(super) fn watch_block(&mut self, source: BlockSource, block: &CheckedBlock) {
        let header = block.header().header();
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.key == header.miner) else { return };
        if matches!(source, BlockSource::Made(_)) {
            watch.made.note(block);
            return;
        }
        if header.time > watch.before && !watch.made.has(block) && watch.foreign.note(block) {
            self.metrics.foreign_block();
            let (height, hash) = (header.height, block.id());
            tracing::error!(
                height, %hash, miner = %header.miner,
                "a block by this node's mining key that it did not make: the key is used elsewhere"
            );
        }
    }
}
