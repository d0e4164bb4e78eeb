//! What of a try does not depend on the lower half of its nonce, computed once for all that share the upper half.
//!
//! In the header's last block the nonce's lower half is word 6 of the schedule, its upper half word 7. So rounds 0
//! to 5 are the same for every try; of the schedule, words 16 to 20 are, and some of the four terms of words 21 to
//! 31; of the one term each that is known of words 32 to 36 no kernel makes use. That is a twelfth of a first hash saved; of the second, which reads the first's digest, nothing is known
//! before but its padding.

use std::ops::RangeInclusive;

use printsy_consensus::Header;

use super::lanes::{K, Lanes, round, small_sigma0, small_sigma1};
use super::{Puzzle, TAIL_WORDS};

/// Which word of the schedule is the nonce's lower half.
const NONCE_WORD: usize = TAIL_WORDS;
/// The last word of the schedule of which nothing depends on the nonce's lower half.
const LAST_WHOLE: usize = 20;
/// One more than the last word of which a kernel uses what is known.
const KNOWN_WORDS: usize = 32;

/// A word whose first bit is the padding's.
pub(super) const PADDING: u32 = 0x8000_0000;

/// What is known of the last block of a header whose nonce's upper half is known.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The state before the block, which is added to the state after it.
    pub(super) midstate: [u32; 8],
    /// The state after rounds 0 to 5.
    pub(super) state: [u32; 8],
    /// Of each word of the schedule the sum of those terms that do not depend on the nonce's lower half: zero for
    /// that itself, all of it for the other words up to 20.
    pub(super) words: [u32; KNOWN_WORDS],
}

impl Fixed {
    /// What is known of the puzzle's tries whose nonces have the upper half of this one.
    pub(super) fn new(puzzle: &Puzzle, nonce: u64) -> Self {
        let mut words = [0; KNOWN_WORDS];
        words[..TAIL_WORDS].copy_from_slice(&puzzle.tail);
        words[NONCE_WORD + 1] = halves(nonce).1.swap_bytes();
        words[NONCE_WORD + 2] = PADDING;
        words[15] = u32::try_from(Header::LEN * 8).expect("a header's length in bits is small");
        let is_known = |t: usize| t <= LAST_WHOLE && t != NONCE_WORD;
        for t in 16..KNOWN_WORDS {
            let terms = [
                is_known(t - 16).then(|| words[t - 16]),
                is_known(t - 15).then(|| small_sigma0(words[t - 15])),
                is_known(t - 7).then(|| words[t - 7]),
                is_known(t - 2).then(|| small_sigma1(words[t - 2])),
            ];
            words[t] = terms.into_iter().flatten().fold(0, Lanes::add);
        }
        let before = K.iter().zip(&puzzle.tail);
        let state = before.fold(puzzle.midstate, |state, (constant, word)| round(state, *constant, *word));
        Self { midstate: puzzle.midstate, state, words }
    }

    /// What is known of word `t` of the schedule, in every lane.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as everything over lanes")]
    pub(super) fn word<L: Lanes>(&self, t: usize) -> L {
        L::splat(self.words[t])
    }
}

/// The nonce's lower and upper half.
#[inline]
pub(super) fn halves(nonce: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = nonce.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The range, cut where the nonces' upper half changes.
pub(super) fn stretches(nonces: RangeInclusive<u64>) -> impl Iterator<Item = RangeInclusive<u64>> {
    let (first, last) = nonces.into_inner();
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let first = next?;
        let end = last.min(first | u64::from(u32::MAX));
        next = end.checked_add(1).filter(|next| *next <= last);
        Some(first..=end)
    })
}
