//! The chain as the journal's moves alone make it: where the journal has the block of each height.
//!
//! Nothing is executed and no block is read: a move takes positions off the end and puts others on. What the blocks
//! say is for those who read them: the replay on its way, the count over what is left. Eight bytes a block.

use crate::store::{JournalReader, Mark, StoreError, StoredMove};

/// The blocks of a chain by height.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// That of height 1 first.
    positions: Vec<u64>,
    pub(super) final_height: u64,
}

impl Chain {
    /// The chain at the end of a journal.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where its moves cannot be read or do not follow one another; the disk's.
    pub fn read(journal: &JournalReader) -> Result<Self, StoreError> {
        let mut chain = Self::default();
        for stored in journal.moves(0) {
            chain.follow(journal, &stored?)?;
        }
        Ok(chain)
    }

    /// The height of the last block.
    #[must_use]
    pub fn height(&self) -> u64 {
        u64::try_from(self.positions.len()).expect("memory is addressed by at most 64 bits")
    }

    /// The height up to which blocks are final.
    #[must_use]
    pub fn final_height(&self) -> u64 {
        self.final_height
    }

    /// Where the journal has the block of a height; `None` for genesis, and above the last.
    #[must_use]
    pub fn position(&self, height: u64) -> Option<u64> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.positions.get(index).copied()
    }

    /// Makes a move; answers the height of the fork.
    pub(super) fn follow(&mut self, journal: &JournalReader, stored: &StoredMove) -> Result<u64, StoreError> {
        let Some(kept) = self.positions.len().checked_sub(stored.disconnect.len()) else {
            let what = format!(
                "the move takes off {} blocks, the chain has {}",
                stored.disconnect.len(),
                self.height()
            );
            return Err(journal.damage(stored.start, &what));
        };
        self.positions.truncate(kept);
        let fork = self.height();
        self.positions.extend(stored.connect.iter().map(|(_, position)| position));
        self.final_height = stored.final_height;
        Ok(fork)
    }

    pub(super) fn push(&mut self, position: u64) {
        self.positions.push(position);
    }

    pub(super) fn pop(&mut self) -> Option<u64> {
        self.positions.pop()
    }
}

/// Up to which height the chain stayed as it was at the index's mark: what stands below it was durable at the mark
/// and was not written since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinceMark {
    mark_end: Option<u64>,
    firm: Option<u64>,
}

impl SinceMark {
    pub(super) fn new(mark: Option<&Mark>) -> Self {
        let mark_end = mark.map(|mark| mark.journal_end);
        Self { mark_end, firm: (mark_end == Some(0)).then_some(0) }
    }

    /// Notes a move that forked at a height and led to another.
    pub(super) fn note(&mut self, end: u64, fork: u64, height: u64) {
        self.firm = match self.firm {
            _ if self.mark_end == Some(end) => Some(height),
            Some(firm) => Some(firm.min(fork)),
            None => None,
        };
    }

    /// The height; `None` where there is no mark, or the journal does not come to it.
    pub(super) fn firm(&self) -> Option<u64> {
        self.firm
    }
}
