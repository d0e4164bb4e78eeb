//! The kernel of plain words: one nonce at a time, without any instructions that a processor may lack.
//!
//! It saves what [`fixed`](super::fixed) saves, which `sha2` cannot know of, and so is the faster of the two wherever
//! `sha2` finds no instructions to use.

use std::ops::RangeInclusive;

use super::{Kernel, Puzzle, SLOW_CHUNK_HASHES, vector};

/// One nonce at a time, in 32-bit words, on any processor.
pub(super) const SCALAR: Kernel = Kernel { name: "scalar", first_hit, chunk_hashes: SLOW_CHUNK_HASHES };

fn first_hit(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    vector::first_hit::<u32>(puzzle, nonces)
}
