//! Journals that no node writes: a copy of a node's journal up to some move, and then moves and blocks of one's own
//! making, whatever rules they break.
//!
//! A forged block is otherwise perfect: its work is done, its signature is right, its roots are those of what it
//! does, and its undo undoes it. So nothing but the rule it breaks can be what it is found by.

use std::sync::Arc;

use printsy_consensus::{
    BlockUndo, CheckedBlock, CheckedTransaction, Genesis, Hash, Header, Overlay, Position, VERSION,
    apply_transaction, codec, credit_miner, next_bits, transactions_root,
};
use printsy_ledger::store::{Commit, CommitBlock, Disk, Journal, JournalReader, MemoryDisk};

use super::orders::public;
use super::world::{State, seal};

/// A journal being forged, and the disk it lies on.
#[derive(Debug)]
pub struct Forge {
    pub genesis: Arc<Genesis>,
    pub disk: Arc<MemoryDisk>,
    pub journal: Journal,
}

/// A block that was forged, and the state it leaves.
#[derive(Debug)]
pub struct Forged {
    pub block: CheckedBlock,
    pub undo: BlockUndo,
    pub state: State,
}

impl Forge {
    /// A copy of the first `moves` moves of the journal on a disk.
    pub fn copy(genesis: &Arc<Genesis>, from: &Arc<MemoryDisk>, moves: usize) -> Self {
        let disk = Arc::new(MemoryDisk::new());
        let mut journal = Journal::open(disk.clone(), genesis.hash(), 0).unwrap();
        let reader = JournalReader::open(from.clone(), genesis.hash()).unwrap();
        for stored in reader.moves(0).take(moves) {
            let stored = stored.unwrap();
            let connect = stored.connect.iter().map(|(id, position)| {
                let stored = reader.block(*position).unwrap();
                CommitBlock { id: *id, block: stored.block, undo: stored.undo }
            });
            let (connect, disconnect) = (connect.collect(), stored.disconnect.clone());
            journal.append(&Commit { disconnect, connect, final_height: stored.final_height }).unwrap();
        }
        Self { genesis: genesis.clone(), disk, journal }
    }

    pub fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    /// Appends a move with blocks that follow one another.
    pub fn append(&mut self, disconnect: &[Hash], connect: &[&Forged], final_height: u64) {
        let connect = connect.iter().map(|forged| CommitBlock {
            id: forged.block.id(),
            block: forged.block.bytes().to_vec(),
            undo: codec::encode(&forged.undo),
        });
        let (connect, disconnect) = (connect.collect(), disconnect.to_vec());
        self.journal.append(&Commit { disconnect, connect, final_height }).unwrap();
    }
}

impl Forged {
    /// A block on a state, with any orders, by anybody; `change` has the last word on its header.
    pub fn on(
        genesis: &Genesis,
        parent: &State,
        miner: &str,
        orders: &[CheckedTransaction],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let (params, above, height) = (genesis.params(), *parent.header.header(), parent.height() + 1);
        let (mut overlay, mut undo) = (Overlay::new(), BlockUndo::default());
        for (tx, index) in orders.iter().zip(0..) {
            let position = Position { height, index };
            undo.transactions.push(apply_transaction(parent, &mut overlay, tx, position).unwrap());
        }
        undo.miner = credit_miner(parent, &mut overlay, &public(miner), height);
        let diff = overlay.into_diff();
        let tree = diff.apply_to(&parent.tree);
        let leaves: Vec<Hash> = orders.iter().map(CheckedTransaction::leaf).collect();
        let mut header = Header {
            version: VERSION,
            parent: parent.id(),
            transactions_root: transactions_root(&leaves),
            state_root: tree.root(),
            height,
            time: above.time + params.target_interval_ms,
            bits: next_bits(params, &above, parent.parent_time),
            miner: public(miner),
            nonce: 0,
        };
        change(&mut header);
        let block = seal(genesis, header, miner, orders);
        let mut state = parent.clone();
        for (key, entry) in diff.entries {
            match entry {
                Some(entry) => state.entries.insert(key, entry),
                None => state.entries.remove(&key),
            };
        }
        state.holdings.extend(diff.holdings);
        (state.parent_time, state.header, state.tree) = (Some(above.time), *block.header(), tree);
        state.chain.push(block.id());
        Self { block, undo, state }
    }
}
