//! `headers.dat`: the headers of the chain in fixed records by height.
//!
//! ```text
//! record = header [160] | signature [64] | work [32], big-endian | journal position u64 | crc32 u32
//! ```
//! The record of height h begins at byte 268 h; its checksum also covers the height. The file follows the tip
//! and is synced by the checkpoint's writer before its mark moves: after a crash, records above the mark may
//! be missing, torn, or of a branch that is no more, and whoever applies the journal's moves puts them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use printsy_consensus::{SignedHeader, Work};

use super::bytes::{Bytes, len_usize, len64};
use super::disk::Disk;
use super::error::StoreError;

/// How many records are read at once: a megabyte.
const READ_RECORDS: u64 = 4_096;

/// The file's name.
pub(super) const FILE: &str = "headers.dat";
const RECORD_LEN: usize = SignedHeader::LEN + 32 + 8 + 4;

/// A header and what the ledger knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRecord {
    /// The header with its miner's signature.
    pub signed: SignedHeader,
    /// The work of the chain up to and with this block.
    pub work: Work,
    /// Where the block is in the journal.
    pub position: u64,
}

/// The headers of the chain; clones are one file, usable from any thread.
#[derive(Clone, Debug)]
pub struct HeaderFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    file: &'static str,
    count: AtomicU64,
    /// A record is read and written whole.
    turn: RwLock<()>,
}

impl HeaderFile {
    /// The header file on a disk, an empty one if there is none.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        Self::open_as(disk, FILE)
    }

    /// The header file of another name.
    pub(super) fn open_as(disk: Arc<dyn Disk>, file: &'static str) -> Result<Self, StoreError> {
        let len = disk.len(file).map_err(|error| StoreError::io("read", file, error))?;
        let count = AtomicU64::new(len.unwrap_or(0) / record_len());
        Ok(Self { shared: Arc::new(Shared { disk, file, count, turn: RwLock::new(()) }) })
    }

    /// How many records there are: the greatest height plus one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// The record of a height, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it does not match its checksum; the disk's.
    pub fn get(&self, height: u64) -> Result<Option<HeaderRecord>, StoreError> {
        Ok(self.range(height, 1)?.pop())
    }

    /// The records from a height on: `count` of them, or as many as there are. The caller bounds the count.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one does not match its checksum; the disk's.
    pub fn range(&self, from: u64, count: usize) -> Result<Vec<HeaderRecord>, StoreError> {
        let end = from.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)).min(self.count());
        let mut records = Vec::new();
        let mut at = from;
        while at < end {
            let some = self.read_some(at, READ_RECORDS.min(end - at))?;
            if some.is_empty() {
                break; // cut meanwhile
            }
            at += u64::try_from(some.len()).expect("no more than were asked for");
            records.extend(some);
        }
        Ok(records)
    }

    /// Holds every record up to a height against its checksum: a fifth of a second for a million.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one does not match, or is not there; the disk's.
    pub fn check(&self, up_to: u64) -> Result<(), StoreError> {
        let end = up_to.saturating_add(1);
        let mut at = 0;
        while at < end {
            let some = self.read_some(at, READ_RECORDS.min(end - at))?;
            if some.is_empty() {
                return Err(StoreError::damaged(self.shared.file, at * record_len(), "it ends too early"));
            }
            at += u64::try_from(some.len()).expect("no more than were asked for");
        }
        Ok(())
    }

    fn read_some(&self, from: u64, count: u64) -> Result<Vec<HeaderRecord>, StoreError> {
        let turn = self.shared.turn.read();
        let count = count.min(self.count().saturating_sub(from));
        if count == 0 {
            return Ok(Vec::new());
        }
        let read =
            self.shared.disk.read(self.shared.file, from * record_len(), len_usize(count * record_len()));
        drop(turn);
        let bytes = read.map_err(|error| StoreError::io("read", self.shared.file, error))?;
        let damaged =
            |height| StoreError::damaged(self.shared.file, height * record_len(), "a record is not sound");
        let (records, _) = bytes.as_chunks::<RECORD_LEN>();
        (from..)
            .zip(records)
            .map(|(height, record)| decode(height, record).ok_or_else(|| damaged(height)))
            .collect()
    }

    /// Writes the record of a height, over the one that is there. It is durable after [`Self::sync`].
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, height: u64, record: &HeaderRecord) -> Result<(), StoreError> {
        let _turn = self.shared.turn.write();
        let written =
            self.shared.disk.write_at(self.shared.file, height * record_len(), &encode(height, record));
        written.map_err(|error| StoreError::io("write", self.shared.file, error))?;
        self.shared.count.fetch_max(height + 1, Ordering::AcqRel);
        Ok(())
    }

    /// Returns when every record is durable.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> Result<(), StoreError> {
        if self.count() == 0 {
            return Ok(());
        }
        self.shared
            .disk
            .sync(self.shared.file)
            .map_err(|error| StoreError::io("sync", self.shared.file, error))
    }

    /// Keeps the first `heights` records only; durable after [`Self::sync`].
    ///
    /// # Errors
    /// The disk's.
    pub fn cut(&self, heights: u64) -> Result<(), StoreError> {
        let _turn = self.shared.turn.write();
        if heights < self.count() {
            let cut = self.shared.disk.cut(self.shared.file, heights * record_len());
            cut.map_err(|error| StoreError::io("cut", self.shared.file, error))?;
            self.shared.count.store(heights, Ordering::Release);
        }
        Ok(())
    }
}

fn record_len() -> u64 {
    len64(&[0; RECORD_LEN])
}

fn checksum(height: u64, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&height.to_le_bytes());
    hasher.update(fields);
    hasher.finalize()
}

fn encode(height: u64, record: &HeaderRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_LEN);
    bytes.extend_from_slice(&record.signed.to_bytes());
    bytes.extend_from_slice(&record.work.to_be_bytes());
    bytes.extend_from_slice(&record.position.to_le_bytes());
    bytes.extend_from_slice(&checksum(height, &bytes).to_le_bytes());
    bytes
}

fn decode(height: u64, record: &[u8; RECORD_LEN]) -> Option<HeaderRecord> {
    let (fields, crc) = record.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != checksum(height, fields) {
        return None;
    }
    let mut cursor = Bytes(fields);
    let signed = SignedHeader::from_bytes(&cursor.array()?);
    let work = Work::from_be_bytes(cursor.array()?);
    Some(HeaderRecord { signed, work, position: cursor.u64()? })
}
