//! `crashes`: power cuts over the seams. Whatever part of what was not synced a disk has kept, the ledger opens at
//! what it had acknowledged, or at the step it was in, whole; and it goes on from there.
//!
//! A history is played with a fuse that blows at any change of disk or index. Of the disk at that moment many images
//! are made: nothing of what was not synced, prefixes of it, random sectors of it, all of it. Each is opened and
//! held against the naive world: tip, root, every entry and holding, the final height; then one more block connects.
//! Some images are played on and cut again. A part of the images stands on the real index: sled's folder, copied
//! while it is open.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use printsy_ledger::Ledger;
use printsy_ledger::store::{Disk, Fate, Fuse, Index, MemoryDisk, MemoryIndex, SledIndex};
use tokio::time::Instant;

use crate::files::copy_folder;
use crate::fused::FusedIndex;
use crate::history::{History, Played, Told};
use crate::report::Report;
use crate::seeds;
use crate::support::{Node, Random};

/// How many steps a history has.
const STEPS: usize = 24;
/// Into so many workloads the images are spread at the least.
const WORKLOADS: u64 = 100;
/// How many images of one moment are no prefix, but sectors as chance has them.
const RANDOM_IMAGES_OF_A_MOMENT: usize = 10;
/// One in so many images stands on sled.
const ONE_IN_SLED: u64 = 50;
/// How many images are made of one copy of sled's folder.
const IMAGES_OF_A_FOLDER: u64 = 4;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    images: u64,
    prefixes: u64,
    cuts: u64,
    second_cuts: u64,
    in_opening: u64,
    ahead: u64,
    sled: u64,
}

/// Makes about `count` images, and reports.
///
/// # Errors
/// The first image that does not open as it must, with its seed.
pub fn run(seed: u64, count: u64) -> Result<Report> {
    let begun = Instant::now();
    let each = count.div_ceil(WORKLOADS).clamp(20, 200);
    let workloads = count.div_ceil(each);
    let tallies = seeds::each(seed, workloads, |seed| {
        workload(seed, each).with_context(|| format!("crashes, seed {seed}"))
    })?;
    let mut tally = Tally::default();
    for part in &tallies {
        tally.images += part.images;
        tally.prefixes += part.prefixes;
        tally.cuts += part.cuts;
        tally.second_cuts += part.second_cuts;
        tally.in_opening += part.in_opening;
        tally.ahead += part.ahead;
        tally.sled += part.sled;
    }
    let mut report = Report::new("crashes");
    report.add("workloads", workloads);
    report.add("power cuts", tally.cuts + tally.second_cuts);
    report.add("of them while opening", tally.in_opening);
    report.add("images opened and compared", tally.images);
    report.add("of them a prefix of what was not synced", tally.prefixes);
    report.add("of them on sled", tally.sled);
    report.add("of them played on and cut again", tally.second_cuts);
    report.add("at the step that was not acknowledged yet", tally.ahead);
    report.add("lost", 0);
    report.add("seconds", begun.elapsed().as_secs());
    Ok(report)
}

/// One history, cut at random moments until there are enough images.
fn workload(seed: u64, images: u64) -> Result<Tally> {
    let mut random = Random::new(seed);
    let history = History::random(&mut random, STEPS)?;
    let changes = count_changes(&history)?;
    let mut tally = Tally::default();
    while tally.images < images {
        let fuse = Fuse::after(random.below(changes));
        let (disk, index) =
            (Arc::new(MemoryDisk::with_fuse(fuse.clone())), Arc::new(MemoryIndex::with_fuse(fuse)));
        let mut played = Played::open(&history.genesis, disk.clone(), index.clone()).ok();
        tally.in_opening += u64::from(played.is_none());
        let done = history.play(&mut played, 0)?;
        drop(played);
        tally.cuts += 1;
        let cut = Cut { history: &history, disk: &disk, index: &index, done };
        cut.images(&mut random, &mut tally)?;
    }
    while tally.sled * ONE_IN_SLED < images {
        on_sled(&history, &mut random, changes, &mut tally)?;
    }
    Ok(tally)
}

/// How many changes the whole history makes.
fn count_changes(history: &History) -> Result<u64> {
    let fuse = Fuse::never();
    let (disk, index) = (MemoryDisk::with_fuse(fuse.clone()), MemoryIndex::with_fuse(fuse.clone()));
    let before = fuse.left();
    let mut played = Some(Played::open(&history.genesis, Arc::new(disk), Arc::new(index))?);
    let done = history.play(&mut played, 0)?;
    ensure!(done == history.steps.len(), "step {done} fails on a ledger that nothing happens to");
    drop(played);
    Ok(before - fuse.left())
}

/// A disk and an index at the moment of a cut, after `done` steps.
struct Cut<'a> {
    history: &'a History,
    disk: &'a MemoryDisk,
    index: &'a MemoryIndex,
    done: usize,
}

impl Cut<'_> {
    /// Opens and compares images of this moment, some of which are cut again.
    fn images(&self, random: &mut Random, tally: &mut Tally) -> Result<()> {
        let unsynced = self.disk.unsynced();
        let mut disks = vec![("nothing unsynced", self.disk.crashed())];
        disks.push(("all unsynced", self.disk.reopened(Fuse::never())));
        // Every prefix; the last of them is all.
        for number in unsynced.iter().rev().skip(1) {
            let kept = |change: u64| if change <= *number { Fate::Kept } else { Fate::Lost };
            disks.push(("a prefix", self.disk.crashed_by(&mut |piece| kept(piece.change))));
            tally.prefixes += 1;
        }
        if !unsynced.is_empty() {
            for _ in 0..RANDOM_IMAGES_OF_A_MOMENT {
                disks.push(("random sectors", random_image(random, self.disk)));
            }
        }
        for (kind, disk) in disks {
            let lucky = random.pick(&[0, 1, 2, usize::MAX]);
            self.image(random, &disk, lucky, tally).with_context(|| {
                format!("{} steps done, image of {kind}, {lucky} batches of the index kept", self.done)
            })?;
        }
        Ok(())
    }

    fn image(&self, random: &mut Random, disk: &MemoryDisk, lucky: usize, tally: &mut Tally) -> Result<()> {
        let again = disk.reopened(Fuse::never());
        let ahead = compare(self.history, self.done, Arc::new(again), Arc::new(self.index.crashed(lucky)))?;
        tally.images += 1;
        tally.ahead += u64::from(ahead);
        if !random.chance(6) {
            return Ok(());
        }
        // Opened, played on, and cut again, perhaps while it opens.
        let fuse = Fuse::after(random.below(40));
        let disk = Arc::new(disk.reopened(fuse.clone()));
        let index = Arc::new(self.index.crashed_with(lucky, fuse));
        let mut played = Played::open(&self.history.genesis, disk.clone(), index.clone()).ok();
        tally.in_opening += u64::from(played.is_none());
        // The step it is at, as far as it told.
        let at = match &played {
            Some(played) if Told::by(&played.ledger) != self.history.told[self.done] => self.done + 1,
            _ => self.done,
        };
        let done = self.history.play(&mut played, at.min(self.history.steps.len()))?;
        drop(played);
        tally.second_cuts += 1;
        let second = random_image(random, &disk);
        let index = Arc::new(index.crashed(random.index(3)));
        compare(self.history, done, Arc::new(second), index).context("cut a second time")?;
        tally.images += 1;
        Ok(())
    }
}

/// An image in which each sector that was not synced has a fate of its own.
fn random_image(random: &mut Random, disk: &MemoryDisk) -> MemoryDisk {
    let (kept, zeros) = (random.pick(&[1, 5, 9]), random.pick(&[0, 0, 1, 4]));
    disk.crashed_by(&mut |_| match random.below(10) {
        fate if fate < kept => Fate::Kept,
        fate if fate < kept + zeros => Fate::Zeros,
        _ => Fate::Lost,
    })
}

/// Opens an image, holds it against what was told after `done` steps or would have been after one more, and gives it
/// one more block. Answers whether it is at the step more.
fn compare(history: &History, done: usize, disk: Arc<MemoryDisk>, index: Arc<dyn Index>) -> Result<bool> {
    let opened = Ledger::open(history.genesis.clone(), disk.clone() as Arc<dyn Disk>, index);
    let (ledger, report) = opened.context("it does not open")?;
    let told = Told::by(&ledger);
    let before = history.told[done];
    let after = history.told.get(done + 1).copied().unwrap_or(before);
    ensure!(
        told == before || told == after,
        "it opens at {told:?}; told were {before:?}, in work was {after:?}"
    );
    ensure!(report.rebuilt.is_none(), "a power cut cost the checkpoint: {:?}", report.rebuilt);
    let reader = ledger.reader();
    let mut node = Node { ledger, reader, disk, index: Arc::default(), is_synced: true };
    node.assert_is(&history.world, &told.tip);
    let next = &history.next[&told.tip];
    let advance = node.give(next);
    ensure!(advance.refused.is_empty() && node.tip() == next.id(), "the next block does not connect");
    Ok(told != before)
}

/// A cut of a ledger on the real index, several images of the disk beside the copy of its folder.
fn on_sled(history: &History, random: &mut Random, changes: u64, tally: &mut Tally) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("printsy-torture-").tempdir()?;
    let live = folder.path().join("live");
    let fuse = Fuse::after(random.below(changes));
    let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
    let index = Arc::new(FusedIndex::new(SledIndex::open(&live)?, fuse));
    let mut played = Played::open(&history.genesis, disk.clone(), index.clone()).ok();
    let done = history.play(&mut played, 0)?;
    let mut copies: Vec<PathBuf> = Vec::new();
    for number in 0..IMAGES_OF_A_FOLDER {
        let copy = folder.path().join(format!("copy-{number}"));
        copy_folder(&live, &copy)?;
        copies.push(copy);
    }
    drop(played);
    tally.cuts += 1;
    for copy in copies {
        let image = match random.below(4) {
            0 => disk.crashed(),
            1 => disk.reopened(Fuse::never()),
            _ => random_image(random, &disk),
        };
        let index = SledIndex::open(&copy).context("sled does not open")?;
        let ahead = compare(history, done, Arc::new(image), Arc::new(index))
            .with_context(|| format!("{done} steps done, on sled"))?;
        tally.images += 1;
        tally.sled += 1;
        tally.ahead += u64::from(ahead);
    }
    Ok(())
}
