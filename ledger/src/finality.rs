//! What is final, and how it becomes so: with the block that buries it, or, where none came while the node was
//! synced, by a commit of its own.
//!
//! The final height is as durable as what is told of it: each commit carries it, and nobody is told before the
//! fdatasync. After a crash it is what was told last, or a commit more; it never falls, but where an operator takes
//! the chain back (`retreat.rs`).

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::published::Tip;
use crate::store::{Commit, Layer, Mark};

impl Ledger {
    /// The greatest `tip height - finality_depth` ever held while synced, and with no better branch that does not fit.
    pub(crate) fn final_height_at(&self, tip: &Tip, is_synced: bool) -> u64 {
        let depth = u64::from(self.params().finality_depth);
        let is_sure = is_synced && self.beyond_room().is_none();
        let reached = if is_sure { tip.height().saturating_sub(depth) } else { 0 };
        // What was final before the journal was repaired is so again once it is as deep.
        let is_deep = |height: &u64| height.saturating_add(depth) <= tip.height();
        let before = self.lost_final.map(|lost| lost.final_height).filter(is_deep).unwrap_or(0);
        self.final_height.max(reached).max(before)
    }

    /// Makes final what is deep enough, where no block has come to do so: after a long sync. It is journalled first,
    /// as a move without blocks.
    ///
    /// # Errors
    /// Where it cannot be journalled: nothing became final, and the node must stop, for a journal that failed takes no
    /// more commits.
    pub fn settle(&mut self, is_synced: bool) -> Result<(), LedgerError> {
        let final_height = self.final_height_at(&self.tip, is_synced);
        if final_height <= self.final_height {
            return Ok(());
        }
        self.journal_final(final_height)
    }

    /// What was final before the journal was repaired is so again, the chain being back. Where an operator made it final it
    /// may lie less deep than what becomes so by itself: whoever replays the journal is told by a move before it that
    /// changes nothing, which stands there for this alone.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub(crate) fn restore_final(&mut self) -> Result<(), LedgerError> {
        self.settle(false)?;
        let lost = self.lost_final.map_or(0, |lost| lost.final_height);
        if lost > self.final_height && lost <= self.tip.height() {
            self.journal_final(self.final_height)?;
            self.journal_final(lost)?;
        }
        Ok(())
    }

    /// Journals a move without blocks, then makes its height final.
    fn journal_final(&mut self, final_height: u64) -> Result<(), LedgerError> {
        let appended = self.journal.append(&Commit { final_height, ..Commit::default() })?;
        let (height, tip) = (self.tip.height(), self.tip.id());
        let mark = Mark { journal_end: appended.end, height, tip, final_height };
        self.index.submit(Layer { mark, rows: Vec::new() });
        self.finalise(final_height);
        let snapshot = self.snapshot();
        self.published.write().snapshot = snapshot;
        Ok(())
    }

    /// Makes a height final: branches that do not hold it are forgotten.
    pub(crate) fn finalise(&mut self, final_height: u64) {
        if final_height <= self.final_height {
            return;
        }
        let Some(id) = self.tree.ancestor(&self.tip.id(), final_height) else { return };
        self.tree.finalise(&id);
        self.final_height = final_height;
        self.state.confirmed.forget_below(final_height);
        self.positions.retain(|id, _| self.tree.get(id).is_some());
        self.bodies.drop_unwanted(&self.tree);
    }
}
