//! The threads that search, and how they share the nonces.
//!
//! The nonces from the start on are cut into chunks. A shared cursor hands the chunks out in ascending order; a
//! worker takes the next one, searches it to its end or first hit, and only then looks up: was the search
//! cancelled, has anyone found a nonce? So a slow core never holds up the others, and nothing is waited for.
//!
//! # Correctness
//! Every chunk below one that was handed out was handed out too, and every chunk handed out is searched. So the
//! lowest of the workers' hits is the lowest hit of all, whatever the number of threads.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use printsy_consensus::{Header, Target};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::kernel::{Kernel, Puzzle, kernels, self_test};

/// The most threads of one miner: more than machines have cores, fewer than would exhaust one.
pub const MAX_THREADS: usize = 1024;

/// What to search a nonce for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The header's bytes; those of its nonce do not matter.
    pub header: [u8; Header::LEN],
    /// The number that its id must not exceed, big-endian.
    pub target: [u8; 32],
}

impl Job {
    /// The job of finding `header`'s nonce.
    #[must_use]
    pub fn new(header: &Header, target: Target) -> Self {
        Self { header: header.to_bytes(), target: target.to_be_bytes() }
    }
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// With the lowest nonce, from the start on, that does the work. A hit stands even if the search was
    /// cancelled at the same moment.
    Found {
        /// The nonce.
        nonce: u64,
    },
    /// No nonce from the start to `u64::MAX` does.
    Exhausted,
    /// It was given up.
    Cancelled,
}

/// How much less than its process's other threads a mining thread is to be run, in steps of `nice`: about a tenth
/// of the time where both want all of a core, all of it where nobody else does.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Searches nonces on threads of its own, which sleep between searches and end when it is dropped. On Linux they
/// have a lower priority, so that whatever else its process does comes first.
#[derive(Debug)]
pub struct Miner {
    pool: ThreadPool,
    kernel: Kernel,
    skipped: Vec<Error>,
    hashes: AtomicU64,
}

impl Miner {
    /// A miner of this many threads, with the fastest kernel that this processor runs and that passes its
    /// self-test. Whoever starts it says what [`Miner::skipped`] tells.
    ///
    /// # Errors
    /// [`Error`]: the number is not 1 to [`MAX_THREADS`], the system refuses the threads, or no kernel is right.
    pub fn new(threads: usize) -> Result<Self, Error> {
        let (kernel, skipped) = first_right(kernels())?;
        Self::start(threads, kernel, skipped)
    }

    /// A miner with this kernel, once the kernel has passed its self-test.
    ///
    /// # Errors
    /// As [`Miner::new`].
    pub fn with_kernel(threads: usize, kernel: Kernel) -> Result<Self, Error> {
        self_test(&kernel)?;
        Self::start(threads, kernel, Vec::new())
    }

    fn start(threads: usize, kernel: Kernel, skipped: Vec<Error>) -> Result<Self, Error> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(Error::Threads { got: threads });
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("miner-{i}"))
            .start_handler(|_| yield_to_others())
            .build()?;
        Ok(Self { pool, kernel, skipped, hashes: AtomicU64::new(0) })
    }

    /// Searches the nonces from `start_nonce` to `u64::MAX`, on all threads, and blocks until it is over. One
    /// search at a time: another one waits for this one's end.
    ///
    /// # Panics
    /// If a kernel does.
    #[must_use]
    pub fn search(&self, job: &Job, start_nonce: u64, cancel: &Cancel) -> Search {
        let puzzle = Puzzle::new(&job.header, &job.target);
        let shared = Shared { chunks: Chunks::from(start_nonce), found: AtomicBool::new(false), cancel };
        let ends = self.pool.broadcast(|_| self.work(&puzzle, &shared));
        ends.into_iter().fold(Search::Exhausted, Search::join)
    }

    /// How many hashes it has tried since it was made, in all its searches.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// What it computes with, for people.
    #[must_use]
    pub fn kernel_name(&self) -> &'static str {
        self.kernel.name
    }

    /// The faster kernels that were not taken because they compute wrongly on this machine: none on a sound one.
    #[must_use]
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    /// What one thread does for a search.
    fn work(&self, puzzle: &Puzzle, shared: &Shared<'_>) -> Search {
        loop {
            if shared.cancel.is_cancelled() {
                return Search::Cancelled;
            }
            if shared.found.load(Ordering::Relaxed) {
                return Search::Exhausted; // of what is left to this worker: the finder's own end decides
            }
            let Some(chunk) = shared.chunks.next(self.kernel.chunk_hashes) else {
                return Search::Exhausted;
            };
            let (first, last) = (*chunk.start(), *chunk.end());
            let hit = (self.kernel.first_hit)(puzzle, chunk);
            let tried = hit.unwrap_or(last).saturating_sub(first).saturating_add(1);
            self.hashes.fetch_add(tried, Ordering::Relaxed);
            if let Some(nonce) = hit {
                shared.found.store(true, Ordering::Relaxed);
                return Search::Found { nonce };
            }
            // A low priority alone keeps others waiting: Linux lets a thread run out a slice of milliseconds first.
            std::thread::yield_now();
        }
    }
}

impl Search {
    /// The end of a whole search of which these are two workers' ends.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Found { nonce: a }, Self::Found { nonce: b }) => Self::Found { nonce: a.min(b) },
            (found @ Self::Found { .. }, _) | (_, found @ Self::Found { .. }) => found,
            (Self::Cancelled, _) | (_, Self::Cancelled) => Self::Cancelled,
            (Self::Exhausted, Self::Exhausted) => Self::Exhausted,
        }
    }
}

/// What the workers of one search have in common.
struct Shared<'a> {
    chunks: Chunks,
    found: AtomicBool,
    cancel: &'a Cancel,
}

/// The nonces from one on, handed out chunk by chunk, each once, in ascending order.
struct Chunks {
    start: u64,
    taken: AtomicU64,
}

impl Chunks {
    fn from(start: u64) -> Self {
        Self { start, taken: AtomicU64::new(0) }
    }

    /// The next chunk, of this length, or `None` beyond `u64::MAX`. It counts chunks rather than nonces, so that
    /// asking again at the end does not run the counter round.
    fn next(&self, length: u64) -> Option<RangeInclusive<u64>> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed).checked_mul(length)?;
        let first = self.start.checked_add(before)?;
        Some(first..=first.saturating_add(length - 1))
    }
}

/// The first kernel that passes its self-test, and why those before it do not.
fn first_right(kernels: Vec<Kernel>) -> Result<(Kernel, Vec<Error>), Error> {
    let mut wrong = Vec::new();
    for kernel in kernels {
        match self_test(&kernel) {
            Ok(()) => return Ok((kernel, wrong)),
            Err(error) => wrong.push(error),
        }
    }
    Err(wrong.pop().expect("there is a kernel for every processor"))
}

/// Lowers the priority of the thread it is called on. Where the system refuses, mining goes on as it is: it is a
/// kindness to the other threads, not a condition.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    // On Linux a thread's id is a process's here, and the priority set is that thread's alone (setpriority(2)).
    let thread = rustix::thread::gettid();
    let current = rustix::process::getpriority_process(Some(thread)).unwrap_or_default();
    let _refused = rustix::process::setpriority_process(Some(thread), current.saturating_add(NICE));
}

/// Other systems have their own ways, which were not tried.
#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::PORTABLE;

    const WRONG: Kernel = Kernel { name: "finds nothing", first_hit: |_, _| None, chunk_hashes: 1 };

    #[test]
    fn a_kernel_that_computes_wrongly_is_passed_over_and_told() {
        let (kernel, skipped) = first_right(vec![WRONG, PORTABLE]).unwrap();
        assert_eq!(kernel.name, PORTABLE.name);
        assert!(matches!(skipped[..], [Error::SelfTest { kernel: "finds nothing", .. }]), "{skipped:?}");
    }

    #[test]
    fn without_a_right_kernel_there_is_no_miner() {
        assert!(matches!(first_right(vec![WRONG]), Err(Error::SelfTest { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn mining_threads_alone_have_a_lower_priority() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let miner = Miner::new(2).unwrap();
        let lowest = (before + NICE).min(19);
        assert_eq!(miner.pool.broadcast(|_| nice()), [lowest; 2]);
        assert_eq!(nice(), before);
    }
}
