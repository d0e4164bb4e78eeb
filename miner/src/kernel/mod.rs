//! Kernels: the one loop in which a miner spends its time.
//!
//! A header is three SHA-256 blocks, of which only the last holds the nonce. What the first two make of the state
//! is computed once a job, in [`Puzzle::new`]; a kernel then tries nonces at two compressions each. A kernel is a
//! name and a function, one file each; it shares nothing with the others but the question and its one right
//! answer, and [`self_test`] asks it before it is used.

use std::ops::RangeInclusive;

use printsy_consensus::Header;
use sha2::block_api::compress256;

mod answers;
mod portable;

pub use answers::self_test;
pub use portable::PORTABLE;

/// SHA-256's state before any block (FIPS 180-4, 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The header's bytes before the last of its three SHA-256 blocks.
const MIDSTATE_LEN: usize = 128;
/// The last block's bytes before the nonce, the same for every try.
const TAIL_LEN: usize = Header::NONCE_OFFSET - MIDSTATE_LEN;

/// A way of trying nonces.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// What people call it.
    pub name: &'static str,
    /// The lowest nonce of the range that solves the puzzle, or `None` if none does. The range is never empty
    /// and may end at `u64::MAX`.
    pub first_hit: fn(&Puzzle, RangeInclusive<u64>) -> Option<u64>,
}

/// A job as kernels want it: all that does not depend on the nonce, done already.
#[derive(Clone, Debug)]
pub struct Puzzle {
    /// SHA-256's state after the header's first 128 bytes.
    midstate: [u32; 8],
    /// The header's bytes from there to the nonce.
    tail: [u8; TAIL_LEN],
    /// The target as words, most significant first, so that arrays compare as the numbers do.
    target: [u32; 8],
    /// The target's most significant 64 bits.
    target_top: u64,
}

impl Puzzle {
    /// The puzzle of this header, whatever nonce it holds, and this big-endian target.
    #[must_use]
    pub fn new(header: &[u8; Header::LEN], target: &[u8; 32]) -> Self {
        let (fixed, last) = header.split_at(MIDSTATE_LEN);
        let (blocks, _) = fixed.as_chunks();
        let mut midstate = SHA256_START;
        compress256(&mut midstate, blocks);
        let (target, _) = target.as_chunks();
        let target: [u32; 8] = std::array::from_fn(|i| u32::from_be_bytes(target[i]));
        let tail = *last.first_chunk().expect("the header is longer than its fixed part");
        Self { midstate, tail, target, target_top: top(&target) }
    }

    /// Whether a header whose id is this state, most significant word first, has done the work.
    ///
    /// The first 64 bits decide all but about one try in 2^64, so they are compared first, as one number; the
    /// rest only where they do not exceed the target's.
    #[inline]
    fn is_met_by(&self, id: &[u32; 8]) -> bool {
        top(id) <= self.target_top && *id <= self.target
    }
}

/// The most significant 64 of 256 bits.
#[inline]
fn top(words: &[u32; 8]) -> u64 {
    (u64::from(words[0]) << 32) | u64::from(words[1])
}
