//! Laws of packed rows: looked up and scanned they are what a map holds, through any writes, restarts and power cuts; the
//! index has few rows for them, keeps none that is of no use, and tells damage.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use printsy_ledger::store::{
    Checkpoint, Doubt, Fuse, Index, IndexView, Layer, MemoryDisk, MemoryIndex, RESERVED_PREFIX, Row,
    StoreError,
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
    assert!(whole == all, "a scan of everything");
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
                assert!(view(&disk, &index) == model, "layer {number}");
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
    assert!(rows <= layers * each / 32, "{rows} rows for {} packed ones", layers * each);
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
    assert!(looked_up > 100, "only {looked_up} look-ups");
}

#[test]
fn a_slice_is_no_larger_where_ids_were_chosen_to_be_alike() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    let alike = |n: u64| [&b"T"[..], &[0xab; 8], &n.to_be_bytes()].concat();
    for number in 0..20 {
        let rows = (0..700).map(|n| (alike(n * 20 + number), Some(n.to_le_bytes().to_vec()))).collect();
        checkpoint.submit(Layer { mark: mark(number + 1), rows });
        checkpoint.flush_now().unwrap();
    }
    for key in slices(&index) {
        let row = index.get(&key).unwrap().unwrap();
        assert!(row.len() <= 1 + 16 + 64 * (16 + 1 + 8), "{} bytes", row.len());
    }
    for n in 0..14_000 {
        assert_eq!(checkpoint.get(&alike(n)).unwrap(), Some((n / 20).to_le_bytes().to_vec()), "{n}");
    }
    for other in [[0; 16], [0xff; 16]] {
        assert_eq!(checkpoint.get(&[&b"T"[..], &other].concat()).unwrap(), None);
    }
}

#[test]
fn an_unfinished_write_reads_as_the_next_start_finishes_it() {
    let layers: Vec<Layer> = (0..3).map(|n| layer(n + 1, n * 300..(n + 1) * 300)).collect();
    for steps in 0.. {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        if let Ok((checkpoint, _)) = open(&disk, &index) {
            for layer in &layers {
                checkpoint.submit(layer.clone());
                if checkpoint.flush_now().is_err() {
                    break;
                }
            }
        }
        for lucky in [0, 1, 2, usize::MAX] {
            let (disk, index) = (Arc::new(disk.crashed()), Arc::new(index.crashed(lucky)));
            let seam = Arc::clone(&index) as Arc<dyn Index>;
            let height =
                IndexView::open(disk.as_ref(), seam, &GENESIS).unwrap().mark().map(|mark| mark.height);
            if let Some(height) = height {
                let mut expected = Model::new();
                layers[..usize::try_from(height).unwrap()]
                    .iter()
                    .for_each(|layer| put(&mut expected, &layer.rows));
                assert!(view(&disk, &index) == expected, "{steps} steps, {lucky} batches");
            }
            let (checkpoint, found) = open(&disk, &index).unwrap();
            assert_eq!(found.map(|mark| mark.height), height, "{steps} steps, {lucky} batches");
            for n in 0..900 {
                let is_there = height.is_some_and(|height| n < height * 300);
                assert_eq!(checkpoint.get(&key(n)).unwrap().is_some(), is_there, "{steps} steps: {n}");
            }
        }
        if !fuse.is_blown() {
            break;
        }
    }
}

#[test]
fn a_damaged_slice_is_told_and_the_next_start_is_told_too() {
    let (disk, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryIndex::new()));
    let (checkpoint, _) = open(&disk, &index).unwrap();
    checkpoint.submit(layer(1, 0..1_000));
    drop(checkpoint);
    let [first, second] = [0, 1].map(|at| slices(&index)[at].clone());
    let sound = index.get(&second).unwrap().unwrap();
    let (head, entry) = (1 + 16, 16 + 1 + 8);
    let entries = &sound[head..];
    let with = |entries: &[&[u8]]| [&sound[..head], &entries.concat()].concat();
    let damages = [
        (&second, None),
        (&first, None),
        (&second, Some(Vec::new())),
        (&second, Some(sound[..head - 1].to_vec())),
        (&second, Some(sound[..sound.len() - 1].to_vec())),
        (&second, Some(with(&[&entries[entry..2 * entry], &entries[..entry]]))),
        (&second, Some(with(&[entries, &[0xff; 16], &[1, 1]]))),
        (&second, Some(with(&[&[0; 16], &[1, 1], entries]))),
        (&second, Some([&[1][..], &second[10..], entries].concat())),
    ];
    for (slice, damage) in damages {
        let disk = Arc::new(disk.crashed());
        let index = Arc::new(index.crashed(0));
        index.apply(&[(slice.clone(), damage.clone())]).unwrap();
        index.flush().unwrap();
        let (checkpoint, _) = open(&disk, &index).unwrap();
        let is_told = (0..1_000).map(key).any(|key| checkpoint.get(&key).is_err());
        assert!(is_told, "who looks there is told: {damage:x?}");
        let is_wrong =
            |n: u64| checkpoint.get(&key(n)).is_ok_and(|row| row != Some(n.to_le_bytes().to_vec()));
        assert!(!(0..1_000).any(is_wrong), "and nobody is told wrongly: {damage:x?}");
        checkpoint.submit(layer(2, 1_000..2_000));
        let error = checkpoint.flush_now().unwrap_err();
        assert!(matches!(&error, StoreError::Index(why) if why.contains("slice")), "{error}");
        assert!(Doubt::read(disk.as_ref()).unwrap().is_some_and(|why| why.contains("slice")));
    }
    let list = [&[RESERVED_PREFIX][..], b"list"].concat();
    let sound = index.get(&list).unwrap().unwrap();
    // The next run's number: one that a run has already, or one with none after it.
    let with_next = |next: u64| [&next.to_le_bytes(), &sound[8..]].concat();
    for damage in [vec![], vec![0; 7], vec![0xff; 16], with_next(0), with_next(u64::MAX)] {
        index.apply(&[(list.clone(), Some(damage))]).unwrap();
        assert!(matches!(open(&disk, &index), Err(StoreError::Index(_))));
    }
}
