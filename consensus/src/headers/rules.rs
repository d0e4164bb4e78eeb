//! Header rules H1 to H8 (protocol section 4).
//!
//! [`CheckedHeader::check`] is what needs no other header: H1, H5 and H8; [`verify_header`] is what needs the
//! parent and the clock: H3, H4, H6 and H7. H2, that the parent is known, is the tree's.

use crate::hash::Hash;
use crate::header::{Header, SignedHeader, VERSION, block_message};
use crate::params::Params;
use crate::rule::{Fault, Rule};
use crate::target::{Target, next_bits};

/// A header that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// H1.
    #[error("H1: the header's version is {got}, this program knows {VERSION}")]
    Version {
        /// The header's.
        got: u32,
    },
    /// H2: the parent is not known.
    #[error("H2: the parent {parent} is not known")]
    UnknownParent {
        /// The header's parent.
        parent: Hash,
    },
    /// H2: the parent is known to be invalid, so that this block is, for good.
    #[error("H2: the parent {parent} is known to be invalid")]
    InvalidParent {
        /// The header's parent.
        parent: Hash,
    },
    /// H3.
    #[error("H3: the height is {got}, the parent's plus one is {expected}")]
    Height {
        /// The parent's plus one.
        expected: u64,
        /// The header's.
        got: u64,
    },
    /// H4.
    #[error("H4: the bits are {got:08x}, the schedule gives {expected:08x}")]
    Bits {
        /// What section 5 gives; 0 where the header's are no target at all.
        expected: u32,
        /// The header's.
        got: u32,
    },
    /// H5.
    #[error("H5: the id {id} is above the target of bits {bits:08x}")]
    ProofOfWork {
        /// The header's id.
        id: Hash,
        /// The header's bits.
        bits: u32,
    },
    /// H6.
    #[error("H6: the time is {got}, the earliest after the parent is {earliest}")]
    TooEarly {
        /// The earliest allowed, ms.
        earliest: u64,
        /// The header's, ms.
        got: u64,
    },
    /// H7.
    #[error("H7: the time is {got}, the latest that this node's clock allows now is {latest}")]
    FromFuture {
        /// The latest allowed, ms.
        latest: u64,
        /// The header's, ms.
        got: u64,
    },
    /// H8.
    #[error("H8: the signature is not the miner's over this block")]
    Signature,
}

impl HeaderError {
    /// The rule that was broken.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Version { .. } => Rule::H1,
            Self::UnknownParent { .. } | Self::InvalidParent { .. } => Rule::H2,
            Self::Height { .. } => Rule::H3,
            Self::Bits { .. } => Rule::H4,
            Self::ProofOfWork { .. } => Rule::H5,
            Self::TooEarly { .. } => Rule::H6,
            Self::FromFuture { .. } => Rule::H7,
            Self::Signature => Rule::H8,
        }
    }

    /// H8 is the sender's; H1 (newer), H2 and H7 are nobody's; H3 to H6 the block's.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Signature => Fault::Sender,
            Self::Version { got } if *got > VERSION => Fault::Nobody,
            Self::UnknownParent { .. } | Self::FromFuture { .. } => Fault::Nobody,
            Self::Version { .. }
            | Self::InvalidParent { .. }
            | Self::Height { .. }
            | Self::Bits { .. }
            | Self::ProofOfWork { .. }
            | Self::TooEarly { .. } => Fault::Block,
        }
    }
}

/// A header that passed every rule that needs no other one. Its fields are private; `check` and the
/// beginning of a network are its only makers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedHeader {
    signed: SignedHeader,
    id: Hash,
    target: Target,
}

impl CheckedHeader {
    /// Checks a header alone: its version, its work against the target it claims, its signature; what is
    /// cheap first.
    ///
    /// # Errors
    /// H1, H4 (bits that are no target), H5 or H8.
    pub fn check(signed: SignedHeader) -> Result<Self, HeaderError> {
        let header = &signed.header;
        check_version(header)?;
        let target = check_bits_are_a_target(header)?;
        let id = header.id();
        check_proof_of_work(header, &id, target)?;
        check_signature(&signed, &id)?;
        Ok(Self { signed, id, target })
    }

    /// A header that this program checked when it first saw it, and then stored, or block 0's, which is not
    /// checked at all (section 7).
    ///
    /// # Panics
    /// If its bits are no target: then it was never checked.
    #[must_use]
    pub fn stored(signed: SignedHeader) -> Self {
        let target = Target::from_bits(signed.header.bits).expect("a stored header's bits are a target");
        Self { id: signed.header.id(), signed, target }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.signed.header
    }

    /// The header and its signature.
    #[must_use]
    pub fn signed(&self) -> &SignedHeader {
        &self.signed
    }

    /// The block's id.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// The target its work was checked against.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }
}

/// H1: version (a greater one than the schedule knows is no verdict).
fn check_version(header: &Header) -> Result<(), HeaderError> {
    if header.version == VERSION { Ok(()) } else { Err(HeaderError::Version { got: header.version }) }
}

/// H4, as far as it goes alone: bits that are no canonical target are none that section 5 gives.
fn check_bits_are_a_target(header: &Header) -> Result<Target, HeaderError> {
    Target::from_bits(header.bits).ok_or(HeaderError::Bits { expected: 0, got: header.bits })
}

/// H5: id <= target.
fn check_proof_of_work(header: &Header, id: &Hash, target: Target) -> Result<(), HeaderError> {
    if target.is_met_by(id) { Ok(()) } else { Err(HeaderError::ProofOfWork { id: *id, bits: header.bits }) }
}

/// H8: the signature.
fn check_signature(signed: &SignedHeader, id: &Hash) -> Result<(), HeaderError> {
    let holds = signed.header.miner.verify(&block_message(id), &signed.signature);
    if holds { Ok(()) } else { Err(HeaderError::Signature) }
}

/// Verifies a header on its parent: H3, H4, H6, H7.
///
/// `grandparent_time` is the time of the parent's parent, `None` where the parent is genesis; `now` this
/// node's clock, ms.
///
/// # Errors
/// The first rule broken.
pub fn verify_header(
    params: &Params,
    parent: &Header,
    grandparent_time: Option<u64>,
    header: &Header,
    now: u64,
) -> Result<(), HeaderError> {
    verify_height(parent, header)?;
    verify_bits(params, parent, grandparent_time, header)?;
    verify_not_too_early(params, parent, header)?;
    verify_not_from_future(params, header, now)
}

/// H3: height = parent's + 1.
fn verify_height(parent: &Header, header: &Header) -> Result<(), HeaderError> {
    let expected = parent.height.saturating_add(1);
    if header.height == expected && header.height > parent.height {
        Ok(())
    } else {
        Err(HeaderError::Height { expected, got: header.height })
    }
}

/// H4: `bits` is exactly what section 5 gives.
fn verify_bits(
    params: &Params,
    parent: &Header,
    grandparent_time: Option<u64>,
    header: &Header,
) -> Result<(), HeaderError> {
    let expected = next_bits(params, parent, grandparent_time);
    if header.bits == expected { Ok(()) } else { Err(HeaderError::Bits { expected, got: header.bits }) }
}

/// H6: time >= parent's time + `min_interval_ms`.
fn verify_not_too_early(params: &Params, parent: &Header, header: &Header) -> Result<(), HeaderError> {
    match parent.time.checked_add(params.min_interval_ms) {
        Some(earliest) if header.time >= earliest => Ok(()),
        earliest => Err(HeaderError::TooEarly { earliest: earliest.unwrap_or(u64::MAX), got: header.time }),
    }
}

/// H7: time <= own clock + `max_future_ms` (no verdict: hold it back and look again later).
fn verify_not_from_future(params: &Params, header: &Header, now: u64) -> Result<(), HeaderError> {
    let latest = now.saturating_add(params.max_future_ms);
    if header.time <= latest { Ok(()) } else { Err(HeaderError::FromFuture { latest, got: header.time }) }
}
