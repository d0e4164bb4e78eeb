//! The whole chain again: every move of the journal from genesis, every rule, every root.
//!
//! [`Replay::apply`] is the table of contents. It uses consensus' own rules on a state of its own: plain maps in
//! memory, no index, no headers.dat. Beyond what recovery does, it holds every block against the header rules, the
//! undo in the journal against the one that executing gives, the state after each disconnection against the
//! parent's header (I4), and the moves themselves: none to less work, none that leaves a final block, no final
//! height that falls. It stops at the first fault and names it.
//!
//! Memory grows with the state and the holdings, and by eight bytes a block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use printsy_consensus::{
    Block, BlockUndo, CheckedHeader, Genesis, Hash, PublicKey, SignedHeader, Target, Work, codec,
    verify_and_apply_block, verify_header,
};

use super::chain::Chain;
use super::checked::check_block;
use super::state::ReplayState;
use crate::error::LedgerError;
use crate::progress::{Progress, Watch};
use crate::store::{Disk, JournalReader, StoredMove};

/// What a replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The height of the tip.
    pub height: u64,
    /// The tip.
    pub tip: Hash,
    /// The state root, as executed: that of the tip's header.
    pub state_root: Hash,
    /// The final height.
    pub final_height: u64,
    /// Moves of the journal.
    pub moves: u64,
    /// Blocks executed, those that left the chain included.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
}

/// Executes a journal from genesis, and changes nothing on the disk.
///
/// # Errors
/// The first fault: [`LedgerError::Journal`] with height, block and rule; damage with its segment and offset. The
/// disk's.
pub fn replay(
    genesis: &Arc<Genesis>,
    disk: Arc<dyn Disk>,
    watch: &mut Watch<'_>,
) -> Result<Replayed, LedgerError> {
    let journal = JournalReader::open(disk, genesis.hash())?;
    let mut replay = Replay::new(genesis.clone(), journal.clone());
    for stored in journal.moves(0) {
        replay.apply(&stored?)?;
        watch(replay.progress());
    }
    Ok(replay.replayed())
}

/// A chain on its way from genesis to the end of the journal.
#[derive(Debug)]
pub(super) struct Replay {
    genesis: Arc<Genesis>,
    journal: JournalReader,
    state: ReplayState,
    chain: Chain,
    tip: CheckedHeader,
    /// The time of the tip's parent; `None` where the tip is genesis.
    parent_time: Option<u64>,
    /// The makers of the last blocks, the tip's first: as many as were asked for, or fewer.
    makers: VecDeque<PublicKey>,
    /// The blocks that left the chain: their heights and positions.
    left: BTreeMap<Hash, (u64, u64)>,
    /// Whether the last move changed nothing.
    is_restoring: bool,
    end: u64,
    done: Progress,
    moves: u64,
    blocks: u64,
}

impl Replay {
    pub(super) fn new(genesis: Arc<Genesis>, journal: JournalReader) -> Self {
        let done = Progress { total: journal.end(), ..Progress::default() };
        Self {
            state: ReplayState::new(&genesis),
            tip: CheckedHeader::stored(*genesis.header()),
            genesis,
            journal,
            chain: Chain::default(),
            parent_time: None,
            makers: VecDeque::new(),
            left: BTreeMap::new(),
            is_restoring: false,
            end: 0,
            done,
            moves: 0,
            blocks: 0,
        }
    }

    /// Makes one move.
    pub(super) fn apply(&mut self, stored: &StoredMove) -> Result<(), LedgerError> {
        let is_resolved = is_resolved(stored);
        self.check_final_height(stored)?;
        let tip_before = self.tip.id();
        let mut work_lost = Work::default();
        for id in &stored.disconnect {
            work_lost = work_lost.plus(self.disconnect(id)?);
        }
        if is_resolved {
            self.confirmed_again(stored.final_height)?;
        }
        let mut work_gained = Work::default();
        for (id, position) in &stored.connect {
            work_gained = work_gained.plus(self.connect(id, *position)?);
        }
        let is_better =
            (work_gained, std::cmp::Reverse(self.tip.id())) > (work_lost, std::cmp::Reverse(tip_before));
        if !stored.disconnect.is_empty() && !is_resolved && !is_better {
            return Err(self
                .journal
                .damage(stored.start, "the move leads to a branch that is no better")
                .into());
        }
        self.is_restoring = has_no_blocks(stored) && stored.final_height == self.chain.final_height;
        self.chain.final_height = stored.final_height;
        self.state.forget_below(stored.final_height);
        self.moves += 1;
        self.end = stored.end;
        (self.done.done, self.done.height) = (stored.end, self.height());
        Ok(())
    }

    /// The final height never falls, no move leaves a final block, and none is final before it is deep enough: but
    /// for a move that takes blocks off and puts none on, which only an operator's `resolve` makes, and for what such a
    /// one had made final and the end of a repair has given back.
    fn check_final_height(&self, stored: &StoredMove) -> Result<(), LedgerError> {
        let wrong = |what: String| LedgerError::from(self.journal.damage(stored.start, &what));
        let count = |blocks: usize| u64::try_from(blocks).unwrap_or(u64::MAX);
        let fork = self.height().checked_sub(count(stored.disconnect.len())).ok_or_else(|| {
            wrong(format!(
                "the move takes off {} blocks at height {}",
                stored.disconnect.len(),
                self.height()
            ))
        })?;
        let (before, after) = (self.chain.final_height, stored.final_height);
        if !is_resolved(stored) && fork < before {
            return Err(wrong(format!("the move forks at height {fork}, below the final height {before}")));
        }
        if !is_resolved(stored) && after < before {
            return Err(wrong(format!("the move lowers the final height from {before} to {after}")));
        }
        let highest = self.highest_final(stored, fork.saturating_add(count(stored.connect.len())));
        if after > highest {
            return Err(wrong(format!("the move makes height {after} final, at most {highest} can be")));
        }
        Ok(())
    }

    /// The greatest final height of a move that leads to a tip at `height`.
    fn highest_final(&self, stored: &StoredMove, height: u64) -> u64 {
        let is_restored = self.is_restoring && has_no_blocks(stored);
        if is_resolved(stored) || is_restored {
            return height;
        }
        let deepest = height.saturating_sub(u64::from(self.genesis.params().finality_depth));
        self.chain.final_height.max(deepest)
    }

    /// Takes the tip off, by the undo in the journal. Answers its work.
    fn disconnect(&mut self, id: &Hash) -> Result<Work, LedgerError> {
        let height = self.height();
        let wrong = |what: String| LedgerError::journal(*id, height, what);
        if self.tip.id() != *id {
            return Err(wrong(format!("it is taken off, but the tip is {}", self.tip.id())));
        }
        let position = self.chain.pop().ok_or_else(|| wrong("genesis is taken off".to_owned()))?;
        let stored = self.journal.block(position)?;
        let block: Block = codec::decode(&stored.block).map_err(|error| wrong(error.to_string()))?;
        let undo: BlockUndo = codec::decode(&stored.undo).map_err(|error| wrong(error.to_string()))?;
        let parent = self.header_at(height - 1)?;
        let diff = undo.reversed(&block);
        let tree = diff.apply_to(self.state.tree());
        if tree.root() != parent.header.state_root {
            let (got, expected) = (tree.root(), parent.header.state_root);
            return Err(wrong(format!(
                "I4: undoing it leaves root {got}, its parent's header says {expected}"
            )));
        }
        self.state.publish(diff, tree);
        self.left.insert(*id, (height, position));
        self.makers.pop_front();
        let work = self.tip.target().work();
        self.tip = CheckedHeader::stored(parent);
        let before = height.checked_sub(2).map(|height| self.header_at(height)).transpose()?;
        self.parent_time = before.map(|signed| signed.header.time);
        Ok(work)
    }

    /// Puts a block on the tip: every rule but the clock's. Answers its work.
    fn connect(&mut self, id: &Hash, position: u64) -> Result<Work, LedgerError> {
        let height = self.height() + 1;
        let wrong = |what: String| LedgerError::journal(*id, height, what);
        let stored = self.journal.block(position)?;
        let genesis = self.genesis.clone();
        let params = genesis.params();
        let block = check_block(&genesis, stored.block).map_err(|error| wrong(error.to_string()))?;
        let header = *block.header().header();
        if block.id() != *id {
            return Err(wrong(format!("the journal has block {} in its place", block.id())));
        }
        if header.parent != self.tip.id() {
            return Err(wrong(format!("its parent is {}, the tip is {}", header.parent, self.tip.id())));
        }
        // The clock does not judge what was judged before.
        verify_header(params, self.tip.header(), self.parent_time, &header, u64::MAX)
            .map_err(|error| wrong(error.to_string()))?;
        let recent = self.recent_makers()?;
        let applied = verify_and_apply_block(params, &self.state, self.state.tree(), &recent, &block)
            .map_err(|error| wrong(error.to_string()))?;
        if codec::encode(&applied.undo) != stored.undo {
            return Err(wrong("what the journal has to undo it is not what undoes it".to_owned()));
        }
        self.state.publish(applied.diff, applied.tree);
        self.chain.push(position);
        self.left.remove(id);
        self.makers.push_front(header.miner);
        self.parent_time = Some(self.tip.header().time);
        self.tip = *block.header();
        self.blocks += 1;
        self.done.transactions += u64::try_from(block.transactions().len()).unwrap_or(u64::MAX);
        Ok(self.tip.target().work())
    }

    /// The makers of the last blocks, as far back as rule B4 asks.
    fn recent_makers(&mut self) -> Result<Vec<PublicKey>, LedgerError> {
        let spacing = usize::try_from(self.genesis.params().miner_spacing).unwrap_or(usize::MAX);
        let height = usize::try_from(self.height()).unwrap_or(usize::MAX);
        let wanted = spacing.min(self.state.miners().saturating_sub(1)).min(height);
        self.makers.truncate(wanted);
        while self.makers.len() < wanted {
            let known = u64::try_from(self.makers.len()).unwrap_or(u64::MAX);
            let signed = self.header_at(self.height() - known)?;
            self.makers.push_back(signed.header.miner);
        }
        Ok(self.makers.iter().copied().collect())
    }

    /// Rule S2 after the final height was lowered: what is confirmed below it may be repeated above it.
    fn confirmed_again(&mut self, final_height: u64) -> Result<(), LedgerError> {
        let validity = u64::from(self.genesis.params().max_validity);
        for height in self.height().saturating_sub(validity).max(1)..=self.height() {
            let Some(position) = self.chain.position(height) else { continue };
            let stored = self.journal.block(position)?;
            let block: Block = codec::decode(&stored.block)
                .map_err(|error| LedgerError::journal(self.tip.id(), height, error))?;
            for tx in block.transactions.iter().filter(|tx| tx.body.expires_at >= final_height) {
                self.state.confirm(tx.body.expires_at, tx.body.txid());
            }
        }
        Ok(())
    }

    /// The header of a height of the chain.
    fn header_at(&self, height: u64) -> Result<SignedHeader, LedgerError> {
        match self.chain.position(height) {
            Some(position) => Ok(journalled_header(&self.journal, position)?),
            None => Ok(*self.genesis.header()),
        }
    }

    pub(super) fn replayed(&self) -> Replayed {
        Replayed {
            height: self.height(),
            tip: self.tip.id(),
            state_root: self.state.tree().root(),
            final_height: self.chain.final_height,
            moves: self.moves,
            blocks: self.blocks,
            transactions: self.done.transactions,
        }
    }

    pub(super) fn height(&self) -> u64 {
        self.chain.height()
    }

    pub(super) fn progress(&self) -> Progress {
        self.done
    }

    /// The end of the last move made.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn state(&self) -> &ReplayState {
        &self.state
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The blocks that are in the journal and not on the chain: their heights and positions.
    pub(super) fn left(&self) -> &BTreeMap<Hash, (u64, u64)> {
        &self.left
    }
}

/// Whether only an operator can have made this move.
fn is_resolved(stored: &StoredMove) -> bool {
    !stored.disconnect.is_empty() && stored.connect.is_empty()
}

/// Whether a move is about what is final, and nothing else.
fn has_no_blocks(stored: &StoredMove) -> bool {
    stored.disconnect.is_empty() && stored.connect.is_empty()
}

/// The header of the block at a position.
pub(super) fn journalled_header(
    journal: &JournalReader,
    position: u64,
) -> Result<SignedHeader, crate::store::StoreError> {
    let stored = journal.block(position)?;
    let header = stored.block.first_chunk().map(SignedHeader::from_bytes);
    let header = header.filter(|signed| Target::from_bits(signed.header.bits).is_some());
    header.ok_or_else(|| journal.damage(position, "the frame holds no block"))
}
