//! Proof of work: the search for a nonce that brings a header's id under its target.
//!
//! A [`Miner`] owns its threads and answers one question, [`Miner::search`], until it has a [`Search`] or is told
//! by a [`Cancel`] that nobody wants the answer any more. How a single nonce is tried is a [`Kernel`]'s affair,
//! and a kernel is believed only after it gave the known answers. [`kernels`] are those that this processor runs,
//! [`kernel_named`] is one of them, and [`mod@bench`] tells what each does in a second.
//!
//! It knows nothing of templates, keys, slots or the network: whoever drives it builds the header, and signs the
//! block that comes of it. The tests hold every answer against `printsy-consensus`, whose word is what counts.

pub mod bench;
mod cancel;
mod error;
mod kernel;
mod miner;

pub use cancel::Cancel;
pub use error::Error;
pub use kernel::{Kernel, PORTABLE, Puzzle, kernel_named, kernels, self_test};
pub use miner::{Job, MAX_THREADS, Miner, Search};
