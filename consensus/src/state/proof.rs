//! Proofs of presence and absence against a state root (protocol section 6).
//!
//! A proof is what someone with only a header needs: the siblings along a path, and what stands at its end. Verifying
//! one needs no tree. `tree` makes them.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::codec::{self, Decode, Encode, List};
use crate::hash::Hash;

use super::path::{bit, branch_hash, leaf_hash};

/// A proof: the siblings along a path, and what stands at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// From the root down.
    pub siblings: List<Hash, 256>,
    /// What the path ends at.
    pub terminal: Terminal,
}

/// What a path ends at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Tag 0: nothing.
    Empty,
    /// Tag 1: an entry, perhaps of another path that shares the first bits.
    Leaf {
        /// The entry's path.
        path: Hash,
        /// The entry's value.
        value: List<u8, 1024>,
    },
}

/// A proof that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It leads to another root.
    #[error("the proof leads to another root than the header's")]
    Root,
    /// It ends at an entry whose path leaves the one asked for before the end.
    #[error("the proof ends at an entry that is not on the path asked for")]
    OffPath,
}

impl Proof {
    /// What the state with this root has at `path`: its value, or (`None`) nothing.
    ///
    /// # Errors
    /// [`ProofError`] where the proof does not show it.
    pub fn verify(&self, root: &Hash, path: &Hash) -> Result<Option<&[u8]>, ProofError> {
        let (mut hash, answer) = match &self.terminal {
            Terminal::Empty => (Hash::ZERO, None),
            Terminal::Leaf { path: found, value } => {
                let shared = (0..self.siblings.len()).all(|depth| bit(found, depth) == bit(path, depth));
                if !shared {
                    return Err(ProofError::OffPath);
                }
                (leaf_hash(found, value), (found == path).then_some(&**value))
            }
        };
        for (depth, sibling) in self.siblings.iter().enumerate().rev() {
            hash = if bit(path, depth) { branch_hash(sibling, &hash) } else { branch_hash(&hash, sibling) };
        }
        if hash == *root { Ok(answer) } else { Err(ProofError::Root) }
    }
}

impl Encode for Terminal {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Empty => 0u8.encode(encoder),
            Self::Leaf { path, value } => (1u8, path, value).encode(encoder),
        }
    }
}

impl<C> Decode<C> for Terminal {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        match u8::decode(d)? {
            0 => Ok(Self::Empty),
            1 => Ok(Self::Leaf { path: Decode::decode(d)?, value: Decode::decode(d)? }),
            _ => Err(codec::unknown_tag()),
        }
    }
}

bincode::impl_borrow_decode!(Terminal);

impl Encode for Proof {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (&self.siblings, &self.terminal).encode(encoder)
    }
}

impl<C> Decode<C> for Proof {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        Ok(Self { siblings: Decode::decode(d)?, terminal: Decode::decode(d)? })
    }
}

bincode::impl_borrow_decode!(Proof);
