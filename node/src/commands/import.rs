//! `printsyd import`: takes the chain of a file that `printsyd export` wrote, into a new datadir or on top of the
//! chain of one.
//!
//! Nothing in the file is believed: each block is checked and executed as one from a peer is. Blocks are durable as
//! they are taken, so that an import that was interrupted is begun again and goes on where it stopped.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use printsy_ledger::{ChainReader, Imported, Ledger, MoveChainError, Progress};

use super::{OfflineArgs, answer, open_ledger};
use crate::clock::Clock;
use crate::datadir::GivenGenesis;
use crate::exit::Failure;
use crate::progress::{Reporter, per_second};

/// How much is read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// `printsyd import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// A file that `printsyd export` wrote; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    offline: OfflineArgs,
}

/// Takes the chain of a file.
///
/// # Errors
/// Exit code 5 where the file is damaged or holds an invalid block, 6 where the datadir is of another network or the
/// file of a newer program, 4 where a process uses the datadir. It holds what came before, whole.
pub fn import(args: &ImportArgs) -> Result<(), Failure> {
    let (input, total) = args.input()?;
    let name = args.name();
    let failed = |error, after: &str| Failure::moving_chain(&format!("import {name}"), error, after);
    let file = ChainReader::open(BufReader::with_capacity(BUFFER_BYTES, input));
    let mut file = file.map_err(|error| failed(MoveChainError::from(error), ""))?;
    let given = GivenGenesis {
        genesis: file.genesis().as_ref().clone(),
        text: file.genesis_text().to_owned(),
        from: name.clone(),
    };
    let (datadir, genesis) = args.offline.open_for(Some(given))?;
    let mut ledger = open_ledger(genesis, datadir.path())?;
    let mut reporter = Reporter::new("importing");
    let clock = Clock::default();
    let imported = ledger.import(&mut file, &|| clock.now(), &mut |at| {
        reporter.tell(Progress { total: total.unwrap_or(at.done), ..at });
    });
    let elapsed = reporter.elapsed();
    drop(reporter);
    let closed = ledger.close();
    let stands = format!("; the datadir's chain is whole and ends at height {}", ledger.tip().height());
    let imported = imported.map_err(|error| failed(error, &stands))?;
    closed?;
    answer(&(report(&imported, &ledger, per_second(imported.transactions, elapsed)) + "\n"))
}

impl ImportArgs {
    fn input(&self) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
        if self.file == Path::new("-") {
            if io::stdin().is_terminal() {
                return Err(Failure::Usage(
                    "standard input is a terminal: pass a FILE, or pipe one in".to_owned(),
                ));
            }
            return Ok((Box::new(io::stdin().lock()), None));
        }
        let failed = |error: &io::Error| Failure::io("read", &self.file, error);
        let file = File::open(&self.file).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        let total = metadata.is_file().then_some(metadata.len());
        Ok((Box::new(file), total))
    }

    fn name(&self) -> String {
        if self.file == Path::new("-") {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        }
    }
}

fn report(imported: &Imported, ledger: &Ledger, rate: u64) -> String {
    let Imported { blocks, transactions, known, disconnected, lighter } = imported;
    let mut text = format!(
        "imported {blocks} blocks with {transactions} transactions ({rate} a second), {known} were there before; \
         tip {} at height {}",
        ledger.tip().id(),
        ledger.tip().height()
    );
    if *disconnected > 0 {
        text += &format!("; {disconnected} blocks left the chain for a branch of more work");
    }
    if let Some(lighter) = lighter {
        text += &format!(
            "\nnot taken: the file's chain leaves this one after height {} and ends at height {} with work {}; this \
             one has work {}",
            lighter.fork,
            lighter.height,
            lighter.work,
            ledger.tip().work
        );
    }
    text
}
