//! Segments: the files of the journal, and the way from a position to a file.
//!
//! `journal/<20-digit base offset>.seg`; a position is a byte's place in all segments laid end to end,
//! headers included, so that a file's name says which positions it holds. A header is the same in every
//! format: `magic [8] | format u32 | genesis [32] | base u64 | crc32 u32`. A commit never spans segments: one
//! that would not fit begins the next one, and a commit larger than a segment has a segment of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use printsy_consensus::Hash;

use super::bytes::{Bytes, len_usize, len64};
use super::disk::Disk;
use super::error::StoreError;
use super::frame::{HEAD_LEN, Head};

/// A segment's length in bytes: large enough that a year has some dozens, small enough to copy one.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// The folder of the segments.
pub(super) const FOLDER: &str = "journal";

/// The format we write, and the newest we read.
pub(super) const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"prtsyjnl";

/// A segment header's length in bytes.
pub(super) const HEADER_LEN: usize = 8 + 4 + 32 + 8 + 4;

/// A segment's file name.
pub(super) fn file_name(base: u64) -> String {
    format!("{FOLDER}/{base:020}.seg")
}

/// The base of a name in the folder, if it is a segment's.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

/// A segment's header.
pub(super) fn encode_header(genesis: &Hash, base: u64) -> [u8; HEADER_LEN] {
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&genesis.0);
    header.extend_from_slice(&base.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header.try_into().expect("the fields above are as long as a header")
}

/// Whether these bytes are the header of our segment with this base.
pub(super) fn check_header(bytes: &[u8], genesis: &Hash, base: u64) -> Result<(), StoreError> {
    let file = file_name(base);
    let damaged = |what| StoreError::damaged(file_name(base), 0, what);
    let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("no segment header"))?;
    let mut cursor = Bytes(fields);
    let sound = cursor.array() == Some(MAGIC) && u32::from_le_bytes(*crc) == crc32fast::hash(fields);
    let parsed = (cursor.u32(), cursor.hash(), cursor.u64());
    let (Some(format), Some(got), Some(found_base)) = parsed else {
        return Err(damaged("no segment header"));
    };
    if !sound {
        return Err(damaged("the segment's header does not match its checksum"));
    }
    if format > FORMAT {
        return Err(StoreError::NewerFormat { file, got: format, expected: FORMAT });
    }
    if got != *genesis {
        return Err(StoreError::ForeignGenesis { file, got, expected: *genesis });
    }
    if found_base != base {
        return Err(damaged("the segment's header names another base"));
    }
    Ok(())
}

/// All segments of a journal, shared by its writer and its readers.
#[derive(Debug)]
pub(super) struct Segments {
    /// Where the files are.
    pub(super) disk: Arc<dyn Disk>,
    /// The network they belong to.
    pub(super) genesis: Hash,
    bases: RwLock<Vec<u64>>,
    end: AtomicU64,
}

impl Segments {
    /// Segments with these bases, ascending, committed up to nowhere yet.
    pub(super) fn new(disk: Arc<dyn Disk>, genesis: Hash, bases: Vec<u64>) -> Self {
        Self { disk, genesis, bases: RwLock::new(bases), end: AtomicU64::new(0) }
    }

    /// The end of the last commit.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Moves the end; readers see what lies before it.
    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// The base of the last segment.
    pub(super) fn last_base(&self) -> Option<u64> {
        self.bases.read().last().copied()
    }

    /// The base of the first segment after a position.
    pub(super) fn next_base(&self, position: u64) -> Option<u64> {
        let bases = self.bases.read();
        bases.get(bases.partition_point(|base| *base <= position)).copied()
    }

    /// A new last segment.
    pub(super) fn push(&self, base: u64) {
        self.bases.write().push(base);
    }

    /// The last segment is no more.
    pub(super) fn pop(&self) {
        self.bases.write().pop();
    }

    /// The base of the segment a position lies in, and the end of what may be read of it.
    fn locate(&self, position: u64, limit: u64) -> Option<(u64, u64)> {
        let bases = self.bases.read();
        let next = bases.partition_point(|base| *base <= position);
        let base = *bases.get(next.checked_sub(1)?)?;
        let end = bases.get(next).map_or(limit, |next_base| limit.min(*next_base));
        (position < end).then_some((base, end))
    }

    /// Damage at a position, by its file and the offset in it.
    pub(super) fn damage(&self, position: u64, what: &str) -> StoreError {
        match self.locate(position, u64::MAX) {
            Some((base, _)) => StoreError::damaged(file_name(base), position - base, what),
            None => StoreError::damaged(FOLDER, position, what),
        }
    }

    /// `len` bytes from `position` on, which must lie in one segment and before `limit`.
    pub(super) fn read(&self, position: u64, len: usize, limit: u64) -> Result<Vec<u8>, StoreError> {
        let too_short = || self.damage(position, "the segment ends too early");
        let (base, end) = self.locate(position, limit).ok_or_else(too_short)?;
        if u64::try_from(len).ok().is_none_or(|len| end - position < len) {
            return Err(too_short());
        }
        let file = file_name(base);
        self.disk.read(&file, position - base, len).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => too_short(),
            _ => StoreError::io("read", &file, error),
        })
    }

    /// The first frame's position at or after a commit's start: behind the header, if one is there.
    pub(super) fn first_frame(&self, start: u64) -> u64 {
        let at_base = self.bases.read().binary_search(&start).is_ok();
        if at_base { start + len64(&[0; HEADER_LEN]) } else { start }
    }

    /// The head of the frame at a position.
    pub(super) fn head(&self, position: u64, limit: u64) -> Result<Head, StoreError> {
        let bytes = self.read(position, HEAD_LEN, limit)?;
        let head = bytes.first_chunk().and_then(Head::decode);
        head.ok_or_else(|| self.damage(position, "no frame begins here"))
    }

    /// The payload of the frame at a position, held against its checksum.
    pub(super) fn payload(&self, position: u64, head: &Head, limit: u64) -> Result<Vec<u8>, StoreError> {
        let start = position + len64(&[0; HEAD_LEN]);
        let payload = self.read(start, len_usize(u64::from(head.len)), limit)?;
        if head.fits(position, &payload) {
            return Ok(payload);
        }
        Err(self.damage(position, "the frame does not match its checksum"))
    }
}
