//! The rows of the index: what the ledger looks up by key, and how a diff becomes rows.
//!
//! One byte tells the kind, so that one table holds all: state entries, holdings, the positions of
//! transactions, the heights of blocks. All values are absolute; all of it can be made again from the journal.

use printsy_consensus::codec::{self, Decode, DecodeError, Encode};
use printsy_consensus::{Diff, Hash, Holding, Position, PublicKey, StateKey};

use crate::store::StoreError;
use crate::store::runs::{ID_LEN, PACKED_KINDS};

/// A row to write, or (`None`) to remove.
pub(crate) type Row = (Vec<u8>, Option<Vec<u8>>);

/// Prefix of state entries; the entry's own key bytes follow.
pub(crate) const STATE: u8 = b'S';
pub(crate) const HOLDING: u8 = b'H';
/// Prefix of the positions of blocks, and of transactions; an id's first 128 bits follow, beyond any collision.
pub(crate) const BLOCK: u8 = PACKED_KINDS[0];
pub(crate) const TRANSACTION: u8 = PACKED_KINDS[1];

/// What the index knows of a block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub(crate) struct BlockRow {
    /// Its height.
    pub height: u64,
    /// Where the journal has it.
    pub position: u64,
}

/// What an account holds of an image, and the height at which that last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub(crate) struct HoldingRow {
    /// What it holds.
    pub holding: Holding,
    /// The height of the block that left it so.
    pub as_of: u64,
}

pub(crate) fn state_key(key: &StateKey) -> Vec<u8> {
    prefixed(STATE, &codec::encode(key))
}

pub(crate) fn holding_key(account: &PublicKey, image: u64) -> Vec<u8> {
    let mut key = prefixed(HOLDING, &account.0);
    key.extend_from_slice(&image.to_be_bytes());
    key
}

/// What all keys of an account's holdings begin with.
pub(crate) fn holdings_prefix(account: &PublicKey) -> Vec<u8> {
    prefixed(HOLDING, &account.0)
}

/// The image of a key that begins with this prefix of holdings.
pub(crate) fn image_of(prefix: &[u8], key: &[u8]) -> Option<u64> {
    key.strip_prefix(prefix)?.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn transaction_key(txid: &Hash) -> Vec<u8> {
    prefixed(TRANSACTION, &txid.0[..ID_LEN])
}

pub(crate) fn block_key(id: &Hash) -> Vec<u8> {
    prefixed(BLOCK, &id.0[..ID_LEN])
}

fn prefixed(prefix: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(rest.len() + 1);
    key.push(prefix);
    key.extend_from_slice(rest);
    key
}

/// The value of a row, decoded; damage in the index is named so that it is rebuilt.
pub(crate) fn decode_row<T: Decode<()>>(bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|error: DecodeError| StoreError::Index(format!("a row is damaged: {error}")))
}

/// The rows that one net move of the tip changes.
pub(crate) struct MoveRows {
    rows: Vec<Row>,
}

impl MoveRows {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A block's transactions left the chain. (Where the journal has the block is still true.)
    pub(crate) fn disconnected(&mut self, txids: impl Iterator<Item = Hash>) {
        self.rows.extend(txids.map(|txid| (transaction_key(&txid), None)));
    }

    /// A block and its transactions joined the chain; said after all that left it.
    pub(crate) fn connected(&mut self, id: &Hash, row: BlockRow, txids: impl Iterator<Item = Hash>) {
        self.rows.push((block_key(id), Some(codec::encode(&row))));
        let height = row.height;
        self.rows.extend(
            txids.zip(0u32..).map(|(txid, index)| {
                (transaction_key(&txid), Some(codec::encode(&Position { height, index })))
            }),
        );
    }

    /// The state and the holdings that the whole move changed, as the block at `height` left them.
    pub(crate) fn finish(mut self, diff: &Diff, height: u64) -> Vec<Row> {
        self.rows.extend(
            diff.entries.iter().map(|(key, entry)| (state_key(key), entry.as_ref().map(codec::encode))),
        );
        self.rows.extend(diff.holdings.iter().map(|((account, image), holding)| {
            let row = HoldingRow { holding: *holding, as_of: height };
            let kept = *holding != Holding::default();
            (holding_key(account, *image), kept.then(|| codec::encode(&row)))
        }));
        self.rows
    }
}
