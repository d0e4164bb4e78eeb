//! The law of templates, to be run at any length: whatever a ledger offers to be mined, by whatever way it was asked
//! for, is a valid block on its parent, as an independent replay judges it.

use std::sync::Arc;

use printsy_consensus::{CheckedTransaction, Hash, StateView, verify_header, verify_miner};
use printsy_ledger::{Template, TemplateError};

use super::Node;
use super::orders::public;
use super::random::{
    BUYERS, MINERS, Random, opening, random_body, random_genesis, random_miner, random_order,
};
use super::world::{World, seal};

/// How many templates that were handed out are remembered, to be mined later, as a slow miner does.
const REMEMBERED: usize = 6;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Templates judged.
    pub templates: u64,
    /// Those that held nothing.
    pub empty: u64,
    /// Those with a registrar's action.
    pub with_registry: u64,
    /// Orders in them, in all.
    pub orders: u64,
    /// Miners refused, rightly.
    pub refused: u64,
    /// Blocks made of templates whose parent was the tip no more.
    pub late_blocks: u64,
    /// Reorganisations between them.
    pub reorganisations: u64,
}

struct Workload<'a> {
    random: &'a mut Random,
    world: World,
    node: Node,
    handed_out: Vec<(&'static str, Template)>,
    tally: Tally,
}

/// Judges `count` templates under random orders, registry changes and reorganisations.
pub fn templates_are_valid(random: &mut Random, count: u64) -> Tally {
    let per_sender = random.pick(&[0, 0, 2, 3]);
    let spacing = random.pick(&[0, 0, 1, 2, 5]);
    let size = random.pick(&[65_536, 1 << 20]);
    let interval = random.pick(&[1, 500]);
    let genesis = random_genesis(random, |params| {
        params.max_per_sender = per_sender;
        params.miner_spacing = spacing;
        params.max_block_bytes = size;
        params.min_interval_ms = interval;
        // Some networks whose target follows every block.
        params.half_life_ms = if interval == 1 { 1 << 40 } else { 1_000 };
        params.finality_depth = 50;
    });
    let (world, node) = (World::new(&genesis), Node::new(&genesis));
    let mut work = Workload { random, world, node, handed_out: Vec::new(), tally: Tally::default() };
    let first = opening(work.random, &genesis);
    let first = work.world.extend(&work.world.root(), "registrar", &first);
    work.node.give(&first);
    while work.tally.templates < count {
        match work.random.below(10) {
            0..=3 => work.admit(),
            4..=7 => work.ask(),
            8 => work.mine(),
            _ => work.reorganise(),
        }
    }
    assert_eq!(work.node.ledger.template_faults(), 0, "none had to be thrown away");
    work.tally
}

impl Workload<'_> {
    fn admit(&mut self) {
        let genesis = self.world.genesis.clone();
        for _ in 0..self.random.below(8) {
            let order = random_order(self.random, &genesis, self.world.state(&self.node.tip()));
            let _refused_or_not = self.node.admit(&order);
        }
    }

    /// Asks for a template in one of the three ways, for anybody, at any time, and judges it.
    fn ask(&mut self) {
        let everybody: Vec<&'static str> = MINERS.into_iter().chain(["registrar", BUYERS[0]]).collect();
        let miner = self.random.pick(&everybody);
        // Clocks are late and early.
        let now = self.node.now().saturating_add(self.random.below(3_000)).saturating_sub(1_000);
        let key = public(miner);
        let ledger = &mut self.node.ledger;
        let (made, may_hold) = match self.random.below(4) {
            0 => (ledger.empty_template(key, now), false),
            1 => (ledger.present_template(key, now), true),
            _ => (ledger.template(key, now), true),
        };
        let state = self.world.state(&self.node.tip());
        let expected = verify_miner(self.world.params(), state, &state.makers, &key);
        let template = match (made, expected) {
            (Ok(template), Ok(())) => template,
            (Err(TemplateError::Miner(got) | TemplateError::Pause { error: got, .. }), Err(expected)) => {
                assert_eq!(got.rule(), expected.rule(), "{miner}");
                self.tally.refused += 1;
                return;
            }
            (made, expected) => panic!("{miner}: {made:?} where the rules say {expected:?}"),
        };
        assert!(may_hold || template.transactions.is_empty());
        self.judge(miner, &template);
        self.handed_out.push((miner, template));
        if self.handed_out.len() > REMEMBERED {
            self.handed_out.remove(0);
        }
    }

    fn judge(&mut self, miner: &str, template: &Template) {
        let genesis = self.world.genesis.clone();
        let state = self.world.state(&self.node.tip());
        assert_eq!(template.header.parent, state.id(), "it stands on the tip");
        let above = state.header.header();
        verify_header(genesis.params(), above, state.parent_time, &template.header, u64::MAX).unwrap();
        // H1, H5, H8, B1, B2 and the T rules, or this panics.
        let block = seal(&genesis, template.header, miner, &template.transactions);
        let verdict = self.world.verdict(&block);
        assert!(verdict.is_none(), "{miner}'s at height {}: {verdict:?}", template.header.height);
        for order in &template.transactions {
            assert!(self.node.waits(order), "I8: what was refused, or left, is in no template");
        }
        let is_registry = |order: &CheckedTransaction| genesis.params().is_registrar(order.sender());
        self.tally.templates += 1;
        self.tally.empty += u64::from(template.transactions.is_empty());
        self.tally.with_registry += u64::from(template.transactions.iter().any(is_registry));
        self.tally.orders += u64::try_from(template.transactions.len()).unwrap();
    }

    /// A block of a template that was handed out, on whatever it stands.
    fn mine(&mut self) {
        if self.handed_out.is_empty() {
            return;
        }
        let index = self.random.index(self.handed_out.len());
        let (miner, template) = self.handed_out.remove(index);
        let block = Arc::new(seal(&self.world.genesis, template.header, miner, &template.transactions));
        self.tally.late_blocks += u64::from(template.header.parent != self.node.tip());
        self.world.take(block.clone());
        self.give(&block.id());
    }

    /// A better branch from some blocks below the tip, with whatever fits there.
    fn reorganise(&mut self) {
        let genesis = self.world.genesis.clone();
        let chain = self.world.state(&self.node.tip()).chain.clone();
        let back = self.random.index(chain.len().min(5));
        let mut at = chain[chain.len() - 1 - back];
        for _ in 0..=back {
            let state = self.world.state(&at).clone();
            let body = random_body(self.random, &genesis, &state, 4);
            let mut kept = Vec::new();
            for order in body {
                kept.push(order);
                if printsy_consensus::verify_per_sender(genesis.params(), &kept).is_err() {
                    kept.pop();
                }
            }
            at = self.world.extend(&at, random_miner(self.random, &genesis, &state), &kept).id();
        }
        let before = self.node.tip();
        self.give(&at);
        let moved = !self.world.state(&self.node.tip()).chain.contains(&before);
        self.tally.reorganisations += u64::from(moved);
    }

    /// Gives a branch to the node, which goes where the work is.
    fn give(&mut self, tip: &Hash) {
        for block in self.world.branch(tip) {
            let is_final = block.height() <= self.node.ledger.final_height();
            if !is_final && self.node.ledger.tree().get(&block.id()).is_none() {
                let now = block.header().header().time;
                // A fork below what is final is none of its chain.
                if self.node.ledger.insert_header(*block.header(), now).is_ok() {
                    self.node.ledger.add_body(block.clone());
                }
            }
        }
        let advance = self.node.advance();
        assert!(advance.refused.is_empty(), "a valid block was refused: {:?}", advance.refused);
    }
}
