//! `mempool.dat`: the orders that waited when the node was stopped, and what is told of orders, for the next start.
//!
//! ```text
//! head = magic [8] | format u32 | genesis [32] | count u32
//! file = head | orders { kind u8 | place u32 | length u32 | story length u32 | bytes | story } | crc32 u32 over all
//! ```
//! Written under another name, synced and renamed: there is a whole file or none. It is no part of the chain:
//! one that cannot be read costs what is in it and nothing more. Every format begins with that magic, format and
//! genesis and ends with that checksum. What an order is, or a story, is not known here.

use std::io::ErrorKind;

use printsy_consensus::Hash;

use super::bytes::{Bytes, len_usize};
use super::disk::Disk;
use super::error::StoreError;

const FILE: &str = "mempool.dat";
const NEW_FILE: &str = "mempool.new";
/// Where a file goes that another program is to read, once there is something to keep in its place.
const OTHER_FILE: &str = "mempool.other";
const MAGIC: [u8; 8] = *b"prtsymem";
/// Format 1 had a time in the place of the story.
const FORMAT: u32 = 2;
/// What names the file, to the genesis.
const NAME_LEN: usize = 8 + 4 + 32;
/// All that stands around the orders.
pub(crate) const AROUND_LEN: usize = NAME_LEN + 4 + 4;
/// What stands before an order's bytes.
pub(crate) const ORDER_HEAD_LEN: usize = 1 + 4 + 4 + 4;

/// An order as it is kept over a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptOrder {
    /// What the ledger says of it.
    pub(crate) kind: u8,
    /// The place of its story among the stories, the oldest first.
    pub(crate) place: u32,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its story; empty where none is told.
    pub(crate) story: Vec<u8>,
}

/// Keeps orders for the next start, instead of those that were kept before. A file of another network or a newer
/// program is not lost by that: it is given another name.
///
/// # Errors
/// The disk's; then what was kept before may still be.
pub(crate) fn write(disk: &dyn Disk, genesis: &Hash, orders: &[KeptOrder]) -> Result<(), StoreError> {
    let is_foreign = is_foreign(disk, genesis)?;
    if orders.is_empty() {
        return if is_foreign { Ok(()) } else { remove(disk) };
    }
    let bytes = encode(genesis, orders);
    disk.remove(NEW_FILE).map_err(|error| StoreError::io("remove", NEW_FILE, error))?;
    disk.append(NEW_FILE, &bytes).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
    disk.sync(NEW_FILE).map_err(|error| StoreError::io("sync", NEW_FILE, error))?;
    if is_foreign {
        disk.rename(FILE, OTHER_FILE).map_err(|error| StoreError::io("rename", FILE, error))?;
    }
    disk.rename(NEW_FILE, FILE).map_err(|error| StoreError::io("rename", NEW_FILE, error))
}

/// The orders that were kept, none if there is no file; one beyond `max_bytes` is not read.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`], the disk's.
pub(crate) fn read(disk: &dyn Disk, genesis: &Hash, max_bytes: u64) -> Result<Vec<KeptOrder>, StoreError> {
    let failed = |error| StoreError::io("read", FILE, error);
    let Some(len) = disk.len(FILE).map_err(failed)? else { return Ok(Vec::new()) };
    if len > max_bytes {
        read_name(&mut Bytes(&disk.read(FILE, 0, NAME_LEN).map_err(failed)?), genesis)?;
        return Err(StoreError::damaged(FILE, 0, format!("got {len} bytes, expected at most {max_bytes}")));
    }
    decode(&disk.read(FILE, 0, len_usize(len)).map_err(failed)?, genesis)
}

/// Removes the file, if there is one.
///
/// # Errors
/// The disk's.
pub(crate) fn remove(disk: &dyn Disk) -> Result<(), StoreError> {
    match disk.len(FILE).map_err(|error| StoreError::io("read", FILE, error))? {
        Some(_) => disk.remove(FILE).map_err(|error| StoreError::io("remove", FILE, error)),
        None => Ok(()),
    }
}

/// Whether there is a file that is another network's or a newer program's to read.
fn is_foreign(disk: &dyn Disk, genesis: &Hash) -> Result<bool, StoreError> {
    let name = match disk.read(FILE, 0, NAME_LEN) {
        Ok(name) => name,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            return Ok(false);
        }
        Err(error) => return Err(StoreError::io("read", FILE, error)),
    };
    let refused = read_name(&mut Bytes(&name), genesis);
    Ok(matches!(refused, Err(StoreError::ForeignGenesis { .. } | StoreError::NewerFormat { .. })))
}

fn encode(genesis: &Hash, orders: &[KeptOrder]) -> Vec<u8> {
    let len: usize = orders.iter().map(|order| ORDER_HEAD_LEN + order.bytes.len() + order.story.len()).sum();
    let mut out = Vec::with_capacity(len + AROUND_LEN);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&genesis.0);
    let count = u32::try_from(orders.len()).expect("the ledger's bounds lie far below 2^32 orders");
    out.extend_from_slice(&count.to_le_bytes());
    for order in orders {
        out.push(order.kind);
        out.extend_from_slice(&order.place.to_le_bytes());
        for bytes in [&order.bytes, &order.story] {
            let len = u32::try_from(bytes.len()).expect("an order and its story are far smaller than 4 GiB");
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&order.bytes);
        out.extend_from_slice(&order.story);
    }
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn decode(bytes: &[u8], genesis: &Hash) -> Result<Vec<KeptOrder>, StoreError> {
    let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
    if !fields.starts_with(&MAGIC) {
        return Err(damaged("it does not begin as such a file does"));
    }
    if u32::from_le_bytes(*crc) != crc32fast::hash(fields) {
        return Err(damaged("it does not match its checksum"));
    }
    let mut cursor = Bytes(fields);
    read_name(&mut cursor, genesis)?;
    decode_orders(&mut cursor).ok_or_else(|| damaged("its orders do not fill it"))
}

/// Reads past magic, format and genesis: whether the rest is ours to read.
fn read_name(cursor: &mut Bytes<'_>, genesis: &Hash) -> Result<(), StoreError> {
    if cursor.array() != Some(MAGIC) {
        return Err(damaged("it does not begin as such a file does"));
    }
    let got = cursor.u32().ok_or_else(|| damaged("it is cut off"))?;
    if got > FORMAT {
        return Err(StoreError::NewerFormat { file: FILE.to_owned(), got, expected: FORMAT });
    }
    if got < FORMAT {
        return Err(damaged("an older program wrote it in a format that is no longer read"));
    }
    let got = cursor.hash().ok_or_else(|| damaged("it is cut off"))?;
    if got != *genesis {
        return Err(StoreError::ForeignGenesis { file: FILE.to_owned(), got, expected: *genesis });
    }
    Ok(())
}

fn decode_orders(cursor: &mut Bytes<'_>) -> Option<Vec<KeptOrder>> {
    let count = cursor.count(ORDER_HEAD_LEN)?;
    let mut orders = Vec::with_capacity(count);
    for _ in 0..count {
        let (kind, place) = (cursor.u8()?, cursor.u32()?);
        let (len, story_len) = (cursor.count(1)?, cursor.count(1)?);
        let (bytes, story) = (cursor.take(len)?.to_vec(), cursor.take(story_len)?.to_vec());
        orders.push(KeptOrder { kind, place, bytes, story });
    }
    cursor.end()?;
    Some(orders)
}

fn damaged(what: &str) -> StoreError {
    StoreError::damaged(FILE, 0, what)
}
