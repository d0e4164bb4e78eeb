//! Every block of a network, with the state each leaves: a naive replay, and the builder of blocks.
//!
//! A state here is plain maps, copied for every block, and comes from its parent's by
//! `verify_and_apply_block` alone: no journal, no index, no undo, no reorganisation. What a ledger is after any
//! history must be what the world says of its tip.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use printsy_consensus::{
    Admission, BlockError, Catalogue, CheckedBlock, CheckedHeader, CheckedTransaction, Entry, Genesis,
    GenesisMiner, Hash, Header, Holding, Overlay, Params, Position, PublicKey, SignedHeader, Staged,
    StateKey, StateTree, StateView, Target, VERSION, ViewError, Work, apply_transaction, block_bytes,
    block_message, genesis_rows, next_bits, state_root_after, transactions_root, verify_and_apply_block,
    verify_transaction,
};

use super::orders::{key, public};

/// Parameters with nothing limited that need not be: easy and constant work, MAX of 5, three miners.
pub fn base_params() -> Params {
    let miner =
        |name: &str| GenesisMiner { key: public(name), name: name.as_bytes().to_vec().try_into().unwrap() };
    Params {
        network: b"dev-test".to_vec().try_into().unwrap(),
        time: 1_790_000_000_000,
        max_images: 100_000,
        max_editions: 5,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 1_000,
        min_interval_ms: 1,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        finality_depth: 1_000,
        max_validity: 40,
        max_block_bytes: 1 << 20,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 10_000,
        registrars: vec![public("registrar")].try_into().unwrap(),
        issuers: vec![public("issuer")].try_into().unwrap(),
        miners: ["miner-1", "miner-2", "miner-3"].map(miner).to_vec().try_into().unwrap(),
    }
}

/// The genesis of the base parameters with a change.
pub fn genesis_with(change: impl FnOnce(&mut Params)) -> Arc<Genesis> {
    let mut params = base_params();
    change(&mut params);
    Arc::new(Genesis::new(params).unwrap())
}

/// The state that a block leaves, and what its children need to know of it.
#[derive(Clone, Debug)]
pub struct State {
    pub header: CheckedHeader,
    pub parent_time: Option<u64>,
    pub work: Work,
    pub entries: BTreeMap<StateKey, Entry>,
    pub holdings: BTreeMap<(PublicKey, u64), Holding>,
    pub confirmed: BTreeMap<Hash, (u64, Position)>,
    pub tree: StateTree,
    /// Who made the blocks, this one's maker first.
    pub makers: Vec<PublicKey>,
    /// The ids of the blocks from genesis to here.
    pub chain: Vec<Hash>,
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
        self.confirmed.get(txid).is_some_and(|(expiry, _)| *expiry == expires_at)
    }
}

impl State {
    fn genesis(genesis: &Genesis) -> Self {
        let header = CheckedHeader::stored(*genesis.header());
        let rows = genesis_rows(genesis.params());
        Self {
            header,
            parent_time: None,
            work: header.target().work(),
            entries: rows.map(|row| (row.key, row.entry.unwrap())).collect(),
            holdings: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            tree: genesis.state().clone(),
            makers: Vec::new(),
            chain: vec![genesis.hash()],
        }
    }

    pub fn id(&self) -> Hash {
        self.header.id()
    }

    pub fn height(&self) -> u64 {
        self.header.header().height
    }

    pub fn sold(&self, image: u64) -> u32 {
        self.edition(image).sold
    }

    /// The state after a block, if the block is valid.
    fn after(&self, params: &Params, block: &CheckedBlock) -> Result<Self, BlockError> {
        let applied = verify_and_apply_block(params, self, &self.tree, &self.makers, block)?;
        let mut after = self.clone();
        for (key, entry) in applied.diff.entries {
            match entry {
                Some(entry) => after.entries.insert(key, entry),
                None => after.entries.remove(&key),
            };
        }
        after.holdings.extend(applied.diff.holdings);
        for (tx, index) in block.transactions().iter().zip(0..) {
            let position = Position { height: block.height(), index };
            after.confirmed.insert(tx.txid(), (tx.expires_at(), position));
        }
        after.tree = applied.tree;
        after.parent_time = Some(self.header.header().time);
        after.header = *block.header();
        after.work = self.work.plus(block.header().target().work());
        after.makers.insert(0, block.header().header().miner);
        after.chain.push(block.id());
        Ok(after)
    }
}

/// What a builder may do otherwise than right.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wrong {
    /// Another time than the parent's plus the target interval.
    pub time: Option<u64>,
    /// A state root that is off.
    pub state_root: bool,
    /// Added to the nonce before the search, to make another block of the same content.
    pub nonce: u64,
}

/// Every block made, by id, with its state where it is valid.
#[derive(Clone, Debug)]
pub struct World {
    pub genesis: Arc<Genesis>,
    states: HashMap<Hash, State>,
    blocks: HashMap<Hash, Arc<CheckedBlock>>,
    next_nonce: u64,
}

impl World {
    pub fn new(genesis: &Arc<Genesis>) -> Self {
        let state = State::genesis(genesis);
        Self {
            genesis: genesis.clone(),
            states: HashMap::from([(state.id(), state)]),
            blocks: HashMap::new(),
            next_nonce: 0,
        }
    }

    pub fn params(&self) -> &Params {
        self.genesis.params()
    }

    pub fn root(&self) -> Hash {
        self.genesis.hash()
    }

    /// The state after a valid block.
    pub fn state(&self, id: &Hash) -> &State {
        &self.states[id]
    }

    pub fn is_valid(&self, id: &Hash) -> bool {
        self.states.contains_key(id)
    }

    pub fn block(&self, id: &Hash) -> &Arc<CheckedBlock> {
        &self.blocks[id]
    }

    /// The blocks from genesis (without it) to this one.
    pub fn branch(&self, id: &Hash) -> Vec<Arc<CheckedBlock>> {
        self.state(id).chain[1..].iter().map(|id| self.blocks[id].clone()).collect()
    }

    /// The best of some valid blocks: the most work, then the lower id.
    pub fn best<'a>(&self, ids: impl IntoIterator<Item = &'a Hash>) -> Hash {
        let valid = ids.into_iter().copied().filter(|id| self.is_valid(id)).chain([self.root()]);
        valid.max_by_key(|id| (self.states[id].work, Reverse(*id))).unwrap()
    }

    /// A block by `miner` on `parent` with these orders, ground and signed, kept here with its state where it
    /// is valid. Orders that do not fit are in it all the same.
    pub fn make(&mut self, parent: &Hash, miner: &str, orders: &[CheckedTransaction]) -> Arc<CheckedBlock> {
        self.next_nonce += 1 << 32;
        self.make_wrong(parent, miner, orders, Wrong { nonce: self.next_nonce, ..Wrong::default() })
    }

    /// As [`World::make`], for a block that must be valid.
    pub fn extend(&mut self, parent: &Hash, miner: &str, orders: &[CheckedTransaction]) -> Arc<CheckedBlock> {
        let block = self.make(parent, miner, orders);
        if let Some(error) = self.verdict(&block) {
            panic!("not valid: {error}");
        }
        block
    }

    /// As [`World::make`], with what may be wrong. The parent may be an invalid block.
    pub fn make_wrong(
        &mut self,
        parent: &Hash,
        miner: &str,
        orders: &[CheckedTransaction],
        wrong: Wrong,
    ) -> Arc<CheckedBlock> {
        let header = match self.states.get(parent) {
            Some(parent) => self.header_on(parent, miner, orders, wrong),
            None => self.header_on_invalid(parent, miner, wrong),
        };
        let orders = if self.is_valid(parent) { orders } else { &[] };
        let block = Arc::new(seal(&self.genesis, header, miner, orders));
        self.take(block.clone());
        block
    }

    fn header_on(&self, parent: &State, miner: &str, orders: &[CheckedTransaction], wrong: Wrong) -> Header {
        let params = self.params();
        let height = parent.height() + 1;
        let mut overlay = Overlay::new();
        for (tx, index) in orders.iter().zip(0..) {
            if verify_transaction(params, &Staged::new(parent, &overlay), height, tx).is_ok() {
                apply_transaction(parent, &mut overlay, tx, Position { height, index }).unwrap();
            }
        }
        let tree = overlay.diff().apply_to(&parent.tree);
        let mut state_root = state_root_after(parent, &overlay, &tree, &public(miner), height);
        state_root.0[0] ^= u8::from(wrong.state_root);
        let leaves: Vec<Hash> = orders.iter().map(CheckedTransaction::leaf).collect();
        let above = *parent.header.header();
        Header {
            version: VERSION,
            parent: parent.id(),
            transactions_root: transactions_root(&leaves),
            state_root,
            height,
            time: wrong.time.unwrap_or(above.time + params.target_interval_ms),
            bits: next_bits(params, &above, parent.parent_time),
            miner: public(miner),
            nonce: wrong.nonce,
        }
    }

    /// An empty block on an invalid one, right by every rule that its header alone can be held to.
    fn header_on_invalid(&self, parent: &Hash, miner: &str, wrong: Wrong) -> Header {
        let above = *self.blocks[parent].header().header();
        let before = self.blocks.get(&above.parent).map(|block| *block.header().header());
        let before = before.unwrap_or(self.genesis.header().header);
        Header {
            version: VERSION,
            parent: *parent,
            transactions_root: transactions_root(&[]),
            state_root: above.state_root,
            height: above.height + 1,
            time: above.time + self.params().target_interval_ms,
            bits: next_bits(self.params(), &above, Some(before.time)),
            miner: public(miner),
            nonce: wrong.nonce,
        }
    }

    /// Keeps a block made elsewhere.
    pub fn take(&mut self, block: Arc<CheckedBlock>) {
        let parent = block.header().header().parent;
        if let Some(after) =
            self.states.get(&parent).map(|parent| parent.after(self.genesis.params(), &block))
            && let Ok(after) = after
        {
            self.states.insert(block.id(), after);
        }
        self.blocks.insert(block.id(), block);
    }

    /// What is wrong with a block on its (valid) parent.
    pub fn verdict(&self, block: &CheckedBlock) -> Option<BlockError> {
        let parent = self.state(&block.header().header().parent);
        parent.after(self.params(), block).err()
    }

    /// Whether these orders, in this order, are a valid body on a block.
    pub fn is_body(&self, parent: &Hash, orders: &[CheckedTransaction]) -> bool {
        let parent = self.state(parent);
        let height = parent.height() + 1;
        let mut overlay = Overlay::new();
        orders.iter().zip(0..).all(|(tx, index)| {
            let valid = verify_transaction(self.params(), &Staged::new(parent, &overlay), height, tx).is_ok();
            if valid {
                apply_transaction(parent, &mut overlay, tx, Position { height, index }).unwrap();
            }
            valid
        })
    }
}

/// Works on a header, signs it, and makes the block of it.
pub fn seal(genesis: &Genesis, header: Header, miner: &str, orders: &[CheckedTransaction]) -> CheckedBlock {
    let header = grind(header);
    let signature = key(miner).sign(&block_message(&header.id()));
    let bytes = block_bytes(&SignedHeader { header, signature }, orders);
    let known = |leaf: &Hash| orders.iter().find(|order| order.leaf() == *leaf).cloned();
    CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &known).unwrap()
}

fn grind(mut header: Header) -> Header {
    let target = Target::from_bits(header.bits).unwrap();
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    header
}
