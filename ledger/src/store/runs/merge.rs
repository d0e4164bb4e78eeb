//! Runs read from end to end, merged, and written.

use std::vec;

use super::super::error::StoreError;
use super::super::index::Rows;
use super::{Entry, Get, Id, Run, slice};

/// The entries of a run, ascending, a slice in memory at a time; or a list of such.
pub(super) struct Entries<'a> {
    /// Entries at hand.
    at_hand: vec::IntoIter<Entry>,
    /// The run, and its slices that are still to be read.
    rest: Option<(Run, std::ops::Range<u32>, &'a Get<'a>)>,
}

impl<'a> Entries<'a> {
    /// Those of a run.
    pub(super) fn of(run: Run, get: &'a Get<'a>) -> Self {
        Self { at_hand: Vec::new().into_iter(), rest: Some((run, 0..run.slices(), get)) }
    }

    fn read_on(&mut self) -> Option<Result<Entry, StoreError>> {
        let (run, slices, get) = self.rest.as_mut()?;
        for at in slices {
            let entries = run.slice(at, get).and_then(|bytes| {
                let entries = slice::entries(&bytes).map_err(|what| run.damage(at, what))?;
                let is_in_place = entries.iter().all(|(id, _)| run.slice_of(id) == at);
                if is_in_place { Ok(entries) } else { Err(run.damage(at, "has ids of another")) }
            });
            match entries {
                Ok(entries) => self.at_hand = entries.into_iter(),
                Err(error) => return Some(Err(error)),
            }
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
    /// The slice that is being filled.
    at: u32,
    bytes: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    /// Writes this run, which is still empty.
    pub(super) fn new(run: Run, rows: &'a mut Rows) -> Self {
        Self { run, rows, at: 0, bytes: Vec::new() }
    }

    /// Writes the next entry, ascending.
    pub(super) fn push(&mut self, id: &Id, value: Option<&[u8]>) {
        while self.at < self.run.slice_of(id) {
            self.close();
        }
        slice::push(&mut self.bytes, id, value);
        self.run.entries += 1;
    }

    /// The run, all of whose slices are written.
    pub(super) fn finish(mut self) -> Run {
        while self.at < self.run.slices() {
            self.close();
        }
        self.run
    }

    fn close(&mut self) {
        self.rows.insert(self.run.slice_key(self.at), Some(std::mem::take(&mut self.bytes)));
        self.at += 1;
    }
}
