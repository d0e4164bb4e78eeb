//! Orders over a clean stop: `admitted` survives one, and so does what was told of orders. What waits, what is
//! parked and all stories are kept in `mempool.dat` when the ledger is closed, and taken back when it is opened:
//! decoded, checked, and what waited is admitted by the rules of the mempool against the chain as it is then, the
//! expiry margin aside, for it was admitted before. Where nothing changed, all is told as it was before the stop.
//!
//! The file stays until an order or a block makes it untrue, so that a start which comes to nothing costs no order.
//! A crash after that loses them (other nodes and the client still have them, and the chain tells of its own). A
//! file that cannot be read is a warning.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread;

use printsy_consensus::codec::{self, List};
use printsy_consensus::{
    CheckedTransaction, Genesis, Hash, MAX_TRANSACTION_BYTES, Transaction, check_transactions,
};

use crate::ledger::{Ledger, chain};
use crate::mempool::{
    MAX_BYTES, MAX_PARKED, MAX_TRANSACTIONS, Notice, Origin, Outcome, RESERVED_PLACES, Standing,
};
use crate::rows::transaction_key;
use crate::state::LedgerView;
use crate::status::{
    Change, MAX_CHANGES, MAX_REFUSED, MAX_REFUSED_BYTES, MAX_STORIES, MAX_STORY_BYTES, Status, Story,
};
use crate::store::StoreError;
use crate::store::orders::{self, AROUND_LEN, KeptOrder, ORDER_HEAD_LEN};

/// The kinds of orders in the file.
const PEERS: u8 = 0;
const OWN: u8 = 1;
const PARKED: u8 = 2;
/// It is kept for its story alone.
const TOLD: u8 = 3;

/// More than any change of a status takes as bytes: one with a block and the longest reason has 192.
const MAX_CHANGE_BYTES: usize = 200;
/// How many orders are in the file at the most.
const MAX_KEPT: usize = MAX_TRANSACTIONS + RESERVED_PLACES + MAX_PARKED + MAX_STORIES + MAX_REFUSED;
/// How many bytes the orders in the file have at the most.
const MAX_KEPT_BYTES: usize =
    MAX_BYTES + (RESERVED_PLACES + MAX_PARKED) * MAX_TRANSACTION_BYTES + MAX_STORY_BYTES + MAX_REFUSED_BYTES;
/// The most that the file can take where mempool and stories are within their bounds.
const MAX_FILE_BYTES: usize = AROUND_LEN
    + MAX_KEPT * ORDER_HEAD_LEN
    + MAX_KEPT_BYTES
    + (MAX_STORIES + MAX_REFUSED) * MAX_CHANGES * MAX_CHANGE_BYTES;

/// How many orders are checked at once: one whose signature fails has those of its batch looked at singly.
const CHECKED_AT_ONCE: usize = 1_024;

/// An order of the file, checked.
struct Restored {
    /// How it was kept; `None` where for its story alone.
    standing: Option<Standing>,
    place: u32,
    order: CheckedTransaction,
    changes: Vec<Change>,
}

impl Ledger {
    /// Keeps what waits, and the stories, for the next start.
    pub(crate) fn keep_orders(&self) -> Result<(), StoreError> {
        orders::write(self.disk.as_ref(), &self.genesis.hash(), &self.orders_to_keep())
    }

    fn orders_to_keep(&self) -> Vec<KeptOrder> {
        let published = self.published.read();
        let stories = published.statuses.oldest_first().zip(0..);
        // By leaf: a story is of exactly those bytes, and stands beside others with the same id.
        let mut stories: HashMap<Hash, (&Story, u32)> =
            stories.map(|(story, place)| (story.order.leaf(), (story, place))).collect();
        let mut kept = Vec::new();
        for (standing, order) in self.mempool.all() {
            let kind = match standing {
                Standing::Waiting(Origin::Peer) => PEERS,
                Standing::Waiting(Origin::Own) => OWN,
                Standing::Parked => PARKED,
            };
            kept.push(kept_order(kind, order, stories.remove(&order.leaf())));
        }
        let mut told: Vec<(&Story, u32)> = stories.into_values().collect();
        told.sort_unstable_by_key(|(_, place)| *place);
        kept.extend(told.into_iter().map(|told| kept_order(TOLD, &told.0.order, Some(told))));
        kept
    }

    /// Takes back what waited at the last stop, and what was told.
    pub(crate) fn take_kept_orders(&mut self) {
        let max_bytes = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
        match orders::read(self.disk.as_ref(), &self.genesis.hash(), max_bytes) {
            Ok(kept) if kept.is_empty() => {}
            Ok(kept) => {
                self.kept_file_is_true = true;
                self.restore(&kept);
            }
            Err(error @ (StoreError::ForeignGenesis { .. } | StoreError::NewerFormat { .. })) => {
                tracing::warn!(%error, "the orders kept at the last stop are not ours to read; left alone");
            }
            Err(error) => {
                tracing::warn!(%error, "the orders kept at the last stop, and what was told of orders, are lost");
                self.remove_kept_file();
            }
        }
    }

    /// What was kept at the last stop is true no more: a crash from here on must not bring it back.
    pub(crate) fn forget_kept_orders(&mut self) {
        if std::mem::take(&mut self.kept_file_is_true) {
            self.remove_kept_file();
        }
    }

    fn remove_kept_file(&self) {
        if let Err(error) = orders::remove(self.disk.as_ref()) {
            tracing::warn!(%error, "the orders of the last stop cannot be removed; they will be judged again");
        }
    }

    fn restore(&mut self, kept: &[KeptOrder]) {
        let mut restored = checked(&self.genesis, kept);
        self.restore_stories(&mut restored);
        for Restored { standing, order, .. } in &restored {
            if let Some(standing) = standing {
                self.restore_one(order, *standing);
            }
        }
        for Restored { standing, order, .. } in &restored {
            if standing.is_none() {
                self.restore_told(order);
            }
        }
        self.publish_mempool();
        let (read, waiting) = (restored.len(), self.mempool.len());
        tracing::info!(kept = kept.len(), read, waiting, "took back the orders of the last stop");
    }

    /// The stories come back first, the oldest first: what happens to their orders now is told on top.
    fn restore_stories(&mut self, restored: &mut [Restored]) {
        let mut told: Vec<&mut Restored> = restored.iter_mut().filter(|it| !it.changes.is_empty()).collect();
        told.sort_by_key(|restored| restored.place);
        let mut published = self.published.write();
        for Restored { order, changes, .. } in told {
            if !published.statuses.knows(&order.txid()) {
                let changes = std::mem::take(changes);
                published.statuses.begin(Story { order: order.clone(), changes });
            }
        }
    }

    fn restore_one(&mut self, order: &CheckedTransaction, standing: Standing) {
        // A crash after the stop that kept it, or a file that was left: the chain tells its story.
        if matches!(self.index.get(&transaction_key(&order.txid())), Ok(Some(_))) {
            return;
        }
        let view = LedgerView { state: &self.state, index: &self.index };
        let chain = chain(&self.genesis, &view, &self.tip);
        let notice = self.mempool.restore(&chain, order, standing);
        let last = self.last_change(&order.txid());
        if is_no_news(&notice, standing, last.as_ref()) {
            return;
        }
        let time = self.tip.header.header().time.max(last.map_or(0, |change| change.time));
        self.published.write().note_all(&[notice], time);
    }

    /// An order that was kept for its story alone has ended, or is on the chain. Where the file is older than the
    /// chain, and its story says otherwise, the order is taken back: nobody waits for what is nowhere.
    fn restore_told(&mut self, order: &CheckedTransaction) {
        let txid = order.txid();
        let Some(last) = self.last_change(&txid) else { return };
        let standing = match last.status {
            Status::Pending => Standing::Waiting(Origin::Own),
            Status::Included if !self.is_on_chain(last.block) => Standing::Parked,
            _ => return,
        };
        if self.mempool.get(&txid).is_none() && !self.mempool.is_parked(&txid) {
            self.restore_one(order, standing);
        }
    }

    fn last_change(&self, txid: &Hash) -> Option<Change> {
        self.published.read().statuses.story(txid)?.changes.last().cloned()
    }

    fn is_on_chain(&self, block: Option<(u64, Hash)>) -> bool {
        let Some((height, id)) = block.filter(|(height, _)| *height <= self.tip.height()) else {
            return false;
        };
        matches!(self.headers.get(height), Ok(Some(record)) if record.signed.header.id() == id)
    }
}

fn kept_order(kind: u8, order: &CheckedTransaction, told: Option<(&Story, u32)>) -> KeptOrder {
    let story = |story: &Story| {
        let changes = List::<Change, MAX_CHANGES>::try_from(story.changes.clone());
        codec::encode(&changes.expect("a story tells no more changes than that"))
    };
    KeptOrder {
        kind,
        place: told.map_or(0, |(_, place)| place),
        bytes: order.bytes().to_vec(),
        story: told.map_or_else(Vec::new, |(told, _)| story(told)),
    }
}

/// Those that are orders of this network, as the file has them. On all processors: a full file has a hundred thousand
/// signatures, and the start waits for it.
fn checked(genesis: &Genesis, kept: &[KeptOrder]) -> Vec<Restored> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = kept.len().div_ceil(threads).max(CHECKED_AT_ONCE);
    let check = |share: &[KeptOrder]| -> Vec<Restored> {
        share.chunks(CHECKED_AT_ONCE).flat_map(|batch| checked_batch(genesis, batch)).collect()
    };
    let check = &check;
    thread::scope(|scope| {
        let spawn = |share| (share, thread::Builder::new().spawn_scoped(scope, move || check(share)));
        // All are at work before the first is waited for.
        let shares: Vec<_> = kept.chunks(share).map(spawn).collect();
        let done = shares.into_iter().map(|(share, thread)| match thread {
            Ok(thread) => thread.join().expect("no bytes make a check panic"),
            // The system gives no thread: then on this one.
            Err(_) => check(share),
        });
        done.flatten().collect()
    })
}

fn checked_batch(genesis: &Genesis, batch: &[KeptOrder]) -> Vec<Restored> {
    let decoded = batch.iter().filter_map(|kept| Some((kept, codec::decode(&kept.bytes).ok()?)));
    let (kept, transactions): (Vec<&KeptOrder>, Vec<Transaction>) = decoded.unzip();
    let checked = check_transactions(genesis.params(), &genesis.hash(), transactions);
    kept.into_iter().zip(checked).filter_map(|(kept, order)| restored_as(kept, order.ok()?)).collect()
}

/// `None` for a kind of which nothing is known, and for an order whose story, all there is of it, cannot be read.
fn restored_as(kept: &KeptOrder, order: CheckedTransaction) -> Option<Restored> {
    let standing = match kept.kind {
        PEERS => Some(Standing::Waiting(Origin::Peer)),
        OWN => Some(Standing::Waiting(Origin::Own)),
        PARKED => Some(Standing::Parked),
        TOLD => None,
        _ => return None,
    };
    let changes = codec::decode::<List<Change, MAX_CHANGES>>(&kept.story);
    let changes = changes.map_or_else(|_| Vec::new(), List::into_vec);
    let is_something = standing.is_some() || !changes.is_empty();
    is_something.then_some(Restored { standing, place: kept.place, order, changes })
}

/// Whether an order stands as it did before the stop, and its story, if one is told of it, ends so.
fn is_no_news(notice: &Notice, standing: Standing, last: Option<&Change>) -> bool {
    let status = match (&notice.outcome, standing) {
        (Outcome::Returned, Standing::Waiting(_)) => Status::Pending,
        (Outcome::Displaced(_), Standing::Parked) => Status::Displaced,
        _ => return false,
    };
    last.is_none_or(|last| last.status == status)
}
