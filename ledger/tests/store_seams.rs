//! Laws of the two seams and of the header file: the real side and the in-memory side behave alike, names never
//! leave the store's folder, a record is what was put or damage.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;

use printsy_consensus::{Hash, Header, PublicKey, SignedHeader, Work};
use printsy_ledger::store::{
    Disk, Fate, FileDisk, HeaderFile, HeaderRecord, Index, MAX_BATCH_OPERATIONS, MAX_OPEN_FILES, MemoryDisk,
    MemoryIndex, Piece, Row, SledIndex, StoreError,
};
use proptest::prelude::*;

fn record(n: u64) -> HeaderRecord {
    let header = Header {
        version: 1,
        parent: Hash([3; 32]),
        transactions_root: Hash::ZERO,
        state_root: Hash([5; 32]),
        height: n,
        time: n * 2_000,
        bits: 0x1e00_ffff,
        miner: PublicKey([0; 32]),
        nonce: n,
    };
    let work = Work::from_be_bytes([u8::try_from(n % 251).unwrap(); 32]);
    HeaderRecord { signed: SignedHeader { header, signature: [9; 64] }, work, position: n * 100 }
}

fn rows_of(index: &dyn Index, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    index
        .scan(prefix, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    rows
}

#[derive(Clone, Debug)]
enum IndexStep {
    Apply(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Flush,
    Clear,
    Reopen,
}

fn index_step() -> impl Strategy<Value = IndexStep> {
    let key = prop::collection::vec(prop_oneof![0..4_u8, Just(0xff)], 1..4);
    let row = (key, prop::option::of(prop::collection::vec(any::<u8>(), 0..40)));
    prop_oneof![
        12 => prop::collection::vec(row, 0..30).prop_map(IndexStep::Apply),
        2 => Just(IndexStep::Flush),
        1 => Just(IndexStep::Clear),
        2 => Just(IndexStep::Reopen),
    ]
}

#[derive(Clone, Debug)]
enum DiskStep {
    Append(u8, Vec<u8>),
    WriteAt(u8, u64, Vec<u8>),
    Sync(u8),
    Cut(u8, u64),
    Rename(u8, u8),
    Remove(u8),
}

fn disk_step() -> impl Strategy<Value = DiskStep> {
    let file = || 0..5_u8;
    let bytes = || prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        (file(), bytes()).prop_map(|(file, bytes)| DiskStep::Append(file, bytes)),
        (file(), 0..100_u64, bytes()).prop_map(|(file, at, bytes)| DiskStep::WriteAt(file, at, bytes)),
        file().prop_map(DiskStep::Sync),
        (file(), 0..100_u64).prop_map(|(file, len)| DiskStep::Cut(file, len)),
        (file(), file()).prop_map(|(from, to)| DiskStep::Rename(from, to)),
        file().prop_map(DiskStep::Remove),
    ]
}

fn name(file: u8) -> String {
    if file < 3 { format!("folder/file-{file}") } else { format!("file.{file}") }
}

/// Whether it went well; what a system says differs.
fn run(disk: &dyn Disk, step: &DiskStep) -> bool {
    match step {
        DiskStep::Append(file, bytes) => disk.append(&name(*file), bytes).is_ok(),
        // Writing nothing beyond the end is the one thing systems see differently: nobody does.
        DiskStep::WriteAt(_, _, bytes) if bytes.is_empty() => true,
        DiskStep::WriteAt(file, at, bytes) => disk.write_at(&name(*file), *at, bytes).is_ok(),
        DiskStep::Sync(file) => disk.sync(&name(*file)).is_ok(),
        DiskStep::Cut(file, len) => disk.cut(&name(*file), *len).is_ok(),
        DiskStep::Rename(from, to) => disk.rename(&name(*from), &name(*to)).is_ok(),
        DiskStep::Remove(file) => disk.remove(&name(*file)).is_ok(),
    }
}

/// Everything that can be read.
fn image(disk: &dyn Disk) -> Vec<(String, Vec<u8>)> {
    let mut image = Vec::new();
    for folder in ["", "folder", "absent"] {
        for file in disk.list(folder).unwrap() {
            let file = if folder.is_empty() { file } else { format!("{folder}/{file}") };
            let len = usize::try_from(disk.len(&file).unwrap().unwrap()).unwrap();
            assert!(disk.read(&file, 0, len + 1).is_err(), "exact, or nothing");
            let bytes = disk.read(&file, 0, len).unwrap();
            image.push((file, bytes));
        }
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn sled_and_memory_index_behave_alike(steps in prop::collection::vec(index_step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryIndex::new();
        let mut sled = SledIndex::open(folder.path()).unwrap();
        for step in steps {
            match step {
                IndexStep::Apply(rows) => {
                    sled.apply(&rows).unwrap();
                    memory.apply(&rows).unwrap();
                    for (key, _) in &rows {
                        prop_assert_eq!(sled.get(key).unwrap(), memory.get(key).unwrap());
                    }
                }
                IndexStep::Flush => {
                    sled.flush().unwrap();
                    memory.flush().unwrap();
                }
                IndexStep::Clear => {
                    sled.clear().unwrap();
                    memory.clear().unwrap();
                }
                IndexStep::Reopen => {
                    drop(sled);
                    sled = SledIndex::open(folder.path()).unwrap();
                }
            }
            for prefix in [&[][..], &[0], &[1, 2], &[0xff], &[0xff, 0xff]] {
                let rows = rows_of(&memory, prefix);
                prop_assert_eq!(rows_of(&sled, prefix), rows.clone());
                for (from, end) in [(&[][..], &[0xff, 0xff, 0xff][..]), (&[1], &[1, 2, 1]), (&[1, 2], &[1, 2]), (&[2], &[0xff, 1])] {
                    let below = |row: &(Vec<u8>, Vec<u8>)| (from..end).contains(&row.0.as_slice());
                    let last = rows_of(&memory, &[]).into_iter().rfind(below);
                    prop_assert_eq!(sled.last_below(from, end).unwrap(), last.clone());
                    prop_assert_eq!(memory.last_below(from, end).unwrap(), last);
                }
                for (from, limit) in [(&[][..], 3), (&[1], 1), (&[1, 2, 0], 100), (&[0xff, 1], 2), (&[2], 0)] {
                    let page = rows.iter().filter(|(key, _)| key.as_slice() >= from).take(limit);
                    let page: Vec<_> = page.cloned().collect();
                    prop_assert_eq!(sled.page(prefix, from, limit).unwrap(), page.clone());
                    prop_assert_eq!(memory.page(prefix, from, limit).unwrap(), page);
                }
            }
        }
    }

    #[test]
    fn file_and_memory_disk_behave_alike(steps in prop::collection::vec(disk_step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let (files, memory) = (FileDisk::open(folder.path().join("a/b")).unwrap(), MemoryDisk::new());
        for step in steps {
            prop_assert_eq!(run(&files, &step), run(&memory, &step), "{:?}", step);
            prop_assert_eq!(image(&files), image(&memory), "{:?}", step);
        }
        prop_assert_eq!(image(&FileDisk::open(folder.path().join("a/b")).unwrap()), image(&memory));
    }
}

#[test]
fn an_index_that_visits_stops_at_the_first_error() {
    let folder = tempfile::tempdir().unwrap();
    let indexes: [Box<dyn Index>; 2] =
        [Box::new(SledIndex::open(folder.path()).unwrap()), Box::new(MemoryIndex::new())];
    for index in indexes {
        index.apply(&(0..9).map(|n| (vec![n], Some(vec![n]))).collect::<Vec<Row>>()).unwrap();
        let mut visited = 0;
        let error = index
            .scan(&[], &mut |key, _| {
                visited += 1;
                if key == [4] { Err(StoreError::Full) } else { Ok(()) }
            })
            .unwrap_err();
        assert!(matches!(error, StoreError::Full));
        assert_eq!(visited, 5);
    }
}

#[test]
#[should_panic(expected = "a batch of 5001 operations")]
fn a_batch_beyond_the_limit_is_our_bug() {
    let rows: Vec<Row> = vec![(vec![1], None); MAX_BATCH_OPERATIONS + 1];
    let _ = MemoryIndex::new().apply(&rows);
}

#[test]
fn a_damaged_index_is_an_error_or_opens_and_can_be_wiped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    for offset in [0, 5, 20, 60, 200, 900, 4_000, 20_000] {
        SledIndex::wipe(&MemoryDisk::new(), &path).unwrap();
        let index = SledIndex::open(&path).unwrap();
        for n in 0..30_u8 {
            let rows: Vec<Row> = (0..200_u8).map(|i| (vec![n, i], Some(vec![i; 30]))).collect();
            index.apply(&rows).unwrap();
        }
        index.flush().unwrap();
        drop(index);
        for entry in std::fs::read_dir(&path).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                let mut bytes = std::fs::read(&file).unwrap();
                let end = bytes.len().min(offset + 64);
                bytes.get_mut(offset..end).unwrap_or_default().fill(0x5a);
                std::fs::write(&file, bytes).unwrap();
            }
        }
        // Whatever it answers, it does not panic.
        if let Ok(index) = SledIndex::open(&path) {
            let _ = index.scan(&[], &mut |_, _| Ok(()));
        }
    }
    SledIndex::wipe(&MemoryDisk::new(), &path).unwrap();
    assert!(rows_of(&SledIndex::open(&path).unwrap(), &[]).is_empty());
    SledIndex::wipe(&MemoryDisk::new(), folder.path().join("absent")).unwrap();
}

#[test]
fn names_never_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let disks: [Box<dyn Disk>; 2] =
        [Box::new(FileDisk::open(folder.path().join("in")).unwrap()), Box::new(MemoryDisk::new())];
    for disk in disks {
        for bad in ["", "/", "/a", "a/", "../a", "a/..", "a/b/c", ".a", "A", "a b", "a\0", "..", "a/../b"] {
            assert!(disk.append(bad, b"x").is_err(), "{bad:?}");
            assert!(disk.write_at(bad, 0, b"x").is_err(), "{bad:?}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn more_files_than_handles_are_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(folder.path()).unwrap();
    let count = MAX_OPEN_FILES * 3;
    for round in 0..2_u8 {
        for n in 0..count {
            disk.append(&format!("f/{n}"), &[round]).unwrap();
        }
    }
    for n in 0..count {
        disk.sync(&format!("f/{n}")).unwrap();
        assert_eq!(disk.read(&format!("f/{n}"), 0, 2).unwrap(), [0, 1]);
    }
}

#[cfg(unix)]
#[test]
fn the_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(folder.path().join("in")).unwrap();
    disk.append("journal/a", b"x").unwrap();
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("in"), mode("in/journal"), mode("in/journal/a")), (0o700, 0o700, 0o600));
}

#[test]
fn an_unsynced_write_is_gone_after_a_crash() {
    let disk = MemoryDisk::new();
    disk.append("a", b"durable").unwrap();
    disk.sync("a").unwrap();
    disk.append("a", b" and not").unwrap();
    disk.write_at("a", 0, b"D").unwrap();
    disk.append("b", b"never synced").unwrap();
    let crashed = disk.crashed();
    assert_eq!(crashed.read("a", 0, 7).unwrap(), b"durable");
    assert_eq!(crashed.len("a").unwrap(), Some(7));
    assert_eq!(crashed.len("b").unwrap(), None);
    assert_eq!(disk.crashed_with_luck(1).read("a", 0, 7).unwrap(), b"Durable");
    disk.cut("a", 3).unwrap();
    assert_eq!(disk.crashed().len("a").unwrap(), Some(7));
    disk.sync("a").unwrap();
    assert_eq!(disk.crashed().len("a").unwrap(), Some(3));
}

#[test]
fn of_what_was_not_synced_any_sectors_survive_and_no_others() {
    let disk = MemoryDisk::new();
    disk.append("a", &[1; 700]).unwrap();
    disk.sync("a").unwrap();
    disk.append("a", &[2; 700]).unwrap();
    disk.write_at("a", 10, &[3; 5]).unwrap();
    disk.append("b", &[4; 3]).unwrap();
    let all = |disk: &MemoryDisk| {
        disk.read("a", 0, usize::try_from(disk.len("a").unwrap().unwrap()).unwrap()).unwrap()
    };
    let same = |one: &MemoryDisk, other: &MemoryDisk| {
        assert_eq!((all(one), one.len("b").unwrap()), (all(other), other.len("b").unwrap()));
    };
    same(&disk.crashed_by(&mut |_| Fate::Lost), &disk.crashed());
    same(&disk.crashed_by(&mut |_| Fate::Kept), &disk);
    assert_eq!(disk.unsynced(), [1, 2, 3]);
    // Of the second append, the second of its two sectors alone: what lies between was never written.
    let torn = disk.crashed_by(&mut |piece| match piece {
        Piece { file: "a", change: 1, sector: 2 } => Fate::Kept,
        _ => Fate::Lost,
    });
    assert_eq!(all(&torn), [vec![1; 700], vec![0; 324], vec![2; 376]].concat());
    assert_eq!(torn.len("b").unwrap(), None);
    let grown = disk.crashed_by(&mut |_| Fate::Zeros);
    assert_eq!(all(&grown), [vec![1; 700], vec![0; 700]].concat());
    disk.cut("a", 20).unwrap();
    let cut = disk.crashed_by(&mut |piece| if piece.change == 4 { Fate::Kept } else { Fate::Lost });
    assert_eq!(all(&cut), [1; 20]);
    disk.sync("a").unwrap();
    same(&disk.crashed_by(&mut |piece| if piece.file == "a" { Fate::Lost } else { Fate::Kept }), &disk);
}

#[test]
fn a_file_that_is_never_synced_is_written_back_in_time() {
    let disk = MemoryDisk::new();
    (0..5_000u32).for_each(|n| disk.write_at("a", 0, &n.to_le_bytes()).unwrap());
    assert_eq!(disk.unsynced().len(), 4_096);
    let crashed = disk.crashed_by(&mut |_| Fate::Lost);
    assert_eq!(crashed.read("a", 0, 4).unwrap(), 903u32.to_le_bytes());
}

#[test]
fn a_record_is_what_was_put_or_damage() {
    let disk = Arc::new(MemoryDisk::new());
    let headers = HeaderFile::open(Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
    assert_eq!(headers.get(0).unwrap(), None);
    headers.sync().unwrap();
    (0..10_000).for_each(|n| headers.put(n, &record(n)).unwrap());
    headers.put(5, &record(77)).unwrap();
    assert_eq!(headers.get(5).unwrap(), Some(record(77)));
    headers.put(5, &record(5)).unwrap();
    assert_eq!(headers.count(), 10_000);
    let all = headers.range(0, usize::MAX).unwrap();
    assert!(all.len() == 10_000 && all.iter().zip(0..).all(|(found, n)| *found == record(n)));
    assert_eq!(headers.range(9_998, 50).unwrap(), [record(9_998), record(9_999)]);
    assert!(headers.range(10_000, 1).unwrap().is_empty());
    assert!(headers.range(u64::MAX, 1).unwrap().is_empty());
    headers.sync().unwrap();
    for offset in 268 * 3..268 * 4 {
        let byte = disk.read("headers.dat", offset, 1).unwrap()[0];
        disk.write_at("headers.dat", offset, &[byte ^ 1]).unwrap();
        assert!(matches!(headers.get(3).unwrap_err(), StoreError::Damaged { offset: 804, .. }));
        assert_eq!(headers.get(2).unwrap(), Some(record(2)));
        assert_eq!(headers.get(4).unwrap(), Some(record(4)));
        disk.write_at("headers.dat", offset, &[byte]).unwrap();
    }
    // A record at another height is not that height's.
    let elsewhere = disk.read("headers.dat", 268 * 3, 268).unwrap();
    disk.write_at("headers.dat", 268 * 4, &elsewhere).unwrap();
    assert!(headers.get(4).is_err());
    headers.cut(4).unwrap();
    assert_eq!(headers.count(), 4);
    assert_eq!(headers.get(4).unwrap(), None);
    headers.put(4, &record(4)).unwrap();
    let crashed = HeaderFile::open(Arc::new(disk.crashed())).unwrap();
    assert_eq!(crashed.count(), 10_000, "neither the cut nor the put was synced");
    disk.append("headers.dat", b"torn").unwrap();
    assert_eq!(HeaderFile::open(disk).unwrap().count(), 5, "a torn record is none");
}

#[test]
fn records_are_read_whole_while_they_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(folder.path()).unwrap());
    let headers = HeaderFile::open(disk).unwrap();
    (0..40).for_each(|n| headers.put(n, &record(n)).unwrap());
    let writer = {
        let headers = headers.clone();
        std::thread::spawn(move || {
            for n in 0..4_000 {
                headers.put(n % 40, &record(n)).unwrap();
            }
        })
    };
    while !writer.is_finished() {
        assert_eq!(headers.range(0, 40).unwrap().len(), 40);
    }
    writer.join().unwrap();
}

/// What is synced must be found again: a file whose name is gone holds nothing that may be acknowledged.
#[test]
fn a_file_that_was_removed_while_it_was_open_is_never_synced() {
    let folder = tempfile::TempDir::new().unwrap();
    let disk = FileDisk::open(folder.path().join("store")).unwrap();
    disk.append("journal/a.seg", b"kept").unwrap();
    disk.sync("journal/a.seg").unwrap();
    // Another name is as good as the first.
    let path = folder.path().join("store/journal/a.seg");
    std::fs::hard_link(&path, folder.path().join("copy")).unwrap();
    std::fs::remove_file(folder.path().join("copy")).unwrap();
    disk.sync("journal/a.seg").unwrap();
    for is_replaced in [false, true] {
        std::fs::remove_file(&path).unwrap();
        if is_replaced {
            std::fs::write(&path, b"kept").unwrap();
        }
        disk.append("journal/a.seg", b"lost").unwrap();
        let error = disk.sync("journal/a.seg").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("removed"), "{error}");
        std::fs::write(&path, b"").unwrap();
    }
}
