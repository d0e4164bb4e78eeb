//! The search over lanes: as many nonces at a time as a vector has lanes.
//!
//! Written once over [`Lanes`] and compiled once for each kernel that works so. What a vector says of a nonce is only
//! whether its id's first word is within the target's, which hardly any is that does not solve the puzzle; the
//! puzzle itself then decides, nonce by nonce, the lowest first.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined into a kernel is not compiled for its processor"
)]

use std::ops::RangeInclusive;

use super::fixed::{Fixed, PADDING, halves, stretches};
use super::lanes::{K, Lanes, eight_rounds, remaining_rounds, round, small_sigma0, small_sigma1, swapped};
use super::{DIGEST_BITS, Puzzle, SHA256_START};

/// The lowest nonce of the range that solves the puzzle.
#[inline(always)]
pub(super) fn first_hit<L: Lanes>(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    for stretch in stretches(nonces) {
        let (first, last) = stretch.into_inner();
        let fixed = Fixed::new(puzzle, first);
        let mut tried = 0;
        while tried <= last - first {
            let nonce = first + tried;
            let digest = first_hash(&fixed, swapped(L::counting_from(halves(nonce).0)));
            let candidates = first_word_of_second_hash(digest).at_most(puzzle.target[0]);
            if candidates != 0
                && let Some(hit) = puzzle.lowest_of(candidates, nonce..=last)
            {
                return Some(hit);
            }
            tried += u64::from(L::COUNT);
        }
    }
    None
}

/// The header's digest, from the nonces' lower halves as words of the schedule.
#[inline(always)]
fn first_hash<L: Lanes>(fixed: &Fixed, nonces: L) -> [L; 8] {
    let w21 = fixed.word::<L>(21).add(small_sigma0(nonces));
    let w22 = fixed.word::<L>(22).add(nonces);
    let w23 = fixed.word::<L>(23).add(small_sigma1(w21));
    let w24 = fixed.word::<L>(24).add(small_sigma1(w22));
    let w25 = fixed.word::<L>(25).add(small_sigma1(w23));
    let w26 = fixed.word::<L>(26).add(small_sigma1(w24));
    let w27 = fixed.word::<L>(27).add(small_sigma1(w25));
    let w28 = fixed.word::<L>(28).add(w21).add(small_sigma1(w26));
    let w29 = fixed.word::<L>(29).add(w22).add(small_sigma1(w27));
    let w30 = fixed.word::<L>(30).add(w23).add(small_sigma1(w28));
    let w31 = fixed.word::<L>(31).add(w24).add(small_sigma1(w29));
    let w16_to_23 =
        [fixed.word(16), fixed.word(17), fixed.word(18), fixed.word(19), fixed.word(20), w21, w22, w23];
    let w24_to_31 = [w24, w25, w26, w27, w28, w29, w30, w31];
    let mut state = splats(&fixed.state);
    state = round(state, K[6], nonces);
    state = round(state, K[7], fixed.word(7));
    let w8_to_15 = [
        fixed.word(8),
        fixed.word(9),
        fixed.word(10),
        fixed.word(11),
        fixed.word(12),
        fixed.word(13),
        fixed.word(14),
        fixed.word(15),
    ];
    state = eight_rounds(state, 8, w8_to_15);
    state = eight_rounds(state, 16, w16_to_23);
    state = eight_rounds(state, 24, w24_to_31);
    state = remaining_rounds(state, 32, sixteen(w16_to_23, w24_to_31));
    sums(state, splats(&fixed.midstate))
}

/// The first word of the digest's digest.
#[inline(always)]
fn first_word_of_second_hash<L: Lanes>(digest: [L; 8]) -> L {
    let zero = L::splat(0);
    let length = L::splat(DIGEST_BITS);
    let padding = [L::splat(PADDING), zero, zero, zero, zero, zero, zero, length];
    let mut state = splats(&SHA256_START);
    state = eight_rounds(state, 0, digest);
    state = eight_rounds(state, 8, padding);
    state = remaining_rounds(state, 16, sixteen(digest, padding));
    state[0].add(L::splat(SHA256_START[0]))
}

#[inline(always)]
fn splats<L: Lanes>([a, b, c, d, e, f, g, h]: &[u32; 8]) -> [L; 8] {
    [
        L::splat(*a),
        L::splat(*b),
        L::splat(*c),
        L::splat(*d),
        L::splat(*e),
        L::splat(*f),
        L::splat(*g),
        L::splat(*h),
    ]
}

#[inline(always)]
fn sums<L: Lanes>(x: [L; 8], y: [L; 8]) -> [L; 8] {
    [
        x[0].add(y[0]),
        x[1].add(y[1]),
        x[2].add(y[2]),
        x[3].add(y[3]),
        x[4].add(y[4]),
        x[5].add(y[5]),
        x[6].add(y[6]),
        x[7].add(y[7]),
    ]
}

#[inline(always)]
fn sixteen<L: Lanes>([a, b, c, d, e, f, g, h]: [L; 8], [i, j, k, l, m, n, o, p]: [L; 8]) -> [L; 16] {
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
