//! Sorted runs: the rows that are found by an id, dozens of them packed into each row of the index.
//!
//! The index keeps a table of all its pages in memory, a page for each sixteen rows: with a row for each sale, memory
//! would grow with sales. So each write of the checkpoint makes one *run* of the packed rows that changed: sorted
//! by id, cut by the id's first bits into *slices*, a slice a row. A look-up reads one slice of each run, the newest
//! run first; what was removed is an entry without a value. A new run takes in those before it that are not far
//! larger than it, so that there are few. One that was taken in is *spent*: its slices stay for one write more, so that
//! a look-up which began before that write still finds all of it.
//!
//! Runs are rows like any others, written through the redo file: what holds of the checkpoint holds of them. How they are
//! made and merged is in `merge`, their bytes are in `slice`.

mod merge;
mod slice;

use super::bytes::Bytes;
use super::error::StoreError;
use super::index::{RESERVED_PREFIX, Rows, Visit};
use merge::{Entries, Merged, RunWriter};

/// The kinds of rows that are packed, by their keys' first byte: `kind | id`, with an id as good as random.
pub(crate) const PACKED_KINDS: [u8; 2] = *b"BT";

/// The length of an id.
pub(crate) const ID_LEN: usize = 16;

/// The longest value that is packed.
pub(super) const MAX_VALUE_BYTES: usize = 255;

/// A run takes none in that would make it larger: what one write holds in memory is some tens of megabytes.
const MAX_RUN_ENTRIES: u64 = 1 << 20;

/// A run is cut into slices of at most so many entries, on average.
const SLICE_ENTRIES: u64 = 64;

/// Where the list of the runs is.
const LIST_KEY: [u8; 5] = [RESERVED_PREFIX, b'l', b'i', b's', b't'];
/// What the keys of slices begin with; the run's number and the slice's follow.
const SLICE_PREFIX: [u8; 2] = [RESERVED_PREFIX, 0];

/// The name of a packed row within its kind.
type Id = [u8; ID_LEN];

/// An id and its value; without one, the row is removed.
type Entry = (Id, Option<Vec<u8>>);

/// Reads a row of the index.
pub(super) type Get<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError> + 'a;

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
    /// There are `2^bits` slices.
    bits: u8,
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
    const LEN: usize = 8 + 1 + 1 + 8;

    /// The slice that holds this id: its first bits.
    fn slice_of(&self, id: &Id) -> u32 {
        let first = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
        first.checked_shr(u32::BITS - u32::from(self.bits)).unwrap_or(0)
    }

    fn slices(&self) -> u32 {
        1 << self.bits
    }

    fn slice_key(&self, slice: u32) -> Vec<u8> {
        [&SLICE_PREFIX[..], &self.number.to_be_bytes(), &slice.to_be_bytes()].concat()
    }

    /// The bytes of a slice: each slice of a run is there, also one without entries.
    fn slice(&self, slice: u32, get: &Get<'_>) -> Result<Vec<u8>, StoreError> {
        get(&self.slice_key(slice))?.ok_or_else(|| self.damage(slice, "is missing"))
    }

    fn damage(&self, slice: u32, what: &str) -> StoreError {
        StoreError::Index(format!("slice {slice} of run {} {what}", self.number))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&[self.kind, self.bits]);
        out.extend_from_slice(&self.entries.to_le_bytes());
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (number, kind, bits) = (bytes.u64()?, bytes.u8()?, bytes.u8()?);
        let is_sound = PACKED_KINDS.contains(&kind) && u32::from(bits) < u32::BITS;
        Some(Self { number, kind, bits, entries: bytes.u64()? }).filter(|_| is_sound)
    }
}

impl Runs {
    /// The runs of an index.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub(super) fn read(get: &Get<'_>) -> Result<Self, StoreError> {
        let Some(row) = get(&LIST_KEY)? else { return Ok(Self::default()) };
        Self::from_bytes(&row).ok_or_else(|| StoreError::Index("the list of runs is damaged".to_owned()))
    }

    /// The value of a packed key.
    ///
    /// # Errors
    /// [`StoreError::Index`], or the disk's.
    pub(super) fn get(&self, key: &[u8], get: &Get<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((kind, id)) = split(key) else { return Ok(None) };
        for run in self.of_kind(kind).rev() {
            let slice = run.slice_of(&id);
            let found = slice::find(&run.slice(slice, get)?, &id);
            if let Some(value) = found.map_err(|what| run.damage(slice, what))? {
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
    pub(super) fn scan(&self, prefix: &[u8], get: &Get<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for kind in PACKED_KINDS.into_iter().filter(|kind| [*kind].starts_with(prefix)) {
            let newest_first = self.of_kind(kind).rev().map(|run| Entries::of(*run, get)).collect();
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
    pub(super) fn with(&self, changes: &Rows, get: &Get<'_>) -> Result<(Rows, Self), StoreError> {
        let (mut rows, mut runs) = (Rows::new(), self.clone());
        for run in std::mem::take(&mut runs.spent) {
            rows.extend((0..run.slices()).map(|slice| (run.slice_key(slice), None)));
        }
        for kind in PACKED_KINDS {
            let of_kind = changes.range(vec![kind]..vec![kind + 1]);
            let entries: Vec<Entry> =
                of_kind.filter_map(|(key, value)| Some((split(key)?.1, value.clone()))).collect();
            if !entries.is_empty() {
                runs.add(kind, entries, get, &mut rows)?;
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
        get: &Get<'_>,
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
        sources.extend(taken.iter().map(|run| Entries::of(*run, get)));
        let mut writer =
            RunWriter::new(Run { number: self.next, kind, bits: bits_for(entries), entries: 0 }, rows);
        for entry in Merged::new(sources) {
            let (id, value) = entry?;
            if keep_removed || value.is_some() {
                writer.push(&id, value.as_deref());
            }
        }
        self.live.push(writer.finish());
        self.spent.extend(taken);
        self.next += 1;
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
        Some(Self { live, spent, next })
    }
}

/// How many bits cut so many entries into slices.
fn bits_for(entries: u64) -> u8 {
    let slices = entries.div_ceil(SLICE_ENTRIES).max(1).next_power_of_two();
    u8::try_from(slices.ilog2()).expect("a logarithm of 64 bits").min(24)
}

fn split(key: &[u8]) -> Option<(u8, Id)> {
    let (kind, id) = key.split_first()?;
    Some((*kind, id.try_into().ok()?))
}

fn joined(kind: u8, id: &Id) -> Vec<u8> {
    [&[kind][..], id].concat()
}
