//! A [`Disk`] in memory that knows two images of each file: the live one, and the durable one.
//!
//! [`MemoryDisk::crashed`] is the disk as a power cut leaves it: only what was synced. Knobs make a sync
//! fail, or a [`Fuse`] end everything after a number of steps; a disk and an index may share one fuse, so
//! that a test can stop between any two steps of both. It serves tests, simulations and nodes in memory.

use std::collections::BTreeMap;
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

    /// Whether the last change it lets pass has passed.
    #[must_use]
    pub fn is_blown(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
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

/// Files in memory.
#[derive(Debug)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, FileImage>>,
    fuse: Fuse,
    syncs_left: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct FileImage {
    live: Vec<u8>,
    /// `None`: the file would not be there after a power cut.
    durable: Option<Vec<u8>>,
    /// Up to here the two images are the same bytes.
    same: usize,
}

impl FileImage {
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
        Self { files: Mutex::default(), fuse, syncs_left: AtomicU64::new(u64::MAX) }
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
                let same = image.len();
                let file = FileImage { live: image.clone(), durable: Some(image), same };
                disk.files.lock().insert(name.clone(), file);
            }
        }
        disk
    }

    /// The same files, live and durable, on a disk with another fuse: the process ended, the machine did not.
    #[must_use]
    pub fn reopened(&self, fuse: Fuse) -> Self {
        let disk = Self::with_fuse(fuse);
        disk.files.lock().clone_from(&self.files.lock());
        disk
    }

    /// Lets `count` syncs succeed; every later one fails.
    pub fn fail_syncs_after(&self, count: u64) {
        self.syncs_left.store(count, Ordering::SeqCst);
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
        self.change(file, |file| {
            file.write(file.live.len(), bytes);
            Ok(())
        })
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(file, |file| {
            file.write(len_usize(offset), bytes);
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
        self.change_existing(file, |file| {
            if len > len64(&file.live) {
                return Err(cut_beyond_end(len, len64(&file.live)));
            }
            file.live.truncate(len_usize(len));
            file.same = file.same.min(file.live.len());
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
