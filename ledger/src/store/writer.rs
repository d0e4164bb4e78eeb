//! The checkpoint's one writer: takes what was submitted, coalesced, and carries it into the index.
//!
//! One write is: headers synced, what is packed made into a run, redo file written and synced, the rows in sorted batches, flush, mark, flush,
//! redo file removed. The headers come first because a finished redo file promises everything up to its mark.
//! The first batch also sets a row that the mark's batch removes again: an index that has it, and no redo
//! file that fits, was left half written. The first failure is kept and ends all writing; a panic is one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use printsy_consensus::Hash;

use super::bytes::Bytes;
use super::disk::Disk;
use super::doubt::Doubt;
use super::error::StoreError;
use super::headers::HeaderFile;
use super::index::{Index, MAX_BATCH_OPERATIONS, RESERVED_PREFIX, Row, Rows};
use super::mark::Mark;
use super::redo::{self, Redo};
use super::runs::Runs;

/// The format of the rows around the mark; another one means to rebuild.
const FORMAT: u32 = 3;

/// A batch ends after so many bytes of keys and values.
const BATCH_BYTES: usize = 1 << 20;

/// The longest a layer waits to be written: how much of the journal a new start must apply again.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// So many changed keys are written before the interval ends: some tens of megabytes of memory.
pub const CHECKPOINT_ROWS: usize = 50_000;

/// So many changed keys may wait, in some hundreds of megabytes of memory; who brings more waits for the disk first.
pub const MAX_LAG_ROWS: usize = 1_000_000;

/// When the checkpoint writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The longest a layer waits. [`Duration::MAX`]: for ever, until a flush.
    pub interval: Duration,
    /// So many changed keys do not wait.
    pub rows: usize,
    /// From more than so many on [`super::Checkpoint::keep_near`] waits.
    pub most: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval: CHECKPOINT_INTERVAL, rows: CHECKPOINT_ROWS, most: MAX_LAG_ROWS }
    }
}

const MARK_KEY: [u8; 5] = [RESERVED_PREFIX, b'm', b'a', b'r', b'k'];
const HALF_WRITTEN_KEY: [u8; 5] = [RESERVED_PREFIX, b'h', b'a', b'l', b'f'];

/// What the checkpoint and its writer thread share.
#[derive(Debug)]
pub(super) struct Writer {
    /// Where the redo file is.
    pub(super) disk: Arc<dyn Disk>,
    /// What is written.
    pub(super) index: Arc<dyn Index>,
    /// The network it belongs to.
    pub(super) genesis: Hash,
    /// What must be durable before the mark moves.
    pub(super) headers: HeaderFile,
    /// What was submitted.
    pub(super) queue: Mutex<Queue>,
    /// Told when there is enough to write, or the end has come.
    pub(super) wake: Condvar,
    /// Held while the index is written: one writer at a time.
    pub(super) turn: Mutex<()>,
}

/// Rows on their way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Submitted, not taken yet.
    pub(super) pending: Rows,
    /// The mark of the last layer in `pending`.
    pub(super) pending_mark: Option<Mark>,
    /// The mark of the last layer there was, or of the index.
    pub(super) last_mark: Option<Mark>,
    /// Taken, not in the index yet.
    pub(super) writing: Arc<Rows>,
    /// The mark the index has.
    pub(super) written_mark: Option<Mark>,
    /// The runs the index has.
    pub(super) runs: Arc<Runs>,
    /// Nothing more will be submitted.
    pub(super) is_closed: bool,
    /// The failure that ended all writing.
    pub(super) failed: Option<StoreError>,
}

impl Writer {
    /// The thread's whole life: writes at the given pace, a last time when the queue is closed.
    pub(super) fn run(&self, pace: Pace) {
        loop {
            let mut queue = self.queue.lock();
            if !queue.is_closed && queue.pending.len() < pace.rows {
                self.wake.wait_for(&mut queue, pace.interval);
            }
            let is_last = queue.is_closed;
            drop(queue);
            if self.write().is_err() || is_last {
                return;
            }
        }
    }

    /// Carries everything submitted so far into the index.
    pub(super) fn write(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock();
        let mut queue = self.queue.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        assert!(queue.writing.is_empty(), "what was taken is written, or nothing more is taken");
        let Some(mark) = queue.pending_mark.take() else {
            return Ok(());
        };
        let rows = Arc::new(std::mem::take(&mut queue.pending));
        queue.writing = Arc::clone(&rows);
        let (base, runs) = (queue.written_mark, Arc::clone(&queue.runs));
        drop(queue);
        let unless_it_panics = EndsWriting(self);
        let result = self.write_rows(&rows, &runs, base, mark);
        std::mem::forget(unless_it_panics);
        let mut queue = self.queue.lock();
        match result {
            Ok(runs) => {
                queue.writing = Arc::default();
                queue.written_mark = Some(mark);
                queue.runs = Arc::new(runs);
                Ok(())
            }
            Err(error) => {
                queue.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Answers the runs there are then.
    fn write_rows(
        &self,
        rows: &Rows,
        runs: &Runs,
        base: Option<Mark>,
        mark: Mark,
    ) -> Result<Runs, StoreError> {
        self.headers.sync()?;
        let merged = runs.with(rows, self.index.as_ref());
        let (changed, runs) = merged.inspect_err(|error| self.doubt(error))?;
        let redo = Redo { base, mark, rows: Cow::Borrowed(rows), runs: changed };
        redo.write(self.disk.as_ref(), &self.genesis)?;
        self.apply(&redo)?;
        Ok(runs)
    }

    /// Notes that the index is damaged: the next start would find the index whole, and this again at its first write.
    fn doubt(&self, error: &StoreError) {
        let StoreError::Index(why) = error else { return };
        if let Err(error) = Doubt::note(self.disk.as_ref(), why) {
            tracing::error!(%error, "the next start is not told that the index is damaged: run `printsyd reindex`");
        }
    }

    /// Applies a redo file that is on the disk, and removes it.
    pub(super) fn apply(&self, redo: &Redo<'_>) -> Result<(), StoreError> {
        let index = self.index.as_ref();
        let mut batch: Vec<Row> = vec![(HALF_WRITTEN_KEY.to_vec(), Some(Vec::new()))];
        let mut bytes = 0;
        for (key, value) in redo.rows() {
            if batch.len() == MAX_BATCH_OPERATIONS || bytes >= BATCH_BYTES {
                index.apply(&batch)?;
                batch.clear();
                bytes = 0;
            }
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            batch.push((key.clone(), value.clone()));
        }
        index.apply(&batch)?;
        index.flush()?;
        let mark = encode_mark(&self.genesis, &redo.mark);
        index.apply(&[(MARK_KEY.to_vec(), Some(mark)), (HALF_WRITTEN_KEY.to_vec(), None)])?;
        index.flush()?;
        redo::remove(self.disk.as_ref())
    }

    /// Brings the index to a whole state and answers its mark; `None`: it is empty, rebuild it.
    pub(super) fn heal(&self) -> Result<Option<Mark>, StoreError> {
        match find(self.index.as_ref(), self.disk.as_ref(), &self.genesis)? {
            Found::Unfinished(redo) => {
                tracing::info!(
                    height = redo.mark.height,
                    rows = redo.rows().count(),
                    "finishing a checkpoint"
                );
                self.apply(&redo)?;
                Ok(Some(redo.mark))
            }
            Found::Whole(mark) => {
                redo::remove(self.disk.as_ref())?;
                Ok(Some(mark))
            }
            Found::Nothing => {
                self.clear()?;
                Ok(None)
            }
        }
    }

    /// Empties the index and forgets the redo file, so that no crash leaves a mark above missing rows.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        redo::remove(self.disk.as_ref())?;
        self.index.apply(&[(MARK_KEY.to_vec(), None)])?;
        self.index.flush()?;
        self.index.clear()
    }
}

/// Dropped where a write panicked, it ends all writing: what was taken is there in part, and a mark set by a later write
/// would stand above rows that are not. What a damaged row did it would do again, so the next start makes the index anew.
struct EndsWriting<'a>(&'a Writer);

impl Drop for EndsWriting<'_> {
    fn drop(&mut self) {
        let error = StoreError::Index("the checkpoint's writer panicked".to_owned());
        self.0.queue.lock().failed = Some(error.clone());
        self.0.doubt(&error);
    }
}

/// The index's mark; `None` without one, or where it is of another format.
pub(super) fn read_mark(index: &dyn Index, genesis: &Hash) -> Result<Option<Mark>, StoreError> {
    index.get(&MARK_KEY)?.map_or(Ok(None), |row| decode_mark(&row, genesis))
}

/// What a start finds in an index, with the redo file beside it.
#[derive(Debug)]
pub(super) enum Found {
    /// A write that was begun: the redo file ends it.
    Unfinished(Redo<'static>),
    /// Rows that stand at this mark.
    Whole(Mark),
    /// Nothing of use: made again from the journal.
    Nothing,
}

/// Finds out what there is, and changes nothing.
pub(super) fn find(index: &dyn Index, disk: &dyn Disk, genesis: &Hash) -> Result<Found, StoreError> {
    let (mark, is_ours) = match index.get(&MARK_KEY)? {
        None => (None, true),
        Some(row) => match decode_mark(&row, genesis)? {
            None => (None, false),
            mark => (mark, true),
        },
    };
    let redo = Redo::read(disk, genesis)?.filter(|_| is_ours);
    if let Some(redo) = redo.filter(|redo| redo.base == mark || Some(redo.mark) == mark) {
        return Ok(Found::Unfinished(redo));
    }
    let is_half_written = index.get(&HALF_WRITTEN_KEY)?.is_some();
    Ok(mark.filter(|_| !is_half_written).map_or(Found::Nothing, Found::Whole))
}

fn encode_mark(genesis: &Hash, mark: &Mark) -> Vec<u8> {
    let mut row = FORMAT.to_le_bytes().to_vec();
    row.extend_from_slice(&genesis.0);
    row.extend_from_slice(&mark.to_bytes());
    row
}

/// The mark in this row; `None` if it is of another format than ours.
fn decode_mark(row: &[u8], expected: &Hash) -> Result<Option<Mark>, StoreError> {
    let mut cursor = Bytes(row);
    if cursor.u32() != Some(FORMAT) {
        return Ok(None);
    }
    match cursor.hash() {
        Some(got) if got != *expected => {
            Err(StoreError::ForeignGenesis { file: "index".to_owned(), got, expected: *expected })
        }
        _ => Ok(Mark::read(&mut cursor).filter(|_| cursor.end().is_some())),
    }
}
