//! Transactions checked in isolation: rules T1 to T12 (protocol section 3).
//!
//! A [`CheckedTransaction`] has passed every rule that needs no chain, its signature included, and knows its
//! id. Its fields are private and [`check_transactions`] and [`check_transaction`] are its only makers, so
//! holding one is the proof. The chapters follow the order of the table of contents in `check_fields`; the
//! signature comes last because it costs a thousand times more than the rest.

use std::sync::Arc;

use crate::codec;
use crate::hash::Hash;
use crate::key::{PublicKey, Signed, verify_batch};
use crate::params::Params;
use crate::rule::{Fault, Rule};
use crate::transaction::{Action, Line, Transaction, signing_message};

/// A transaction that breaks a rule in isolation: whoever sent it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// T1.
    #[error("T1: the sender is not a valid key")]
    Sender,
    /// T2.
    #[error("T2: the signature is not the sender's over this transaction on this network")]
    Signature,
    /// T3.
    #[error("T3: a purchase has at least one line")]
    NoLines,
    /// T4.
    #[error("T4: a purchase's lines ascend by image, and line {line} does not")]
    LineOrder {
        /// Which line, from 0.
        line: usize,
    },
    /// T5.
    #[error("T5: images are numbered below {max}, got {got}")]
    Image {
        /// The network's number of images.
        max: u64,
        /// The image named.
        got: u64,
    },
    /// T6.
    #[error("T6: a quantity is 1 to {max}, got {got}")]
    Quantity {
        /// The network's most editions.
        max: u32,
        /// The quantity named.
        got: u32,
    },
    /// T7.
    #[error("T7: a rating is 1 to 5, got {got}")]
    Rating {
        /// The rating given.
        got: u8,
    },
    /// T8.
    #[error("T8: a review's text is UTF-8 without control characters but line feeds")]
    Text,
    /// T9.
    #[error("T9: an amount is at least 1")]
    Amount,
    /// T10.
    #[error("T10: a key named is not a valid key")]
    Key,
    /// T11.
    #[error("T11: a transfer is not to its own sender")]
    ToSender,
    /// T12.
    #[error("T12: a name is 1 to 32 printable ASCII characters with no space at either end")]
    Name,
}

impl TransactionError {
    /// The rule that was broken.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Sender => Rule::T1,
            Self::Signature => Rule::T2,
            Self::NoLines => Rule::T3,
            Self::LineOrder { .. } => Rule::T4,
            Self::Image { .. } => Rule::T5,
            Self::Quantity { .. } => Rule::T6,
            Self::Rating { .. } => Rule::T7,
            Self::Text => Rule::T8,
            Self::Amount => Rule::T9,
            Self::Key => Rule::T10,
            Self::ToSender => Rule::T11,
            Self::Name => Rule::T12,
        }
    }

    /// Outside a block: the sender's. (Inside one, under a root that matches, the block's: see `BlockError`.)
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Sender
    }
}

/// A transaction that passed every rule that needs no chain. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTransaction(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    transaction: Transaction,
    txid: Hash,
    leaf: Hash,
    bytes: Vec<u8>,
}

impl CheckedTransaction {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.0.transaction
    }

    /// Its id.
    #[must_use]
    pub fn txid(&self) -> Hash {
        self.0.txid
    }

    /// Its leaf in a block's transactions root, which names exactly these bytes.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.0.leaf
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> &PublicKey {
        &self.0.transaction.body.sender
    }

    /// The last height that may include it.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.0.transaction.body.expires_at
    }

    /// What it asks.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.0.transaction.body.action
    }
}

/// Checks one transaction in isolation.
///
/// # Errors
/// The first of T1 to T12 that it breaks.
pub fn check_transaction(
    params: &Params,
    genesis: &Hash,
    transaction: Transaction,
) -> Result<CheckedTransaction, TransactionError> {
    let candidate = Candidate::new(params, genesis, transaction)?;
    if !candidate.transaction.body.sender.verify(&candidate.message, &candidate.transaction.signature) {
        return Err(TransactionError::Signature);
    }
    Ok(candidate.into_checked())
}

/// Checks many transactions in isolation, their signatures in one batch: each answer is what
/// [`check_transaction`] would say. Only where the batch fails is each signature looked at alone.
#[must_use]
pub fn check_transactions(
    params: &Params,
    genesis: &Hash,
    transactions: Vec<Transaction>,
) -> Vec<Result<CheckedTransaction, TransactionError>> {
    let candidates: Vec<_> =
        transactions.into_iter().map(|transaction| Candidate::new(params, genesis, transaction)).collect();
    let batch: Vec<Signed<'_>> = candidates.iter().flatten().map(Candidate::signed).collect();
    let all_verify = verify_batch(&batch);
    let judge = |candidate: Candidate| {
        let one = candidate.signed();
        if all_verify || one.key.verify(&one.message, one.signature) {
            Ok(candidate.into_checked())
        } else {
            Err(TransactionError::Signature)
        }
    };
    candidates.into_iter().map(|candidate| candidate.and_then(judge)).collect()
}

/// A transaction whose fields passed, and whose signature is still to be looked at.
struct Candidate {
    transaction: Transaction,
    txid: Hash,
    message: Hash,
}

impl Candidate {
    fn new(params: &Params, genesis: &Hash, transaction: Transaction) -> Result<Self, TransactionError> {
        check_fields(params, &transaction)?;
        let txid = transaction.body.txid();
        Ok(Self { message: signing_message(genesis, &txid), transaction, txid })
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            key: &self.transaction.body.sender,
            message: self.message,
            signature: &self.transaction.signature,
        }
    }

    fn into_checked(self) -> CheckedTransaction {
        let Self { transaction, txid, .. } = self;
        let (leaf, bytes) = (transaction.leaf(&txid), codec::encode(&transaction));
        CheckedTransaction(Arc::new(Inner { transaction, txid, leaf, bytes }))
    }
}

/// Every rule in isolation but the signature: the table of contents.
fn check_fields(params: &Params, transaction: &Transaction) -> Result<(), TransactionError> {
    let sender = &transaction.body.sender;
    match &transaction.body.action {
        Action::Purchase { lines, .. } => {
            check_has_line(lines)?;
            check_lines_ascend(lines)?;
            for line in lines {
                check_image(params, line.image)?;
                check_quantity(params, line.quantity)?;
            }
        }
        Action::Review { image, rating, text } => {
            check_image(params, *image)?;
            check_rating(*rating)?;
            check_text(text)?;
        }
        Action::Transfer { to, amount } => {
            check_amount(*amount)?;
            check_not_to_sender(sender, to)?;
            check_key(to)?;
        }
        Action::Issue { to, amount } => {
            check_amount(*amount)?;
            check_key(to)?;
        }
        Action::Redeem { amount } => check_amount(*amount)?,
        Action::List { image, seller, editions, .. } => {
            check_image(params, *image)?;
            check_quantity(params, *editions)?;
            check_key(seller)?;
        }
        Action::RegisterMiner { miner, name } => {
            check_name(name)?;
            check_key(miner)?;
        }
        Action::RevokeMiner { miner: key }
        | Action::Admit { account: key }
        | Action::Expel { account: key } => {
            check_key(key)?;
        }
    }
    check_sender(sender)
}

/// T3: a purchase has a line.
fn check_has_line(lines: &[Line]) -> Result<(), TransactionError> {
    if lines.is_empty() { Err(TransactionError::NoLines) } else { Ok(()) }
}

/// T4: its lines are strictly ascending by image (so none repeats).
fn check_lines_ascend(lines: &[Line]) -> Result<(), TransactionError> {
    match lines.windows(2).position(|pair| pair[0].image >= pair[1].image) {
        Some(before) => Err(TransactionError::LineOrder { line: before.saturating_add(1) }),
        None => Ok(()),
    }
}

/// T5: image < `max_images`.
fn check_image(params: &Params, image: u64) -> Result<(), TransactionError> {
    if image < params.max_images {
        Ok(())
    } else {
        Err(TransactionError::Image { max: params.max_images, got: image })
    }
}

/// T6: 1 <= quantity (List: editions) <= `max_editions`.
fn check_quantity(params: &Params, quantity: u32) -> Result<(), TransactionError> {
    if (1..=params.max_editions).contains(&quantity) {
        Ok(())
    } else {
        Err(TransactionError::Quantity { max: params.max_editions, got: quantity })
    }
}

/// T7: rating 1 to 5.
fn check_rating(rating: u8) -> Result<(), TransactionError> {
    if (1..=5).contains(&rating) { Ok(()) } else { Err(TransactionError::Rating { got: rating }) }
}

/// T8: text is UTF-8 with no code point below U+0020 but U+000A, and none in U+007F to U+009F.
fn check_text(text: &[u8]) -> Result<(), TransactionError> {
    let text = std::str::from_utf8(text).map_err(|_| TransactionError::Text)?;
    let is_control = |c: char| (c < '\u{20}' && c != '\u{0a}') || ('\u{7f}'..='\u{9f}').contains(&c);
    if text.chars().any(is_control) { Err(TransactionError::Text) } else { Ok(()) }
}

/// T9: amount >= 1.
fn check_amount(amount: u64) -> Result<(), TransactionError> {
    if amount >= 1 { Ok(()) } else { Err(TransactionError::Amount) }
}

/// T10: every other key named is a valid x-only key.
fn check_key(key: &PublicKey) -> Result<(), TransactionError> {
    if key.is_on_curve() { Ok(()) } else { Err(TransactionError::Key) }
}

/// T11: a transfer is not to its sender.
fn check_not_to_sender(sender: &PublicKey, to: &PublicKey) -> Result<(), TransactionError> {
    if sender == to { Err(TransactionError::ToSender) } else { Ok(()) }
}

/// T12: a name is 1 to 32 printable ASCII bytes (0x20-0x7e), with no space at either end.
fn check_name(name: &[u8]) -> Result<(), TransactionError> {
    if is_name(name) { Ok(()) } else { Err(TransactionError::Name) }
}

/// Whether rule T12 holds of `name`; rule G8 asks the same of genesis.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let printable = name.iter().all(|byte| (0x20..=0x7e).contains(byte));
    let ends = [name.first(), name.last()];
    (1..=32).contains(&name.len()) && printable && !ends.contains(&Some(&b' '))
}

/// T1: `sender` is a valid x-only key.
fn check_sender(sender: &PublicKey) -> Result<(), TransactionError> {
    if sender.is_on_curve() { Ok(()) } else { Err(TransactionError::Sender) }
}
