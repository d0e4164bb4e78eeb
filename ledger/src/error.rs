//! What can go wrong with a ledger: all of it this node's trouble, none of it a peer's.
//!
//! Rules that blocks and orders break have errors of their own (`BlockError`, `AdmitError`) and never come here. After
//! one of these the node stops, with the exit code that the kind of trouble has.

use printsy_consensus::{BlockError, Hash, ViewError};

use crate::store::StoreError;

/// What on the disk is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The truth: what is lost has to come from elsewhere.
    Journal,
    /// What is made again from the journal: the index, headers.dat.
    Derived,
}

/// Why the ledger cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk or the index failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The journal holds a block that does not follow from the blocks before it.
    #[error("the journal's block {id} at height {height} does not verify: {error}; the datadir is damaged")]
    Journal {
        /// The block.
        id: Hash,
        /// Its height.
        height: u64,
        /// What is wrong with it.
        error: String,
    },
    /// A block of the chain is not where the index says.
    #[error("block {id} at height {height} is not in the journal where it should be; the datadir is damaged")]
    MissingBlock {
        /// The block.
        id: Hash,
        /// Its height.
        height: u64,
    },
    /// No read of this chain was of one moment: it moved each time.
    #[error("the chain moved each time it was read; ask again")]
    Moving,
    /// A move is in the journal, and telling it failed: what else is on the disk is of no chain that was shown.
    #[error("a move of the tip was journalled and could not be told; the node stops")]
    Untold,
    /// The thread that owns the ledger panicked: its state may be half changed.
    #[error("the core panicked; its state may be half changed, so the node stops")]
    Panicked,
}

impl LedgerError {
    pub(crate) fn journal(id: Hash, height: u64, error: impl ToString) -> Self {
        Self::Journal { id, height, error: error.to_string() }
    }

    /// Whether something on the disk is damaged, and what.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        match self {
            Self::Store(StoreError::Damaged { file, .. }) if file.starts_with("journal") => {
                Some(Damage::Journal)
            }
            Self::Store(StoreError::Damaged { .. } | StoreError::Index(_)) => Some(Damage::Derived),
            Self::View(_) | Self::MissingBlock { .. } => Some(Damage::Derived),
            Self::Store(_) | Self::Journal { .. } | Self::Moving | Self::Untold | Self::Panicked => None,
        }
    }

    /// Whether the block error is this node's trouble rather than the block's.
    pub(crate) fn from_view(error: &BlockError) -> Option<Self> {
        match error {
            BlockError::Transaction { error: printsy_consensus::StateError::View(view), .. } => {
                Some(Self::View(view.clone()))
            }
            _ => None,
        }
    }
}
