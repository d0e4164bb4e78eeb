//! The blocks last connected, as they were checked: what a short reorganisation takes back is not checked again.
//!
//! A block that leaves the chain, or comes back to it, is otherwise read from the journal and its signatures are
//! verified on the core's thread. Bounded; the longest here goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use printsy_consensus::{CheckedBlock, Hash};

/// How many bytes of blocks are kept at the most: some minutes of full blocks of the common size. In memory,
/// decoded, they take about three times that.
pub const MAX_CONNECTED_BYTES: usize = 32 * 1024 * 1024;

/// Blocks by id, whether or not they are on the chain now.
#[derive(Debug, Default)]
pub(crate) struct ConnectedBlocks {
    by_id: HashMap<Hash, Arc<CheckedBlock>>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl ConnectedBlocks {
    pub(crate) fn get(&self, id: &Hash) -> Option<&Arc<CheckedBlock>> {
        self.by_id.get(id)
    }

    /// Keeps a block for a while.
    pub(crate) fn keep(&mut self, block: &Arc<CheckedBlock>) {
        if self.by_id.insert(block.id(), block.clone()).is_some() {
            return;
        }
        self.bytes += block.bytes().len();
        self.order.push_back(block.id());
        while self.bytes > MAX_CONNECTED_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            let block = self.by_id.remove(&oldest).expect("what is in the order is kept");
            self.bytes -= block.bytes().len();
        }
    }
}
