//! What a kernel does in a second here, and how soon a miner turns to its next search.
//!
//! A measurement driver: it alone in this crate reads a clock, and decides nothing by it. Rounds of all kernels are
//! interleaved, so that what else the machine does meanwhile falls on all of them, and the median of the rounds is
//! told. The baseline is what anyone could write with `sha2`: its compression from the midstate on, twice a try.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::slice::from_ref;
use std::thread;
use std::time::{Duration, Instant};

use printsy_consensus::Header;
use sha2::block_api::compress256;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::kernel::{Kernel, Puzzle};
use crate::miner::{Job, Miner};

/// Hashes of the baseline between two looks at the clock.
const BASELINE_CHUNK: u64 = 1024;

/// The pause between two looks whether a search has begun.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many threads all threads are.
    pub threads: usize,
    /// How many rounds; at least one is made.
    pub rounds: usize,
    /// How long one measurement of a round takes. A round has two for each kernel.
    pub measurement: Duration,
}

/// What a kernel does, each the median of all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Hashes a second, on one thread.
    pub one_thread: f64,
    /// Hashes a second, on all threads of a [`Miner`] together.
    pub all_threads: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Hashes a second of the baseline, on one thread, the median of all rounds.
    pub sha2_midstate: f64,
    /// Each kernel's rates, in the order asked for.
    pub kernels: Vec<Rate>,
}

/// Measures the baseline and these kernels.
///
/// # Errors
/// [`Error`] as of [`Miner::with_kernel`]: a kernel that computes wrongly is not measured, nor are the others then.
pub fn rates(kernels: &[Kernel], plan: &Plan) -> Result<Report, Error> {
    let miners = kernels.iter().map(|kernel| Miner::with_kernel(plan.threads, *kernel));
    let miners: Vec<Miner> = miners.collect::<Result<_, _>>()?;
    let mut baseline = Vec::new();
    let mut measured = vec![(Vec::new(), Vec::new()); kernels.len()];
    for _ in 0..plan.rounds.max(1) {
        baseline.push(of_sha2_midstate(plan.measurement));
        for ((kernel, miner), (one, all)) in kernels.iter().zip(&miners).zip(&mut measured) {
            one.push(on_one_thread(kernel, plan.measurement));
            all.push(on_all_threads(miner, plan.measurement));
        }
    }
    let rates = kernels.iter().zip(measured).map(|(kernel, (one, all))| Rate {
        kernel: kernel.name,
        one_thread: median(one),
        all_threads: median(all),
    });
    Ok(Report { sha2_midstate: median(baseline), kernels: rates.collect() })
}

/// How long it takes from a search's cancel to the first hash of the next one, so many times. Each is told a little
/// too long rather than too short: until the next search, which the first hash ends, is over on all threads.
///
/// # Panics
/// If a kernel does.
#[must_use]
pub fn turns(miner: &Miner, count: usize) -> Vec<Duration> {
    let (hopeless, immediate) = (job([0; 32]), job([0xff; 32]));
    let turn = |_| {
        let cancel = Cancel::new();
        thread::scope(|scope| {
            let before = miner.hashes();
            let turned = scope.spawn(|| {
                let _cancelled = miner.search(&hopeless, 0, &cancel);
                let _found = miner.search(&immediate, 0, &Cancel::new());
                Instant::now()
            });
            while miner.hashes() == before {
                thread::sleep(LOOK_EVERY);
            }
            let at = Instant::now();
            cancel.cancel();
            turned.join().expect("a search does not panic").duration_since(at)
        })
    };
    (0..count).map(turn).collect()
}

/// The baseline: any midstate, any blocks, two compressions a try, and no look at what comes of it.
fn of_sha2_midstate(measurement: Duration) -> f64 {
    let midstate = black_box([0x5a5a_5a5a_u32; 8]);
    let (mut inner, mut outer) = ([0_u8; 64], [0_u8; 64]);
    let started = Instant::now();
    let mut hashes = 0_u64;
    while started.elapsed() < measurement {
        for nonce in hashes..hashes + BASELINE_CHUNK {
            inner[24..32].copy_from_slice(&nonce.to_le_bytes());
            let mut digest = midstate;
            compress256(&mut digest, from_ref(&inner));
            for (bytes, word) in outer.chunks_exact_mut(4).zip(digest) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            let mut id = midstate;
            compress256(&mut id, from_ref(&outer));
            black_box(id);
        }
        hashes += BASELINE_CHUNK;
    }
    per_second(hashes, started.elapsed())
}

fn on_one_thread(kernel: &Kernel, measurement: Duration) -> f64 {
    let Job { header, target } = job([0; 32]);
    let puzzle = Puzzle::new(&header, &target);
    let started = Instant::now();
    let mut hashes = 0;
    while started.elapsed() < measurement {
        let hit = (kernel.first_hit)(&puzzle, hashes..=hashes + (kernel.chunk_hashes - 1));
        assert_eq!(hit, None, "no id is zero");
        hashes += kernel.chunk_hashes;
    }
    per_second(hashes, started.elapsed())
}

fn on_all_threads(miner: &Miner, measurement: Duration) -> f64 {
    let (job, cancel) = (job([0; 32]), Cancel::new());
    let before = miner.hashes();
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| miner.search(&job, 0, &cancel));
        thread::sleep(measurement);
        // At least a chunk, as on one thread: a busy machine may have run none yet.
        while miner.hashes() == before {
            thread::sleep(LOOK_EVERY);
        }
        cancel.cancel();
    });
    per_second(miner.hashes() - before, started.elapsed())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are told to three digits, and hashes are fewer than 2^53"
)]
fn per_second(hashes: u64, elapsed: Duration) -> f64 {
    hashes as f64 / elapsed.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Any header, and this target.
fn job(target: [u8; 32]) -> Job {
    Job { header: [0x5a; Header::LEN], target }
}
