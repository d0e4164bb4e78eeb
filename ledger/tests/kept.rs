//! Laws of a clean stop: what was admitted survives it, what became final stays so, and a file of orders that
//! cannot be read costs the orders in it and nothing more.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{CheckedTransaction, Genesis, Rule};
use printsy_ledger::store::{Disk, Fuse, MemoryDisk, MemoryIndex};
use printsy_ledger::{Origin, Status};
use support::{Node, World, genesis_with, order, order_until, purchase};

const FILE: &str = "mempool.dat";

fn reopened(genesis: &Arc<Genesis>, node: &Node) -> Node {
    let disk = Arc::new(node.disk.reopened(Fuse::never()));
    Node::open(genesis, disk, Arc::new(node.index.crashed(0))).0
}

/// A node with two orders that wait, one of them a peer's, and one that is parked behind a better branch.
fn busy() -> (World, Node, [CheckedTransaction; 3]) {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let buy = |name: &str, image| order(&genesis, 1, name, purchase(&[(image, 1)], 0));
    let [parked, rival, own, other] = [buy("alice", 7), buy("bob", 7), buy("carol", 8), buy("dave", 9)];
    let root = world.root();
    let a1 = world.extend(&root, "miner-1", std::slice::from_ref(&parked));
    node.admit(&parked).unwrap();
    node.give(&a1);
    let b1 = world.extend(&root, "miner-1", std::slice::from_ref(&rival));
    let b2 = world.extend(&b1.id(), "miner-1", &[]);
    node.place(&b1);
    node.give(&b2);
    node.admit(&own).unwrap();
    node.ledger.admit(&other, Origin::Peer, node.now()).unwrap();
    assert_eq!(node.story(&parked).last(), Some(&Status::Displaced));
    (world, node, [own, other, parked])
}

#[test]
fn an_admitted_order_survives_a_clean_stop() {
    let (mut world, node, [own, other, parked]) = busy();
    let genesis = world.genesis.clone();
    node.ledger.close().unwrap();
    let mut node = reopened(&genesis, &node);
    assert_eq!(node.waiting(), [own.clone(), other.clone()]);
    assert_eq!(node.reader.mempool_size().0, 2, "readers see them too");
    assert_eq!(node.story(&own), [Status::Pending]);
    assert_eq!(node.story(&other), [Status::Pending]);
    assert_eq!(node.story(&parked), [Status::Displaced]);
    assert_eq!(node.disk.len(FILE).unwrap(), None, "it is removed once read");
    // What this node's clients gave it is published again at once.
    assert_eq!(node.ledger.due_orders(node.now()), std::slice::from_ref(&own));
    // The displaced one is tried again: the first branch comes back, in which nobody else has its edition.
    let block = node.mine(&mut world, "miner-2");
    assert_eq!(block.transactions().len(), 2);
    node.give(&block);
    let mut at = world.root();
    for _ in 0..4 {
        let block = world.extend(&at, "miner-3", &[]);
        at = block.id();
        node.place(&block);
    }
    node.advance();
    assert_eq!(node.tip(), at);
    assert!(node.waits(&parked) && node.waits(&own) && node.waits(&other));
    // Twice stopped, still there.
    node.ledger.close().unwrap();
    let node = reopened(&genesis, &node);
    assert!(node.waits(&parked) && node.waits(&own) && node.waits(&other));
}

#[test]
fn a_crash_keeps_no_orders_and_costs_nothing_else() {
    let (world, node, [own, ..]) = busy();
    let disk = Arc::new(node.disk.crashed());
    let mut crashed = Node::open(&world.genesis, disk, Arc::new(node.index.crashed(0))).0;
    crashed.assert_is(&world, &node.tip());
    assert!(crashed.waiting().is_empty());
    crashed.admit(&own).unwrap();
}

#[test]
fn an_order_near_its_expiry_survives_and_one_that_is_no_longer_valid_is_told_why_not() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let near = order_until(&genesis, "alice", 11, purchase(&[(7, 1)], 0));
    let confirmed = order(&genesis, 1, "bob", purchase(&[(8, 1)], 0));
    let lost = order(&genesis, 1, "carol", purchase(&[(9, 1)], 0));
    for order in [&near, &confirmed, &lost] {
        node.admit(order).unwrap();
    }
    node.ledger.close().unwrap();
    let file =
        node.disk.read(FILE, 0, usize::try_from(node.disk.len(FILE).unwrap().unwrap()).unwrap()).unwrap();
    let rival = order(&genesis, 1, "dave", purchase(&[(9, 1)], 0));
    let bodies = [vec![confirmed.clone(), rival], vec![], vec![], vec![]];
    for body in bodies {
        let block = world.extend(&node.tip(), "miner-1", &body);
        node.give(&block);
    }
    let with_file = |node: &Node| {
        let disk = node.disk.crashed();
        disk.remove(FILE).unwrap();
        disk.append(FILE, &file).unwrap();
        Node::open(&genesis, Arc::new(disk), Arc::new(MemoryIndex::new())).0
    };
    let reopened = with_file(&node);
    assert_eq!(reopened.waiting(), std::slice::from_ref(&near), "the margin is not asked for again");
    assert_eq!(reopened.story(&lost), [Status::Refused]);
    let story = reopened.reader.order(&lost.txid()).unwrap().unwrap().story.unwrap();
    assert_eq!(story.changes[0].reason.as_ref().unwrap().rule(), Some(Rule::S4));
    assert!(reopened.story(&confirmed).is_empty(), "the chain tells of it");
    assert!(reopened.reader.is_confirmed(&confirmed.txid()).unwrap());
    for _ in 0..8 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
    }
    assert_eq!(with_file(&node).story(&near), [Status::Expired]);
}

#[test]
fn a_damaged_file_of_orders_never_fails_a_start() {
    let (world, node, [own, ..]) = busy();
    node.ledger.close().unwrap();
    let len = usize::try_from(node.disk.len(FILE).unwrap().unwrap()).unwrap();
    let file = node.disk.read(FILE, 0, len).unwrap();
    let open = |bytes: &[u8]| {
        let disk = MemoryDisk::reopened(&node.disk, Fuse::never());
        disk.remove(FILE).unwrap();
        disk.append(FILE, bytes).unwrap();
        let opened = Node::open(&world.genesis, Arc::new(disk), Arc::new(node.index.crashed(0))).0;
        opened.assert_is(&world, &node.tip());
        opened
    };
    assert!(open(&file).waits(&own));
    for at in 0..len {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(open(&flipped).waiting().is_empty(), "byte {at}");
        assert!(open(&file[..at]).waiting().is_empty(), "cut at {at}");
    }
    let mut long = file.clone();
    long.push(0);
    let damaged = open(&long);
    assert!(damaged.waiting().is_empty());
    assert_eq!(damaged.disk.len(FILE).unwrap(), None, "it is warned of once");
}

#[test]
fn orders_of_another_network_are_ignored() {
    let (_, node, _) = busy();
    node.ledger.close().unwrap();
    let len = usize::try_from(node.disk.len(FILE).unwrap().unwrap()).unwrap();
    let file = node.disk.read(FILE, 0, len).unwrap();
    let other = genesis_with(|params| params.max_editions = 6);
    let disk = MemoryDisk::new();
    disk.append(FILE, &file).unwrap();
    let opened = Node::open(&other, Arc::new(disk), Arc::default()).0;
    assert!(opened.waiting().is_empty());
    assert_eq!(opened.disk.len(FILE).unwrap(), Some(file.len() as u64), "it is not ours to remove");
    opened.ledger.close().unwrap();
}

/// I2: what became final without a block to say so is as durable as what a block made final.
#[test]
fn what_settled_stays_final_after_a_crash() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    node.is_synced = false;
    for _ in 0..8 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
    }
    node.ledger.settle(false);
    assert_eq!(node.ledger.final_height(), 0);
    node.ledger.settle(true);
    assert_eq!((node.ledger.final_height(), node.reader.snapshot().final_height), (5, 5));
    for index in [node.index.crashed(0), MemoryIndex::new()] {
        let disk = Arc::new(node.disk.crashed());
        let mut crashed = Node::open(&genesis, disk, Arc::new(index)).0;
        assert_eq!(crashed.ledger.final_height(), 5);
        let next = world.extend(&node.tip(), "miner-2", &[]);
        crashed.give(&next);
        crashed.assert_is(&world, &next.id());
    }
    // A disk that fails makes nothing final, and ends the node at the next block.
    node.disk.fail_syncs_after(0);
    node.is_synced = false;
    let next = world.extend(&node.tip(), "miner-2", &[]);
    node.place(&next);
    assert!(node.ledger.advance(true, 0).is_err());
    node.ledger.settle(true);
    assert_eq!(node.ledger.final_height(), 5);
}
