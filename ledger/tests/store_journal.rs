//! Laws of the journal: what was answered is there after any crash, nothing else is, and no damage passes for
//! a torn tail or for other bytes.
//!
//! Crashes are those of `MemoryDisk`: a fuse stops every change after n steps, and of the bytes that were not
//! synced a chosen number survive.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;

use printsy_consensus::Hash;
use printsy_ledger::store::{
    Appended, Commit, CommitBlock, Disk, FileDisk, Fuse, Journal, MAX_PAYLOAD_BYTES, MAX_TORN_FILES,
    MemoryDisk, SEGMENT_BYTES, StoreError, StoredBlock, StoredMove,
};

const GENESIS: Hash = Hash([7; 32]);
const SMALL_SEGMENT: u64 = 700;
const LUCK: [usize; 7] = [0, 1, 60, 70, 120, 300, usize::MAX];

fn id(n: u8) -> Hash {
    Hash([n; 32])
}

/// The n-th commit of the script: one to three blocks of different lengths, now and then a reorganisation.
fn commit(n: u8) -> Commit {
    let block = |k: u8| CommitBlock {
        id: id(n.wrapping_mul(10).wrapping_add(k)),
        block: vec![n ^ k; usize::from(n) * 13 + usize::from(k)],
        undo: vec![k; usize::from(k) * 5],
    };
    let disconnect = if n.is_multiple_of(3) { vec![id(n), id(n + 1)] } else { Vec::new() };
    Commit { disconnect, connect: (0..=n % 3).map(block).collect(), final_height: u64::from(n) }
}

fn open(disk: &Arc<MemoryDisk>) -> Result<Journal, StoreError> {
    open_small(Arc::clone(disk) as Arc<dyn Disk>)
}

fn open_small(disk: Arc<dyn Disk>) -> Result<Journal, StoreError> {
    Journal::open_with_segments(disk, GENESIS, 0, SMALL_SEGMENT)
}

fn script(journal: &mut Journal, count: u8) -> Vec<Appended> {
    (0..count).map(|n| journal.append(&commit(n)).unwrap()).collect()
}

/// Everything a reader can see.
fn contents(journal: &Journal) -> Vec<(StoredMove, Vec<StoredBlock>)> {
    let reader = journal.reader();
    let moves = reader.moves(0).map(Result::unwrap);
    moves
        .map(|stored| {
            let blocks = stored.connect.iter().map(|(_, at)| reader.block(*at).unwrap()).collect();
            (stored, blocks)
        })
        .collect()
}

/// Asserts that the journal holds exactly the first commits of the script, and answers how many.
fn assert_is_prefix(journal: &Journal) -> usize {
    let contents = contents(journal);
    let mut end = 0;
    for (n, (stored, blocks)) in contents.iter().enumerate() {
        let expected = commit(u8::try_from(n).unwrap());
        assert_eq!(stored.start, end);
        assert_eq!(stored.disconnect, expected.disconnect);
        assert_eq!(stored.final_height, expected.final_height);
        let ids: Vec<Hash> = stored.connect.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, expected.connect.iter().map(|block| block.id).collect::<Vec<_>>());
        for (block, expected) in blocks.iter().zip(&expected.connect) {
            assert_eq!((&block.block, &block.undo), (&expected.block, &expected.undo));
        }
        end = stored.end;
    }
    assert_eq!(end, journal.end());
    contents.len()
}

/// All files and their bytes.
fn image(disk: &dyn Disk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list("journal").unwrap().into_iter().map(|name| format!("journal/{name}"));
    names.map(|name| (name.clone(), bytes_of(disk, &name))).collect()
}

fn bytes_of(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let len = disk.len(name).unwrap().unwrap();
    disk.read(name, 0, usize::try_from(len).unwrap()).unwrap()
}

fn flip(disk: &dyn Disk, name: &str, offset: u64) {
    let byte = disk.read(name, offset, 1).unwrap()[0];
    disk.write_at(name, offset, &[byte ^ 0x20]).unwrap();
}

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { .. })
}

#[test]
fn clean_stop_keeps_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Arc::new(FileDisk::open(folder.path().join("data")).unwrap());
    let appended = script(&mut open_small(disk()).unwrap(), 12);
    let mut journal = open_small(disk()).unwrap();
    assert_eq!(assert_is_prefix(&journal), 12);
    let positions: Vec<Vec<u64>> = contents(&journal)
        .iter()
        .map(|(stored, _)| stored.connect.iter().map(|(_, at)| *at).collect())
        .collect();
    assert_eq!(positions, appended.iter().map(|commit| commit.blocks.clone()).collect::<Vec<_>>());
    journal.append(&commit(12)).unwrap();
    assert_eq!(assert_is_prefix(&open_small(disk()).unwrap()), 13);
}

#[test]
fn segments_roll_over_and_meet() {
    let disk = Arc::new(MemoryDisk::new());
    script(&mut open(&disk).unwrap(), 20);
    let names = disk.list("journal").unwrap();
    let segments: Vec<&String> = names.iter().filter(|name| name.ends_with(".seg")).collect();
    assert!(segments.len() > 5, "{names:?}");
    let mut base = 0;
    for name in segments {
        assert_eq!(name, &format!("{base:020}.seg"));
        base += disk.len(&format!("journal/{name}")).unwrap().unwrap();
    }
    assert_eq!(base, open(&disk).unwrap().end());
    assert_eq!(assert_is_prefix(&open(&disk).unwrap()), 20);
    // A larger segment length changes nothing about those that are there.
    let journal = Journal::open(disk, GENESIS, 0).unwrap();
    assert_eq!(assert_is_prefix(&journal), 20);
    const { assert!(SEGMENT_BYTES == 256 << 20) };
}

#[test]
fn a_commit_larger_than_a_segment_has_its_own() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    let big = CommitBlock { id: id(1), block: vec![1; 3_000], undo: vec![2; 20_000_000] };
    let big = Commit { connect: vec![big.clone(), big], ..Commit::default() };
    let appended = [commit(0), big, commit(2)].map(|commit| journal.append(&commit).unwrap());
    let journal = open(&disk).unwrap();
    assert_eq!(journal.end(), appended[2].end);
    assert_eq!(journal.reader().block(appended[1].blocks[1]).unwrap().undo.len(), 20_000_000);
    let segments = disk.list("journal").unwrap();
    assert_eq!(segments.iter().filter(|name| name.ends_with(".seg")).count(), 3);
}

#[test]
fn crash_at_every_step_leaves_the_committed_prefix() {
    for steps in 0.. {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let acknowledged = open(&disk)
            .map_or(0, |mut journal| (0..8).take_while(|n| journal.append(&commit(*n)).is_ok()).count());
        for lucky in LUCK {
            let after = Arc::new(disk.crashed_with_luck(lucky));
            let kept = assert_is_prefix(&open(&after).unwrap());
            // The commit that was under way is there whole or not at all.
            assert!(kept == acknowledged || kept == acknowledged + 1, "{steps} steps, {lucky} lucky bytes");
            let mut journal = open(&after).unwrap();
            journal.append(&commit(u8::try_from(kept).unwrap())).unwrap();
            assert_eq!(assert_is_prefix(&open(&Arc::new(after.crashed())).unwrap()), kept + 1);
        }
        // A killed process loses nothing it wrote.
        let killed = Arc::new(disk.reopened(Fuse::never()));
        let kept = assert_is_prefix(&open(&killed).unwrap());
        assert!(kept == acknowledged || kept == acknowledged + 1);
        assert_eq!(assert_is_prefix(&open(&Arc::new(killed.crashed())).unwrap()), kept);
        if !fuse.is_blown() {
            assert_eq!(acknowledged, 8);
            break;
        }
    }
}

#[test]
fn crash_during_recovery_changes_nothing() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    script(&mut journal, 6);
    disk.fail_syncs_after(0);
    journal.append(&commit(6)).unwrap_err();
    for lucky in LUCK {
        let torn = disk.crashed_with_luck(lucky);
        for steps in 0..10 {
            let again = Arc::new(torn.reopened(Fuse::after(steps)));
            let _ = open(&again);
            for luckier in [0, usize::MAX] {
                let kept = assert_is_prefix(&open(&Arc::new(again.crashed_with_luck(luckier))).unwrap());
                assert!(
                    kept == 6 || (kept == 7 && lucky >= 300),
                    "{lucky} lucky bytes, {steps} steps: {kept}"
                );
            }
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = Journal::open(Arc::clone(&disk) as Arc<dyn Disk>, GENESIS, 0).unwrap();
    script(&mut journal, 3);
    let end = journal.end();
    disk.fail_syncs_after(0);
    journal.append(&commit(4)).unwrap_err();
    let segment = "journal/00000000000000000000.seg";
    let written = bytes_of(&*disk, segment);
    let tail = &written[usize::try_from(end).unwrap()..];
    for lucky in 1..tail.len() {
        let torn = Arc::new(disk.crashed_with_luck(lucky));
        let journal = Journal::open(Arc::clone(&torn) as Arc<dyn Disk>, GENESIS, 0).unwrap();
        assert_eq!(journal.end(), end);
        assert_eq!(torn.len(segment).unwrap(), Some(end));
        assert_eq!(bytes_of(&*torn, &format!("journal/torn-{end:020}")), &tail[..lucky]);
    }
}

#[test]
fn only_the_newest_torn_tails_are_kept() {
    let disk = Arc::new(MemoryDisk::new());
    for n in 0..20 {
        let mut journal = open(&disk).unwrap();
        journal.append(&commit(n)).unwrap();
        let segment = disk.list("journal").unwrap().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
        disk.append(&format!("journal/{segment}"), b"torn").unwrap();
    }
    assert_eq!(assert_is_prefix(&open(&disk).unwrap()), 20);
    let torn = disk.list("journal").unwrap().into_iter().filter(|name| name.starts_with("torn-")).count();
    assert_eq!(torn, MAX_TORN_FILES);
}

#[test]
fn damage_inside_is_named_and_left_alone() {
    for noted in [true, false] {
        let disk = Arc::new(MemoryDisk::new());
        let appended = script(&mut open(&disk).unwrap(), 9);
        let position = appended[1].blocks[0] + 9 + 4;
        flip(&*disk, "journal/00000000000000000000.seg", position);
        if !noted {
            disk.remove("journal/synced").unwrap();
        }
        let before = image(&*disk);
        let error = open(&disk).unwrap_err();
        let StoreError::Damaged { file, offset, .. } = &error else { panic!("{error}") };
        assert_eq!(file, "journal/00000000000000000000.seg");
        assert_eq!(*offset, appended[1].blocks[0]);
        assert_eq!(image(&*disk), before);
    }
}

#[test]
fn a_missing_or_short_segment_is_damage() {
    let disk = Arc::new(MemoryDisk::new());
    script(&mut open(&disk).unwrap(), 12);
    let names = disk.list("journal").unwrap();
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let name = format!("journal/{name}");
        let without = Arc::new(disk.reopened(Fuse::never()));
        without.remove(&name).unwrap();
        assert!(is_damage(&open(&without).unwrap_err()), "{name} removed");
        let shorter = Arc::new(disk.reopened(Fuse::never()));
        shorter.cut(&name, disk.len(&name).unwrap().unwrap() - 1).unwrap();
        assert!(is_damage(&open(&shorter).unwrap_err()), "{name} cut");
    }
}

#[test]
fn no_flipped_byte_goes_unseen() {
    let disk = Arc::new(MemoryDisk::new());
    script(&mut open(&disk).unwrap(), 7);
    let last = disk.list("journal").unwrap().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    for (name, bytes) in image(&*disk).into_iter().filter(|(name, _)| name.ends_with(".seg")) {
        for offset in 0..u64::try_from(bytes.len()).unwrap() {
            let flipped = Arc::new(disk.reopened(Fuse::never()));
            flip(&*flipped, &name, offset);
            // (a newer format's header has a sound checksum: a flipped byte never looks like one)
            assert!(is_damage(&open(&flipped).unwrap_err()), "{name} {offset}, noted");
            flipped.remove("journal/synced").unwrap();
            match open(&flipped) {
                Err(error) => assert!(is_damage(&error), "{error}"),
                Ok(journal) => {
                    assert!(name.ends_with(&last), "{name} {offset}: only a last commit can look torn");
                    let kept = assert_is_prefix(&journal);
                    assert!((5..7).contains(&kept), "{name} {offset}: {kept}");
                }
            }
        }
    }
}

#[test]
fn a_reader_never_answers_other_bytes() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    let appended = script(&mut journal, 4);
    let reader = journal.reader();
    let expected: Vec<_> = contents(&journal);
    let files: Vec<_> = image(&*disk).into_iter().filter(|(name, _)| name.ends_with(".seg")).collect();
    for (name, bytes) in files {
        for offset in 0..u64::try_from(bytes.len()).unwrap() {
            flip(&*disk, &name, offset);
            for (stored, (expected, _)) in reader.moves(0).zip(&expected) {
                assert!(stored.map_or_else(|error| is_damage(&error), |stored| stored == *expected));
            }
            for (n, position) in
                appended.iter().enumerate().flat_map(|(n, a)| a.blocks.iter().map(move |at| (n, at)))
            {
                let of_commit = &expected[n].1;
                let block = reader.block(*position);
                assert!(block.map_or_else(|error| is_damage(&error), |block| of_commit.contains(&block)));
            }
            flip(&*disk, &name, offset);
        }
    }
    for position in 0..journal.end() + 100 {
        let known = appended.iter().any(|commit| commit.blocks.contains(&position));
        assert_eq!(reader.block(position).is_ok(), known, "position {position}");
    }
}

#[test]
fn old_frames_inside_a_block_are_no_commit() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = Journal::open(Arc::clone(&disk) as Arc<dyn Disk>, GENESIS, 0).unwrap();
    script(&mut journal, 3);
    let end = journal.end();
    let everything = bytes_of(&*disk, "journal/00000000000000000000.seg");
    let block = CommitBlock { id: id(1), block: everything.repeat(3), undo: Vec::new() };
    let commit = Commit { connect: vec![block], ..Commit::default() };
    disk.fail_syncs_after(0);
    journal.append(&commit).unwrap_err();
    // All of the block, nothing of the move.
    let torn = Arc::new(disk.crashed_with_luck(everything.len() * 3 + 20));
    torn.remove("journal/synced").unwrap();
    assert_eq!(Journal::open(torn, GENESIS, 0).unwrap().end(), end);
}

#[test]
fn a_foreign_or_newer_journal_is_refused_untouched() {
    let disk = Arc::new(MemoryDisk::new());
    script(&mut open(&disk).unwrap(), 3);
    disk.append("journal/00000000000000000000.seg", b"torn").unwrap();
    let before = image(&*disk);
    let other = Journal::open(Arc::clone(&disk) as Arc<dyn Disk>, Hash([8; 32]), 0).unwrap_err();
    assert!(matches!(other, StoreError::ForeignGenesis { got: GENESIS, .. }), "{other}");
    assert_eq!(image(&*disk), before);

    let file = "journal/00000000000000000000.seg";
    let mut header = disk.read(file, 0, 52).unwrap();
    header[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    disk.write_at(file, 0, &header).unwrap();
    let before = image(&*disk);
    let newer = open(&disk).unwrap_err();
    assert!(matches!(newer, StoreError::NewerFormat { got: 2, expected: 1, .. }), "{newer}");
    assert_eq!(image(&*disk), before);
}

#[test]
fn a_failed_sync_ends_all_appends() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    journal.append(&commit(0)).unwrap();
    disk.fail_syncs_after(0);
    assert!(matches!(journal.append(&commit(1)).unwrap_err(), StoreError::Io { what: "sync", .. }));
    disk.fail_syncs_after(u64::MAX);
    assert!(matches!(journal.append(&commit(1)).unwrap_err(), StoreError::Poisoned));
    assert_eq!(assert_is_prefix(&journal), 1);
    assert_eq!(assert_is_prefix(&open(&Arc::new(disk.crashed())).unwrap()), 1);
}

#[test]
fn a_frame_beyond_the_limit_is_refused_before_a_byte_is_written() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    let undo = vec![0; usize::try_from(MAX_PAYLOAD_BYTES).unwrap()];
    let block = CommitBlock { id: id(1), block: Vec::new(), undo };
    let commit_too_large = Commit { connect: vec![block], ..Commit::default() };
    assert!(matches!(journal.append(&commit_too_large).unwrap_err(), StoreError::TooLarge { .. }));
    assert!(image(&*disk).is_empty());
    journal.append(&commit(0)).unwrap();
}

#[test]
fn opening_from_a_mark_finds_the_same_end() {
    let disk = Arc::new(MemoryDisk::new());
    let appended = script(&mut open(&disk).unwrap(), 9);
    let end = appended.last().unwrap().end;
    let from =
        |from| Journal::open_with_segments(Arc::clone(&disk) as Arc<dyn Disk>, GENESIS, from, SMALL_SEGMENT);
    for commit in &appended {
        let journal = from(commit.end).unwrap();
        assert_eq!(journal.end(), end);
        let after = journal.reader().moves(commit.end).map(Result::unwrap);
        assert!(
            after.map(|stored| stored.end).eq(appended.iter().map(|c| c.end).filter(|at| *at > commit.end))
        );
    }
    let before = image(&*disk);
    for note in [true, false] {
        if !note {
            disk.remove("journal/synced").unwrap();
        }
        let boundaries: Vec<u64> = appended.iter().map(|commit| commit.end).collect();
        for wrong in (1..end + 50).filter(|at| !boundaries.contains(at)) {
            assert!(is_damage(&from(wrong).unwrap_err()), "{wrong}");
        }
    }
    assert_eq!(image(&*disk), before[..before.len() - 1]);
}

#[test]
fn readers_follow_the_writer() {
    let disk = Arc::new(MemoryDisk::new());
    let mut journal = open(&disk).unwrap();
    let reader = journal.reader();
    let follower = std::thread::spawn(move || {
        let (mut seen, mut at) = (0, 0);
        while seen < 60 {
            for stored in reader.moves(at) {
                let stored = stored.unwrap();
                let expected = commit(seen);
                for ((_, position), block) in stored.connect.iter().zip(&expected.connect) {
                    assert_eq!(reader.block(*position).unwrap().block, block.block);
                }
                (seen, at) = (seen + 1, stored.end);
            }
            std::thread::yield_now();
        }
    });
    script(&mut journal, 60);
    follower.join().unwrap();
}
