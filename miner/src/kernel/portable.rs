//! The kernel for any machine: one nonce at a time, with `sha2`'s compression.
//!
//! No slouch either: `sha2` uses the processor's SHA instructions by itself where there are any. It is the model
//! that faster kernels are held against.

use std::ops::RangeInclusive;

use printsy_consensus::Header;
use sha2::block_api::compress256;

use super::{Kernel, Puzzle, SHA256_START, TAIL_LEN};

/// One nonce at a time, on any processor.
pub const PORTABLE: Kernel = Kernel { name: "portable", first_hit };

/// Where the nonce ends in the header's last block, and the padding begins.
const NONCE_END: usize = TAIL_LEN + size_of::<u64>();
/// A digest's bytes: all that the second hash reads.
const DIGEST_LEN: usize = 32;

fn first_hit(puzzle: &Puzzle, mut nonces: RangeInclusive<u64>) -> Option<u64> {
    let mut inner = padded_block::<NONCE_END>(Header::LEN);
    inner[..TAIL_LEN].copy_from_slice(&puzzle.tail);
    let mut outer = padded_block::<DIGEST_LEN>(DIGEST_LEN);
    nonces.find(|nonce| {
        inner[TAIL_LEN..NONCE_END].copy_from_slice(&nonce.to_le_bytes());
        let mut digest = puzzle.midstate;
        compress256(&mut digest, &[inner]);
        for (bytes, word) in outer.chunks_exact_mut(size_of::<u32>()).zip(digest) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut id = SHA256_START;
        compress256(&mut id, &[outer]);
        puzzle.is_met_by(&id)
    })
}

/// SHA-256's padding for a last block that holds `USED` bytes of a message of `message_len` bytes.
fn padded_block<const USED: usize>(message_len: usize) -> [u8; 64] {
    let mut block = [0; 64];
    block[USED] = 0x80;
    let bits = u64::try_from(message_len * 8).expect("a header's length in bits is small");
    block[56..].copy_from_slice(&bits.to_be_bytes());
    block
}
