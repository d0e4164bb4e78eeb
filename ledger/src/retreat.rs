//! An operator's way out of a finality conflict: the chain is taken back below its final block.
//!
//! A node never leaves a final block by itself. A retreat is one move that disconnects and connects nothing, and makes
//! the block it ends at the final one; it is the only move that lowers the final height. It is journalled alone, and
//! recovery applies it like any other: index, headers and state follow the journal. From there the node goes on with
//! the most work it hears of. The blocks stay in the journal; orders that clients told this node of wait again.
//!
//! In the midst of a repair, a retreat also gives up the lost end that was being made anew, and what was final there:
//! nobody may have it any more, or it may be what the conflict is about. The block it ends at may then be the tip.

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
    /// The block it ends at: the tip after it, and the final block unless it is the tip already.
    pub to: Tip,
    /// How many transactions leave the chain with the blocks above.
    pub transactions: u64,
    /// What is given up of a chain that a repair has not made whole yet.
    pub given_up: Option<GivenUp>,
    disconnect: Vec<Hash>,
}

impl Retreat {
    /// How many blocks leave the chain.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.from.height() - self.to.height()
    }
}

/// The lost end of a chain, as far as anything told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The height it went to.
    pub height: u64,
    /// The height up to which it was final.
    pub final_height: u64,
}

/// Why a chain is not taken back.
#[derive(Debug, thiserror::Error)]
pub enum RetreatError {
    /// No block of this chain.
    #[error("{id} is no block of this node's chain")]
    Unknown {
        /// What was asked for.
        id: Hash,
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
    /// journalled must be carried out. What it changes is held in memory at once, the blocks are not. `None` where the
    /// block is the tip, and there is nothing to do.
    ///
    /// # Errors
    /// [`RetreatError`], where the node would go back there by itself, there is no such block, or the datadir is
    /// damaged.
    pub fn plan_retreat(&self, to: &Hash) -> Result<Option<Retreat>, RetreatError> {
        let reader = self.reader();
        let height = reader.height_on_chain(to)?.ok_or(RetreatError::Unknown { id: *to })?;
        let (from, final_height, given_up) = (self.tip, self.final_height, self.given_up());
        if given_up.is_none() {
            if *to == from.id() {
                return Ok(None);
            }
            if height >= final_height {
                return Err(RetreatError::NotBelowFinal { height, final_height });
            }
        }
        let record = reader.header_at(height)?.ok_or(LedgerError::MissingBlock { id: *to, height })?;
        let to = Tip { header: CheckedHeader::stored(record.signed), work: record.work };
        let mut retreat =
            Retreat { from, final_height, to, transactions: 0, given_up, disconnect: Vec::new() };
        let undone = retreat.undo(&reader)?.into_diff().apply_to(&self.state.tree);
        if undone.root() != to.header.header().state_root {
            return Err(
                LedgerError::journal(to.id(), height, "undoing down to it misses its state root").into()
            );
        }
        Ok(Some(retreat))
    }

    /// What a retreat gives up beside the blocks above the one it ends at.
    fn given_up(&self) -> Option<GivenUp> {
        let height = self.repairing_to()?;
        let final_height = self.lost_final.map_or(0, |lost| lost.final_height);
        Some(GivenUp { height, final_height })
    }

    /// Journals a retreat. When this returns it is durable; opening the ledger again carries it out. Until then nobody
    /// can use it: what it says of its chain is over.
    ///
    /// What was set aside by a repair is removed last. A crash before that leaves a node that wants the lost end again,
    /// and takes no orders meanwhile: the retreat is then asked for once more.
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
        // Where it ends at the tip nothing leaves the chain, and nothing is final before it is deep enough.
        if !retreat.disconnect.is_empty() {
            self.journal.append(&Commit {
                disconnect: retreat.disconnect,
                connect: Vec::new(),
                final_height,
            })?;
        }
        if let Some(salvaging) = self.salvaging.take() {
            // What is above the tip was of the lost end: no repair may find the way back there.
            self.headers.cut(self.tip.height() + 1)?;
            self.headers.sync()?;
            salvaging.forget()?;
        }
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
