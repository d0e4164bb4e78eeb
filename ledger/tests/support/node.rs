//! A ledger on a disk and an index in memory, fed by hand.

use std::sync::Arc;

use printsy_consensus::{CheckedBlock, CheckedTransaction, Genesis, Hash, Holding};
use printsy_ledger::store::{MemoryDisk, MemoryIndex};
use printsy_ledger::{
    AdmitError, Admitted, Advance, Ledger, OpenReport, Origin, Outcome, Reader, Status, Template,
};

use super::orders::{key, public};
use super::world::{World, seal};

#[derive(Debug)]
pub struct Node {
    pub ledger: Ledger,
    pub reader: Reader,
    pub disk: Arc<MemoryDisk>,
    pub index: Arc<MemoryIndex>,
    pub is_synced: bool,
}

impl Node {
    pub fn new(genesis: &Arc<Genesis>) -> Self {
        Self::open(genesis, Arc::default(), Arc::default()).0
    }

    pub fn open(
        genesis: &Arc<Genesis>,
        disk: Arc<MemoryDisk>,
        index: Arc<MemoryIndex>,
    ) -> (Self, OpenReport) {
        let (ledger, report) = Ledger::open(genesis.clone(), disk.clone(), index.clone()).unwrap();
        let reader = ledger.reader();
        (Self { ledger, reader, disk, index, is_synced: true }, report)
    }

    pub fn tip(&self) -> Hash {
        self.ledger.tip().id()
    }

    pub fn height(&self) -> u64 {
        self.ledger.tip().height()
    }

    /// This node's clock: it always shows the tip's time.
    pub fn now(&self) -> u64 {
        self.ledger.tip().header.header().time
    }

    pub fn admit(&mut self, order: &CheckedTransaction) -> Result<Admitted, AdmitError> {
        let now = self.now();
        self.ledger.admit(order, Origin::Own, now)
    }

    /// The orders that wait, in the order a block takes them.
    pub fn waiting(&self) -> Vec<CheckedTransaction> {
        self.ledger.mempool().iter().cloned().collect()
    }

    pub fn waits(&self, order: &CheckedTransaction) -> bool {
        self.ledger.mempool().get(&order.txid()).is_some()
    }

    pub fn template(&mut self, miner: &str) -> Template {
        let now = self.now();
        self.ledger.template(public(miner), now).unwrap()
    }

    /// A block from this node's own template, not yet given to anyone.
    pub fn mine(&mut self, world: &mut World, miner: &str) -> Arc<CheckedBlock> {
        let template = self.template(miner);
        let block = Arc::new(seal(&world.genesis, template.header, miner, &template.transactions));
        world.take(block.clone());
        block
    }

    /// Places a block and its body, without moving the tip.
    pub fn place(&mut self, block: &Arc<CheckedBlock>) {
        self.ledger.insert_header(*block.header(), block.header().header().time).unwrap();
        self.ledger.add_body(block.clone());
    }

    pub fn advance(&mut self) -> Advance {
        let now = self.now();
        self.ledger.advance(self.is_synced, now).unwrap()
    }

    /// Places a block and moves the tip where it now belongs.
    pub fn give(&mut self, block: &Arc<CheckedBlock>) -> Advance {
        self.place(block);
        self.advance()
    }

    /// Gives the blocks of a branch that this node may not have, in order.
    pub fn give_branch(&mut self, world: &World, tip: &Hash) {
        for block in world.branch(tip) {
            if self.ledger.tree().get(&block.id()).is_some() || block.height() > self.ledger.final_height() {
                self.give(&block);
            }
        }
    }

    /// The statuses of an order's story, oldest first.
    pub fn story(&self, order: &CheckedTransaction) -> Vec<Status> {
        let story = self.reader.order(&order.txid()).unwrap().and_then(|order| order.story);
        story.map_or_else(Vec::new, |story| story.changes.iter().map(|change| change.status).collect())
    }

    /// Holds all that this node says of its chain against the world's replay of the same tip.
    pub fn assert_is(&self, world: &World, tip: &Hash) {
        assert_eq!(self.tip(), *tip, "the tip, at height {}", self.height());
        let state = world.state(tip);
        let snapshot = self.reader.snapshot();
        assert_eq!(snapshot.tip.id(), *tip, "the published tip");
        assert_eq!(self.ledger.tip().work, state.work, "the total work");
        assert_eq!(snapshot.tip.header.header().state_root, state.tree.root());
        for (key, entry) in &state.entries {
            assert_eq!(self.entry(key).as_ref(), Some(entry), "{key:?}");
        }
        for ((account, image), holding) in &state.holdings {
            assert_eq!(self.reader.holding(account, *image).unwrap(), *holding, "{account} of {image}");
        }
        for (height, id) in (0..).zip(&state.chain) {
            let record = self.reader.header_at(height).unwrap().unwrap();
            assert_eq!(record.signed.header.id(), *id, "the header at {height}");
            assert_eq!(record.work, world.state(id).work, "the work at {height}");
            assert_eq!(self.reader.height_on_chain(id).unwrap(), Some(height));
        }
        assert!(self.reader.header_at(state.height() + 1).unwrap().is_none());
        for (txid, (_, position)) in &state.confirmed {
            let order = self.reader.order(txid).unwrap().expect("a confirmed order is known");
            let (confirmed, id) = order.confirmed.expect("a confirmed order is told so");
            assert_eq!(
                (confirmed.position, id),
                (*position, state.chain[usize::try_from(position.height).unwrap()])
            );
        }
    }

    fn entry(&self, key: &printsy_consensus::StateKey) -> Option<printsy_consensus::Entry> {
        use printsy_consensus::{Entry, StateKey};
        let snapshot = self.reader.snapshot();
        match key {
            StateKey::Edition(image) => snapshot.edition(*image).map(Entry::Edition),
            StateKey::Account(account) => snapshot.account(account).map(Entry::Account),
            StateKey::Miner(miner) => snapshot.miner(miner).map(Entry::Miner),
            StateKey::Supply => Some(Entry::Supply(snapshot.supply())),
        }
    }
}

/// What became of an order by an advance, change by change.
pub fn outcomes(advance: &Advance, order: &CheckedTransaction) -> Vec<Outcome> {
    let notices = advance.changes.iter().flat_map(|change| &change.notices);
    notices.filter(|n| n.order.txid() == order.txid()).map(|n| n.outcome.clone()).collect()
}

/// Whether nobody holds anything that the world says nobody holds.
pub fn no_holding(holding: Holding) -> bool {
    holding == Holding::default()
}
