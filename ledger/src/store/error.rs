//! What can go wrong below the ledger: the one error of the store.
//!
//! Each variant leads to one thing an operator can do, and so to one exit code of the daemon. It can be
//! cloned, because the checkpoint's writer keeps the first failure and tells everybody who asks.

use std::io;
use std::sync::Arc;

use printsy_consensus::Hash;

/// A failure of the journal, the header file, the checkpoint, or of what they stand on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {what} {file}: {source}")]
    Io {
        /// What was tried, an infinitive.
        what: &'static str,
        /// The file, by its name within the store.
        file: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Bytes that were once durable are not what they were.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file, by its name within the store.
        file: String,
        /// Where in this file, in bytes from its beginning.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The files belong to another network.
    #[error("{file} belongs to another network: got genesis {got}, expected {expected}")]
    ForeignGenesis {
        /// The file, by its name within the store.
        file: String,
        /// The genesis the file names.
        got: Hash,
        /// Ours.
        expected: Hash,
    },
    /// The files were written by a newer program.
    #[error("{file} was written by a newer program: got format {got}, expected at most {expected}")]
    NewerFormat {
        /// The file, by its name within the store.
        file: String,
        /// The format the file names.
        got: u32,
        /// The newest we know.
        expected: u32,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The index is unusable: wipe it and rebuild it from the journal.
    #[error("the index is unusable: {0}")]
    Index(String),
    /// A commit with a frame beyond what the journal holds; nothing was written.
    #[error("a frame of {got} bytes is too large, expected at most {max}")]
    TooLarge {
        /// The payload's length in bytes.
        got: u64,
        /// The greatest allowed.
        max: u64,
    },
    /// An append failed after bytes were handed to the disk: only a new start can tell what is there.
    #[error("the journal failed before and takes no more commits until it is opened again")]
    Poisoned,
}

impl StoreError {
    /// What the operating system said while we tried `what` on `file`; a full disk has its own variant.
    pub(super) fn io(what: &'static str, file: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { what, file: file.to_owned(), source: Arc::new(source) },
        }
    }

    /// Damage in `file`, `offset` bytes from its beginning.
    pub(super) fn damaged(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, what: what.into() }
    }
}
