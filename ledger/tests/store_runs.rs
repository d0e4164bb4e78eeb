//! Laws of packed rows: looked up and scanned they are what a map holds, through any writes, restarts and power cuts; the
//! index has few rows for them, keeps none that is of no use, and tells damage.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use printsy_ledger::store::{
    Checkpoint, Doubt, Index, IndexView, Layer, MemoryDisk, MemoryIndex, RESERVED_PREFIX, Row, StoreError,
};
use support::checkpoint::{GENESIS, Model, mark, open, put};
use support::{Random, for_seeds};

mod support;

/// The n-th key: kinds in turn, ids as good as random.
fn key(n: u64) -> Vec<u8> {
    let kind = if n.is_multiple_of(3) { b'B' } else { b'T' };
    let mut random = Random::new(n);
    let mut key = vec![kind];
    key.extend_from_slice(&random.next().to_be_bytes());
    key.extend_from_slice(&random.next().to_be_bytes());
    key
}

/// Rows of the keys from..to, with values of their own.
fn layer(number: u64, keys: std::ops::Range<u64>) -> Layer {
    let rows = keys.map(|n| (key(n), Some(n.to_le_bytes().to_vec()))).collect();
    Layer { mark: mark(number), rows }
}

/// The rows as an audit would read them.
fn view(disk: &MemoryDisk, index: &Arc<MemoryIndex>) -> Model {
    let index = Arc::clone(index) as Arc<dyn Index>;
    let view = IndexView::open(disk, index, &GENESIS).unwrap();
    let mut all = Model::new();
    for prefix in [&b"B"[..], b"T"] {
        let (mut rows, mut last) = (Model::new(), Vec::new());
        let visit = &mut |key: &[u8], value: &[u8]| {
            assert!(last.as_slice() < key, "ascending");
            last = key.to_vec();
            rows.insert(key.to_vec(), value.to_vec());
            Ok(())
        };
        view.scan(prefix, visit).unwrap();
        all.extend(rows);
    }
    let mut whole = Model::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        assert!(whole.insert(key.to_vec(), value.to_vec()).is_none(), "each once");
        Ok(())
    };
    view.scan(&[], visit).unwrap();
    assert_eq!(whole, all, "a scan of everything");
    all
}

/// The keys of slices in an index.
fn slices(index: &MemoryIndex) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        Ok(())
    };
    index.scan(&[RESERVED_PREFIX, 0], visit).unwrap();
    keys
}

/// How many runs those are of.
fn runs(index: &MemoryIndex) -> usize {
    slices(index).iter().map(|key| key[..10].to_vec()).collect::<BTreeSet<_>>().len()
}

#[test]
fn packed_rows_equal_a_map_through_writes_restarts_and_power_cuts() {
    for_seeds(0..60, |random| {
        let (mut disk, mut index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
        let mut checkpoint = open(&disk, &index).unwrap().0;
        let mut model = Model::new();
        // What was flushed last, and the mark of it.
        let mut durable = (Model::new(), None);
        for number in 1..40u64 {
            let rows = some_rows(random);
            put(&mut model, &rows);
            checkpoint.submit(Layer { mark: mark(number), rows });
            match random.index(5) {
                0 => {}
                1 => {
                    // The power goes: what was flushed is there, and nothing else.
                    drop(std::mem::replace(&mut checkpoint, after_power_cut(&mut disk, &mut index, random)));
                    model = durable.0.clone();
                    assert_eq!(checkpoint.mark(), durable.1);
                }
                2 => {
                    drop(checkpoint);
                    checkpoint = open(&disk, &index).unwrap().0;
                    durable = (model.clone(), Some(mark(number)));
                }
                _ => {
                    checkpoint.flush_now().unwrap();
                    durable = (model.clone(), Some(mark(number)));
                }
            }
            for key in (0..KEYS).map(key) {
                assert_eq!(
                    checkpoint.get(&key).unwrap().as_ref(),
                    model.get(&key),
                    "layer {number}: {key:x?}"
                );
            }
            if checkpoint.lag_rows() == 0 {
                assert_eq!(view(&disk, &index), model, "layer {number}");
            }
        }
    });
}

const KEYS: u64 = 500;

/// Few rows or many, a third of them removed.
fn some_rows(random: &mut Random) -> Vec<Row> {
    let count = [1, 5, 30, 200][random.index(4)];
    let row = |random: &mut Random| {
        let value =
            (!random.chance(3)).then(|| vec![u8::try_from(random.index(256)).unwrap(); 1 + random.index(20)]);
        (key(random.below(KEYS)), value)
    };
    (0..count).map(|_| row(random)).collect()
}

fn after_power_cut(
    disk: &mut Arc<MemoryDisk>,
    index: &mut Arc<MemoryIndex>,
    random: &mut Random,
) -> Checkpoint {
    *disk = Arc::new(disk.crashed());
    *index = Arc::new(index.crashed(random.index(3)));
    open(disk, index).unwrap().0
}

#[test]
fn many_rows_take_few_rows_of_the_index_and_few_runs() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    let (layers, each) = (200, 1_000);
    for number in 0..layers {
        checkpoint.submit(layer(number + 1, number * each..(number + 1) * each));
        checkpoint.flush_now().unwrap();
        // Each kind's runs are more than twice as large as the next newer, and those taken in are there once more.
        assert!(runs(&index) <= 2 * (2 * 18), "{} runs after {number} layers", runs(&index));
    }
    let rows = u64::try_from(slices(&index).len()).unwrap();
    assert!(rows <= layers * each / 16, "{rows} rows for {} packed ones", layers * each);
    for n in (0..layers * each).step_by(97) {
        assert_eq!(checkpoint.get(&key(n)).unwrap(), Some(n.to_le_bytes().to_vec()));
    }
    assert_eq!(checkpoint.get(&key(layers * each)).unwrap(), None);
}

#[test]
fn a_run_is_bounded() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    let id =
        |n: u64| [&b"T"[..], &n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(), &n.to_be_bytes()].concat();
    // Two of these fit into the largest run, three do not.
    let each = 400_000;
    for (number, expected) in [(0, 1), (1, 2), (2, 2), (3, 3), (4, 3)] {
        let rows = (number * each..(number + 1) * each).map(|n| (id(n), Some(vec![1]))).collect();
        checkpoint.submit(Layer { mark: mark(number + 1), rows });
        checkpoint.flush_now().unwrap();
        assert_eq!(runs(&index), expected, "live and spent ones after {} rows", (number + 1) * each);
    }
    for n in (0..5 * each).step_by(9_973) {
        assert_eq!(checkpoint.get(&id(n)).unwrap(), Some(vec![1]), "{n}");
    }
}

#[test]
fn what_was_removed_leaves_nothing() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    for number in 0..20 {
        checkpoint.submit(layer(number + 1, number * 500..(number + 1) * 500));
        checkpoint.flush_now().unwrap();
    }
    assert!(slices(&index).len() > 100);
    let gone = (0..10_000).map(|n| (key(n), None)).collect();
    checkpoint.submit(Layer { mark: mark(21), rows: gone });
    checkpoint.flush_now().unwrap();
    assert!(view(&disk, &index).is_empty());
    // The spent runs go with the next write, whatever it is of, and the empty ones are taken in.
    for number in 22..24 {
        checkpoint.submit(layer(number, 0..2));
        checkpoint.flush_now().unwrap();
    }
    assert!(slices(&index).len() <= 4, "{:x?}", slices(&index));
    assert_eq!(view(&disk, &index).len(), 2);
}

#[test]
fn look_ups_beside_writes_find_what_was_submitted() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    let (layers, each) = (400, 50);
    let submitted = AtomicU64::new(0);
    let looked_up = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..layers {
                checkpoint.submit(layer(number + 1, number * each..(number + 1) * each));
                submitted.store((number + 1) * each, Ordering::Release);
                checkpoint.flush_now().unwrap();
            }
        });
        let (mut random, mut looked_up) = (Random::new(1), 0);
        while submitted.load(Ordering::Acquire) < layers * each {
            let there = submitted.load(Ordering::Acquire).max(1);
            let n = random.below(there);
            if submitted.load(Ordering::Acquire) > 0 {
                assert_eq!(
                    checkpoint.get(&key(n)).unwrap(),
                    Some(n.to_le_bytes().to_vec()),
                    "{n} of {there}"
                );
                looked_up += 1;
            }
        }
        looked_up
    });
    assert!(looked_up > 1_000, "only {looked_up} look-ups");
}

#[test]
fn a_damaged_slice_is_told_and_the_next_start_is_told_too() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    checkpoint.submit(layer(1, 0..1_000));
    drop(checkpoint);
    let slice = slices(&index)[1].clone();
    let sound = index.get(&slice).unwrap().unwrap();
    let entry = 16 + 1 + 8;
    let unsorted = [&sound[entry..2 * entry], &sound[..entry], &sound[2 * entry..]].concat();
    let elsewhere = [&sound[..], &[0xff; 16], &[1, 1]].concat();
    let damages = [
        (None, true),
        (Some(sound[..sound.len() - 1].to_vec()), true),
        (Some(unsorted), false),
        (Some(elsewhere), false),
    ];
    for (damage, is_told_by_look_ups) in damages {
        let disk = Arc::new(disk.crashed());
        let index = Arc::new(index.crashed(0));
        index.apply(&[(slice.clone(), damage.clone())]).unwrap();
        index.flush().unwrap();
        let (checkpoint, _) = open(&disk, &index).unwrap();
        let is_told = (0..1_000).map(key).any(|key| checkpoint.get(&key).is_err());
        assert_eq!(is_told, is_told_by_look_ups, "{damage:x?}");
        checkpoint.submit(layer(2, 1_000..2_000));
        let error = checkpoint.flush_now().unwrap_err();
        assert!(matches!(&error, StoreError::Index(why) if why.contains("slice")), "{error}");
        assert!(Doubt::read(disk.as_ref()).unwrap().is_some_and(|why| why.contains("slice")));
    }
    let list = [&[RESERVED_PREFIX][..], b"list"].concat();
    for damage in [vec![], vec![0; 7], vec![0xff; 16]] {
        index.apply(&[(list.clone(), Some(damage))]).unwrap();
        assert!(matches!(open(&disk, &index), Err(StoreError::Index(_))));
    }
}
