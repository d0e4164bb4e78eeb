//! The seam to the index: ordered rows of bytes, one atomic batch at a time.
//!
//! The index is never the truth: whatever it loses, the journal gives back. It promises no more than that a
//! batch is there whole or not at all, that batches reach the disk in order, and that a flush makes them
//! durable. [`super::SledIndex`] is the real one, [`super::MemoryIndex`] the one of tests and simulations.

use std::collections::BTreeMap;

use super::error::StoreError;

/// A key and its value; without a value, the key is removed.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// Rows by key, coalesced.
pub(super) type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// What a scan calls with each key and value; its error ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// The greatest batch: larger ones cost the real index memory out of all proportion.
pub const MAX_BATCH_OPERATIONS: usize = 5_000;

/// Keys that begin with this byte are the checkpoint's own; everybody else's begin with a lower one.
pub const RESERVED_PREFIX: u8 = 0xff;

/// Rows by key. Reads may come from many threads, changes from one.
pub trait Index: Send + Sync + std::fmt::Debug {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `visit` with each key that begins with `prefix` and its value, in ascending order.
    ///
    /// # Errors
    /// [`StoreError::Index`], the disk's, or what `visit` answered: then no more rows follow.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The rows whose keys begin with `prefix`, from the key `from` on, ascending, at most `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let mut rows = Vec::new();
        self.scan(prefix, &mut |key, value| {
            if key >= from && rows.len() < limit {
                rows.push((key.to_vec(), value.to_vec()));
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// The row with the greatest key from `from` on and below `end`.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError>;

    /// All these rows at once, or none.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    ///
    /// # Panics
    /// On more than [`MAX_BATCH_OPERATIONS`] rows.
    fn apply(&self, rows: &[Row]) -> Result<(), StoreError>;

    /// Returns when every batch is durable.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    fn flush(&self) -> Result<(), StoreError>;

    /// Removes every row; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    fn clear(&self) -> Result<(), StoreError>;
}

/// Our own bug, not the world's.
pub(super) fn assert_batch_fits(rows: &[Row]) {
    assert!(rows.len() <= MAX_BATCH_OPERATIONS, "a batch of {} operations", rows.len());
}
