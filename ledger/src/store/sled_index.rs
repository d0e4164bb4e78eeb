//! The real [`Index`]: one sled database, its default tree, one writer.
//!
//! sled flushes when told and never by itself. Its panics (it has some on damaged files) do not cross this
//! file: they become [`StoreError::Index`], as its corruption errors do, and the caller wipes the folder and
//! rebuilds it from the journal. No other file of the workspace names sled.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use super::disk::Disk;
use super::error::StoreError;
use super::index::{Index, KeyValue, MAX_BATCH_OPERATIONS, Row, Visit, assert_batch_fits};
use super::redo;

/// What sled may keep of its pages in memory: the rows that are read often also live in the ledger's own
/// state, so that a larger cache gains little.
pub const INDEX_CACHE_BYTES: u64 = 64 << 20;

const NAME: &str = "index";

/// How often opening is tried while sled's threads of a database dropped just before still hold its lock.
const LOCK_TRIES: u32 = 100;
/// The pause between two of those tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Rows in a folder of sled's.
#[derive(Debug)]
pub struct SledIndex {
    db: sled::Db,
}

impl SledIndex {
    /// The index in the folder `path`, which is created if there is none.
    ///
    /// # Errors
    /// [`StoreError::Index`] if it is damaged: then [`Self::wipe`] it, open it again, and rebuild it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(INDEX_CACHE_BYTES)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let mut tries = 0;
        loop {
            match guarded(|| config.open()) {
                Err(error) if is_locked(&error) && tries < LOCK_TRIES => tries += 1,
                other => return other.map(|db| Self { db }),
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Removes the folder of an index that is not open, and before it the redo file that a write cut off may have left on
    /// the disk: of the first write, it would fit the empty index, and be taken for rows made from the journal.
    ///
    /// # Errors
    /// The operating system's.
    pub fn wipe(disk: &dyn Disk, path: impl AsRef<Path>) -> Result<(), StoreError> {
        redo::remove(disk)?;
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("wipe", NAME, error)),
            _ => Ok(()),
        }
    }
}

/// Whether the folder's lock is held. sled's own threads let it go some moments after a database was dropped, and tell
/// nobody when; other processes are kept out by the datadir's lock.
fn is_locked(error: &StoreError) -> bool {
    match error {
        StoreError::Io { source, .. } => source.to_string().contains("could not acquire lock"),
        _ => false,
    }
}

/// Runs a piece of sled; a panic in it is an error of the index.
///
/// Safe to unwind through: after an error nobody uses this database but to drop it.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(from_sled),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(StoreError::Index(format!("sled panicked: {}", text.unwrap_or("without a word"))))
        }
    }
}

fn from_sled(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            StoreError::io("use", NAME, error)
        }
        other => StoreError::Index(other.to_string()),
    }
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(guarded(|| self.db.get(key))?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut rows = self.db.scan_prefix(prefix);
        while let Some((key, value)) = guarded(|| rows.next().transpose())? {
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let mut rows = self.db.range::<&[u8], _>(prefix.max(from)..);
        let mut page = Vec::new();
        while page.len() < limit {
            match guarded(|| rows.next().transpose())? {
                Some((key, value)) if key.starts_with(prefix) => page.push((key.to_vec(), value.to_vec())),
                _ => break,
            }
        }
        Ok(page)
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let row = guarded(|| self.db.range(from..end).next_back().transpose())?;
        Ok(row.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn apply(&self, rows: &[Row]) -> Result<(), StoreError> {
        assert_batch_fits(rows);
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        guarded(|| self.db.apply_batch(batch))
    }

    fn flush(&self) -> Result<(), StoreError> {
        guarded(|| self.db.flush()).map(|_flushed_bytes| ())
    }

    fn clear(&self) -> Result<(), StoreError> {
        loop {
            let mut rows: Vec<Row> = Vec::new();
            for key in self.db.iter().keys().take(MAX_BATCH_OPERATIONS) {
                rows.push((guarded(|| key)?.to_vec(), None));
            }
            if rows.is_empty() {
                return self.flush();
            }
            self.apply(&rows)?;
        }
    }
}
