//! The blocks last read for one of their transactions, decoded.
//!
//! A block that confirms a thousand orders is asked for by a thousand waiting buyers at once: whoever comes
//! first reads and decodes it, the others wait for that and share it. A position of the journal never holds
//! another block, so nothing here is ever out of date.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use printsy_consensus::{Block, BlockUndo, Position};

use crate::error::LedgerError;
use crate::history::Confirmed;

/// How many blocks are kept: the tip's and a few before it, for those who ask late.
const MAX_BLOCKS: usize = 4;
/// How many bytes of blocks, as the journal has them, are kept at the most; a larger one is not kept.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A block of the journal and what undoes it.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) block: Block,
    pub(crate) undo: BlockUndo,
    /// The length of its bytes in the journal.
    pub(crate) bytes: usize,
}

impl Decoded {
    /// The transaction at a position in this block.
    pub(crate) fn confirmed(&self, position: Position) -> Option<Confirmed> {
        let index = usize::try_from(position.index).ok()?;
        let transaction = self.block.transactions.get(index)?.clone();
        let undo = self.undo.transactions.get(index)?.clone();
        Some(Confirmed { position, transaction, undo })
    }
}

/// The blocks, by position in the journal, the latest read last.
#[derive(Debug, Default)]
pub(crate) struct RecentBlocks {
    blocks: Mutex<VecDeque<(u64, Arc<Decoded>)>>,
}

impl RecentBlocks {
    /// The block at `position`, where it is kept.
    pub(crate) fn get(&self, position: u64) -> Option<Arc<Decoded>> {
        let blocks = self.blocks.lock();
        blocks.iter().find(|(kept, _)| *kept == position).map(|(_, block)| block.clone())
    }

    /// The block at `position`: kept, or read by `load` while all others wait.
    pub(crate) fn get_or_load(
        &self,
        position: u64,
        load: impl FnOnce() -> Result<Decoded, LedgerError>,
    ) -> Result<Arc<Decoded>, LedgerError> {
        let mut blocks = self.blocks.lock();
        if let Some((_, block)) = blocks.iter().find(|(kept, _)| *kept == position) {
            return Ok(block.clone());
        }
        let block = Arc::new(load()?);
        blocks.push_back((position, block.clone()));
        let bytes =
            |blocks: &VecDeque<(u64, Arc<Decoded>)>| blocks.iter().map(|(_, b)| b.bytes).sum::<usize>();
        while blocks.len() > MAX_BLOCKS || bytes(&blocks) > MAX_BYTES {
            blocks.pop_front();
        }
        Ok(block)
    }
}
