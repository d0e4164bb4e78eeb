//! The header tree: every header that is not final, and which branch is the chain (protocol section 5).
//!
//! A header is inserted when its parent is known; a body is noted when it is at hand. A header is *ready* when
//! its body and those of all its ancestors are: only ready headers can be the tip. `next_move` says how to go
//! from a tip to the best ready header; an extension is a reorganisation with nothing to disconnect.
//!
//! # Correctness
//! The root is a block this node connected, so it is ready and valid. `ready` and `ranked` are kept as the
//! nodes change, and hold no invalid header. Which header is best follows from the set of headers alone: the
//! order of arrival decides nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::hash::Hash;
use crate::header::Header;
use crate::params::Params;
use crate::target::Work;

use super::rules::{CheckedHeader, HeaderError, verify_header};

/// Where a header stands among others: more total work first, then the lower id.
type Rank = (Work, Reverse<Hash>);

#[derive(Clone, Debug)]
struct Node {
    header: CheckedHeader,
    /// Total, from genesis to here.
    work: Work,
    children: Vec<Hash>,
    has_body: bool,
    is_ready: bool,
    is_invalid: bool,
}

impl Node {
    fn rank(&self) -> Rank {
        (self.work, Reverse(self.header.id()))
    }
}

/// A header that was already placed, and the work up to it.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// The header.
    pub header: CheckedHeader,
    /// The total work from genesis to it.
    pub work: Work,
    /// The time of its parent; `None` for genesis.
    pub parent_time: Option<u64>,
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is new.
    New,
    /// It was there; a second signature under the same id is ignored.
    Known,
}

/// How to go from one tip to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TipMove {
    /// The blocks to undo, the tip first.
    pub disconnect: Vec<Hash>,
    /// The blocks to apply, in order.
    pub connect: Vec<Hash>,
}

/// The tree. Its size is its owner's to bound, by [`HeaderTree::len`] and [`HeaderTree::finalise`].
#[derive(Clone, Debug)]
pub struct HeaderTree {
    params: Params,
    root: Hash,
    root_parent_time: Option<u64>,
    nodes: BTreeMap<Hash, Node>,
    ranked: BTreeSet<Rank>,
    ready: BTreeSet<Rank>,
}

impl HeaderTree {
    /// A tree that begins at a block this node has connected.
    #[must_use]
    pub fn new(params: Params, root: Placed) -> Self {
        let id = root.header.id();
        let node = Node {
            header: root.header,
            work: root.work,
            children: Vec::new(),
            has_body: true,
            is_ready: true,
            is_invalid: false,
        };
        let rank = BTreeSet::from([node.rank()]);
        Self {
            params,
            root: id,
            root_parent_time: root.parent_time,
            nodes: BTreeMap::from([(id, node)]),
            ranked: rank.clone(),
            ready: rank,
        }
    }

    /// How many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: there is at least the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The id of the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The header with this id, valid or not.
    #[must_use]
    pub fn get(&self, id: &Hash) -> Option<&CheckedHeader> {
        self.nodes.get(id).map(|node| &node.header)
    }

    /// The total work from genesis to this header.
    #[must_use]
    pub fn work(&self, id: &Hash) -> Option<Work> {
        self.nodes.get(id).map(|node| node.work)
    }

    /// Whether the header is known to be invalid.
    #[must_use]
    pub fn is_invalid(&self, id: &Hash) -> bool {
        self.nodes.get(id).is_some_and(|node| node.is_invalid)
    }

    /// Whether the header's body is at hand.
    #[must_use]
    pub fn has_body(&self, id: &Hash) -> bool {
        self.nodes.get(id).is_some_and(|node| node.has_body)
    }

    /// The best header, by work alone, whether or not the bodies are at hand.
    ///
    /// # Panics
    /// Never: the root is always ranked.
    #[must_use]
    pub fn best(&self) -> Hash {
        self.ranked.last().expect("the root is always ranked").1.0
    }

    /// Places a header: H2 here, then the rules of [`verify_header`]. `now` is this node's clock, ms.
    ///
    /// # Errors
    /// The first rule broken; nothing is remembered of a header that was refused.
    pub fn insert(&mut self, header: CheckedHeader, now: u64) -> Result<Inserted, HeaderError> {
        let id = header.id();
        if self.nodes.contains_key(&id) {
            return Ok(Inserted::Known);
        }
        let work = self.verify(&header, now)?;
        let node =
            Node { header, work, children: Vec::new(), has_body: false, is_ready: false, is_invalid: false };
        self.ranked.insert(node.rank());
        self.nodes.insert(id, node);
        self.node_mut(&header.header().parent).children.push(id);
        Ok(Inserted::New)
    }

    /// Whether the header could be placed, and the total work up to it.
    ///
    /// # Errors
    /// As [`HeaderTree::insert`].
    pub fn verify(&self, header: &CheckedHeader, now: u64) -> Result<Work, HeaderError> {
        let parent = self.verify_unmined(header.header(), now)?;
        Ok(parent.plus(header.target().work()))
    }

    /// Whether a header with its work and signature yet to come, a template's, could be placed; the total work up to
    /// its parent.
    ///
    /// # Errors
    /// As [`HeaderTree::insert`].
    pub fn verify_unmined(&self, header: &Header, now: u64) -> Result<Work, HeaderError> {
        let parent = self.parent_of(header)?;
        let grandparent_time = self.parent_time(parent);
        verify_header(&self.params, parent.header.header(), grandparent_time, header, now)?;
        Ok(parent.work)
    }

    /// The bits that a block on `parent` must have.
    #[must_use]
    pub fn next_bits(&self, parent: &Hash) -> Option<u32> {
        let node = self.nodes.get(parent)?;
        Some(crate::target::next_bits(&self.params, node.header.header(), self.parent_time(node)))
    }

    /// H2: the parent is known.
    fn parent_of(&self, header: &Header) -> Result<&Node, HeaderError> {
        let parent = header.parent;
        match self.nodes.get(&parent) {
            None => Err(HeaderError::UnknownParent { parent }),
            Some(node) if node.is_invalid => Err(HeaderError::InvalidParent { parent }),
            Some(node) => Ok(node),
        }
    }

    fn parent_time(&self, node: &Node) -> Option<u64> {
        if node.header.id() == self.root {
            return self.root_parent_time;
        }
        self.nodes.get(&node.header.header().parent).map(|parent| parent.header.header().time)
    }

    fn node_mut(&mut self, id: &Hash) -> &mut Node {
        self.nodes.get_mut(id).expect("only ids of headers in the tree are followed")
    }

    /// Notes that the body of `id` is at hand. Unknown ids are ignored.
    pub fn body_arrived(&mut self, id: &Hash) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.has_body = true;
        let parent = node.header.header().parent;
        if self.nodes.get(&parent).is_some_and(|parent| parent.is_ready) {
            self.make_ready(*id);
        }
    }

    fn make_ready(&mut self, id: Hash) {
        let mut queue = vec![id];
        while let Some(id) = queue.pop() {
            let node = self.node_mut(&id);
            if node.has_body && !node.is_invalid && !node.is_ready {
                node.is_ready = true;
                let rank = node.rank();
                queue.extend_from_slice(&node.children);
                self.ready.insert(rank);
            }
        }
    }

    /// Notes that the body of `id`, a block off the chain, is no longer at hand.
    pub fn body_lost(&mut self, id: &Hash) {
        if *id == self.root || !self.has_body(id) {
            return;
        }
        self.node_mut(id).has_body = false;
        for id in self.with_descendants(id) {
            let node = self.node_mut(&id);
            node.is_ready = false;
            let rank = node.rank();
            self.ready.remove(&rank);
        }
    }

    /// Notes that a block is invalid, and so is all that descends from it, for good.
    pub fn invalidate(&mut self, id: &Hash) {
        if *id == self.root || !self.nodes.contains_key(id) {
            return;
        }
        for id in self.with_descendants(id) {
            let node = self.node_mut(&id);
            node.is_ready = false;
            node.is_invalid = true;
            let rank = node.rank();
            self.ready.remove(&rank);
            self.ranked.remove(&rank);
        }
    }

    fn with_descendants(&self, id: &Hash) -> Vec<Hash> {
        let mut found = vec![*id];
        let mut next = 0;
        while let Some(id) = found.get(next) {
            if let Some(node) = self.nodes.get(id) {
                found.extend_from_slice(&node.children);
            }
            next = next.saturating_add(1);
        }
        found
    }

    /// How to go from `tip` to the best ready header; `None` where `tip` is it.
    ///
    /// # Panics
    /// If `tip` is not in the tree.
    #[must_use]
    pub fn next_move(&self, tip: &Hash) -> Option<TipMove> {
        let best = self.ready.last()?.1.0;
        (best != *tip).then(|| self.path(tip, &best))
    }

    /// How to go from one header of the tree to another.
    ///
    /// # Panics
    /// If either is not in the tree.
    #[must_use]
    pub fn path(&self, from: &Hash, to: &Hash) -> TipMove {
        let at = |id: &Hash| *self.nodes.get(id).expect("both ends are in the tree").header.header();
        let (mut low, mut high) = (*from, *to);
        let (mut disconnect, mut connect) = (Vec::new(), Vec::new());
        while low != high {
            let (below, above) = (at(&low), at(&high));
            if below.height >= above.height {
                disconnect.push(low);
                low = below.parent;
            }
            if above.height >= below.height {
                connect.push(high);
                high = above.parent;
            }
        }
        connect.reverse();
        TipMove { disconnect, connect }
    }

    /// Headers without bodies on branches better than `tip`, lowest first, at most `limit`: what to fetch
    /// next. Bodies of branches with no more work than the tip are not worth a fetch.
    #[must_use]
    pub fn missing_bodies(&self, tip: &Hash, limit: usize) -> Vec<Hash> {
        let Some(rank) = self.nodes.get(tip).map(Node::rank) else { return Vec::new() };
        let mut missing: BTreeSet<(u64, Hash)> = BTreeSet::new();
        for (_, Reverse(id)) in self.ranked.range((Bound::Excluded(rank), Bound::Unbounded)) {
            let mut next = *id;
            while let Some(node) = self.nodes.get(&next) {
                let place = (node.header.header().height, next);
                if node.is_ready || missing.contains(&place) {
                    break;
                }
                if !node.has_body {
                    missing.insert(place);
                }
                next = node.header.header().parent;
            }
            if missing.len() >= limit {
                break;
            }
        }
        missing.into_iter().take(limit).map(|(_, id)| id).collect()
    }

    /// The ancestor of `id` at `height`, within the tree.
    #[must_use]
    pub fn ancestor(&self, id: &Hash, height: u64) -> Option<Hash> {
        let mut id = *id;
        loop {
            let header = self.nodes.get(&id)?.header.header();
            match header.height.cmp(&height) {
                std::cmp::Ordering::Equal => return Some(id),
                std::cmp::Ordering::Less => return None,
                std::cmp::Ordering::Greater => id = header.parent,
            }
        }
    }

    /// Makes a ready header the new root: all that does not descend from it is forgotten.
    pub fn finalise(&mut self, id: &Hash) {
        if *id == self.root || !self.nodes.get(id).is_some_and(|node| node.is_ready) {
            return;
        }
        self.root_parent_time = self.nodes.get(id).and_then(|node| self.parent_time(node));
        let kept: BTreeSet<Hash> = self.with_descendants(id).into_iter().collect();
        self.root = *id;
        self.nodes.retain(|id, _| kept.contains(id));
        self.ranked.retain(|(_, Reverse(id))| kept.contains(id));
        self.ready.retain(|(_, Reverse(id))| kept.contains(id));
    }
}
