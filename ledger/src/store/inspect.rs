//! Looking at what is stored and changing none of it: every frame of a journal, and the rows of an index as the
//! next start would find them.
//!
//! A start reads no more than it needs and heals what it can. An audit reads everything and heals nothing: what
//! a start would mend by itself is shown as it would be then, and damage is told, each place of it, not only the
//! first. What rows and blocks mean is not known here.

use std::ops::Bound;
use std::sync::Arc;

use printsy_consensus::Hash;

use super::checkpoint::{of_prefix, scan_over};
use super::disk::Disk;
use super::error::StoreError;
use super::index::{Index, KeyValue, Rows, Visit};
use super::mark::Mark;
use super::reader::{JournalReader, StoredMove, read_commit};
use super::recovery::check_header_at;
use super::runs::{Look, Runs, is_packed};
use super::writer::{Found, find};

/// What holding every frame against its checksum comes upon.
#[derive(Debug)]
pub(crate) enum Frames {
    /// A commit whose move can be read; damage in its blocks was told before.
    Commit(StoredMove),
    /// Damage, by its segment and offset.
    Damage(StoreError),
}

impl JournalReader {
    /// Holds every header and every frame against its checksum, in order. After damage that hides where the next
    /// commit begins, it goes on with the next segment. Answers how many frames are sound.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn check_frames(&self, tell: &mut dyn FnMut(Frames)) -> Result<u64, StoreError> {
        let (segments, limit) = (&self.segments, self.end());
        let (mut start, mut sound) = (0, 0);
        while start < limit {
            let header = check_header_at(segments, start, limit);
            let commit = header.and_then(|()| {
                read_commit(segments, start, limit, |position, head| {
                    match segments.payload(position, head, limit) {
                        Ok(_) => sound += 1,
                        Err(error @ StoreError::Damaged { .. }) => tell(Frames::Damage(error)),
                        Err(error) => return Err(error),
                    }
                    Ok(())
                })
            });
            match commit {
                Ok(commit) => {
                    sound += 1;
                    start = commit.end;
                    tell(Frames::Commit(commit));
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    start = segments.next_base(start).unwrap_or(limit);
                    tell(Frames::Damage(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sound)
    }

    /// Says that what lies at a position is not what it should be: damage, by its segment and offset.
    pub(crate) fn damage(&self, position: u64, what: &str) -> StoreError {
        self.segments.damage(position, what)
    }
}

/// The rows of an index with those of an unfinished redo file over them; neither is changed.
#[derive(Debug)]
pub struct IndexView {
    index: Arc<dyn Index>,
    redo: Rows,
    mark: Option<Mark>,
    runs: Runs,
}

impl IndexView {
    /// The index as the next start would find it; without a mark where that would make it again.
    ///
    /// # Errors
    /// [`StoreError::ForeignGenesis`], [`StoreError::Index`], the disk's.
    pub fn open(disk: &dyn Disk, index: Arc<dyn Index>, genesis: &Hash) -> Result<Self, StoreError> {
        let (mark, redo) = match find(index.as_ref(), disk, genesis)? {
            Found::Unfinished(redo) => (Some(redo.mark), redo.rows.into_owned()),
            Found::Whole(mark) => (Some(mark), Rows::new()),
            Found::Nothing => (None, Rows::new()),
        };
        let mut view = Self { index, redo, mark, runs: Runs::default() };
        view.runs = Runs::read(&view)?;
        Ok(view)
    }

    /// What the rows stand at.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if is_packed(key) { self.runs.get(key, self) } else { Look::get(self, key) }
    }

    /// Calls `visit` with each key that begins with `prefix` and its value, ascending, packed rows last; the checkpoint's
    /// own keys are left out.
    ///
    /// # Errors
    /// [`StoreError::Index`], the disk's, or what `visit` answered.
    pub fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_over(self.index.as_ref(), of_prefix(&self.redo, prefix, prefix), prefix, visit)?;
        self.runs.scan(prefix, self, visit)
    }
}

/// The rows as they are kept: those of the redo file, and those of the index that it does not change.
impl Look for IndexView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.redo.get(key).map_or_else(|| self.index.get(key), |value| Ok(value.clone()))
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let mut end = end.to_vec();
        loop {
            let written = self.index.last_below(from, &end)?;
            let bounds = (Bound::Included(from), Bound::Excluded(end.as_slice()));
            let changed = self.redo.range::<[u8], _>(bounds).next_back();
            match (written, changed) {
                (written, None) => return Ok(written),
                (Some(written), Some((key, _))) if written.0 > *key => return Ok(Some(written)),
                (_, Some((key, Some(value)))) => return Ok(Some((key.clone(), value.clone()))),
                // Removed: the next one below.
                (_, Some((key, None))) => end.clone_from(key),
            }
        }
    }
}
