//! Frames: what a segment of the journal holds after its header.
//!
//! ```text
//! frame = payload length u32 | kind u8 | crc32 u32 | payload
//! block = block length u32 | block | undo                                                     (kind 1)
//! move  = genesis [32] | commit start u64 | final height u64
//!         | list<disconnected id> | list<connected id, position u64> | own position u64          (kind 2)
//! ```
//! Integers are little-endian, lists begin with a u32 count. The checksum covers the frame's position in the
//! journal, its length, its kind and its payload: old bytes at a new place are no frame. This file is bytes
//! alone; where frames lie and what they mean together is the reader's.

use printsy_consensus::Hash;

use super::bytes::{Bytes, len_usize, len64};
use super::error::StoreError;

/// The greatest payload: a block of the largest size any network allows (64 MiB), and three times that to
/// undo it.
pub const MAX_PAYLOAD_BYTES: u32 = 256 << 20;

/// A frame's length without its payload.
pub(super) const HEAD_LEN: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A connected block and what undoes it.
    Block = 1,
    /// The commit point.
    Move = 2,
}

/// The fields before the payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The payload's length in bytes.
    pub(super) len: u32,
    /// What the frame is.
    pub(super) kind: Kind,
    crc: u32,
}

impl Head {
    /// The head that these bytes are, if they can be one.
    pub(super) fn decode(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let len = bytes.u32().filter(|len| *len <= MAX_PAYLOAD_BYTES)?;
        let kind = match bytes.u8()? {
            1 => Kind::Block,
            2 => Kind::Move,
            _ => return None,
        };
        Some(Self { len, kind, crc: bytes.u32()? })
    }

    /// The whole frame's length in bytes.
    pub(super) fn frame_len(&self) -> u64 {
        frame_len(u64::from(self.len))
    }

    /// Whether this payload, at this position, is the one the frame was written with.
    pub(super) fn fits(&self, position: u64, payload: &[u8]) -> bool {
        self.crc == checksum(position, self.len, self.kind, &[payload])
    }
}

/// The length of a frame with a payload of this length.
pub(super) fn frame_len(payload_len: u64) -> u64 {
    len64(&[0; HEAD_LEN]) + payload_len
}

fn checksum(position: u64, len: u32, kind: Kind, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(&len.to_le_bytes());
    hasher.update(&[kind as u8]);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// A payload's length, if the journal takes it.
pub(super) fn checked_payload_len(len: u64) -> Result<u32, StoreError> {
    let too_large = || StoreError::TooLarge { got: len, max: u64::from(MAX_PAYLOAD_BYTES) };
    u32::try_from(len).ok().filter(|len| *len <= MAX_PAYLOAD_BYTES).ok_or_else(too_large)
}

/// Adds a frame whose payload is these parts, to lie at `position`.
pub(super) fn encode(
    position: u64,
    kind: Kind,
    parts: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let len = checked_payload_len(parts.iter().map(|part| len64(part)).sum())?;
    out.extend_from_slice(&len.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(&checksum(position, len, kind, parts).to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}

/// The length of a block frame's payload.
pub(super) fn block_payload_len(block: &[u8], undo: &[u8]) -> u64 {
    4 + len64(block) + len64(undo)
}

/// The block's bytes and the undo's in the payload of a block frame.
pub(super) fn split_block(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut bytes = Bytes(payload);
    let len = bytes.u32()?;
    let block = bytes.take(len_usize(u64::from(len)))?;
    Some((block, bytes.0))
}

/// The payload of a move frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MovePayload {
    /// The network. It stands first because it is longer than what the maker of a transaction can choose
    /// freely in a row: no bytes inside a block can pass for a move.
    pub(super) genesis: Hash,
    /// Where the commit began: the first byte that was handed to the disk for it.
    pub(super) start: u64,
    /// The final height after the move.
    pub(super) final_height: u64,
    /// The blocks taken off, first the old tip.
    pub(super) disconnect: Vec<Hash>,
    /// The blocks put on, with the positions of their frames, last the new tip.
    pub(super) connect: Vec<(Hash, u64)>,
    /// Where its frame is. It stands last: the end of a commit is told from any other place by going back.
    pub(super) position: u64,
}

impl MovePayload {
    /// Where the genesis stands in a frame.
    pub(super) const GENESIS_OFFSET: usize = HEAD_LEN;

    /// The length of the payload for so many blocks.
    pub(super) fn len(disconnected: usize, connected: usize) -> u64 {
        let bytes = disconnected.saturating_mul(32).saturating_add(connected.saturating_mul(40));
        u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(32 + 8 + 8 + 4 + 4 + 8)
    }

    /// The payload's bytes.
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let len = checked_payload_len(Self::len(self.disconnect.len(), self.connect.len()))?;
        let mut out = Vec::with_capacity(len_usize(u64::from(len)));
        let count = |items: usize| u32::try_from(items).expect("the payload's length was checked");
        out.extend_from_slice(&self.genesis.0);
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.final_height.to_le_bytes());
        out.extend_from_slice(&count(self.disconnect.len()).to_le_bytes());
        self.disconnect.iter().for_each(|id| out.extend_from_slice(&id.0));
        out.extend_from_slice(&count(self.connect.len()).to_le_bytes());
        for (id, position) in &self.connect {
            out.extend_from_slice(&id.0);
            out.extend_from_slice(&position.to_le_bytes());
        }
        out.extend_from_slice(&self.position.to_le_bytes());
        Ok(out)
    }

    /// The move that these bytes are, if they are one.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(payload);
        let (genesis, start, final_height) = (bytes.hash()?, bytes.u64()?, bytes.u64()?);
        let disconnected = bytes.count(32)?;
        let disconnect = (0..disconnected).map(|_| bytes.hash()).collect::<Option<_>>()?;
        let connected = bytes.count(40)?;
        let connect = (0..connected).map(|_| Some((bytes.hash()?, bytes.u64()?))).collect::<Option<_>>()?;
        let position = bytes.u64()?;
        bytes.end()?;
        Some(Self { genesis, start, final_height, disconnect, connect, position })
    }
}
