//! How the tip moves: verify (reads only) -> journal (one fdatasync) -> publish.
//!
//! An extension is a reorganisation with nothing to disconnect: one path for mined, gossiped, synced and
//! submitted blocks.

use std::sync::Arc;

use printsy_consensus::{
    Applied, Block, BlockError, BlockUndo, CheckedBlock, CheckedTransaction, Diff, Hash, Overlay, Placed,
    Staged, StateTree, StateView, TipMove, codec, verify_and_apply_block,
};

use crate::error::LedgerError;
use crate::ledger::{Ledger, chain};
use crate::mempool::Notice;
use crate::published::Tip;
use crate::rows::{BlockRow, MoveRows};
use crate::state::LedgerView;
use crate::store::{Commit, CommitBlock, HeaderRecord, Layer, Mark};
use crate::telling::MoveKind;

/// How many blocks one commit connects at the most while only extending: what a crash may cost to redo.
const MAX_BLOCKS_PER_COMMIT: usize = 64;

/// One net move of the tip, done and durable.
#[derive(Clone, Debug)]
pub struct TipChange {
    /// The blocks that left the chain, the old tip first.
    pub disconnected: Vec<Hash>,
    /// The blocks that joined it, in order.
    pub connected: Vec<Arc<CheckedBlock>>,
    /// What became of orders.
    pub notices: Vec<Notice>,
}

/// What came of trying to advance.
#[derive(Debug, Default)]
pub struct Advance {
    /// The moves made, in order.
    pub changes: Vec<TipChange>,
    /// Blocks found invalid on the way, with the rule they break: remembered, never tried again.
    pub refused: Vec<(Hash, BlockError)>,
}

/// A move verified to the end, not yet durable.
struct Verified {
    disconnected: Vec<(Hash, u64, Block)>,
    connected: Vec<(Arc<CheckedBlock>, BlockUndo)>,
    diff: Diff,
    tree: StateTree,
}

/// Why a move is not made.
pub(crate) enum MoveError {
    /// A block of it is invalid.
    Refused(Hash, Box<BlockError>),
    /// A body that should be at hand is not.
    Lost(Hash),
    /// This node's trouble.
    Ledger(Box<LedgerError>),
}

impl From<LedgerError> for MoveError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl Ledger {
    /// Moves the tip to the best valid block whose body is at hand, refusing invalid ones on the way.
    ///
    /// When this returns, every change in it is on disk.
    ///
    /// # Errors
    /// This node's trouble, after which it must stop: what was journalled is kept. So too where the index stopped
    /// following: rows would pile up in memory with every block.
    pub fn advance(&mut self, is_synced: bool, now: u64) -> Result<Advance, LedgerError> {
        let mut advance = Advance::default();
        while let Some(mut tip_move) = self.tree.next_move(&self.tip.id()) {
            if tip_move.disconnect.is_empty() {
                tip_move.connect.truncate(MAX_BLOCKS_PER_COMMIT);
            }
            match self.verify_move(&tip_move) {
                Ok(verified) => advance.changes.push(self.commit_move(verified, is_synced, now)?),
                Err(MoveError::Refused(id, error)) => {
                    self.tree.invalidate(&id);
                    self.bodies.drop_unwanted(&self.tree);
                    advance.refused.push((id, *error));
                }
                Err(MoveError::Lost(id)) => self.tree.body_lost(&id),
                Err(MoveError::Ledger(error)) => return Err(*error),
            }
        }
        Ok(advance)
    }

    /// Verifies a move without changing anything, recounting from the blocks themselves before a block is
    /// refused by what holdings decide: S5, S9, and B6 through the rating that a review replaces. The state root
    /// does not cover them, and a damaged index must not split this node off.
    fn verify_move(&self, tip_move: &TipMove) -> Result<Verified, MoveError> {
        loop {
            match self.try_move(tip_move) {
                Err(MoveError::Refused(id, error)) if self.recount_holdings_of(&id, &error)? => {
                    tracing::error!(block = %id, "the index held a wrong holding; recounted from the blocks");
                    // Others may be wrong as well: the next start makes the index anew.
                    self.journal
                        .reader()
                        .note_doubt("the index held a wrong holding")
                        .map_err(LedgerError::from)?;
                }
                other => return other,
            }
        }
    }

    fn try_move(&self, tip_move: &TipMove) -> Result<Verified, MoveError> {
        let mut overlay = Overlay::new();
        let mut tree = self.state.tree.clone();
        let mut disconnected = Vec::new();
        for id in &tip_move.disconnect {
            let (position, block, undo) = self.stored(id)?;
            let diff = undo.reversed(&block);
            tree = diff.apply_to(&tree);
            overlay.extend(diff);
            disconnected.push((*id, position, block));
        }
        self.assert_undone(tip_move, &tree);
        let mut connected = Vec::new();
        for id in &tip_move.connect {
            let block = self.body(id)?;
            let applied = self.apply_block(&overlay, &tree, &block)?;
            tree = applied.tree;
            overlay.extend(applied.diff);
            connected.push((block, applied.undo));
        }
        Ok(Verified { disconnected, connected, diff: overlay.into_diff(), tree })
    }

    /// I4: the state after undo is the state before, by its root.
    fn assert_undone(&self, tip_move: &TipMove, tree: &StateTree) {
        let Some(last) = tip_move.disconnect.last() else { return };
        let fork = self.tree.get(last).map(|header| header.header().parent);
        let header = fork.and_then(|fork| self.tree.get(&fork)).expect("a move forks within the tree");
        assert_eq!(tree.root(), header.header().state_root, "I4: undoing down to {} missed", header.id());
    }

    fn apply_block(
        &self,
        overlay: &Overlay,
        tree: &StateTree,
        block: &Arc<CheckedBlock>,
    ) -> Result<Applied, MoveError> {
        let base = LedgerView { state: &self.state, index: &self.index };
        let staged = Staged::new(&base, overlay);
        let recent = self.recent_miners(&block.header().header().parent, staged.miner_count())?;
        verify_and_apply_block(self.params(), &staged, tree, &recent, block).map_err(|error| {
            match LedgerError::from_view(&error) {
                Some(own) => own.into(),
                None => MoveError::Refused(block.id(), Box::new(error)),
            }
        })
    }

    /// A block of the chain that is not final, as the journal has it.
    fn stored(&self, id: &Hash) -> Result<(u64, Block, BlockUndo), LedgerError> {
        let height = self.tree.get(id).map_or(0, |header| header.header().height);
        let position = *self.positions.get(id).ok_or(LedgerError::MissingBlock { id: *id, height })?;
        let stored = self.journal.reader().block(position)?;
        let block = codec::decode(&stored.block).map_err(|error| LedgerError::journal(*id, height, error))?;
        let undo = codec::decode(&stored.undo).map_err(|error| LedgerError::journal(*id, height, error))?;
        Ok((position, block, undo))
    }

    /// The body of a block to connect: from the cache, or from the journal if it was on the chain before.
    pub(crate) fn body(&self, id: &Hash) -> Result<Arc<CheckedBlock>, MoveError> {
        if let Some(block) = self.bodies.get(id).or_else(|| self.connected.get(id)) {
            return Ok(block.clone());
        }
        let Some(position) = self.positions.get(id) else { return Err(MoveError::Lost(*id)) };
        let stored = self.journal.reader().block(*position).map_err(LedgerError::from)?;
        let block = CheckedBlock::check(self.params(), &self.genesis.hash(), stored.block, &|_| None);
        let height = self.tree.get(id).map_or(0, |header| header.header().height);
        Ok(Arc::new(block.map_err(|error| LedgerError::journal(*id, height, error))?))
    }

    /// Journals a verified move, then publishes it.
    fn commit_move(
        &mut self,
        verified: Verified,
        is_synced: bool,
        now: u64,
    ) -> Result<TipChange, LedgerError> {
        self.index.check()?;
        self.index.keep_near()?;
        let tip = self.tip_after(&verified);
        let final_height = self.final_height_at(&tip, is_synced);
        let appended = self.journal.append(&commit_of(&verified, final_height))?;
        // From here on the move is durable: everything below only tells others.
        for ((block, _), position) in verified.connected.iter().zip(&appended.blocks) {
            self.positions.insert(block.id(), *position);
        }
        self.forget_kept_orders();
        let is_extension = verified.disconnected.is_empty();
        let kind = if is_extension { MoveKind::Extension } else { MoveKind::Reorganisation };
        let begun = self.published.read().telling.begin(kind);
        self.write_headers(&verified, &appended.blocks)?;
        self.submit_rows(&verified, &appended.blocks, appended.end, &tip, final_height);
        let change = self.publish_move(verified, tip, final_height, now)?;
        begun.published();
        Ok(change)
    }

    fn tip_after(&self, verified: &Verified) -> Tip {
        let block = &verified.connected.last().expect("a move to more work connects a block").0;
        let work = self.tree.work(&block.id()).expect("what is connected is in the tree");
        Tip { header: *block.header(), work }
    }

    fn write_headers(&self, verified: &Verified, positions: &[u64]) -> Result<(), LedgerError> {
        for ((block, _), position) in verified.connected.iter().zip(positions) {
            let work = self.tree.work(&block.id()).expect("what is connected is in the tree");
            let record = HeaderRecord { signed: *block.header().signed(), work, position: *position };
            self.headers.put(block.height(), &record)?;
        }
        Ok(())
    }

    fn submit_rows(&self, verified: &Verified, positions: &[u64], end: u64, tip: &Tip, final_height: u64) {
        let mut rows = MoveRows::new();
        for (_, _, block) in &verified.disconnected {
            rows.disconnected(block.transactions.iter().map(|tx| tx.body.txid()));
        }
        for ((block, _), position) in verified.connected.iter().zip(positions) {
            let row = BlockRow { height: block.height(), position: *position };
            rows.connected(&block.id(), row, block.transactions().iter().map(CheckedTransaction::txid));
        }
        let mark = Mark { journal_end: end, height: tip.height(), tip: tip.id(), final_height };
        self.index.submit(Layer { mark, rows: rows.finish(&verified.diff, tip.height()) });
    }

    /// Publishes a durable move: state and mempool in one write, so that readers see both or neither.
    fn publish_move(
        &mut self,
        verified: Verified,
        tip: Tip,
        final_height: u64,
        now: u64,
    ) -> Result<TipChange, LedgerError> {
        let Verified { disconnected, connected, diff, tree } = verified;
        self.state.publish(&diff, tree);
        assert_eq!(self.state.tree.root(), tip.header.header().state_root, "I4: the state is the tip's");
        self.tip = tip;
        self.finalise(final_height);
        let connected: Vec<_> = connected.into_iter().map(|(block, _)| block).collect();
        let notices = self.move_mempool(&disconnected, &connected, &diff, now);
        let changed = self.mempool.take_changed();
        let snapshot = self.snapshot();
        let mut published = self.published.write();
        published.snapshot = snapshot;
        published.mirror(&self.mempool, &changed);
        published.note_confirmations(&connected, now);
        published.note_all(&notices, now);
        drop(published);
        for block in &connected {
            self.bodies.take(&block.id());
            self.connected.keep(block);
        }
        let disconnected = disconnected.into_iter().map(|(id, _, _)| id).collect();
        Ok(TipChange { disconnected, connected, notices })
    }

    fn move_mempool(
        &mut self,
        disconnected: &[(Hash, u64, Block)],
        connected: &[Arc<CheckedBlock>],
        diff: &Diff,
        now: u64,
    ) -> Vec<Notice> {
        let returned = self.returned(disconnected, diff);
        let confirmed = connected.iter().flat_map(|block| block.transactions());
        let confirmed: Vec<Hash> = confirmed.map(CheckedTransaction::txid).collect();
        let view = LedgerView { state: &self.state, index: &self.index };
        let chain = chain(&self.genesis, &view, &self.tip);
        self.mempool.tip_moved(&chain, diff, &confirmed, returned, now)
    }

    /// The orders that left the chain with a block and did not come back with another. Those of blocks connected
    /// lately are at hand as they were checked; the signatures of others are verified again.
    fn returned(&self, disconnected: &[(Hash, u64, Block)], diff: &Diff) -> Vec<CheckedTransaction> {
        let left = |expires_at, txid| diff.unconfirmed.contains(&(expires_at, txid));
        let mut returned = Vec::new();
        for (id, _, block) in disconnected.iter().rev() {
            if let Some(block) = self.connected.get(id) {
                let orders = block.transactions().iter().filter(|tx| left(tx.expires_at(), tx.txid()));
                returned.extend(orders.cloned());
                continue;
            }
            let orders = block.transactions.iter().filter(|tx| left(tx.body.expires_at, tx.body.txid()));
            let orders = orders.cloned().collect();
            let checked = printsy_consensus::check_transactions(self.params(), &self.genesis.hash(), orders);
            returned.extend(checked.into_iter().flatten());
        }
        returned
    }
}

fn commit_of(verified: &Verified, final_height: u64) -> Commit {
    let connect = verified.connected.iter().map(|(block, undo)| CommitBlock {
        id: block.id(),
        block: block.bytes().to_vec(),
        undo: codec::encode(undo),
    });
    Commit {
        disconnect: verified.disconnected.iter().map(|(id, ..)| *id).collect(),
        connect: connect.collect(),
        final_height,
    }
}

/// Where the tree begins: the final block of the chain.
pub(crate) fn placed(record: &HeaderRecord, parent_time: Option<u64>) -> Placed {
    let header = printsy_consensus::CheckedHeader::stored(record.signed);
    Placed { header, work: record.work, parent_time }
}
