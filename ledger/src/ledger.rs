//! The ledger: the chain this node holds, its header tree, its mempool, and the one way in which the tip moves.
//!
//! Owned by one thread. The way of a block: [`Ledger::insert_header`] -> [`Ledger::add_body`] ->
//! [`Ledger::advance`], which for each move verifies (reads only), journals (one fdatasync), and only then
//! publishes. `advance` lives in `advance.rs`, opening and recovery in `recover.rs`, reading from other threads
//! in `reader.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use printsy_consensus::{
    CheckedBlock, CheckedHeader, CheckedTransaction, Genesis, Hash, HeaderError, HeaderTree, Inserted,
    Params, PublicKey, StateView, block_bytes,
};

use crate::bodies::Bodies;
use crate::connected::ConnectedBlocks;
use crate::error::LedgerError;
use crate::mempool::{AdmitError, Admitted, Chain, Mempool, Origin};
use crate::published::{Published, Snapshot, Tip};
use crate::reader::Reader;
use crate::rows::transaction_key;
use crate::salvage::Salvaging;
use crate::state::{ChainState, LedgerView};
use crate::status::{Change, Status};
use crate::store::{Checkpoint, Disk, HeaderFile, Journal, Lost, StoreError};
use crate::template::TemplateBuilder;

/// How many headers the tree holds at the most: those not final, and those ahead of the bodies while syncing.
/// About half a gigabyte; beyond it no header is taken until bodies catch up, but for those on the tip.
pub const MAX_TREE_HEADERS: usize = 1_000_000;

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) journal: Journal,
    pub(crate) headers: HeaderFile,
    pub(crate) index: Arc<Checkpoint>,
    pub(crate) tree: HeaderTree,
    pub(crate) max_headers: usize,
    pub(crate) state: ChainState,
    pub(crate) tip: Tip,
    pub(crate) final_height: u64,
    /// The block that was final before the journal was repaired, while the chain is being made anew.
    pub(crate) lost_final: Option<Lost>,
    pub(crate) salvaging: Option<Salvaging>,
    /// Where the journal has blocks that are not final, whether or not they are on the chain now.
    pub(crate) positions: HashMap<Hash, u64>,
    pub(crate) bodies: Bodies,
    pub(crate) connected: ConnectedBlocks,
    pub(crate) mempool: Mempool,
    /// Whether the file of the last stop is still there, and still says how orders stand.
    pub(crate) kept_file_is_true: bool,
    pub(crate) recount_budget: usize,
    pub(crate) template: Option<TemplateBuilder>,
    pub(crate) templated_orders: u64,
    pub(crate) template_faults: u64,
    pub(crate) published: Arc<RwLock<Published>>,
}

/// Why a header is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// It breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The tree is full; bodies have to catch up first.
    #[error("the header tree holds as many headers as it takes")]
    Full,
    /// It is not the block that was final at its height before the journal was repaired.
    #[error("block {final_id} is final at height {height}")]
    LeavesFinal {
        /// The height.
        height: u64,
        /// The block that was final there.
        final_id: Hash,
    },
}

impl Ledger {
    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The network's parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.genesis.params()
    }

    /// The last block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The height up to which blocks are final.
    #[must_use]
    pub fn final_height(&self) -> u64 {
        self.final_height
    }

    /// The header tree.
    #[must_use]
    pub fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The mempool.
    #[must_use]
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// A handle for reading from other threads.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(
            self.genesis.clone(),
            self.published.clone(),
            self.index.clone(),
            self.journal.reader(),
            self.headers.clone(),
        )
    }

    /// Places a header in the tree. `now` is this node's clock, ms.
    ///
    /// A child of the tip is always taken, however full the tree is: whoever fills it with headers alone must not
    /// stop the chain from growing, and each such child has done its work.
    ///
    /// # Errors
    /// [`InsertError`]; nothing is remembered of a header that was refused.
    pub fn insert_header(&mut self, header: CheckedHeader, now: u64) -> Result<Inserted, InsertError> {
        if let Some(Lost { final_height: height, final_id: Some(final_id), .. }) = self.lost_final
            && header.header().height == height
            && header.id() != final_id
        {
            return Err(InsertError::LeavesFinal { height, final_id });
        }
        let is_on_tip = header.header().parent == self.tip.id();
        let is_full = self.tree.len() >= self.max_headers && !is_on_tip;
        if is_full && self.tree.get(&header.id()).is_none() {
            return Err(InsertError::Full);
        }
        Ok(self.tree.insert(header, now)?)
    }

    /// Whether this node wants the block's body: it has its header and not its body, does not know it to be
    /// invalid, and has room.
    #[must_use]
    pub fn needs_body(&self, id: &Hash) -> bool {
        let is_wanted = !self.tree.has_body(id) && !self.tree.is_invalid(id);
        is_wanted && self.bodies.has_room_for(id, &self.tree, &self.tip.id())
    }

    /// The height of the best header, where the bodies that lead to it fill all the room there is and do not outweigh
    /// the tip yet: no more of them are taken, so that this node cannot follow what may be the better chain. Nothing
    /// becomes final then.
    #[must_use]
    pub fn beyond_room(&self) -> Option<u64> {
        if !self.bodies.is_full() {
            return None;
        }
        let best = self.tree.best();
        let path = self.tree.path(&self.tip.id(), &best).connect;
        let missing = path.iter().position(|id| !self.tree.has_body(id)).filter(|at| *at > 0)?;
        // A gap is closed however full it is.
        let is_gap = path[missing..].iter().any(|id| self.tree.has_body(id));
        self.tree.get(&best).filter(|_| !is_gap).map(|header| header.header().height)
    }

    /// Notes that a block is invalid by what is in it alone, and so is all that descends from it, for good.
    pub fn condemn(&mut self, id: &Hash) {
        self.tree.invalidate(id);
        self.bodies.drop_unwanted(&self.tree);
    }

    /// Keeps the body of a header in the tree until the chain needs it.
    ///
    /// A second valid signature under a known id is ignored: the body is kept under the header of the tree, the
    /// first, which is what is journalled and served. The body itself is as good: were it not taken, a miner that
    /// signs twice could show a node a header whose body nobody has.
    pub fn add_body(&mut self, block: Arc<CheckedBlock>) {
        let id = block.id();
        if !self.needs_body(&id) {
            return;
        }
        let Some(block) = self.under_known_header(block) else { return };
        let dropped = self.bodies.insert(block, &self.tree, &self.tip.id());
        self.tree.body_arrived(&id);
        for id in dropped {
            self.tree.body_lost(&id);
        }
    }

    /// The block with the header that the tree has of it.
    fn under_known_header(&self, block: Arc<CheckedBlock>) -> Option<Arc<CheckedBlock>> {
        let known = self.tree.get(&block.id())?.signed();
        if block.header().signed() == known {
            return Some(block);
        }
        let bytes = block_bytes(known, block.transactions());
        let same: HashMap<Hash, _> = block.transactions().iter().map(|tx| (tx.leaf(), tx)).collect();
        let same = |leaf: &Hash| same.get(leaf).copied().cloned();
        CheckedBlock::check(self.params(), &self.genesis.hash(), bytes, &same).ok().map(Arc::new)
    }

    /// Bounds the header tree and the bodies off the chain otherwise than [`MAX_TREE_HEADERS`] and
    /// [`crate::MAX_SIDE_BODY_BYTES`], for a machine with less memory.
    pub fn set_bounds(&mut self, headers: usize, body_bytes: usize) {
        self.max_headers = headers;
        self.bodies.set_bound(body_bytes);
    }

    /// Admits an order to the mempool and, where it is new or refused, notes its status.
    ///
    /// # Errors
    /// [`AdmitError`].
    pub fn admit(
        &mut self,
        tx: &CheckedTransaction,
        origin: Origin,
        now: u64,
    ) -> Result<Admitted, AdmitError> {
        let view = LedgerView { state: &self.state, index: &self.index };
        let chain = chain(&self.genesis, &view, &self.tip);
        let result = self.mempool.admit(&chain, tx, origin, now);
        match &result {
            Ok(Admitted::New) => self.note(tx, Status::Pending, now, None),
            // Remembered for this node's own clients only: peers cannot fill the log with refusals.
            Err(error) if origin == Origin::Own && !self.is_kept(&tx.txid()) => {
                self.note(tx, Status::Refused, now, Some(error.clone()));
            }
            _ => {}
        }
        self.publish_mempool();
        result
    }

    /// Whether the chain has this order, or it is displaced and tried again: that it cannot be admitted once
    /// more is then no news of it.
    pub(crate) fn is_kept(&self, txid: &Hash) -> bool {
        self.mempool.is_parked(txid) || matches!(self.index.get(&transaction_key(txid)), Ok(Some(_)))
    }

    /// What [`Ledger::admit`] would say, changing nothing.
    ///
    /// # Errors
    /// [`AdmitError`].
    pub fn validate(&self, tx: &CheckedTransaction) -> Result<Admitted, AdmitError> {
        let view = LedgerView { state: &self.state, index: &self.index };
        self.mempool.validate(&chain(&self.genesis, &view, &self.tip), tx)
    }

    /// Own orders whose time has come to be published again.
    pub fn due_orders(&mut self, now: u64) -> Vec<CheckedTransaction> {
        self.mempool.due(now)
    }

    /// Whether `key` may mine: it is registered at the tip, or a registrar.
    #[must_use]
    pub fn may_mine(&self, key: &PublicKey) -> bool {
        let view = LedgerView { state: &self.state, index: &self.index };
        view.miner(key).is_some() || self.params().is_registrar(key)
    }

    /// The makers of the blocks up to `parent`, the latest first, as many as rule B4 asks for where
    /// `miner_count` miners are registered.
    pub(crate) fn recent_miners(
        &self,
        parent: &Hash,
        miner_count: usize,
    ) -> Result<Vec<PublicKey>, LedgerError> {
        let wanted = usize::try_from(self.params().miner_spacing).unwrap_or(usize::MAX);
        let wanted = wanted.min(miner_count.saturating_sub(1));
        let mut recent = Vec::new();
        let mut next = self.tree.get(parent).map(|header| *header.header());
        while let Some(header) = next.filter(|header| header.height > 0 && recent.len() < wanted) {
            recent.push(header.miner);
            next = match self.tree.get(&header.parent) {
                Some(parent) => Some(*parent.header()),
                // Below the tree all is final, and stands by height.
                None => self.headers.get(header.height - 1)?.map(|record| record.signed.header),
            };
        }
        Ok(recent)
    }

    fn note(&mut self, order: &CheckedTransaction, status: Status, time: u64, reason: Option<AdmitError>) {
        self.forget_kept_orders();
        self.published.write().statuses.note(order, Change { status, time, block: None, reason });
    }

    pub(crate) fn publish_mempool(&mut self) {
        let changed = self.mempool.take_changed();
        if !changed.is_empty() {
            self.published.write().mirror(&self.mempool, &changed);
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.tip, self.final_height, self.state.tree.clone(), self.state.miners.clone())
    }

    /// How many rows the index is behind the journal.
    #[must_use]
    pub fn index_lag(&self) -> usize {
        self.index.lag_rows()
    }

    /// Why the index stopped following, if it did.
    #[must_use]
    pub fn index_failure(&self) -> Option<String> {
        self.index.failed()
    }

    /// Whether the index still follows.
    ///
    /// # Errors
    /// What ended it: no block can be connected any more, and only a new start can help.
    pub fn check_index(&self) -> Result<(), StoreError> {
        self.index.check()
    }

    /// A clean stop: keeps the orders that wait and the stories of orders for the next start, and writes the
    /// checkpoint to the end, so that it has nothing to catch up with. Call it last: what comes after is not kept.
    ///
    /// # Errors
    /// Where the disk or the index fails. Of the chain nothing is lost, the next start catches up from the journal.
    pub fn close(&self) -> Result<(), StoreError> {
        let kept = self.keep_orders();
        let flushed = self.index.flush_now();
        kept.and(flushed)
    }
}

/// The chain as the mempool needs it.
pub(crate) fn chain<'a, V: StateView>(genesis: &'a Genesis, view: &'a V, tip: &Tip) -> Chain<'a, V> {
    Chain { params: genesis.params(), view, next_height: tip.height() + 1 }
}
