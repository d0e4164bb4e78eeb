//! The journal: every connected block and every move of the tip, in the order they happened; the truth.
//!
//! A commit is one net move: its block frames, then its move frame, appended to one segment and synced once.
//! What [`Journal::append`] has answered is durable and may be acknowledged. After a failure nobody knows what
//! the disk holds: the journal takes no more commits, the process ends, and opening it again finds out.
//! Side blocks are not journalled; what a block or its undo means is not known here.

use std::sync::Arc;

use printsy_consensus::Hash;

use super::bytes::len64;
use super::disk::Disk;
use super::error::StoreError;
use super::frame::{self, Kind, MovePayload, block_payload_len, checked_payload_len, frame_len};
use super::note::SyncedNote;
use super::reader::JournalReader;
use super::recovery::recover;
use super::segment::{HEADER_LEN, SEGMENT_BYTES, Segments, encode_header, file_name};

/// How much of a commit is gathered before it is handed to the disk: as much of a deep reorganisation is in memory once more
/// than in the commit, which is a copy of the blocks itself.
const APPEND_BYTES: usize = 8 << 20;

/// One net move of the tip; one without blocks makes a height final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The blocks taken off, first the old tip.
    pub disconnect: Vec<Hash>,
    /// The blocks put on, last the new tip.
    pub connect: Vec<CommitBlock>,
    /// The final height after the move, as durable as the move. It never falls, but by a retreat
    /// ([`super::StoredMove::is_retreat`]).
    pub final_height: u64,
}

/// A block that a commit puts on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitBlock {
    /// The block's id.
    pub id: Hash,
    /// The block's bytes.
    pub block: Vec<u8>,
    /// The bytes that undo it.
    pub undo: Vec<u8>,
}

/// Where a commit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of each connected block, in the commit's order.
    pub blocks: Vec<u64>,
    /// The end of the commit.
    pub end: u64,
}

/// The one writer.
#[derive(Debug)]
pub struct Journal {
    segments: Arc<Segments>,
    segment_bytes: u64,
    note: SyncedNote,
    is_poisoned: bool,
}

/// What is left to hand to the disk of one commit.
struct Tail<'a> {
    disk: &'a dyn Disk,
    file: String,
    buffer: Vec<u8>,
    position: u64,
}

impl Journal {
    /// The journal on a disk, an empty one if there is none. Commits before `from` (the end of a commit that
    /// the checkpoint's mark names, or 0) are not read again. A torn tail is cut off and kept aside.
    ///
    /// # Errors
    /// [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`], [`StoreError::Damaged`]: nothing was
    /// changed. The disk's.
    pub fn open(disk: Arc<dyn Disk>, genesis: Hash, from: u64) -> Result<Self, StoreError> {
        Self::open_with_segments(disk, genesis, from, SEGMENT_BYTES)
    }

    /// As [`Self::open`], with segments of another length than [`SEGMENT_BYTES`]; existing ones stay as they are.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_segments(
        disk: Arc<dyn Disk>,
        genesis: Hash,
        from: u64,
        segment_bytes: u64,
    ) -> Result<Self, StoreError> {
        let (mut note, noted) = SyncedNote::read(disk.as_ref())?;
        let segments = recover(Arc::clone(&disk), genesis, from, noted)?;
        if segments.end() > noted {
            note.write(disk.as_ref(), segments.end())?;
        }
        Ok(Self { segments: Arc::new(segments), segment_bytes, note, is_poisoned: false })
    }

    /// The end of the last commit.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.segments.end()
    }

    /// A reader of this journal, which sees later commits too.
    #[must_use]
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.segments))
    }

    /// Makes a commit durable.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: nothing was written. Any other: it is unknown whether the commit is there, and
    /// every later call answers [`StoreError::Poisoned`].
    pub fn append(&mut self, commit: &Commit) -> Result<Appended, StoreError> {
        if self.is_poisoned {
            return Err(StoreError::Poisoned);
        }
        let len = commit_len(commit)?;
        self.is_poisoned = true;
        let appended = self.write(commit, len)?;
        self.is_poisoned = false;
        Ok(appended)
    }

    fn write(&mut self, commit: &Commit, len: u64) -> Result<Appended, StoreError> {
        let start = self.segments.end();
        let current = self.segments.last_base();
        let base = current.filter(|base| start - base + len <= self.segment_bytes).unwrap_or(start);
        let is_new = current != Some(base);
        let disk = self.segments.disk.as_ref();
        let mut tail = Tail { disk, file: file_name(base), buffer: Vec::new(), position: start };
        if is_new {
            tail.buffer.extend_from_slice(&encode_header(&self.segments.genesis, base));
            tail.position += len64(&[0; HEADER_LEN]);
        }
        let blocks = tail.write_commit(commit, self.segments.genesis, start)?;
        let end = tail.position;
        disk.sync(&tail.file).map_err(|error| StoreError::io("sync", &tail.file, error))?;
        self.note.write(disk, end)?;
        if is_new {
            self.segments.push(base);
        }
        self.segments.set_end(end);
        Ok(Appended { blocks, end })
    }
}

impl Tail<'_> {
    fn write_commit(&mut self, commit: &Commit, genesis: Hash, start: u64) -> Result<Vec<u64>, StoreError> {
        let mut blocks = Vec::with_capacity(commit.connect.len());
        for CommitBlock { block, undo, .. } in &commit.connect {
            blocks.push(self.position);
            let block_len = checked_payload_len(len64(block))?;
            self.frame(Kind::Block, &[&block_len.to_le_bytes(), block, undo])?;
        }
        let connect = commit.connect.iter().map(|block| block.id).zip(blocks.iter().copied()).collect();
        let (final_height, disconnect) = (commit.final_height, commit.disconnect.clone());
        let position = self.position;
        let payload = MovePayload { genesis, start, final_height, disconnect, connect, position };
        self.frame(Kind::Move, &[&payload.encode()?])?;
        self.hand_over()?;
        Ok(blocks)
    }

    fn frame(&mut self, kind: Kind, parts: &[&[u8]]) -> Result<(), StoreError> {
        let before = len64(&self.buffer);
        frame::encode(self.position, kind, parts, &mut self.buffer)?;
        self.position += len64(&self.buffer) - before;
        if self.buffer.len() >= APPEND_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        let appended = self.disk.append(&self.file, &self.buffer);
        self.buffer.clear();
        appended.map_err(|error| StoreError::io("append to", &self.file, error))
    }
}

/// The length of all frames of a commit, each of which the journal must be able to hold.
fn commit_len(commit: &Commit) -> Result<u64, StoreError> {
    let mut len = 0;
    for CommitBlock { block, undo, .. } in &commit.connect {
        len += frame_len(u64::from(checked_payload_len(block_payload_len(block, undo))?));
    }
    let payload_len = MovePayload::len(commit.disconnect.len(), commit.connect.len());
    Ok(len + frame_len(u64::from(checked_payload_len(payload_len)?)))
}
