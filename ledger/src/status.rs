//! What became of orders: for each, every change of its status this node saw. `kept` carries them over a clean stop.
//!
//! Bounded, oldest order out first: what the chain itself holds is answered from the chain. This is what a
//! buyer is told about an order that is not there.

use std::collections::{HashMap, VecDeque};

use printsy_consensus::codec::{Decode, Encode};
use printsy_consensus::{CheckedTransaction, Hash};

use crate::mempool::AdmitError;

/// How many orders' stories are kept at the most.
pub const MAX_STORIES: usize = 50_000;
/// How many bytes of orders those stories hold at the most.
pub const MAX_STORY_BYTES: usize = 64 * 1024 * 1024;
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
#[derive(Debug, Default)]
pub(crate) struct StatusLog {
    stories: HashMap<Hash, Story>,
    oldest: VecDeque<Hash>,
    bytes: usize,
}

impl StatusLog {
    pub(crate) fn story(&self, txid: &Hash) -> Option<&Story> {
        self.stories.get(txid)
    }

    pub(crate) fn knows(&self, txid: &Hash) -> bool {
        self.stories.contains_key(txid)
    }

    pub(crate) fn note(&mut self, order: &CheckedTransaction, change: Change) {
        let txid = order.txid();
        match self.stories.get_mut(&txid) {
            Some(story) => story.tell(change),
            None => self.begin(Story { order: order.clone(), changes: vec![change] }),
        }
    }

    /// The stories, the one that began first before the others.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Story> {
        self.oldest.iter().filter_map(|txid| self.stories.get(txid))
    }

    /// A story that is not known, as the newest.
    pub(crate) fn begin(&mut self, story: Story) {
        let txid = story.order.txid();
        self.bytes += story.order.bytes().len();
        self.oldest.push_back(txid);
        self.stories.insert(txid, story);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.stories.len() > MAX_STORIES || self.bytes > MAX_STORY_BYTES {
            let Some(oldest) = self.oldest.pop_front() else { return };
            if let Some(story) = self.stories.remove(&oldest) {
                self.bytes -= story.order.bytes().len();
            }
        }
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
