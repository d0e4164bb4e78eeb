//! SHA-256 over lanes: the same words of several nonces side by side, computed at once.
//!
//! [`Lanes`] is what a processor must offer, one operation each; a `u32` is the instance of one lane, and the model
//! that the others are held against, operation by operation. Above it stand SHA-256's functions, its round and its
//! schedule (FIPS 180-4, 4.1.2 and 6.2.2), written once for all of them.
//!
//! Everything is `inline(always)`: a kernel is one function compiled for its processor's instructions, into which all
//! of this must go. Rounds are written out, sixteen at the least: in straight code the state's eight words change
//! their names instead of their places.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined into a kernel is not compiled for its processor"
)]

/// SHA-256's round constants (FIPS 180-4, 4.2.2).
pub(super) const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Several 32-bit words, one a lane, on which an operation works in all lanes at once.
pub(super) trait Lanes: Copy {
    /// How many lanes: at most 32.
    const COUNT: u32;

    /// This word in every lane.
    fn splat(word: u32) -> Self;
    /// `first` in lane 0, one more in each lane after it, modulo 2^32.
    fn counting_from(first: u32) -> Self;
    /// The sum modulo 2^32.
    fn add(self, other: Self) -> Self;
    /// The exclusive or of three.
    fn xor3(self, b: Self, c: Self) -> Self;
    /// Rotated to the right, by 1 to 31 bits.
    fn rotated(self, bits: u32) -> Self;
    /// Shifted to the right, by 1 to 31 bits.
    fn shifted(self, bits: u32) -> Self;
    /// Of `one` where a bit of this is set, of `other` where it is not.
    fn choose(self, one: Self, other: Self) -> Self;
    /// What at least two of three say, bit by bit.
    fn majority(self, b: Self, c: Self) -> Self;
    /// The lanes whose word is at most this, as numbers without a sign: lane 0 is the lowest bit.
    fn at_most(self, most: u32) -> u32;
}

impl Lanes for u32 {
    const COUNT: u32 = 1;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn counting_from(first: u32) -> Self {
        first
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self ^ b ^ c
    }

    #[inline(always)]
    fn rotated(self, bits: u32) -> Self {
        self.rotate_right(bits)
    }

    #[inline(always)]
    fn shifted(self, bits: u32) -> Self {
        self >> bits
    }

    #[inline(always)]
    fn choose(self, one: Self, other: Self) -> Self {
        other ^ (self & (one ^ other))
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // The second half is the next round's first: the compiler computes it once.
        b ^ ((self ^ b) & (b ^ c))
    }

    #[inline(always)]
    fn at_most(self, most: u32) -> u32 {
        u32::from(self <= most)
    }
}

/// The words with their bytes in the opposite order.
#[inline(always)]
pub(super) fn swapped<L: Lanes>(words: L) -> L {
    L::splat(0xff00_ff00).choose(words.rotated(8), words.rotated(24))
}

/// The schedule's sigma 0.
#[inline(always)]
pub(super) fn small_sigma0<L: Lanes>(x: L) -> L {
    x.rotated(7).xor3(x.rotated(18), x.shifted(3))
}

/// The schedule's sigma 1.
#[inline(always)]
pub(super) fn small_sigma1<L: Lanes>(x: L) -> L {
    x.rotated(17).xor3(x.rotated(19), x.shifted(10))
}

#[inline(always)]
fn big_sigma0<L: Lanes>(x: L) -> L {
    x.rotated(2).xor3(x.rotated(13), x.rotated(22))
}

#[inline(always)]
fn big_sigma1<L: Lanes>(x: L) -> L {
    x.rotated(6).xor3(x.rotated(11), x.rotated(25))
}

/// A round, with its constant and its word of the schedule.
#[inline(always)]
pub(super) fn round<L: Lanes>([a, b, c, d, e, f, g, h]: [L; 8], constant: u32, word: L) -> [L; 8] {
    let t1 = h.add(L::splat(constant).add(word)).add(e.choose(f, g)).add(big_sigma1(e));
    let t2 = big_sigma0(a).add(a.majority(b, c));
    [t1.add(t2), a, b, c, d.add(t1), e, f, g]
}

/// The eight rounds from `t` on, with these words of the schedule.
#[inline(always)]
pub(super) fn eight_rounds<L: Lanes>(mut state: [L; 8], t: usize, words: [L; 8]) -> [L; 8] {
    state = round(state, K[t], words[0]);
    state = round(state, K[t + 1], words[1]);
    state = round(state, K[t + 2], words[2]);
    state = round(state, K[t + 3], words[3]);
    state = round(state, K[t + 4], words[4]);
    state = round(state, K[t + 5], words[5]);
    state = round(state, K[t + 6], words[6]);
    round(state, K[t + 7], words[7])
}

/// The rounds from `t` on to the last, `t` being a multiple of sixteen. `words` are the schedule's sixteen words before
/// them.
///
/// This alone is a loop, sixteen rounds long: all of two hashes written out is more than processors keep of decoded
/// instructions, and they would wait for their decoders.
#[inline(always)]
pub(super) fn remaining_rounds<L: Lanes>(mut state: [L; 8], t: usize, mut words: [L; 16]) -> [L; 8] {
    let (sixteens, _) = K.as_chunks();
    for constants in &sixteens[t / 16..] {
        state = next_sixteen_rounds(state, constants, &mut words);
    }
    state
}

/// Sixteen rounds, each once its word of the schedule has taken the place of that of sixteen rounds before.
#[inline(always)]
fn next_sixteen_rounds<L: Lanes>(mut state: [L; 8], k: &[u32; 16], words: &mut [L; 16]) -> [L; 8] {
    state = next_round(state, k, words, 0);
    state = next_round(state, k, words, 1);
    state = next_round(state, k, words, 2);
    state = next_round(state, k, words, 3);
    state = next_round(state, k, words, 4);
    state = next_round(state, k, words, 5);
    state = next_round(state, k, words, 6);
    state = next_round(state, k, words, 7);
    state = next_round(state, k, words, 8);
    state = next_round(state, k, words, 9);
    state = next_round(state, k, words, 10);
    state = next_round(state, k, words, 11);
    state = next_round(state, k, words, 12);
    state = next_round(state, k, words, 13);
    state = next_round(state, k, words, 14);
    next_round(state, k, words, 15)
}

#[inline(always)]
fn next_round<L: Lanes>(state: [L; 8], k: &[u32; 16], words: &mut [L; 16], i: usize) -> [L; 8] {
    let early = words[i].add(small_sigma0(words[(i + 1) % 16]));
    let late = words[(i + 9) % 16].add(small_sigma1(words[(i + 14) % 16]));
    words[i] = early.add(late);
    round(state, k[i], words[i])
}
