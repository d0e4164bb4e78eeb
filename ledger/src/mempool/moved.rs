//! What the mempool does when the tip moves.
//!
//! `Mempool::tip_moved` is the table of contents. What the new blocks hold leaves; what shares an image, an
//! account, a miner or an expiry with them is judged anew; what expired goes; what was displaced is tried again;
//! what left the chain comes back. Under an extension an order that is no longer valid is dropped for good.
//! Under a reorganisation it is displaced, whether it was in a block or stood on one: the chain may come back.

use std::collections::BTreeSet;

use printsy_consensus::{CheckedTransaction, Diff, Hash, PublicKey, StateError, StateKey, StateView};

use super::{
    AdmitError, Chain, Entry, MAX_PARKED, Mempool, Notice, Origin, Outcome, REPUBLISH_AFTER_MS, Standing,
};

impl Mempool {
    /// The tip moved: `diff` is what changed, `confirmed` what the new blocks hold, `disconnected` what was in
    /// blocks that left the chain and is in none that joined it.
    pub fn tip_moved(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        diff: &Diff,
        confirmed: &[Hash],
        disconnected: Vec<CheckedTransaction>,
        now: u64,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        for txid in confirmed {
            self.remove(txid);
            self.parked.remove(txid);
        }
        let parked: Vec<Hash> = self.parked.keys().copied().collect();
        self.expire(chain.next_height, &mut notices);
        self.judge_affected(chain, diff, !disconnected.is_empty(), &mut notices);
        self.retry_parked(chain, &parked, now, &mut notices);
        for tx in disconnected {
            self.take_back(chain, tx, now, &mut notices);
        }
        notices
    }

    fn expire(&mut self, next_height: u64, notices: &mut Vec<Notice>) {
        let alive = self.by_expiry.split_off(&next_height);
        let expired = std::mem::replace(&mut self.by_expiry, alive);
        let expired: Vec<Entry> =
            expired.into_values().flatten().filter_map(|txid| self.remove(&txid)).collect();
        notices
            .extend(expired.into_iter().map(|entry| Notice { order: entry.tx, outcome: Outcome::Expired }));
    }

    /// Judges anew the entries that share something with what changed, in the order in which they came.
    fn judge_affected(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        diff: &Diff,
        is_reorganisation: bool,
        notices: &mut Vec<Notice>,
    ) {
        let mut affected: Vec<Entry> =
            self.affected(chain, diff).iter().filter_map(|txid| self.remove(txid)).collect();
        affected.sort_by_key(|entry| entry.sequence);
        for entry in affected {
            match self.verify(chain, &entry.tx) {
                Ok(()) => self.insert(entry),
                Err(error) if is_reorganisation || is_not_yet(&error) => self.park(entry.tx, error, notices),
                Err(error) => notices.push(Notice { order: entry.tx, outcome: Outcome::Dropped(error) }),
            }
        }
    }

    fn affected(&self, chain: &Chain<'_, impl StateView>, diff: &Diff) -> BTreeSet<Hash> {
        let mut affected = BTreeSet::new();
        for key in diff.entries.keys() {
            match key {
                // Whether a miner may be revoked depends on how many there are: look at all such orders.
                StateKey::Miner(_) => {
                    let miners = StateKey::Miner(PublicKey([0; 32]))..=StateKey::Miner(PublicKey([0xff; 32]));
                    affected.extend(self.by_key.range(miners).flat_map(|(_, txids)| txids));
                }
                key => affected.extend(self.by_key.get(key).into_iter().flatten()),
            }
        }
        // More work may stand lower: then what could wait longest waits too long again.
        let latest = chain.next_height.saturating_add(u64::from(chain.params.max_validity));
        affected.extend(self.by_expiry.range(latest.saturating_add(1)..).flat_map(|(_, txids)| txids));
        affected
    }

    /// Tries again those that were displaced before this move.
    fn retry_parked(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        parked: &[Hash],
        now: u64,
        notices: &mut Vec<Notice>,
    ) {
        for txid in parked {
            let Some(tx) = self.parked.get(txid).cloned() else { continue };
            let outcome = if tx.expires_at() < chain.next_height {
                Outcome::Expired
            } else if self.return_to_pool(chain, &tx, now).is_ok() {
                Outcome::Returned
            } else {
                continue;
            };
            self.parked.remove(txid);
            notices.push(Notice { order: tx, outcome });
        }
    }

    fn take_back(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        tx: CheckedTransaction,
        now: u64,
        notices: &mut Vec<Notice>,
    ) {
        match self.return_to_pool(chain, &tx, now) {
            Ok(()) => notices.push(Notice { order: tx, outcome: Outcome::Returned }),
            Err(error) => self.park(tx, error, notices),
        }
    }

    /// Takes back an order that was kept over a stop of the node, and says what became of it. The expiry margin
    /// is not asked for: the order passed it when it came.
    pub(crate) fn restore(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
        standing: Standing,
    ) -> Notice {
        let is_known = self.entries.contains_key(&tx.txid());
        let result = if is_known { Ok(()) } else { self.return_to_pool(chain, tx, 0) };
        let Err(error) = result else {
            if let (Standing::Waiting(origin), Some(entry)) = (standing, self.entries.get_mut(&tx.txid())) {
                entry.origin = origin;
            }
            return Notice { order: tx.clone(), outcome: Outcome::Returned };
        };
        let mut notices = Vec::new();
        let is_expired = matches!(error, AdmitError::State(StateError::Expired { .. }));
        if standing == Standing::Parked || is_not_yet(&error) || is_expired {
            self.park(tx.clone(), error, &mut notices);
        } else {
            notices.push(Notice { order: tx.clone(), outcome: Outcome::Dropped(error) });
        }
        notices.pop().expect("either branch gives a notice")
    }

    /// Keeps an order that a reorganisation made invalid for another try, if there is room and time for one.
    fn park(&mut self, tx: CheckedTransaction, error: AdmitError, notices: &mut Vec<Notice>) {
        if let AdmitError::State(StateError::Expired { .. }) = error {
            notices.push(Notice { order: tx, outcome: Outcome::Expired });
            return;
        }
        if self.parked.len() < MAX_PARKED {
            self.parked.insert(tx.txid(), tx.clone());
        }
        notices.push(Notice { order: tx, outcome: Outcome::Displaced(error) });
    }

    fn return_to_pool(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
        now: u64,
    ) -> Result<(), AdmitError> {
        self.verify(chain, tx)?;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let back_off = REPUBLISH_AFTER_MS;
        // A block had it and lost it: nobody else may still hold it, so this node publishes it as its own.
        self.insert(Entry { tx: tx.clone(), sequence, origin: Origin::Own, publish_at: now, back_off });
        Ok(())
    }
}

fn is_not_yet(error: &AdmitError) -> bool {
    matches!(error, AdmitError::State(StateError::NotYet { .. }))
}
