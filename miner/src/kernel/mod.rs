//! Kernels: the one loop in which a miner spends its time.
//!
//! A header is three SHA-256 blocks, of which only the last holds the nonce. What the first two make of the state
//! is computed once a job, in [`Puzzle::new`]; a kernel then tries nonces at two compressions each. A kernel is a
//! name and a function, one file each, and [`self_test`] asks it before it is used; `choice` knows them all.
//!
//! What more than one kernel needs: `fixed`, what of a try does not depend on the lower half of its nonce; `lanes` and
//! `vector`, SHA-256 and the search over as many nonces at once as a vector has lanes. The faster kernels look at an
//! id's first word alone, and leave it to the puzzle, and so to `sha2`, whether a nonce that passes is a hit: they may
//! miss one by an error of theirs, but never make one up.

use std::ops::RangeInclusive;

use portable::Tries;
use printsy_consensus::Header;
use sha2::block_api::compress256;

mod answers;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod choice;
mod fixed;
mod lanes;
#[cfg(test)]
mod laws;
mod portable;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod vector;

pub use answers::self_test;
pub use choice::{kernel_named, kernels};
pub use portable::PORTABLE;

/// SHA-256's state before any block (FIPS 180-4, 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The header's bytes before the last of its three SHA-256 blocks.
const MIDSTATE_LEN: usize = 128;
/// The last block's words before the nonce, the same for every try.
const TAIL_WORDS: usize = (Header::NONCE_OFFSET - MIDSTATE_LEN) / size_of::<u32>();
/// A digest's length in bits, as the padding of the second hash has it.
const DIGEST_BITS: u32 = 256;
/// A chunk of about a millisecond where a core tries a million nonces a second, as slow ones do without SHA
/// instructions.
const SLOW_CHUNK_HASHES: u64 = 1024;

/// A way of trying nonces.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// What people call it.
    pub name: &'static str,
    /// The lowest nonce of the range that solves the puzzle, or `None` if none does. The range is never empty
    /// and may end at `u64::MAX`.
    pub first_hit: fn(&Puzzle, RangeInclusive<u64>) -> Option<u64>,
    /// Hashes that a worker tries between two looks at what else happened, at least 1: about a millisecond's on a
    /// slow core, so that a search gives up that soon, and no fewer, since each look touches memory that all
    /// workers share.
    pub chunk_hashes: u64,
}

/// A job as kernels want it: all that does not depend on the nonce, done already.
#[derive(Clone, Debug)]
pub struct Puzzle {
    /// SHA-256's state after the header's first 128 bytes.
    midstate: [u32; 8],
    /// The header's bytes from there to the nonce, as SHA-256 reads them.
    tail: [u32; TAIL_WORDS],
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
        let (tail, _) = last.as_chunks();
        let tail = std::array::from_fn(|i| u32::from_be_bytes(tail[i]));
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

    /// The lowest nonce that solves the puzzle among some: those of the range that are as far from its start as the
    /// bits set in `candidates` are from the lowest. Each is tried by the portable kernel's way: it is what decides.
    #[cold]
    fn lowest_of(&self, candidates: u32, nonces: RangeInclusive<u64>) -> Option<u64> {
        let mut tries = Tries::new(self);
        let is_candidate = |nonce: &u64| candidates & (1 << (nonce - nonces.start())) != 0;
        let mut first = nonces.clone().take(u32::BITS as usize).filter(is_candidate);
        first.find(|nonce| self.is_met_by(&tries.id(*nonce)))
    }
}

/// The most significant 64 of 256 bits.
#[inline]
fn top(words: &[u32; 8]) -> u64 {
    (u64::from(words[0]) << 32) | u64::from(words[1])
}
