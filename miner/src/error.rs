//! What can keep a miner from starting. Once it has started, nothing fails: a search ends as one of the three
//! kinds of [`Search`](crate::Search), of which none is an error.

use std::ops::RangeInclusive;

use crate::miner::MAX_THREADS;

/// Why there is no miner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No threads, or absurdly many.
    #[error("threads: got {got}, expected 1 to {MAX_THREADS}")]
    Threads {
        /// How many were asked for.
        got: usize,
    },
    /// The system gave no threads.
    #[error("the mining threads cannot be started: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// A kernel computes wrongly on this machine.
    #[error(
        "the {kernel} kernel fails its self-test in nonces {nonces:?}: got {got:?}, expected {expected:?}"
    )]
    SelfTest {
        /// The kernel's name.
        kernel: &'static str,
        /// The range it was asked to search.
        nonces: RangeInclusive<u64>,
        /// Its answer.
        got: Option<u64>,
        /// The right one.
        expected: Option<u64>,
    },
}
