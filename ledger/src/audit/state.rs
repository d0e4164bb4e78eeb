//! The state of a replay: all of it in memory, so that no index is asked.
//!
//! The entries are a state tree, as in the live node, for its roots are what is checked; holdings and the keys of
//! the entries are plain maps beside it. The rules read it through [`StateView`].

use std::collections::{BTreeSet, HashMap};

use printsy_consensus::{
    Diff, Entry, Genesis, Hash, Holding, PublicKey, StateKey, StateTree, StateView, ViewError, genesis_rows,
};

use crate::state::{Confirmed, entry_in};

/// The state after some block.
#[derive(Debug, Default)]
pub(super) struct ReplayState {
    tree: StateTree,
    keys: BTreeSet<StateKey>,
    miners: usize,
    holdings: HashMap<(PublicKey, u64), Holding>,
    confirmed: Confirmed,
}

impl ReplayState {
    /// The state that genesis leaves.
    pub(super) fn new(genesis: &Genesis) -> Self {
        let mut state = Self { tree: genesis.state().clone(), ..Self::default() };
        genesis_rows(genesis.params()).for_each(|row| state.note(row.key, true));
        state
    }

    /// Makes the changes of a diff whose tree is already made.
    pub(super) fn publish(&mut self, diff: Diff, tree: StateTree) {
        self.tree = tree;
        diff.entries.iter().for_each(|(key, entry)| self.note(*key, entry.is_some()));
        for (place, holding) in diff.holdings {
            if holding == Holding::default() {
                self.holdings.remove(&place);
            } else {
                self.holdings.insert(place, holding);
            }
        }
        diff.unconfirmed.iter().for_each(|(expires_at, txid)| self.confirmed.remove(*expires_at, txid));
        diff.confirmed.iter().for_each(|(expires_at, txid)| self.confirm(*expires_at, *txid));
    }

    fn note(&mut self, key: StateKey, is_there: bool) {
        let changed = if is_there { self.keys.insert(key) } else { self.keys.remove(&key) };
        if changed && matches!(key, StateKey::Miner(_)) {
            self.miners = if is_there { self.miners + 1 } else { self.miners - 1 };
        }
    }

    pub(super) fn confirm(&mut self, expires_at: u64, txid: Hash) {
        self.confirmed.insert(expires_at, txid);
    }

    pub(super) fn forget_below(&mut self, height: u64) {
        self.confirmed.forget_below(height);
    }

    pub(super) fn tree(&self) -> &StateTree {
        &self.tree
    }

    /// The keys of all entries.
    pub(super) fn keys(&self) -> &BTreeSet<StateKey> {
        &self.keys
    }

    /// How many miners are registered.
    pub(super) fn miners(&self) -> usize {
        self.miners
    }

    /// What accounts hold, without those that hold nothing.
    pub(super) fn holdings(&self) -> &HashMap<(PublicKey, u64), Holding> {
        &self.holdings
    }
}

impl StateView for ReplayState {
    fn entry(&self, key: &StateKey) -> Option<Entry> {
        entry_in(&self.tree, key)
    }

    fn miner_count(&self) -> usize {
        self.miners
    }

    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
        Ok(self.holdings.get(&(*account, image)).copied().unwrap_or_default())
    }

    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool {
        self.confirmed.contains(expires_at, txid)
    }
}
