//! Orders over a clean stop: `admitted` survives one. What waits and what is parked is kept in `mempool.dat` when
//! the ledger is closed, and taken back when it is opened: decoded, checked, and admitted by the rules of the
//! mempool against the chain as it is then, the expiry margin aside, for they were admitted before.
//!
//! A crash loses them (other nodes and the client still have them). A file that cannot be read is a warning.

use printsy_consensus::{
    CheckedTransaction, Hash, MAX_TRANSACTION_BYTES, Transaction, check_transactions, codec,
};

use crate::ledger::{Ledger, chain};
use crate::mempool::{MAX_BYTES, MAX_PARKED, MAX_TRANSACTIONS, Origin, Outcome, Standing};
use crate::rows::transaction_key;
use crate::state::LedgerView;
use crate::store::StoreError;
use crate::store::orders::{self, KeptOrder};

/// The kinds of orders in the file.
const PEERS: u8 = 0;
const OWN: u8 = 1;
const PARKED: u8 = 2;

/// The most that a file of orders within the mempool's bounds can take: 13 bytes stand before each order, fewer
/// than a hundred around all.
const MAX_FILE_BYTES: usize =
    MAX_BYTES + MAX_PARKED * MAX_TRANSACTION_BYTES + (MAX_TRANSACTIONS + MAX_PARKED) * 13 + 100;

impl Ledger {
    /// Keeps what waits for the next start.
    pub(crate) fn keep_orders(&self) -> Result<(), StoreError> {
        let published = self.published.read();
        let since = |txid: &Hash| {
            let story = published.statuses.story(txid);
            story.and_then(|story| story.changes.last()).map(|change| change.time)
        };
        let keep = |(standing, tx): (Standing, &CheckedTransaction)| KeptOrder {
            kind: match standing {
                Standing::Waiting(Origin::Peer) => PEERS,
                Standing::Waiting(Origin::Own) => OWN,
                Standing::Parked => PARKED,
            },
            since: since(&tx.txid()).unwrap_or(self.tip.header.header().time),
            bytes: tx.bytes().to_vec(),
        };
        let kept: Vec<KeptOrder> = self.mempool.all().map(keep).collect();
        drop(published);
        orders::write(self.disk.as_ref(), &self.genesis.hash(), &kept)
    }

    /// Takes back what waited at the last stop.
    pub(crate) fn take_kept_orders(&mut self) {
        let max_bytes = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
        match orders::read(self.disk.as_ref(), &self.genesis.hash(), max_bytes) {
            Ok(kept) => self.restore(kept),
            Err(error @ (StoreError::ForeignGenesis { .. } | StoreError::NewerFormat { .. })) => {
                tracing::warn!(%error, "the orders kept at the last stop are not ours to read; left alone");
                return;
            }
            Err(error) => tracing::warn!(%error, "the orders kept at the last stop are lost"),
        }
        if let Err(error) = orders::remove(self.disk.as_ref()) {
            tracing::warn!(%error, "the orders of the last stop cannot be removed; they will be judged again");
        }
    }

    fn restore(&mut self, kept: Vec<KeptOrder>) {
        let count = kept.len();
        let decoded = kept.into_iter().filter_map(|order| {
            let transaction = codec::decode::<Transaction>(&order.bytes).ok()?;
            Some(((order.kind, order.since), transaction))
        });
        let (notes, transactions): (Vec<_>, Vec<_>) = decoded.unzip();
        let checked = check_transactions(self.params(), &self.genesis.hash(), transactions);
        let checked = notes.into_iter().zip(checked).filter_map(|(note, tx)| Some((note, tx.ok()?)));
        for ((kind, since), tx) in checked {
            self.restore_one(&tx, kind, since);
        }
        self.publish_mempool();
        if count > 0 {
            tracing::info!(
                kept = count,
                waiting = self.mempool.len(),
                "took back the orders of the last stop"
            );
        }
    }

    fn restore_one(&mut self, tx: &CheckedTransaction, kind: u8, since: u64) {
        // A crash after the stop that kept it, or a file that was left: the chain tells its story.
        if matches!(self.index.get(&transaction_key(&tx.txid())), Ok(Some(_))) {
            return;
        }
        let standing = match kind {
            OWN => Standing::Waiting(Origin::Own),
            PARKED => Standing::Parked,
            _ => Standing::Waiting(Origin::Peer),
        };
        let view = LedgerView { state: &self.state, index: &self.index };
        let chain = chain(&self.genesis, &view, &self.tip);
        let notice = self.mempool.restore(&chain, tx, standing);
        let is_as_before = match standing {
            Standing::Waiting(_) => notice.outcome == Outcome::Returned,
            Standing::Parked => matches!(notice.outcome, Outcome::Displaced(_)),
        };
        let time = if is_as_before { since } else { self.tip.header.header().time.max(since) };
        self.published.write().note_all(&[notice], time);
    }
}
