//! Laws of the chain's choice, as the ledger makes it: the blocks it has decide where it stands, and nothing
//! else does. A reorganisation equals a replay; an invalid block costs its branch and nothing more; every order
//! that leaves the chain waits again, or is told why not.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use printsy_consensus::{
    BlockError, CheckedBlock, CheckedTransaction, Genesis, Hash, HeaderError, Params, Rule, StateError,
};
use printsy_ledger::{AdmitError, Admitted, Advance, InsertError, Outcome, Status};
use support::node::outcomes;
use support::random::{opening, random_body, random_miner};
use support::world::Wrong;
use support::{
    Node, Random, World, for_seeds, genesis_with, issue, list, order, order_until, public, purchase,
    random_genesis, register_miner, revoke_miner, transfer,
};

fn begin(genesis: &Arc<Genesis>) -> (World, Node) {
    (World::new(genesis), Node::new(genesis))
}

/// A chain of empty blocks.
fn extend_by(world: &mut World, from: &Hash, blocks: usize) -> Vec<Arc<CheckedBlock>> {
    let mut made = Vec::new();
    for _ in 0..blocks {
        let parent = made.last().map_or(*from, |block: &Arc<CheckedBlock>| block.id());
        made.push(world.extend(&parent, "miner-1", &[]));
    }
    made
}

/// Gives blocks at once: between branches of equal work the ids, which mean nothing here, would choose.
fn give_all(node: &mut Node, blocks: &[Arc<CheckedBlock>]) -> Advance {
    blocks.iter().for_each(|block| node.place(block));
    node.advance()
}

/// A network on which more work is not more height: the target follows every single block.
fn uneven(params: &mut Params) {
    params.half_life_ms = 1_000;
    params.min_interval_ms = 100;
}

/// A tree of blocks on the opening block, some of them invalid, with orders that meet and recur on many branches.
fn random_tree(random: &mut Random, world: &mut World, blocks: usize) -> Vec<Hash> {
    let genesis = world.genesis.clone();
    let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
    let mut ids = vec![first.id()];
    let mut orders: Vec<CheckedTransaction> = Vec::new();
    for _ in 0..blocks {
        let parent = ids[ids.len() - 1 - random.index(ids.len().min(5))];
        if !world.is_valid(&parent) {
            ids.push(world.make(&parent, "miner-1", &[]).id());
            continue;
        }
        let state = world.state(&parent).clone();
        let recurring = random.subset(&orders);
        let fresh = random_body(random, &genesis, &state, 5);
        let mut body: Vec<CheckedTransaction> = Vec::new();
        for order in recurring.into_iter().chain(fresh) {
            body.push(order.clone());
            if world.is_body(&parent, &body) {
                orders.push(order);
            } else if !random.chance(30) {
                body.pop();
            }
        }
        let miner = if random.chance(20) { "nobody" } else { random_miner(random, &genesis, &state) };
        let pause = random.pick(&[100, 1_000, 1_000, 2_500]);
        let time = state.header.header().time + pause.max(genesis.params().min_interval_ms);
        let wrong = Wrong { time: Some(time), state_root: random.chance(15), nonce: random.next() >> 1 };
        ids.push(world.make_wrong(&parent, miner, &body, wrong).id());
    }
    ids
}

/// Gives headers and bodies in random order, advancing now and then. A header that comes before its parent's is
/// given again later, as a node does.
fn deliver(random: &mut Random, world: &World, node: &mut Node, ids: &[Hash]) -> Vec<(Hash, BlockError)> {
    let mut headers = ids.to_vec();
    let mut bodies = ids.to_vec();
    random.shuffle(&mut headers);
    random.shuffle(&mut bodies);
    let (mut refused, mut later) = (Vec::new(), Vec::new());
    while !headers.is_empty() || !bodies.is_empty() {
        if let Some(id) = headers.pop() {
            let header = *world.block(&id).header();
            match node.ledger.insert_header(header, header.header().time) {
                Ok(_) => {}
                Err(InsertError::Header(HeaderError::UnknownParent { parent })) => {
                    // What stands on an invalid block may never find its parent here.
                    if world.is_valid(&parent) {
                        headers.insert(0, id);
                    }
                }
                Err(InsertError::Header(HeaderError::InvalidParent { .. })) => assert!(!world.is_valid(&id)),
                Err(error) => panic!("{error}"),
            }
        }
        if let Some(id) = bodies.pop() {
            if node.ledger.tree().get(&id).is_some() {
                node.ledger.add_body(world.block(&id).clone());
            } else {
                later.push(id);
            }
        }
        if bodies.is_empty() && !later.is_empty() && !headers.is_empty() {
            bodies.append(&mut later);
        }
        if random.chance(3) {
            refused.extend(node.advance().refused);
        }
    }
    for id in later {
        if node.ledger.tree().get(&id).is_some() {
            node.ledger.add_body(world.block(&id).clone());
        }
    }
    refused.extend(node.advance().refused);
    refused
}

#[test]
fn the_order_in_which_blocks_arrive_decides_nothing() {
    for_seeds(0..60, |random| {
        let spacing = random.pick(&[0, 0, 2]);
        let is_uneven = random.chance(2);
        let genesis = random_genesis(random, |params| {
            params.miner_spacing = spacing;
            if is_uneven {
                uneven(params);
            }
        });
        let mut world = World::new(&genesis);
        let ids = random_tree(random, &mut world, 25);
        let best = world.best(&ids);
        for _ in 0..3 {
            let mut node = Node::new(&genesis);
            let refused = deliver(random, &world, &mut node, &ids);
            node.assert_is(&world, &best);
            // What was refused is invalid by the rule that the replay finds, and is remembered.
            for (id, error) in refused {
                assert_eq!(world.verdict(world.block(&id)).unwrap().rule(), error.rule());
                assert!(node.ledger.tree().is_invalid(&id) && !node.ledger.needs_body(&id));
            }
            assert_orders_have_a_place(&world, &node, &ids);
        }
        // A ledger that got the winning branch alone is in the same place.
        let mut straight = Node::new(&genesis);
        straight.give_branch(&world, &best);
        straight.assert_is(&world, &best);
    });
}

/// I3, I6: what was on the chain once is on it, or waits, or is displaced; what waits is a valid body.
fn assert_orders_have_a_place(world: &World, node: &Node, ids: &[Hash]) {
    let state = world.state(&node.tip());
    let waiting = node.waiting();
    assert!(world.is_body(&node.tip(), &waiting), "the mempool is a body on the tip");
    for id in ids.iter().filter(|id| world.is_valid(id)) {
        for order in world.block(id).transactions() {
            let confirmed = state.confirmed.contains_key(&order.txid());
            assert!(!(confirmed && node.waits(order)), "confirmed and waiting");
            let last = node.story(order).last().copied();
            match last {
                Some(Status::Pending) => assert!(node.waits(order)),
                Some(Status::Included) => assert!(confirmed),
                Some(Status::Displaced | Status::Expired | Status::Refused) => {
                    assert!(!confirmed && !node.waits(order));
                }
                // Never told to this node but in blocks that it connected for good, or never connected.
                None => assert!(!node.waits(order)),
            }
        }
    }
}

#[test]
fn statuses_tell_the_story_of_a_flip_flop() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    node.admit(&buy).unwrap();
    let root = world.root();
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&buy));
    node.give(&a1);
    let b = extend_by(&mut world, &root, 2);
    let advance = give_all(&mut node, &b);
    assert_eq!(outcomes(&advance, &buy), [Outcome::Returned]);
    assert_eq!(advance.changes[0].disconnected, [a1.id()]);
    assert!(node.waits(&buy));
    let order = node.reader.order(&buy.txid()).unwrap().unwrap();
    assert!(order.waiting.is_some() && order.confirmed.is_none());
    let b3 = node.mine(&mut world, "miner-2");
    node.give(&b3);
    assert_eq!(b3.transactions().len(), 1);
    let a = extend_by(&mut world, &a1.id(), 3);
    let advance = give_all(&mut node, &a);
    assert_eq!(advance.changes[0].disconnected, [b3.id(), b[1].id(), b[0].id()]);
    assert!(outcomes(&advance, &buy).is_empty(), "it is on both branches: nothing became of it");
    node.assert_is(&world, &a[2].id());
    let story = node.reader.order(&buy.txid()).unwrap().unwrap().story.unwrap();
    let told: Vec<_> = story.changes.iter().map(|change| (change.status, change.block)).collect();
    assert_eq!(
        told,
        [
            (Status::Pending, None),
            (Status::Included, Some((1, a1.id()))),
            (Status::Pending, None),
            (Status::Included, Some((3, b3.id()))),
            (Status::Included, Some((1, a1.id()))),
        ]
    );
}

#[test]
fn an_edition_sold_to_another_on_the_better_branch_displaces_the_order_until_it_returns() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = begin(&genesis);
    let root = world.root();
    let alice = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let bob = order(&genesis, 1, "bob", purchase(&[(7, 1)], 0));
    node.admit(&alice).unwrap();
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&alice));
    let b1 = world.extend(&root, "miner-1", std::slice::from_ref(&bob));
    let b2 = extend_by(&mut world, &b1.id(), 1);
    node.give(&a1);
    node.place(&b1);
    let advance = node.give(&b2[0]);
    let sold_out = StateError::SoldOut { image: 7, editions: 1, sold: 1, requested: 1 };
    assert_eq!(outcomes(&advance, &alice), [Outcome::Displaced(AdmitError::State(sold_out))]);
    // Told once, tried again each block, and no news where she sends it again.
    for block in extend_by(&mut world, &b2[0].id(), 2) {
        assert!(outcomes(&node.give(&block), &alice).is_empty());
        assert!(node.admit(&alice).is_err());
    }
    let displaced = [Status::Pending, Status::Included, Status::Displaced];
    assert_eq!(node.story(&alice), displaced);
    // The first branch comes back: she has it, and it is Bob who is displaced.
    let a = extend_by(&mut world, &a1.id(), 4);
    let advance = give_all(&mut node, &a);
    assert_eq!(node.tip(), a[3].id());
    assert!(matches!(outcomes(&advance, &bob)[..], [Outcome::Displaced(_)]));
    assert_eq!(node.story(&alice)[3..], [Status::Included]);
    assert_eq!(node.story(&bob), [Status::Displaced]);
    node.assert_is(&world, &a[3].id());
}

#[test]
fn a_displaced_order_expires_when_its_height_has_passed() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = begin(&genesis);
    let root = world.root();
    let alice = order_until(&genesis, "alice", 11, purchase(&[(7, 1)], 0));
    let bob = order(&genesis, 1, "bob", purchase(&[(7, 1)], 0));
    node.admit(&alice).unwrap();
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&alice));
    node.give(&a1);
    let b1 = world.extend(&root, "miner-1", &[bob]);
    let b = extend_by(&mut world, &b1.id(), 11);
    node.place(&b1);
    let told: Vec<Vec<Outcome>> = b.iter().map(|block| outcomes(&node.give(block), &alice)).collect();
    assert!(matches!(told[0][..], [Outcome::Displaced(_)]));
    // Block 11 is b[9]: with it on the chain, no block can hold the order any more.
    assert!(told[1..9].iter().all(Vec::is_empty));
    assert_eq!(told[9], [Outcome::Expired]);
    assert!(told[10].is_empty());
    let story = node.story(&alice);
    assert_eq!(story, [Status::Pending, Status::Included, Status::Displaced, Status::Expired]);
}

#[test]
fn an_order_that_stood_on_a_lost_block_is_displaced_and_returns_with_it() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let root = world.root();
    let pay = order(&genesis, 1, "issuer", issue("alice", 10));
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&pay));
    node.give(&a1);
    let spend = order(&genesis, 2, "alice", transfer("bob", 10));
    assert_eq!(node.admit(&spend), Ok(Admitted::New));
    let b = extend_by(&mut world, &root, 2);
    let advance = give_all(&mut node, &b);
    assert_eq!(outcomes(&advance, &pay), [Outcome::Returned]);
    assert!(matches!(outcomes(&advance, &spend)[..], [Outcome::Displaced(_)]));
    let b3 = node.mine(&mut world, "miner-1");
    let advance = node.give(&b3);
    assert_eq!(outcomes(&advance, &spend), [Outcome::Returned]);
    let b4 = node.mine(&mut world, "miner-1");
    node.give(&b4);
    assert!(world.state(&b4.id()).confirmed.contains_key(&spend.txid()));
    assert_eq!(node.story(&spend), [Status::Pending, Status::Displaced, Status::Pending, Status::Included]);
}

#[test]
fn more_work_at_a_lower_height_keeps_the_mempool_valid() {
    let genesis = genesis_with(uneven);
    let (mut world, mut node) = begin(&genesis);
    let slow = extend_by(&mut world, &genesis.hash(), 12);
    give_all(&mut node, &slow);
    let far = order(&genesis, 13, "alice", purchase(&[(7, 1)], 0));
    let near = order_until(&genesis, "alice", 30, purchase(&[(8, 1)], 0));
    node.admit(&far).unwrap();
    node.admit(&near).unwrap();
    let mut at = genesis.hash();
    while world.state(&at).work <= world.state(&slow[11].id()).work {
        let time = world.state(&at).header.header().time + 100;
        let block = world.make_wrong(&at, "miner-1", &[], Wrong { time: Some(time), ..Wrong::default() });
        at = block.id();
        node.place(&block);
    }
    let advance = node.advance();
    assert_eq!(node.tip(), at);
    assert!(node.height() < 12, "fewer blocks, more work");
    node.assert_is(&world, &at);
    assert!(world.is_body(&at, &node.waiting()));
    assert!(matches!(
        outcomes(&advance, &far)[..],
        [Outcome::Displaced(AdmitError::State(StateError::NotYet { .. }))]
    ));
    assert!(node.waits(&near));
    while !node.waits(&far) {
        assert!(node.height() < 13, "it returns in time");
        let time = world.state(&at).header.header().time + 3_000;
        let block = world.make_wrong(&at, "miner-1", &[], Wrong { time: Some(time), ..Wrong::default() });
        at = block.id();
        node.give(&block);
    }
    assert_eq!(node.height(), 12);
    // No header above the tip is shown, though the file once had some.
    node.assert_is(&world, &at);
}

/// Each crafted block breaks one rule under real work; it is refused by that rule, for good, with all on it.
#[test]
fn a_crafted_block_is_refused_by_its_rule_and_stays_refused() {
    let genesis = genesis_with(|params| {
        params.max_editions = 1;
        params.miner_spacing = 1;
        params.max_per_sender = 2;
        params.max_per_account = 1;
    });
    let (mut world, mut node) = begin(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let first = world.extend(&world.root(), "miner-1", std::slice::from_ref(&buy));
    node.give(&first);
    let on = first.id();
    let ask = |sender, action| order(&genesis, 2, sender, action);
    let many: Vec<_> = (0..3).map(|image| ask("bob", purchase(&[(image, 1)], 0))).collect();
    let soon = ask("registrar", register_miner("miner-4"));
    let free = ask("carol", purchase(&[(8, 1)], 0));
    let crafted = [
        (Rule::B3, world.make(&on, "nobody", &[])),
        (Rule::B3, world.make(&on, "miner-4", &[soon])),
        (Rule::B4, world.make(&on, "miner-1", &[])),
        (Rule::B5, world.make(&on, "miner-2", &many)),
        (Rule::B6, world.make_wrong(&on, "miner-2", &[], Wrong { state_root: true, ..Wrong::default() })),
        (Rule::S2, world.make(&on, "miner-2", &[buy])),
        (Rule::S2, world.make(&on, "miner-2", &[free.clone(), free])),
        (Rule::S4, world.make(&on, "miner-2", &[ask("bob", purchase(&[(6, 1), (7, 1)], 0))])),
        (Rule::S8, world.make(&on, "miner-2", &[ask("bob", transfer("alice", 1))])),
        (Rule::S9, world.make(&on, "miner-2", &[ask("bob", support::review(7, 5, b""))])),
        (Rule::S10, world.make(&on, "miner-2", &[ask("bob", issue("bob", 1))])),
        (Rule::S12, world.make(&on, "miner-2", &[ask("bob", list(7, "bob", 1, 1))])),
        (Rule::S1, world.make(&on, "miner-2", &[order_until(&genesis, "bob", 1, purchase(&[(5, 1)], 0))])),
    ];
    for (rule, block) in &crafted {
        let child = world.make(&block.id(), "miner-3", &[]);
        let grandchild = world.make(&child.id(), "miner-2", &[]);
        // The child is known before its parent is found out, the grandchild comes after.
        node.place(block);
        node.place(&child);
        let advance = node.advance();
        assert_eq!(advance.refused.len(), 1, "{rule}");
        assert_eq!(advance.refused[0].0, block.id());
        assert_eq!(advance.refused[0].1.rule(), Some(*rule));
        assert!(advance.changes.is_empty());
        assert_eq!(node.tip(), first.id());
        for id in [block.id(), child.id()] {
            assert!(node.ledger.tree().is_invalid(&id) && !node.ledger.needs_body(&id));
        }
        let refused = node.ledger.insert_header(*grandchild.header(), u64::MAX);
        assert!(matches!(refused, Err(InsertError::Header(HeaderError::InvalidParent { .. }))), "{rule}");
        // It stays refused.
        assert!(node.give(block).refused.is_empty());
        assert_eq!(node.tip(), first.id());
    }
    let good = world.extend(&first.id(), "miner-2", &[]);
    node.give(&good);
    node.assert_is(&world, &good.id());
}

/// I3.
#[test]
fn an_invalid_block_costs_its_branch_no_more_than_itself_and_what_follows() {
    let genesis = genesis_with(|_| {});
    for bad_at in 0..6 {
        let (mut world, mut node) = begin(&genesis);
        let root = world.root();
        let mine = extend_by(&mut world, &root, 3);
        give_all(&mut node, &mine);
        let mut at = root;
        let mut branch = Vec::new();
        for place in 0..6 {
            let wrong = Wrong { state_root: place == bad_at, nonce: 1 << 40, ..Wrong::default() };
            let block = world.make_wrong(&at, "miner-2", &[], wrong);
            at = block.id();
            branch.push(block);
        }
        branch.iter().for_each(|block| node.place(block));
        let advance = node.advance();
        assert_eq!(advance.refused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [branch[bad_at].id()]);
        let ids: Vec<Hash> = mine.iter().chain(&branch).map(|block| block.id()).collect();
        let best = world.best(&ids);
        node.assert_is(&world, &best);
        if bad_at > 3 {
            assert_eq!(best, branch[bad_at - 1].id());
        }
    }
}

/// Scenario 3.
#[test]
fn a_valid_purchase_outlives_the_invalid_block_that_held_it() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let thief = order(&genesis, 1, "bob", transfer("alice", 1));
    node.admit(&buy).unwrap();
    let bad_bodies = [vec![buy.clone(), thief.clone()], vec![thief, buy.clone()]];
    for body in bad_bodies {
        let bad = world.make(&world.root(), "miner-1", &body);
        let advance = node.give(&bad);
        assert_eq!(advance.refused[0].1.rule(), Some(Rule::S8));
        assert!(advance.changes.is_empty());
        assert!(node.waits(&buy));
        assert_eq!(node.story(&buy), [Status::Pending]);
    }
    let wrong = Wrong { state_root: true, ..Wrong::default() };
    let bad = world.make_wrong(&world.root(), "miner-1", std::slice::from_ref(&buy), wrong);
    assert_eq!(node.give(&bad).refused[0].1.rule(), Some(Rule::B6));
    let good = node.mine(&mut world, "miner-2");
    let advance = node.give(&good);
    assert!(advance.refused.is_empty());
    assert_eq!(node.story(&buy), [Status::Pending, Status::Included]);
    node.assert_is(&world, &good.id());
}

#[test]
fn of_equal_work_the_lower_id_is_the_chain() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let rivals: Vec<_> = (0..4).map(|_| world.extend(&genesis.hash(), "miner-1", &[])).collect();
    let lowest = rivals.iter().map(|block| block.id()).min().unwrap();
    for first in 0..rivals.len() {
        let mut node = Node::new(&genesis);
        for i in 0..rivals.len() {
            node.give(&rivals[(first + i) % rivals.len()]);
        }
        node.assert_is(&world, &lowest);
    }
}

#[test]
fn a_long_extension_is_connected_whole_in_bounded_commits() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let blocks = extend_by(&mut world, &genesis.hash(), 150);
    // The first body comes last.
    blocks.iter().rev().for_each(|block| {
        if block.height() > 1 {
            assert!(!node.ledger.needs_body(&block.id()));
        }
    });
    for block in &blocks {
        node.ledger.insert_header(*block.header(), u64::MAX).unwrap();
    }
    blocks[1..].iter().rev().for_each(|block| node.ledger.add_body(block.clone()));
    assert!(node.advance().changes.is_empty());
    node.ledger.add_body(blocks[0].clone());
    let advance = node.advance();
    let sizes: Vec<usize> = advance.changes.iter().map(|change| change.connected.len()).collect();
    assert_eq!(sizes, [64, 64, 22]);
    node.assert_is(&world, &blocks[149].id());
}

#[test]
fn miners_come_and_go_with_their_branch() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let root = world.root();
    let register = order(&genesis, 1, "registrar", register_miner("miner-4"));
    let revoke = order(&genesis, 1, "registrar", revoke_miner("miner-1"));
    let a1 = world.extend(&root, "miner-1", &[register, revoke]);
    let a2 = world.extend(&a1.id(), "miner-4", &[]);
    let b = extend_by(&mut world, &root, 3);
    give_all(&mut node, &[a1, a2.clone()]);
    assert!(node.ledger.may_mine(&public("miner-4")) && !node.ledger.may_mine(&public("miner-1")));
    give_all(&mut node, &b);
    assert!(!node.ledger.may_mine(&public("miner-4")) && node.ledger.may_mine(&public("miner-1")));
    node.assert_is(&world, &b[2].id());
    let a3 = world.extend(&a2.id(), "miner-4", &[]);
    let a4 = world.extend(&a3.id(), "miner-2", &[]);
    give_all(&mut node, &[a3, a4.clone()]);
    node.assert_is(&world, &a4.id());
    assert_eq!(node.reader.snapshot().miners().len(), 3);
}

#[test]
fn the_final_height_rises_only_when_synced_and_never_falls() {
    let genesis = genesis_with(|params| {
        uneven(params);
        params.finality_depth = 5;
    });
    let (mut world, mut node) = begin(&genesis);
    node.is_synced = false;
    let slow = extend_by(&mut world, &genesis.hash(), 10);
    give_all(&mut node, &slow[..9]);
    assert_eq!(node.ledger.final_height(), 0);
    node.is_synced = true;
    node.give(&slow[9]);
    assert_eq!((node.ledger.final_height(), node.reader.snapshot().final_height), (5, 5));
    assert_eq!(node.ledger.tree().root(), slow[4].id());
    // A shorter chain with more work from the final block itself: allowed, and what is final stays.
    let mut at = slow[4].id();
    while world.state(&at).work <= world.state(&slow[9].id()).work {
        let time = world.state(&at).header.header().time + 100;
        let block = world.make_wrong(&at, "miner-2", &[], Wrong { time: Some(time), ..Wrong::default() });
        at = block.id();
        node.give(&block);
    }
    assert_eq!(node.tip(), at);
    assert!(node.height() < 10);
    assert_eq!(node.ledger.final_height(), 5);
    node.is_synced = false;
    for block in extend_by(&mut world, &at, 6) {
        node.give(&block);
        assert_eq!(node.ledger.final_height(), 5);
    }
    let reopened = Node::open(&genesis, Arc::new(node.disk.crashed()), Arc::default()).0;
    assert_eq!(reopened.ledger.final_height(), 5);
}

#[test]
fn a_branch_from_below_the_final_block_is_refused_whatever_its_work() {
    let genesis = genesis_with(|params| {
        params.finality_depth = 3;
        params.miner_spacing = 2;
    });
    let (mut world, mut node) = begin(&genesis);
    let mut chain = vec![world.root()];
    for height in 0..8 {
        let miner = ["miner-1", "miner-2", "miner-3"][height % 3];
        let block = world.extend(chain.last().unwrap(), miner, &[]);
        chain.push(block.id());
        node.give(&block);
        let below = height.saturating_sub(2);
        assert_eq!(node.ledger.final_height(), u64::try_from(below).unwrap());
        for (height, id) in chain.iter().enumerate() {
            let rival = world.make(id, "registrar", &[]);
            let placed = node.ledger.insert_header(*rival.header(), u64::MAX);
            if height < below {
                let unknown = HeaderError::UnknownParent { parent: *id };
                assert_eq!(placed.unwrap_err(), InsertError::Header(unknown), "on {height}");
            } else {
                placed.unwrap();
            }
        }
    }
    // Rule B4 looks back across the final block.
    let chain_tip = *chain.last().unwrap();
    node.assert_is(&world, &chain_tip);
    let deep = world.make(&chain_tip, "miner-2", &[]);
    assert_eq!(node.give(&deep).refused[0].1.rule(), Some(Rule::B4));
}

#[test]
fn one_transaction_is_confirmed_at_most_once_across_finality() {
    // I6: short lives and a shorter finality, so that what is remembered is dropped all along.
    for_seeds(0..20, |random| {
        let (depth, validity) = random.pick(&[(1, 3), (2, 8), (5, 4), (4, 4)]);
        let genesis = genesis_with(|params| {
            params.finality_depth = depth;
            params.max_validity = validity;
            params.max_editions = 1_000;
        });
        let (mut world, mut node) = begin(&genesis);
        let mut orders: BTreeMap<Hash, CheckedTransaction> = BTreeMap::new();
        for _ in 0..40 {
            let height = node.height() + 1;
            let mut body = Vec::new();
            for _ in 0..random.below(4) {
                let until = height + random.below(u64::from(validity) + 1);
                body.push(order_until(&genesis, "alice", until, purchase(&[(7, 1)], 0)));
            }
            let tip = node.tip();
            for old in orders.values() {
                let again = world.make(&tip, "miner-1", std::slice::from_ref(old));
                let rule = node.give(&again).refused[0].1.rule();
                assert!(matches!(rule, Some(Rule::S1 | Rule::S2)), "{rule:?}");
            }
            orders.retain(|_, order| order.expires_at() >= height);
            let block = world.extend(&tip, "miner-1", &body);
            node.give(&block);
            orders.extend(body.into_iter().map(|order| (order.txid(), order)));
            if random.chance(6) {
                node.ledger.close().unwrap();
                node = Node::open(&genesis, node.disk.clone(), node.index.clone()).0;
            }
        }
        node.assert_is(&world, &node.tip());
    });
}

#[test]
fn bodies_in_any_number_are_asked_for_once() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let blocks = extend_by(&mut world, &genesis.hash(), 3);
    for block in &blocks {
        node.ledger.insert_header(*block.header(), u64::MAX).unwrap();
    }
    let wanted: BTreeSet<Hash> = blocks.iter().map(|block| block.id()).collect();
    let missing = node.ledger.tree().missing_bodies(&node.tip(), 10);
    assert_eq!(missing.into_iter().collect::<BTreeSet<_>>(), wanted);
    node.ledger.add_body(blocks[1].clone());
    assert!(!node.ledger.needs_body(&blocks[1].id()) && node.ledger.needs_body(&blocks[0].id()));
    // A body that nobody asked for is not kept.
    let stray = world.extend(&blocks[2].id(), "miner-1", &[]);
    node.ledger.add_body(stray.clone());
    assert!(!node.ledger.tree().has_body(&stray.id()));
    node.ledger.add_body(blocks[0].clone());
    node.advance();
    assert_eq!(node.tip(), blocks[1].id());
    assert!(!node.ledger.needs_body(&blocks[0].id()));
}
