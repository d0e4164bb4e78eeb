//! Where a node keeps its ledger, and how it is opened: in memory, or in a datadir that this process has locked.
//!
//! An index that cannot be opened is thrown away, for the journal makes it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use printsy_consensus::Genesis;
use printsy_ledger::store::{Disk, FileDisk, Index, MemoryDisk, MemoryIndex, SledIndex, StoreError};
use printsy_ledger::{Ledger, LedgerError, OpenReport};

use crate::progress::Reporter;

/// The folder of the index inside a datadir.
pub(crate) const INDEX_FOLDER: &str = "index";

/// Where a node keeps its ledger.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory: gone when it stops.
    Memory,
    /// In a folder, which nobody else uses meanwhile.
    Datadir(PathBuf),
}

/// Opens the ledger of a network, or begins it.
///
/// # Errors
/// As [`Ledger::open`].
pub(crate) fn open(genesis: Arc<Genesis>, storage: &Storage) -> Result<(Ledger, OpenReport), LedgerError> {
    let (disk, index): (Arc<dyn Disk>, Arc<dyn Index>) = match storage {
        Storage::Memory => (Arc::new(MemoryDisk::default()), Arc::new(MemoryIndex::default())),
        Storage::Datadir(path) => (open_disk(path)?, Arc::new(open_index(&path.join(INDEX_FOLDER))?)),
    };
    let mut reporter = Reporter::new("applying the journal");
    let (ledger, report) = Ledger::open_watched(genesis, disk, index, &mut |at| reporter.tell(at))?;
    drop(reporter);
    let (height, moves) = (report.height, report.moves_applied);
    tracing::info!(height, checkpoint = report.checkpoint_height, moves, "ledger open");
    Ok((ledger, report))
}

/// Opens the ledger in a datadir with an index made again from the journal.
///
/// # Errors
/// As [`Ledger::open`].
pub(crate) fn rebuild(genesis: Arc<Genesis>, datadir: &Path) -> Result<(Ledger, OpenReport), LedgerError> {
    SledIndex::wipe(datadir.join(INDEX_FOLDER))?;
    open(genesis, &Storage::Datadir(datadir.to_owned()))
}

/// The files of a datadir.
///
/// # Errors
/// The operating system's.
pub(crate) fn open_disk(datadir: &Path) -> Result<Arc<FileDisk>, StoreError> {
    FileDisk::open(datadir).map(Arc::new).map_err(|source| StoreError::Io {
        what: "open",
        file: datadir.display().to_string(),
        source: Arc::new(source),
    })
}

fn open_index(path: &Path) -> Result<SledIndex, StoreError> {
    match SledIndex::open(path) {
        Err(StoreError::Index(why)) => {
            tracing::warn!(%why, "the index cannot be opened; making it again from the journal");
            SledIndex::wipe(path)?;
            SledIndex::open(path)
        }
        other => other,
    }
}
