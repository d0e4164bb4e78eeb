//! History costs no index: an account's and an image's entry hold the position of the last transaction, and
//! each transaction's undo holds the entry before it. Following those leads back to the first: newest first,
//! complete.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{Action, Holding, Position, PublicKey, Transaction, TransactionUndo, codec};

use crate::error::LedgerError;
use crate::reader::Reader;
use crate::rows::{HoldingRow, decode_row, holding_key};
use crate::store::{Checkpoint, Layer};

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

/// The images whose holdings an action reads or changes.
pub(crate) fn images_of(action: &Action) -> Vec<u64> {
    match action {
        Action::Purchase { lines, .. } => lines.iter().map(|line| line.image).collect(),
        Action::Review { image, .. } => vec![*image],
        _ => Vec::new(),
    }
}

/// Counts from the blocks themselves what an account holds of some images, walking its history once, and
/// corrects the index where it says otherwise. Says whether it did.
pub(crate) fn recount_holdings(
    reader: &Reader,
    index: &Checkpoint,
    account: &PublicKey,
    images: &BTreeSet<u64>,
) -> Result<bool, LedgerError> {
    let mut counted: BTreeMap<u64, Holding> =
        images.iter().map(|image| (*image, Holding::default())).collect();
    for confirmed in account_history(reader, account) {
        let body = confirmed?.transaction.body;
        if body.sender == *account {
            count(&mut counted, &body.action);
        }
    }
    let as_of = reader.snapshot().tip.height();
    let mut rows = Vec::new();
    for (image, holding) in counted {
        let key = holding_key(account, image);
        // A row that cannot be read is as wrong as one that says something else.
        let held = index.get(&key)?.map_or(Some(Holding::default()), |row| {
            decode_row::<HoldingRow>(&row).ok().map(|row| row.holding)
        });
        if held != Some(holding) {
            let row = codec::encode(&HoldingRow { holding, as_of });
            rows.push((key, (holding != Holding::default()).then_some(row)));
        }
    }
    let is_wrong = !rows.is_empty();
    if let Some(mark) = index.mark().filter(|_| is_wrong) {
        index.submit(Layer { mark, rows });
    }
    Ok(is_wrong)
}

/// What one transaction of an account adds to its holdings; called newest first, so that the last review counts.
fn count(counted: &mut BTreeMap<u64, Holding>, action: &Action) {
    match action {
        Action::Purchase { lines, .. } => {
            for line in lines {
                if let Some(holding) = counted.get_mut(&line.image) {
                    holding.quantity += line.quantity;
                }
            }
        }
        Action::Review { image, rating, .. } => {
            if let Some(holding) = counted.get_mut(image).filter(|holding| holding.rating == 0) {
                holding.rating = *rating;
            }
        }
        _ => {}
    }
}
