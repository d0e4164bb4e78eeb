//! The live state: the chain's state in memory, and how rules read it.
//!
//! The entries are the Merkle tree itself (it grows with the catalogue and the customers, not with sales);
//! beside it stand the registered miners, and the transactions confirmed recently enough to be repeated.
//! Holdings are looked up in the index.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use printsy_consensus::{Diff, Entry, Hash, Holding, PublicKey, StateKey, StateTree, StateView, ViewError};

use crate::rows::{HoldingRow, decode_row, holding_key};
use crate::store::Checkpoint;

/// Which transactions are confirmed, by expiry: rule S2. Buckets are dropped once no block that may still be
/// verified could ask for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirmed {
    by_expiry: BTreeMap<u64, HashSet<Hash>>,
}

impl Confirmed {
    pub(crate) fn insert(&mut self, expires_at: u64, txid: Hash) {
        self.by_expiry.entry(expires_at).or_default().insert(txid);
    }

    pub(crate) fn remove(&mut self, expires_at: u64, txid: &Hash) {
        if let Some(bucket) = self.by_expiry.get_mut(&expires_at) {
            bucket.remove(txid);
        }
    }

    pub(crate) fn contains(&self, expires_at: u64, txid: &Hash) -> bool {
        self.by_expiry.get(&expires_at).is_some_and(|bucket| bucket.contains(txid))
    }

    /// Forgets what expired at or below `height`: a final one, below which no block is verified again.
    pub(crate) fn forget_below(&mut self, height: u64) {
        self.by_expiry = self.by_expiry.split_off(&height);
    }
}

/// The state at the tip.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainState {
    pub(crate) tree: StateTree,
    pub(crate) miners: Arc<BTreeSet<PublicKey>>,
    pub(crate) confirmed: Confirmed,
}

impl ChainState {
    /// Publishes a diff whose tree is already made.
    pub(crate) fn publish(&mut self, diff: &Diff, tree: StateTree) {
        self.tree = tree;
        for (key, entry) in &diff.entries {
            if let StateKey::Miner(miner) = key {
                self.note_miner(*miner, entry.is_some());
            }
        }
        for (expires_at, txid) in &diff.unconfirmed {
            self.confirmed.remove(*expires_at, txid);
        }
        for (expires_at, txid) in &diff.confirmed {
            self.confirmed.insert(*expires_at, *txid);
        }
    }

    pub(crate) fn note_miner(&mut self, miner: PublicKey, registered: bool) {
        if self.miners.contains(&miner) != registered {
            let miners = Arc::make_mut(&mut self.miners);
            if registered {
                miners.insert(miner)
            } else {
                miners.remove(&miner)
            };
        }
    }
}

/// The entry of `key` in a state tree.
///
/// # Panics
/// If the tree holds a value that is no entry: every value in it was encoded by this program.
pub(crate) fn entry_in(tree: &StateTree, key: &StateKey) -> Option<Entry> {
    let value = tree.get(&key.path())?;
    Some(key.decode_value(value).expect("the state tree holds what this program encoded"))
}

/// The live state as rules read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerView<'a> {
    pub(crate) state: &'a ChainState,
    pub(crate) index: &'a Checkpoint,
}

impl StateView for LedgerView<'_> {
    fn entry(&self, key: &StateKey) -> Option<Entry> {
        entry_in(&self.state.tree, key)
    }

    fn miner_count(&self) -> usize {
        self.state.miners.len()
    }

    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
        holding_in(self.index, account, image)
    }

    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool {
        self.state.confirmed.contains(expires_at, txid)
    }
}

/// What the index says an account holds of an image.
pub(crate) fn holding_in(index: &Checkpoint, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
    let row = index.get(&holding_key(account, image)).map_err(|error| ViewError(error.to_string()))?;
    let Some(row) = row else { return Ok(Holding::default()) };
    let row: HoldingRow = decode_row(&row).map_err(|error| ViewError(error.to_string()))?;
    Ok(row.holding)
}
