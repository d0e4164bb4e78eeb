//! The state tree: every entry of the state in a Merkle tree over the bits of its path (protocol section 6).
//!
//! An empty set hashes to 32 zero bytes; a set of one to `H("printsy/leaf", path, value)`; any other to
//! `H("printsy/branch", left, right)`, split on the next bit. The tree is persistent: [`StateTree::update`]
//! returns a new one that shares all that did not change, so it costs hashes only along the changed paths,
//! once a block, and a clone is one pointer. A naive recursive model of it lives in `tests/`.
//!
//! # Correctness
//! The depth is at most 256, because distinct paths differ in some bit: recursion is bounded.

use std::sync::Arc;

use crate::hash::Hash;

use super::path::{bit, branch_hash, leaf_hash};
use super::proof::{Proof, Terminal};

/// A set of entries by path, with its root. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct StateTree {
    root: Node,
    len: usize,
}

#[derive(Clone, Debug, Default)]
enum Node {
    #[default]
    Empty,
    Leaf(Arc<Leaf>),
    Branch(Arc<Branch>),
}

#[derive(Debug)]
struct Leaf {
    path: Hash,
    hash: Hash,
    value: Box<[u8]>,
}

#[derive(Debug)]
struct Branch {
    hash: Hash,
    left: Node,
    right: Node,
}

/// One change: the path, and its new value or its removal.
type Change = (Hash, Option<Box<[u8]>>);

impl StateTree {
    /// The root that a header commits to.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root.hash()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at `path`.
    #[must_use]
    pub fn get(&self, path: &Hash) -> Option<&[u8]> {
        let mut node = &self.root;
        let mut depth = 0;
        while let Node::Branch(branch) = node {
            node = if bit(path, depth) { &branch.right } else { &branch.left };
            depth = depth.saturating_add(1);
        }
        match node {
            Node::Leaf(leaf) if leaf.path == *path => Some(&leaf.value),
            _ => None,
        }
    }

    /// The tree with `changes` made: a value set, or (`None`) removed. The last change of a path counts.
    #[must_use]
    pub fn update(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut changes: Vec<Change> = changes.into_iter().collect();
        changes.reverse();
        changes.sort_by_key(|(path, _)| *path);
        changes.dedup_by_key(|(path, _)| *path);
        let mut len = self.len;
        for (path, value) in &changes {
            match (self.get(path).is_some(), value.is_some()) {
                (false, true) => len = len.saturating_add(1),
                (true, false) => len = len.saturating_sub(1),
                _ => {}
            }
        }
        Self { root: self.root.update(0, changes), len }
    }

    /// The proof of what stands at `path`, or that nothing does.
    #[must_use]
    pub fn prove(&self, path: &Hash) -> Proof {
        let mut node = &self.root;
        let mut siblings = Vec::new();
        while let Node::Branch(branch) = node {
            let right = bit(path, siblings.len());
            let (next, sibling) =
                if right { (&branch.right, &branch.left) } else { (&branch.left, &branch.right) };
            siblings.push(sibling.hash());
            node = next;
        }
        let terminal = match node {
            Node::Leaf(leaf) => Terminal::Leaf {
                path: leaf.path,
                value: leaf.value.to_vec().try_into().expect("an entry's value is far below 1,024 bytes"),
            },
            _ => Terminal::Empty,
        };
        Proof { siblings: siblings.try_into().expect("a path has 256 bits"), terminal }
    }
}

impl Node {
    fn hash(&self) -> Hash {
        match self {
            Self::Empty => Hash::ZERO,
            Self::Leaf(leaf) => leaf.hash,
            Self::Branch(branch) => branch.hash,
        }
    }

    /// This subtree, whose paths agree in their first `depth` bits, after `changes`, which are sorted by path
    /// and agree with it.
    fn update(&self, depth: usize, mut changes: Vec<Change>) -> Self {
        if changes.is_empty() {
            return self.clone();
        }
        match self {
            Self::Empty => Self::build(depth, changes.into_iter().filter_map(new_leaf).collect()),
            Self::Leaf(leaf) => {
                let kept = changes.iter().all(|(path, _)| *path != leaf.path).then(|| leaf.clone());
                let mut leaves: Vec<_> = changes.into_iter().filter_map(new_leaf).chain(kept).collect();
                leaves.sort_by_key(|leaf| leaf.path);
                Self::build(depth, leaves)
            }
            Self::Branch(branch) => {
                let right = changes.split_off(changes.partition_point(|(path, _)| !bit(path, depth)));
                let below = depth.saturating_add(1);
                Self::join(branch.left.update(below, changes), branch.right.update(below, right))
            }
        }
    }

    /// The subtree of `leaves`, sorted by path, which agree in their first `depth` bits.
    fn build(depth: usize, mut leaves: Vec<Arc<Leaf>>) -> Self {
        match leaves.len() {
            0 => Self::Empty,
            1 => leaves.pop().map_or(Self::Empty, Self::Leaf),
            _ => {
                let right = leaves.split_off(leaves.partition_point(|leaf| !bit(&leaf.path, depth)));
                let below = depth.saturating_add(1);
                Self::join(Self::build(below, leaves), Self::build(below, right))
            }
        }
    }

    /// Two halves put together: a set of one is its leaf, whatever its depth.
    fn join(left: Self, right: Self) -> Self {
        match (&left, &right) {
            (Self::Empty, Self::Empty | Self::Leaf(_)) => right,
            (Self::Leaf(_), Self::Empty) => left,
            _ => {
                let hash = branch_hash(&left.hash(), &right.hash());
                Self::Branch(Arc::new(Branch { hash, left, right }))
            }
        }
    }
}

fn new_leaf((path, value): Change) -> Option<Arc<Leaf>> {
    let value = value?;
    Some(Arc::new(Leaf { hash: leaf_hash(&path, &value), path, value }))
}
