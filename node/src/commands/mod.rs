//! What `printsyd` does with the datadir of a node that is stopped: one file for each command.
//!
//! Each but `tokens` opens the datadir under its lock, so that no node runs on it meanwhile, and ends with the exit codes of
//! [`crate::exit`]. What they do to the chain is the ledger's; here is what people type and see. Reports go to
//! standard output, everything else to standard error.

pub mod audit;
pub mod export;
pub mod import;
mod other_node;
pub mod reindex;
pub mod replay;
pub mod resolve;
pub mod tokens;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use printsy_consensus::Genesis;
use printsy_ledger::Ledger;
use printsy_ledger::store::Missing;

use crate::config::Config;
use crate::config::RunArgs;
use crate::datadir::{Datadir, GivenGenesis};
use crate::exit::Failure;
use crate::logging;
use crate::storage::{self, Storage};

/// Which datadir, and how much is told on the way: by flag, environment and file, as for `printsyd run`.
#[derive(Clone, Debug, Args)]
pub struct OfflineArgs {
    /// The folder of a node that is stopped.
    #[arg(long, value_name = "FOLDER")]
    pub datadir: Option<String>,
    /// The configuration; without it, printsyd.toml in the datadir if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which events are logged, such as info or info,printsy_ledger=debug.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
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
        let config = Config::load(&RunArgs {
            datadir: self.datadir.clone(),
            config: self.config.clone(),
            log: self.log.clone(),
            ..RunArgs::default()
        })?;
        logging::install(&config.log.filter, config.log.format)?;
        let path = config.datadir.expect("only `--dev` goes without a datadir");
        let (datadir, genesis) = Datadir::open(&path, given)?;
        Ok((datadir, Arc::new(genesis)))
    }
}

/// Opens the ledger of a stopped node. The orders that wait are kept for the next start at once, so that a command
/// which is interrupted loses none.
fn open_ledger(genesis: Arc<Genesis>, datadir: &Path) -> Result<Ledger, Failure> {
    let (ledger, _) = storage::open(genesis, &Storage::Datadir(datadir.to_owned()), Missing::Refuse)?;
    ledger.close()?;
    Ok(ledger)
}

/// As [`open_ledger`], of a node whose chain a repair may not have made whole yet.
fn open_ledger_midway(genesis: &Arc<Genesis>, datadir: &Path) -> Result<Ledger, Failure> {
    let ledger = storage::open_midway(genesis, datadir)?;
    ledger.close()?;
    Ok(ledger)
}

/// Writes what was asked for to standard output. A reader who has gone is no failure: it has read enough.
///
/// # Errors
/// Where standard output cannot be written, such as a file on a full disk.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write to", Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}
