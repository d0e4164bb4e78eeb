//! `redo`: what the checkpoint is about to write into the index, durable before the first batch.
//!
//! ```text
//! head = magic [8] | format u32 | genesis [32] | has base u8 | base mark | mark | rows u64 | crc32 u32
//! file = head | rows { key length u32 | key | has value u8 | value length u32 | value } | crc32 u32 over all
//! ```
//! Rows are absolute values: to apply them twice is to apply them once. The base is the mark the index had
//! before; a redo file fits that index alone (or the one it was applied to), so that one that was left
//! behind never meets an index that was rebuilt.

use std::borrow::Cow;

use printsy_consensus::Hash;

use super::bytes::{Bytes, len_usize};
use super::disk::Disk;
use super::error::StoreError;
use super::index::Rows;
use super::mark::Mark;
use super::runs::is_packed;

/// The file's name.
pub(super) const FILE: &str = "redo";

const MAGIC: [u8; 8] = *b"prtsyred";
const FORMAT: u32 = 2;
const CHUNK_BYTES: usize = 8 << 20;

/// One write of the checkpoint.
#[derive(Debug)]
pub(super) struct Redo<'a> {
    /// The index's mark before; `None`: an empty index.
    pub(super) base: Option<Mark>,
    /// The index's mark after.
    pub(super) mark: Mark,
    /// What changes between the two; rows that are packed are not written, but what stands for them in `runs`.
    pub(super) rows: Cow<'a, Rows>,
    /// The rows of runs that change; where the file was read, `rows` has them too.
    pub(super) runs: Rows,
}

impl Redo<'_> {
    /// The rows of the index that change, ascending.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Vec<u8>, &Option<Vec<u8>>)> {
        self.rows.iter().filter(|(key, _)| !is_packed(key)).chain(&self.runs)
    }

    /// Writes the file; durable when it returns.
    pub(super) fn write(&self, disk: &dyn Disk, genesis: &Hash) -> Result<(), StoreError> {
        remove(disk)?;
        let mut out = Out { disk, hasher: crc32fast::Hasher::new(), buffer: encode_head(self, genesis) };
        for (key, value) in self.rows() {
            out.bytes(key);
            out.buffer.push(u8::from(value.is_some()));
            out.bytes(value.as_deref().unwrap_or_default());
            if out.buffer.len() >= CHUNK_BYTES {
                out.hand_over()?;
            }
        }
        out.hand_over()?;
        let crc = out.hasher.finalize().to_le_bytes();
        disk.append(FILE, &crc).map_err(|error| StoreError::io("append to", FILE, error))?;
        disk.sync(FILE).map_err(|error| StoreError::io("sync", FILE, error))
    }
}

impl Redo<'static> {
    /// The redo file on a disk; `None` if there is none, or one that was never finished or has another format.
    pub(super) fn read(disk: &dyn Disk, genesis: &Hash) -> Result<Option<Self>, StoreError> {
        let failed = |error| StoreError::io("read", FILE, error);
        let Some(len) = disk.len(FILE).map_err(failed)? else {
            return Ok(None);
        };
        let bytes = disk.read(FILE, 0, len_usize(len)).map_err(failed)?;
        let Some((head, rest)) = bytes.split_at_checked(HEAD_LEN) else {
            return Ok(None);
        };
        let Some(head) = decode_head(head) else {
            return Ok(None);
        };
        if head.genesis != *genesis {
            let (file, got, expected) = (FILE.to_owned(), head.genesis, *genesis);
            return Err(StoreError::ForeignGenesis { file, got, expected });
        }
        let sound = bytes
            .split_last_chunk::<4>()
            .is_some_and(|(all, crc)| u32::from_le_bytes(*crc) == crc32fast::hash(all));
        let rows = rest.split_last_chunk::<4>().and_then(|(rows, _)| decode_rows(rows, head.rows));
        Ok(rows.filter(|_| sound).map(|rows| Self {
            base: head.base,
            mark: head.mark,
            rows: Cow::Owned(rows),
            runs: Rows::new(),
        }))
    }
}

/// Removes the file, if there is one.
pub(super) fn remove(disk: &dyn Disk) -> Result<(), StoreError> {
    disk.remove(FILE).map_err(|error| StoreError::io("remove", FILE, error))
}

struct Out<'a> {
    disk: &'a dyn Disk,
    hasher: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("a row is far smaller than 4 GiB");
        self.buffer.extend_from_slice(&len.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        self.hasher.update(&self.buffer);
        let appended = self.disk.append(FILE, &self.buffer);
        self.buffer.clear();
        appended.map_err(|error| StoreError::io("append to", FILE, error))
    }
}

struct RedoHead {
    genesis: Hash,
    base: Option<Mark>,
    mark: Mark,
    rows: u64,
}

const HEAD_LEN: usize = 8 + 4 + 32 + 1 + Mark::LEN + Mark::LEN + 8 + 4;

fn encode_head(redo: &Redo<'_>, genesis: &Hash) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_LEN);
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&genesis.0);
    head.push(u8::from(redo.base.is_some()));
    head.extend_from_slice(&redo.base.unwrap_or(redo.mark).to_bytes());
    head.extend_from_slice(&redo.mark.to_bytes());
    head.extend_from_slice(&u64::try_from(redo.rows().count()).expect("rows fit in memory").to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    head
}

fn decode_head(head: &[u8]) -> Option<RedoHead> {
    let (fields, crc) = head.split_last_chunk::<4>()?;
    let mut cursor = Bytes(fields);
    let is_ours = cursor.array() == Some(MAGIC) && cursor.u32() == Some(FORMAT);
    if !is_ours || u32::from_le_bytes(*crc) != crc32fast::hash(fields) {
        return None;
    }
    let genesis = cursor.hash()?;
    let has_base = cursor.u8()? == 1;
    let base = Mark::read(&mut cursor).filter(|_| has_base);
    let mark = Mark::read(&mut cursor)?;
    Some(RedoHead { genesis, base, mark, rows: cursor.u64()? })
}

fn decode_rows(bytes: &[u8], count: u64) -> Option<Rows> {
    let mut cursor = Bytes(bytes);
    let mut rows = Rows::new();
    for _ in 0..count {
        let len = cursor.count(1)?;
        let key = cursor.take(len)?.to_vec();
        let has_value = cursor.u8()? == 1;
        let len = cursor.count(1)?;
        let value = cursor.take(len)?.to_vec();
        rows.insert(key, has_value.then_some(value));
    }
    cursor.end()?;
    Some(rows)
}
