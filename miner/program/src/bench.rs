//! Kernels: what each does on this machine, and whether it computes rightly. Which one is searched with the library
//! chooses, unless one was named.

use std::io::{self, Write};
use std::time::Duration;

use printsy_miner::bench::{Plan, Rate, rates};
use printsy_miner::{Kernel, Miner, kernel_named, kernels};
use serde_json::json;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::tell;

/// How many rounds of each measurement, of which the median is told.
const ROUNDS: usize = 5;
/// How long one measurement takes.
const MEASUREMENT: Duration = Duration::from_millis(300);

/// A miner that searches with the kernel that was named; without one, with the fastest that computes rightly here.
///
/// # Errors
/// A name that is none here, no kernel that computes rightly, or a wrong number of threads.
pub fn miner(cli: &Cli) -> Result<Miner, Failure> {
    let miner = match &cli.kernel {
        Some(name) => Miner::with_kernel(cli.threads(), named(name)?)?,
        None => Miner::new(cli.threads())?,
    };
    // Loudly: the machine is not sound.
    for error in miner.skipped() {
        tracing::error!(%error, "a kernel is passed over");
    }
    Ok(miner)
}

fn named(name: &str) -> Result<Kernel, Failure> {
    kernel_named(name).map_err(|error| Failure::Usage(format!("--kernel: {error}")))
}

/// `--selftest`: the known questions put to every kernel of this machine, or to the one that was named.
///
/// # Errors
/// If one gives a wrong answer.
pub fn self_test(cli: &Cli) -> Result<(), Failure> {
    let mut first_wrong = None;
    for kernel in asked_for(cli)? {
        let result = printsy_miner::self_test(&kernel);
        let verdict = result.as_ref().map_or_else(ToString::to_string, |()| "right".to_owned());
        if cli.json {
            say(&json!({ "kernel": kernel.name, "right": result.is_ok() }).to_string())?;
        } else {
            say(&format!("{:<10} {verdict}", kernel.name))?;
        }
        first_wrong = first_wrong.or(result.err());
    }
    match first_wrong {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}

/// `--bench`: what every kernel of this machine does, or the one that was named, the median of several rounds.
///
/// # Errors
/// If one cannot be measured.
pub fn measure(cli: &Cli) -> Result<(), Failure> {
    let plan = Plan { threads: cli.threads(), rounds: ROUNDS, measurement: MEASUREMENT };
    let report = rates(&asked_for(cli)?, &plan)?;
    let one_by_sha2 = report.sha2_midstate;
    if cli.json {
        let kernels: Vec<_> = report.kernels.iter().map(|rate| in_json(rate, one_by_sha2)).collect();
        return say(&json!({ "threads": plan.threads, "kernels": kernels }).to_string());
    }
    let all = format!("{} threads", plan.threads);
    say(&format!("{:<10} {:>14} {:>14} {:>12}", "kernel", "one thread", all, "times sha2"))?;
    for Rate { kernel, one_thread, all_threads } in report.kernels {
        let times = one_thread / one_by_sha2;
        let (one, all) = (tell::rate(whole(one_thread)), tell::rate(whole(all_threads)));
        say(&format!("{kernel:<10} {one:>14} {all:>14} {times:>12.2}"))?;
    }
    Ok(())
}

fn in_json(rate: &Rate, one_by_sha2: f64) -> serde_json::Value {
    json!({
        "kernel": rate.kernel,
        "hashesPerSecond": whole(rate.one_thread),
        "hashesPerSecondAllThreads": whole(rate.all_threads),
        "timesSha2": rate.one_thread / one_by_sha2,
    })
}

fn asked_for(cli: &Cli) -> Result<Vec<Kernel>, Failure> {
    match &cli.kernel {
        Some(name) => Ok(vec![named(name)?]),
        None => Ok(kernels()),
    }
}

/// A rate without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float turns into the nearest integer of the type, and rates are above zero"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// One line of data.
fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}")
        .map_err(|error| Failure::Runtime(format!("cannot write: {error}")))
}
