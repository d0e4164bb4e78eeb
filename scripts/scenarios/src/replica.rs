//! A fifth opinion: the chain executed again, block by block, by the protocol's rules alone.
//!
//! It keeps the whole state in memory, fetches nothing (the stage does) and publishes nothing. It serves twice:
//! it checks what the nodes say against blocks it verified itself, counting sold editions from the raw orders;
//! and it knows the state on which [`craft`](crate::craft) builds its blocks. It knows one branch only: where the
//! nodes left theirs it is begun anew, or a copy of it goes on that was taken where they parted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use printsy_consensus::{
    Action, Applied, CheckedBlock, CheckedTransaction, Diff, Entry, Genesis, Hash, Header, Holding, Overlay,
    Position, PublicKey, Staged, StateKey, StateTree, StateView, ViewError, apply_transaction, genesis_rows,
    next_bits, state_root_after, verify_and_apply_block, verify_header, verify_transaction,
};

/// The state at the replica's tip.
#[derive(Clone, Debug, Default)]
pub struct State {
    entries: BTreeMap<StateKey, Entry>,
    holdings: BTreeMap<(PublicKey, u64), Holding>,
    confirmed: BTreeSet<(u64, Hash)>,
    tree: StateTree,
}

impl State {
    fn of(genesis: &Genesis) -> Self {
        let rows = genesis_rows(genesis.params()).filter_map(|row| Some((row.key, row.entry?)));
        Self { entries: rows.collect(), tree: genesis.state().clone(), ..Self::default() }
    }

    fn publish(&mut self, diff: Diff, tree: StateTree) {
        for (key, entry) in diff.entries {
            match entry {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
        self.holdings.extend(diff.holdings);
        self.confirmed.extend(diff.confirmed);
        self.tree = tree;
    }

    /// Forgets confirmed orders that no block after `height` could hold again (S1).
    fn forget_expired(&mut self, height: u64) {
        self.confirmed = self.confirmed.split_off(&(height.saturating_add(1), Hash::ZERO));
    }
}

impl StateView for State {
    fn entry(&self, key: &StateKey) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    fn miner_count(&self) -> usize {
        self.entries.keys().filter(|key| matches!(key, StateKey::Miner(_))).count()
    }

    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
        Ok(self.holdings.get(&(*account, image)).copied().unwrap_or_default())
    }

    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool {
        self.confirmed.contains(&(expires_at, *txid))
    }
}

/// A chain verified from its first block on.
#[derive(Clone, Debug)]
pub struct Replica {
    genesis: Genesis,
    /// The last ones: as many as rules look back at.
    headers: Vec<Header>,
    state: State,
    sold: BTreeMap<u64, u64>,
    transactions: u64,
}

impl Replica {
    /// The chain of only block 0.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        let headers = vec![genesis.header().header];
        let state = State::of(&genesis);
        Self { genesis, headers, state, sold: BTreeMap::new(), transactions: 0 }
    }

    /// The network's beginning.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The last block's header.
    ///
    /// # Panics
    /// Never: block 0 is always there.
    #[must_use]
    pub fn tip(&self) -> &Header {
        self.headers.last().expect("block 0 is always there")
    }

    /// How many transactions its blocks hold.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// How many editions of an image are sold, counted from the orders in the blocks.
    #[must_use]
    pub fn sold(&self, image: u64) -> u64 {
        self.sold.get(&image).copied().unwrap_or_default()
    }

    /// What the state has under a key.
    #[must_use]
    pub fn entry(&self, key: &StateKey) -> Option<Entry> {
        self.state.entry(key)
    }

    /// Of these orders, those that the next block may hold, in their order.
    #[must_use]
    pub fn fitting(&self, orders: impl IntoIterator<Item = CheckedTransaction>) -> Vec<CheckedTransaction> {
        let height = self.tip().height + 1;
        let mut overlay = Overlay::new();
        let mut fitting = Vec::new();
        for (order, index) in orders.into_iter().zip(0u32..) {
            let view = Staged::new(&self.state, &overlay);
            let fits = verify_transaction(self.genesis.params(), &view, height, &order).is_ok();
            if fits
                && apply_transaction(&self.state, &mut overlay, &order, Position { height, index }).is_ok()
            {
                fitting.push(order);
            }
        }
        fitting
    }

    /// The bits of the next block.
    #[must_use]
    pub fn next_bits(&self) -> u32 {
        next_bits(self.genesis.params(), self.tip(), self.grandparent_time())
    }

    /// Verifies the next block whole, stands on it, and gives it as it was checked. `now` is the clock, ms since
    /// 1970.
    ///
    /// # Errors
    /// The rule that it breaks; a [`printsy_consensus::BlockError`] where it is one in context.
    pub fn connect(&mut self, bytes: Vec<u8>, now: u64) -> Result<CheckedBlock> {
        let params = self.genesis.params();
        let block = CheckedBlock::check(params, &self.genesis.hash(), bytes, &|_| None)?;
        let header = *block.header().header();
        ensure!(
            header.parent == self.tip().id(),
            "expected a block on {}, got one on {}",
            self.tip().id(),
            header.parent
        );
        verify_header(params, self.tip(), self.grandparent_time(), &header, now)?;
        let spacing = usize::try_from(params.miner_spacing)?;
        let made = self.headers.iter().rev().filter(|header| header.height > 0);
        let recent: Vec<PublicKey> = made.take(spacing).map(|header| header.miner).collect();
        let Applied { diff, tree, .. } =
            verify_and_apply_block(params, &self.state, &self.state.tree, &recent, &block)?;
        self.state.publish(diff, tree);
        self.state.forget_expired(header.height);
        self.headers.push(header);
        // The tip and its parent for difficulty, and the makers that rule B4 looks at.
        let kept = spacing.max(2);
        self.headers.drain(..self.headers.len().saturating_sub(kept));
        block.transactions().iter().for_each(|tx| self.count(tx));
        Ok(block)
    }

    /// The state root that a block by `miner` with these transactions leaves, whether or not the rules allow
    /// them: what a forger puts into a header whose only fault is to be a transaction.
    ///
    /// # Errors
    /// Never: this state is in memory.
    ///
    /// # Panics
    /// Where a transaction is impossible rather than forbidden, such as one that spends more than there is.
    pub fn root_after(&self, miner: &PublicKey, transactions: &[CheckedTransaction]) -> Result<Hash> {
        let height = self.tip().height + 1;
        let mut overlay = Overlay::new();
        for (tx, index) in transactions.iter().zip(0u32..) {
            apply_transaction(&self.state, &mut overlay, tx, Position { height, index })
                .context("a state in memory can be read")?;
        }
        let tree = overlay.diff().apply_to(&self.state.tree);
        Ok(state_root_after(&self.state, &overlay, &tree, miner, height))
    }

    fn count(&mut self, tx: &CheckedTransaction) {
        self.transactions += 1;
        if let Action::Purchase { lines, .. } = tx.action() {
            for line in lines {
                *self.sold.entry(line.image).or_default() += u64::from(line.quantity);
            }
        }
    }

    fn grandparent_time(&self) -> Option<u64> {
        let before = self.headers.len().checked_sub(2)?;
        self.headers.get(before).map(|header| header.time)
    }
}
