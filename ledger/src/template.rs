//! Templates: what the next block could be.
//!
//! A builder stands on one tip. Orders are applied once, to an executed overlay that only grows; a new tip
//! starts anew. Which miner asks changes one leaf of the state, so a template for another miner costs a few
//! hashes. Every order is verified at its place by consensus' own rules: one that does not fit there is passed
//! over and stays in the mempool.

use std::collections::{HashMap, HashSet};

use printsy_consensus::{
    CheckedTransaction, EMPTY_BLOCK_BYTES, Hash, Header, Overlay, Params, Position, PublicKey, Staged,
    StateTree, StateView, VERSION, ViewError, apply_transaction, state_root_after, transactions_root,
    verify_transaction,
};

use crate::mempool::Mempool;

/// How many bytes of a block are kept for registrars' actions: nobody's flood keeps them from stopping it. An
/// eighth of the smallest block that a genesis may allow.
const REGISTRARS_BYTES: u32 = 8_192;

/// A block but for its nonce and signature.
#[derive(Clone, Debug)]
pub struct Template {
    /// The header, nonce 0.
    pub header: Header,
    /// The transactions, in order.
    pub transactions: Vec<CheckedTransaction>,
}

/// The overlay that templates on one tip share.
#[derive(Debug)]
pub(crate) struct TemplateBuilder {
    parent: Header,
    parent_id: Hash,
    bits: u32,
    overlay: Overlay,
    tree: StateTree,
    transactions: Vec<CheckedTransaction>,
    included: HashSet<Hash>,
    per_sender: HashMap<PublicKey, u32>,
    bytes: usize,
    /// Whether it has grown since it was last asked.
    has_grown: bool,
}

impl TemplateBuilder {
    /// An empty body on `parent`, whose state is `tree`.
    pub(crate) fn new(parent: Header, parent_id: Hash, bits: u32, tree: StateTree) -> Self {
        Self {
            parent,
            parent_id,
            bits,
            overlay: Overlay::new(),
            tree,
            transactions: Vec::new(),
            included: HashSet::new(),
            per_sender: HashMap::new(),
            bytes: EMPTY_BLOCK_BYTES,
            has_grown: false,
        }
    }

    /// The id of the block it stands on.
    pub(crate) fn parent_id(&self) -> Hash {
        self.parent_id
    }

    /// Whether it has grown since this was last asked.
    pub(crate) fn take_grown(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// Appends what the mempool has and the body has room for, at most `limit` orders, and says how many that were: as
    /// many as the limit where there may be more.
    ///
    /// # Errors
    /// Where the state cannot be read; the builder is then of no more use.
    pub(crate) fn extend(
        &mut self,
        params: &Params,
        view: &impl StateView,
        mempool: &Mempool,
        limit: usize,
    ) -> Result<usize, ViewError> {
        let height = self.parent.height + 1;
        let mut step = Overlay::new();
        let before = self.transactions.len();
        for tx in mempool.iter() {
            if self.transactions.len() - before >= limit {
                break;
            }
            if self.included.contains(&tx.txid()) || !self.has_room(params, tx) {
                continue;
            }
            let base = Staged::new(view, &self.overlay);
            if verify_transaction(params, &Staged::new(&base, &step), height, tx).is_err() {
                continue;
            }
            let index = u32::try_from(self.transactions.len()).expect("no block holds 2^32 transactions");
            apply_transaction(&base, &mut step, tx, Position { height, index })?;
            self.include(tx);
        }
        let step = step.into_diff();
        self.tree = step.apply_to(&self.tree);
        self.overlay.extend(step);
        Ok(self.transactions.len() - before)
    }

    /// B1 and B5, with some room kept for registrars, whose actions come last.
    fn has_room(&self, params: &Params, tx: &CheckedTransaction) -> bool {
        let bytes = self.bytes.saturating_add(tx.bytes().len());
        let sender = tx.sender();
        let kept_free = if params.is_registrar(sender) { 0 } else { REGISTRARS_BYTES };
        let max = params.max_block_bytes.saturating_sub(kept_free);
        let fits = u32::try_from(bytes).is_ok_and(|bytes| bytes <= max);
        let unlimited = params.max_per_sender == 0 || params.is_registrar(sender) || params.is_issuer(sender);
        let sent = self.per_sender.get(sender).copied().unwrap_or(0);
        fits && (unlimited || sent < params.max_per_sender)
    }

    fn include(&mut self, tx: &CheckedTransaction) {
        self.has_grown = true;
        self.included.insert(tx.txid());
        self.bytes += tx.bytes().len();
        *self.per_sender.entry(*tx.sender()).or_default() += 1;
        self.transactions.push(tx.clone());
    }

    /// The template for one miner, at `now` (ms) or as soon after it as H6 allows.
    pub(crate) fn template(
        &self,
        params: &Params,
        view: &impl StateView,
        miner: PublicKey,
        now: u64,
    ) -> Template {
        let height = self.parent.height + 1;
        let leaves: Vec<Hash> = self.transactions.iter().map(CheckedTransaction::leaf).collect();
        let header = Header {
            version: VERSION,
            parent: self.parent_id,
            transactions_root: transactions_root(&leaves),
            state_root: state_root_after(view, &self.overlay, &self.tree, &miner, height),
            height,
            time: now.max(self.parent.time.saturating_add(params.min_interval_ms)),
            bits: self.bits,
            miner,
            nonce: 0,
        };
        Template { header, transactions: self.transactions.clone() }
    }
}
