//! The folder a network works in: datadirs, logs and its genesis.
//!
//! A named folder is kept, and emptied of an earlier network's files when it is used again: a new genesis makes
//! them another network's. Only what this program made is ever removed, and it knows its own by a marker, which
//! it holds locked while it runs. A temporary folder is removed when all was well, and kept otherwise.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Says that the folder is ours.
const MARKER: &str = ".printsy-devnet";
/// What this program puts beside the marker, apart from the nodes' folders.
pub const GENESIS_FILE: &str = "genesis.json";
/// What the name of each node's folder and log begins with.
const NODE_PREFIX: &str = "node-";
/// The name of the folder of the buyer's wallet.
const WALLET: &str = "wallet";

/// A folder to work in, for this process alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
    _lock: File,
}

impl Folder {
    /// The folder at `path`, made if it is not there, without the files of an earlier network.
    ///
    /// # Errors
    /// If another process works in it, or it holds files that are not ours.
    pub fn open(path: &Path) -> Result<Self> {
        let marker = path.join(MARKER);
        let is_empty = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty && !marker.is_file() {
            bail!("{} holds other files; give an empty folder by --dir", path.display());
        }
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        // The nodes run elsewhere than here, so their paths must not depend on where here is.
        let path = path.canonicalize()?;
        let lock = File::create(path.join(MARKER)).context("cannot write in the folder")?;
        if lock.try_lock().is_err() {
            bail!("a network runs in {} already; stop it, or give another folder by --dir", path.display());
        }
        let folder = Self { path, temporary: None, _lock: lock };
        folder.clear()?;
        Ok(folder)
    }

    /// A new temporary folder.
    ///
    /// # Errors
    /// If there is no place for one.
    pub fn temporary() -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("printsy-devnet-").tempdir()?;
        let folder = Self::open(temporary.path())?;
        Ok(Self { temporary: Some(temporary), ..folder })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the buyer's wallet keeps its files.
    #[must_use]
    pub fn wallet(&self) -> PathBuf {
        self.path.join(WALLET)
    }

    /// The datadir of node `number`.
    #[must_use]
    pub fn datadir(&self, number: usize) -> PathBuf {
        self.path.join(format!("{NODE_PREFIX}{number}"))
    }

    /// The log of node `number`.
    #[must_use]
    pub fn log(&self, number: usize) -> PathBuf {
        self.path.join(format!("{NODE_PREFIX}{number}.log"))
    }

    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.path.join(GENESIS_FILE)
    }

    /// Keeps a temporary folder for good; says whether there was one to keep.
    pub fn keep(&mut self) -> bool {
        self.temporary.take().map(TempDir::keep).is_some()
    }

    /// Removes what an earlier network left.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_node = name.to_string_lossy().starts_with(NODE_PREFIX);
            let removed = match entry.file_type()? {
                kind if kind.is_dir() && (is_node || name == WALLET) => fs::remove_dir_all(entry.path()),
                _ if is_node || name == GENESIS_FILE => fs::remove_file(entry.path()),
                _ => Ok(()),
            };
            removed.with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_files_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("net");
        let folder = Folder::open(&path).unwrap();
        fs::create_dir(folder.datadir(1)).unwrap();
        fs::write(folder.datadir(1).join("a"), "1").unwrap();
        fs::write(folder.log(1), "log").unwrap();
        fs::write(folder.genesis(), "{}").unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        drop(folder);
        let folder = Folder::open(&path).unwrap();
        assert!(!folder.datadir(1).exists() && !folder.log(1).exists() && !folder.genesis().exists());
        assert!(path.join("notes.txt").exists());
    }

    #[test]
    fn a_folder_of_others_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("thesis.txt"), "years").unwrap();
        assert!(Folder::open(place.path()).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_networks_do_not_share_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        assert!(Folder::open(place.path()).is_err());
        drop(first);
        assert!(Folder::open(place.path()).is_ok());
    }
}
