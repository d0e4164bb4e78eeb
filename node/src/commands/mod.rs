//! What `printsyd` does with the datadir of a node that is stopped: one file for each command.
//!
//! Each opens the datadir under its lock, so that no node runs on it meanwhile, and ends with the exit codes of
//! [`crate::exit`]. What they do to the chain is the ledger's; here is what people type and see. Reports go to
//! standard output, everything else to standard error.

pub mod audit;
pub mod reindex;
pub mod replay;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use printsy_consensus::Genesis;

use crate::datadir::Datadir;
use crate::exit::Failure;
use crate::logging::{self, LogFormat};

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
        logging::install(&self.log, LogFormat::Text)?;
        let (datadir, genesis) = Datadir::open(&self.datadir, None)?;
        Ok((datadir, Arc::new(genesis)))
    }
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
