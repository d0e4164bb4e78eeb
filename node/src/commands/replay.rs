//! `printsyd replay`: the whole chain again, from genesis, root by root.
//!
//! The journal is executed in memory and nothing on the disk changes: every rule, every state root, every undo. It
//! ends at the first fault and names it. What else a datadir holds is `audit`'s.

use clap::Args;
use printsy_ledger::audit::{self, Replayed};

use super::OfflineArgs;
use crate::exit::Failure;
use crate::progress::{Reporter, per_second};
use crate::storage;

/// `printsyd replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    offline: OfflineArgs,
}

/// Executes the journal again.
///
/// # Errors
/// Exit code 5 at the first fault, with its height and block, or its file and offset; 4 where a process uses the
/// datadir.
pub fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let (datadir, genesis) = args.offline.open()?;
    let disk = storage::open_disk(datadir.path())?;
    let mut reporter = Reporter::new("executing the journal");
    let replayed = audit::replay(&genesis, disk, &mut |at| reporter.tell(at))?;
    let elapsed = reporter.elapsed();
    drop(reporter);
    let Replayed { height, tip, state_root, final_height, moves, blocks, transactions } = replayed;
    println!("height {height}");
    println!("tip {tip}");
    println!("state root {state_root}");
    println!("final height {final_height}");
    println!(
        "executed {transactions} transactions in {blocks} blocks and {moves} moves, {} transactions/s",
        per_second(transactions, elapsed)
    );
    Ok(())
}
