//! History costs no index: an account's and an image's entry hold the position of the last transaction, and
//! each transaction's undo holds the entry before it. Following those leads back to the first: newest first,
//! complete.

use printsy_consensus::{Position, PublicKey, Transaction, TransactionUndo};

use crate::error::LedgerError;
use crate::reader::Reader;

/// A transaction of the chain, and what it changed as it was before.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Where it stands.
    pub position: Position,
    /// The transaction.
    pub transaction: Transaction,
    /// What it changed.
    pub undo: TransactionUndo,
}

/// The transactions that touched an account, newest first.
pub(crate) fn account_history<'a>(
    reader: &'a Reader,
    account: &'a PublicKey,
) -> impl Iterator<Item = Result<Confirmed, LedgerError>> + 'a {
    let newest = reader.snapshot().account(account);
    let mut next = newest.filter(|entry| entry.transactions > 0).map(|entry| entry.last);
    std::iter::from_fn(move || {
        let position = next.take()?;
        Some(reader.confirmed_at(position).inspect(|confirmed| {
            let before = confirmed.undo.account_before(account);
            next = before.filter(|entry| entry.transactions > 0).map(|entry| entry.last);
        }))
    })
}
