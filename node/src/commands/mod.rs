//! What `printsyd` does with the datadir of a node that is stopped: one file for each command.
//!
//! Each opens the datadir under its lock, so that no node runs on it meanwhile, and ends with the exit codes of
//! [`crate::exit`]. What they do to the chain is the ledger's; here is what people type and see. Reports go to
//! standard output, everything else to standard error.

pub mod export;
pub mod import;
pub mod reindex;
pub mod resolve;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use printsy_consensus::Genesis;
use printsy_ledger::Ledger;

use crate::datadir::{Datadir, GivenGenesis};
use crate::exit::Failure;
use crate::logging::{self, LogFormat};
use crate::storage::{self, Storage};

/// Which datadir, and how much is told on the way.
#[derive(Clone, Debug, Args)]
pub struct OfflineArgs {
    /// The folder of a node that is stopped.
    #[arg(long, value_name = "FOLDER", env = "PRINTSY_DATADIR")]
    pub datadir: PathBuf,
    /// Which events are logged, such as info or info,printsy_ledger=debug.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

impl OfflineArgs {
    /// Installs the log and opens the datadir for the network it holds.
    ///
    /// # Errors
    /// Exit code 3 where it holds no genesis, 4 where a process uses it.
    pub fn open(&self) -> Result<(Datadir, Arc<Genesis>), Failure> {
        self.open_for(None)
    }

    /// As [`OfflineArgs::open`], for the network of `given`, which a datadir that holds nothing is begun with.
    ///
    /// # Errors
    /// As [`OfflineArgs::open`]; exit code 6 where it holds another genesis.
    pub fn open_for(&self, given: Option<GivenGenesis>) -> Result<(Datadir, Arc<Genesis>), Failure> {
        logging::install(&self.log, LogFormat::Text)?;
        let (datadir, genesis) = Datadir::open(&self.datadir, given)?;
        Ok((datadir, Arc::new(genesis)))
    }
}

/// Opens the ledger of a stopped node. The orders that wait are kept for the next start at once, so that a command
/// which is interrupted loses none.
fn open_ledger(genesis: Arc<Genesis>, datadir: &Path) -> Result<Ledger, Failure> {
    let (ledger, _) = storage::open(genesis, &Storage::Datadir(datadir.to_owned()))?;
    ledger.close()?;
    Ok(ledger)
}
