//! Random histories of a ledger: what is done to it step by step, and what it has told after each.
//!
//! A history is made once, on a ledger that nothing happens to, and can then be played to others as often as wanted:
//! its blocks are made beforehand, so that every player is told the same. It extends, reorganises to any depth above
//! the final block, goes back to branches it had left, makes final, writes checkpoints, and stops and starts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use printsy_consensus::{CheckedBlock, CheckedTransaction, Genesis, Hash};
use printsy_ledger::store::{Disk, Index};
use printsy_ledger::{Ledger, Origin};

use crate::support::orders::begin_references;
use crate::support::random::{opening, random_body, random_miner};
use crate::support::{Node, Random, World, random_genesis, random_order};

/// The deepest reorganisation of a history, beside those back to a branch it had left.
const DEEPEST: usize = 6;
/// The most orders of a block.
const MOST_ORDERS: usize = 4;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Headers and bodies, then one advance.
    Blocks(Vec<Arc<CheckedBlock>>, Sync),
    /// Orders for the mempool.
    Orders(Vec<CheckedTransaction>),
    /// What is deep enough becomes final, without a block.
    Settle,
    /// The checkpoint is written to here, and the mempool kept.
    Checkpoint,
    /// A clean stop, and a start.
    Restart,
}

/// Whether the node took itself for synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// What is deep enough becomes final.
    Synced,
    /// Nothing does.
    Syncing,
}

/// What a ledger has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its tip.
    pub tip: Hash,
    /// Its final height.
    pub final_height: u64,
}

impl Told {
    /// What this ledger tells now.
    #[must_use]
    pub fn by(ledger: &Ledger) -> Self {
        Self { tip: ledger.tip().id(), final_height: ledger.final_height() }
    }
}

/// A history.
#[derive(Debug)]
pub struct History {
    /// Its network.
    pub genesis: Arc<Genesis>,
    /// Every block, with the naive state it leaves.
    pub(crate) world: World,
    /// What is done.
    pub steps: Vec<Step>,
    /// What was told at the beginning, and after each step.
    pub told: Vec<Told>,
    /// A further block on each tip.
    pub next: HashMap<Hash, Arc<CheckedBlock>>,
}

impl History {
    /// A history of so many steps.
    ///
    /// # Errors
    /// Where the ledger does not take what is valid.
    pub fn random(random: &mut Random, steps: usize) -> Result<Self> {
        begin_references();
        let (depth, spacing) = (random.pick(&[3, 6, 12, 1_000]), random.pick(&[0, 0, 1, 2]));
        let genesis = random_genesis(random, |params| {
            params.finality_depth = depth;
            params.miner_spacing = spacing;
            params.max_validity = 12;
        });
        let mut maker = Maker { world: World::new(&genesis), node: Node::new(&genesis), left: Vec::new() };
        let mut history = Self {
            genesis: genesis.clone(),
            world: World::new(&genesis),
            told: vec![Told::by(&maker.node.ledger)],
            steps: Vec::new(),
            next: HashMap::new(),
        };
        let root = maker.world.root();
        let first = maker.world.extend(&root, "registrar", &opening(random, &genesis));
        let mut step = Step::Blocks(vec![first], Sync::Synced);
        loop {
            play(&genesis, &mut maker.node, &step)?;
            history.steps.push(step);
            history.told.push(Told::by(&maker.node.ledger));
            if history.steps.len() > steps {
                break;
            }
            step = maker.step(random);
        }
        for told in &history.told {
            if let Entry::Vacant(next) = history.next.entry(told.tip) {
                let state = maker.world.state(&told.tip).clone();
                let miner = random_miner(random, &genesis, &state);
                next.insert(maker.world.extend(&told.tip, miner, &[]));
            }
        }
        history.world = maker.world;
        Ok(history)
    }

    /// Plays the steps from `from` on to a ledger; answers how many were done to the end, each with the answer that
    /// the history has. The first that fails is the last.
    ///
    /// # Errors
    /// If a step is done and another answer given.
    pub fn play(&self, node: &mut Option<Played>, from: usize) -> Result<usize> {
        for (at, step) in self.steps.iter().enumerate().skip(from) {
            let Some(played) = node.as_mut() else { return Ok(at) };
            let done = match step {
                Step::Restart => {
                    let (disk, index) = (played.disk.clone(), played.index.clone());
                    // Dropped first: it writes its checkpoint.
                    *node = None;
                    *node = Played::open(&self.genesis, disk, index).ok();
                    node.is_some()
                }
                step => apply(&mut played.ledger, step).is_ok(),
            };
            let told = node.as_ref().map(|played| Told::by(&played.ledger));
            if !done {
                return Ok(at);
            }
            ensure!(
                told == Some(self.told[at + 1]),
                "step {at} told {told:?}, expected {:?}",
                self.told[at + 1]
            );
        }
        Ok(self.steps.len())
    }
}

/// A ledger that a history is played to.
#[derive(Debug)]
pub struct Played {
    /// The ledger.
    pub ledger: Ledger,
    disk: Arc<dyn Disk>,
    index: Arc<dyn Index>,
}

impl Played {
    /// Opens a ledger.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(genesis: &Arc<Genesis>, disk: Arc<dyn Disk>, index: Arc<dyn Index>) -> Result<Self> {
        let (ledger, _) = Ledger::open(genesis.clone(), disk.clone(), index.clone())?;
        Ok(Self { ledger, disk, index })
    }
}

/// Does one step to a ledger that goes on after it.
fn apply(ledger: &mut Ledger, step: &Step) -> Result<()> {
    let now = ledger.tip().header.header().time;
    match step {
        Step::Blocks(blocks, sync) => {
            for block in blocks {
                ledger.insert_header(*block.header(), u64::MAX)?;
                ledger.add_body(block.clone());
            }
            let advance = ledger.advance(*sync == Sync::Synced, now)?;
            ensure!(advance.refused.is_empty(), "valid blocks were refused: {:?}", advance.refused);
        }
        Step::Orders(orders) => {
            for order in orders {
                let _refused_or_not = ledger.admit(order, Origin::Own, now);
            }
        }
        Step::Settle => ledger.settle(true)?,
        Step::Checkpoint => ledger.close()?,
        Step::Restart => {}
    }
    Ok(())
}

/// As [`apply`], to the ledger on which the history is made.
fn play(genesis: &Arc<Genesis>, node: &mut Node, step: &Step) -> Result<()> {
    if matches!(step, Step::Restart) {
        node.ledger.close()?;
        let disk = Arc::new(node.disk.reopened(printsy_ledger::store::Fuse::never()));
        *node = Node::open(genesis, disk, Arc::new(node.index.crashed(0))).0;
        return Ok(());
    }
    apply(&mut node.ledger, step).context("on a ledger that nothing happens to")
}

/// Makes the steps of a history.
struct Maker {
    world: World,
    node: Node,
    /// Tips that the chain has left.
    left: Vec<Hash>,
}

impl Maker {
    fn step(&mut self, random: &mut Random) -> Step {
        match random.below(20) {
            0..=11 => self.blocks(random),
            12..=14 => {
                let state = self.world.state(&self.node.tip()).clone();
                let genesis = self.world.genesis.clone();
                Step::Orders((0..3).map(|_| random_order(random, &genesis, &state)).collect())
            }
            15 => Step::Settle,
            16..=18 => Step::Checkpoint,
            _ => Step::Restart,
        }
    }

    fn blocks(&mut self, random: &mut Random) -> Step {
        let tip = self.node.tip();
        let chain = self.world.state(&tip).chain.clone();
        let sync = if random.chance(4) { Sync::Syncing } else { Sync::Synced };
        let lowest = usize::try_from(self.node.ledger.final_height()).unwrap_or(usize::MAX);
        let unfinal = chain.len() - 1 - lowest;
        let (mut at, mut blocks) = (tip, Vec::new());
        let mut more = 1;
        if random.chance(3) && unfinal > 0 {
            let back = match random.chance(4).then(|| self.revived(random, &chain, lowest)).flatten() {
                Some((from, old)) => {
                    more = (chain.len() - from).saturating_sub(old.len()) + 1;
                    at = old.last().map_or(chain[from - 1], |block| block.id());
                    blocks = old;
                    None
                }
                None => Some(1 + random.index(unfinal.min(DEEPEST))),
            };
            if let Some(back) = back {
                at = chain[chain.len() - 1 - back];
                more = back + 1;
            }
            self.left.push(tip);
        }
        for _ in 0..more {
            let block = self.block(random, &at);
            at = block.id();
            blocks.push(block);
        }
        Step::Blocks(blocks, sync)
    }

    /// A branch that the chain has left, above the final block: the height after the fork, and its blocks.
    fn revived(
        &self,
        random: &mut Random,
        chain: &[Hash],
        lowest: usize,
    ) -> Option<(usize, Vec<Arc<CheckedBlock>>)> {
        if self.left.is_empty() {
            return None;
        }
        let tip = self.left[random.index(self.left.len())];
        let old = &self.world.state(&tip).chain;
        let fork = old.iter().zip(chain).take_while(|(old, new)| old == new).count();
        if fork <= lowest || fork == old.len() {
            return None;
        }
        Some((fork, old[fork..].iter().map(|id| self.world.block(id).clone()).collect()))
    }

    fn block(&mut self, random: &mut Random, parent: &Hash) -> Arc<CheckedBlock> {
        let genesis = self.world.genesis.clone();
        let state = self.world.state(parent).clone();
        let body = random_body(random, &genesis, &state, MOST_ORDERS);
        let miner = random_miner(random, &genesis, &state);
        self.world.extend(parent, miner, &body)
    }
}
