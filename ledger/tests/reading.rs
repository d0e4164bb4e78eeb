//! Laws of reading: what a reader is told is one moment of the chain, the same as the replay says of it, whether
//! a block is on the chain, was once, or never was.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "reading/history.rs"]
mod history;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use printsy_consensus::{CheckedBlock, CheckedTransaction, Hash, Position, Work, codec};
use printsy_ledger::store::{Checkpoint, HeaderFile, Layer};
use printsy_ledger::{EditionNumbers, LedgerError, Reader, Status};
use support::{
    Node, World, for_seeds, genesis_with, issue, list, order, public, purchase, redeem, review, transfer,
};

fn txids(orders: &[CheckedTransaction]) -> Vec<Hash> {
    orders.iter().map(CheckedTransaction::txid).collect()
}

#[test]
fn a_wrong_row_of_the_index_gives_nobody_another_block() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let first = world.extend(&world.root(), "miner-1", &[]);
    let second = world.extend(&first.id(), "miner-1", &[]);
    node.give(&first);
    node.give(&second);
    let Node { ledger, reader, disk, index, .. } = node;
    drop((reader, ledger));
    let key = |id: &Hash| [&b"B"[..], &id.0[..16]].concat();
    let headers = HeaderFile::open(disk.clone()).unwrap();
    let (checkpoint, mark) = Checkpoint::open(disk.clone(), index.clone(), genesis.hash(), headers).unwrap();
    let of_second = checkpoint.get(&key(&second.id())).unwrap();
    assert!(of_second.is_some());
    checkpoint.submit(Layer { mark: mark.unwrap(), rows: vec![(key(&first.id()), of_second)] });
    drop(checkpoint);
    let (node, _) = Node::open(&genesis, disk, index);
    assert!(node.reader.block_bytes(&second.id()).unwrap().is_some());
    assert!(node.reader.block_bytes(&first.id()).unwrap().is_none());
}

#[test]
fn count_pending_and_tip_are_of_one_moment() {
    // Every block sells exactly one, out of a hundred that wait: sold + pending is a hundred at any moment.
    let genesis = genesis_with(|params| params.max_editions = 1_000);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let orders: Vec<_> = (0..100).map(|_| order(&genesis, 1, "alice", purchase(&[(7, 1)], 0))).collect();
    orders.iter().for_each(|order| assert!(node.admit(order).is_ok()));
    let blocks: Vec<Arc<CheckedBlock>> = {
        let mut at = world.root();
        let mut extend = |order: &CheckedTransaction| {
            let block = world.extend(&at, "miner-1", std::slice::from_ref(order));
            at = block.id();
            block
        };
        orders[..40].iter().map(&mut extend).collect()
    };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = node.reader.clone();
        let watch = scope.spawn(|| {
            let (reader, mut seen) = (reader, Vec::new());
            while !is_done.load(Ordering::Acquire) {
                let now = reader.availability(7);
                let sold = now.edition.map_or(0, |edition| edition.sold);
                assert_eq!(u64::from(sold), now.snapshot.tip.height());
                assert_eq!((now.max, now.remaining, sold + now.pending), (1_000, 1_000 - sold, 100));
                seen.push(sold);
            }
            seen
        });
        blocks.iter().for_each(|block| assert!(node.give(block).refused.is_empty()));
        is_done.store(true, Ordering::Release);
        assert!(watch.join().unwrap().is_sorted());
    });
    assert_eq!(node.reader.availability(7).pending, 60);
}

#[test]
fn availability_of_an_image_in_each_of_its_states() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let tell = |reader: &Reader| {
        let now = reader.availability(7);
        (now.edition.is_some(), now.max, now.remaining, now.pending)
    };
    assert_eq!(tell(&node.reader), (false, 5, 5, 0));
    let two = order(&genesis, 1, "alice", purchase(&[(7, 2)], 0));
    node.admit(&two).unwrap();
    assert_eq!(tell(&node.reader), (false, 5, 5, 2));
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(tell(&node.reader), (true, 5, 3, 0));
    let fewer = order(&genesis, 2, "registrar", list(7, "seller", 0, 3));
    node.admit(&fewer).unwrap();
    assert_eq!(tell(&node.reader), (true, 5, 3, 0));
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(tell(&node.reader), (true, 3, 1, 0));
    let last = order(&genesis, 3, "bob", purchase(&[(7, 1)], 0));
    node.admit(&last).unwrap();
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(tell(&node.reader), (true, 3, 0, 0));
    let edition = node.reader.availability(7).edition.unwrap();
    assert_eq!((edition.sold, edition.last), (3, Some(Position { height: 3, index: 0 })));
}

#[test]
fn an_order_is_told_in_every_status() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(3, 2), (7, 1)], 0));
    assert!(node.reader.order(&buy.txid()).unwrap().is_none());
    node.admit(&buy).unwrap();
    let told = node.reader.order(&buy.txid()).unwrap().unwrap();
    assert_eq!(told.waiting, Some(buy.clone()));
    assert!(told.confirmed.is_none() && !node.reader.is_confirmed(&buy.txid()).unwrap());
    assert_eq!(node.reader.waiting_order(&buy.txid()), Some(buy.clone()));
    assert_eq!(node.reader.waiting_leaf(&buy.leaf()), Some(buy.clone()));
    assert_eq!(txids(&node.reader.waiting(10)), [buy.txid()]);
    assert!(node.reader.waiting(0).is_empty());
    assert_eq!(node.reader.mempool_size(), (1, buy.bytes().len()));
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    let told = node.reader.order(&buy.txid()).unwrap().unwrap();
    let (confirmed, id) = told.confirmed.unwrap();
    assert_eq!((id, confirmed.position), (block.id(), Position { height: 1, index: 0 }));
    assert_eq!(&confirmed.transaction, buy.transaction());
    assert!(told.waiting.is_none() && node.reader.is_confirmed(&buy.txid()).unwrap());
    assert_eq!(node.reader.mempool_size(), (0, 0));
    assert!(node.reader.waiting_leaf(&buy.leaf()).is_none());
    let change = told.story.unwrap().changes.last().unwrap().clone();
    assert_eq!((change.status, change.block), (Status::Included, Some((1, block.id()))));
    // Of others' orders this node has no story, and the chain tells all the same.
    let other = order(&genesis, 2, "bob", purchase(&[(7, 1)], 0));
    let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(&other));
    node.give(&block);
    let told = node.reader.order(&other.txid()).unwrap().unwrap();
    assert!(told.story.is_none() && told.waiting.is_none());
    assert_eq!(told.confirmed.unwrap().1, block.id());
}

#[test]
fn edition_numbers_follow_one_another_and_are_never_given_twice() {
    for_seeds(0..10, |random| {
        let genesis = genesis_with(|params| params.max_editions = 60);
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let mut given: Vec<Vec<(u32, u32)>> = vec![Vec::new(); 3];
        for _ in 0..12 {
            let mut orders = Vec::new();
            for _ in 0..random.below(4) {
                let quantity = 1 + u32::try_from(random.below(2)).unwrap();
                let lines: Vec<(u64, u32)> =
                    random.subset(&[0, 1, 2]).into_iter().map(|i| (i, quantity)).collect();
                if !lines.is_empty() {
                    let height = node.height() + 1;
                    orders.push(order(&genesis, height, random.pick(&["alice", "bob"]), purchase(&lines, 0)));
                }
            }
            let block = world.extend(&node.tip(), "miner-1", &orders);
            node.give(&block);
            for order in &orders {
                let told = node.reader.order(&order.txid()).unwrap().unwrap();
                for EditionNumbers { image, from, to } in told.confirmed.unwrap().0.edition_numbers() {
                    given[usize::try_from(image).unwrap()].push((from, to));
                }
            }
        }
        for (image, numbers) in (0..).zip(given) {
            let mut next = 1;
            for (from, to) in numbers {
                assert_eq!(from, next);
                next = to + 1;
            }
            assert_eq!(world.state(&node.tip()).sold(image) + 1, next);
        }
    });
    // What is no purchase has none.
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let pay = order(&genesis, 1, "issuer", issue("alice", 1));
    let block = world.extend(&node.tip(), "miner-1", &[pay]);
    node.give(&block);
    let confirmed = node.reader.confirmed_at(Position { height: 1, index: 0 }).unwrap();
    assert!(confirmed.edition_numbers().is_empty());
}

#[test]
fn blocks_are_found_on_the_chain_and_off_it() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let root = world.root();
    let a1 = world.extend(&root, "miner-1", &[buy]);
    node.give(&a1);
    let b1 = world.extend(&root, "miner-2", &[]);
    let b2 = world.extend(&b1.id(), "miner-2", &[]);
    let never = world.extend(&b1.id(), "miner-3", &[]);
    node.place(&b1);
    node.give(&b2);
    for (height, block) in [(1, &b1), (2, &b2)] {
        let by_height = node.reader.block_at(height).unwrap().unwrap();
        let by_id = node.reader.block(&block.id()).unwrap().unwrap();
        for stored in [by_height, by_id] {
            assert_eq!(stored.bytes, block.bytes());
            assert_eq!(codec::encode(&stored.block), block.bytes());
            assert_eq!(stored.record.work, world.state(&block.id()).work);
            assert!(stored.on_chain);
        }
        assert_eq!(node.reader.height_on_chain(&block.id()).unwrap(), Some(height));
        assert_eq!(node.reader.block_bytes(&block.id()).unwrap().unwrap(), block.bytes());
    }
    // Once on the chain: still at hand, and told so.
    let stored = node.reader.block(&a1.id()).unwrap().unwrap();
    assert_eq!((stored.bytes.as_slice(), stored.on_chain), (a1.bytes(), false));
    assert_eq!((stored.undo.transactions.len(), stored.record.work), (1, Work::default()));
    assert_eq!(node.reader.height_on_chain(&a1.id()).unwrap(), None);
    assert_eq!(node.reader.block_bytes(&a1.id()).unwrap().unwrap(), a1.bytes());
    // Never on the chain, and nothing at all.
    node.place(&never);
    for id in [never.id(), Hash([7; 32])] {
        assert!(node.reader.block(&id).unwrap().is_none());
        assert!(node.reader.block_bytes(&id).unwrap().is_none());
        assert_eq!(node.reader.height_on_chain(&id).unwrap(), None);
    }
    // Genesis has a header and no body.
    assert_eq!(node.reader.height_on_chain(&root).unwrap(), Some(0));
    assert!(node.reader.block_at(0).unwrap().is_none() && node.reader.block(&root).unwrap().is_none());
    assert_eq!(node.reader.header_at(0).unwrap().unwrap().signed, *genesis.header());
    assert!(node.reader.block_at(3).unwrap().is_none() && node.reader.header_at(3).unwrap().is_none());
    for position in [Position { height: 1, index: 0 }, Position { height: 3, index: 0 }] {
        let missing = node.reader.confirmed_at(position);
        assert!(matches!(missing, Err(LedgerError::MissingBlock { .. })));
    }
}

#[test]
fn headers_are_read_in_ranges() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut ids = vec![world.root()];
    for _ in 0..10 {
        let block = world.extend(ids.last().unwrap(), "miner-1", &[]);
        ids.push(block.id());
        node.give(&block);
    }
    let range = |from, count| -> Vec<Hash> {
        let records = node.reader.headers_from(from, count).unwrap();
        records.iter().map(|record| record.signed.header.id()).collect()
    };
    assert_eq!(range(0, 100), ids);
    assert_eq!(range(3, 4), ids[3..7]);
    assert_eq!(range(10, 4), ids[10..]);
    assert!(range(11, 4).is_empty() && range(u64::MAX, 4).is_empty() && range(3, 0).is_empty());
}

#[test]
fn a_snapshot_stays_what_it_was() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let orders = [
        order(&genesis, 1, "issuer", issue("alice", 100)),
        order(&genesis, 1, "alice", transfer("bob", 30)),
        order(&genesis, 1, "alice", purchase(&[(7, 1)], 0)),
        order(&genesis, 1, "alice", review(7, 4, b"fine")),
        order(&genesis, 1, "bob", redeem(10)),
    ];
    let mut snapshots = Vec::new();
    for order in &orders {
        snapshots.push(node.reader.snapshot());
        let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(order));
        node.give(&block);
    }
    snapshots.push(node.reader.snapshot());
    let balances: Vec<_> = snapshots
        .iter()
        .map(|now| ["alice", "bob"].map(|name| now.account(&public(name)).map(|account| account.balance)))
        .collect();
    let expected = [
        [None, None],
        [Some(100), None],
        [Some(70), Some(30)],
        [Some(70), Some(30)],
        [Some(70), Some(30)],
        [Some(70), Some(20)],
    ];
    assert_eq!(balances, expected);
    assert_eq!(snapshots.iter().map(|now| now.tip.height()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    // I5.
    let last = snapshots.last().unwrap();
    assert_eq!((last.supply().issued, last.supply().redeemed), (100, 10));
    let edition = last.edition(7).unwrap();
    assert_eq!((edition.sold, edition.reviews, edition.rating_sum), (1, 1, 4));
    assert_eq!(node.reader.holding(&public("alice"), 7).unwrap().rating, 4);
    assert_eq!(last.miners().len(), 3);
    assert!(last.miner(&public("miner-1")).is_some() && last.miner(&public("alice")).is_none());
}
