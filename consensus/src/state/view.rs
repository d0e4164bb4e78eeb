//! How rules read the state: a trait, so that the same rules run over the live state, over a state with some
//! transactions already staged on it, and over a naive model in tests.

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};

use crate::codec::{Decode, Encode, List, unknown_tag};
use crate::hash::Hash;
use crate::key::PublicKey;

use super::{Account, Edition, Entry, Holding, Miner, StateKey, Supply};

/// What a rule needs could not be read: this node's trouble, never anybody's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state could not be read: {0}")]
pub struct ViewError(pub String);

/// How many bytes of a sentence are written: what a file keeps of it is bounded.
const MAX_SENTENCE_BYTES: usize = 128;

impl Encode for ViewError {
    /// The sentence, cut at a character where it is longer than a file keeps.
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let end = self.0.floor_char_boundary(MAX_SENTENCE_BYTES);
        let kept = self.0.as_bytes().iter().copied().take(end).collect::<Vec<u8>>();
        let kept = List::<u8, MAX_SENTENCE_BYTES>::try_from(kept).expect("it was cut to its maximum");
        kept.encode(encoder)
    }
}

impl<C> Decode<C> for ViewError {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let kept = List::<u8, MAX_SENTENCE_BYTES>::decode(decoder)?;
        String::from_utf8(kept.into_vec()).map(Self).map_err(|_| unknown_tag())
    }
}

impl<'de, C> bincode::BorrowDecode<'de, C> for ViewError {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

/// The state at one block, to be read by rules.
///
/// # Consensus
/// Two views of one block must answer the same, whoever implements them.
pub trait StateView {
    /// The entry of `key`, of the kind the key says.
    fn entry(&self, key: &StateKey) -> Option<Entry>;

    /// How many miners are registered.
    fn miner_count(&self) -> usize;

    /// What `account` holds of `image`; the default where it holds nothing.
    ///
    /// # Errors
    /// Where the view's storage fails.
    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError>;

    /// Whether a transaction with this id and this expiry is confirmed by this block or an ancestor. Asked
    /// only for expiries that have not passed.
    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool;

    /// The image's entry, or that of an image nobody touched.
    fn edition(&self, image: u64) -> Edition {
        match self.entry(&StateKey::Edition(image)) {
            Some(Entry::Edition(edition)) => edition,
            _ => Edition::default(),
        }
    }

    /// The account's entry, or that of an account nobody touched.
    fn account(&self, account: &PublicKey) -> Account {
        match self.entry(&StateKey::Account(*account)) {
            Some(Entry::Account(account)) => account,
            _ => Account::default(),
        }
    }

    /// The miner's entry, if it is registered.
    fn miner(&self, miner: &PublicKey) -> Option<Miner> {
        match self.entry(&StateKey::Miner(*miner)) {
            Some(Entry::Miner(miner)) => Some(miner),
            _ => None,
        }
    }

    /// The supply.
    fn supply(&self) -> Supply {
        match self.entry(&StateKey::Supply) {
            Some(Entry::Supply(supply)) => supply,
            _ => Supply::default(),
        }
    }
}
