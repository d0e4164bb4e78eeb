//! `printsyd audit`: everything a stopped node has on its disk, held against the rules, against itself, and, where
//! asked, against the chain of a running node.
//!
//! The checks are the ledger's (`printsy_ledger::audit`); here is what people type and see. `scratch` lends the
//! index a copy to be opened on, `against` asks the other node, `report` writes it all down. Nothing in the datadir
//! changes but for that copy, which goes again.

mod against;
mod report;
mod scratch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use printsy_consensus::Genesis;
use printsy_ledger::audit::{self, AuditReport, Stage};
use printsy_ledger::store::{Disk, StoreError};
use printsy_ledger::{LedgerError, Progress};

use self::against::Comparison;
use self::report::Report;
use self::scratch::Scratch;
use super::OfflineArgs;
use crate::exit::Failure;
use crate::progress::Reporter;
use crate::storage;

/// `printsyd audit`.
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    offline: OfflineArgs,
    /// Where the report goes, as JSON; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The JSON-RPC of a running node, to find the first block that its chain has otherwise.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// The file that holds the token to show to that node, where it asks for one.
    #[arg(long, value_name = "PATH", requires = "against")]
    token_file: Option<PathBuf>,
    /// Compare with the other node, and check nothing else.
    #[arg(long, requires = "against")]
    only_compare: bool,
}

/// Audits a datadir.
///
/// # Errors
/// Exit code 5 where anything was found; 4 where a process uses the datadir, 6 where the other node is of another
/// network.
pub fn audit(args: &AuditArgs) -> Result<(), Failure> {
    let (datadir, genesis) = args.offline.open()?;
    let disk: Arc<dyn Disk> = storage::open_disk(datadir.path())?;
    let mut report = Report::new(&genesis);
    // First, for it is soon done and may have nobody to ask.
    if let Some(url) = &args.against {
        match against::compare(url, args.token_file.as_deref(), &genesis, &disk)? {
            Ok(comparison) => report.against = Some(comparison),
            Err(damage) if args.only_compare => return Err(damage.into()),
            Err(damage) => report.against = Some(Comparison::impossible(url, &damage.to_string())),
        }
    }
    if !args.only_compare {
        report.audited = Some(check(&genesis, &disk, datadir.path())?);
    }
    report.write(args.report.as_deref())?;
    eprint!("{}", report.summary());
    report.verdict()
}

/// Every check, with progress.
fn check(genesis: &Arc<Genesis>, disk: &Arc<dyn Disk>, datadir: &Path) -> Result<AuditReport, Failure> {
    let scratch = Scratch::of_index(datadir)?;
    let mut showing: Option<(Stage, Reporter)> = None;
    let mut show = |stage: Stage, at: Progress| {
        let (_, reporter) = match showing.take().filter(|(shown, _)| *shown == stage) {
            Some(same) => showing.insert(same),
            None => showing.insert((stage, Reporter::new(words(stage)))),
        };
        reporter.tell(at);
    };
    let report = audit::audit(genesis, disk, scratch.open(), &mut show)?;
    Ok(report)
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Frames => "reading the journal",
        Stage::Replay => "executing the journal",
        Stage::Index => "comparing the index",
        Stage::Count => "counting the blocks",
    }
}

/// Damage keeps a comparison from being made, and is then found by the checks; everything else ends the audit.
fn damage_or_failure<T>(result: Result<T, StoreError>) -> Result<Result<T, StoreError>, Failure> {
    match result {
        Err(error @ StoreError::Damaged { .. }) => Ok(Err(error)),
        other => Ok(Ok(other.map_err(LedgerError::from)?)),
    }
}
