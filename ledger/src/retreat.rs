//! An operator's way out of a finality conflict: the chain is taken back below its final block.
//!
//! A node never leaves a final block by itself. A retreat is one move that disconnects and connects nothing, and makes
//! the block it ends at the final one; it is the only move that lowers the final height. It is journalled alone, and
//! recovery applies it like any other: index, headers and state follow the journal. From there the node goes on with
//! the most work it hears of. The blocks stay in the journal; orders that clients told this node of wait again.

use printsy_consensus::{CheckedHeader, Hash, Overlay};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::published::Tip;
use crate::reader::Reader;
use crate::store::Commit;

/// What a retreat does, before it is done.
#[derive(Clone, Debug)]
pub struct Retreat {
    /// The tip now.
    pub from: Tip,
    /// The final height now.
    pub final_height: u64,
    /// The block it ends at, the tip and the final block after it.
    pub to: Tip,
    /// How many transactions leave the chain with the blocks above.
    pub transactions: u64,
    disconnect: Vec<Hash>,
}

impl Retreat {
    /// How many blocks leave the chain.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.from.height() - self.to.height()
    }
}

/// Why there is nothing to take back.
#[derive(Debug, thiserror::Error)]
pub enum RetreatError {
    /// No block of this chain.
    #[error("{id} is no block of this node's chain")]
    Unknown {
        /// What was asked for.
        id: Hash,
    },
    /// It is the tip.
    #[error("{id} is the tip, at height {height}")]
    Tip {
        /// The tip.
        id: Hash,
        /// Its height.
        height: u64,
    },
    /// The node may leave the blocks above it by itself.
    #[error("the block at height {height} is not below the final block at {final_height}")]
    NotBelowFinal {
        /// The height of what was asked for.
        height: u64,
        /// The final height.
        final_height: u64,
    },
    /// This node's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// What taking the chain back to a block would do: verified to the end, the state's root included, for what is
    /// journalled must be carried out. What it changes is held in memory at once, the blocks are not.
    ///
    /// # Errors
    /// [`RetreatError`], where it would do nothing, there is no such block, or the datadir is damaged.
    pub fn plan_retreat(&self, to: &Hash) -> Result<Retreat, RetreatError> {
        let reader = self.reader();
        let height = reader.height_on_chain(to)?.ok_or(RetreatError::Unknown { id: *to })?;
        let (from, final_height) = (self.tip, self.final_height);
        if *to == from.id() {
            return Err(RetreatError::Tip { id: *to, height });
        }
        if height >= final_height {
            return Err(RetreatError::NotBelowFinal { height, final_height });
        }
        let record = reader.header_at(height)?.ok_or(LedgerError::MissingBlock { id: *to, height })?;
        let to = Tip { header: CheckedHeader::stored(record.signed), work: record.work };
        let mut retreat = Retreat { from, final_height, to, transactions: 0, disconnect: Vec::new() };
        let undone = retreat.undo(&reader)?.into_diff().apply_to(&self.state.tree);
        if undone.root() != to.header.header().state_root {
            return Err(
                LedgerError::journal(to.id(), height, "undoing down to it misses its state root").into()
            );
        }
        Ok(retreat)
    }

    /// Journals a retreat. When this returns it is durable; opening the ledger again carries it out. Until then nobody
    /// can use it: what it says of its chain is over.
    ///
    /// # Errors
    /// Where the disk fails, or more blocks would go than a move can name (eight million). After a crash it is as
    /// though it was never asked for, or as though it had returned.
    ///
    /// # Panics
    /// If the chain moved since the retreat was planned.
    pub fn retreat(mut self, retreat: Retreat) -> Result<(), LedgerError> {
        assert_eq!(self.tip.id(), retreat.from.id(), "a retreat is planned for the tip it leaves");
        let final_height = retreat.to.height();
        self.journal.append(&Commit { disconnect: retreat.disconnect, connect: Vec::new(), final_height })?;
        Ok(())
    }
}

impl Retreat {
    /// Takes the blocks off, the tip first, and answers what that changes.
    fn undo(&mut self, reader: &Reader) -> Result<Overlay, LedgerError> {
        let mut overlay = Overlay::new();
        let mut id = self.from.id();
        for height in (self.to.height() + 1..=self.from.height()).rev() {
            let stored = reader.block_at(height)?.ok_or(LedgerError::MissingBlock { id, height })?;
            if stored.record.signed.header.id() != id || stored.block.header != stored.record.signed {
                return Err(LedgerError::journal(id, height, "the block after it does not follow it"));
            }
            overlay.extend(stored.undo.reversed(&stored.block));
            self.transactions += u64::try_from(stored.block.transactions.len()).unwrap_or(u64::MAX);
            self.disconnect.push(id);
            id = stored.block.header.header.parent;
        }
        match id == self.to.id() {
            true => Ok(overlay),
            false => Err(LedgerError::journal(id, self.to.height(), "the block after it does not follow it")),
        }
    }
}
