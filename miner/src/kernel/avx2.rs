//! The kernel of eight lanes, for x86-64 processors with AVX2 and without SHA instructions.

#![allow(
    unsafe_code,
    reason = "what only some processors do is unsafe to ask for; here it is asked for after a look"
)]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined into a kernel is not compiled for its processor"
)]

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32,
    _mm256_max_epu32, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi32,
    _mm256_sll_epi32, _mm256_srl_epi32, _mm256_xor_si256,
};
use std::ops::RangeInclusive;

use super::lanes::Lanes;
use super::{Kernel, Puzzle, vector};

/// Eight nonces at a time.
pub(super) const AVX2: Kernel = Kernel { name: "avx2", first_hit, chunk_hashes: 4096 };

/// Whether this processor runs it, which costs a load and a comparison after the first time.
#[inline]
pub(super) fn is_here() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

fn first_hit(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    assert!(is_here(), "a kernel is run where it was detected");
    // SAFETY: the processor has AVX2, as was asserted just now.
    unsafe { first_hit_avx2(puzzle, nonces) }
}

#[target_feature(enable = "avx2")]
fn first_hit_avx2(puzzle: &Puzzle, nonces: RangeInclusive<u64>) -> Option<u64> {
    vector::first_hit::<Eight>(puzzle, nonces)
}

/// Eight lanes. Private to this file: they exist within [`first_hit_avx2`] alone, and in tests after the same look.
#[derive(Clone, Copy)]
struct Eight(__m256i);

impl Lanes for Eight {
    const COUNT: u32 = 8;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: lanes exist only where AVX2 does; so in each function below.
        Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn counting_from(first: u32) -> Self {
        // SAFETY: see `splat`.
        Self::splat(first).add(Self(unsafe { _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7) }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm256_xor_si256(_mm256_xor_si256(self.0, b.0), c.0) })
    }

    #[inline(always)]
    fn rotated(self, bits: u32) -> Self {
        let up = (32 - bits).cast_signed();
        // SAFETY: see `splat`. The counts are constants to the compiler, which so takes the immediate form.
        let (low, high) = unsafe {
            let low = _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(bits.cast_signed()));
            (low, _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(up)))
        };
        // SAFETY: see `splat`.
        Self(unsafe { _mm256_or_si256(low, high) })
    }

    #[inline(always)]
    fn shifted(self, bits: u32) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe { _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(bits.cast_signed())) })
    }

    #[inline(always)]
    fn choose(self, one: Self, other: Self) -> Self {
        // SAFETY: see `splat`.
        Self(unsafe {
            let differing = _mm256_xor_si256(one.0, other.0);
            _mm256_xor_si256(other.0, _mm256_and_si256(self.0, differing))
        })
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // The last of them is the next round's first: the compiler computes it once.
        // SAFETY: see `splat`.
        Self(unsafe {
            let (ab, bc) = (_mm256_xor_si256(self.0, b.0), _mm256_xor_si256(b.0, c.0));
            _mm256_xor_si256(b.0, _mm256_and_si256(ab, bc))
        })
    }

    #[inline(always)]
    fn at_most(self, most: u32) -> u32 {
        let most = Self::splat(most);
        // There is no comparison without signs: a word is at most `most` where the greater of both is `most`.
        // SAFETY: see `splat`.
        let mask = unsafe {
            let is_within = _mm256_cmpeq_epi32(_mm256_max_epu32(self.0, most.0), most.0);
            _mm256_movemask_ps(_mm256_castsi256_ps(is_within))
        };
        mask.cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use std::arch::x86_64::_mm256_storeu_si256;

    use super::*;
    use crate::kernel::laws::{LanesUnderTest, lanes_equal_words, skipped};

    impl LanesUnderTest for Eight {
        fn words(self) -> Vec<u32> {
            let mut words = [0_u32; 8];
            // SAFETY: see `splat`; the array has the vector's 32 bytes, and the store needs no alignment.
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
            words.to_vec()
        }
    }

    #[test]
    fn each_operation_equals_that_on_words() {
        if is_here() {
            lanes_equal_words::<Eight>();
        } else {
            skipped("AVX2");
        }
    }
}
