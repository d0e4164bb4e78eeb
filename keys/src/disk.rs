//! How key files are written: whole or not at all, at whatever moment the machine stops.
//!
//! A new file is written beside its place, synced, then linked to its name, which fails if the name is taken; a
//! changed one takes the place of the old by a rename; then the folder is synced. So a name holds the old bytes, the
//! new bytes, or nothing, and never a part. [`Files`] is the seam: a few verbs, so that a test can stop between any
//! two of them and lose what was not synced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::KeyError;

/// What the name of a file begins with before it has its own.
const TEMPORARY: &str = ".new-key-";
/// The file whose lock a writer holds.
const LOCK: &str = ".lock";

/// What is done to files, a verb each.
pub trait Files {
    /// Writes a new file that its owner alone may read.
    ///
    /// # Errors
    /// The system's.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes what a file holds lasting.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    ///
    /// # Errors
    /// The system's.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name, in the place of what has it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder lasting.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The files of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Writes a new file at `path`, and makes it lasting.
///
/// # Errors
/// [`KeyError::Exists`] if there is anything at `path`; [`KeyError::Io`] if the system refuses.
pub fn create(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let folder = folder_of(path);
    let temporary = temporary_in(folder)?;
    let linked = write_synced(files, &temporary, bytes).and_then(|()| {
        files.link(&temporary, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => io_error("create", path)(error),
        })
    });
    // Whether it was linked or not, the temporary name must not stay: it holds the secret.
    let removed = match files.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &temporary)(error)),
        _ => Ok(()),
    };
    linked.and(removed)?;
    files.sync_folder(folder).map_err(io_error("sync", folder))
}

/// Puts `bytes` in the place of the file at `path`, and makes it lasting.
///
/// # Errors
/// [`KeyError::Io`] if the system refuses; the old file is then still there.
pub fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let folder = folder_of(path);
    let temporary = temporary_in(folder)?;
    let written = write_synced(files, &temporary, bytes)
        .and_then(|()| files.rename(&temporary, path).map_err(io_error("replace", path)));
    if written.is_err() {
        // It may never have been made; the error that counts is the first.
        let _ = files.remove(&temporary);
    }
    written?;
    files.sync_folder(folder).map_err(io_error("sync", folder))
}

/// Removes the file at `path` for good.
///
/// # Errors
/// [`KeyError::Missing`] if it is not there; [`KeyError::Io`] if the system refuses.
pub fn remove(files: &dyn Files, path: &Path) -> Result<(), KeyError> {
    files.remove(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => io_error("remove", path)(error),
    })?;
    let folder = folder_of(path);
    files.sync_folder(folder).map_err(io_error("sync", folder))
}

/// Makes `folder` if it is not there, its owner's alone, and keeps other writers out of it while the lock lives.
/// What a writer left that was stopped in the middle is removed: it may hold a secret, and no name leads to it.
pub(crate) fn lock(folder: &Path) -> Result<File, KeyError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(io_error("create", folder))?;
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = opened.map_err(io_error("open", &path))?;
    lock.lock().map_err(io_error("lock", &path))?;
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY)) {
            fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
        }
    }
    Ok(lock)
}

fn write_synced(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    files.write_new(path, bytes).map_err(io_error("write", path))?;
    files.sync(path).map_err(io_error("sync", path))
}

fn temporary_in(folder: &Path) -> Result<PathBuf, KeyError> {
    let mut random = [0; 8];
    SysRng.try_fill_bytes(&mut random).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(folder.join(format!("{TEMPORARY}{}", hex::encode(random))))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { action, path: path.to_owned(), source }
}
