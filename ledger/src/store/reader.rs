//! Reading the journal while it is being written: blocks by position, moves in order.
//!
//! A reader sees what is committed and nothing else. Moves are read without the blocks between them; a
//! block's bytes are held against their checksum when somebody asks for the block. Both answer damage by
//! segment and offset, never other bytes than were written.

use std::sync::Arc;

use printsy_consensus::Hash;

use super::disk::Disk;
use super::doubt::Doubt;
use super::error::StoreError;
use super::frame::{Head, Kind, MovePayload, split_block};
use super::note::SyncedNote;
use super::recovery::look;
use super::segment::Segments;

/// Reads a journal; clones are cheap and may be used from any thread.
#[derive(Clone, Debug)]
pub struct JournalReader {
    pub(super) segments: Arc<Segments>,
}

/// A block as it was journalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block's bytes.
    pub block: Vec<u8>,
    /// The bytes that undo it.
    pub undo: Vec<u8>,
}

/// One commit: the net move of the tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMove {
    /// Where the commit began: the end of the one before.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The final height after it.
    pub final_height: u64,
    /// The blocks taken off, as they were handed to the journal.
    pub disconnect: Vec<Hash>,
    /// The blocks put on, with their positions.
    pub connect: Vec<(Hash, u64)>,
}

impl StoredMove {
    /// Whether an operator took the chain back by it: blocks go and none comes. It alone may lower the final height,
    /// to the height it ends at.
    #[must_use]
    pub fn is_retreat(&self) -> bool {
        !self.disconnect.is_empty() && self.connect.is_empty()
    }
}

impl JournalReader {
    pub(super) fn new(segments: Arc<Segments>) -> Self {
        Self { segments }
    }

    /// The journal on a disk, to read alone: nothing on the disk is changed, a torn tail is left out. Damage is
    /// found where it lies, by whoever reads on.
    ///
    /// # Errors
    /// [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`]; [`StoreError::Damaged`] where the segments do
    /// not follow one another; the disk's.
    pub fn open(disk: Arc<dyn Disk>, genesis: Hash) -> Result<Self, StoreError> {
        Self::open_synced(disk, genesis, 0)
    }

    /// As [`Self::open`], for a journal of which somebody else knows that it was synced up to here: what is missing
    /// before that is damage and no torn tail.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_synced(disk: Arc<dyn Disk>, genesis: Hash, synced: u64) -> Result<Self, StoreError> {
        let (_, noted) = SyncedNote::read(disk.as_ref())?;
        Ok(Self::new(Arc::new(look(disk, genesis, noted.max(synced))?)))
    }

    /// The end of the last commit.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.segments.end()
    }

    /// The block whose frame lies at `position`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if no sound block frame lies there; the disk's.
    pub fn block(&self, position: u64) -> Result<StoredBlock, StoreError> {
        let (segments, limit) = (&self.segments, self.end());
        let head = segments.head(position, limit)?;
        if head.kind != Kind::Block {
            return Err(segments.damage(position, "got a move's frame, expected a block's"));
        }
        let payload = segments.payload(position, &head, limit)?;
        let (block, undo) =
            split_block(&payload).ok_or_else(|| segments.damage(position, "no block in the frame"))?;
        Ok(StoredBlock { block: block.to_vec(), undo: undo.to_vec() })
    }

    /// Notes for the next start that something on this disk is damaged.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_doubt(&self, why: &str) -> Result<(), StoreError> {
        Doubt::note(self.segments.disk.as_ref(), why)
    }

    /// The moves from `from` on, which must be the end of a commit (or 0), up to the committed end as it is
    /// when each is asked for. After an error nothing follows.
    #[must_use]
    pub fn moves(&self, from: u64) -> Moves {
        Moves { segments: Arc::clone(&self.segments), next: Some(from) }
    }
}

/// Moves in the order they were committed.
#[derive(Debug)]
pub struct Moves {
    segments: Arc<Segments>,
    next: Option<u64>,
}

impl Iterator for Moves {
    type Item = Result<StoredMove, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let limit = self.segments.end();
        if start == limit {
            return None;
        }
        let result = read_commit(&self.segments, start, limit, |_, _| Ok(()));
        self.next = result.as_ref().ok().map(|stored| stored.end);
        Some(result)
    }
}

/// The commit that begins at `start`; `on_block` is told of each block frame in it.
pub(super) fn read_commit(
    segments: &Segments,
    start: u64,
    limit: u64,
    mut on_block: impl FnMut(u64, &Head) -> Result<(), StoreError>,
) -> Result<StoredMove, StoreError> {
    let mut position = segments.first_frame(start);
    let mut blocks = Vec::new();
    loop {
        let head = segments.head(position, limit)?;
        let end = position + head.frame_len();
        match head.kind {
            Kind::Block => {
                on_block(position, &head)?;
                blocks.push(position);
                position = end;
            }
            Kind::Move => {
                let payload = segments.payload(position, &head, limit)?;
                let payload = MovePayload::decode(&payload).filter(|payload| {
                    let positions = payload.connect.iter().map(|(_, at)| at);
                    let is_here = payload.start == start && payload.position == position;
                    payload.genesis == segments.genesis && is_here && positions.eq(&blocks)
                });
                let MovePayload { final_height, disconnect, connect, .. } = payload
                    .ok_or_else(|| segments.damage(position, "the move does not fit the frames before it"))?;
                return Ok(StoredMove { start, end, final_height, disconnect, connect });
            }
        }
    }
}
