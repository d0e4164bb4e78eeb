//! Laws of the ledger's bounds: what a peer or a miner can grow is bounded, and none of the bounds keeps the chain
//! from going where the work is.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{CheckedBlock, Hash, Holding, Rule, SignedHeader, block_bytes, block_message};
use printsy_ledger::store::{Fuse, Index, MemoryIndex};
use printsy_ledger::{InsertError, LedgerError, MAX_SIDE_BODY_BYTES, MAX_TREE_HEADERS};
use support::node::outcomes;
use support::{Node, World, genesis_with, key, order, public, purchase};

fn begin() -> (World, Node) {
    let genesis = genesis_with(|params| params.max_per_account = 3);
    (World::new(&genesis), Node::new(&genesis))
}

fn branch(world: &mut World, from: &Hash, blocks: usize) -> Vec<Arc<CheckedBlock>> {
    let mut made: Vec<Arc<CheckedBlock>> = Vec::new();
    for _ in 0..blocks {
        let parent = made.last().map_or(*from, |block| block.id());
        made.push(world.extend(&parent, "miner-1", &[]));
    }
    made
}

fn show(node: &mut Node, blocks: &[Arc<CheckedBlock>]) {
    for block in blocks {
        node.ledger.insert_header(*block.header(), u64::MAX).unwrap();
    }
}

#[test]
fn a_full_header_tree_still_takes_what_stands_on_the_tip() {
    let (mut world, mut node) = begin();
    node.ledger.set_bounds(4, MAX_SIDE_BODY_BYTES);
    let root = world.root();
    let spam = branch(&mut world, &root, 6);
    show(&mut node, &spam[..3]);
    let full = node.ledger.insert_header(*spam[3].header(), u64::MAX);
    assert_eq!(full, Err(InsertError::Full));
    for _ in 0..5 {
        let block = world.extend(&node.tip(), "miner-2", &[]);
        node.give(&block);
        node.assert_is(&world, &block.id());
    }
    assert_eq!(node.ledger.insert_header(*spam[3].header(), u64::MAX), Err(InsertError::Full));
    node.ledger.set_bounds(MAX_TREE_HEADERS, MAX_SIDE_BODY_BYTES);
    show(&mut node, &spam[3..]);
}

#[test]
fn a_reorganisation_longer_than_the_bound_on_bodies_connects() {
    let (mut world, mut node) = begin();
    let root = world.root();
    let chain = branch(&mut world, &root, 20);
    chain.iter().for_each(|block| drop(node.give(block)));
    let size = chain[0].bytes().len();
    // Room for eight bodies; the branch towards the best header may fill four times that.
    node.ledger.set_bounds(MAX_TREE_HEADERS, 8 * size);
    let better = branch(&mut world, &root, 25);
    show(&mut node, &better);
    let side = branch(&mut world, &root, 12);
    show(&mut node, &side);
    side.iter().for_each(|block| node.ledger.add_body(block.clone()));
    let held = |node: &Node, blocks: &[Arc<CheckedBlock>]| {
        blocks.iter().filter(|block| node.ledger.tree().has_body(&block.id())).count()
    };
    assert_eq!(held(&node, &side), 8);
    assert!(!node.ledger.tree().has_body(&side[0].id()), "the least work goes first");
    assert!(!node.ledger.needs_body(&side[0].id()), "and is not fetched only to go again");
    // The higher half first: nothing of this branch is ever given up.
    for block in better[10..].iter().chain(&better[..10]) {
        assert!(node.ledger.needs_body(&block.id()));
        node.ledger.add_body(block.clone());
        assert!(node.ledger.tree().has_body(&block.id()));
    }
    assert_eq!((held(&node, &better), held(&node, &side)), (25, 0));
    node.advance();
    node.assert_is(&world, &better[24].id());
    // Connected, they make room again.
    side.iter().for_each(|block| node.ledger.add_body(block.clone()));
    assert_eq!(held(&node, &side), 8);
}

#[test]
fn a_branch_beyond_all_room_is_not_fetched_for_ever_and_closes_its_gaps() {
    let (mut world, mut node) = begin();
    let root = world.root();
    let chain = branch(&mut world, &root, 12);
    chain.iter().for_each(|block| drop(node.give(block)));
    node.ledger.set_bounds(MAX_TREE_HEADERS, 4 * chain[0].bytes().len());
    let better = branch(&mut world, &root, 40);
    show(&mut node, &better);
    // All but the first of those that fit.
    better[1..].iter().for_each(|block| node.ledger.add_body(block.clone()));
    assert!((1..=16).all(|at| node.ledger.tree().has_body(&better[at].id())));
    assert!((17..40).all(|at| !node.ledger.needs_body(&better[at].id())), "no room above");
    assert!(node.advance().changes.is_empty());
    // The gap below them is closed all the same, and the branch connects as far as it is here, and then on.
    assert!(node.ledger.needs_body(&better[0].id()));
    node.give(&better[0]);
    node.assert_is(&world, &better[16].id());
    better[17..].iter().for_each(|block| drop(node.give(block)));
    node.assert_is(&world, &better[39].id());
}

/// The bodies of a better branch fill all the room there is before they outweigh the tip.
#[test]
fn a_branch_that_never_fits_is_told_makes_nothing_final_and_does_not_stop_the_chain() {
    let genesis = genesis_with(|params| params.finality_depth = 13);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let root = world.root();
    for block in branch(&mut world, &root, 12) {
        node.give(&block);
    }
    node.ledger.set_bounds(MAX_TREE_HEADERS, 2 * world.block(&node.tip()).bytes().len());
    let mut other: Vec<Arc<CheckedBlock>> = Vec::new();
    for _ in 0..40 {
        let parent = other.last().map_or(root, |block| block.id());
        other.push(world.extend(&parent, "miner-2", &[]));
    }
    show(&mut node, &other);
    assert_eq!(node.ledger.beyond_room(), None, "nothing of it is here yet");
    for block in &other {
        if node.ledger.needs_body(&block.id()) {
            node.ledger.add_body(block.clone());
        }
        node.advance();
    }
    assert_eq!((node.height(), node.ledger.beyond_room()), (12, Some(40)));
    for _ in 0..10 {
        let block = world.extend(&node.tip(), "miner-3", &[]);
        node.give(&block);
        node.assert_is(&world, &block.id());
    }
    node.ledger.settle(true).unwrap();
    assert_eq!(node.ledger.final_height(), 0);
    // With room again it is followed like any other.
    node.ledger.set_bounds(MAX_TREE_HEADERS, MAX_SIDE_BODY_BYTES);
    assert_eq!(node.ledger.beyond_room(), None);
    other.iter().for_each(|block| node.ledger.add_body(block.clone()));
    node.advance();
    node.assert_is(&world, &other[39].id());
    assert_eq!(node.ledger.final_height(), 27);
}

#[test]
fn bodies_on_an_invalid_block_are_not_kept() {
    let (mut world, mut node) = begin();
    let root = world.root();
    let bad = branch(&mut world, &root, 4);
    show(&mut node, &bad);
    bad[1..].iter().for_each(|block| node.ledger.add_body(block.clone()));
    node.ledger.set_bounds(MAX_TREE_HEADERS, 4 * bad[0].bytes().len());
    node.ledger.condemn(&bad[0].id());
    let good = branch(&mut world, &root, 4);
    show(&mut node, &good);
    good.iter().rev().for_each(|block| node.ledger.add_body(block.clone()));
    node.advance();
    node.assert_is(&world, &good[3].id());
}

/// Protocol section 4: a second valid signature under a known id is ignored and not relayed.
#[test]
fn the_first_signature_under_an_id_is_the_one_journalled_and_served() {
    let (mut world, mut node) = begin();
    let buy = order(&world.genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let block = world.extend(&world.root(), "miner-1", std::slice::from_ref(&buy));
    let first = *block.header().signed();
    let signature = key("miner-1").sign_bytes(&block_message(&block.id()).0, &[1; 32]);
    assert_ne!(first.signature, signature);
    let second = SignedHeader { signature, ..first };
    let bytes = block_bytes(&second, block.transactions());
    let again = CheckedBlock::check(world.params(), &world.genesis.hash(), bytes, &|_| None).unwrap();
    node.ledger.insert_header(*block.header(), u64::MAX).unwrap();
    node.ledger.insert_header(*again.header(), u64::MAX).unwrap();
    node.ledger.add_body(Arc::new(again));
    let advance = node.advance();
    assert_eq!(*advance.changes[0].connected[0].header().signed(), first);
    let stored = node.reader.block(&block.id()).unwrap().unwrap();
    assert_eq!((stored.record.signed, &stored.bytes[..]), (first, block.bytes()));
    node.assert_is(&world, &block.id());
}

#[test]
fn a_failed_index_ends_the_node_at_the_next_commit() {
    let (mut world, _) = begin();
    let fuse = Fuse::after(1_000);
    let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
    let mut node = Node::open(&world.genesis, Arc::default(), index).0;
    let block = world.extend(&node.tip(), "miner-1", &[]);
    node.give(&block);
    while fuse.burn().is_ok() {}
    // Not yet noticed: the chain goes on.
    let block = world.extend(&node.tip(), "miner-1", &[]);
    node.give(&block);
    assert!(node.ledger.close().is_err());
    assert!(node.ledger.index_failure().is_some());
    let next = world.extend(&node.tip(), "miner-1", &[]);
    node.place(&next);
    let lag = node.ledger.index_lag();
    assert!(matches!(node.ledger.advance(true, 0), Err(LedgerError::Store(_))));
    assert_eq!((node.tip(), node.ledger.index_lag()), (block.id(), lag), "nothing more was taken");
    let (disk, index) = (Arc::new(node.disk.crashed()), Arc::new(MemoryIndex::new()));
    Node::open(&world.genesis, disk, index).0.assert_is(&world, &block.id());
}

/// The index says that Alice holds all she may; the blocks know better, if they may be asked.
#[test]
fn a_recount_beyond_its_budget_leaves_the_block_refused() {
    for (budget, is_taken) in [(2, false), (3, true)] {
        let (mut world, mut node) = begin();
        for image in [7, 8, 9] {
            let buy = order(&world.genesis, 1, "alice", purchase(&[(image, 1)], 0));
            let block = world.extend(&node.tip(), "miner-1", &[buy]);
            node.give(&block);
        }
        node.ledger.close().unwrap();
        let key = [&b"H"[..], &public("alice").0, &7u64.to_be_bytes()].concat();
        let mut row = node.index.get(&key).unwrap().unwrap();
        row[..4].copy_from_slice(&3u32.to_le_bytes());
        node.index.apply(&[(key, Some(row))]).unwrap();
        node.ledger.set_recount_budget(budget);
        let buy = order(&world.genesis, 4, "alice", purchase(&[(7, 1)], 0));
        let block = world.extend(&node.tip(), "miner-1", &[buy]);
        let advance = node.give(&block);
        assert_eq!(advance.refused.is_empty(), is_taken);
        if is_taken {
            let held = node.reader.holding(&public("alice"), 7).unwrap();
            assert_eq!(held, Holding { quantity: 2, ..Holding::default() });
        } else {
            assert_eq!(advance.refused[0].1.rule(), Some(Rule::S5));
        }
    }
}

/// What comes back from a block is the very order that was checked when the block was.
#[test]
fn a_short_reorganisation_returns_orders_as_they_were_checked() {
    let (mut world, mut node) = begin();
    let root = world.root();
    let buy = order(&world.genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&buy));
    node.give(&a1);
    let b = branch(&mut world, &root, 2);
    b.iter().for_each(|block| node.place(block));
    let advance = node.advance();
    assert_eq!(outcomes(&advance, &buy).len(), 1);
    let back = node.ledger.mempool().get(&buy.txid()).unwrap();
    assert!(std::ptr::eq(back.bytes(), a1.transactions()[0].bytes()), "the same order, not one checked anew");
    let a = branch(&mut world, &a1.id(), 2);
    a.iter().for_each(|block| node.place(block));
    let advance = node.advance();
    assert!(Arc::ptr_eq(&advance.changes[0].connected[0], &a1), "the same block");
    node.assert_is(&world, &a[1].id());
}
