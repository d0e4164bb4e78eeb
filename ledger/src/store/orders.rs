//! `mempool.dat`: the orders that waited when the node was stopped, for the next start.
//!
//! ```text
//! head = magic [8] | format u32 | genesis [32] | count u32
//! file = head | orders { kind u8 | since u64 | length u32 | bytes } | crc32 u32 over all
//! ```
//! Written under another name, synced and renamed: there is a whole file or none. It is no part of the chain:
//! one that cannot be read costs the orders in it and nothing more. What an order is is not known here.

use printsy_consensus::Hash;

use super::bytes::{Bytes, len_usize};
use super::disk::Disk;
use super::error::StoreError;

const FILE: &str = "mempool.dat";
const NEW_FILE: &str = "mempool.new";
const MAGIC: [u8; 8] = *b"prtsymem";
const FORMAT: u32 = 1;
/// What stands before an order's bytes.
const ORDER_HEAD_LEN: usize = 1 + 8 + 4;

/// An order as it is kept over a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptOrder {
    /// What the ledger says of it.
    pub(crate) kind: u8,
    /// Since when it stands so, ms.
    pub(crate) since: u64,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Keeps orders for the next start, instead of those that were kept before.
///
/// # Errors
/// The disk's; then what was kept before may still be.
pub(crate) fn write(disk: &dyn Disk, genesis: &Hash, orders: &[KeptOrder]) -> Result<(), StoreError> {
    if orders.is_empty() {
        return remove(disk);
    }
    let bytes = encode(genesis, orders);
    disk.remove(NEW_FILE).map_err(|error| StoreError::io("remove", NEW_FILE, error))?;
    disk.append(NEW_FILE, &bytes).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
    disk.sync(NEW_FILE).map_err(|error| StoreError::io("sync", NEW_FILE, error))?;
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

fn encode(genesis: &Hash, orders: &[KeptOrder]) -> Vec<u8> {
    let len: usize = orders.iter().map(|order| ORDER_HEAD_LEN + order.bytes.len()).sum();
    let mut out = Vec::with_capacity(len + MAGIC.len() + 4 + 32 + 4 + 4);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&genesis.0);
    let count = u32::try_from(orders.len()).expect("the mempool's bounds lie far below 2^32 orders");
    out.extend_from_slice(&count.to_le_bytes());
    for order in orders {
        out.push(order.kind);
        out.extend_from_slice(&order.since.to_le_bytes());
        let len = u32::try_from(order.bytes.len()).expect("an order is far smaller than 4 GiB");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&order.bytes);
    }
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn decode(bytes: &[u8], genesis: &Hash) -> Result<Vec<KeptOrder>, StoreError> {
    let damaged = |what: &str| StoreError::damaged(FILE, 0, what);
    let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
    let mut cursor = Bytes(fields);
    if cursor.array() != Some(MAGIC) {
        return Err(damaged("it does not begin as such a file does"));
    }
    if u32::from_le_bytes(*crc) != crc32fast::hash(fields) {
        return Err(damaged("it does not match its checksum"));
    }
    let got = cursor.u32().ok_or_else(|| damaged("it is cut off"))?;
    if got != FORMAT {
        return Err(StoreError::NewerFormat { file: FILE.to_owned(), got, expected: FORMAT });
    }
    let got = cursor.hash().ok_or_else(|| damaged("it is cut off"))?;
    if got != *genesis {
        return Err(StoreError::ForeignGenesis { file: FILE.to_owned(), got, expected: *genesis });
    }
    decode_orders(&mut cursor).ok_or_else(|| damaged("its orders do not fill it"))
}

fn decode_orders(cursor: &mut Bytes<'_>) -> Option<Vec<KeptOrder>> {
    let count = cursor.count(ORDER_HEAD_LEN)?;
    let mut orders = Vec::with_capacity(count);
    for _ in 0..count {
        let (kind, since) = (cursor.u8()?, cursor.u64()?);
        let len = cursor.count(1)?;
        orders.push(KeptOrder { kind, since, bytes: cursor.take(len)?.to_vec() });
    }
    cursor.end()?;
    Some(orders)
}
