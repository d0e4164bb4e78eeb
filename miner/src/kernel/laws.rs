//! The law by which an instance of [`Lanes`] is held against words, operation by operation.

use std::io::Write;
use std::ops::RangeInclusive;

use super::lanes::{Lanes, swapped};

/// Lanes whose words can be read, which no kernel needs.
pub(super) trait LanesUnderTest: Lanes {
    /// The word of each lane.
    fn words(self) -> Vec<u32>;
}

/// Words where carries, signs and ends are.
const WORDS: [u32; 8] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fff1, 0xffff_ffff, 0x0123_4567];
const BITS: RangeInclusive<u32> = 1..=31;

/// Every operation gives in every lane what it gives for that lane's word.
pub(super) fn lanes_equal_words<L: LanesUnderTest>() {
    for a in WORDS {
        assert_eq!(L::splat(a).words(), per_lane::<L>(|_| a));
        let counted = L::counting_from(a);
        assert_eq!(counted.words(), per_lane::<L>(|lane| a.wrapping_add(lane)));
        assert_eq!(swapped(counted).words(), per_lane::<L>(|lane| a.wrapping_add(lane).swap_bytes()));
        for bits in BITS {
            let words = per_lane::<L>(|lane| a.wrapping_add(lane).rotate_right(bits));
            assert_eq!(counted.rotated(bits).words(), words, "{a:x} rotated by {bits}");
            let words = per_lane::<L>(|lane| a.wrapping_add(lane) >> bits);
            assert_eq!(counted.shifted(bits).words(), words, "{a:x} shifted by {bits}");
        }
        for b in WORDS {
            pairs_equal_words::<L>(a, b);
        }
    }
}

/// Says that a law was not looked at, where this processor lacks the instructions. Written past the test's own output,
/// which is shown of failures alone.
pub(super) fn skipped(instructions: &str) {
    let said = writeln!(std::io::stderr(), "skipped: this processor has no {instructions}");
    said.expect("standard error can be written to");
}

fn pairs_equal_words<L: LanesUnderTest>(a: u32, b: u32) {
    let x = |lane: u32| a.wrapping_add(lane);
    let (lanes, others) = (L::counting_from(a), L::counting_from(b));
    assert_eq!(lanes.add(others).words(), per_lane::<L>(|lane| x(lane).wrapping_add(b.wrapping_add(lane))));
    let within = (0..L::COUNT).filter(|lane| x(*lane) <= b).fold(0, |mask, lane| mask | (1 << lane));
    assert_eq!(lanes.at_most(b), within, "{a:x} and on, at most {b:x}");
    for c in WORDS {
        let y = |lane: u32| b.wrapping_add(lane);
        let third = L::splat(c);
        let words = per_lane::<L>(|lane| x(lane) ^ y(lane) ^ c);
        assert_eq!(lanes.xor3(others, third).words(), words, "{a:x} {b:x} {c:x}");
        let words = per_lane::<L>(|lane| (x(lane) & y(lane)) | (!x(lane) & c));
        assert_eq!(lanes.choose(others, third).words(), words, "{a:x} {b:x} {c:x}");
        let words = per_lane::<L>(|lane| (x(lane) & y(lane)) | (x(lane) & c) | (y(lane) & c));
        assert_eq!(lanes.majority(others, third).words(), words, "{a:x} {b:x} {c:x}");
    }
}

fn per_lane<L: Lanes>(word: impl Fn(u32) -> u32) -> Vec<u32> {
    (0..L::COUNT).map(word).collect()
}

impl LanesUnderTest for u32 {
    fn words(self) -> Vec<u32> {
        vec![self]
    }
}

#[test]
fn one_lane_is_a_word() {
    lanes_equal_words::<u32>();
}
