//! Block headers: 160 bytes written by hand, and their id (protocol section 4).
//!
//! Bytes and ids only; the rules H1 to H8 stand in `headers/rules.rs`.

use crate::hash::{Hash, Tag, sha256d, tagged};
use crate::key::{PublicKey, Signature};

/// The version this program knows.
pub const VERSION: u32 = 1;

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// The id of the block before.
    pub parent: Hash,
    /// Commits to the transactions and their signatures.
    pub transactions_root: Hash,
    /// Commits to the whole state after this block.
    pub state_root: Hash,
    /// The parent's plus one.
    pub height: u64,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The target, compact.
    pub bits: u32,
    /// Who made the block.
    pub miner: PublicKey,
    /// What proof of work varies.
    pub nonce: u64,
}

impl Header {
    /// A header's length in bytes.
    pub const LEN: usize = 160;
    /// Where the nonce begins: the last eight bytes.
    pub const NONCE_OFFSET: usize = 152;

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.parent.0);
        bytes[36..68].copy_from_slice(&self.transactions_root.0);
        bytes[68..100].copy_from_slice(&self.state_root.0);
        bytes[100..108].copy_from_slice(&self.height.to_le_bytes());
        bytes[108..116].copy_from_slice(&self.time.to_le_bytes());
        bytes[116..120].copy_from_slice(&self.bits.to_le_bytes());
        bytes[120..152].copy_from_slice(&self.miner.0);
        bytes[152..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The header that these bytes are; every 160 bytes are one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self {
            version: u32::from_le_bytes(field(bytes, 0)),
            parent: Hash(field(bytes, 4)),
            transactions_root: Hash(field(bytes, 36)),
            state_root: Hash(field(bytes, 68)),
            height: u64::from_le_bytes(field(bytes, 100)),
            time: u64::from_le_bytes(field(bytes, 108)),
            bits: u32::from_le_bytes(field(bytes, 116)),
            miner: PublicKey(field(bytes, 120)),
            nonce: u64::from_le_bytes(field(bytes, 152)),
        }
    }

    /// `block id = SHA-256d(header)`: also the proof-of-work hash, read as a big-endian number.
    #[must_use]
    pub fn id(&self) -> Hash {
        sha256d(&self.to_bytes())
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
    *field.expect("every field lies within the fixed length")
}

/// What a block's miner signs: `H("printsy/block", block id)`.
#[must_use]
pub fn block_message(id: &Hash) -> Hash {
    tagged(Tag::Block, &[&id.0])
}

/// A header with its miner's signature: all of a block but its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// The miner's over [`block_message`]; outside the id.
    pub signature: Signature,
}

impl SignedHeader {
    /// A signed header's length in bytes.
    pub const LEN: usize = Header::LEN + 64;

    /// The header's bytes, then the signature's.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..Header::LEN].copy_from_slice(&self.header.to_bytes());
        bytes[Header::LEN..].copy_from_slice(&self.signature);
        bytes
    }

    /// The signed header that these bytes are; every 224 bytes are one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self { header: Header::from_bytes(&field(bytes, 0)), signature: field(bytes, Header::LEN) }
    }
}
