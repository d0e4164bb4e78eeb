//! The entries of the state, their keys and their bytes (protocol section 6).
//!
//! An entry appears when it is first touched; only a revoked miner's disappears. Values are what the root commits to;
//! [`Holding`] is derived from the blocks and stands outside of it. Where entries are held is `tree`'s business.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::codec::{self, Decode, DecodeError, Encode};
use crate::hash::{Hash, Tag, tagged};
use crate::key::PublicKey;
use crate::transaction::Name;

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Position {
    /// Its block's height.
    pub height: u64,
    /// Its place in the block, from 0.
    pub index: u32,
}

/// What the chain says of an image. There from when it is first bought, reviewed or listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Edition {
    /// How many are sold.
    pub sold: u32,
    /// How many there are; 0: unlisted, as many as the network's MAX.
    pub editions: u32,
    /// The price of one.
    pub price: u64,
    /// Who is credited.
    pub seller: PublicKey,
    /// The whole story of the image in one hash.
    pub register: Hash,
    /// The last purchase.
    pub last: Option<Position>,
    /// How many accounts reviewed it.
    pub reviews: u32,
    /// The sum of their present ratings.
    pub rating_sum: u64,
    /// The last review.
    pub last_review: Option<Position>,
}

impl Edition {
    /// Whether a registrar put it on sale.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.editions != 0
    }

    /// How many editions there are, with the network's MAX for an image that is not listed.
    #[must_use]
    pub fn editions_or(&self, max_editions: u32) -> u32 {
        if self.is_listed() { self.editions } else { max_editions }
    }
}

/// What the chain says of an account. There from its first transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// What it may spend.
    pub balance: u64,
    /// Whether a registrar admitted it.
    pub admitted: bool,
    /// How many transactions touched it.
    pub transactions: u64,
    /// The last of them.
    pub last: Position,
}

/// What the chain says of a registered miner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Miner {
    /// What people call it.
    pub name: Name,
    /// The height at which it was registered.
    pub registered_at: u64,
    /// How many blocks it made since.
    pub blocks: u64,
    /// The last of them, or 0.
    pub last_height: u64,
}

/// What was ever deposited and withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Supply {
    /// All deposits.
    pub issued: u64,
    /// All withdrawals.
    pub redeemed: u64,
}

/// What an account holds of an image, and how it rated it. Derived from the blocks: the root does not cover it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Holding {
    /// How many editions.
    pub quantity: u32,
    /// 1 to 5, or 0: not reviewed.
    pub rating: u8,
}

/// Names an entry of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// `0x00, image`
    Edition(u64),
    /// `0x01, account`
    Account(PublicKey),
    /// `0x02, miner`
    Miner(PublicKey),
    /// `0x03`
    Supply,
}

impl StateKey {
    /// The place of the entry in the state tree: `path = H("printsy/key", key)`.
    #[must_use]
    pub fn path(&self) -> Hash {
        tagged(Tag::Key, &[&codec::encode(self)])
    }

    /// The entry that `value` is, under this key.
    ///
    /// # Errors
    /// C1 to C4 where it is none.
    pub fn decode_value(&self, value: &[u8]) -> Result<Entry, DecodeError> {
        Ok(match self {
            Self::Edition(_) => Entry::Edition(codec::decode(value)?),
            Self::Account(_) => Entry::Account(codec::decode(value)?),
            Self::Miner(_) => Entry::Miner(codec::decode(value)?),
            Self::Supply => Entry::Supply(codec::decode(value)?),
        })
    }
}

impl Encode for StateKey {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Edition(image) => (0u8, image).encode(encoder),
            Self::Account(key) => (1u8, key).encode(encoder),
            Self::Miner(key) => (2u8, key).encode(encoder),
            Self::Supply => 3u8.encode(encoder),
        }
    }
}

impl<C> Decode<C> for StateKey {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        Ok(match u8::decode(d)? {
            0 => Self::Edition(Decode::decode(d)?),
            1 => Self::Account(Decode::decode(d)?),
            2 => Self::Miner(Decode::decode(d)?),
            3 => Self::Supply,
            _ => return Err(codec::unknown_tag()),
        })
    }
}

bincode::impl_borrow_decode!(StateKey);

/// An entry of the state, of the kind its key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Of an image.
    Edition(Edition),
    /// Of an account.
    Account(Account),
    /// Of a miner.
    Miner(Miner),
    /// The supply.
    Supply(Supply),
}

impl Encode for Entry {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Edition(entry) => entry.encode(encoder),
            Self::Account(entry) => entry.encode(encoder),
            Self::Miner(entry) => entry.encode(encoder),
            Self::Supply(entry) => entry.encode(encoder),
        }
    }
}

/// An entry with its key, or the key of one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Which.
    pub key: StateKey,
    /// What, or nothing.
    pub entry: Option<Entry>,
}

impl Encode for StateRow {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.key.encode(encoder)?;
        self.entry.encode(encoder)
    }
}

impl<C> Decode<C> for StateRow {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        let key = StateKey::decode(d)?;
        let entry = match u8::decode(d)? {
            0 => None,
            1 => Some(match key {
                StateKey::Edition(_) => Entry::Edition(Decode::decode(d)?),
                StateKey::Account(_) => Entry::Account(Decode::decode(d)?),
                StateKey::Miner(_) => Entry::Miner(Decode::decode(d)?),
                StateKey::Supply => Entry::Supply(Decode::decode(d)?),
            }),
            _ => return Err(codec::unknown_tag()),
        };
        Ok(Self { key, entry })
    }
}

bincode::impl_borrow_decode!(StateRow);
