//! The kernel that is as fast as `sha2`: one nonce at a time, by its compression.
//!
//! On x86-64 and on 64-bit ARM `sha2` uses the processor's SHA instructions by itself where there are any, and plain
//! words elsewhere. It is the model that the other kernels are held against.

use std::ops::RangeInclusive;
use std::slice::from_ref;

use printsy_consensus::Header;
use sha2::block_api::compress256;

use super::{DIGEST_BITS, Kernel, Puzzle, SHA256_START, SLOW_CHUNK_HASHES, TAIL_WORDS};

/// One nonce at a time, on any processor.
pub const PORTABLE: Kernel = Kernel { name: "portable", first_hit, chunk_hashes: SLOW_CHUNK_HASHES };

/// Whether `sha2` finds SHA instructions here: the same questions that it asks.
pub(super) fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    let found = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found = false;
    found
}

fn first_hit(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    let mut tries = Tries::new(puzzle);
    let (mut nonce, last) = nonces.into_inner();
    // A range's own iterator looks twice at where it is.
    loop {
        if puzzle.is_met_by(&tries.id(nonce)) {
            return Some(nonce);
        }
        if nonce == last {
            return None;
        }
        nonce += 1;
    }
}

/// Where the nonce stands in the header's last block.
const NONCE: std::ops::Range<usize> = TAIL_WORDS * size_of::<u32>()..Header::LEN % BLOCK_LEN;
/// A block's bytes.
const BLOCK_LEN: usize = 64;
/// A digest's bytes: all that the second hash reads.
const DIGEST_LEN: usize = 32;

/// One puzzle's tries: the blocks of both hashes, written but for the nonce and the digest.
pub(super) struct Tries<'a> {
    midstate: &'a [u32; 8],
    inner: [u8; BLOCK_LEN],
    outer: [u8; BLOCK_LEN],
}

impl<'a> Tries<'a> {
    pub(super) fn new(puzzle: &'a Puzzle) -> Self {
        let bits = u32::try_from(Header::LEN * 8).expect("a header's length in bits is small");
        let mut inner = padded_block(NONCE.end, bits);
        write(&mut inner, &puzzle.tail);
        Self { midstate: &puzzle.midstate, inner, outer: padded_block(DIGEST_LEN, DIGEST_BITS) }
    }

    /// The header's id with this nonce, most significant word first.
    #[inline]
    pub(super) fn id(&mut self, nonce: u64) -> [u32; 8] {
        self.inner[NONCE].copy_from_slice(&nonce.to_le_bytes());
        let mut digest = *self.midstate;
        compress256(&mut digest, from_ref(&self.inner));
        write(&mut self.outer, &digest);
        let mut id = SHA256_START;
        compress256(&mut id, from_ref(&self.outer));
        id
    }
}

/// Writes words to the beginning of a block, as SHA-256 reads them.
#[inline]
fn write(block: &mut [u8; BLOCK_LEN], words: &[u32]) {
    for (bytes, word) in block.chunks_exact_mut(size_of::<u32>()).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// SHA-256's padding for a last block that holds this many bytes of a message of this many bits.
fn padded_block(used: usize, message_bits: u32) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    block[used] = 0x80;
    block[BLOCK_LEN - size_of::<u32>()..].copy_from_slice(&message_bits.to_be_bytes());
    block
}
