//! The guard of a datadir: whether it is still there, still this node's, still writable, and how much room it has.
//!
//! Open files outlive the folder they lie in: what is written to them after `rm -rf`, or after the folder was
//! replaced, is kept nowhere that anybody will look. So the guard holds the lock file at its path against the very
//! file that was locked. It only looks, and changes nothing; `driver::disk` looks once a second, and the core
//! decides what too little room means. A removed journal is also noticed by the journal's own disk, at once.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;

use crate::core::Room;

/// Why a node cannot keep anything in its datadir any more, or never could.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatadirLost {
    /// The folder, or the lock file in it, is gone.
    #[error(
        "the datadir {} is gone or has moved: put it back, or say where it is now by --datadir, and start again",
        path.display()
    )]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// Another folder, or another lock file, is in its place.
    #[error(
        "the datadir {} was replaced while this node ran: its lock is another file; make sure that no other node \
         uses it, and start again",
        path.display()
    )]
    Replaced {
        /// The folder.
        path: PathBuf,
    },
    /// Its file system takes no writes.
    #[error("the datadir {} is on a read-only file system: make that writable, and start again", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// The system does not say how it is, or does not let this node in.
    #[error("cannot {what} the datadir {}: {error}{advice}", path.display())]
    Refused {
        /// What was tried, an infinitive.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        error: String,
        /// What to do, as the end of the sentence.
        advice: &'static str,
    },
}

impl DatadirLost {
    fn refused(what: &'static str, path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Refused { what, path, error: error.to_string(), advice: advice(error) },
        }
    }
}

/// What to do where the system refused, as the end of a sentence; nothing where the refusal says it.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the datadir and all in it must belong to the user that runs the node: run it as that user, or mend \
             the owner"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; make the file system writable, or choose another --datadir",
        io::ErrorKind::NotADirectory => "; a file stands where there should be a folder: move it away",
        // It has no kind of its own.
        _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            "; the disk fails: look at the system's log, move the datadir to a sound disk and start again there; \
             `printsyd audit` tells whether all of it could be read"
        }
        _ => "",
    }
}

/// Whether this process can make files in a folder and find them again.
///
/// # Errors
/// Why not.
pub fn check_usable(path: &Path) -> Result<(), DatadirLost> {
    access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| DatadirLost::refused("write to", path, &error.into()))
}

/// A datadir to look after, and how much room it needs.
#[derive(Clone, Debug)]
pub struct DiskGuard {
    path: PathBuf,
    lock_file: PathBuf,
    /// Device and inode of the lock that is held. While it is held its numbers are given to no other file.
    lock: (u64, u64),
    least_bytes: u64,
}

impl DiskGuard {
    /// A guard of the folder `path` in which this process holds the open `lock` at `lock_file`. With less than
    /// `least_bytes` free, no orders are taken.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(path: &Path, lock_file: &Path, lock: &fs::File, least_bytes: u64) -> io::Result<Self> {
        let lock = identity(&lock.metadata()?);
        Ok(Self { path: path.to_owned(), lock_file: lock_file.to_owned(), lock, least_bytes })
    }

    /// Looks at the datadir: how much room there is.
    ///
    /// # Errors
    /// Why nothing can be kept there any more.
    pub fn look(&self) -> Result<Room, DatadirLost> {
        let lock = fs::symlink_metadata(&self.lock_file);
        let lock = lock.map_err(|error| DatadirLost::refused("look into", &self.path, &error))?;
        if identity(&lock) != self.lock {
            return Err(DatadirLost::Replaced { path: self.path.clone() });
        }
        check_usable(&self.path)?;
        let stat = statvfs(&self.path);
        let stat = stat.map_err(|error| DatadirLost::refused("look at", &self.path, &error.into()))?;
        if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(DatadirLost::ReadOnly { path: self.path.clone() });
        }
        let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Room { free_bytes, least_bytes: self.least_bytes })
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
