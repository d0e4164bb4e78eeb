//! The real [`Disk`]: a folder of the operating system.
//!
//! Reads and writes are positional, so that one handle serves all threads. Handles are kept open, a bounded
//! number of them, the oldest closed first. The first sync of a handle also syncs the file's folder, so that
//! a new file's name is as durable as its bytes. The folder is its owner's alone (0700, files 0600).
//! Locking the folder against a second process is the daemon's task, not ours.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, check_name, cut_beyond_end, folder_of};

/// How many files are kept open: recent segments and all the fixed files, far below the usual 1,024
/// descriptors of a process.
pub const MAX_OPEN_FILES: usize = 64;

/// A folder of files.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    handles: Mutex<Handles>,
}

#[derive(Debug, Default)]
struct Handles {
    open: HashMap<String, Arc<Handle>>,
    oldest_first: VecDeque<String>,
}

#[derive(Debug)]
struct Handle {
    file: File,
    entry_is_durable: AtomicBool,
}

impl FileDisk {
    /// The files in the folder `root`, which is created if there is none (its parents too).
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref().to_path_buf();
        if !root.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self { root, handles: Mutex::default() })
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    fn existing(&self, name: &str) -> io::Result<Arc<Handle>> {
        let path = self.path(name)?;
        self.handle(name, || OpenOptions::new().read(true).write(true).open(path))
    }

    fn created(&self, name: &str) -> io::Result<Arc<Handle>> {
        let path = self.path(name)?;
        self.handle(name, || {
            self.make_folder_of(name)?;
            // Never truncated: what a crash left in it is for its owner to judge.
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
        })
    }

    fn handle(&self, name: &str, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<Handle>> {
        let mut handles = self.handles.lock();
        if let Some(handle) = handles.open.get(name) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(Handle { file: open()?, entry_is_durable: AtomicBool::new(false) });
        if handles.oldest_first.len() >= MAX_OPEN_FILES
            && let Some(oldest) = handles.oldest_first.pop_front()
        {
            handles.open.remove(&oldest);
        }
        handles.open.insert(name.to_owned(), Arc::clone(&handle));
        handles.oldest_first.push_back(name.to_owned());
        Ok(handle)
    }

    /// Refuses a file that was removed while it was open: its bytes are durable, but nobody will find them.
    fn check_is_there(&self, name: &str, file: &File) -> io::Result<()> {
        let open = file.metadata()?;
        if open.nlink() > 0 {
            return Ok(());
        }
        // Not on every file system does a file that is there count its names.
        match fs::metadata(self.path(name)?) {
            Ok(there) if (there.dev(), there.ino()) == (open.dev(), open.ino()) => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "it was removed while it was in use")),
        }
    }

    fn close(&self, name: &str) {
        let mut handles = self.handles.lock();
        handles.open.remove(name);
        handles.oldest_first.retain(|kept| kept != name);
    }

    fn make_folder_of(&self, name: &str) -> io::Result<()> {
        let folder = folder_of(name);
        if folder.is_empty() || self.root.join(folder).is_dir() {
            return Ok(());
        }
        DirBuilder::new().mode(0o700).create(self.root.join(folder))?;
        self.sync_folder("")
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.root.join(folder))?.sync_all()
    }
}

impl Disk for FileDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn len(&self, file: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(file)?) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, file: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.existing(file)?.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn append(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let handle = self.created(file)?;
        // One writer a file: nobody moves its end between these two calls.
        let end = handle.file.metadata()?.len();
        handle.file.write_all_at(bytes, end)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.created(file)?.file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        let handle = self.existing(file)?;
        handle.file.sync_data()?;
        self.check_is_there(file, &handle.file)?;
        if !handle.entry_is_durable.load(Ordering::Acquire) {
            self.sync_folder(folder_of(file))?;
            handle.entry_is_durable.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn cut(&self, file: &str, len: u64) -> io::Result<()> {
        let handle = self.existing(file)?;
        let got = handle.file.metadata()?.len();
        if len > got {
            return Err(cut_beyond_end(len, got));
        }
        handle.file.set_len(len)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (source, target) = (self.path(from)?, self.path(to)?);
        self.close(from);
        self.close(to);
        self.make_folder_of(to)?;
        fs::rename(source, target)?;
        self.sync_folder(folder_of(to))?;
        if folder_of(from) == folder_of(to) { Ok(()) } else { self.sync_folder(folder_of(from)) }
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        let path = self.path(file)?;
        self.close(file);
        match fs::remove_file(path) {
            Ok(()) => self.sync_folder(folder_of(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
