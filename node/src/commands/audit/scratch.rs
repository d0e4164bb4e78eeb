//! A copy of the index to open: the database writes into its own folder as soon as it is opened, and an audit must
//! not change what it looks at.
//!
//! The copy lies in the datadir, as `audit-index`: there is the room that the index has, and the file system may
//! share the blocks. It is removed at the end, and at the next audit where that one was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use printsy_ledger::store::{Index, MemoryIndex, SledIndex, StoreError};

use crate::exit::Failure;
use crate::storage::INDEX_FOLDER;

/// The copy's folder inside a datadir.
const FOLDER: &str = "audit-index";

/// The copy, there as long as this value; none where there is no index.
#[derive(Debug)]
pub(super) struct Scratch {
    copy: Option<PathBuf>,
}

impl Scratch {
    /// A copy of the index in a datadir.
    ///
    /// # Errors
    /// Exit code 8 where there is no room for it; 1 where it cannot be made.
    pub(super) fn of_index(datadir: &Path) -> Result<Self, Failure> {
        let (index, copy) = (datadir.join(INDEX_FOLDER), datadir.join(FOLDER));
        remove(&copy).map_err(|error| Failure::io("remove", &copy, &error))?;
        if !index.is_dir() {
            return Ok(Self { copy: None });
        }
        let scratch = Self { copy: Some(copy.clone()) };
        copy_folder(&index, &copy).map_err(|error| Failure::io("copy the index to", &copy, &error))?;
        Ok(scratch)
    }

    /// Opens the copy; an empty index where there is none.
    pub(super) fn open(&self) -> Result<Arc<dyn Index>, StoreError> {
        match &self.copy {
            Some(copy) => Ok(Arc::new(SledIndex::open(copy)?)),
            None => Ok(Arc::new(MemoryIndex::new())),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(copy) = &self.copy
            && let Err(error) = remove(copy)
        {
            tracing::warn!(%error, folder = %copy.display(), "the copy of the index cannot be removed");
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Files and folders; the database makes nothing else.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
