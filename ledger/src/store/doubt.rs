//! `doubt`: a note for the next start that something on this disk was found to be damaged.
//!
//! A running node that comes upon damage where it reads an old block or a row tells whoever asked, and notes it
//! here; the next start then walks the whole journal with all checksums, repairs it, and makes the index again. One
//! sentence, for people; that the file is there is what counts.

use super::disk::Disk;
use super::error::StoreError;

const FILE: &str = "doubt";

/// The most that is read of the sentence.
const MAX_BYTES: u64 = 4_096;

/// The note.
#[derive(Clone, Copy, Debug)]
pub struct Doubt;

impl Doubt {
    /// Notes what was found, unless something is noted already.
    ///
    /// # Errors
    /// The disk's.
    pub fn note(disk: &dyn Disk, why: &str) -> Result<(), StoreError> {
        if Self::read(disk)?.is_some() {
            return Ok(());
        }
        disk.append(FILE, why.as_bytes()).map_err(|error| StoreError::io("write", FILE, error))?;
        disk.sync(FILE).map_err(|error| StoreError::io("sync", FILE, error))
    }

    /// What was noted, if anything was.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(disk: &dyn Disk) -> Result<Option<String>, StoreError> {
        let failed = |error| StoreError::io("read", FILE, error);
        let Some(len) = disk.len(FILE).map_err(failed)? else { return Ok(None) };
        let len = usize::try_from(len.min(MAX_BYTES)).expect("the limit lies far below 2^32");
        let bytes = disk.read(FILE, 0, len).map_err(failed)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Forgets the note: all is made anew.
    ///
    /// # Errors
    /// The disk's.
    pub fn clear(disk: &dyn Disk) -> Result<(), StoreError> {
        disk.remove(FILE).map_err(|error| StoreError::io("remove", FILE, error))
    }
}
