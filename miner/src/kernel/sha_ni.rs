//! The kernel of x86-64's SHA instructions: two nonces at a time, interleaved.
//!
//! An instruction does two rounds, takes four cycles, and the next needs its result; but every second cycle one may
//! begin. One hash leaves half of the unit idle: two, of which neither waits for the other, fill it.
//!
//! The instructions want the state as two vectors, named after their words from the highest lane down: ABEF and
//! CDGH. Two rounds make a new ABEF of both, and the old one becomes the new CDGH. The schedule goes by vectors of
//! four words; [`Quad`] is such a vector for each of the two nonces.

#![allow(
    unsafe_code,
    reason = "what only some processors do is unsafe to ask for; here it is asked for after a look"
)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_insert_epi32, _mm_set_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_unpackhi_epi64,
    _mm_unpacklo_epi64,
};
use std::ops::RangeInclusive;

use super::fixed::{Fixed, PADDING, halves, stretches};
use super::lanes::K;
use super::{DIGEST_BITS, Kernel, Puzzle, SHA256_START};

/// Two nonces at a time, by SHA instructions.
pub(super) const SHA_NI: Kernel = Kernel { name: "sha-ni", first_hit, chunk_hashes: 8192 };

/// Nonces at a time.
const AT_ONCE: u64 = 2;

/// Whether this processor runs it, which costs some loads and comparisons after the first time.
#[inline]
pub(super) fn is_here() -> bool {
    std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("ssse3")
        && std::arch::is_x86_feature_detected!("sse4.1")
}

fn first_hit(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    assert!(is_here(), "a kernel is run where it was detected");
    // SAFETY: the processor has all that is enabled there, as was asserted just now.
    unsafe { first_hit_sha(puzzle, nonces) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn first_hit_sha(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    for stretch in stretches(nonces) {
        let (first, last) = stretch.into_inner();
        let prepared = Prepared::new(&Fixed::new(puzzle, first));
        let mut tried = 0;
        while tried <= last - first {
            let nonce = first + tried;
            let low = halves(nonce).0;
            let digest = first_hash(&prepared, [low.swap_bytes(), low.wrapping_add(1).swap_bytes()]);
            let [a, b] = first_words_of_second_hash(digest);
            let candidates = u32::from(a <= puzzle.target[0]) | (u32::from(b <= puzzle.target[0]) << 1);
            if candidates != 0
                && let Some(hit) = puzzle.lowest_of(candidates, nonce..=last)
            {
                return Some(hit);
            }
            tried += AT_ONCE;
        }
    }
    None
}

/// Four words of each of the two nonces, the first word in the lowest lane.
type Quad = [__m128i; 2];

/// A state of each of the two nonces.
#[derive(Clone, Copy)]
struct States {
    abef: Quad,
    cdgh: Quad,
}

/// [`Fixed`] in vectors.
struct Prepared {
    midstate: [__m128i; 2],
    /// After rounds 0 to 5.
    state: [__m128i; 2],
    /// Words 4 to 7 of the schedule, zero for the nonce.
    w4: __m128i,
    /// Words 8 to 19, four and four.
    w8: __m128i,
    w12: __m128i,
    w16: __m128i,
}

impl Prepared {
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn new(fixed: &Fixed) -> Self {
        let quad = |t: usize| four(&fixed.words, t);
        Self {
            midstate: abef_and_cdgh(&fixed.midstate),
            state: abef_and_cdgh(&fixed.state),
            w4: quad(4),
            w8: quad(8),
            w12: quad(12),
            w16: quad(16),
        }
    }
}

/// The header's digests, as words 0 to 3 and 4 to 7 of the second hash's schedule.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn first_hash(prepared: &Prepared, nonces: [u32; 2]) -> [Quad; 2] {
    let Prepared { midstate, state, w4, w8, w12, w16 } = prepared;
    let w4 = [
        _mm_insert_epi32::<2>(*w4, nonces[0].cast_signed()),
        _mm_insert_epi32::<2>(*w4, nonces[1].cast_signed()),
    ];
    let [w8, w12, w16] = [both(*w8), both(*w12), both(*w16)];
    let mut states = States { abef: both(state[0]), cdgh: both(state[1]) };
    states = two_rounds(states, upper(plus_k(w4, 4)));
    states = four_rounds(states, 8, w8);
    states = four_rounds(states, 12, w12);
    states = four_rounds(states, 16, w16);
    let mut words = [w4, w8, w12, w16];
    states = next_four_rounds(states, 20, &mut words);
    states = next_four_rounds(states, 24, &mut words);
    states = next_four_rounds(states, 28, &mut words);
    states = next_four_rounds(states, 32, &mut words);
    states = next_four_rounds(states, 36, &mut words);
    states = next_four_rounds(states, 40, &mut words);
    states = next_four_rounds(states, 44, &mut words);
    states = next_four_rounds(states, 48, &mut words);
    states = next_four_rounds(states, 52, &mut words);
    states = next_four_rounds(states, 56, &mut words);
    states = next_four_rounds(states, 60, &mut words);
    let abef = add(states.abef, both(midstate[0]));
    let cdgh = add(states.cdgh, both(midstate[1]));
    [[abcd(abef[0], cdgh[0]), abcd(abef[1], cdgh[1])], [efgh(abef[0], cdgh[0]), efgh(abef[1], cdgh[1])]]
}

/// The first word of each digest's digest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn first_words_of_second_hash([w0, w4]: [Quad; 2]) -> [u32; 2] {
    let start = abef_and_cdgh(&SHA256_START);
    let mut states = States { abef: both(start[0]), cdgh: both(start[1]) };
    let w8 = both(four(&[PADDING, 0, 0, 0], 0));
    let w12 = both(four(&[0, 0, 0, DIGEST_BITS], 0));
    states = four_rounds(states, 0, w0);
    states = four_rounds(states, 4, w4);
    states = four_rounds(states, 8, w8);
    states = four_rounds(states, 12, w12);
    let mut words = [w0, w4, w8, w12];
    states = next_four_rounds(states, 16, &mut words);
    states = next_four_rounds(states, 20, &mut words);
    states = next_four_rounds(states, 24, &mut words);
    states = next_four_rounds(states, 28, &mut words);
    states = next_four_rounds(states, 32, &mut words);
    states = next_four_rounds(states, 36, &mut words);
    states = next_four_rounds(states, 40, &mut words);
    states = next_four_rounds(states, 44, &mut words);
    states = next_four_rounds(states, 48, &mut words);
    states = next_four_rounds(states, 52, &mut words);
    states = next_four_rounds(states, 56, &mut words);
    states = next_four_rounds(states, 60, &mut words);
    let [a, b] = states.abef.map(|abef| _mm_extract_epi32::<3>(abef).cast_unsigned());
    [a.wrapping_add(SHA256_START[0]), b.wrapping_add(SHA256_START[0])]
}

/// The four rounds from `t` on. `words` are the schedule's sixteen before them, the oldest first, and move on by
/// four.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_four_rounds(states: States, t: usize, words: &mut [Quad; 4]) -> States {
    let [w0, w4, w8, w12] = *words;
    let next = [next_words(w0[0], w4[0], w8[0], w12[0]), next_words(w0[1], w4[1], w8[1], w12[1])];
    *words = [w4, w8, w12, next];
    four_rounds(states, t, next)
}

/// The four words after these sixteen.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words(w0: __m128i, w4: __m128i, w8: __m128i, w12: __m128i) -> __m128i {
    let early = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8::<4>(w12, w8));
    _mm_sha256msg2_epu32(early, w12)
}

/// The four rounds from `t` on, with these words of the schedule.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four_rounds(states: States, t: usize, words: Quad) -> States {
    let words = plus_k(words, t);
    two_rounds(two_rounds(states, words), upper(words))
}

/// Two rounds, with the two lower of these words, to which the round constants were added.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn two_rounds(States { abef, cdgh }: States, words: Quad) -> States {
    let next = [
        _mm_sha256rnds2_epu32(cdgh[0], abef[0], words[0]),
        _mm_sha256rnds2_epu32(cdgh[1], abef[1], words[1]),
    ];
    States { abef: next, cdgh: abef }
}

/// The words plus the constants of the rounds from `t` on.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn plus_k(words: Quad, t: usize) -> Quad {
    add(words, both(four(&K, t)))
}

/// The upper two words in the lower lanes.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn upper(words: Quad) -> Quad {
    [_mm_shuffle_epi32::<0b1110>(words[0]), _mm_shuffle_epi32::<0b1110>(words[1])]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn add(x: Quad, y: Quad) -> Quad {
    [_mm_add_epi32(x[0], y[0]), _mm_add_epi32(x[1], y[1])]
}

/// The same for both nonces.
#[inline]
fn both(vector: __m128i) -> Quad {
    [vector, vector]
}

/// The four words from `t` on, the first in the lowest lane.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four(words: &[u32], t: usize) -> __m128i {
    let [a, b, c, d] = [words[t], words[t + 1], words[t + 2], words[t + 3]].map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}

/// A state as the instructions want it.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn abef_and_cdgh(state: &[u32; 8]) -> [__m128i; 2] {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
}

/// The state's first four words, the first in the lowest lane.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn abcd(abef: __m128i, cdgh: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b10_11_00_01>(_mm_unpackhi_epi64(abef, cdgh))
}

/// The state's last four words.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn efgh(abef: __m128i, cdgh: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b10_11_00_01>(_mm_unpacklo_epi64(abef, cdgh))
}
