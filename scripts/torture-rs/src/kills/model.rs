//! What the harness itself knows of the chain: every block by id, made here or read from the node, each executed
//! by a replica of its parent's state.
//!
//! Nothing here believes the node: a block it serves is verified whole before it is known, and what the node says
//! of its state is held against the replica at the tip. States are kept for the blocks that a reorganisation can
//! still reach; of all others the ids, parents, heights, works and orders.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{CheckedTransaction, Genesis, Hash, SecretKey, Target, Work};
use printsy_rpc::Client;
use printsy_scenarios::blocks::{block_bytes, header_id};
use printsy_scenarios::craft::{Draft, Flaw};
use printsy_scenarios::replica::Replica;

use super::daemon::Mining;

/// How far below the final block states are kept: branches one block too deep are built on them.
const KEPT_BELOW_FINAL: u64 = 3;
/// How often the node may change its branch while it is read, before that is a failure.
const MAX_TRIES: usize = 16;

/// A tip's rank among all: more work is better, then the lower id.
pub type Rank = (Work, Reverse<Hash>);

/// A block that was verified here.
#[derive(Clone, Debug)]
pub struct Known {
    /// The block before it.
    pub parent: Hash,
    /// Its height.
    pub height: u64,
    /// The work up to it.
    pub work: Work,
    /// Its orders.
    pub txids: Vec<Hash>,
    /// Whether the harness made it.
    pub is_ours: bool,
}

/// Where an order stands on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The block's height.
    pub height: u64,
    /// The block's id.
    pub hash: Hash,
    /// The index in it.
    pub index: u32,
}

/// What changed on the node's chain, over one look or several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// Blocks that left the chain.
    pub disconnected: usize,
    /// The lowest height at which a block that the harness made joined it.
    pub lowest_ours: Option<u64>,
}

/// All that is known of the chain.
#[derive(Debug)]
pub struct Model {
    genesis: Genesis,
    known: HashMap<Hash, Known>,
    states: HashMap<Hash, Replica>,
    chain: Vec<Hash>,
    places: HashMap<Hash, (u64, u32)>,
    final_height: u64,
    moved: Moved,
}

impl Model {
    /// A chain of block 0.
    ///
    /// # Errors
    /// Never for a genesis that was checked: its bits are a target.
    pub fn new(genesis: Genesis) -> Result<Self> {
        let work =
            Target::from_bits(genesis.params().bits).context("the bits of a genesis are a target")?.work();
        let root = genesis.hash();
        let block = Known { parent: Hash::ZERO, height: 0, work, txids: Vec::new(), is_ours: false };
        Ok(Self {
            known: HashMap::from([(root, block)]),
            states: HashMap::from([(root, Replica::new(genesis.clone()))]),
            chain: vec![root],
            places: HashMap::new(),
            final_height: 0,
            moved: Moved::default(),
            genesis,
        })
    }

    /// The network's beginning.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The last block of the node's chain, as it was last read.
    ///
    /// # Panics
    /// Never: block 0 is always there.
    #[must_use]
    pub fn tip(&self) -> Hash {
        *self.chain.last().expect("block 0 is always there")
    }

    /// Its height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.known[&self.tip()].height
    }

    /// A block, if it was verified here.
    #[must_use]
    pub fn block(&self, id: &Hash) -> Option<&Known> {
        self.known.get(id)
    }

    /// The state that a block leaves, while it is kept.
    #[must_use]
    pub fn state(&self, id: &Hash) -> Option<&Replica> {
        self.states.get(id)
    }

    /// The chain's block at a height.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<Hash> {
        self.chain.get(usize::try_from(height).ok()?).copied()
    }

    /// Where an order stands on the chain.
    #[must_use]
    pub fn place(&self, txid: &Hash) -> Option<Place> {
        let (height, index) = *self.places.get(txid)?;
        Some(Place { height, hash: self.at(height)?, index })
    }

    /// The tip's rank.
    #[must_use]
    pub fn rank(&self) -> Rank {
        (self.known[&self.tip()].work, Reverse(self.tip()))
    }

    /// How many different blocks were verified.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.known.len() - 1
    }

    /// Notes the node's final height: it never falls, and what is final is on the chain for good.
    ///
    /// # Errors
    /// If it fell.
    pub fn note_final(&mut self, height: u64) -> Result<()> {
        ensure!(height >= self.final_height, "the final height fell from {} to {height}", self.final_height);
        self.final_height = height;
        let lowest = height.saturating_sub(KEPT_BELOW_FINAL);
        let known = &self.known;
        self.states.retain(|id, _| known[id].height >= lowest);
        Ok(())
    }

    /// Verifies a block and keeps it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn add(&mut self, parent: &Hash, bytes: Vec<u8>, is_ours: bool) -> Result<Hash> {
        let mut state =
            self.states.get(parent).with_context(|| format!("the state of {parent} is not kept"))?.clone();
        let block = state.connect(bytes, u64::MAX)?;
        let (id, height) = (block.id(), block.height());
        if !self.known.contains_key(&id) {
            let work = self.known[parent].work.plus(block.header().target().work());
            let txids = block.transactions().iter().map(CheckedTransaction::txid).collect();
            self.known.insert(id, Known { parent: *parent, height, work, txids, is_ours });
        }
        self.states.insert(id, state);
        Ok(id)
    }

    /// A new valid block by the registered miner `key` on `parent`, with those of `orders` that fit; kept as ours.
    ///
    /// # Errors
    /// If the parent's state is not kept.
    pub fn make(
        &mut self,
        parent: &Hash,
        key: &SecretKey,
        now: u64,
        nonce: u64,
        orders: Vec<CheckedTransaction>,
    ) -> Result<(Hash, Vec<u8>)> {
        let state = self.states.get(parent).with_context(|| format!("the state of {parent} is not kept"))?;
        let mut draft = Draft::new(state, key.public_key(), now, state.fitting(orders), &Flaw::None)?;
        let target = Target::from_bits(draft.header.bits).context("the schedule's bits are a target")?;
        draft.header.nonce = nonce;
        while !target.is_met_by(&draft.header.id()) {
            draft.header.nonce = draft.header.nonce.wrapping_add(1);
        }
        let bytes = draft.sign(key);
        let id = self.add(parent, bytes.clone(), true).context("a block made here")?;
        Ok((id, bytes))
    }

    /// Reads the node's chain up to its tip, verifying every block not known yet.
    ///
    /// # Errors
    /// The rule that a block breaks, a final block that is gone, or what kept the node from answering.
    pub async fn follow(&mut self, node: &Client) -> Result<()> {
        for _ in 0..MAX_TRIES {
            if self.try_follow(node).await? {
                return Ok(());
            }
        }
        bail!(
            "expected the chain to hold still for a moment, got {MAX_TRIES} reorganisations while it was read"
        )
    }

    /// What changed since this was asked last.
    pub fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// `false` if the node went to another branch meanwhile.
    async fn try_follow(&mut self, node: &Client) -> Result<bool> {
        let mut fork = self.height();
        loop {
            match header_id(node, fork).await? {
                Some(id) if Some(Hash::from(id)) == self.at(fork) => break,
                _ => {
                    ensure!(
                        fork > self.final_height,
                        "the final block {:?} at height {fork} is not on the node's chain any more",
                        self.at(fork)
                    );
                    fork -= 1;
                }
            }
        }
        let mut above = Vec::new();
        let mut parent = self.at(fork).context("the fork is on the chain")?;
        let mut height = fork + 1;
        while let Some(bytes) = block_bytes(node, height).await? {
            if bytes.get(4..36) != Some(&parent.0[..]) {
                return Ok(false);
            }
            parent = self.add(&parent, bytes, false).with_context(|| format!("the node's block {height}"))?;
            above.push(parent);
            height += 1;
        }
        self.move_to(fork, &above);
        Ok(true)
    }

    /// The chain up to `fork`, then these blocks.
    fn move_to(&mut self, fork: u64, above: &[Hash]) {
        let kept = usize::try_from(fork).expect("the fork is an index of the chain") + 1;
        let left = self.chain.split_off(kept);
        for id in &left {
            for txid in &self.known[id].txids {
                self.places.remove(txid);
            }
        }
        self.moved.disconnected += left.len();
        for id in above {
            let block = &self.known[id];
            if block.is_ours {
                let lowest = self.moved.lowest_ours.map_or(block.height, |lowest| lowest.min(block.height));
                self.moved.lowest_ours = Some(lowest);
            }
            for (txid, index) in block.txids.iter().zip(0..) {
                self.places.insert(*txid, (block.height, index));
            }
            self.chain.push(*id);
        }
    }

    /// Whether a block of the past is off the chain for a reason that the harness knows: a better branch that it
    /// built itself, or one that the node's own miner was building when the harness' came between. `moved` is what
    /// changed since the life began in which the block was told, `mining` how that life made blocks.
    #[must_use]
    pub fn is_displaced(&self, id: &Hash, height: u64, moved: &Moved, mining: Mining) -> bool {
        let Some(mut block) = self.known.get(id) else {
            // It came and went between two looks: one of our blocks must have come in its place, or below.
            return moved.lowest_ours.is_some_and(|lowest| lowest <= height);
        };
        let mut gave_way = block.is_ours;
        while self.at(block.height - 1) != Some(block.parent) {
            block = &self.known[&block.parent];
            gave_way |= block.is_ours;
        }
        let from = usize::try_from(block.height).unwrap_or(usize::MAX);
        let came = self.chain.get(from..).unwrap_or_default();
        let is_better = came.iter().any(|rival| self.known[rival].is_ours);
        is_better || (gave_way && mining == Mining::Always && !came.is_empty())
    }
}
