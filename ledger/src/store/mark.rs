//! The mark: how far of the journal the index has, and what the chain was there.

use printsy_consensus::Hash;

use super::bytes::Bytes;

/// What the rows stand at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The end of the last commit whose rows are there.
    pub journal_end: u64,
    /// The tip's height after it.
    pub height: u64,
    /// The tip after it.
    pub tip: Hash,
    /// The final height then.
    pub final_height: u64,
}

impl Mark {
    /// A mark's length in bytes.
    pub(super) const LEN: usize = 8 + 8 + 32 + 8;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.journal_end.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.height.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.tip.0);
        bytes[48..].copy_from_slice(&self.final_height.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (journal_end, height) = (bytes.u64()?, bytes.u64()?);
        Some(Self { journal_end, height, tip: bytes.hash()?, final_height: bytes.u64()? })
    }
}
