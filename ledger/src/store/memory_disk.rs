//! A [`Disk`] in memory that knows two images of each file, the live one and the durable one, and in order what
//! was written since they were the same.
//!
//! [`MemoryDisk::crashed`] is the disk as a power cut leaves it: only what was synced. Of what was not, a real disk
//! may have kept any part: [`MemoryDisk::crashed_by`] makes each such image, sector by sector. Knobs make a sync
//! fail, or a [`Fuse`] end everything after a number of steps; a disk and an index may share one fuse, so
//! that a test can stop between any two steps of both. It serves tests, simulations and nodes in memory.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::bytes::{len_usize, len64};
use super::disk::{Disk, check_name, cut_beyond_end, folder_of};

/// Counts changes down, and refuses all once it is blown: the moment of the power cut.
#[derive(Clone, Debug)]
pub struct Fuse(Arc<AtomicU64>);

impl Fuse {
    /// One that never blows (in the life of any program).
    #[must_use]
    pub fn never() -> Self {
        Self::after(u64::MAX)
    }

    /// One that lets this many changes pass.
    #[must_use]
    pub fn after(changes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(changes)))
    }

    /// How many changes it lets pass yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the last change it lets pass has passed.
    #[must_use]
    pub fn is_blown(&self) -> bool {
        self.left() == 0
    }

    /// One change passes.
    ///
    /// # Errors
    /// The fuse is blown.
    pub fn burn(&self) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| io::Error::other("the power is off"))
    }
}

/// What a disk writes at once or not at all.
pub const SECTOR_BYTES: usize = 512;

/// How many changes of one file are remembered as not synced. Beyond it the oldest is taken to have reached the
/// platter: a system writes back what is old, and a node in memory that never syncs a file must not grow.
const MAX_UNSYNCED: usize = 4_096;

/// A part of a change that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The file.
    pub file: &'a str,
    /// Which change of the disk it is of, counted over all files.
    pub change: u64,
    /// Which sector of the file it lies in; 0 where the file was cut.
    pub sector: usize,
}

/// What becomes of a piece in a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never reached the disk.
    Lost,
    /// The file's length did, its bytes did not: zeros where the file ended before, what was there elsewhere.
    Zeros,
    /// It did.
    Kept,
}

/// Files in memory.
#[derive(Debug)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, FileImage>>,
    fuse: Fuse,
    syncs_left: AtomicU64,
    changes: AtomicU64,
}

/// A change of a file.
#[derive(Clone, Debug)]
struct Unsynced {
    number: u64,
    what: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

#[derive(Clone, Debug, Default)]
struct FileImage {
    live: Vec<u8>,
    /// `None`: the file would not be there after a power cut.
    durable: Option<Vec<u8>>,
    /// Up to here the two images are the same bytes.
    same: usize,
    /// What made the live image of the durable one, the oldest first.
    unsynced: VecDeque<Unsynced>,
}

impl FileImage {
    /// A file of which nothing is unsynced.
    fn synced(image: Vec<u8>) -> Self {
        Self { live: image.clone(), same: image.len(), durable: Some(image), unsynced: VecDeque::new() }
    }

    fn remember(&mut self, number: u64, what: Change) {
        self.unsynced.push_back(Unsynced { number, what });
        if self.unsynced.len() > MAX_UNSYNCED
            && let Some(oldest) = self.unsynced.pop_front()
        {
            oldest.reach(&mut self.durable, &mut |_| Fate::Kept);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.live.len() {
            self.same = self.same.min(self.live.len());
            self.live.resize(end, 0);
        }
        self.same = self.same.min(offset);
        self.live[offset..end].copy_from_slice(bytes);
    }

    fn sync(&mut self) {
        let durable = self.durable.get_or_insert_default();
        durable.truncate(self.same);
        durable.extend_from_slice(&self.live[self.same..]);
        self.same = self.live.len();
        self.unsynced.clear();
    }

    fn cut(&mut self, len: usize) {
        self.live.truncate(len);
        self.same = self.same.min(len);
    }

    /// What is there after a power cut that came when `lucky` unsynced bytes had reached the platter.
    fn after_crash(&self, lucky: usize) -> Option<Vec<u8>> {
        let end = self.same.saturating_add(lucky).min(self.live.len());
        if end <= self.same {
            return self.durable.clone();
        }
        let mut image = self.durable.clone().unwrap_or_default();
        image.resize(image.len().max(end), 0);
        image[self.same..end].copy_from_slice(&self.live[self.same..end]);
        Some(image)
    }
}

impl Unsynced {
    /// Brings the change, or of its sectors those that `fate` says, to an image of the file.
    fn reach(&self, image: &mut Option<Vec<u8>>, fate: &mut dyn FnMut(usize) -> Fate) {
        match &self.what {
            Change::Cut { len } => {
                if let (Some(image), Fate::Kept) = (image, fate(0)) {
                    image.truncate(*len);
                }
            }
            Change::Write { offset, bytes } => {
                let mut rest = bytes.as_slice();
                let mut at = *offset;
                while !rest.is_empty() {
                    let room = SECTOR_BYTES - at % SECTOR_BYTES;
                    let (piece, after) = rest.split_at(room.min(rest.len()));
                    put(image, at, piece, fate(at / SECTOR_BYTES));
                    (at, rest) = (at + piece.len(), after);
                }
            }
        }
    }
}

fn put(image: &mut Option<Vec<u8>>, at: usize, piece: &[u8], fate: Fate) {
    if fate == Fate::Lost {
        return;
    }
    let image = image.get_or_insert_default();
    let end = at + piece.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    if fate == Fate::Kept {
        image[at..end].copy_from_slice(piece);
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fuse(Fuse::never())
    }

    /// An empty disk that stops taking changes when the fuse blows.
    #[must_use]
    pub fn with_fuse(fuse: Fuse) -> Self {
        let (syncs_left, changes) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self { files: Mutex::default(), fuse, syncs_left, changes }
    }

    /// The disk as a power cut leaves it now: only what was synced.
    #[must_use]
    pub fn crashed(&self) -> Self {
        self.crashed_with_luck(0)
    }

    /// As [`Self::crashed`], but of each file the first `lucky` bytes that were not synced survive too.
    #[must_use]
    pub fn crashed_with_luck(&self, lucky: usize) -> Self {
        let disk = Self::new();
        for (name, file) in self.files.lock().iter() {
            if let Some(image) = file.after_crash(lucky) {
                disk.files.lock().insert(name.clone(), FileImage::synced(image));
            }
        }
        disk
    }

    /// The disk as a power cut leaves it now, if of what was not synced each piece had the fate that is said. File
    /// by file, and of each file in the order in which it was written.
    #[must_use]
    pub fn crashed_by(&self, fate: &mut dyn FnMut(Piece<'_>) -> Fate) -> Self {
        let disk = Self::new();
        for (name, file) in self.files.lock().iter() {
            let mut image = file.durable.clone();
            for unsynced in &file.unsynced {
                let change = unsynced.number;
                unsynced.reach(&mut image, &mut |sector| fate(Piece { file: name, change, sector }));
            }
            if let Some(image) = image {
                disk.files.lock().insert(name.clone(), FileImage::synced(image));
            }
        }
        disk
    }

    /// The numbers of the changes that are not synced, ascending.
    #[must_use]
    pub fn unsynced(&self) -> Vec<u64> {
        let files = self.files.lock();
        let mut numbers: Vec<u64> =
            files.values().flat_map(|file| file.unsynced.iter().map(|change| change.number)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The same files, live and durable, on a disk with another fuse: the process ended, the machine did not.
    #[must_use]
    pub fn reopened(&self, fuse: Fuse) -> Self {
        let disk = Self::with_fuse(fuse);
        disk.files.lock().clone_from(&self.files.lock());
        disk.changes.store(self.changes.load(Ordering::SeqCst), Ordering::SeqCst);
        disk
    }

    /// Lets `count` syncs succeed; every later one fails.
    pub fn fail_syncs_after(&self, count: u64) {
        self.syncs_left.store(count, Ordering::SeqCst);
    }

    /// The number of the next change.
    fn next_number(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::SeqCst)
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut FileImage) -> io::Result<T>) -> io::Result<T> {
        check_name(name)?;
        self.fuse.burn()?;
        change(self.files.lock().entry(name.to_owned()).or_default())
    }

    fn change_existing(
        &self,
        name: &str,
        change: impl FnOnce(&mut FileImage) -> io::Result<()>,
    ) -> io::Result<()> {
        check_name(name)?;
        self.fuse.burn()?;
        change(self.files.lock().get_mut(name).ok_or_else(|| not_found(name))?)
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"))
}

impl Disk for MemoryDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let names = files.keys().filter(|name| folder_of(name) == folder);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn len(&self, file: &str) -> io::Result<Option<u64>> {
        Ok(self.files.lock().get(file).map(|file| len64(&file.live)))
    }

    fn read(&self, file: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.files.lock();
        let live = &files.get(file).ok_or_else(|| not_found(file))?.live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(len).and_then(|end| live.get(start..end));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn append(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let number = self.next_number();
        self.change(file, |file| {
            let offset = file.live.len();
            file.write(offset, bytes);
            file.remember(number, Change::Write { offset, bytes: bytes.to_vec() });
            Ok(())
        })
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let number = self.next_number();
        self.change(file, |file| {
            let offset = len_usize(offset);
            file.write(offset, bytes);
            file.remember(number, Change::Write { offset, bytes: bytes.to_vec() });
            Ok(())
        })
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        let left = self.syncs_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_err(|_| io::Error::other("the sync failed"))?;
        self.change_existing(file, |file| {
            file.sync();
            Ok(())
        })
    }

    fn cut(&self, file: &str, len: u64) -> io::Result<()> {
        let number = self.next_number();
        self.change_existing(file, |file| {
            if len > len64(&file.live) {
                return Err(cut_beyond_end(len, len64(&file.live)));
            }
            let len = len_usize(len);
            file.cut(len);
            file.remember(number, Change::Cut { len });
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(to)?;
        self.fuse.burn()?;
        let mut files = self.files.lock();
        let mut file = files.remove(from).ok_or_else(|| not_found(from))?;
        // The folder is synced, the file's bytes are not.
        file.durable.get_or_insert_default();
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.fuse.burn()?;
        self.files.lock().remove(file);
        Ok(())
    }
}
