//! Laws of opening: whatever the moment of the stop or the power cut, and whatever became of the index, the
//! chain that opens is the chain that was told, to the last holding; and it goes on from there.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{CheckedBlock, CheckedTransaction, Genesis, Hash, Holding, Params, Rule};
use printsy_ledger::store::{Disk, Doubt, Fuse, Index, IndexView, MemoryDisk, MemoryIndex, RESERVED_PREFIX};
use printsy_ledger::{Ledger, Status};
use support::random::{opening, random_body, random_miner};
use support::world::Wrong;
use support::{
    Node, Random, World, for_seeds, genesis_with, list, order, public, purchase, random_genesis,
    random_order, register_miner, review,
};

const HEADERS: &str = "headers.dat";
const HEADER_RECORD: usize = 160 + 64 + 32 + 8 + 4;

/// One step of a random history: a block, a better branch from not below the final block, or orders.
fn step(random: &mut Random, world: &mut World, node: &mut Node) {
    let genesis = world.genesis.clone();
    let tip = world.state(&node.tip()).clone();
    let unfinal = usize::try_from(node.height() - node.ledger.final_height()).unwrap();
    let back = if random.chance(3) { random.index(unfinal.min(4) + 1) } else { 0 };
    let mut at = tip.chain[tip.chain.len() - 1 - back];
    for _ in 0..=back {
        let state = world.state(&at).clone();
        let body = random_body(random, &genesis, &state, 4);
        let miner = random_miner(random, &genesis, &state);
        let block = world.extend(&at, miner, &body);
        at = block.id();
        node.place(&block);
    }
    for _ in 0..3 {
        let order = random_order(random, &genesis, &tip);
        let _refused_or_not = node.admit(&order);
    }
    node.advance();
    assert_eq!(node.tip(), at);
}

/// Opens again what a node left, and holds it against what the node told.
fn assert_reopens(world: &World, node: &Node, disk: MemoryDisk, index: MemoryIndex) -> Node {
    let (tip, final_height) = (node.tip(), node.ledger.final_height());
    let (reopened, report) = Node::open(&world.genesis, Arc::new(disk), Arc::new(index));
    reopened.assert_is(world, &tip);
    assert_eq!(reopened.ledger.final_height(), final_height);
    assert_eq!(report.height, node.height());
    assert_eq!(report.rebuilt, None, "an honest crash never costs the checkpoint");
    reopened
}

fn random_network(random: &mut Random) -> Arc<Genesis> {
    let (depth, spacing) = (random.pick(&[3, 6, 1_000]), random.pick(&[0, 1, 2]));
    random_genesis(random, |params| {
        params.finality_depth = depth;
        params.miner_spacing = spacing;
        params.max_validity = 8;
    })
}

#[test]
fn a_ledger_reopens_where_it_was_after_any_stop_and_any_crash() {
    for_seeds(0..40, |random| {
        let genesis = random_network(random);
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
        node.give(&first);
        for _ in 0..30 {
            node.is_synced = !random.chance(4);
            step(random, &mut world, &mut node);
            match random.below(8) {
                // The checkpoint moves to here, and no further.
                0 | 1 => node.ledger.close().unwrap(),
                // A power cut, some of what was not synced having reached the platter.
                2 => {
                    let luck = random.pick(&[0, 1, 100, HEADER_RECORD, 700, usize::MAX]);
                    let (disk, index) =
                        (node.disk.crashed_with_luck(luck), node.index.crashed(random.index(4)));
                    node = assert_reopens(&world, &node, disk, index);
                }
                // The process is killed; the machine goes on.
                3 => {
                    let (disk, index) = (node.disk.reopened(Fuse::never()), node.index.crashed(usize::MAX));
                    node = assert_reopens(&world, &node, disk, index);
                }
                // A clean stop: dropping the ledger writes the checkpoint.
                4 => {
                    let (tip, final_height) = (node.tip(), node.ledger.final_height());
                    let Node { ledger, reader, disk, index, .. } = node;
                    drop(reader);
                    drop(ledger);
                    let (reopened, report) = Node::open(&genesis, disk, index);
                    reopened.assert_is(&world, &tip);
                    assert_eq!(reopened.ledger.final_height(), final_height);
                    assert_eq!((report.checkpoint_height, report.moves_applied), (report.height, 0));
                    node = reopened;
                }
                _ => {}
            }
        }
        node.assert_is(&world, &node.tip());
        assert_index_is_the_state(&world, &node);
    });
}

/// A checkpoint that is thrown away is made again row by row the same.
fn assert_index_is_the_state(world: &World, node: &Node) {
    node.ledger.close().unwrap();
    let (fresh, report) = Node::open(&world.genesis, Arc::new(node.disk.crashed()), Arc::default());
    assert_eq!((report.rebuilt, report.checkpoint_height), (None, 0));
    fresh.assert_is(world, &node.tip());
    fresh.ledger.close().unwrap();
    let rows = |node: &Node, prefix: &[u8]| {
        let index: Arc<dyn Index> = node.index.clone();
        let view = IndexView::open(node.disk.as_ref(), index, &world.genesis.hash()).unwrap();
        let mut rows = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            // Of a holding, the height it is as of depends on the path; what is held does not.
            let kept = if prefix == b"H" { &value[..5] } else { value };
            rows.push((key.to_vec(), kept.to_vec()));
            Ok(())
        };
        view.scan(prefix, &mut visit).unwrap();
        rows
    };
    for prefix in [b"S", b"T", b"H", b"B"] {
        let of_node = rows(node, prefix);
        let is_told = prefix != b"H" || !world.state(&node.tip()).holdings.is_empty();
        assert!(!is_told || !of_node.is_empty(), "rows of {}", char::from(prefix[0]));
        assert_eq!(of_node, rows(&fresh, prefix), "rows of {}", char::from(prefix[0]));
    }
}

#[test]
fn what_was_told_survives_a_power_cut_between_any_two_steps() {
    for_seeds(0..40, |random| {
        let genesis = random_network(random);
        let mut world = World::new(&genesis);
        let mut straight = Node::new(&genesis);
        let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
        straight.give(&first);
        (0..10).for_each(|_| step(random, &mut world, &mut straight));
        let all: Vec<Arc<CheckedBlock>> = world.branch(&straight.tip());
        for _ in 0..6 {
            let fuse = Fuse::after(random.below(120));
            let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
            let index = Arc::new(MemoryIndex::with_fuse(fuse));
            let told = run_until_the_cut(random, &genesis, &all, &disk, &index);
            let luck = random.pick(&[0, 50, usize::MAX]);
            let (disk, index) = (disk.crashed_with_luck(luck), index.crashed(random.index(3)));
            let (mut node, _) = Node::open(&genesis, Arc::new(disk), Arc::new(index));
            assert!(node.height() >= told, "told {told}, opened at {}", node.height());
            node.assert_is(
                &world,
                &world.state(&straight.tip()).chain[usize::try_from(node.height()).unwrap()],
            );
            node.give_branch(&world, &straight.tip());
            node.assert_is(&world, &straight.tip());
        }
    });
}

/// Gives blocks until the power goes, and answers the last height that was told.
fn run_until_the_cut(
    random: &mut Random,
    genesis: &Arc<Genesis>,
    blocks: &[Arc<CheckedBlock>],
    disk: &Arc<MemoryDisk>,
    index: &Arc<MemoryIndex>,
) -> u64 {
    let Ok((mut ledger, _)) = Ledger::open(genesis.clone(), disk.clone(), index.clone()) else { return 0 };
    let mut told = 0;
    for block in blocks {
        ledger.insert_header(*block.header(), u64::MAX).unwrap();
        ledger.add_body(block.clone());
        if ledger.advance(false, 0).is_err() {
            break;
        }
        told = ledger.tip().height();
        if random.chance(3) && ledger.close().is_err() {
            break;
        }
    }
    told
}

/// A node whose checkpoint stands at A5 and whose chain went on to A6, and then over to B3 to B7.
fn crossed(change: impl FnOnce(&mut Params)) -> (World, Node, Hash) {
    let genesis = genesis_with(|params| {
        params.miner_spacing = 2;
        change(params);
    });
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let miners = ["miner-1", "miner-2", "miner-3"];
    let mut chain = vec![world.root()];
    for height in 1..=6 {
        let buy = order(&genesis, 1, "alice", purchase(&[(u64::try_from(height).unwrap(), 1)], 0));
        let block = world.extend(&chain[height - 1], miners[height % 3], &[buy]);
        chain.push(block.id());
        node.give(&block);
        if height == 5 {
            node.ledger.close().unwrap();
        }
    }
    let mut at = chain[2];
    // Another rotation than the first branch has: A6's miner made B4.
    for miner in ["registrar", "miner-1", "miner-2", "miner-3", "registrar"] {
        let block = world.extend(&at, miner, &[]);
        at = block.id();
        node.place(&block);
    }
    node.advance();
    assert_eq!(node.tip(), at);
    (world, node, at)
}

/// B4 is asked of the branch, not of what headers.dat holds at those heights by now.
#[test]
fn a_reorganisation_across_the_mark_reopens_with_every_header_written() {
    let (world, node, tip) = crossed(|_| {});
    let disk = node.disk.crashed_with_luck(usize::MAX);
    let reopened = assert_reopens(&world, &node, disk, node.index.crashed(0));
    assert_eq!(reopened.tip(), tip);
    let report = Node::open(&world.genesis, Arc::new(node.disk.crashed()), Arc::new(node.index.crashed(0))).1;
    assert_eq!((report.checkpoint_height, report.moves_applied, report.height), (5, 2, 7));
}

#[test]
fn a_reorganisation_across_the_mark_reopens_with_headers_torn_anywhere() {
    let (world, node, _) = crossed(|_| {});
    for luck in (0..8 * HEADER_RECORD).step_by(41) {
        assert_reopens(&world, &node, node.disk.crashed_with_luck(luck), node.index.crashed(0));
    }
}

#[test]
fn the_chain_opens_the_same_without_an_index_or_headers() {
    let (world, node, tip) = crossed(|params| params.finality_depth = 4);
    node.ledger.close().unwrap();
    let open = |disk: MemoryDisk, index: MemoryIndex| {
        let (reopened, report) = Node::open(&world.genesis, Arc::new(disk), Arc::new(index));
        reopened.assert_is(&world, &tip);
        assert_eq!(reopened.ledger.final_height(), node.ledger.final_height());
        report
    };
    let copy = || node.disk.reopened(Fuse::never());
    assert_eq!(open(copy(), node.index.crashed(0)).rebuilt, None);
    // No index.
    let report = open(copy(), MemoryIndex::new());
    assert_eq!((report.checkpoint_height, report.rebuilt, report.moves_applied), (0, None, 7));
    // No headers: they are made again.
    let disk = copy();
    disk.remove(HEADERS).unwrap();
    assert!(open(disk, node.index.crashed(0)).rebuilt.is_some());
    let disk = copy();
    disk.remove(HEADERS).unwrap();
    assert_eq!(open(disk, MemoryIndex::new()).rebuilt, None);
    // A damaged header, at any height that is not final.
    for height in 3..8u64 {
        let disk = copy();
        let offset = height * u64::try_from(HEADER_RECORD).unwrap() + 9;
        disk.write_at(HEADERS, offset, &[0xee]).unwrap();
        open(disk, node.index.crashed(0));
    }
}

/// Every kind of row of the checkpoint, changed by hand, one at a time.
#[test]
fn a_damaged_checkpoint_is_thrown_away_and_made_again() {
    let (world, node, tip) = crossed(|params| params.finality_depth = 4);
    node.ledger.close().unwrap();
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    node.index.scan(b"S", &mut visit).unwrap();
    assert!(rows.len() > 4);
    let mut damages = where_the_tip_lies(&node.index, &tip);
    for (key, value) in &rows {
        let mut flipped = value.clone();
        flipped[0] ^= 1;
        damages.push((key.clone(), Some(flipped)));
        damages.push((key.clone(), Some(value[..value.len() - 1].to_vec())));
        damages.push((key.clone(), None));
    }
    damages.push((b"S\x00too-much".to_vec(), Some(b"of it".to_vec())));
    for damage in damages {
        let index = node.index.crashed(0);
        index.apply(std::slice::from_ref(&damage)).unwrap();
        let disk = node.disk.reopened(Fuse::never());
        let (mut reopened, report) = Node::open(&world.genesis, Arc::new(disk), Arc::new(index));
        reopened.assert_is(&world, &tip);
        assert!(report.rebuilt.is_some(), "{damage:?}");
        let mut world = world.clone();
        let next = reopened.mine(&mut world, "miner-1");
        assert!(reopened.give(&next).refused.is_empty());
    }
}

/// The row that says where the tip lies, among others that it is packed with: gone, of another id, with another place.
fn where_the_tip_lies(index: &MemoryIndex, tip: &Hash) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let id = &tip.0[..16];
    let mut damages = Vec::new();
    let mut visit = |key: &[u8], slice: &[u8]| {
        if let Some(at) = slice.windows(16).position(|window| window == id) {
            damages.push((key.to_vec(), None));
            for at in [at, at + 16 + 1] {
                let mut flipped = slice.to_vec();
                flipped[at] ^= 1;
                damages.push((key.to_vec(), Some(flipped)));
            }
        }
        Ok(())
    };
    index.scan(&[RESERVED_PREFIX, 0], &mut visit).unwrap();
    assert_eq!(damages.len(), 3, "one run has it");
    damages
}

/// What the root does not cover: holdings. The key is `H, account, image`; the value begins with the quantity
/// and the rating.
fn set_holding(index: &dyn Index, account: &str, image: u64, holding: Option<Holding>) {
    let key = [&b"H"[..], &public(account).0, &image.to_be_bytes()].concat();
    let value = holding.map(|holding| {
        let mut value = index.get(&key).unwrap().unwrap_or_else(|| vec![0; 13]);
        value[..4].copy_from_slice(&holding.quantity.to_le_bytes());
        value[4] = holding.rating;
        value
    });
    index.apply(&[(key, value)]).unwrap();
}

/// A chain on which Alice bought one of image 7 and rated it 2, and Bob bought one; stopped.
fn with_holdings() -> (World, Node) {
    let genesis = genesis_with(|params| {
        params.max_per_account = 3;
        params.max_editions = 50;
    });
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let orders = [
        order(&genesis, 1, "alice", purchase(&[(7, 1), (8, 1)], 0)),
        order(&genesis, 1, "bob", purchase(&[(7, 1)], 0)),
        order(&genesis, 1, "alice", review(7, 2, b"good")),
        order(&genesis, 1, "bob", review(7, 4, b"better")),
    ];
    for order in &orders {
        let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(order));
        node.give(&block);
    }
    node.ledger.close().unwrap();
    (world, node)
}

/// An index cannot split a node off (protocol section 6).
#[test]
fn a_wrong_holding_in_the_index_is_recounted_and_the_block_accepted() {
    let held = |quantity, rating| Some(Holding { quantity, rating });
    let cases = [
        (Rule::S5, held(3, 2), purchase(&[(7, 2)], 0)),
        (Rule::S5, held(u32::MAX, 2), purchase(&[(6, 1), (7, 1)], 0)),
        (Rule::S9, None, review(7, 5, b"")),
        (Rule::S9, held(0, 2), review(7, 5, b"")),
        (Rule::B6, held(1, 0), review(7, 5, b"")),
        (Rule::B6, held(1, 3), review(7, 5, b"")),
    ];
    for (rule, wrong, action) in cases {
        let (mut world, node) = with_holdings();
        let index = node.index.crashed(0);
        set_holding(&index, "alice", 7, wrong);
        let disk = Arc::new(node.disk.reopened(Fuse::never()));
        let (mut node, report) = Node::open(&world.genesis, disk, Arc::new(index));
        assert_eq!(report.rebuilt, None, "holdings are not covered by the root");
        let block =
            world.extend(&node.tip(), "miner-2", &[order(&world.genesis.clone(), 5, "alice", action)]);
        let advance = node.give(&block);
        assert!(advance.refused.is_empty(), "{rule}: {:?}", advance.refused);
        node.assert_is(&world, &block.id());
        assert!(Doubt::read(node.disk.as_ref()).unwrap().is_some(), "{rule}: the next start makes it anew");
        // What is truly against the rule is still refused by it.
        let greedy = order(&world.genesis, 6, "alice", purchase(&[(7, 3)], 0));
        let bad = world.make(&block.id(), "miner-2", &[greedy]);
        assert_eq!(node.give(&bad).refused[0].1.rule(), Some(Rule::S5));
        let stranger = order(&world.genesis, 6, "carol", review(7, 1, b""));
        let bad = world.make(&block.id(), "miner-2", &[stranger]);
        assert_eq!(node.give(&bad).refused[0].1.rule(), Some(Rule::S9));
        let fine = order(&world.genesis, 6, "alice", review(7, 1, b""));
        let wrong = Wrong { state_root: true, ..Wrong::default() };
        let bad = world.make_wrong(&block.id(), "miner-2", &[fine], wrong);
        assert_eq!(node.give(&bad).refused[0].1.rule(), Some(Rule::B6));
        node.assert_is(&world, &block.id());
    }
}

#[test]
fn a_wrong_holding_under_the_journals_end_does_not_keep_the_ledger_from_opening() {
    let (mut world, mut node) = with_holdings();
    let after = [
        order(&world.genesis, 5, "alice", purchase(&[(7, 2)], 0)),
        order(&world.genesis, 6, "alice", review(7, 5, b"")),
    ];
    for order in &after {
        let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(order));
        node.give(&block);
    }
    for wrong in [Some(Holding { quantity: 3, rating: 2 }), Some(Holding { quantity: 1, rating: 3 }), None] {
        let index = node.index.crashed(0);
        set_holding(&index, "alice", 7, wrong);
        let (reopened, report) = Node::open(&world.genesis, Arc::new(node.disk.crashed()), Arc::new(index));
        reopened.assert_is(&world, &node.tip());
        assert!(report.rebuilt.is_some());
        assert_eq!(report.height, 6);
    }
}

/// S2 after a restart: what was confirmed cannot be repeated while it could still be.
#[test]
fn what_was_confirmed_before_a_restart_is_not_confirmed_again() {
    let genesis = genesis_with(|params| {
        params.finality_depth = 2;
        params.max_validity = 30;
    });
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(&buy));
    node.give(&block);
    for _ in 0..15 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
        let index = if node.height().is_multiple_of(2) { node.index.crashed(0) } else { MemoryIndex::new() };
        let (reopened, _) = Node::open(&genesis, Arc::new(node.disk.crashed()), Arc::new(index));
        node = reopened;
        assert_eq!(node.admit(&buy).unwrap_err().rule(), Some(Rule::S2));
        let again = world.make(&node.tip(), "miner-1", std::slice::from_ref(&buy));
        assert_eq!(node.give(&again).refused[0].1.rule(), Some(Rule::S2));
    }
}

#[test]
fn a_reopened_ledger_reorganises_below_its_opening() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let orders: Vec<CheckedTransaction> = vec![
        order(&genesis, 1, "registrar", list(7, "seller", 0, 2)),
        order(&genesis, 1, "alice", purchase(&[(7, 1)], 0)),
        order(&genesis, 1, "registrar", register_miner("miner-4")),
    ];
    for order in &orders {
        let block = world.extend(&node.tip(), "miner-1", std::slice::from_ref(order));
        node.give(&block);
    }
    node.ledger.close().unwrap();
    let (mut node, _) = Node::open(&genesis, node.disk.clone(), node.index.clone());
    let mut at = world.root();
    for _ in 0..4 {
        let block = world.extend(&at, "miner-2", &[]);
        at = block.id();
        node.give(&block);
    }
    node.assert_is(&world, &at);
    // All that left the chain waits again, and is told to be pending.
    assert_eq!(node.waiting().len(), 3);
    assert!(orders.iter().all(|order| node.story(order) == [Status::Pending]));
    let next = node.mine(&mut world, "miner-3");
    node.give(&next);
    node.assert_is(&world, &next.id());
}

#[test]
fn a_ledger_opens_only_its_own_network() {
    let (_, node, _) = crossed(|_| {});
    node.ledger.close().unwrap();
    let other = genesis_with(|params| params.max_editions = 6);
    let copy = || Arc::new(node.disk.reopened(Fuse::never()));
    assert!(Ledger::open(other.clone(), copy(), Arc::new(node.index.crashed(0))).is_err());
    assert!(Ledger::open(other, copy(), Arc::new(MemoryIndex::new())).is_err());
}
