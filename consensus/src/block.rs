//! Blocks, their transactions root, and blocks checked in isolation (protocol section 4).
//!
//! A [`CheckedBlock`] has passed every rule that needs no other block: its proof of work against the target it
//! claims, its miner's signature, its size, its root and each transaction's T rules. Its fields are private
//! and [`CheckedBlock::check`] is its only maker.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::branch;
use crate::check::{CheckedTransaction, TransactionError, check_transactions};
use crate::codec::{self, Decode, DecodeError, Encode};
use crate::hash::{Hash, Tag, tagged};
use crate::header::{Header, SignedHeader};
use crate::headers::{CheckedHeader, HeaderError};
use crate::params::Params;
use crate::rule::{Fault, Rule};
use crate::transaction::Transaction;

/// A block, decoded and bounded, but checked in no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header and the miner's signature.
    pub header: SignedHeader,
    /// In the order in which they take effect.
    pub transactions: Vec<Transaction>,
}

impl Encode for Block {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.header.to_bytes().encode(encoder)?;
        let count = u32::try_from(self.transactions.len()).expect("no block holds 2^32 transactions");
        count.encode(encoder)?;
        self.transactions.iter().try_for_each(|transaction| transaction.encode(encoder))
    }
}

impl<C> Decode<C> for Block {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        let header = SignedHeader::from_bytes(&Decode::decode(d)?);
        let count = u32::decode(d)?;
        // Grows as transactions really arrive: a count alone allocates nothing, and each takes over a
        // hundred bytes of input.
        let mut transactions = Vec::new();
        for _ in 0..count {
            transactions.push(Transaction::decode(d)?);
        }
        Ok(Self { header, transactions })
    }
}

bincode::impl_borrow_decode!(Block);

/// A block whose bytes are to blame, or whose content is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockCheckError {
    /// Its bytes are no block (C1 to C4): the sender's fault.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// B1: the sender's fault.
    #[error("B1: a block has at most {max} bytes, got {got}")]
    TooLarge {
        /// The network's maximum.
        max: u32,
        /// The block's size.
        got: usize,
    },
    /// A header rule (H1, H4, H5, H8); the fault is as the rule has it.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// B2: the sender's fault.
    #[error("B2: the transactions root is {got}, the header says {expected}")]
    TransactionsRoot {
        /// The header's.
        expected: Hash,
        /// That of the body.
        got: Hash,
    },
    /// A T rule under a root that matches: the block's fault.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Which transaction.
        index: usize,
        /// What it breaks.
        error: TransactionError,
    },
}

impl BlockCheckError {
    /// The rule that was broken.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Decode(error) => error.rule(),
            Self::TooLarge { .. } => Rule::B1,
            Self::Header(error) => error.rule(),
            Self::TransactionsRoot { .. } => Rule::B2,
            Self::Transaction { error, .. } => error.rule(),
        }
    }

    /// C rules, B1 and B2 are the sender's; a header rule's is its own; a T rule under a root that matches is
    /// the block's.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Decode(_) | Self::TooLarge { .. } | Self::TransactionsRoot { .. } => Fault::Sender,
            Self::Header(error) => error.fault(),
            Self::Transaction { .. } => Fault::Block,
        }
    }
}

/// A block that passed every rule that needs no other block.
#[derive(Clone, Debug)]
pub struct CheckedBlock {
    header: CheckedHeader,
    transactions: Vec<CheckedTransaction>,
    bytes: Vec<u8>,
}

impl CheckedBlock {
    /// Checks a block in isolation: the bytes, then what is cheap, then what is dear.
    ///
    /// `known` finds a transaction that was checked before by its leaf, which names exactly its bytes: what
    /// was checked once is not checked again.
    ///
    /// # Errors
    /// [`BlockCheckError`], whose fault tells a bad body from a bad block.
    pub fn check(
        params: &Params,
        genesis: &Hash,
        bytes: Vec<u8>,
        known: &dyn Fn(&Hash) -> Option<CheckedTransaction>,
    ) -> Result<Self, BlockCheckError> {
        check_size(params, bytes.len())?;
        let block: Block = codec::decode(&bytes)?;
        let header = CheckedHeader::check(block.header)?;
        let leaves: Vec<Hash> = block.transactions.iter().map(|tx| tx.leaf(&tx.body.txid())).collect();
        check_transactions_root(&header.header().transactions_root, &leaves)?;
        let transactions = check_all(params, genesis, block.transactions, &leaves, known)?;
        Ok(Self { header, transactions, bytes })
    }

    /// The header, checked.
    #[must_use]
    pub fn header(&self) -> &CheckedHeader {
        &self.header
    }

    /// The block's id.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.header.id()
    }

    /// The block's height, as its header says.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.header.header().height
    }

    /// The transactions.
    #[must_use]
    pub fn transactions(&self) -> &[CheckedTransaction] {
        &self.transactions
    }

    /// The block's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// B1 and B2 of a block that has no proof of work and no signature yet: a template, whose transactions are checked.
///
/// # Errors
/// B1 or B2.
pub fn check_body(
    params: &Params,
    header: &Header,
    transactions: &[CheckedTransaction],
) -> Result<(), BlockCheckError> {
    let bytes = transactions.iter().map(|tx| tx.bytes().len());
    check_size(params, bytes.fold(EMPTY_BLOCK_BYTES, usize::saturating_add))?;
    let leaves: Vec<Hash> = transactions.iter().map(CheckedTransaction::leaf).collect();
    check_transactions_root(&header.transactions_root, &leaves)
}

/// B1: at most `max_block_bytes`.
fn check_size(params: &Params, got: usize) -> Result<(), BlockCheckError> {
    match u32::try_from(got) {
        Ok(bytes) if bytes <= params.max_block_bytes => Ok(()),
        _ => Err(BlockCheckError::TooLarge { max: params.max_block_bytes, got }),
    }
}

/// B2: the transactions root.
fn check_transactions_root(expected: &Hash, leaves: &[Hash]) -> Result<(), BlockCheckError> {
    let got = transactions_root(leaves);
    if got == *expected {
        Ok(())
    } else {
        Err(BlockCheckError::TransactionsRoot { expected: *expected, got })
    }
}

/// Every transaction's T rules; those not known in one batch.
fn check_all(
    params: &Params,
    genesis: &Hash,
    transactions: Vec<Transaction>,
    leaves: &[Hash],
    known: &dyn Fn(&Hash) -> Option<CheckedTransaction>,
) -> Result<Vec<CheckedTransaction>, BlockCheckError> {
    let mut checked: Vec<Option<CheckedTransaction>> = leaves.iter().map(known).collect();
    let unknown: Vec<usize> = (0..checked.len()).filter(|&index| checked[index].is_none()).collect();
    let batch = transactions.into_iter().zip(&checked).filter(|(_, known)| known.is_none());
    let batch: Vec<Transaction> = batch.map(|(transaction, _)| transaction).collect();
    for (index, result) in unknown.into_iter().zip(check_transactions(params, genesis, batch)) {
        checked[index] = Some(result.map_err(|error| BlockCheckError::Transaction { index, error })?);
    }
    Ok(checked.into_iter().flatten().collect())
}

/// `transactions_root = H("printsy/root", count u32, top)` over leaves [`Transaction::leaf`]: inner nodes
/// `H("printsy/node", l, r)`, an odd last node moves up unchanged, no top when there is none.
///
/// # Panics
/// For 2^32 leaves, which no block can hold.
#[must_use]
pub fn transactions_root(leaves: &[Hash]) -> Hash {
    let count = u32::try_from(leaves.len()).expect("no block holds 2^32 transactions").to_le_bytes();
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(branch::join).collect();
    }
    match row.first() {
        Some(top) => tagged(Tag::Root, &[&count, &top.0]),
        None => tagged(Tag::Root, &[&count]),
    }
}

/// The bytes of a block put together from its parts, as a template builder does.
#[must_use]
pub fn block_bytes(header: &SignedHeader, transactions: &[CheckedTransaction]) -> Vec<u8> {
    let body: usize = transactions.iter().map(|tx| tx.bytes().len()).sum();
    let mut bytes = Vec::with_capacity(body.saturating_add(EMPTY_BLOCK_BYTES));
    bytes.extend_from_slice(&header.to_bytes());
    let count = u32::try_from(transactions.len()).expect("no block holds 2^32 transactions");
    bytes.extend_from_slice(&count.to_le_bytes());
    transactions.iter().for_each(|tx| bytes.extend_from_slice(tx.bytes()));
    bytes
}

/// The size of a block without transactions.
pub const EMPTY_BLOCK_BYTES: usize = Header::LEN + 64 + 4;
