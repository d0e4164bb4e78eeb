//! The seam to the disk: a few verbs on bytes by file name.
//!
//! A name is lower-case letters, digits, dots and hyphens, with at most one folder before it:
//! `journal/00000000000000000000.seg`. What was written is visible at once to every reader, and durable only
//! after [`Disk::sync`]; renaming and removing are durable when they return. There is one writer a file.
//! [`super::FileDisk`] is the real one; [`super::MemoryDisk`] forgets at a crash what was not synced.

use std::io;

/// Files by name. All verbs may be called from many threads.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// The names of the files in a folder (`""`: the top level), sorted, without the folder; an absent
    /// folder is empty.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// A file's length in bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self, file: &str) -> io::Result<Option<u64>>;

    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before that, `NotFound` without the file.
    fn read(&self, file: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Adds bytes at the end; creates the file (and its folder) if there is none.
    ///
    /// # Errors
    /// The operating system's; then some of the bytes may have been written.
    fn append(&self, file: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes bytes at `offset`, beyond the end too (zeros fill the gap); creates the file if there is none.
    ///
    /// # Errors
    /// The operating system's; then some of the bytes may have been written.
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the file's bytes, its length and its entry in its folder are durable.
    ///
    /// # Errors
    /// The operating system's; then nothing is known about any byte written since the last sync.
    fn sync(&self, file: &str) -> io::Result<()>;

    /// Shortens a file to `len` bytes; durable after [`Disk::sync`].
    ///
    /// # Errors
    /// `InvalidInput` if the file is shorter than that.
    fn cut(&self, file: &str, len: u64) -> io::Result<()>;

    /// Gives a file another name, in the place of a file that has it already.
    ///
    /// # Errors
    /// `NotFound` without the file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; an absent one is removed already.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, file: &str) -> io::Result<()>;
}

/// The folder of a name: what stands before its slash, or nothing.
pub(super) fn folder_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(folder, _)| folder)
}

/// Refuses what is not a name: nothing a caller passes can leave the store's own folder.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    let part_is_good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    if name.split('/').count() <= 2 && name.split('/').all(part_is_good) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not the name of a file in the store: {name:?}")))
}

/// What [`Disk::cut`] answers to a length beyond the file's.
pub(super) fn cut_beyond_end(len: u64, got: u64) -> io::Error {
    let text = format!("cannot cut a file of {got} bytes to {len}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
