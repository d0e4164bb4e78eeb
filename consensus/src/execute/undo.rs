//! Taking a block back, and what came before each of its transactions.
//!
//! For each transaction, the entries and holdings it changed, as they were before it. Applied backwards they
//! undo the block; read forwards they are the links of history: the entry of an image or an account before a
//! transaction names the position of the transaction before.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::block::Block;
use crate::codec::{Decode, Encode, List};
use crate::key::PublicKey;
use crate::state::{Account, Edition, Entry, Holding, Miner, StateKey, StateRow};
use crate::transaction::MAX_LINES;

use super::overlay::Diff;

/// The most entries one transaction changes: an edition and a seller for each line, the sender, the supply.
const MAX_ENTRIES: usize = 2 * MAX_LINES + 2;

/// What the sender held of an image before a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HoldingBefore {
    /// Which image.
    pub image: u64,
    /// What it held.
    pub holding: Holding,
}

/// What a transaction changed, as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TransactionUndo {
    /// The entries it changed, each once, ascending by key; without an entry where there was none.
    pub entries: List<StateRow, MAX_ENTRIES>,
    /// The sender's holdings it changed.
    pub holdings: List<HoldingBefore, MAX_LINES>,
}

impl TransactionUndo {
    /// The entry of `key` before the transaction: `None` where it was not changed, `Some(None)` where it was
    /// not there.
    #[must_use]
    pub fn before(&self, key: &StateKey) -> Option<Option<&Entry>> {
        self.entries.iter().find(|row| row.key == *key).map(|row| row.entry.as_ref())
    }

    /// The image's entry before the transaction, if the transaction changed it.
    #[must_use]
    pub fn edition_before(&self, image: u64) -> Option<Edition> {
        self.before(&StateKey::Edition(image)).map(|before| match before {
            Some(Entry::Edition(edition)) => *edition,
            _ => Edition::default(),
        })
    }

    /// The account's entry before the transaction, if the transaction touched it.
    #[must_use]
    pub fn account_before(&self, account: &PublicKey) -> Option<Account> {
        self.before(&StateKey::Account(*account)).map(|before| match before {
            Some(Entry::Account(account)) => *account,
            _ => Account::default(),
        })
    }
}

/// What a block changed, as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockUndo {
    /// For each of its transactions, in order.
    pub transactions: Vec<TransactionUndo>,
    /// Its miner's entry after the transactions, before the block was counted; `None` where the miner is not
    /// registered.
    pub miner: Option<Miner>,
}

impl BlockUndo {
    /// The entry of the block's miner, whose key this is, before the block; `None` where it was not registered then:
    /// it is a registrar's.
    #[must_use]
    pub fn miner_before(&self, miner: &PublicKey) -> Option<&Miner> {
        let key = StateKey::Miner(*miner);
        match self.transactions.iter().find_map(|undo| undo.before(&key)) {
            Some(Some(Entry::Miner(before))) => Some(before),
            Some(_) => None,
            // No transaction of the block changed it.
            None => self.miner.as_ref(),
        }
    }

    /// What takes `block` back, given that this is its undo.
    #[must_use]
    pub fn reversed(&self, block: &Block) -> Diff {
        let mut diff = Diff::default();
        if let Some(miner) = &self.miner {
            let key = StateKey::Miner(block.header.header.miner);
            diff.entries.insert(key, Some(Entry::Miner(miner.clone())));
        }
        for (undo, tx) in self.transactions.iter().zip(&block.transactions).rev() {
            for row in &undo.entries {
                diff.entries.insert(row.key, row.entry.clone());
            }
            for before in &undo.holdings {
                diff.holdings.insert((tx.body.sender, before.image), before.holding);
            }
            diff.unconfirmed.insert((tx.body.expires_at, tx.body.txid()));
        }
        diff
    }
}

impl Encode for BlockUndo {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let count = u32::try_from(self.transactions.len()).expect("no block holds 2^32 transactions");
        count.encode(encoder)?;
        self.transactions.iter().try_for_each(|undo| undo.encode(encoder))?;
        self.miner.encode(encoder)
    }
}

impl<C> Decode<C> for BlockUndo {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        let count = u32::decode(d)?;
        let mut transactions = Vec::new();
        for _ in 0..count {
            transactions.push(TransactionUndo::decode(d)?);
        }
        Ok(Self { transactions, miner: Decode::decode(d)? })
    }
}

bincode::impl_borrow_decode!(BlockUndo);
