//! Bodies of blocks that are not on the chain (yet): bounded, in memory, oldest out first.
//!
//! Only blocks whose header has done its work and was placed get here. A block that joins the chain moves to
//! the journal and leaves this cache.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use printsy_consensus::{CheckedBlock, Hash};

/// How many bytes of bodies wait at the most, whatever their number: four of the largest blocks that any
/// genesis may allow, or thousands of ordinary ones.
pub const MAX_SIDE_BODY_BYTES: usize = 256 * 1024 * 1024;

/// Bodies by block id.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    by_id: HashMap<Hash, Arc<CheckedBlock>>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Bodies {
    /// Keeps a body, and returns the ids of those dropped to make room.
    pub(crate) fn insert(&mut self, block: Arc<CheckedBlock>) -> Vec<Hash> {
        let id = block.id();
        if self.by_id.contains_key(&id) {
            return Vec::new();
        }
        self.bytes += block.bytes().len();
        self.order.push_back(id);
        self.by_id.insert(id, block);
        let mut dropped = Vec::new();
        while self.bytes > MAX_SIDE_BODY_BYTES && self.by_id.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if self.take(&oldest).is_some() {
                dropped.push(oldest);
            }
        }
        dropped
    }

    pub(crate) fn get(&self, id: &Hash) -> Option<&Arc<CheckedBlock>> {
        self.by_id.get(id)
    }

    pub(crate) fn take(&mut self, id: &Hash) -> Option<Arc<CheckedBlock>> {
        let block = self.by_id.remove(id)?;
        self.bytes -= block.bytes().len();
        if self.order.len() > 2 * self.by_id.len() + 16 {
            self.order.retain(|id| self.by_id.contains_key(id));
        }
        Some(block)
    }
}
