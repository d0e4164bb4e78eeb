//! A checkpoint over an index in memory, written by hand, and the map it is held against.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::Hash;
use printsy_ledger::store::{
    Checkpoint, Disk, HeaderFile, Index, Mark, MemoryDisk, MemoryIndex, Pace, Row, StoreError,
};

pub const GENESIS: Hash = Hash([7; 32]);
pub const BY_HAND: Pace = Pace { interval: Duration::MAX, rows: usize::MAX, most: usize::MAX };

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn mark(n: u64) -> Mark {
    let mut tip = Hash([7; 32]);
    tip.0[..8].copy_from_slice(&n.to_le_bytes());
    Mark { journal_end: n * 1_000, height: n, tip, final_height: n / 2 }
}

pub fn put(model: &mut Model, rows: &[Row]) {
    for (key, value) in rows {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

pub type Opened = (Checkpoint, Option<Mark>);

pub fn open(disk: &Arc<MemoryDisk>, index: &Arc<MemoryIndex>) -> Result<Opened, StoreError> {
    let headers = HeaderFile::open(Arc::clone(disk) as Arc<dyn Disk>)?;
    open_with(disk, index, &headers)
}

pub fn open_with(
    disk: &Arc<MemoryDisk>,
    index: &Arc<MemoryIndex>,
    headers: &HeaderFile,
) -> Result<Opened, StoreError> {
    let (disk, index) = (Arc::clone(disk) as Arc<dyn Disk>, Arc::clone(index) as Arc<dyn Index>);
    Checkpoint::open_with_pace(disk, index, GENESIS, headers.clone(), BY_HAND)
}

pub fn scan(checkpoint: &Checkpoint, prefix: &[u8]) -> Model {
    let mut rows = Model::new();
    let mut last = None;
    let visit = &mut |key: &[u8], value: &[u8]| {
        assert!(last.as_deref() < Some(key), "ascending");
        last = Some(key.to_vec());
        rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    };
    checkpoint.scan(prefix, visit).unwrap();
    rows
}
