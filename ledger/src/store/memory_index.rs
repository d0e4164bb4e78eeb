//! An [`Index`] in memory that forgets at a crash what was not flushed.
//!
//! It keeps the live rows, the rows as they were at the last flush, and the batches between the two in
//! order: [`MemoryIndex::crashed`] is what a power cut leaves, any number of those batches included, because
//! the real index writes some of them out before it is told to. It serves tests, simulations, nodes in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use super::error::StoreError;
use super::index::{Index, KeyValue, Row, Visit, assert_batch_fits};
use super::memory_disk::Fuse;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Rows in memory.
#[derive(Debug)]
pub struct MemoryIndex {
    images: RwLock<Images>,
    fuse: Fuse,
}

#[derive(Debug, Default)]
struct Images {
    live: Rows,
    durable: Rows,
    unflushed: Vec<Vec<Row>>,
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryIndex {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fuse(Fuse::never())
    }

    /// An empty index that stops taking changes when the fuse blows.
    #[must_use]
    pub fn with_fuse(fuse: Fuse) -> Self {
        Self { images: RwLock::default(), fuse }
    }

    /// The index as a power cut leaves it now, if of the unflushed batches the first `lucky` survive.
    #[must_use]
    pub fn crashed(&self, lucky: usize) -> Self {
        self.crashed_with(lucky, Fuse::never())
    }

    /// As [`Self::crashed`], with another fuse.
    #[must_use]
    pub fn crashed_with(&self, lucky: usize, fuse: Fuse) -> Self {
        let images = self.images.read();
        let mut rows = images.durable.clone();
        images.unflushed.iter().take(lucky).for_each(|batch| put(&mut rows, batch));
        let images = Images { live: rows.clone(), durable: rows, unflushed: Vec::new() };
        Self { images: RwLock::new(images), fuse }
    }

    fn burn(&self) -> Result<(), StoreError> {
        self.fuse.burn().map_err(|error| StoreError::io("change", "index", error))
    }
}

fn put(rows: &mut Rows, batch: &[Row]) {
    for (key, value) in batch {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.images.read().live.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // A copy, so that `visit` may use the index.
        let images = self.images.read();
        let from = images.live.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let of_prefix = from.take_while(|(key, _)| key.starts_with(prefix));
        let rows: Vec<_> = of_prefix.map(|(key, value)| (key.clone(), value.clone())).collect();
        drop(images);
        rows.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let images = self.images.read();
        let bounds = (Bound::Included(prefix.max(from)), Bound::Unbounded);
        let of_prefix = images.live.range::<[u8], _>(bounds).take_while(|(key, _)| key.starts_with(prefix));
        Ok(of_prefix.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let images = self.images.read();
        let mut within = images.live.range::<[u8], _>((Bound::Included(from), Bound::Excluded(end)));
        Ok(within.next_back().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn apply(&self, rows: &[Row]) -> Result<(), StoreError> {
        assert_batch_fits(rows);
        self.burn()?;
        let mut images = self.images.write();
        put(&mut images.live, rows);
        images.unflushed.push(rows.to_vec());
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.burn()?;
        let mut images = self.images.write();
        let batches = std::mem::take(&mut images.unflushed);
        batches.iter().for_each(|batch| put(&mut images.durable, batch));
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.burn()?;
        *self.images.write() = Images::default();
        Ok(())
    }
}
