//! `printsyd reindex`: throws the index away and makes it again from the journal.
//!
//! The journal is walked from genesis: every rule, every state root. A node does the same by itself where it finds
//! its index damaged; this is for an operator who wants it done now.

use clap::Args;

use super::{OfflineArgs, answer};
use crate::exit::Failure;
use crate::storage;

/// `printsyd reindex`.
#[derive(Clone, Debug, Args)]
pub struct ReindexArgs {
    #[command(flatten)]
    offline: OfflineArgs,
}

/// Makes the index again.
///
/// # Errors
/// Exit code 5 where the journal is damaged; 4 where a process uses the datadir.
pub fn reindex(args: &ReindexArgs) -> Result<(), Failure> {
    let (datadir, genesis) = args.offline.open()?;
    let (ledger, report) = storage::rebuild(genesis, datadir.path())?;
    ledger.close()?;
    answer(&format!("reindexed {} moves up to height {}\n", report.moves_applied, report.height))
}
