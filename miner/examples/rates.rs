//! Measures kernels for `scripts/bench-kernels`, one round a run, as lines of name and number: `sha2-midstate RATE`,
//! `KERNEL RATE`, `KERNEL-all RATE` in hashes a second, `turn-p50` and `turn-p99` in milliseconds.
//!
//! Usage: `rates MILLISECONDS [KERNEL]...`: how long one measurement takes, and which kernels; all of this processor's
//! where none is named.

#![allow(clippy::print_stdout, reason = "a program's answer")]

use std::time::Duration;

use printsy_miner::bench::{Plan, rates, turns};
use printsy_miner::{Kernel, Miner, kernel_named, kernels};

/// Turns to the next search in a round.
const TURNS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let milliseconds = arguments.next().ok_or("usage: rates MILLISECONDS [KERNEL]...")?.parse()?;
    let mut named: Vec<Kernel> = arguments.map(|name| kernel_named(&name)).collect::<Result<_, _>>()?;
    if named.is_empty() {
        named = kernels();
    }
    let threads = std::thread::available_parallelism()?.get();
    let plan = Plan { threads, rounds: 1, measurement: Duration::from_millis(milliseconds) };
    let report = rates(&named, &plan)?;
    println!("threads {threads}");
    println!("sha2-midstate {:.0}", report.sha2_midstate);
    for rate in report.kernels {
        println!("{} {:.0}", rate.kernel, rate.one_thread);
        println!("{}-all {:.0}", rate.kernel, rate.all_threads);
    }
    let mut turns = turns(&Miner::with_kernel(threads, named[0])?, TURNS);
    turns.sort_unstable();
    println!("turn-p50 {:.3}", turns[TURNS / 2].as_secs_f64() * 1e3);
    println!("turn-p99 {:.3}", turns[TURNS * 99 / 100].as_secs_f64() * 1e3);
    Ok(())
}
