//! Sorted runs: the rows that are found by an id, dozens of them packed into each row of the index.
//!
//! The index keeps a table of all its pages in memory, a page for each sixteen rows: with a row for each sale, memory
//! would grow with sales. So each write of the checkpoint makes one *run* of the packed rows that changed: sorted
//! by id, cut into *slices* of so many entries, a slice a row, under the id from which on it holds all there are. A look-up
//! reads one slice of each run, the newest run first; what was removed is an entry without a value. However ids were
//! chosen, no slice is larger than another. A new run takes in those before it that are not far
//! larger than it, so that there are few. One that was taken in is *spent*: its slices stay for one write more, so that
//! a look-up which began before that write still finds all of it.
//!
//! Runs are rows like any others, written through the redo file: what holds of the checkpoint holds of them. How they are
//! made and merged is in `merge`, their bytes are in `slice`.

mod merge;
mod slice;

use super::bytes::Bytes;
use super::error::StoreError;
use super::index::{Index, KeyValue, RESERVED_PREFIX, Rows, Visit};
use merge::{Entries, Merged, RunWriter};
use slice::Slice;

/// The kinds of rows that are packed, by their keys' first byte: `kind | id`, with an id as good as random.
pub(crate) const PACKED_KINDS: [u8; 2] = *b"BT";

/// The length of an id.
pub(crate) const ID_LEN: usize = 16;

/// The longest value that is packed.
pub(super) const MAX_VALUE_BYTES: usize = 255;

/// A run takes none in that would make it larger: what one write holds in memory is some tens of megabytes.
const MAX_RUN_ENTRIES: u64 = 1 << 20;

/// A run is cut into slices of so many entries.
const SLICE_ENTRIES: usize = 64;

/// Where the list of the runs is.
const LIST_KEY: [u8; 5] = [RESERVED_PREFIX, b'l', b'i', b's', b't'];
/// What the keys of slices begin with; the run's number and the slice's first id follow.
const SLICE_PREFIX: [u8; 2] = [RESERVED_PREFIX, 0];

/// The name of a packed row within its kind.
type Id = [u8; ID_LEN];

/// An id and its value; without one, the row is removed.
type Entry = (Id, Option<Vec<u8>>);

/// The least id: the first slice of a run is under it, whatever it holds.
const FIRST_ID: Id = [0; ID_LEN];

/// What look-ups need of an index.
pub(super) trait Look {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The row with the greatest key from `from` on and below `end`.
    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError>;
}

/// An index as it is.
pub(super) struct Direct<'a>(pub(super) &'a dyn Index);

impl Look for Direct<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        self.0.last_below(from, end)
    }
}

/// Whether the row of this key is packed.
pub(super) fn is_packed(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| PACKED_KINDS.contains(kind))
}

/// Our own bug, not the world's.
pub(super) fn assert_fits(key: &[u8], value: Option<&[u8]>) {
    if is_packed(key) {
        assert_eq!(key.len(), 1 + ID_LEN, "the length of a packed key");
        let fits = value.is_none_or(|value| (1..=MAX_VALUE_BYTES).contains(&value.len()));
        assert!(fits, "a value that cannot be packed");
    }
}

/// A run, as the list names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Its place in the order of time, and in its slices' keys.
    number: u64,
    /// What its rows are of.
    kind: u8,
    /// How many entries it has, those without a value too.
    entries: u64,
}

/// All runs there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Those that hold rows, the oldest first.
    live: Vec<Run>,
    /// Those that the last write took into others: the next one removes them.
    spent: Vec<Run>,
    /// The next run's number.
    next: u64,
}

impl Run {
    const LEN: usize = 8 + 1 + 8;

    /// What the keys of all its slices begin with.
    fn prefix(&self) -> Vec<u8> {
        [&SLICE_PREFIX[..], &self.number.to_be_bytes()].concat()
    }

    fn slice_key(&self, first: &Id) -> Vec<u8> {
        [&self.prefix()[..], first].concat()
    }

    /// The slice that has this first id.
    fn slice(&self, first: &Id, look: &dyn Look) -> Result<Slice, StoreError> {
        let row = look.get(&self.slice_key(first))?.ok_or_else(|| self.damage("lacks a slice"))?;
        Slice::decode(*first, &row).map_err(|what| self.damage(what))
    }

    /// What it says of an id: nothing, that it is removed, or its value.
    fn find(&self, id: &Id, look: &dyn Look) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let mut end = self.slice_key(id);
        end.push(0);
        let row = look.last_below(&self.slice_key(&FIRST_ID), &end)?;
        let (key, row) = row.ok_or_else(|| self.damage("lacks its first slice"))?;
        let first = key.last_chunk().ok_or_else(|| self.damage("has a slice under a short key"))?;
        let slice = Slice::decode(*first, &row).map_err(|what| self.damage(what))?;
        if slice.next.is_some_and(|next| next <= *id) {
            return Err(self.damage("lacks a slice"));
        }
        let found = slice.entries.into_iter().find(|(other, _)| other == id);
        Ok(found.map(|(_, value)| value))
    }

    fn damage(&self, what: &str) -> StoreError {
        StoreError::Index(format!("run {} {what}", self.number))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.entries.to_le_bytes());
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (number, kind, entries) = (bytes.u64()?, bytes.u8()?, bytes.u64()?);
        PACKED_KINDS.contains(&kind).then_some(Self { number, kind, entries })
    }
}

impl Runs {
    /// The runs of an index.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub(super) fn read(look: &dyn Look) -> Result<Self, StoreError> {
        let Some(row) = look.get(&LIST_KEY)? else { return Ok(Self::default()) };
        Self::from_bytes(&row).ok_or_else(|| StoreError::Index("the list of runs is damaged".to_owned()))
    }

    /// The value of a packed key.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub(super) fn get(&self, key: &[u8], look: &dyn Look) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((kind, id)) = split(key) else { return Ok(None) };
        for run in self.of_kind(kind).rev() {
            if let Some(value) = run.find(&id, look)? {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// Calls `visit` with each packed row whose key begins with `prefix`, which is empty or a kind: the kinds in order, each
    /// ascending.
    ///
    /// # Errors
    /// [`StoreError::Index`], the disk's, or what `visit` answered.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        look: &dyn Look,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        for kind in PACKED_KINDS.into_iter().filter(|kind| [*kind].starts_with(prefix)) {
            let newest_first = self.of_kind(kind).rev().map(|run| Entries::of(*run, look)).collect();
            for entry in Merged::new(newest_first) {
                if let (id, Some(value)) = entry? {
                    visit(&joined(kind, &id), &value)?;
                }
            }
        }
        Ok(())
    }

    /// What writes these changes: the rows of the index that change, and the runs after it. Rows that are not packed are
    /// passed over.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub(super) fn with(&self, changes: &Rows, index: &dyn Index) -> Result<(Rows, Self), StoreError> {
        let (mut rows, mut runs) = (Rows::new(), self.clone());
        for run in std::mem::take(&mut runs.spent) {
            index.scan(&run.prefix(), &mut |key, _| {
                rows.insert(key.to_vec(), None);
                Ok(())
            })?;
        }
        for kind in PACKED_KINDS {
            let of_kind = changes.range(vec![kind]..vec![kind + 1]);
            let entries: Vec<Entry> =
                of_kind.filter_map(|(key, value)| Some((split(key)?.1, value.clone()))).collect();
            if !entries.is_empty() {
                runs.add(kind, entries, &Direct(index), &mut rows)?;
            }
        }
        if runs != *self {
            rows.insert(LIST_KEY.to_vec(), Some(runs.to_bytes()));
        }
        Ok((rows, runs))
    }

    /// Makes a run of these entries, with what it takes in, and adds its slices to `rows`.
    fn add(
        &mut self,
        kind: u8,
        changed: Vec<Entry>,
        look: &dyn Look,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let mut entries = u64::try_from(changed.len()).expect("entries fit in memory");
        let mut taken = Vec::new();
        for run in self.of_kind(kind).rev() {
            let together = run.entries.saturating_add(entries);
            if run.entries > entries.saturating_mul(2) || together > MAX_RUN_ENTRIES {
                break;
            }
            entries = together;
            taken.push(*run);
        }
        // With nothing older below it, what is removed needs no entry.
        let keep_removed = self.of_kind(kind).count() > taken.len();
        self.live.retain(|run| !taken.contains(run));
        let mut sources = vec![Entries::from(changed)];
        sources.extend(taken.iter().map(|run| Entries::of(*run, look)));
        let mut writer = RunWriter::new(Run { number: self.next, kind, entries: 0 }, rows);
        for entry in Merged::new(sources) {
            let (id, value) = entry?;
            if keep_removed || value.is_some() {
                writer.push(id, value);
            }
        }
        self.live.push(writer.finish());
        self.spent.extend(taken);
        let last = || StoreError::Index("runs are numbered to the end".to_owned());
        self.next = self.next.checked_add(1).ok_or_else(last)?;
        Ok(())
    }

    fn of_kind(&self, kind: u8) -> impl DoubleEndedIterator<Item = &Run> {
        self.live.iter().filter(move |run| run.kind == kind)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.next.to_le_bytes().to_vec();
        for runs in [&self.live, &self.spent] {
            bytes.extend_from_slice(&u32::try_from(runs.len()).expect("runs are few").to_le_bytes());
            runs.iter().for_each(|run| run.write(&mut bytes));
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Bytes(bytes);
        let next = cursor.u64()?;
        let mut read = || {
            let count = cursor.count(Run::LEN)?;
            (0..count).map(|_| Run::read(&mut cursor)).collect::<Option<Vec<Run>>>()
        };
        let (live, spent) = (read()?, read()?);
        cursor.end()?;
        let is_numbered = live.iter().chain(&spent).all(|run| run.number < next) && next < u64::MAX;
        is_numbered.then_some(Self { live, spent, next })
    }
}

fn split(key: &[u8]) -> Option<(u8, Id)> {
    let (kind, id) = key.split_first()?;
    Some((*kind, id.try_into().ok()?))
}

fn joined(kind: u8, id: &Id) -> Vec<u8> {
    [&[kind][..], id].concat()
}
