//! Opening a ledger: the files in the order in which they depend on one another, the chain as `recover` brings it
//! back, and last the orders that waited at a clean stop.

use std::sync::Arc;

use printsy_consensus::Genesis;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::progress::Watch;
use crate::recover::Recovery;
use crate::store::{Checkpoint, Disk, HeaderFile, Index, Journal};

/// A start that applied so many moves of the journal writes the checkpoint before it answers: a node that is
/// killed again and again, each time before its checkpoint was due, must not take longer at each start. Applying
/// them took some tenths of a second, the write takes some hundredths.
const MOVES_TO_CATCH_UP: u64 = 256;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The height of the checkpoint it began from.
    pub checkpoint_height: u64,
    /// How many moves of the journal were applied after it.
    pub moves_applied: u64,
    /// Whether the checkpoint was thrown away, and why.
    pub rebuilt: Option<String>,
    /// The height it came to.
    pub height: u64,
}

impl Ledger {
    /// Opens the ledger of a network on a disk and an index, or begins it.
    ///
    /// # Errors
    /// Where the disk fails, is damaged, or belongs to another network or a newer program.
    pub fn open(
        genesis: Arc<Genesis>,
        disk: Arc<dyn Disk>,
        index: Arc<dyn Index>,
    ) -> Result<(Self, OpenReport), LedgerError> {
        Self::open_watched(genesis, disk, index, &mut |_| {})
    }

    /// As [`Ledger::open`]; `watch` is told how far the journal is applied.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_watched(
        genesis: Arc<Genesis>,
        disk: Arc<dyn Disk>,
        index: Arc<dyn Index>,
        watch: &mut Watch<'_>,
    ) -> Result<(Self, OpenReport), LedgerError> {
        let headers = HeaderFile::open(disk.clone())?;
        let (checkpoint, mark) = Checkpoint::open(disk.clone(), index, genesis.hash(), headers.clone())?;
        let journal = Journal::open(disk.clone(), genesis.hash(), mark.map_or(0, |mark| mark.journal_end))?;
        let mut recovery = Recovery::new(genesis, headers, Arc::new(checkpoint), journal.reader());
        let mut report = OpenReport::default();
        let resumed = match mark {
            Some(mark) => recovery.resume(&mark, &mut report, watch).map_err(Some),
            None => Err(None),
        };
        let tree = match resumed {
            Ok(tree) => tree,
            Err(why) => {
                if let Some(why) = &why {
                    tracing::warn!(%why, "the checkpoint is of no use; making it again from the journal");
                }
                report = OpenReport { rebuilt: why, ..OpenReport::default() };
                recovery.begin()?;
                recovery.replay(0, &mut report, watch)?
            }
        };
        let mut ledger = recovery.into_ledger(disk, journal, tree)?;
        ledger.begin_salvage()?;
        if report.moves_applied >= MOVES_TO_CATCH_UP {
            ledger.index.flush_now()?;
        }
        ledger.take_kept_orders();
        report.height = ledger.tip.height();
        Ok((ledger, report))
    }
}
