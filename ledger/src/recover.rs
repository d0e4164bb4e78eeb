//! Recovery: load the checkpoint, then apply the journal's moves after it, undo included.
//!
//! The journal is the truth. A checkpoint whose state does not have the root of its block's header, or that
//! cannot be read, is thrown away and made again from the journal; the chain that results is the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use printsy_consensus::{
    Block, BlockUndo, CheckedBlock, CheckedHeader, Diff, Genesis, Hash, HeaderTree, Overlay, PublicKey,
    SignedHeader, Staged, StateKey, StateTree, Target, Work, codec, genesis_rows, verify_and_apply_block,
};

use crate::advance::placed;
use crate::bodies::Bodies;
use crate::connected::ConnectedBlocks;
use crate::error::LedgerError;
use crate::ledger::{Ledger, MAX_TREE_HEADERS};
use crate::mempool::Mempool;
use crate::open::OpenReport;
use crate::progress::{Progress, Watch};
use crate::published::{Published, Snapshot, Tip};
use crate::recount::MAX_RECOUNT_TRANSACTIONS;
use crate::rows::{BlockRow, MoveRows, STATE, block_key, decode_row, state_key};
use crate::state::{ChainState, LedgerView};
use crate::store::{
    Checkpoint, Disk, HeaderFile, HeaderRecord, Journal, JournalReader, Layer, Mark, StoreError, StoredMove,
};

/// A chain on its way from a checkpoint to the end of the journal.
pub(crate) struct Recovery {
    genesis: Arc<Genesis>,
    headers: HeaderFile,
    index: Arc<Checkpoint>,
    journal: JournalReader,
    state: ChainState,
    tip: Tip,
    final_height: u64,
}

impl Recovery {
    pub(crate) fn new(
        genesis: Arc<Genesis>,
        headers: HeaderFile,
        index: Arc<Checkpoint>,
        journal: JournalReader,
    ) -> Self {
        let tip = Tip { header: CheckedHeader::stored(*genesis.header()), work: genesis_work(&genesis) };
        Self { genesis, headers, index, journal, state: ChainState::default(), tip, final_height: 0 }
    }

    /// Goes on from the checkpoint: loads it, and applies what the journal has after it. What is wrong is said in
    /// a sentence: all is then made again from the journal.
    pub(crate) fn resume(
        &mut self,
        mark: &Mark,
        report: &mut OpenReport,
        watch: &mut Watch<'_>,
    ) -> Result<HeaderTree, String> {
        self.load(mark)?;
        report.checkpoint_height = mark.height;
        self.replay(mark.journal_end, report, watch).map_err(|error| error.to_string())
    }

    /// Applies the journal's moves from a commit's end on, and makes the header tree.
    pub(crate) fn replay(
        &mut self,
        from: u64,
        report: &mut OpenReport,
        watch: &mut Watch<'_>,
    ) -> Result<HeaderTree, LedgerError> {
        let journal = self.journal.clone();
        let mut transactions = 0;
        for stored in journal.moves(from) {
            let stored = stored?;
            transactions += self.apply(&stored)?;
            report.moves_applied += 1;
            let (done, total) = (stored.end - from, journal.end() - from);
            watch(Progress { done, total, height: self.tip.height(), transactions });
            self.index.keep_near()?;
        }
        self.note_confirmed()?;
        self.header_tree()
    }

    /// Begins at genesis, with an empty index.
    pub(crate) fn begin(&mut self) -> Result<(), LedgerError> {
        self.index.clear()?;
        self.state = ChainState { tree: self.genesis.state().clone(), ..ChainState::default() };
        self.final_height = 0;
        let header = *self.genesis.header();
        self.tip = Tip { header: CheckedHeader::stored(header), work: genesis_work(&self.genesis) };
        self.headers.put(0, &HeaderRecord { signed: header, work: self.tip.work, position: 0 })?;
        let mut rows = Vec::new();
        for row in genesis_rows(self.genesis.params()) {
            if let StateKey::Miner(miner) = row.key {
                self.state.note_miner(miner, true);
            }
            rows.push((state_key(&row.key), row.entry.as_ref().map(codec::encode)));
        }
        let mark = Mark { journal_end: 0, height: 0, tip: self.tip.id(), final_height: 0 };
        self.index.submit(Layer { mark, rows });
        Ok(())
    }

    /// Loads the checkpoint and holds it against the header it claims to be of.
    fn load(&mut self, mark: &Mark) -> Result<(), String> {
        let headers = self.headers.count();
        if headers <= mark.height {
            return Err(format!("headers.dat has {headers} records, its mark is at height {}", mark.height));
        }
        // Above the final block a crash may have torn what a reorganisation was writing over.
        self.headers.check(mark.final_height).map_err(|error| error.to_string())?;
        let (tree, miners) = self.load_tree().map_err(|error| error.to_string())?;
        let header = if mark.height == 0 {
            *self.genesis.header()
        } else {
            let row = self.block_row(&mark.tip).map_err(|error| error.to_string())?;
            let row = row.filter(|row| row.height == mark.height).ok_or("its block is not in the index")?;
            let stored = self.journal.block(row.position).map_err(|error| error.to_string())?;
            let block: Block = codec::decode(&stored.block).map_err(|error| error.to_string())?;
            block.header
        };
        if header.header.id() != mark.tip {
            return Err(format!("its block is {}, its mark says {}", header.header.id(), mark.tip));
        }
        if tree.root() != header.header.state_root {
            let expected = header.header.state_root;
            return Err(format!("its state root is {}, the header's {expected}", tree.root()));
        }
        self.state.tree = tree;
        for miner in miners {
            self.state.note_miner(miner, true);
        }
        self.final_height = mark.final_height;
        let work = self.work_of(mark.tip, mark.height).map_err(|error| error.to_string())?;
        self.tip = Tip { header: CheckedHeader::stored(header), work };
        Ok(())
    }

    fn load_tree(&self) -> Result<(StateTree, Vec<PublicKey>), StoreError> {
        let mut changes = Vec::new();
        let mut miners = Vec::new();
        self.index.scan(&[STATE], &mut |key, value| {
            let key: StateKey = decode_row(&key[1..])?;
            key.decode_value(value).map_err(|error| StoreError::Index(error.to_string()))?;
            if let StateKey::Miner(miner) = key {
                miners.push(miner);
            }
            changes.push((key.path(), Some(value.to_vec().into_boxed_slice())));
            Ok(())
        })?;
        Ok((StateTree::default().update(changes), miners))
    }

    /// The total work up to a block. Its height's record may have been overwritten by a later move, but that of
    /// some block below was not: count up from there.
    fn work_of(&self, mut id: Hash, mut height: u64) -> Result<Work, LedgerError> {
        let mut above = Vec::new();
        loop {
            if let Some(record) = self.record(&id, height) {
                return Ok(above.into_iter().fold(record.work, Work::plus));
            }
            let header = self.journalled(&id, height)?.0.header.header;
            let target = Target::from_bits(header.bits);
            above.push(target.map_or_else(Work::default, Target::work));
            id = header.parent;
            height = height.checked_sub(1).ok_or(LedgerError::MissingBlock { id, height })?;
        }
    }

    /// What headers.dat has of this block. It may be ahead of the moves applied so far, and torn beyond the
    /// checkpoint: then it has nothing.
    fn record(&self, id: &Hash, height: u64) -> Option<HeaderRecord> {
        if height == 0 && *id == self.genesis.hash() {
            let work = genesis_work(&self.genesis);
            return Some(HeaderRecord { signed: *self.genesis.header(), work, position: 0 });
        }
        self.headers.get(height).ok().flatten().filter(|record| record.signed.header.id() == *id)
    }

    /// The header of a block of the chain, wherever it is found.
    fn header(&self, id: &Hash, height: u64) -> Result<SignedHeader, LedgerError> {
        match self.record(id, height) {
            Some(record) => Ok(record.signed),
            None => Ok(self.journalled(id, height)?.0.header),
        }
    }

    /// A block that was connected, as the journal has it.
    fn journalled(&self, id: &Hash, height: u64) -> Result<(Block, BlockUndo), LedgerError> {
        let row = self.block_row(id)?.ok_or(LedgerError::MissingBlock { id: *id, height })?;
        self.decode_block(row.position, *id, height)
    }

    fn block_row(&self, id: &Hash) -> Result<Option<BlockRow>, StoreError> {
        self.index.get(&block_key(id))?.map(|row| decode_row(&row)).transpose()
    }

    fn decode_block(&self, position: u64, id: Hash, height: u64) -> Result<(Block, BlockUndo), LedgerError> {
        let stored = self.journal.block(position)?;
        let block = codec::decode(&stored.block).map_err(|error| LedgerError::journal(id, height, error))?;
        let undo = codec::decode(&stored.undo).map_err(|error| LedgerError::journal(id, height, error))?;
        Ok((block, undo))
    }

    /// Applies a move of the journal: every rule again, the root of every block; but S2 is asked only of what this walk
    /// itself has put on, what was confirmed before the mark being noted at its end. What it changes is staged until
    /// its end, for the index, where holdings are, moves with its mark alone. Says how many transactions it put on.
    fn apply(&mut self, stored: &StoredMove) -> Result<u64, LedgerError> {
        let mut transactions = 0;
        let mut rows = MoveRows::new();
        let mut staged = Overlay::new();
        for id in &stored.disconnect {
            staged.extend(self.disconnect(id, &mut rows)?);
        }
        if !stored.disconnect.is_empty() {
            self.tip.work = self.work_of(self.tip.id(), self.tip.height())?;
        }
        for (id, position) in &stored.connect {
            let diff = self.connect(id, *position, &staged, &mut rows)?;
            transactions += u64::try_from(diff.confirmed.len()).unwrap_or(u64::MAX);
            staged.extend(diff);
        }
        self.final_height = self.final_height_after(stored)?;
        self.state.confirmed.forget_below(self.final_height);
        let mark = Mark {
            journal_end: stored.end,
            height: self.tip.height(),
            tip: self.tip.id(),
            final_height: self.final_height,
        };
        self.index.submit(Layer { mark, rows: rows.finish(staged.diff(), mark.height) });
        Ok(transactions)
    }

    /// The final height never falls, but by a retreat, which ends at the block that is final after it, and in its state.
    fn final_height_after(&self, stored: &StoredMove) -> Result<u64, LedgerError> {
        if !stored.is_retreat() {
            return Ok(self.final_height.max(stored.final_height));
        }
        let (id, height) = (self.tip.id(), self.tip.height());
        if stored.final_height != height || self.state.tree.root() != self.tip.header.header().state_root {
            return Err(LedgerError::journal(id, height, "the chain was taken back to it and misses it"));
        }
        // Whoever mends a damaged journal by headers.dat must not find the way back there.
        self.headers.cut(height + 1)?;
        Ok(height)
    }

    /// Takes the tip off. The work of the block below is counted once for the whole move.
    fn disconnect(&mut self, id: &Hash, rows: &mut MoveRows) -> Result<Diff, LedgerError> {
        let height = self.tip.height();
        if self.tip.id() != *id {
            return Err(LedgerError::journal(*id, height, "it is disconnected but is not the tip"));
        }
        let (block, undo) = self.journalled(id, height)?;
        let diff = undo.reversed(&block);
        let tree = diff.apply_to(&self.state.tree);
        self.state.publish(&diff, tree);
        rows.disconnected(block.transactions.iter().map(|tx| tx.body.txid()));
        let (parent, below) = (block.header.header.parent, height.saturating_sub(1));
        self.tip.header = CheckedHeader::stored(self.header(&parent, below)?);
        Ok(diff)
    }

    fn connect(
        &mut self,
        id: &Hash,
        position: u64,
        staged: &Overlay,
        rows: &mut MoveRows,
    ) -> Result<Diff, LedgerError> {
        let stored = self.journal.block(position)?;
        let height = self.tip.height() + 1;
        let wrong = |error: String| LedgerError::journal(*id, height, error);
        let params = self.genesis.params();
        let block = CheckedBlock::check(params, &self.genesis.hash(), stored.block, &|_| None)
            .map_err(|error| wrong(error.to_string()))?;
        if block.id() != *id || block.header().header().parent != self.tip.id() || block.height() != height {
            return Err(wrong(format!("it does not follow the tip {}", self.tip.id())));
        }
        let live = LedgerView { state: &self.state, index: &self.index };
        let (view, recent) = (Staged::new(&live, staged), self.recent_miners()?);
        let applied = verify_and_apply_block(params, &view, &self.state.tree, &recent, &block)
            .map_err(|error| wrong(error.to_string()))?;
        self.state.publish(&applied.diff, applied.tree);
        let work = self.tip.work.plus(block.header().target().work());
        self.tip = Tip { header: *block.header(), work };
        self.headers.put(height, &HeaderRecord { signed: *block.header().signed(), work, position })?;
        rows.connected(id, BlockRow { height, position }, block.transactions().iter().map(|tx| tx.txid()));
        Ok(applied.diff)
    }

    /// The makers of the last blocks, as far back as rule B4 asks. By id, not by height: headers.dat may hold
    /// a branch that the chain goes to later.
    fn recent_miners(&self) -> Result<Vec<PublicKey>, LedgerError> {
        let wanted = usize::try_from(self.genesis.params().miner_spacing).unwrap_or(usize::MAX);
        let wanted = wanted.min(self.state.miners.len().saturating_sub(1));
        let mut recent = Vec::new();
        let mut header = *self.tip.header.header();
        while header.height > 0 && recent.len() < wanted {
            recent.push(header.miner);
            header = self.header(&header.parent, header.height - 1)?.header;
        }
        Ok(recent)
    }

    /// The header tree, from the final block up.
    fn header_tree(&self) -> Result<HeaderTree, LedgerError> {
        let height = self.final_height;
        let missing = LedgerError::MissingBlock { id: Hash::ZERO, height };
        let record = self.headers.get(height)?.ok_or(missing)?;
        let parent = height.checked_sub(1).map(|below| self.headers.get(below)).transpose()?.flatten();
        let parent_time = parent.map(|record| record.signed.header.time);
        let mut tree = HeaderTree::new(self.genesis.params().clone(), placed(&record, parent_time));
        for record in self.headers_up(height + 1)? {
            let header = CheckedHeader::stored(record.signed);
            let id = header.id();
            // The clock does not judge what was judged before.
            tree.insert(header, u64::MAX).map_err(|error| LedgerError::journal(id, 0, error))?;
            tree.body_arrived(&id);
        }
        match tree.get(&self.tip.id()) {
            Some(_) => Ok(tree),
            None => Err(LedgerError::MissingBlock { id: self.tip.id(), height: self.tip.height() }),
        }
    }

    pub(crate) fn into_ledger(
        self,
        disk: Arc<dyn Disk>,
        journal: Journal,
        tree: HeaderTree,
    ) -> Result<Ledger, LedgerError> {
        let unfinal = self.headers_up(self.final_height.max(1))?;
        let positions = unfinal.iter().map(|record| (record.signed.header.id(), record.position)).collect();
        let (final_height, state) = (self.final_height, self.state);
        let snapshot = Snapshot::new(self.tip, final_height, state.tree.clone(), state.miners.clone());
        Ok(Ledger {
            genesis: self.genesis,
            disk,
            journal,
            headers: self.headers,
            index: self.index,
            tree,
            max_headers: MAX_TREE_HEADERS,
            state,
            tip: self.tip,
            final_height,
            lost_final: None,
            salvaging: None,
            positions,
            bodies: Bodies::default(),
            connected: ConnectedBlocks::default(),
            mempool: Mempool::default(),
            kept_file_is_true: false,
            recount_budget: MAX_RECOUNT_TRANSACTIONS,
            template: None,
            templated_orders: 0,
            template_faults: 0,
            published: Arc::new(RwLock::new(Published::new(snapshot))),
        })
    }

    /// The records of the chain from a height up to the tip.
    fn headers_up(&self, from: u64) -> Result<Vec<HeaderRecord>, LedgerError> {
        let count = self.tip.height().saturating_add(1).saturating_sub(from);
        Ok(self.headers.range(from, usize::try_from(count).unwrap_or(usize::MAX))?)
    }

    /// S2 may be asked of any transaction that a block above the final one could hold: those of the last
    /// `max_validity` blocks below it, and all above.
    fn note_confirmed(&mut self) -> Result<(), LedgerError> {
        let validity = u64::from(self.genesis.params().max_validity);
        let from = self.final_height.saturating_sub(validity).max(1);
        let mut seen: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
        for record in self.headers_up(from)? {
            let header = record.signed.header;
            let (block, _) = self.decode_block(record.position, header.id(), header.height)?;
            for tx in &block.transactions {
                seen.entry(tx.body.expires_at).or_default().push(tx.body.txid());
            }
        }
        for (expires_at, txids) in seen.split_off(&self.final_height) {
            txids.into_iter().for_each(|txid| self.state.confirmed.insert(expires_at, txid));
        }
        Ok(())
    }
}

fn genesis_work(genesis: &Genesis) -> Work {
    Target::from_bits(genesis.params().bits).map_or_else(Work::default, Target::work)
}
