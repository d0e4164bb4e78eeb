//! A whole block on its parent's state: rules B3 to B6 and every transaction in order (protocol section 4).
//!
//! [`verify_and_apply_block`] is the table of contents. Nothing is published: it returns what publishing would
//! change, and the state tree as it would be.

use std::collections::BTreeMap;

use crate::block::CheckedBlock;
use crate::check::CheckedTransaction;
use crate::hash::Hash;
use crate::header::Header;
use crate::key::PublicKey;
use crate::params::Params;
use crate::rule::{Fault, Rule};
use crate::state::{Entry, Miner, Position, StateKey, StateTree, StateView};

use super::apply::apply_transaction;
use super::overlay::{Diff, Overlay, Staged};
use super::undo::BlockUndo;
use super::verify::{StateError, verify_transaction};

/// Why a block is invalid on its parent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// B3.
    #[error("B3: {miner} is neither registered in the parent's state nor a registrar")]
    MinerNotRegistered {
        /// The block's miner.
        miner: PublicKey,
    },
    /// B4.
    #[error("B4: {miner} made one of the last {spacing} blocks")]
    MinerSpacing {
        /// The block's miner.
        miner: PublicKey,
        /// How many blocks it has to pause.
        spacing: usize,
    },
    /// B5.
    #[error("B5: a sender has at most {max} transactions in a block, {sender} has {got}")]
    PerSender {
        /// The sender.
        sender: PublicKey,
        /// The network's maximum.
        max: u32,
        /// How many there are.
        got: u32,
    },
    /// An S rule.
    #[error("transaction {index} ({txid}): {error}")]
    Transaction {
        /// Which transaction.
        index: u32,
        /// Its id.
        txid: Hash,
        /// What it breaks.
        error: StateError,
    },
    /// B6.
    #[error("B6: the state root is {got}, the header says {expected}")]
    StateRoot {
        /// The header's.
        expected: Hash,
        /// That of the state the block leaves.
        got: Hash,
    },
}

impl BlockError {
    /// The rule that was broken; none where the state could not be read.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::MinerNotRegistered { .. } => Some(Rule::B3),
            Self::MinerSpacing { .. } => Some(Rule::B4),
            Self::PerSender { .. } => Some(Rule::B5),
            Self::Transaction { error, .. } => error.rule(),
            Self::StateRoot { .. } => Some(Rule::B6),
        }
    }

    /// The block's, for its root matched its body; nobody's where the state could not be read.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Transaction { error: StateError::View(_), .. } => Fault::Nobody,
            _ => Fault::Block,
        }
    }

    fn in_transaction(index: u32, tx: &CheckedTransaction, error: impl Into<StateError>) -> Self {
        Self::Transaction { index, txid: tx.txid(), error: error.into() }
    }
}

/// A block verified on its parent: what it changes, what undoes it, and the state tree it leaves.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What changes.
    pub diff: Diff,
    /// What takes it back.
    pub undo: BlockUndo,
    /// The state tree after the block, whose root is the header's.
    pub tree: StateTree,
}

/// Verifies a block on its parent's state, and says what it changes.
///
/// `view` and `tree` are the parent's; `recent_miners` the makers of the blocks before this one, the parent's
/// first, as far back as `miner_spacing` asks.
///
/// # Errors
/// The first rule broken.
pub fn verify_and_apply_block(
    params: &Params,
    view: &impl StateView,
    tree: &StateTree,
    recent_miners: &[PublicKey],
    block: &CheckedBlock,
) -> Result<Applied, BlockError> {
    verify_and_apply_body(params, view, tree, recent_miners, block.header().header(), block.transactions())
}

/// The same of a block that has no proof of work and no signature yet: a template.
///
/// # Errors
/// As [`verify_and_apply_block`].
pub fn verify_and_apply_body(
    params: &Params,
    view: &impl StateView,
    tree: &StateTree,
    recent_miners: &[PublicKey],
    header: &Header,
    transactions: &[CheckedTransaction],
) -> Result<Applied, BlockError> {
    verify_miner(params, view, recent_miners, &header.miner)?;
    verify_per_sender(params, transactions)?;
    let mut overlay = Overlay::new();
    let mut undo = BlockUndo::default();
    for (tx, index) in transactions.iter().zip(0u32..) {
        let staged = Staged::new(view, &overlay);
        verify_transaction(params, &staged, header.height, tx)
            .map_err(|error| BlockError::in_transaction(index, tx, error))?;
        let position = Position { height: header.height, index };
        let before = apply_transaction(view, &mut overlay, tx, position)
            .map_err(|error| BlockError::in_transaction(index, tx, error))?;
        undo.transactions.push(before);
    }
    undo.miner = credit_miner(view, &mut overlay, &header.miner, header.height);
    let diff = overlay.into_diff();
    let tree = diff.apply_to(tree);
    verify_state_root(header.state_root, tree.root())?;
    Ok(Applied { diff, undo, tree })
}

/// B3 and B4: whether `miner` may make the next block on this state.
///
/// # Errors
/// B3 or B4.
pub fn verify_miner(
    params: &Params,
    view: &impl StateView,
    recent_miners: &[PublicKey],
    miner: &PublicKey,
) -> Result<(), BlockError> {
    verify_miner_registered(params, view, miner)?;
    verify_miner_spacing(params, view, recent_miners, miner)
}

/// B3: the miner is, in the parent's state, registered, or is a registrar.
fn verify_miner_registered(
    params: &Params,
    view: &impl StateView,
    miner: &PublicKey,
) -> Result<(), BlockError> {
    if view.miner(miner).is_some() || params.is_registrar(miner) {
        Ok(())
    } else {
        Err(BlockError::MinerNotRegistered { miner: *miner })
    }
}

/// B4: the miner made none of the last `min(miner_spacing, registered miners in the parent's state - 1)`
/// blocks.
fn verify_miner_spacing(
    params: &Params,
    view: &impl StateView,
    recent_miners: &[PublicKey],
    miner: &PublicKey,
) -> Result<(), BlockError> {
    let others = view.miner_count().saturating_sub(1);
    let spacing = usize::try_from(params.miner_spacing).unwrap_or(usize::MAX).min(others);
    if recent_miners.iter().take(spacing).any(|recent| recent == miner) {
        Err(BlockError::MinerSpacing { miner: *miner, spacing })
    } else {
        Ok(())
    }
}

/// B5: where `max_per_sender > 0`, no sender but registrars and issuers has more transactions in it.
///
/// # Errors
/// B5.
pub fn verify_per_sender(params: &Params, transactions: &[CheckedTransaction]) -> Result<(), BlockError> {
    if params.max_per_sender == 0 {
        return Ok(());
    }
    let mut counts: BTreeMap<&PublicKey, u32> = BTreeMap::new();
    for sender in transactions.iter().map(CheckedTransaction::sender) {
        let count = counts.entry(sender).or_default();
        *count = count.saturating_add(1);
    }
    let privileged = |key: &PublicKey| params.is_registrar(key) || params.is_issuer(key);
    match counts.into_iter().find(|(key, got)| *got > params.max_per_sender && !privileged(key)) {
        Some((sender, got)) => {
            Err(BlockError::PerSender { sender: *sender, max: params.max_per_sender, got })
        }
        None => Ok(()),
    }
}

/// After every transaction: if the miner is still registered, `blocks += 1, last_height = height` for it.
/// Returns its entry before that.
pub fn credit_miner(
    view: &impl StateView,
    overlay: &mut Overlay,
    miner: &PublicKey,
    height: u64,
) -> Option<Miner> {
    let before = Staged::new(view, overlay).miner(miner)?;
    let blocks = before.blocks.checked_add(1).expect("fewer than 2^64 blocks ever");
    let after = Miner { blocks, last_height: height, ..before.clone() };
    overlay.diff.entries.insert(StateKey::Miner(*miner), Some(Entry::Miner(after)));
    Some(before)
}

/// The state root that a block at `height` by `miner` leaves, given the overlay and the tree of its
/// transactions alone: one leaf changes.
#[must_use]
pub fn state_root_after(
    view: &impl StateView,
    overlay: &Overlay,
    tree: &StateTree,
    miner: &PublicKey,
    height: u64,
) -> Hash {
    let staged = Staged::new(view, overlay);
    let mut last = Overlay::new();
    credit_miner(&staged, &mut last, miner, height);
    last.into_diff().apply_to(tree).root()
}

/// B6: the state root.
fn verify_state_root(expected: Hash, got: Hash) -> Result<(), BlockError> {
    if got == expected { Ok(()) } else { Err(BlockError::StateRoot { expected, got }) }
}
