//! What became of orders: for each, every change of its status this node saw. `kept` carries them over a clean stop.
//!
//! Bounded, oldest order out first: what the chain itself holds is answered from the chain. This is what a
//! buyer is told about an order that is not there. Orders that were refused and never were anything else have a shelf of
//! their own: a refusal costs its sender nothing, and so pushes out no story but another refusal's.

use std::collections::{HashMap, VecDeque};

use printsy_consensus::codec::{Decode, Encode};
use printsy_consensus::{CheckedTransaction, Hash};

use crate::mempool::AdmitError;

/// How many orders' stories are kept at the most.
pub const MAX_STORIES: usize = 50_000;
/// How many bytes of orders those stories hold at the most.
pub const MAX_STORY_BYTES: usize = 64 * 1024 * 1024;
/// How many orders that were only ever refused are remembered beside these.
pub const MAX_REFUSED: usize = 10_000;
/// How many bytes of orders they hold at the most.
pub const MAX_REFUSED_BYTES: usize = 16 * 1024 * 1024;
/// How many changes of one order are kept at the most: the first and the last ones.
pub const MAX_CHANGES: usize = 16;

/// The status of an order. What is included and deep enough is final: readers tell that from the heights. A new
/// variant stands last: the bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub enum Status {
    /// It waits in this node's mempool.
    Pending,
    /// A block of the chain holds it.
    Included,
    /// A reorganisation took it out, and it is not valid now. It may come back.
    Displaced,
    /// It was refused; retryable refusals are judged anew when it is sent again.
    Refused,
    /// Its last height has passed.
    Expired,
}

/// One change of an order's status.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub struct Change {
    /// What it became.
    pub status: Status,
    /// When, ms.
    pub time: u64,
    /// In which block, where one is concerned.
    pub block: Option<(u64, Hash)>,
    /// Why, where there is something to say.
    pub reason: Option<AdmitError>,
}

/// An order, and what became of it.
#[derive(Clone, Debug)]
pub struct Story {
    /// The order.
    pub order: CheckedTransaction,
    /// Each change of its status, oldest first; never empty.
    pub changes: Vec<Change>,
}

/// The stories of orders.
#[derive(Debug)]
pub(crate) struct StatusLog {
    stories: HashMap<Hash, Shelved>,
    told: Shelf,
    refused: Shelf,
}

/// A story, and whether it stands among the refused ones.
#[derive(Debug)]
struct Shelved {
    story: Story,
    is_refused: bool,
}

/// In which order stories are forgotten, and from when on.
#[derive(Debug)]
struct Shelf {
    /// May still name a story that has left it.
    oldest: VecDeque<Hash>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl Default for StatusLog {
    fn default() -> Self {
        Self {
            stories: HashMap::new(),
            told: Shelf::new(MAX_STORIES, MAX_STORY_BYTES),
            refused: Shelf::new(MAX_REFUSED, MAX_REFUSED_BYTES),
        }
    }
}

impl StatusLog {
    pub(crate) fn story(&self, txid: &Hash) -> Option<&Story> {
        self.stories.get(txid).map(|shelved| &shelved.story)
    }

    pub(crate) fn knows(&self, txid: &Hash) -> bool {
        self.stories.contains_key(txid)
    }

    pub(crate) fn note(&mut self, order: &CheckedTransaction, change: Change) {
        let txid = order.txid();
        let Some(Shelved { story, is_refused }) = self.stories.get_mut(&txid) else {
            return self.begin(Story { order: order.clone(), changes: vec![change] });
        };
        let leaves = *is_refused && change.status != Status::Refused;
        story.tell(change);
        if leaves {
            *is_refused = false;
            let bytes = story.order.bytes().len();
            self.refused.bytes -= bytes;
            self.told.put(txid, bytes);
            self.forget_oldest();
        }
    }

    /// The stories, of each shelf the one that began first before the others.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Story> {
        let of = |shelf: &Shelf, refused: bool| {
            let shelved = shelf.oldest.iter().filter_map(|txid| self.stories.get(txid));
            let here = shelved.filter(|shelved| shelved.is_refused == refused);
            here.map(|shelved| &shelved.story).collect::<Vec<_>>()
        };
        of(&self.told, false).into_iter().chain(of(&self.refused, true))
    }

    /// A story that is not known, as the newest.
    pub(crate) fn begin(&mut self, story: Story) {
        let (txid, bytes) = (story.order.txid(), story.order.bytes().len());
        let is_refused = story.changes.iter().all(|change| change.status == Status::Refused);
        let shelf = if is_refused { &mut self.refused } else { &mut self.told };
        shelf.put(txid, bytes);
        self.stories.insert(txid, Shelved { story, is_refused });
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        for (shelf, refused) in [(&mut self.told, false), (&mut self.refused, true)] {
            while let Some(oldest) = shelf.too_many() {
                let here = self.stories.get(&oldest).filter(|shelved| shelved.is_refused == refused);
                if let Some(bytes) = here.map(|shelved| shelved.story.order.bytes().len()) {
                    self.stories.remove(&oldest);
                    shelf.bytes -= bytes;
                }
            }
        }
    }
}

impl Shelf {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { oldest: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    fn put(&mut self, txid: Hash, bytes: usize) {
        self.oldest.push_back(txid);
        self.bytes += bytes;
    }

    /// The oldest, taken out, where there is more than there may be.
    fn too_many(&mut self) -> Option<Hash> {
        let is_full = self.oldest.len() > self.most || self.bytes > self.most_bytes;
        if is_full { self.oldest.pop_front() } else { None }
    }
}

impl Story {
    fn tell(&mut self, change: Change) {
        let same = |last: &Change| {
            last.status == change.status && last.reason == change.reason && last.block == change.block
        };
        if self.changes.last().is_some_and(same) {
            return;
        }
        if self.changes.len() == MAX_CHANGES {
            self.changes.remove(1);
        }
        self.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use printsy_consensus::{Action, Body, Genesis, SecretKey, check_transaction};

    use super::*;

    fn genesis() -> Genesis {
        Genesis::from_json(include_str!("../../genesis.json")).unwrap()
    }

    /// Some order; each number is another one.
    fn order(genesis: &Genesis, number: u32) -> CheckedTransaction {
        let key = SecretKey::development("alice");
        let mut reference = [0; 16];
        reference[..4].copy_from_slice(&number.to_le_bytes());
        let (sender, action) = (key.public_key(), Action::Redeem { amount: 1 });
        let body = Body { sender, reference, expires_at: 100, action };
        check_transaction(genesis.params(), &genesis.hash(), body.sign(&genesis.hash(), &key)).unwrap()
    }

    fn change(status: Status, time: u64) -> Change {
        Change { status, time, block: None, reason: None }
    }

    /// Shelves of so few that a test fills them.
    fn log() -> StatusLog {
        let (told, refused) = (Shelf::new(3, 1 << 20), Shelf::new(2, 1 << 20));
        StatusLog { stories: HashMap::new(), told, refused }
    }

    #[test]
    fn refusals_push_out_refusals_alone() {
        let (genesis, mut log) = (genesis(), log());
        let orders: Vec<_> = (0..8).map(|number| order(&genesis, number)).collect();
        for order in &orders[..3] {
            log.note(order, change(Status::Displaced, 1));
        }
        for order in &orders[3..] {
            log.note(order, change(Status::Refused, 2));
        }
        let known: Vec<_> = orders.iter().map(|order| log.knows(&order.txid())).collect();
        assert_eq!(known, [true, true, true, false, false, false, true, true]);
        // What was refused is admitted now, and pushes out the oldest of those.
        log.note(&orders[6], change(Status::Pending, 3));
        assert!(!log.knows(&orders[0].txid()));
        log.note(&orders[3], change(Status::Refused, 4));
        log.note(&orders[4], change(Status::Refused, 4));
        let told: Vec<_> = log.oldest_first().map(|story| story.order.txid()).collect();
        let expected = [1, 2, 6, 3, 4].map(|number: usize| orders[number].txid());
        assert_eq!(told, expected);
    }

    #[test]
    fn a_story_is_counted_where_it_stands_whatever_was_forgotten_of_it() {
        let (genesis, mut log) = (genesis(), log());
        let order = order(&genesis, 0);
        log.note(&order, change(Status::Refused, 0));
        log.note(&order, change(Status::Pending, 1));
        for time in 2..40 {
            let block = Some((time, Hash::ZERO));
            log.note(&order, Change { block, ..change(Status::Refused, time) });
        }
        let story = log.story(&order.txid()).unwrap();
        assert!(story.changes.iter().all(|change| change.status == Status::Refused), "it was once more");
        assert_eq!((log.told.bytes, log.refused.bytes), (order.bytes().len(), 0));
        assert_eq!(log.oldest_first().count(), 1);
    }
}
