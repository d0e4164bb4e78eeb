//! The mempool: orders that could be in the next block, any subset of them together.
//!
//! Entries are independent: whichever of them a block takes, in the order of [`Mempool::iter`], the others
//! stay valid. `pending` keeps the sums that make it so (copies held per image, debits per account, one
//! registrar's action per key); `admit` is the table of contents of admission. A block then only touches the
//! entries that share an image, an account, a miner or an expiry with it.
//!
//! Bounded in count, bytes and per account; full means refuse, never evict: an answer that was given stands.

mod admit;
mod moved;
mod pending;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use printsy_consensus::{Action, CheckedTransaction, Hash, Params, StateKey, StateView};

pub use admit::{AdmitError, PoolBound};
use pending::Pending;

/// How many orders wait at the most: some minutes of full blocks.
pub const MAX_TRANSACTIONS: usize = 50_000;
/// How many bytes of orders wait at the most: sixteen full blocks of the common size.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many orders of one account wait at the most, so that no single one fills the pool.
pub const MAX_PER_ACCOUNT: usize = 2_000;
/// How many registrars' actions wait beyond those bounds at the most.
pub const RESERVED_PLACES: usize = 256;
/// How many displaced orders are kept for another try at the most.
pub const MAX_PARKED: usize = 10_000;
/// An order that expires in fewer blocks than this is refused: nobody holds the last copies with orders that
/// can hardly be mined in time.
pub const EXPIRY_MARGIN: u64 = 10;

/// Where an order came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node's own RPC: published again until it is seen in a block.
    Own,
    /// A peer.
    Peer,
}

/// What came of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is new.
    New,
    /// It was there.
    Known,
}

/// How an order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits, and came from there.
    Waiting(Origin),
    /// It is displaced, and tried again with each block.
    Parked,
}

/// What became of an order when the tip moved.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The order.
    pub order: CheckedTransaction,
    /// What became of it.
    pub outcome: Outcome,
}

/// What may become of an order when the tip moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is no longer valid and was dropped.
    Dropped(AdmitError),
    /// A reorganisation took it, or what it stood on, out of the chain, and it is not valid now; it is kept for
    /// another try.
    Displaced(AdmitError),
    /// It left the chain, or was displaced, and waits again.
    Returned,
    /// Its last height has passed.
    Expired,
}

/// The chain as the mempool needs it: rules' parameters, the state at the tip, the next block's height.
#[derive(Debug)]
pub struct Chain<'a, V> {
    /// The network's parameters.
    pub params: &'a Params,
    /// The state at the tip.
    pub view: &'a V,
    /// The height of the next block.
    pub next_height: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    tx: CheckedTransaction,
    sequence: u64,
    origin: Origin,
    /// When to publish an own order again, ms, and after how long once more.
    publish_at: u64,
    back_off: u64,
}

/// How long after its first publication an own order is published again, ms; it doubles from there. Longer than
/// gossip remembers a message as one it has seen.
const REPUBLISH_AFTER_MS: u64 = 65_000;
/// The longest pause between two publications of an own order, ms.
const REPUBLISH_AT_MOST_MS: u64 = 600_000;

/// The mempool.
#[derive(Debug, Default)]
pub struct Mempool {
    entries: HashMap<Hash, Entry>,
    order: BTreeMap<(u8, u64), Hash>,
    by_key: BTreeMap<StateKey, BTreeSet<Hash>>,
    by_expiry: BTreeMap<u64, BTreeSet<Hash>>,
    pending: Pending,
    parked: BTreeMap<Hash, CheckedTransaction>,
    bytes: usize,
    next_sequence: u64,
    changed: Vec<Hash>,
}

impl Mempool {
    /// How many orders wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The order with this id.
    #[must_use]
    pub fn get(&self, txid: &Hash) -> Option<&CheckedTransaction> {
        self.entries.get(txid).map(|entry| &entry.tx)
    }

    /// The orders, such that any subset of them in this order is a valid body: what registrars ask comes
    /// last, so that it changes no terms under a buyer in the same block.
    pub fn iter(&self) -> impl Iterator<Item = &CheckedTransaction> {
        self.order.values().filter_map(|txid| self.get(txid))
    }

    /// All that is kept: what waits, in the order in which it came, and what is parked.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Standing, &CheckedTransaction)> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_unstable_by_key(|entry| entry.sequence);
        let waiting = entries.into_iter().map(|entry| (Standing::Waiting(entry.origin), &entry.tx));
        waiting.chain(self.parked.values().map(|tx| (Standing::Parked, tx)))
    }

    /// How many copies of an image waiting purchases hold.
    #[must_use]
    pub fn pending_copies(&self, image: u64) -> u32 {
        u32::try_from(self.pending.copies(image)).unwrap_or(u32::MAX)
    }

    /// Admits an order, published at `now` (ms) if it is new.
    ///
    /// # Errors
    /// [`AdmitError`]; nothing is kept of a refused order.
    pub fn admit(
        &mut self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
        origin: Origin,
        now: u64,
    ) -> Result<Admitted, AdmitError> {
        if let Some(entry) = self.entries.get_mut(&tx.txid()) {
            if origin == Origin::Own {
                entry.origin = Origin::Own;
            }
            return Ok(Admitted::Known);
        }
        admit::check_margin(chain, tx)?;
        self.verify(chain, tx)?;
        self.parked.remove(&tx.txid());
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.insert(Entry {
            tx: tx.clone(),
            sequence,
            origin,
            publish_at: now.saturating_add(REPUBLISH_AFTER_MS),
            back_off: REPUBLISH_AFTER_MS,
        });
        Ok(Admitted::New)
    }

    /// What [`Mempool::admit`] would say of an order that is not there yet, changing nothing.
    ///
    /// # Errors
    /// [`AdmitError`].
    pub fn validate(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<Admitted, AdmitError> {
        if self.entries.contains_key(&tx.txid()) {
            return Ok(Admitted::Known);
        }
        admit::check_margin(chain, tx)?;
        self.verify(chain, tx).map(|()| Admitted::New)
    }

    /// The ids of the orders that came or went since this was last asked.
    pub fn take_changed(&mut self) -> Vec<Hash> {
        std::mem::take(&mut self.changed)
    }

    /// Own orders whose time has come to be published again.
    pub fn due(&mut self, now: u64) -> Vec<CheckedTransaction> {
        let mut due = Vec::new();
        for entry in self.entries.values_mut() {
            if entry.origin == Origin::Own && entry.publish_at <= now {
                entry.back_off = entry.back_off.saturating_mul(2).min(REPUBLISH_AT_MOST_MS);
                entry.publish_at = now.saturating_add(entry.back_off);
                due.push(entry.tx.clone());
            }
        }
        due
    }

    /// Whether a displaced order with this id is kept for another try.
    pub(crate) fn is_parked(&self, txid: &Hash) -> bool {
        self.parked.contains_key(txid)
    }

    fn insert(&mut self, entry: Entry) {
        let txid = entry.tx.txid();
        self.bytes += entry.tx.bytes().len();
        self.pending.add(&entry.tx);
        self.order.insert((class(&entry.tx), entry.sequence), txid);
        self.by_expiry.entry(entry.tx.expires_at()).or_default().insert(txid);
        for key in touched(&entry.tx) {
            self.by_key.entry(key).or_default().insert(txid);
        }
        self.changed.push(txid);
        self.entries.insert(txid, entry);
    }

    fn remove(&mut self, txid: &Hash) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        self.changed.push(*txid);
        self.bytes -= entry.tx.bytes().len();
        self.pending.subtract(&entry.tx);
        self.order.remove(&(class(&entry.tx), entry.sequence));
        remove_from(&mut self.by_expiry, &entry.tx.expires_at(), txid);
        for key in touched(&entry.tx) {
            remove_from(&mut self.by_key, &key, txid);
        }
        Some(entry)
    }
}

fn remove_from<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<Hash>>, key: &K, txid: &Hash) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(txid);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

/// Registrars' actions come after everyone else's in a block.
fn class(tx: &CheckedTransaction) -> u8 {
    u8::from(pending::action_key(tx.action()).is_some())
}

/// The entries of the state that an order's validity depends on.
fn touched(tx: &CheckedTransaction) -> Vec<StateKey> {
    let sender = StateKey::Account(*tx.sender());
    match tx.action() {
        Action::Purchase { lines, .. } => {
            lines.iter().map(|line| StateKey::Edition(line.image)).chain([sender]).collect()
        }
        Action::Review { image, .. } => vec![StateKey::Edition(*image), sender],
        Action::Transfer { to, .. } => vec![sender, StateKey::Account(*to)],
        Action::Issue { .. } => vec![StateKey::Supply],
        Action::Redeem { .. } => vec![sender],
        Action::List { image, .. } => vec![StateKey::Edition(*image)],
        Action::RegisterMiner { miner, .. } | Action::RevokeMiner { miner } => vec![StateKey::Miner(*miner)],
        Action::Admit { account } | Action::Expel { account } => vec![StateKey::Account(*account)],
    }
}
