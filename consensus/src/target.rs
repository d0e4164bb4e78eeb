//! Targets, their compact form, work, and the arithmetic of difficulty (protocol section 5).
//!
//! Integers only. [`asert`] is aserti3-2d as published, with nothing of this network in it; [`next_bits`] says
//! how this network uses it.

use std::fmt;

use ruint::aliases::{U256, U512};

use crate::hash::Hash;
use crate::header::Header;
use crate::params::Params;

/// A number that a block's id must not exceed. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(U256);

impl Target {
    /// The target that `bits` stands for, in Bitcoin's compact form.
    ///
    /// `None` unless `bits` is the canonical form of a target with 0 < target < 2^256.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let mantissa = U256::from(bits & 0x007f_ffff);
        let bytes = bits >> 24;
        let value = match bytes.checked_sub(3) {
            Some(above) => shift_left_exactly(mantissa, above.checked_mul(8)?)?,
            None => mantissa.wrapping_shr(usize::try_from(3u32.checked_sub(bytes)?.checked_mul(8)?).ok()?),
        };
        let target = Self(value);
        (!value.is_zero() && bits & 0x0080_0000 == 0 && target.to_bits() == bits).then_some(target)
    }

    /// The compact form: the three leading bytes, or two where their first bit would read as a sign.
    #[must_use]
    pub fn to_bits(self) -> u32 {
        let bytes = self.0.byte_len();
        let leading = match bytes.checked_sub(3) {
            Some(below) => self.0.wrapping_shr(below.saturating_mul(8)),
            None => self.0.wrapping_shl(3usize.saturating_sub(bytes).saturating_mul(8)),
        };
        let mantissa: u32 = leading.to();
        let size = u32::try_from(bytes).expect("a target has at most 32 bytes");
        let (mantissa, size) = if mantissa & 0x0080_0000 == 0 {
            (mantissa, size)
        } else {
            (mantissa >> 8, size.saturating_add(1))
        };
        mantissa | (size << 24)
    }

    /// The target as 32 bytes, big-endian, to be compared with a block's id.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// Whether a block with this id has done the work.
    #[must_use]
    pub fn is_met_by(self, id: &Hash) -> bool {
        id.0 <= self.to_be_bytes()
    }

    /// The work that one block of this target proves: `2^256 / (target + 1)`.
    #[must_use]
    pub fn work(self) -> Work {
        // 2^256 / (t + 1) = (2^256 - 1 - t) / (t + 1) + 1, which stays within 256 bits.
        let divisor = self.0.wrapping_add(U256::ONE);
        match (!self.0).checked_div(divisor) {
            Some(quotient) => Work(quotient.saturating_add(U256::ONE)),
            None => Work(U256::ONE),
        }
    }
}

fn shift_left_exactly(value: U256, bits: u32) -> Option<U256> {
    let bits = usize::try_from(bits).ok()?;
    (value.is_zero() || value.bit_len().checked_add(bits)? <= 256).then(|| value.wrapping_shl(bits))
}

/// An amount of work, or of the work of a whole branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work(U256);

impl Work {
    /// The work of this and the other. It saturates, beyond any work there will ever be.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The number as 32 bytes, big-endian.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// The work with these big-endian bytes.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    /// How many times `unit` this work is, rounded down; for people, saturating.
    #[must_use]
    pub fn in_units_of(self, unit: Self) -> u64 {
        self.0.checked_div(unit.0).map_or(u64::MAX, |units| units.saturating_to())
    }
}

/// As 64 hex digits.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash(self.to_be_bytes()).fmt(f)
    }
}

/// What aserti3-2d measures against.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The ideal spacing of blocks.
    pub spacing: u64,
    /// How far behind or ahead of it the target halves or doubles; not zero.
    pub half_life: u64,
    /// The easiest target.
    pub easiest: Target,
}

/// aserti3-2d: `anchor * 2^((time_delta - spacing * (height_delta + 1)) / half_life)`, by its published
/// integer arithmetic (division truncates toward zero), at least 1 and at most the easiest target.
///
/// `time_delta` is counted from the anchor's parent, `height_delta` from the anchor. Units of time are the
/// caller's, the same throughout.
///
/// # Panics
/// If `half_life` is zero (G3 keeps it from being so), or a delta is absurd: beyond 2^64 either way.
#[must_use]
pub fn asert(schedule: &Schedule, anchor: Target, time_delta: i128, height_delta: i128) -> Target {
    const RADIX_BITS: u32 = 16;
    let expect = "deltas below 2^65 and times below 2^64 stay within 128 bits";
    let ideal = height_delta.checked_add(1).and_then(|n| n.checked_mul(i128::from(schedule.spacing)));
    let off = time_delta.checked_sub(ideal.expect(expect)).expect(expect);
    let scaled = off.checked_mul(1 << RADIX_BITS).expect(expect);
    let exponent = scaled.checked_div(i128::from(schedule.half_life)).expect("a half-life is not zero");
    let shifts = exponent >> RADIX_BITS;
    let fraction = u64::try_from(exponent & 0xffff).expect("16 bits");
    let factor = two_to_the(fraction);
    let product: U512 = U512::from(anchor.0).saturating_mul(U512::from(factor));
    let shifts = shifts.saturating_sub(i128::from(RADIX_BITS));
    let shifted = match usize::try_from(shifts.unsigned_abs()) {
        Ok(right) if shifts <= 0 && right < 512 => product.wrapping_shr(right),
        // The product is at least 2^16, so beyond 240 bits it passes any target.
        Ok(left) if shifts > 0 && left < 240 => product.wrapping_shl(left),
        _ if shifts <= 0 => U512::ZERO,
        _ => U512::MAX,
    };
    let clamped = shifted.clamp(U512::ONE, U512::from(schedule.easiest.0));
    Target(clamped.to())
}

/// `65536 * 2^(fraction / 65536)` by the published cubic.
fn two_to_the(fraction: u64) -> u64 {
    let f = u128::from(fraction);
    let cubic = [(195_766_423_245_049, 1), (971_821_376, 2), (5_127, 3)]
        .into_iter()
        .map(|(coefficient, power): (u128, u32)| coefficient.saturating_mul(f.saturating_pow(power)))
        .fold(1u128 << 47, u128::saturating_add);
    u64::try_from(cubic >> 48).expect("below 2^16").saturating_add(65_536)
}

/// The bits of the block after `parent` (rule H4's "exactly what section 5 gives").
///
/// `grandparent_time` is the time of `parent`'s parent, or `None` where `parent` is genesis: the block after
/// genesis has genesis' bits.
///
/// # Panics
/// If `parent.bits` is not a canonical target; genesis' are by rule G4, all others by H4.
#[must_use]
pub fn next_bits(params: &Params, parent: &Header, grandparent_time: Option<u64>) -> u32 {
    let Some(grandparent_time) = grandparent_time else { return params.bits };
    let easiest = Target::from_bits(params.bits).expect("G4: genesis' bits are canonical");
    let anchor = Target::from_bits(parent.bits).expect("H4: a placed header's bits are canonical");
    let schedule = Schedule { spacing: params.target_interval_ms, half_life: params.half_life_ms, easiest };
    let elapsed = parent.time.saturating_sub(grandparent_time).min(params.half_life_ms);
    asert(&schedule, anchor, i128::from(elapsed), 0).to_bits()
}
