//! `reorganisations`: of any depth down to the final block, each compared with the naive world, some with a fresh
//! replay from genesis; and one block deeper is refused.
//!
//! A workload is a chain as long as finality is deep and a little more, then reorganisations one after the other.
//! The better branches hold new orders, orders of the branch they displace, and orders that waited.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use printsy_consensus::{CheckedTransaction, Hash, HeaderError};
use printsy_ledger::InsertError;
use printsy_ledger::store::Fuse;
use tokio::time::Instant;

use crate::report::Report;
use crate::seeds;
use crate::support::orders::begin_references;
use crate::support::random::{opening, random_body, random_miner};
use crate::support::{Node, Random, World, random_genesis, random_order};

/// How many reorganisations one workload makes.
const EACH: u64 = 25;
/// One in so many is compared with a fresh replay from genesis, and a restart.
const ONE_IN_REPLAYED: u64 = 10;
/// The most fresh orders of a block.
const MOST_ORDERS: usize = 3;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: u64,
    blocks: u64,
    deepest: u64,
    to_the_final: u64,
    replayed: u64,
    refused: u64,
}

/// Makes `count` reorganisations, and reports.
///
/// # Errors
/// The first after which anything differs, with its seed.
pub fn run(seed: u64, count: u64) -> Result<Report> {
    let begun = Instant::now();
    let workloads = count.div_ceil(EACH);
    let each = |seed| workload(seed).with_context(|| format!("reorganisations, seed {seed}"));
    let tallies = seeds::each(seed, workloads, each)?;
    let mut report = Report::new("reorganisations");
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    report.add("workloads", workloads);
    report.add("reorganisations", sum(|tally| tally.done));
    report.add("blocks disconnected", sum(|tally| tally.blocks));
    report.add("deepest", tallies.iter().map(|tally| tally.deepest).max().unwrap_or(0));
    report.add("down to the final block", sum(|tally| tally.to_the_final));
    report.add("compared with a fresh replay", sum(|tally| tally.replayed));
    report.add("one block deeper, refused", sum(|tally| tally.refused));
    report.add("seconds", begun.elapsed().as_secs());
    Ok(report)
}

struct Workload {
    world: World,
    node: Node,
    tally: Tally,
}

fn workload(seed: u64) -> Result<Tally> {
    begin_references();
    let mut random = Random::new(seed);
    let (depth, spacing) = (2 + random.below(14), random.pick(&[0, 0, 1, 2]));
    let depth = u32::try_from(depth)?;
    let genesis = random_genesis(&mut random, |params| {
        params.finality_depth = depth;
        params.miner_spacing = spacing;
        params.max_validity = 20;
    });
    let mut work =
        Workload { world: World::new(&genesis), node: Node::new(&genesis), tally: Tally::default() };
    let root = work.world.root();
    let first = work.world.extend(&root, "registrar", &opening(&mut random, &genesis));
    work.node.give(&first);
    while work.node.height() < u64::from(depth) + 2 {
        work.branch(&mut random, 0)?;
    }
    while work.tally.done < EACH {
        let unfinal = work.node.height() - work.node.ledger.final_height();
        // As deep as can be, now and then.
        let back = if random.chance(4) { unfinal } else { 1 + random.below(unfinal) };
        let before = work.node.ledger.final_height();
        work.branch(&mut random, back)?;
        work.tally.done += 1;
        work.tally.blocks += back;
        work.tally.deepest = work.tally.deepest.max(back);
        work.tally.to_the_final += u64::from(back == unfinal);
        ensure!(work.node.ledger.final_height() >= before, "the final height fell");
        let tip = work.node.tip();
        work.node.assert_is(&work.world, &tip);
        work.one_deeper()?;
        if random.chance(ONE_IN_REPLAYED) {
            work.replay()?;
        }
        // Sometimes the chain grows in between.
        for _ in 0..random.below(3) {
            work.branch(&mut random, 0)?;
        }
    }
    work.replay()?;
    Ok(work.tally)
}

impl Workload {
    /// A better branch from `back` blocks below the tip, with orders of the blocks it displaces.
    fn branch(&mut self, random: &mut Random, back: u64) -> Result<()> {
        let genesis = self.world.genesis.clone();
        let tip = self.world.state(&self.node.tip()).clone();
        let fork = tip.chain.len() - 1 - usize::try_from(back)?;
        let left: Vec<CheckedTransaction> = tip.chain[fork + 1..]
            .iter()
            .flat_map(|id| self.world.block(id).transactions().to_vec())
            .collect();
        for _ in 0..2 {
            let _refused_or_not = self.node.admit(&random_order(random, &genesis, &tip));
        }
        let mut at = tip.chain[fork];
        for _ in 0..=back {
            at = self.block(random, &at, &left);
        }
        let advance = self.node.advance();
        ensure!(advance.refused.is_empty(), "a valid block was refused: {:?}", advance.refused);
        ensure!(self.node.tip() == at, "the better branch, {back} deep, is not the chain");
        Ok(())
    }

    /// Makes and places a block on `parent`: orders of the old branch that still fit, then new ones.
    fn block(&mut self, random: &mut Random, parent: &Hash, left: &[CheckedTransaction]) -> Hash {
        let genesis = self.world.genesis.clone();
        let state = self.world.state(parent).clone();
        let mut body = Vec::new();
        for order in random.subset(left).into_iter().chain(random_body(random, &genesis, &state, MOST_ORDERS))
        {
            body.push(order);
            if !self.world.is_body(parent, &body) {
                body.pop();
            }
        }
        let block = self.world.extend(parent, random_miner(random, &genesis, &state), &body);
        self.node.place(&block);
        block.id()
    }

    /// A block on the block below the final one is not taken, whatever might follow it.
    fn one_deeper(&mut self) -> Result<()> {
        let final_height = usize::try_from(self.node.ledger.final_height())?;
        let Some(below) = final_height.checked_sub(1) else { return Ok(()) };
        let parent = self.world.state(&self.node.tip()).chain[below];
        let rival = self.world.make(&parent, "registrar", &[]);
        let placed = self.node.ledger.insert_header(*rival.header(), u64::MAX);
        let expected = InsertError::Header(HeaderError::UnknownParent { parent });
        ensure!(placed == Err(expected), "a fork below the final block was taken: {placed:?}");
        self.tally.refused += 1;
        Ok(())
    }

    /// A fresh ledger that is given this chain alone, and one that is opened from what this one wrote, are as it is.
    fn replay(&mut self) -> Result<()> {
        let tip = self.node.tip();
        let mut fresh = Node::new(&self.world.genesis);
        fresh.give_branch(&self.world, &tip);
        fresh.assert_is(&self.world, &tip);
        let disk = Arc::new(self.node.disk.reopened(Fuse::never()));
        let (reopened, _) = Node::open(&self.world.genesis, disk, Arc::new(self.node.index.crashed(0)));
        reopened.assert_is(&self.world, &tip);
        let final_height = self.node.ledger.final_height();
        ensure!(reopened.ledger.final_height() == final_height, "the final height fell over a restart");
        self.tally.replayed += 1;
        Ok(())
    }
}
