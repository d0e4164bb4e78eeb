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
    /// No kernel has this name.
    #[error("no kernel is called {name:?}; this processor runs {}", runnable.join(", "))]
    UnknownKernel {
        /// The name as given.
        name: String,
        /// The kernels that this processor runs, the fastest first.
        runnable: Vec<&'static str>,
    },
    /// This processor does not run the kernel.
    #[error("the {name} kernel needs {needs}, which is not here; this processor runs {}", runnable.join(", "))]
    KernelNotHere {
        /// The kernel's name.
        name: &'static str,
        /// What it needs of a processor.
        needs: &'static str,
        /// The kernels that this processor runs, the fastest first.
        runnable: Vec<&'static str>,
    },
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
