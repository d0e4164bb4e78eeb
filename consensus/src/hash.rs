//! Hashes: the tagged SHA-256 that everything but the header uses, and the header's double SHA-256.
//!
//! All tags of the protocol stand in this file. A hash is shown as plain lower-case hex, first byte first,
//! never reversed.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::codec::{Decode, Encode};

/// 32 bytes of SHA-256.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the parent of genesis, the root of the empty state, the register of a new image.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hex digits, got {got:?}")]
pub struct ParseHashError {
    got: String,
}

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let refused = || ParseHashError { got: text.chars().take(80).collect() };
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
        Ok(Self(bytes))
    }
}

/// A tag of the tagged hash: where a hash is used, so that no hash of one use is one of another.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Tag {
    /// `printsy/genesis`: the transactions root of block 0, over the parameters.
    Genesis,
    /// `printsy/txid`
    TxId,
    /// `printsy/text`: a review's text, inside its txid.
    Text,
    /// `printsy/sign`: the message a transaction's signature signs.
    Sign,
    /// `printsy/tx`: a leaf of the transactions root.
    Transaction,
    /// `printsy/node`: an inner node of the transactions root.
    Node,
    /// `printsy/root`: the transactions root itself.
    Root,
    /// `printsy/block`: the message a block's miner signs.
    Block,
    /// `printsy/key`: the place of a key in the state tree.
    Key,
    /// `printsy/leaf`: a leaf of the state tree.
    Leaf,
    /// `printsy/branch`: a branch of the state tree.
    Branch,
    /// `printsy/register`: the story of an image.
    Register,
    /// `printsy/dev`: the secrets of development keys.
    Dev,
}

const TAGS: [&str; 13] = [
    "printsy/genesis",
    "printsy/txid",
    "printsy/text",
    "printsy/sign",
    "printsy/tx",
    "printsy/node",
    "printsy/root",
    "printsy/block",
    "printsy/key",
    "printsy/leaf",
    "printsy/branch",
    "printsy/register",
    "printsy/dev",
];

/// Hashers that have taken in `SHA-256(tag) || SHA-256(tag)`: exactly one compression that need not be
/// done again for each hash.
static PREPARED: LazyLock<[Sha256; 13]> = LazyLock::new(|| TAGS.map(prepare));

fn prepare(tag: &str) -> Sha256 {
    let tag_hash = Sha256::digest(tag.as_bytes());
    Sha256::new().chain_update(tag_hash).chain_update(tag_hash)
}

/// `H(tag, parts...) = SHA-256(SHA-256(tag) || SHA-256(tag) || parts...)` (protocol section 1, BIP-340).
#[must_use]
pub fn tagged(tag: Tag, parts: &[&[u8]]) -> Hash {
    let mut hasher = PREPARED[tag as usize].clone();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// `SHA-256d(x) = SHA-256(SHA-256(x))`, for the header alone.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(Sha256::digest(bytes)).into())
}
