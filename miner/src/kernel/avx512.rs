//! The kernel of sixteen lanes, for x86-64 processors with AVX-512.
//!
//! It needs the foundation (AVX512F) alone, whose vectors rotate in one instruction and take any function of three
//! bits in another. Its tests, as the miner's self-test, run it only where there is one.

#![allow(
    unsafe_code,
    reason = "what only some processors do is unsafe to ask for; here it is asked for after a look"
)]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined into a kernel is not compiled for its processor"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_cmple_epu32_mask, _mm512_rorv_epi32, _mm512_set1_epi32,
    _mm512_setr_epi32, _mm512_srlv_epi32, _mm512_ternarylogic_epi32,
};
use std::ops::RangeInclusive;

use super::lanes::Lanes;
use super::{Kernel, Puzzle, vector};

/// Sixteen nonces at a time.
pub(super) const AVX512: Kernel = Kernel { name: "avx512", first_hit, chunk_hashes: 16_384 };

/// The bits that make an instruction the exclusive or of three: one for each odd count of ones among the three.
const XOR3: i32 = 0x96;
/// Those of "the second where the first is set, else the third".
const CHOOSE: i32 = 0xca;
/// Those of "at least two".
const MAJORITY: i32 = 0xe8;

/// Whether this processor runs it, which costs a load and a comparison after the first time.
#[inline]
pub(super) fn is_here() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

fn first_hit(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    assert!(is_here(), "a kernel is run where it was detected");
    // SAFETY: the processor has AVX512F, as was asserted just now.
    unsafe { first_hit_avx512(puzzle, nonces) }
}

#[target_feature(enable = "avx512f")]
fn first_hit_avx512(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    vector::first_hit::<Sixteen>(puzzle, nonces)
}

/// Sixteen lanes. Private to this file: they exist within [`first_hit_avx512`] alone, and in tests after the same
/// look.
#[derive(Clone, Copy)]
struct Sixteen(__m512i);

impl Lanes for Sixteen {
    const COUNT: u32 = 16;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: lanes exist only where AVX512F does; so in each function below.
        Self(unsafe { _mm512_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn counting_from(first: u32) -> Self {
        // SAFETY: see `splat`.
        Self::splat(first)
            .add(Self(unsafe { _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm512_ternarylogic_epi32::<XOR3>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn rotated(self, bits: u32) -> Self {
        // SAFETY: see `splat`. The count is a constant to the compiler, which so takes the immediate form.
        Self(unsafe { _mm512_rorv_epi32(self.0, Self::splat(bits).0) })
    }

    #[inline(always)]
    fn shifted(self, bits: u32) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm512_srlv_epi32(self.0, Self::splat(bits).0) })
    }

    #[inline(always)]
    fn choose(self, one: Self, other: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm512_ternarylogic_epi32::<CHOOSE>(self.0, one.0, other.0) })
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm512_ternarylogic_epi32::<MAJORITY>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn at_most(self, most: u32) -> u32 {
        // SAFETY: see `splat`.
        u32::from(unsafe { _mm512_cmple_epu32_mask(self.0, Self::splat(most).0) })
    }
}

#[cfg(test)]
mod tests {
    use std::arch::x86_64::_mm512_storeu_si512;

    use super::*;
    use crate::kernel::laws::{LanesUnderTest, lanes_equal_words, skipped};

    impl LanesUnderTest for Sixteen {
        fn words(self) -> Vec<u32> {
            let mut words = [0_u32; 16];
            // SAFETY: see `splat`; the array has the vector's 64 bytes, and the store needs no alignment.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) };
            words.to_vec()
        }
    }

    #[test]
    fn each_operation_equals_that_on_words() {
        if is_here() {
            lanes_equal_words::<Sixteen>();
        } else {
            skipped("AVX-512");
        }
    }
}
