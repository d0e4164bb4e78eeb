//! `printsy-miner`: mines with the work that any node hands out. See docs/mining.md.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use printsy_miner_program::cli::{Cli, Command};
use printsy_miner_program::exit::Failure;
use printsy_miner_program::tell::Teller;
use printsy_miner_program::{bench, manual, run};

/// The threads beside those that search: for sockets and timers, which are little work.
const DRIVER_THREADS: usize = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Some(Command::Man(args)) => return manual::man(Cli::command(), args),
        Some(Command::Completions(args)) => return manual::completions(Cli::command(), args),
        None => {}
    }
    if cli.bench {
        return bench::measure(cli);
    }
    if cli.selftest {
        return bench::self_test(cli);
    }
    let teller = Teller::install(&cli.log, cli.json)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(DRIVER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(run::run(cli, &teller));
    teller.end();
    // What still runs is a call that nobody waits for.
    runtime.shutdown_background();
    result
}
