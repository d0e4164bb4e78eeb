//! Where a node keeps its ledger, and how it is opened: in memory, or in a datadir that this process has locked.
//!
//! What is damaged is mended before the node runs: an index that cannot be used is thrown away, for the journal makes
//! it again; a damaged journal is cut back to its sound beginning, and its end made anew from what is left and from
//! peers. Where that cannot be, the start fails and nothing was changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use printsy_consensus::Genesis;
use printsy_ledger::store::{
    Checkpoint, Disk, Doubt, FileDisk, Index, Mark, MemoryDisk, MemoryIndex, Missing, SledIndex, StoreError,
    check_network, repair,
};
use printsy_ledger::{Damage, Ledger, LedgerError, OpenReport};

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

/// How often a damaged datadir is repaired and opened again: the journal once, then what is made from it.
const MAX_REPAIRS: usize = 3;

/// Opens the ledger of a network, or begins it; what is damaged is repaired if it can be. `missing` says
/// what becomes of blocks that the journal has lost.
///
/// # Errors
/// As [`Ledger::open`]; damage that cannot be repaired.
pub(crate) fn open(
    genesis: Arc<Genesis>,
    storage: &Storage,
    missing: Missing,
) -> Result<(Ledger, OpenReport), LedgerError> {
    let (ledger, report) = match storage {
        Storage::Memory => {
            watched(genesis, Arc::new(MemoryDisk::default()), Arc::new(MemoryIndex::default()))?
        }
        Storage::Datadir(path) => whole(open_datadir(&genesis, path, missing)?, missing)?,
    };
    let (height, moves) = (report.height, report.moves_applied);
    tracing::info!(height, checkpoint = report.checkpoint_height, moves, "ledger open");
    Ok((ledger, report))
}

/// Opens the ledger in a datadir as it is, its chain perhaps not made whole yet by a repair that was begun before.
///
/// # Errors
/// As [`open`], but where blocks are missing that a repair waits for.
pub(crate) fn open_midway(genesis: &Arc<Genesis>, datadir: &Path) -> Result<Ledger, LedgerError> {
    Ok(open_datadir(genesis, datadir, Missing::Refuse)?.0)
}

/// Opens the ledger in a datadir with an index made again from the journal.
///
/// # Errors
/// As [`open`].
pub(crate) fn rebuild(genesis: Arc<Genesis>, datadir: &Path) -> Result<(Ledger, OpenReport), LedgerError> {
    let disk = open_disk(datadir)?;
    check_network(disk.as_ref(), &genesis.hash())?;
    Doubt::note(disk.as_ref(), "the index is to be made again: `printsyd reindex`")?;
    open(genesis, &Storage::Datadir(datadir.to_owned()), Missing::Refuse)
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

fn open_datadir(
    genesis: &Arc<Genesis>,
    datadir: &Path,
    missing: Missing,
) -> Result<(Ledger, OpenReport), LedgerError> {
    let disk: Arc<dyn Disk> = open_disk(datadir)?;
    // Opening the index writes, and a damaged one is wiped: not in a datadir that is not ours to touch.
    check_network(disk.as_ref(), &genesis.hash())?;
    let path = datadir.join(INDEX_FOLDER);
    // What the index stood at is remembered before it is thrown away: a damaged journal may not tell it.
    let mut mark = None;
    if let Some(why) = Doubt::read(disk.as_ref())? {
        tracing::warn!(%why, "going through the whole journal");
        mark = mark_of(&open_index(disk.as_ref(), &path)?, genesis);
        SledIndex::wipe(disk.as_ref(), &path)?;
    }
    for _ in 0..MAX_REPAIRS {
        let index = Arc::new(open_index(disk.as_ref(), &path)?);
        mark = mark.or_else(|| mark_of(index.as_ref(), genesis));
        match watched(genesis.clone(), disk.clone(), index) {
            Ok(opened) => {
                Doubt::clear(disk.as_ref())?;
                return Ok(opened);
            }
            Err(error) => heal(&disk, genesis, error, mark, missing)?,
        }
        SledIndex::wipe(disk.as_ref(), &path)?;
    }
    let index = Arc::new(open_index(disk.as_ref(), &path)?);
    watched(genesis.clone(), disk, index)
}

/// What an index stands at; `None` where it tells nothing.
fn mark_of(index: &SledIndex, genesis: &Genesis) -> Option<Mark> {
    Checkpoint::peek(index, &genesis.hash()).ok().flatten()
}

/// Refuses a chain that a repair has not made whole yet, where there is nobody to ask for the rest.
fn whole(opened: (Ledger, OpenReport), missing: Missing) -> Result<(Ledger, OpenReport), LedgerError> {
    match opened.0.repairing_to().filter(|_| missing == Missing::Refuse) {
        None => Ok(opened),
        Some(height) => Err(StoreError::Damaged {
            file: "journal".to_owned(),
            offset: 0,
            what: format!(
                "its repair is not at its end: blocks up to height {height} are missing: start the node with \
                 --bootnodes, and they are fetched from peers; where nobody has them, give them up by `printsyd resolve`"
            ),
        }
        .into()),
    }
}

/// Mends the journal where that is what is damaged; hands back errors that are no damage.
fn heal(
    disk: &Arc<dyn Disk>,
    genesis: &Genesis,
    error: LedgerError,
    mark: Option<Mark>,
    missing: Missing,
) -> Result<(), LedgerError> {
    let damage = error.damage();
    match damage {
        None => return Err(error),
        Some(Damage::Derived) => {
            tracing::warn!(%error, "making what is made from the journal again");
        }
        Some(Damage::Journal) => {
            if let Some(repair) = repair(disk, genesis, mark, missing)? {
                let (height, missing) = (repair.height, repair.missing.len());
                tracing::warn!(damage = repair.damage, height, missing, "the journal is repaired");
            }
        }
    }
    Ok(())
}

fn watched(
    genesis: Arc<Genesis>,
    disk: Arc<dyn Disk>,
    index: Arc<dyn Index>,
) -> Result<(Ledger, OpenReport), LedgerError> {
    let mut reporter = Reporter::new("applying the journal");
    Ledger::open_watched(genesis, disk, index, &mut |at| reporter.tell(at))
}

fn open_index(disk: &dyn Disk, path: &Path) -> Result<SledIndex, StoreError> {
    match SledIndex::open(path) {
        Err(StoreError::Index(why)) => {
            tracing::warn!(%why, "the index cannot be opened; making it again from the journal");
            SledIndex::wipe(disk, path)?;
            SledIndex::open(path)
        }
        other => other,
    }
}
