//! I1, I4, I5, I6 and I7 counted from the raw blocks of the chain, block after block, by a book kept by hand.
//!
//! It verifies nothing, so that it can go on after a fault and name the next: rules are the replay's. The state
//! root is counted at the tip, and on the way as often as its cost stays a fraction of reading the blocks: where
//! the state is small, at every block.

use std::collections::{BTreeMap, HashSet};

use printsy_consensus::{Block, Genesis, Hash};

use super::book::{Book, Broken};
use super::report::{Area, Check, Counts};
use super::root::state_root;

/// What a block, and what each of its transactions, adds to the entries that may be hashed for a root: reading
/// and decoding costs about as much as hashing these.
const ENTRIES_A_BLOCK: usize = 16;
const ENTRIES_A_TRANSACTION: usize = 4;

/// The count on its way up the chain.
#[derive(Debug)]
pub(super) struct Count<'a> {
    book: Book<'a>,
    max_validity: u64,
    parent: Hash,
    height: u64,
    /// Which transactions a later block could hold again, by their last height.
    confirmed: BTreeMap<u64, HashSet<Hash>>,
    transactions: u64,
    /// How many entries may be hashed by now.
    budget: usize,
    /// The height of the last root that agreed.
    agreed_at: u64,
    /// By how much the balances are off: 0.
    off: i128,
    editions: Check,
    roots: Check,
    money: Check,
    once: Check,
    miners: Check,
}

impl<'a> Count<'a> {
    /// At genesis.
    pub(super) fn new(genesis: &'a Genesis) -> Self {
        let invariant = |id| Check::new(Area::Invariant, id);
        Self {
            book: Book::new(genesis.params()),
            max_validity: u64::from(genesis.params().max_validity),
            parent: genesis.hash(),
            height: 0,
            confirmed: BTreeMap::new(),
            transactions: 0,
            budget: 0,
            agreed_at: 0,
            off: 0,
            editions: invariant("I1"),
            roots: invariant("I4"),
            money: invariant("I5"),
            once: invariant("I6"),
            miners: invariant("I7"),
        }
    }

    /// Counts the next block of the chain.
    pub(super) fn block(&mut self, block: &Block) {
        let header = &block.header.header;
        let (height, id) = (self.height.saturating_add(1), header.id());
        if header.parent != self.parent || header.height != height {
            let what =
                format!("it says it is block {} on {}, not on {}", header.height, header.parent, self.parent);
            self.roots.find(Some(height), Some(id), what);
        }
        self.miners.checked += 1;
        if !self.book.may_mine(&header.miner) {
            let what = format!("{} made it, neither registered at its parent nor a registrar", header.miner);
            self.miners.find(Some(height), Some(id), what);
        }
        for (tx, index) in block.transactions.iter().zip(0u32..) {
            self.confirm(height, id, tx.body.expires_at, tx.body.txid());
            let (editions, money, miners) = (&mut self.editions, &mut self.money, &mut self.miners);
            self.book.enter(tx, (height, index), &mut |broken, what| {
                let check = match broken {
                    Broken::Editions => &mut *editions,
                    Broken::Money => &mut *money,
                    Broken::Miners => &mut *miners,
                };
                check.find(Some(height), Some(id), format!("transaction {index}: {what}"));
            });
            self.editions.checked += 1;
        }
        self.book.note_miner(&header.miner, height);
        self.confirmed = self.confirmed.split_off(&height);
        (self.height, self.parent) = (height, id);
        self.sum(height, id);
        let entries = ENTRIES_A_TRANSACTION.saturating_mul(block.transactions.len());
        self.budget = self.budget.saturating_add(ENTRIES_A_BLOCK).saturating_add(entries);
        if self.budget >= self.book.entries() {
            self.root(header.state_root);
        }
    }

    /// I6: the same id names the same last height, so a transaction could only be repeated up to there.
    fn confirm(&mut self, height: u64, id: Hash, expires_at: u64, txid: Hash) {
        self.transactions += 1;
        self.once.checked += 1;
        if expires_at < height || expires_at > height.saturating_add(self.max_validity) {
            let what = format!("transaction {txid} stands outside of its time: it expires at {expires_at}");
            self.once.find(Some(height), Some(id), what);
        } else if !self.confirmed.entry(expires_at).or_default().insert(txid) {
            self.once.find(Some(height), Some(id), format!("transaction {txid} is confirmed again"));
        }
    }

    /// I5: balances sum to issued - redeemed. Told at each block that changes by how much they do not.
    fn sum(&mut self, height: u64, id: Hash) {
        self.money.checked += 1;
        let (issued, redeemed, balances) = (self.book.issued, self.book.redeemed, self.book.balances);
        let wide = |amount: u128| i128::try_from(amount).unwrap_or(i128::MAX);
        let off = balances.saturating_sub(wide(issued).saturating_sub(wide(redeemed)));
        if off != self.off && off != 0 {
            let what = format!("balances sum to {balances}, issued are {issued}, redeemed {redeemed}");
            self.money.find(Some(height), Some(id), what);
        }
        self.off = off;
    }

    /// I4: the state counted by hand has the header's root. Told once: it stays wrong from there on.
    fn root(&mut self, expected: Hash) {
        self.budget = 0;
        self.roots.checked += 1;
        let got = state_root(&self.book);
        if got == Some(expected) {
            self.agreed_at = self.height;
        } else if self.roots.wrong == 0 {
            let got =
                got.map_or("none, for a number is beyond its field".to_owned(), |root| root.to_string());
            let since = self.agreed_at;
            let what = format!(
                "the state root counted is {got}, the header says {expected}; the last that agreed is that of \
                 height {since}"
            );
            self.roots.find(Some(self.height), Some(self.parent), what);
        }
    }

    /// The end: the tip's root if it was not counted yet. What was counted, and the checks; `stopped` says why
    /// it is not the whole chain.
    pub(super) fn finish(mut self, state_root: Hash, stopped: Option<&str>) -> (Counts, Vec<Check>) {
        if self.agreed_at != self.height || self.height == 0 {
            self.root(state_root);
        }
        let len = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let counts = Counts {
            blocks: self.height,
            transactions: self.transactions,
            images: len(self.book.images.len()),
            accounts: len(self.book.accounts.len()),
            miners: len(self.book.miners.len()),
            sold: self.book.sold,
            issued: self.book.issued,
            redeemed: self.book.redeemed,
            ..Counts::default()
        };
        let mut checks = vec![self.editions, self.roots, self.money, self.once, self.miners];
        for check in &mut checks {
            check.skipped = stopped.map(ToOwned::to_owned);
        }
        (counts, checks)
    }

    pub(super) fn height(&self) -> u64 {
        self.height
    }

    pub(super) fn tip(&self) -> Hash {
        self.parent
    }

    pub(super) fn transactions(&self) -> u64 {
        self.transactions
    }
}
