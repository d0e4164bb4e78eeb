//! Recounting holdings from the blocks themselves, before a block is refused by what holdings decide: S5, S9, and
//! B6 through the rating that a review replaces. The state root does not cover them, and a damaged index must not
//! split this node off (protocol section 6).
//!
//! It happens on the core's thread, at the call of whoever makes a block that fails so: its work is bounded.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{
    Action, BlockError, CheckedBlock, CheckedTransaction, Hash, Holding, PublicKey, Rule, codec,
};

use crate::advance::MoveError;
use crate::error::LedgerError;
use crate::history::Subject;
use crate::ledger::Ledger;
use crate::moment::Moment;
use crate::reader::Reader;
use crate::rows::{HoldingRow, decode_row, holding_key};
use crate::store::{Checkpoint, Layer};
use crate::walk::Walk;

/// How many transactions of the chain are read at the most to recount for one refused block: more than an honest
/// block's few reviewers have, some seconds of reading. A registered miner can ask for it once for each proof of
/// work. Where it is not enough the block stays refused, and `printsyd` says so.
pub const MAX_RECOUNT_TRANSACTIONS: usize = 20_000;

/// How a recount of one account ended.
enum Recount {
    /// The index was right.
    Right,
    /// The index was wrong, and is right now.
    Corrected,
    /// The budget was spent before the account's history was read to its end: nothing was changed.
    TooLong,
}

impl Ledger {
    /// Recounts, from the blocks of the chain, the holdings that a block is refused by, and corrects the index.
    /// Says whether anything was wrong.
    pub(crate) fn recount_holdings_of(&self, id: &Hash, error: &BlockError) -> Result<bool, MoveError> {
        let block = self.body(id)?;
        let mut suspects: BTreeMap<PublicKey, BTreeSet<u64>> = BTreeMap::new();
        for tx in suspects_in(&block, error) {
            suspects.entry(*tx.sender()).or_default().extend(images_of(tx.action()));
        }
        let reader = self.reader();
        let mut budget = self.recount_budget;
        let mut is_wrong = false;
        for (account, images) in &suspects {
            match recount_holdings(&reader, &self.index, account, images, &mut budget)? {
                Recount::Right => {}
                Recount::Corrected => is_wrong = true,
                Recount::TooLong => {
                    let max = self.recount_budget;
                    tracing::error!(block = %id, %account, max, "too much history to recount; block not rechecked");
                    break;
                }
            }
        }
        Ok(is_wrong)
    }

    /// Bounds recounts otherwise than by [`MAX_RECOUNT_TRANSACTIONS`], for a slower machine.
    pub fn set_recount_budget(&mut self, transactions: usize) {
        self.recount_budget = transactions;
    }
}

/// The transactions of a block whose senders' holdings may be why it is refused.
fn suspects_in<'a>(block: &'a CheckedBlock, error: &BlockError) -> Vec<&'a CheckedTransaction> {
    let transactions = block.transactions().iter();
    match (error, error.rule()) {
        (BlockError::Transaction { txid, .. }, Some(Rule::S5 | Rule::S9)) => {
            transactions.filter(|tx| tx.txid() == *txid).collect()
        }
        (BlockError::StateRoot { .. }, _) => {
            transactions.filter(|tx| matches!(tx.action(), Action::Review { .. })).collect()
        }
        _ => Vec::new(),
    }
}

/// The images whose holdings an action reads or changes.
fn images_of(action: &Action) -> Vec<u64> {
    match action {
        Action::Purchase { lines, .. } => lines.iter().map(|line| line.image).collect(),
        Action::Review { image, .. } => vec![*image],
        _ => Vec::new(),
    }
}

/// Counts from the blocks themselves what an account holds of some images, walking its history once, and
/// corrects the index where it says otherwise.
fn recount_holdings(
    reader: &Reader,
    index: &Checkpoint,
    account: &PublicKey,
    images: &BTreeSet<u64>,
    budget: &mut usize,
) -> Result<Recount, LedgerError> {
    let mut counted: BTreeMap<u64, Holding> =
        images.iter().map(|image| (*image, Holding::default())).collect();
    // On the core's own thread, which moves nothing meanwhile.
    let now = Moment::new(reader, reader.snapshot());
    let mut walk = Walk::new(&now, Subject::Account(*account));
    while walk.next_position().is_some() {
        let Some(left) = budget.checked_sub(1) else { return Ok(Recount::TooLong) };
        *budget = left;
        let Some(passage) = walk.step()? else { break };
        let body = passage.confirmed.transaction.body;
        if body.sender == *account {
            count(&mut counted, &body.action);
        }
    }
    correct(reader, index, account, counted)
}

/// Writes the holdings that the index has otherwise.
fn correct(
    reader: &Reader,
    index: &Checkpoint,
    account: &PublicKey,
    counted: BTreeMap<u64, Holding>,
) -> Result<Recount, LedgerError> {
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
    match index.mark().filter(|_| !rows.is_empty()) {
        Some(mark) => {
            index.submit(Layer { mark, rows });
            Ok(Recount::Corrected)
        }
        None => Ok(Recount::Right),
    }
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
