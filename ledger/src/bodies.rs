//! Bodies of blocks that are not on the chain (yet): bounded, in memory.
//!
//! Only blocks whose header has done its work and was placed get here. A block that joins the chain moves to
//! the journal and leaves this cache. Beyond the bound the bodies with the least work go first, but never those
//! of the branch towards the best header: a long reorganisation needs all of them at once. That branch alone may
//! fill [`BRANCH_FACTOR`] times the bound; then no body is taken but one below those that are here already,
//! which closes a gap. (A branch needs room only up to the tip's work: then it is connected.) A child of the tip is
//! taken however full it is: the chain grows by it, and it leaves at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use printsy_consensus::{CheckedBlock, Hash, HeaderTree, Work};

/// How many bytes of bodies wait at the most, whatever their number: four of the largest blocks that any
/// genesis may allow, or thousands of ordinary ones.
pub const MAX_SIDE_BODY_BYTES: usize = 256 * 1024 * 1024;

/// How many times the bound the bodies of the branch towards the best header may fill: its headers have done
/// more work than the chain's, which no peer does for nothing.
pub const BRANCH_FACTOR: usize = 4;

/// Where a body stands among those that may go: the least work first.
type Rank = (Work, Hash);

/// Bodies by block id.
#[derive(Debug)]
pub(crate) struct Bodies {
    by_id: HashMap<Hash, (Arc<CheckedBlock>, Work)>,
    /// Those that may go, and those found to be on the branch towards the best header: each body is in one.
    others: BTreeSet<Rank>,
    kept: BTreeSet<Rank>,
    branch: Option<Branch>,
    bytes: usize,
    bound: usize,
}

/// The branch towards the best header, known only while it matters.
#[derive(Debug)]
struct Branch {
    best: Hash,
    ids: HashSet<Hash>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            others: BTreeSet::new(),
            kept: BTreeSet::new(),
            branch: None,
            bytes: 0,
            bound: MAX_SIDE_BODY_BYTES,
        }
    }
}

impl Bodies {
    /// Bounds what is kept from now on.
    pub(crate) fn set_bound(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// Whether there is room for nothing more, but for what closes a gap or stands on the tip.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bound.saturating_mul(BRANCH_FACTOR)
    }

    /// Whether the body of a header in the tree would be kept as things stand.
    pub(crate) fn has_room_for(&self, id: &Hash, tree: &HeaderTree, tip: &Hash) -> bool {
        let Some(work) = tree.work(id) else { return false };
        if is_child(id, tree, tip) {
            return true;
        }
        if self.is_full() {
            let highest = self.kept.last().max(self.others.last());
            return highest.is_some_and(|(highest, _)| work < *highest);
        }
        match &self.branch {
            // What is known of the branch may be old: then the body is looked at when it comes.
            Some(branch) if self.bytes >= self.bound && branch.best == tree.best() => {
                branch.ids.contains(id) || self.others.first().is_some_and(|least| (work, *id) > *least)
            }
            _ => true,
        }
    }

    /// Keeps a body of a header in the tree, and returns the ids of those dropped to make room: maybe its own.
    pub(crate) fn insert(&mut self, block: Arc<CheckedBlock>, tree: &HeaderTree, tip: &Hash) -> Vec<Hash> {
        let id = block.id();
        let Some(work) = tree.work(&id).filter(|_| !self.by_id.contains_key(&id)) else { return Vec::new() };
        self.bytes += block.bytes().len();
        self.others.insert((work, id));
        self.by_id.insert(id, (block, work));
        self.make_room(tree, tip)
    }

    fn make_room(&mut self, tree: &HeaderTree, tip: &Hash) -> Vec<Hash> {
        let mut dropped = Vec::new();
        if self.bytes <= self.bound {
            self.forget_branch();
            return dropped;
        }
        self.follow_best(tree, tip);
        while self.bytes > self.bound {
            let Some(rank) = self.others.pop_first() else { break };
            let is_of_branch = self.branch.as_ref().is_some_and(|branch| branch.ids.contains(&rank.1));
            if is_of_branch || is_child(&rank.1, tree, tip) {
                self.kept.insert(rank);
            } else if self.take(&rank.1).is_some() {
                dropped.push(rank.1);
            }
        }
        dropped
    }

    fn forget_branch(&mut self) {
        if self.branch.take().is_some() {
            self.others.append(&mut self.kept);
        }
    }

    /// Makes `branch` the way from the tip to the best header. Where that only grew, so does the set: it costs
    /// what is new.
    fn follow_best(&mut self, tree: &HeaderTree, tip: &Hash) {
        let best = tree.best();
        if let Some(branch) = self.branch.as_mut().filter(|branch| tree.get(&branch.best).is_some()) {
            if branch.best == best {
                return;
            }
            let path = tree.path(&branch.best, &best);
            if path.disconnect.is_empty() {
                branch.best = best;
                branch.ids.extend(path.connect);
                return;
            }
        }
        self.forget_branch();
        self.branch = Some(Branch { best, ids: tree.path(tip, &best).connect.into_iter().collect() });
    }

    /// Drops the bodies that no chain will ever ask for: of invalid blocks, and of branches below the final block.
    pub(crate) fn drop_unwanted(&mut self, tree: &HeaderTree) {
        let is_unwanted = |id: &&Hash| tree.get(id).is_none() || tree.is_invalid(id);
        let unwanted: Vec<Hash> = self.by_id.keys().filter(is_unwanted).copied().collect();
        for id in unwanted {
            self.take(&id);
        }
    }

    pub(crate) fn get(&self, id: &Hash) -> Option<&Arc<CheckedBlock>> {
        self.by_id.get(id).map(|(block, _)| block)
    }

    pub(crate) fn take(&mut self, id: &Hash) -> Option<Arc<CheckedBlock>> {
        let (block, work) = self.by_id.remove(id)?;
        self.bytes -= block.bytes().len();
        self.others.remove(&(work, *id));
        self.kept.remove(&(work, *id));
        Some(block)
    }
}

fn is_child(id: &Hash, tree: &HeaderTree, tip: &Hash) -> bool {
    tree.get(id).is_some_and(|header| header.header().parent == *tip)
}
