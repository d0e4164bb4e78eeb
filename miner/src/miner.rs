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
use crate::kernel::{Kernel, PORTABLE, Puzzle, self_test};

/// Hashes that a worker tries between two looks at what else happened. The slowest core does a million a second:
/// cancelling takes effect in under 5 ms there, while a fast one still touches shared memory rarely.
pub const CHUNK_HASHES: u64 = 4096;

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

/// Searches nonces on threads of its own, which sleep between searches and end when it is dropped.
#[derive(Debug)]
pub struct Miner {
    pool: ThreadPool,
    kernel: Kernel,
    hashes: AtomicU64,
}

impl Miner {
    /// A miner of this many threads, with the fastest kernel that this processor runs.
    ///
    /// # Errors
    /// [`Error`]: the number is not 1 to [`MAX_THREADS`], the system refuses the threads, or no kernel is right.
    pub fn new(threads: usize) -> Result<Self, Error> {
        Self::with_kernel(threads, PORTABLE)
    }

    /// A miner with this kernel, once the kernel has passed its self-test.
    ///
    /// # Errors
    /// As [`Miner::new`].
    pub fn with_kernel(threads: usize, kernel: Kernel) -> Result<Self, Error> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(Error::Threads { got: threads });
        }
        self_test(&kernel)?;
        let pool =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("miner-{i}")).build()?;
        Ok(Self { pool, kernel, hashes: AtomicU64::new(0) })
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

    /// What one thread does for a search.
    fn work(&self, puzzle: &Puzzle, shared: &Shared<'_>) -> Search {
        loop {
            if shared.cancel.is_cancelled() {
                return Search::Cancelled;
            }
            if shared.found.load(Ordering::Relaxed) {
                return Search::Exhausted; // of what is left to this worker: the finder's own end decides
            }
            let Some(chunk) = shared.chunks.next() else {
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

    /// The next chunk, or `None` beyond `u64::MAX`. It counts chunks rather than nonces, so that asking again
    /// at the end does not run the counter round.
    fn next(&self) -> Option<RangeInclusive<u64>> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed).checked_mul(CHUNK_HASHES)?;
        let first = self.start.checked_add(before)?;
        Some(first..=first.saturating_add(CHUNK_HASHES - 1))
    }
}
