//! What the state tree and its proofs share: the hashes of leaves and branches, and the bits of a path.
//!
//! Nothing else: `tree` builds with them, `proof` checks with them, and both must agree to the bit.

use crate::hash::{Hash, Tag, tagged};

/// The hash of a leaf: `H("printsy/leaf", path, value)`.
#[must_use]
pub fn leaf_hash(path: &Hash, value: &[u8]) -> Hash {
    tagged(Tag::Leaf, &[&path.0, value])
}

/// The hash of a branch: `H("printsy/branch", left, right)`.
pub(super) fn branch_hash(left: &Hash, right: &Hash) -> Hash {
    tagged(Tag::Branch, &[&left.0, &right.0])
}

/// Bit `depth` of a path, most significant first.
///
/// # Panics
/// Beyond 255, which two distinct paths never reach.
pub(super) fn bit(path: &Hash, depth: usize) -> bool {
    let byte = path.0[depth >> 3];
    let mask = 0x80u8 >> (depth & 7);
    byte & mask != 0
}
