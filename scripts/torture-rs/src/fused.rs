//! The real index behind a fuse: it stops taking changes at the moment of the power cut, as its disk does, and leaves
//! what was written until then.

use printsy_ledger::store::{Fuse, Index, KeyValue, Row, SledIndex, StoreError, Visit};

/// The real index, behind a fuse.
#[derive(Debug)]
pub struct FusedIndex {
    index: SledIndex,
    fuse: Fuse,
}

impl FusedIndex {
    /// An index whose changes burn this fuse.
    #[must_use]
    pub fn new(index: SledIndex, fuse: Fuse) -> Self {
        Self { index, fuse }
    }

    fn burn(&self) -> Result<(), StoreError> {
        self.fuse.burn().map_err(|error| StoreError::Index(error.to_string()))
    }
}

impl Index for FusedIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.index.scan(prefix, visit)
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        self.index.last_below(from, end)
    }

    fn apply(&self, rows: &[Row]) -> Result<(), StoreError> {
        self.burn()?;
        self.index.apply(rows)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.burn()?;
        self.index.flush()
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.burn()?;
        self.index.clear()
    }
}
