//! The checkpoint: rows that follow the journal, a little behind, in an index that heals by itself.
//!
//! The ledger submits a [`Layer`] of absolute rows with each commit and never waits for the index: one thread
//! coalesces layers and writes them. Lookups see what was submitted. After a crash, [`Checkpoint::open`]
//! finishes what was begun and answers the [`Mark`] the rows stand at: the journal's moves after it follow.
//! Without a mark the index is empty, and everything follows from the journal's beginning. Keys are opaque, but for
//! their first byte: rows of some kinds are packed ([`super::runs`]), and can be looked up but not scanned.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use printsy_consensus::Hash;

use super::disk::Disk;
use super::error::StoreError;
use super::headers::HeaderFile;
use super::index::{Index, KeyValue, RESERVED_PREFIX, Row, Rows, Visit};
use super::mark::Mark;
use super::recovery::check_network;
use super::runs::{self, Direct, Runs};
use super::writer::{Pace, Queue, Writer, read_mark};

/// What one commit changes.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What the rows stand at after it.
    pub mark: Mark,
    /// Keys and their new values; `None` removes.
    pub rows: Vec<Row>,
}

/// The index behind its writer.
#[derive(Debug)]
pub struct Checkpoint {
    writer: Arc<Writer>,
    pace: Pace,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoint {
    /// The checkpoint in this index, healed, and its mark; without one the index is empty now.
    ///
    /// # Errors
    /// [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`] (of the journal on the same disk too): nothing
    /// was changed. [`StoreError::Index`]: wipe the index. The disk's.
    pub fn open(
        disk: Arc<dyn Disk>,
        index: Arc<dyn Index>,
        genesis: Hash,
        headers: HeaderFile,
    ) -> Result<(Self, Option<Mark>), StoreError> {
        Self::open_with_pace(disk, index, genesis, headers, Pace::default())
    }

    /// As [`Self::open`], writing at another pace.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_pace(
        disk: Arc<dyn Disk>,
        index: Arc<dyn Index>,
        genesis: Hash,
        headers: HeaderFile,
        pace: Pace,
    ) -> Result<(Self, Option<Mark>), StoreError> {
        let (queue, wake, turn) = (Mutex::default(), Condvar::new(), Mutex::new(()));
        let writer = Arc::new(Writer { disk, index, genesis, headers, queue, wake, turn });
        check_network(writer.disk.as_ref(), &genesis)?;
        let mark = writer.heal()?;
        let runs = Arc::new(Runs::read(&Direct(writer.index.as_ref()))?);
        let queue = Queue { written_mark: mark, last_mark: mark, runs, ..Queue::default() };
        *writer.queue.lock() = queue;
        let for_thread = Arc::clone(&writer);
        let spawned =
            thread::Builder::new().name("checkpoint".to_owned()).spawn(move || for_thread.run(pace));
        let thread = spawned.map_err(|error| StoreError::io("start the writer of", "index", error))?;
        Ok((Self { writer, pace, thread: Some(thread) }, mark))
    }

    /// The mark of an index that is not open here, if it has one of this network.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub fn peek(index: &dyn Index, genesis: &Hash) -> Result<Option<Mark>, StoreError> {
        read_mark(index, genesis)
    }

    /// Hands a commit's rows to the writer; never waits for a disk. Layers come in the journal's order.
    ///
    /// # Panics
    /// If a key begins with [`RESERVED_PREFIX`], or a row of a packed kind cannot be packed.
    pub fn submit(&self, layer: Layer) {
        let mut queue = self.writer.queue.lock();
        for (key, value) in layer.rows {
            assert!(key.first() != Some(&RESERVED_PREFIX), "a key of the checkpoint's own");
            runs::assert_fits(&key, value.as_deref());
            queue.pending.insert(key, value);
        }
        queue.pending_mark = Some(layer.mark);
        queue.last_mark = Some(layer.mark);
        if queue.pending.len() >= self.pace.rows {
            self.writer.wake.notify_one();
        }
    }

    /// The value of a key, with everything submitted.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            let queue = self.writer.queue.lock();
            if let Some(value) = queue.pending.get(key).or_else(|| queue.writing.get(key)) {
                return Ok(value.clone());
            }
            let runs = Arc::clone(&queue.runs);
            drop(queue);
            if !runs::is_packed(key) {
                return self.writer.index.get(key);
            }
            let found = runs.get(key, &Direct(self.writer.index.as_ref()));
            // The slices of these runs are there until a write after the one that ends their time.
            if Arc::ptr_eq(&runs, &self.writer.queue.lock().runs) {
                return found;
            }
        }
    }

    /// Calls `visit` with each key that begins with `prefix` and its value, ascending, with everything that was
    /// submitted before; packed rows are left out.
    ///
    /// # Errors
    /// [`StoreError::Index`], the disk's, or what `visit` answered.
    pub fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_over(self.writer.index.as_ref(), self.overlay(prefix, prefix), prefix, visit)
    }

    /// The rows whose keys begin with `prefix`, from the key `from` on, ascending, at most `limit` of them, with
    /// everything that was submitted before; packed rows are left out.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let overlay = self.overlay(prefix, from);
        // So many more that enough are left once those that were removed are gone.
        let removed = overlay.values().filter(|value| value.is_none()).count();
        let written = self.writer.index.page(prefix, from, limit.saturating_add(removed))?;
        let mut rows: Rows = written.into_iter().map(|(key, value)| (key, Some(value))).collect();
        rows.extend(overlay);
        let rows = rows.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(rows.filter(|(key, _)| key.first() != Some(&RESERVED_PREFIX)).take(limit).collect())
    }

    fn overlay(&self, prefix: &[u8], from: &[u8]) -> Rows {
        let queue = self.writer.queue.lock();
        let mut overlay = BTreeMap::new();
        for rows in [queue.writing.as_ref(), &queue.pending] {
            overlay.extend(of_prefix(rows, prefix, from));
        }
        overlay
    }

    /// How many changed keys the index does not have yet.
    #[must_use]
    pub fn lag_rows(&self) -> usize {
        let queue = self.writer.queue.lock();
        queue.pending.len() + queue.writing.len()
    }

    /// Where the index is too far behind, returns only when everything submitted is in it: before each commit, so that
    /// blocks which come faster than the disk takes them fill no memory.
    ///
    /// # Errors
    /// As [`Self::flush_now`].
    pub fn keep_near(&self) -> Result<(), StoreError> {
        if self.lag_rows() > self.pace.most { self.flush_now() } else { Ok(()) }
    }

    /// Returns when everything submitted is in the index, durable.
    ///
    /// # Errors
    /// What ended the writing, now or before.
    pub fn flush_now(&self) -> Result<(), StoreError> {
        self.writer.write()
    }

    /// Empties the index and what was submitted: rebuild it from the journal's beginning.
    ///
    /// # Errors
    /// What ended the writing before; [`StoreError::Index`]; the disk's.
    pub fn clear(&self) -> Result<(), StoreError> {
        let _turn = self.writer.turn.lock();
        let mut queue = self.writer.queue.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        *queue = Queue::default();
        drop(queue);
        self.writer.clear()
    }

    /// The mark of the last layer submitted, or of the index where none was.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.writer.queue.lock().last_mark
    }

    /// Whether the writing goes on.
    ///
    /// # Errors
    /// What ended it.
    pub fn check(&self) -> Result<(), StoreError> {
        self.writer.queue.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// What ended all writing, in words, if something did: the node must stop. [`Self::flush_now`] answers the
    /// error itself.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.writer.queue.lock().failed.as_ref().map(ToString::to_string)
    }
}

/// The rows whose keys begin with a prefix, from the key `from` on, but for packed ones and the checkpoint's own.
pub(super) fn of_prefix(rows: &Rows, prefix: &[u8], from: &[u8]) -> Rows {
    let from = rows.range::<[u8], _>((Bound::Included(prefix.max(from)), Bound::Unbounded));
    let of_prefix = from.take_while(|(key, _)| key.starts_with(prefix));
    let is_plain = |key: &[u8]| !runs::is_packed(key) && key.first() != Some(&RESERVED_PREFIX);
    of_prefix.filter(|(key, _)| is_plain(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Scans an index with rows laid over it; the checkpoint's own keys are left out.
pub(super) fn scan_over(
    index: &dyn Index,
    mut overlay: Rows,
    prefix: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    index.scan(prefix, &mut |key, value| {
        while let Some(entry) = overlay.first_entry().filter(|entry| entry.key().as_slice() < key) {
            visit_row(&entry.remove_entry(), visit)?;
        }
        match overlay.remove_entry(key) {
            Some(row) => visit_row(&row, visit),
            None if key.first() == Some(&RESERVED_PREFIX) => Ok(()),
            None => visit(key, value),
        }
    })?;
    overlay.into_iter().try_for_each(|row| visit_row(&row, visit))
}

fn visit_row(row: &Row, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    row.1.as_deref().map_or(Ok(()), |value| visit(&row.0, value))
}

/// A clean stop: a last write, then the thread is gone.
impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.writer.queue.lock().is_closed = true;
        self.writer.wake.notify_one();
        if let Some(Err(_panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the checkpoint's writer panicked");
        }
    }
}
