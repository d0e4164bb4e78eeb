//! Laws of the checkpoint: after any crash the index stands exactly at its mark, or is empty; what was submitted
//! is seen at once; headers are durable up to the mark.
//!
//! Disk and index share one fuse, so that the crash comes between any two steps of both; the index then keeps
//! any number of the batches that were not flushed.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use printsy_consensus::{Hash, Header, PublicKey, SignedHeader, Work};
use printsy_ledger::store::{
    CHECKPOINT_INTERVAL, CHECKPOINT_ROWS, Checkpoint, Commit, Disk, Doubt, Fuse, HeaderFile, HeaderRecord,
    Index, Journal, KeyValue, Layer, MAX_BATCH_OPERATIONS, MAX_LAG_ROWS, MemoryDisk, MemoryIndex, Pace, Row,
    SledIndex, StoreError, Visit,
};
use proptest::prelude::*;
use support::checkpoint::{BY_HAND, GENESIS, Model, mark, open, open_with, put, scan};

mod support;

fn record(n: u64) -> HeaderRecord {
    let header = Header {
        version: 1,
        parent: Hash::ZERO,
        transactions_root: Hash::ZERO,
        state_root: Hash::ZERO,
        height: n,
        time: n,
        bits: 0,
        miner: PublicKey([0; 32]),
        nonce: 0,
    };
    HeaderRecord { signed: SignedHeader { header, signature: [1; 64] }, work: Work::default(), position: n }
}

/// The n-th layer: rows enough for several batches, packed ones too, some of them changed and removed again by the
/// next one.
fn layer(n: u64) -> Layer {
    let count = u32::try_from(MAX_BATCH_OPERATIONS).unwrap() + 500;
    let key = |i: u32| [b"k".as_slice(), &i.to_be_bytes()].concat();
    let value =
        |i: u32| (u64::from(i) % 3 != n % 3).then(|| [n.to_le_bytes(), u64::from(i).to_le_bytes()].concat());
    let rows = (0..count).map(|i| (key(i), value(i)));
    // Ever fewer packed ones, so that some runs are taken in and some are not.
    let packed = (0..PACKED / u32::try_from(n).unwrap().pow(2)).map(|i| (packed_key(i), value(i)));
    Layer { mark: mark(n), rows: rows.chain(packed).collect() }
}

/// How many packed rows there are at the most.
const PACKED: u32 = 600;

fn packed_key(i: u32) -> Vec<u8> {
    let kind = if i.is_multiple_of(2) { b"T" } else { b"B" };
    let id: [u8; 16] = std::array::from_fn(|at| i.wrapping_mul(0x9e37_79b1).to_be_bytes()[at % 4]);
    [&kind[..], &id].concat()
}

/// That these are all rows: those that can be scanned, and the packed ones one by one.
fn assert_rows(checkpoint: &Checkpoint, expected: &Model, context: &str) {
    let is_packed = |key: &[u8]| key[0] == b'T' || key[0] == b'B';
    let plain: Model =
        expected.iter().filter(|(key, _)| !is_packed(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    assert!(scan(checkpoint, &[]) == plain, "{context}");
    for key in (0..PACKED).map(packed_key) {
        assert_eq!(checkpoint.get(&key).unwrap().as_ref(), expected.get(&key), "{context}: {key:x?}");
    }
}

fn rows_after(layers: u64) -> Model {
    let mut model = Model::new();
    (1..=layers).for_each(|n| put(&mut model, &layer(n).rows));
    model
}

/// What the index itself holds, the checkpoint's own rows too.
fn rows_of(index: &dyn Index) -> Model {
    let mut rows = Model::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    };
    index.scan(&[], visit).unwrap();
    rows
}

#[test]
fn crash_between_any_two_steps_leaves_the_rows_at_their_mark() {
    for steps in 0.. {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        let written = write_three_layers(&disk, &index);
        for lucky_batches in [0, 1, 2, usize::MAX] {
            for lucky_bytes in [0, 200, usize::MAX] {
                let disk = Arc::new(disk.crashed_with_luck(lucky_bytes));
                let index = Arc::new(index.crashed(lucky_batches));
                let (checkpoint, found) = open(&disk, &index).unwrap();
                let height = found.map_or(0, |mark| mark.height);
                assert!(
                    height == written || height == written + 1,
                    "{steps} steps: {height}, wrote {written}"
                );
                assert_eq!(found, (height > 0).then(|| mark(height)));
                assert_eq!(checkpoint.mark(), found);
                assert_rows(&checkpoint, &rows_after(height), &format!("{steps} steps, height {height}"));
                let headers = HeaderFile::open(disk).unwrap();
                assert!((1..=height).all(|n| headers.get(n).unwrap() == Some(record(n))));
            }
        }
        if !fuse.is_blown() {
            assert_eq!(written, 3);
            break;
        }
    }
}

/// Answers how many layers were written before the fuse blew.
fn write_three_layers(disk: &Arc<MemoryDisk>, index: &Arc<MemoryIndex>) -> u64 {
    let headers = HeaderFile::open(Arc::clone(disk) as Arc<dyn Disk>).unwrap();
    let Ok((checkpoint, None)) = open_with(disk, index, &headers) else { return 0 };
    if headers.put(0, &record(0)).is_err() {
        return 0;
    }
    for n in 1..=3 {
        if headers.put(n, &record(n)).is_err() {
            return n - 1;
        }
        checkpoint.submit(layer(n));
        if checkpoint.flush_now().is_err() {
            assert!(checkpoint.failed().is_some());
            return n - 1;
        }
    }
    3
}

#[test]
fn crash_while_healing_heals_again() {
    for (first, steps) in (4..14).flat_map(|first| (0..12).map(move |steps| (first, steps))) {
        let fuse = Fuse::after(first);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        if let Ok((checkpoint, _)) = open(&disk, &index) {
            checkpoint.submit(layer(1));
            let _ = checkpoint.flush_now();
        }
        let healing = Arc::new(disk.crashed().reopened(Fuse::after(steps)));
        let index = Arc::new(index.crashed(usize::MAX));
        let _ = open(&healing, &index);
        for lucky in [0, 1, usize::MAX] {
            let (checkpoint, found) =
                open(&Arc::new(healing.crashed()), &Arc::new(index.crashed(lucky))).unwrap();
            assert_rows(&checkpoint, &rows_after(found.map_or(0, |mark| mark.height)), "healed");
        }
    }
}

#[test]
fn a_half_written_index_without_its_redo_is_emptied() {
    for steps in 0..40 {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        let written = write_three_layers(&disk, &index);
        let (disk, index) = (Arc::new(disk.crashed()), Arc::new(index.crashed(usize::MAX)));
        disk.remove("redo").unwrap();
        let (checkpoint, found) = open(&disk, &index).unwrap();
        match found {
            Some(found) => {
                assert!(found.height == written || found.height == written + 1);
                assert_rows(&checkpoint, &rows_after(found.height), &format!("{steps} steps"));
            }
            None => assert!(rows_of(&*index).is_empty()),
        }
    }
}

#[test]
fn a_redo_left_behind_never_meets_a_rebuilt_index() {
    let disk = Arc::new(MemoryDisk::new());
    let index = Arc::new(MemoryIndex::new());
    let (checkpoint, _) = open(&disk, &index).unwrap();
    checkpoint.submit(layer(1));
    drop(checkpoint);
    let with_redo = redo_of_second_layer(&disk, &index);
    let fresh = Arc::new(MemoryIndex::new());
    let (checkpoint, found) = open(&with_redo, &fresh).unwrap();
    assert_eq!(found, None);
    assert!(scan(&checkpoint, &[]).is_empty());
    assert_eq!(with_redo.len("redo").unwrap(), None);
}

/// A disk on which the redo file of the second layer was finished and nothing of it applied.
fn redo_of_second_layer(disk: &Arc<MemoryDisk>, index: &Arc<MemoryIndex>) -> Arc<MemoryDisk> {
    for steps in 1.. {
        let disk = Arc::new(disk.reopened(Fuse::after(steps)));
        let (checkpoint, _) = open(&disk, &Arc::new(index.crashed(0))).unwrap();
        checkpoint.submit(layer(2));
        let _ = checkpoint.flush_now();
        let crashed = Arc::new(disk.crashed());
        let (_, found) =
            open(&Arc::new(crashed.reopened(Fuse::never())), &Arc::new(index.crashed(0))).unwrap();
        if found == Some(mark(2)) {
            return crashed;
        }
    }
    unreachable!("a finished redo file is re-applied")
}

/// Whatever write was cut off: one that had nothing to begin with fits an index that has nothing again.
#[test]
fn an_index_that_was_wiped_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut redos = 0;
    for steps in 0.. {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        if let Ok((checkpoint, _)) = open(&disk, &index) {
            checkpoint.submit(layer(1));
            let _cut_off = checkpoint.flush_now();
        }
        let disk = Arc::new(disk.crashed());
        redos += usize::from(disk.len("redo").unwrap().is_some());
        SledIndex::wipe(disk.as_ref(), folder.path().join("index")).unwrap();
        let disk = Arc::new(disk.crashed());
        let (checkpoint, found) = open(&disk, &Arc::new(MemoryIndex::new())).unwrap();
        assert_eq!(found, None, "{steps} steps");
        assert!(scan(&checkpoint, &[]).is_empty(), "{steps} steps");
        if !fuse.is_blown() {
            break;
        }
    }
    assert!(redos > 3, "{redos} redo files were left");
}

#[test]
fn what_was_submitted_is_seen_at_once_and_after_a_clean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let headers = HeaderFile::open(Arc::clone(&disk)).unwrap();
    let open = || {
        let index = Arc::new(SledIndex::open(folder.path().join("index")).unwrap());
        Checkpoint::open_with_pace(Arc::clone(&disk), index, GENESIS, headers.clone(), BY_HAND).unwrap()
    };
    let (checkpoint, found) = open();
    assert_eq!(found, None);
    checkpoint.submit(layer(1));
    checkpoint.submit(layer(2));
    let rows = layer(2).rows;
    assert_eq!(checkpoint.lag_rows(), layer(1).rows.len(), "the second changes what the first did");
    assert!(rows.iter().all(|(key, value)| checkpoint.get(key).unwrap() == *value));
    assert_rows(&checkpoint, &rows_after(2), "at once");
    drop(checkpoint);
    let (checkpoint, found) = open();
    assert_eq!(found, Some(mark(2)));
    assert_eq!(checkpoint.lag_rows(), 0);
    assert_rows(&checkpoint, &rows_after(2), "after a clean stop");
    checkpoint.clear().unwrap();
    assert_eq!(checkpoint.mark(), None);
    assert!(scan(&checkpoint, &[]).is_empty());
    drop(checkpoint);
    assert_eq!(open().1, None);
}

#[test]
fn it_writes_by_itself_when_there_is_enough_or_time_has_passed() {
    let hurry = Pace { interval: Duration::from_millis(1), rows: usize::MAX, most: usize::MAX };
    let soon = Pace { interval: Duration::MAX, rows: 10, most: usize::MAX };
    for pace in [hurry, soon] {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let index = Arc::new(MemoryIndex::new());
        let headers = HeaderFile::open(Arc::clone(&disk)).unwrap();
        let index_seam = Arc::clone(&index) as Arc<dyn Index>;
        let (checkpoint, _) = Checkpoint::open_with_pace(disk, index_seam, GENESIS, headers, pace).unwrap();
        checkpoint.submit(layer(1));
        while checkpoint.lag_rows() > 0 {
            std::thread::yield_now();
        }
        drop(checkpoint);
        let (checkpoint, found) = open(&Arc::new(MemoryDisk::new()), &index).unwrap();
        assert_eq!(found, Some(mark(1)));
        assert_rows(&checkpoint, &rows_after(1), "written by itself");
    }
    let default = Pace { interval: CHECKPOINT_INTERVAL, rows: CHECKPOINT_ROWS, most: MAX_LAG_ROWS };
    assert_eq!(Pace::default(), default);
}

#[test]
fn what_waits_is_bounded_by_waiting_for_the_disk() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let headers = HeaderFile::open(Arc::clone(&disk)).unwrap();
    let rows = layer(1).rows.len();
    for (most, left) in [(rows, rows), (rows - 1, 0)] {
        let pace = Pace { most, ..BY_HAND };
        let (disk, index) = (Arc::clone(&disk), Arc::new(MemoryIndex::new()));
        let (checkpoint, _) =
            Checkpoint::open_with_pace(disk, index, GENESIS, headers.clone(), pace).unwrap();
        checkpoint.submit(layer(1));
        checkpoint.keep_near().unwrap();
        assert_eq!(checkpoint.lag_rows(), left, "{most} of {rows} rows may wait");
    }
}

#[test]
fn a_failure_is_kept_and_ends_all_writing() {
    let disk = Arc::new(MemoryDisk::new());
    let index = Arc::new(MemoryIndex::new());
    let (checkpoint, _) = open(&disk, &index).unwrap();
    checkpoint.submit(layer(1));
    assert_eq!(checkpoint.failed(), None);
    disk.fail_syncs_after(0);
    assert!(matches!(checkpoint.flush_now().unwrap_err(), StoreError::Io { what: "sync", .. }));
    disk.fail_syncs_after(u64::MAX);
    assert!(checkpoint.failed().unwrap().contains("the sync failed"));
    assert!(checkpoint.flush_now().is_err());
    assert!(checkpoint.clear().is_err());
    checkpoint.submit(layer(2));
    assert_rows(&checkpoint, &rows_after(2), "what was submitted is still seen");
    drop(checkpoint);
    assert!(rows_of(&*index).is_empty());
}

/// An index whose next batch panics, when it is told so: what a mistake in the writer would do.
#[derive(Debug, Default)]
struct Panics {
    index: MemoryIndex,
    is_next: AtomicBool,
}

impl Index for Panics {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.index.scan(prefix, visit)
    }

    fn last_below(&self, from: &[u8], end: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        self.index.last_below(from, end)
    }

    fn apply(&self, rows: &[Row]) -> Result<(), StoreError> {
        assert!(!self.is_next.swap(false, Ordering::SeqCst), "a mistake in the writer");
        self.index.apply(rows)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.index.flush()
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.index.clear()
    }
}

#[test]
fn a_panic_of_the_writer_ends_all_writing_and_no_mark_passes_the_rows_it_had_taken() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(Panics::default()));
    let headers = HeaderFile::open(disk.clone()).unwrap();
    let pace = Pace { rows: 1, ..BY_HAND };
    let (checkpoint, _) =
        Checkpoint::open_with_pace(disk.clone(), index.clone(), GENESIS, headers, pace).unwrap();
    index.is_next.store(true, Ordering::SeqCst);
    checkpoint.submit(layer(1));
    for _ in 0..1_000 {
        if checkpoint.check().is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(checkpoint.failed().is_some_and(|why| why.contains("panicked")), "{:?}", checkpoint.failed());
    checkpoint.submit(layer(2));
    assert!(checkpoint.flush_now().is_err());
    assert_rows(&checkpoint, &rows_after(2), "what was submitted is seen");
    drop(checkpoint);
    assert_eq!(Checkpoint::peek(index.as_ref(), &GENESIS).unwrap(), None);
    assert!(Doubt::read(disk.as_ref()).unwrap().is_some(), "the next start makes it anew");
}

#[test]
fn a_foreign_index_is_refused_and_one_of_another_format_emptied() {
    let disk = Arc::new(MemoryDisk::new());
    let index = Arc::new(MemoryIndex::new());
    let (checkpoint, _) = open(&disk, &index).unwrap();
    checkpoint.submit(layer(1));
    drop(checkpoint);
    let before = rows_of(&*index);
    let headers = HeaderFile::open(Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
    let seams = || (Arc::clone(&disk) as Arc<dyn Disk>, Arc::clone(&index) as Arc<dyn Index>);
    let error = Checkpoint::open(seams().0, seams().1, Hash([8; 32]), headers.clone()).unwrap_err();
    assert!(matches!(error, StoreError::ForeignGenesis { got: GENESIS, .. }), "{error}");
    assert!(rows_of(&*index) == before);

    let (key, mut value) = before.last_key_value().map(|(key, value)| (key.clone(), value.clone())).unwrap();
    value[0] ^= 0x80;
    index.apply(&[(key, Some(value))]).unwrap();
    let before = rows_of(&*index);
    // ... but not while the journal itself is another network's.
    let other = Arc::new(disk.reopened(Fuse::never()));
    let mut journal = Journal::open(Arc::clone(&other) as Arc<dyn Disk>, Hash([8; 32]), 0).unwrap();
    journal.append(&Commit::default()).unwrap();
    let error = Checkpoint::open(other, seams().1, GENESIS, headers).unwrap_err();
    assert!(matches!(error, StoreError::ForeignGenesis { .. }), "{error}");
    assert!(rows_of(&*index) == before);
    let (checkpoint, found) = open(&disk, &index).unwrap();
    assert_eq!(found, None);
    assert!(scan(&checkpoint, &[]).is_empty());
}

#[test]
fn no_flipped_byte_of_a_redo_is_applied() {
    let disk = Arc::new(MemoryDisk::new());
    let index = Arc::new(MemoryIndex::with_fuse(Fuse::after(3)));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    let rows = (0..4).map(|i| (vec![b'k', i], (i != 2).then(|| vec![i; 3]))).collect();
    checkpoint.submit(Layer { mark: mark(1), rows });
    checkpoint.flush_now().unwrap_err();
    let len = disk.len("redo").unwrap().unwrap();
    for offset in 0..len {
        let flipped = Arc::new(disk.reopened(Fuse::never()));
        let byte = flipped.read("redo", offset, 1).unwrap()[0];
        flipped.write_at("redo", offset, &[byte ^ 4]).unwrap();
        let (checkpoint, found) = open(&flipped, &Arc::new(MemoryIndex::new())).unwrap();
        assert_eq!(found, None, "offset {offset}");
        assert!(scan(&checkpoint, &[]).is_empty());
    }
    let (_, found) = open(&disk, &Arc::new(MemoryIndex::new())).unwrap();
    assert_eq!(found, Some(mark(1)));
}

#[derive(Clone, Debug)]
enum Step {
    Submit(Vec<(u8, Option<u8>)>),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..40_u8, prop::option::of(any::<u8>())), 0..12).prop_map(Step::Submit),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_overlay_equals_a_map(steps in prop::collection::vec(step(), 1..25)) {
        let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
        let mut checkpoint = open(&disk, &index).unwrap().0;
        let (mut model, mut submitted) = (Model::new(), 0);
        for step in steps {
            match step {
                Step::Submit(rows) => {
                    submitted += 1;
                    let key = |n: u8| vec![n / 8, n % 8];
                    let rows: Vec<Row> = rows.into_iter().map(|(n, v)| (key(n), v.map(|v| vec![v]))).collect();
                    put(&mut model, &rows);
                    checkpoint.submit(Layer { mark: mark(submitted), rows });
                }
                Step::Flush => checkpoint.flush_now().unwrap(),
                Step::Reopen => {
                    drop(checkpoint);
                    let (opened, found) = open(&disk, &index).unwrap();
                    prop_assert_eq!(found, (submitted > 0).then(|| mark(submitted)));
                    checkpoint = opened;
                }
            }
            prop_assert_eq!(scan(&checkpoint, &[]), model.clone());
            for prefix in 0..5_u8 {
                let expected = model.iter().filter(|(key, _)| key[0] == prefix);
                let expected: Model = expected.map(|(k, v)| (k.clone(), v.clone())).collect();
                prop_assert_eq!(scan(&checkpoint, &[prefix]), expected.clone());
                for (from, limit) in [([0, 0], 3), ([prefix, 0], 2), ([prefix, 3], 2), ([prefix, 5], 100)] {
                    let page = expected.clone().into_iter().filter(|(key, _)| key.as_slice() >= &from[..]);
                    let page: Vec<_> = page.take(limit).collect();
                    prop_assert_eq!(checkpoint.page(&[prefix], &from, limit).unwrap(), page);
                }
            }
            for n in 0..40_u8 {
                let key = vec![n / 8, n % 8];
                prop_assert_eq!(checkpoint.get(&key).unwrap(), model.get(&key).cloned());
            }
        }
    }
}
