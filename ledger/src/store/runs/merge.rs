//! Runs read from end to end, merged, and written.

use std::vec;

use super::super::error::StoreError;
use super::super::index::Rows;
use super::slice::Slice;
use super::{Entry, FIRST_ID, Id, Look, Run, SLICE_ENTRIES};

/// The entries of a run, ascending, a slice in memory at a time; or a list of such.
pub(super) struct Entries<'a> {
    /// Entries at hand.
    at_hand: vec::IntoIter<Entry>,
    /// Where it goes on: the run, and the first id of the slice to read.
    rest: Option<(Run, Id, &'a dyn Look)>,
}

impl<'a> Entries<'a> {
    /// Those of a run.
    pub(super) fn of(run: Run, look: &'a dyn Look) -> Self {
        Self { at_hand: Vec::new().into_iter(), rest: Some((run, FIRST_ID, look)) }
    }

    fn read_on(&mut self) -> Option<Result<Entry, StoreError>> {
        while let Some((run, first, look)) = self.rest.take() {
            let slice = match run.slice(&first, look) {
                Ok(slice) => slice,
                Err(error) => return Some(Err(error)),
            };
            self.rest = slice.next.map(|next| (run, next, look));
            self.at_hand = slice.entries.into_iter();
            if let Some(entry) = self.at_hand.next() {
                return Some(Ok(entry));
            }
        }
        None
    }
}

/// A list, ascending.
impl From<Vec<Entry>> for Entries<'_> {
    fn from(entries: Vec<Entry>) -> Self {
        Self { at_hand: entries.into_iter(), rest: None }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.at_hand.next().map(Ok).or_else(|| self.read_on())
    }
}

/// Several runs as one, ascending: of an id that is in many, the first of them counts.
pub(super) struct Merged<'a> {
    sources: Vec<std::iter::Peekable<Entries<'a>>>,
}

impl<'a> Merged<'a> {
    /// Of these, the newest first.
    pub(super) fn new(sources: Vec<Entries<'a>>) -> Self {
        Self { sources: sources.into_iter().map(Iterator::peekable).collect() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<Id> = None;
        for source in &mut self.sources {
            match source.peek() {
                Some(Ok((id, _))) => least = Some(least.map_or(*id, |least| least.min(*id))),
                Some(Err(_)) => return source.next(),
                None => {}
            }
        }
        let least = least?;
        let is_least = |entry: &Result<Entry, StoreError>| matches!(entry, Ok((id, _)) if *id == least);
        let mut newest = None;
        for source in &mut self.sources {
            let entry = source.next_if(is_least);
            newest = newest.or(entry);
        }
        newest
    }
}

/// A run on its way into rows.
pub(super) struct RunWriter<'a> {
    run: Run,
    rows: &'a mut Rows,
    /// The first id of the slice that is being filled.
    first: Id,
    entries: Vec<Entry>,
}

impl<'a> RunWriter<'a> {
    /// Writes this run, which is still empty.
    pub(super) fn new(run: Run, rows: &'a mut Rows) -> Self {
        Self { run, rows, first: FIRST_ID, entries: Vec::new() }
    }

    /// Writes the next entry, ascending.
    pub(super) fn push(&mut self, id: Id, value: Option<Vec<u8>>) {
        if self.entries.len() == SLICE_ENTRIES {
            self.close(Some(id));
        }
        self.entries.push((id, value));
        self.run.entries += 1;
    }

    /// The run, all of which is written.
    pub(super) fn finish(mut self) -> Run {
        self.close(None);
        self.run
    }

    fn close(&mut self, next: Option<Id>) {
        let slice = Slice { next, entries: std::mem::take(&mut self.entries) };
        self.rows.insert(self.run.slice_key(&self.first), Some(slice.encode()));
        self.first = next.unwrap_or(FIRST_ID);
    }
}
