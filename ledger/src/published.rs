//! What the ledger shows to readers on other threads: behind one lock, written only when a finished diff is
//! published and once per admission, never held across I/O. Count and tip agree in one answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use printsy_consensus::{
    Account, Action, CheckedBlock, CheckedHeader, CheckedTransaction, Edition, Entry, Hash, Miner, PublicKey,
    StateKey, StateTree, Supply, Work,
};

use crate::mempool::{Mempool, Notice, Outcome};
use crate::state::entry_in;
use crate::status::{Change, Status, StatusLog};
use crate::telling::Telling;

/// The last block of the chain.
#[derive(Clone, Copy, Debug)]
pub struct Tip {
    /// Its header.
    pub header: CheckedHeader,
    /// The total work up to it.
    pub work: Work,
}

impl Tip {
    /// The block's id.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.header.id()
    }

    /// The block's height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.header.header().height
    }
}

/// The chain at one moment. Cheap to clone, and consistent in itself.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The last block.
    pub tip: Tip,
    /// The height up to which blocks are final.
    pub final_height: u64,
    tree: StateTree,
    miners: Arc<BTreeSet<PublicKey>>,
}

impl Snapshot {
    pub(crate) fn new(
        tip: Tip,
        final_height: u64,
        tree: StateTree,
        miners: Arc<BTreeSet<PublicKey>>,
    ) -> Self {
        Self { tip, final_height, tree, miners }
    }

    /// The state itself.
    pub(crate) fn tree(&self) -> &StateTree {
        &self.tree
    }

    /// The image's entry; `None` where nobody bought, reviewed or listed it.
    #[must_use]
    pub fn edition(&self, image: u64) -> Option<Edition> {
        match entry_in(&self.tree, &StateKey::Edition(image)) {
            Some(Entry::Edition(edition)) => Some(edition),
            _ => None,
        }
    }

    /// The account's entry; `None` where no transaction touched it.
    #[must_use]
    pub fn account(&self, account: &PublicKey) -> Option<Account> {
        match entry_in(&self.tree, &StateKey::Account(*account)) {
            Some(Entry::Account(account)) => Some(account),
            _ => None,
        }
    }

    /// The miner's entry, if it is registered.
    #[must_use]
    pub fn miner(&self, miner: &PublicKey) -> Option<Miner> {
        match entry_in(&self.tree, &StateKey::Miner(*miner)) {
            Some(Entry::Miner(miner)) => Some(miner),
            _ => None,
        }
    }

    /// The registered miners.
    #[must_use]
    pub fn miners(&self) -> Vec<(PublicKey, Miner)> {
        self.miners.iter().filter_map(|key| self.miner(key).map(|miner| (*key, miner))).collect()
    }

    /// The supply.
    #[must_use]
    pub fn supply(&self) -> Supply {
        match entry_in(&self.tree, &StateKey::Supply) {
            Some(Entry::Supply(supply)) => supply,
            _ => Supply::default(),
        }
    }
}

/// What stands behind the lock.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Snapshot,
    pub(crate) statuses: StatusLog,
    /// Whether a move that is not shown here yet is on the disk already.
    pub(crate) telling: Arc<Telling>,
    waiting: HashMap<Hash, CheckedTransaction>,
    /// The ids of waiting orders by leaf, which names exactly their bytes.
    leaves: HashMap<Hash, Hash>,
    copies: HashMap<u64, u32>,
    waiting_bytes: usize,
}

impl Published {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            statuses: StatusLog::default(),
            telling: Arc::default(),
            waiting: HashMap::new(),
            leaves: HashMap::new(),
            copies: HashMap::new(),
            waiting_bytes: 0,
        }
    }

    /// How many copies of an image waiting purchases hold.
    pub(crate) fn pending(&self, image: u64) -> u32 {
        self.copies.get(&image).copied().unwrap_or(0)
    }

    pub(crate) fn waiting(&self) -> &HashMap<Hash, CheckedTransaction> {
        &self.waiting
    }

    /// The waiting order with exactly the bytes that this leaf names.
    pub(crate) fn waiting_leaf(&self, leaf: &Hash) -> Option<&CheckedTransaction> {
        self.leaves.get(leaf).and_then(|txid| self.waiting.get(txid))
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes over what changed in the mempool.
    pub(crate) fn mirror(&mut self, mempool: &Mempool, changed: &[Hash]) {
        for txid in changed {
            let before = self.waiting.remove(txid);
            let now = mempool.get(txid).cloned();
            for tx in before.iter().chain(&now) {
                self.mirror_copies(mempool, tx);
            }
            if let Some(tx) = before {
                self.leaves.remove(&tx.leaf());
            }
            if let Some(tx) = now {
                self.leaves.insert(tx.leaf(), *txid);
                self.waiting.insert(*txid, tx);
            }
        }
        self.waiting_bytes = mempool.bytes();
    }

    fn mirror_copies(&mut self, mempool: &Mempool, tx: &CheckedTransaction) {
        let Action::Purchase { lines, .. } = tx.action() else { return };
        for line in lines {
            match mempool.pending_copies(line.image) {
                0 => self.copies.remove(&line.image),
                copies => self.copies.insert(line.image, copies),
            };
        }
    }

    /// Tells the stories of orders that this node was told of; those of others are on the chain to read.
    pub(crate) fn note_confirmations(&mut self, connected: &[Arc<CheckedBlock>], now: u64) {
        for block in connected {
            for tx in block.transactions() {
                if !self.statuses.knows(&tx.txid()) {
                    continue;
                }
                let block = Some((block.height(), block.id()));
                let change = Change { status: Status::Included, time: now, block, reason: None };
                self.statuses.note(tx, change);
            }
        }
    }

    /// Tells what became of orders when the tip moved.
    pub(crate) fn note_all(&mut self, notices: &[Notice], time: u64) {
        for Notice { order, outcome } in notices {
            let (status, reason) = match outcome {
                Outcome::Dropped(error) => (Status::Refused, Some(error.clone())),
                Outcome::Displaced(error) => (Status::Displaced, Some(error.clone())),
                Outcome::Returned => (Status::Pending, None),
                Outcome::Expired => (Status::Expired, None),
            };
            self.statuses.note(order, Change { status, time, block: None, reason });
        }
    }
}
