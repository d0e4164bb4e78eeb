//! Laws of the retreat, an operator's way below the final block: after it the ledger is what it was at that block, by
//! every way of opening it; it follows another branch from there as if it had never been elsewhere; and a crash
//! leaves the old chain or the new one.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{CheckedTransaction, Genesis, Hash, Rule};
use printsy_ledger::store::{Disk, Fuse, Index, JournalReader, MemoryDisk, MemoryIndex};
use printsy_ledger::{Ledger, LedgerError, RetreatError};
use support::random::{opening, random_body, random_miner};
use support::{Node, Random, World, for_seeds, genesis_with, order, purchase, random_genesis};

const HEADERS: &str = "headers.dat";

fn random_network(random: &mut Random) -> Arc<Genesis> {
    let (depth, spacing) = (random.pick(&[1, 3]), random.pick(&[0, 1, 2]));
    random_genesis(random, |params| {
        params.finality_depth = depth;
        params.miner_spacing = spacing;
        params.max_validity = 8;
    })
}

/// Random blocks on `from`, some of whose orders were confirmed on another branch, if they still can be here.
fn grow(
    random: &mut Random,
    world: &mut World,
    from: &Hash,
    blocks: usize,
    recurring: &[CheckedTransaction],
) -> Vec<Hash> {
    let genesis = world.genesis.clone();
    let mut ids = Vec::new();
    let mut at = *from;
    for _ in 0..blocks {
        let state = world.state(&at).clone();
        let mut body: Vec<CheckedTransaction> = Vec::new();
        for order in random.subset(recurring).into_iter().chain(random_body(random, &genesis, &state, 4)) {
            body.push(order);
            if !world.is_body(&at, &body) {
                body.pop();
            }
        }
        at = world.extend(&at, random_miner(random, &genesis, &state), &body).id();
        ids.push(at);
    }
    ids
}

/// A node on a random chain, its checkpoint somewhere behind the tip.
fn begun(random: &mut Random, blocks: usize) -> (World, Node) {
    let genesis = random_network(random);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
    node.give(&first);
    for id in grow(random, &mut world, &first.id(), blocks, &[]) {
        node.give(world.block(&id));
        if random.chance(6) {
            node.ledger.close().unwrap();
        }
    }
    (world, node)
}

/// Takes a node back as the program does: plan, journal, open again.
fn retreat(node: Node, to: &Hash) -> Node {
    let Node { ledger, reader, disk, index, .. } = node;
    let genesis = reader.genesis().clone();
    drop(reader);
    let planned = ledger.plan_retreat(to).unwrap().unwrap();
    ledger.retreat(planned).unwrap();
    Node::open(&genesis, disk, index).0
}

/// What a node left, opened again with this index.
fn reopen(world: &World, node: &Node, index: &MemoryIndex, keeps_headers: bool) -> Node {
    let disk = node.disk.reopened(Fuse::never());
    if !keeps_headers {
        disk.remove(HEADERS).unwrap();
    }
    Node::open(&world.genesis, Arc::new(disk), Arc::new(index.crashed(0))).0
}

/// S2: what the chain holds and could still hold again is refused.
fn assert_nothing_repeats(world: &mut World, node: &mut Node, miner: &str) {
    let (tip, height) = (node.tip(), node.height());
    let confirmed: Vec<CheckedTransaction> =
        world.branch(&tip).iter().flat_map(|block| block.transactions().to_vec()).collect();
    for order in confirmed.iter().filter(|order| order.expires_at() > height) {
        let again = world.make(&tip, miner, std::slice::from_ref(order));
        assert_eq!(node.give(&again).refused[0].1.rule(), Some(Rule::S2));
    }
}

#[test]
fn after_a_retreat_any_branch_equals_a_fresh_replay_of_it() {
    for_seeds(0..40, |random| {
        let blocks = 8 + random.index(12);
        let (mut world, node) = begun(random, blocks);
        let genesis = world.genesis.clone();
        let chain = world.state(&node.tip()).chain.clone();
        let height = random.below(node.ledger.final_height());
        let at = usize::try_from(height).unwrap();
        let before = node.index.crashed(0);
        let mut node = retreat(node, &chain[at]);
        node.assert_is(&world, &chain[at]);
        assert_eq!(node.ledger.final_height(), height);
        for keeps_headers in [true, false] {
            for index in [&before, &MemoryIndex::new()] {
                let mut other = reopen(&world, &node, index, keeps_headers);
                other.assert_is(&world, &chain[at]);
                assert_eq!(other.ledger.final_height(), height);
                let miner = random_miner(random, &genesis, &world.state(&chain[at]).clone());
                assert_nothing_repeats(&mut world, &mut other, miner);
            }
        }
        // What left the chain may be confirmed again, and is not taken for confirmed.
        let gone: Vec<CheckedTransaction> =
            chain[at + 1..].iter().flat_map(|id| world.block(id).transactions().to_vec()).collect();
        let length = 1 + random.index(blocks + 4);
        let branch = grow(random, &mut world, &chain[at], length, &gone);
        let (mut tip, mut is_back) = (chain[at], false);
        for id in &branch {
            assert!(node.give(world.block(id)).refused.is_empty());
            tip = *id;
            if random.chance(4) {
                node.ledger.close().unwrap();
            }
        }
        node.assert_is(&world, &tip);
        // The branch it left is one like any other: taken where it has more work, if finality allows.
        if random.chance(2) {
            chain[at + 1..].iter().for_each(|id| {
                let header = *world.block(id).header();
                if node.ledger.insert_header(header, u64::MAX).is_ok() {
                    node.ledger.add_body(world.block(id).clone());
                }
            });
            is_back = !node.advance().changes.is_empty();
            if is_back {
                tip = world.best(&[tip, *chain.last().unwrap()]);
            }
            node.assert_is(&world, &tip);
        }
        let final_height = node.ledger.final_height();
        let depth = u64::from(genesis.params().finality_depth);
        assert!(is_back || final_height == height.max(node.height().saturating_sub(depth)));
        for keeps_headers in [true, false] {
            for index in [&before, &node.index.crashed(0), &MemoryIndex::new()] {
                let other = reopen(&world, &node, index, keeps_headers);
                other.assert_is(&world, &tip);
                assert_eq!(other.ledger.final_height(), final_height);
            }
        }
    });
}

#[test]
fn there_is_no_retreat_where_there_is_no_conflict() {
    let (world, node) = begun(&mut Random::new(3), 12);
    let chain = world.state(&node.tip()).chain.clone();
    let final_height = node.ledger.final_height();
    for (height, id) in (0u64..).zip(&chain) {
        let planned = node.ledger.plan_retreat(id);
        if height == node.height() {
            assert!(planned.unwrap().is_none());
        } else if height >= final_height {
            assert!(matches!(planned, Err(RetreatError::NotBelowFinal { .. })), "{height}");
        } else {
            let planned = planned.unwrap().unwrap();
            let above = &chain[usize::try_from(height).unwrap() + 1..];
            let transactions: usize = above.iter().map(|id| world.block(id).transactions().len()).sum();
            assert_eq!((planned.to.id(), planned.to.work), (*id, world.state(id).work));
            assert_eq!(planned.blocks(), u64::try_from(above.len()).unwrap());
            assert_eq!(planned.transactions, u64::try_from(transactions).unwrap());
        }
    }
    let unknown = node.ledger.plan_retreat(&Hash([7; 32]));
    assert!(matches!(unknown, Err(RetreatError::Unknown { .. })));
    node.assert_is(&world, chain.last().unwrap());
}

#[test]
fn a_retreat_is_one_move_of_the_journal_and_the_only_one_that_lowers_the_final_height() {
    let (world, node) = begun(&mut Random::new(5), 12);
    let chain = world.state(&node.tip()).chain.clone();
    let moves = |node: &Node| -> Vec<_> {
        let journal = JournalReader::open(node.disk.clone(), world.genesis.hash()).unwrap();
        journal.moves(0).map(Result::unwrap).collect()
    };
    let before = moves(&node);
    let node = retreat(node, &chain[2]);
    let after = moves(&node);
    assert_eq!(after[..before.len()], before);
    let [last] = &after[before.len()..] else { panic!("one move") };
    let gone: Vec<Hash> = chain[3..].iter().rev().copied().collect();
    assert_eq!((&last.disconnect, last.connect.len(), last.final_height), (&gone, 0, 2));
    assert!(last.is_retreat() && before.iter().all(|stored| !stored.is_retreat()));
    assert!(before.is_sorted_by_key(|stored| stored.final_height));
}

fn copy(from: &MemoryIndex, to: &MemoryIndex) {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), Some(value.to_vec())));
        Ok(())
    };
    from.scan(&[], &mut visit).unwrap();
    to.apply(&rows).unwrap();
    to.flush().unwrap();
}

/// Plans, journals and opens again until the power goes. Says whether the retreat was told to be durable.
fn retreat_until_the_cut(
    genesis: &Arc<Genesis>,
    disk: &Arc<MemoryDisk>,
    index: &Arc<MemoryIndex>,
    to: &Hash,
) -> bool {
    let Ok((ledger, _)) = Ledger::open(genesis.clone(), disk.clone(), index.clone()) else { return false };
    if ledger.close().is_err() {
        return false;
    }
    let planned = ledger.plan_retreat(to).unwrap().unwrap();
    if ledger.retreat(planned).is_err() {
        return false;
    }
    if let Ok((ledger, _)) = Ledger::open(genesis.clone(), disk.clone(), index.clone()) {
        // Durable already, whatever becomes of the checkpoint.
        let _ = ledger.close();
    }
    true
}

#[test]
fn a_crash_at_any_step_of_a_retreat_leaves_the_old_chain_or_the_new() {
    let (mut old_seen, mut new_seen) = (0, 0);
    for seed in 0..4 {
        let (world, mut node) = begun(&mut Random::new(seed), 10);
        let waiting = order(&world.genesis, node.height() + 1, "issuer", support::issue("bob", 5));
        node.admit(&waiting).unwrap();
        node.ledger.close().unwrap();
        let chain = world.state(&node.tip()).chain.clone();
        let final_height = node.ledger.final_height();
        for steps in 0..60 {
            // Two changes to copy the index, then the fuse counts.
            let fuse = Fuse::after(steps + 2);
            let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
            copy(&node.index, &index);
            let disk = Arc::new(node.disk.reopened(fuse));
            let is_told = retreat_until_the_cut(&world.genesis, &disk, &index, &chain[3]);
            for luck in [0, 60, usize::MAX] {
                let (crashed, rows) = (disk.crashed_with_luck(luck), index.crashed(0));
                let (reopened, _) = Node::open(&world.genesis, Arc::new(crashed), Arc::new(rows));
                if reopened.height() == 3 {
                    new_seen += 1;
                    reopened.assert_is(&world, &chain[3]);
                    assert_eq!(reopened.ledger.final_height(), 3);
                } else {
                    assert!(!is_told, "told, and gone after {steps} steps");
                    old_seen += 1;
                    reopened.assert_is(&world, chain.last().unwrap());
                    assert_eq!(reopened.ledger.final_height(), final_height);
                }
            }
        }
    }
    assert!(old_seen > 10 && new_seen > 10, "{old_seen} old, {new_seen} new");
}

/// What cannot be undone must not be journalled: no start would get past it.
#[test]
fn a_damaged_block_above_is_found_before_anything_is_journalled() {
    let (world, node) = begun(&mut Random::new(9), 10);
    let chain = world.state(&node.tip()).chain.clone();
    node.ledger.close().unwrap();
    let segment = format!("journal/{}", node.disk.list("journal").unwrap()[0]);
    for height in 1..chain.len() {
        let record = node.reader.header_at(u64::try_from(height).unwrap()).unwrap().unwrap();
        let disk = Arc::new(node.disk.reopened(Fuse::never()));
        let (other, _) = Node::open(&world.genesis, disk.clone(), Arc::new(node.index.crashed(0)));
        let sound = disk.read(&segment, record.position + 300, 1).unwrap()[0];
        disk.write_at(&segment, record.position + 300, &[sound ^ 4]).unwrap();
        let before = disk.len(&segment).unwrap();
        let planned = other.ledger.plan_retreat(&chain[4]);
        if height > 4 {
            assert!(
                matches!(planned, Err(RetreatError::Ledger(LedgerError::Store(_)))),
                "{height}: {planned:?}"
            );
        } else {
            planned.unwrap();
        }
        assert_eq!(disk.len(&segment).unwrap(), before);
    }
}

#[test]
fn the_orders_that_wait_are_kept_over_a_retreat() {
    let genesis = genesis_with(|params| params.finality_depth = 2);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    for height in 1..=8 {
        let buy = order(&genesis, height, "alice", purchase(&[(height, 1)], 0));
        let block = world.extend(&node.tip(), "miner-1", &[buy]);
        node.give(&block);
    }
    let chain = world.state(&node.tip()).chain.clone();
    let waiting = order(&genesis, 3, "bob", purchase(&[(7, 1)], 0));
    node.admit(&waiting).unwrap();
    node.ledger.close().unwrap();
    let mut node = retreat(node, &chain[2]);
    assert!(node.waits(&waiting));
    let gone = world.block(&chain[7]).transactions()[0].clone();
    assert!(!node.waits(&gone), "whoever sent it sends it again");
    node.admit(&order(&genesis, 3, "alice", purchase(&[(3, 5)], 0))).unwrap();
    let block = node.mine(&mut world, "miner-2");
    node.give(&block);
    node.assert_is(&world, &block.id());
    assert!(block.transactions().contains(&waiting));
}

/// Thousands of blocks are a matter of seconds: what each step costs does not grow with the depth.
#[test]
fn a_deep_retreat_under_headers_of_another_branch_opens() {
    let genesis = genesis_with(|params| params.finality_depth = 1);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    for _ in 0..1_000 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
    }
    node.ledger.close().unwrap();
    let before = node.index.crashed(0);
    let root = world.root();
    let mut node = retreat(node, &root);
    for _ in 0..1_000 {
        let block = world.extend(&node.tip(), "miner-2", &[]);
        node.give(&block);
    }
    reopen(&world, &node, &before, true).assert_is(&world, &node.tip());
}
