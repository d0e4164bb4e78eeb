//! What every kernel must answer before it is used.
//!
//! The answers were computed by another program, with another SHA-256. Each is the nonce with the lowest id of a
//! window: with that id for a target it is the only hit, and with one less there is none, in the window as in every part
//! of it that holds the nonce; the easiest target is hit at once. No vector width divides the windows' lengths; they lie at
//! the first nonce, where the lower half carries into the upper, and at the last.
//!
//! A kernel over lanes counts them from a range's first nonce. So ranges that begin so many nonces before the known one,
//! for more than the lanes of any kernel, put the hit into every lane: one lane that computes wrongly is found out.

use std::ops::RangeInclusive;

use printsy_consensus::Header;

use super::{Kernel, Puzzle};
use crate::error::Error;

/// Among the ids that [`header`] has with nonces from `first` to `last`, the lowest is `nonce`'s.
struct Answer {
    first: u64,
    last: u64,
    nonce: u64,
    /// Most significant word first.
    id: [u64; 4],
}

const ANSWERS: [Answer; 3] = [
    Answer {
        first: 0,
        last: 0x3fc,
        nonce: 0x5c,
        id: [0x007c_16af_d51f_8ffd, 0xc3e8_58a5_1926_d159, 0x00b2_c3f8_4b9e_2ddc, 0x5f79_092b_7083_1b25],
    },
    Answer {
        first: 0xffff_ffff,
        last: 0x1_0000_001f,
        nonce: 0x1_0000_0003,
        id: [0x089f_7803_4a04_7235, 0xd2e3_624a_015e_ae18, 0x2a3a_4c13_8cd3_f97e, 0xc26f_0a76_ac13_4eae],
    },
    Answer {
        first: 0xffff_ffff_ffff_ffdd,
        last: u64::MAX,
        nonce: 0xffff_ffff_ffff_fffc,
        id: [0x0f90_d432_e32d_b748, 0x5ab2_4da7_7ea8_76cf, 0xdfb9_6359_2820_d1fd, 0x1e95_1b6f_e844_5494],
    },
];

/// How many nonces before the known one a range begins at the most: twice the lanes of the widest kernel, less one, so
/// that the hit falls into each of them, of the first vector and of the second.
const MAX_BEFORE: u64 = 31;

/// Asks the kernel the questions whose answers are known; a few milliseconds where it tries a million nonces a second.
///
/// # Errors
/// [`Error::SelfTest`] with the first wrong answer.
pub fn self_test(kernel: &Kernel) -> Result<(), Error> {
    for Answer { first, last, nonce, id } in &ANSWERS {
        ask(kernel, *id, *first..=*last, Some(*nonce))?;
        ask(kernel, one_less(*id), *first..=*last, None)?;
        for before in 0..=MAX_BEFORE.min(*nonce - *first) {
            let nonces = *nonce - before..=*nonce;
            ask(kernel, *id, nonces.clone(), Some(*nonce))?;
            ask(kernel, one_less(*id), nonces, None)?;
        }
        ask(kernel, [u64::MAX; 4], *first..=*last, Some(*first))?;
    }
    Ok(())
}

fn ask(
    kernel: &Kernel,
    target: [u64; 4],
    nonces: RangeInclusive<u64>,
    expected: Option<u64>,
) -> Result<(), Error> {
    let mut bytes = [0; 32];
    for (eight, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(target) {
        eight.copy_from_slice(&word.to_be_bytes());
    }
    let got = (kernel.first_hit)(&Puzzle::new(&header(), &bytes), nonces.clone());
    if got == expected { Ok(()) } else { Err(Error::SelfTest { kernel: kernel.name, nonces, got, expected }) }
}

/// The header that the answers are of: the bytes 0, 1, 2 and so on.
fn header() -> [u8; Header::LEN] {
    std::array::from_fn(|i| u8::try_from(i).expect("a header is shorter than 256 bytes"))
}

/// The next lower number, equal to the id in all but its last word.
fn one_less([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    [a, b, c, d.checked_sub(1).expect("no id above ends in a zero word")]
}
