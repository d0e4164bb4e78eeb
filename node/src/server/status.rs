//! The status of an order, from all that the node knows of it.
//!
//! The chain speaks first, then the mempool, then the story of what this node saw happen. What is included and
//! deep enough is final: that is told from heights, never remembered.

use printsy_consensus::{Action, CheckedTransaction, Hash, codec};
use printsy_ledger::{AdmitError, Change, Confirmed, LedgerError, Order, Reader, Snapshot};
use printsy_rpc::TransactionHex;
use printsy_rpc::market::{EditionRange, InBlock, Status, StatusChange, TransactionStatus};

use super::errors::reason_of;

/// How often an order is read anew that was just between the chain and the mempool.
const MAX_READS: usize = 16;

/// What is told of an order, and why it is refused if it is.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) status: Status,
    pub(super) refusal: Option<AdmitError>,
}

/// All there is to tell of an order; `None` where the node knows nothing.
///
/// The chain and the mempool are read one after the other, so a tip that moves in between can hide an order
/// from both. Its story then ends in a block that is not there: it is read again.
pub(super) fn read(reader: &Reader, txid: &Hash) -> Result<Option<Told>, LedgerError> {
    let mut told = None;
    for _ in 0..MAX_READS {
        let Some(order) = reader.order(txid)? else { return Ok(None) };
        let settled = order.waiting.is_some() || order.confirmed.is_some();
        let read = tell(reader, txid, order)?;
        let between = !settled && read.status.status == TransactionStatus::Included;
        told = Some(read);
        if !between {
            break;
        }
        std::thread::yield_now();
    }
    Ok(told)
}

/// What is told of an order that is valid and waits nowhere yet.
pub(super) fn unseen(order: &CheckedTransaction) -> Status {
    pending(order, Vec::new())
}

fn tell(reader: &Reader, txid: &Hash, order: Order) -> Result<Told, LedgerError> {
    let changes = order.story.as_ref().map_or(&[][..], |story| &story.changes);
    let history: Vec<StatusChange> = changes.iter().map(change).collect();
    if let Some((confirmed, block)) = order.confirmed {
        let status = confirmed_status(reader, txid, &order.snapshot, &confirmed, block, history)?;
        return Ok(Told { status, refusal: None });
    }
    if let Some(waiting) = order.waiting {
        return Ok(Told { status: pending(&waiting, history), refusal: None });
    }
    let story = order.story.expect("an order that neither waits nor is confirmed is known by its story");
    let last = story.changes.last().expect("a story is never empty");
    let mut status = pending(&story.order, history);
    status.status = change(last).status;
    Ok(Told { status, refusal: last.reason.clone() })
}

fn pending(order: &CheckedTransaction, history: Vec<StatusChange>) -> Status {
    Status {
        tx_id: order.txid().into(),
        status: TransactionStatus::Pending,
        history,
        block: None,
        confirmations: 0,
        editions: None,
        transaction: bytes(order.bytes().to_vec()),
    }
}

fn confirmed_status(
    reader: &Reader,
    txid: &Hash,
    snapshot: &Snapshot,
    confirmed: &Confirmed,
    block: Hash,
    mut history: Vec<StatusChange>,
) -> Result<Status, LedgerError> {
    let height = confirmed.position.height;
    let told = |status, time| StatusChange {
        status,
        time,
        height: Some(height),
        hash: Some(block.into()),
        reason: None,
    };
    let saw = |change: &StatusChange| change.hash == Some(block.into());
    if !history.last().is_some_and(saw) {
        // Confirmed before this node was told of it, or before it started: the block's own time stands for it.
        let time = reader.header_at(height)?.map_or(0, |record| record.signed.header.time);
        history.push(told(TransactionStatus::Included, time));
    }
    let is_final = height <= snapshot.final_height;
    if is_final {
        // A block may say an earlier time than the clock by which this node saw what came before.
        let seen = history.last().map_or(0, |change| change.time);
        history.push(told(TransactionStatus::Final, finality_time(reader, height)?.max(seen)));
    }
    Ok(Status {
        tx_id: (*txid).into(),
        status: if is_final { TransactionStatus::Final } else { TransactionStatus::Included },
        history,
        block: Some(InBlock { height, hash: block.into(), index: confirmed.position.index }),
        confirmations: snapshot.tip.height().saturating_sub(height).saturating_add(1),
        editions: editions(confirmed),
        transaction: bytes(codec::encode(&confirmed.transaction)),
    })
}

/// When a block became final: the time of the block that made it so, or of the tip where a sync jumped over it.
fn finality_time(reader: &Reader, height: u64) -> Result<u64, LedgerError> {
    let by = height.saturating_add(u64::from(reader.genesis().params().finality_depth));
    let by = by.min(reader.snapshot().tip.height());
    Ok(reader.header_at(by)?.map_or(0, |record| record.signed.header.time))
}

/// The edition numbers of a purchase, by line.
pub(super) fn editions(confirmed: &Confirmed) -> Option<Vec<EditionRange>> {
    if !matches!(confirmed.transaction.body.action, Action::Purchase { .. }) {
        return None;
    }
    let numbers = confirmed.edition_numbers();
    Some(numbers.iter().map(|n| EditionRange { image: n.image, from: n.from, to: n.to }).collect())
}

fn change(change: &Change) -> StatusChange {
    use printsy_ledger::Status as Seen;
    StatusChange {
        status: match change.status {
            Seen::Pending => TransactionStatus::Pending,
            Seen::Included => TransactionStatus::Included,
            Seen::Displaced => TransactionStatus::Displaced,
            Seen::Refused => TransactionStatus::Refused,
            Seen::Expired => TransactionStatus::Expired,
        },
        time: change.time,
        height: change.block.map(|(height, _)| height),
        hash: change.block.map(|(_, hash)| hash.into()),
        reason: change.reason.as_ref().map(reason_of),
    }
}

fn bytes(bytes: Vec<u8>) -> TransactionHex {
    TransactionHex::new(bytes).expect("what was decoded as a transaction is no longer than one may be")
}
