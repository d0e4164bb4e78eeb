//! Laws of a clean stop: what was admitted survives it, what was told of orders is told again, what became final
//! stays so, and a file of orders that cannot be read costs what is in it and nothing more.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use printsy_consensus::codec::{self, List};
use printsy_consensus::{
    Action, CheckedTransaction, Genesis, Hash, Position, PublicKey, Rule, StateError, ViewError,
};
use printsy_ledger::store::{Disk, Fuse, MemoryDisk, MemoryIndex, StoreError};
use printsy_ledger::{AdmitError, Admitted, Change, LedgerError, MAX_CHANGES, Origin, PoolBound, Status};
use support::random::{BUYERS, opening, random_body, random_miner};
use support::{
    Node, Random, World, for_seeds, genesis_with, list, order, order_until, purchase, random_genesis,
    random_order,
};

const FILE: &str = "mempool.dat";

/// The file, as it is on the disk.
fn file_of(node: &Node) -> Vec<u8> {
    let len = node.disk.len(FILE).unwrap().expect("it is there");
    node.disk.read(FILE, 0, usize::try_from(len).unwrap()).unwrap()
}

fn file_if_any(node: &Node) -> Option<Vec<u8>> {
    node.disk.len(FILE).unwrap().map(|_| file_of(node))
}

/// All that is told of an order: its bytes where it waits, its place on the chain, its story.
type Told = (Option<Vec<u8>>, Option<(Position, Hash)>, Option<(Vec<u8>, Vec<Change>)>);

fn told(node: &Node, order: &CheckedTransaction) -> Option<Told> {
    let order = node.reader.order(&order.txid()).unwrap()?;
    let waiting = order.waiting.map(|order| order.bytes().to_vec());
    let confirmed = order.confirmed.map(|(confirmed, id)| (confirmed.position, id));
    let story = order.story.map(|story| (story.order.bytes().to_vec(), story.changes));
    Some((waiting, confirmed, story))
}

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
    assert_eq!(node.story(&parked), [Status::Pending, Status::Included, Status::Displaced]);
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
    let file = file_of(&node);
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
    assert_eq!(reopened.story(&lost), [Status::Pending, Status::Refused]);
    let story = reopened.reader.order(&lost.txid()).unwrap().unwrap().story.unwrap();
    assert_eq!(story.changes[1].reason.as_ref().unwrap().rule(), Some(Rule::S4));
    assert!(!reopened.waits(&confirmed), "the chain tells of it");
    assert!(reopened.reader.is_confirmed(&confirmed.txid()).unwrap());
    for _ in 0..8 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
    }
    assert_eq!(with_file(&node).story(&near), [Status::Pending, Status::Expired]);
}

#[test]
fn a_damaged_file_of_orders_never_fails_a_start() {
    let (world, node, orders) = busy();
    let [own, ..] = &orders;
    node.ledger.close().unwrap();
    let file = file_of(&node);
    let open = |bytes: &[u8]| {
        let disk = MemoryDisk::reopened(&node.disk, Fuse::never());
        disk.remove(FILE).unwrap();
        disk.append(FILE, bytes).unwrap();
        let opened = Node::open(&world.genesis, Arc::new(disk), Arc::new(node.index.crashed(0))).0;
        opened.assert_is(&world, &node.tip());
        opened
    };
    assert!(open(&file).waits(own));
    let nothing_is_told = |node: &Node| orders.iter().all(|order| told(node, order).is_none());
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(nothing_is_told(&open(&flipped)), "byte {at}");
        assert!(nothing_is_told(&open(&file[..at])), "cut at {at}");
    }
    // Under a checksum that fits, what is read is still bounded, and each order is still its maker's.
    let body = file.len() - 4;
    for at in 0..body {
        for flip in [1, 0x80, 0xff] {
            let mut forged = file[..body].to_vec();
            forged[at] ^= flip;
            forged.extend(crc32fast::hash(&forged).to_le_bytes());
            let opened = open(&forged);
            assert!(opened.waiting().iter().all(|waiting| orders.contains(waiting)), "byte {at}");
            opened.ledger.close().unwrap();
        }
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
    let foreign = file_of(&node);
    let mut newer = foreign[..foreign.len() - 4].to_vec();
    newer[8] += 1;
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    let other = genesis_with(|params| params.max_editions = 6);
    for (genesis, file) in [(&other, foreign), (&genesis_with(|params| params.max_editions = 1), newer)] {
        let disk = MemoryDisk::new();
        disk.append(FILE, &file).unwrap();
        let mut opened = Node::open(genesis, Arc::new(disk), Arc::default()).0;
        assert!(opened.waiting().is_empty());
        opened.ledger.close().unwrap();
        assert_eq!(file_of(&opened), file, "it is not ours to remove");
        // What this node has to keep is kept in its place, however often; whoever can read the other still can.
        let own = order(genesis, 1, "erin", purchase(&[(5, 1)], 0));
        opened.admit(&own).unwrap();
        opened.ledger.close().unwrap();
        opened.ledger.close().unwrap();
        assert!(reopened(genesis, &opened).waits(&own));
        assert_eq!(opened.disk.read("mempool.other", 0, file.len()).unwrap(), file);
    }
}

/// Whatever ends a start after the ledger was opened, a port in use, costs no order. What happens then does away
/// with the file: a crash must not bring back how things stood before.
#[test]
fn a_start_that_comes_to_nothing_costs_no_order() {
    let (mut world, node, [own, other, parked]) = busy();
    let genesis = world.genesis.clone();
    node.ledger.close().unwrap();
    let before = [&own, &other, &parked].map(|order| told(&node, order));
    let crash =
        |node: &Node| Node::open(&genesis, Arc::new(node.disk.crashed()), Arc::new(node.index.crashed(0))).0;
    let mut node = crash(&crash(&node));
    assert_eq!([&own, &other, &parked].map(|order| told(&node, order)), before);
    // News that change nothing: known already, a peer's order that is refused.
    node.admit(&own).unwrap();
    let sold = order(&genesis, 1, "erin", purchase(&[(7, 1)], 0));
    node.ledger.admit(&sold, Origin::Peer, node.now()).unwrap_err();
    let same = |node: &Node| [&own, &other, &parked].map(|order| told(node, order)) == before;
    assert!(same(&crash(&node)));
    let mut refused = crash(&node);
    refused.admit(&sold).unwrap_err();
    assert!(told(&crash(&refused), &own).is_none());
    let mut admitted = crash(&node);
    admitted.admit(&order(&genesis, 1, "erin", purchase(&[(10, 1)], 0))).unwrap();
    assert!(told(&crash(&admitted), &own).is_none());
    let block = world.extend(&node.tip(), "miner-1", &[]);
    node.give(&block);
    assert!(told(&crash(&node), &own).is_none());
    node.ledger.close().unwrap();
    assert!(crash(&node).waits(&own));
}

#[test]
fn a_refused_order_is_judged_anew_after_a_stop() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let holder = order_until(&genesis, "alice", 12, purchase(&[(7, 1)], 0));
    let refused = order(&genesis, 1, "bob", purchase(&[(7, 1)], 0));
    node.admit(&holder).unwrap();
    let error = node.admit(&refused).unwrap_err();
    assert!(matches!(error, AdmitError::HeldByPending { pending: 1, .. }));
    node.ledger.close().unwrap();
    let mut node = reopened(&genesis, &node);
    let reason = |node: &Node| told(node, &refused).unwrap().2.unwrap().1.last().unwrap().reason.clone();
    assert_eq!(reason(&node), Some(error.clone()));
    assert_eq!(node.admit(&refused), Err(error));
    assert_eq!(node.story(&refused), [Status::Refused], "the same again is no news");
    for _ in 0..12 {
        let block = world.extend(&node.tip(), "miner-1", &[]);
        node.give(&block);
    }
    node.ledger.close().unwrap();
    let mut node = reopened(&genesis, &node);
    assert_eq!(node.story(&holder), [Status::Pending, Status::Expired]);
    assert_eq!(node.admit(&refused), Ok(Admitted::New));
    assert_eq!(node.story(&refused), [Status::Refused, Status::Pending]);
    assert_eq!(reason(&node), None);
}

/// B5 bounds blocks, not the mempool: what is beyond it waits for the blocks to come, over a stop too.
#[test]
fn what_waits_beyond_the_bound_of_a_sender_survives() {
    let genesis = genesis_with(|params| params.max_per_sender = 1);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let orders = [7, 8, 9].map(|image| order(&genesis, 1, "alice", purchase(&[(image, 1)], 0)));
    orders.iter().for_each(|order| assert_eq!(node.admit(order), Ok(Admitted::New)));
    for order in &orders {
        node.ledger.close().unwrap();
        node = reopened(&genesis, &node);
        let block = node.mine(&mut world, "miner-1");
        assert_eq!(block.transactions(), std::slice::from_ref(order));
        node.give(&block);
        assert_eq!(node.story(order), [Status::Pending, Status::Included]);
    }
}

/// Of two orders that exclude each other by then, the one that came first stays, stopped in between or not.
#[test]
fn what_came_first_stays_first_over_a_stop() {
    let genesis = genesis_with(|params| params.max_editions = 5);
    for is_stopped in [false, true] {
        let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
        let listing = order(&genesis, 1, "registrar", list(7, "seller", 0, 1));
        let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
        [&listing, &buy].iter().for_each(|order| assert_eq!(node.admit(order), Ok(Admitted::New)));
        if is_stopped {
            node.ledger.close().unwrap();
            node = reopened(&genesis, &node);
        }
        let rival = order(&genesis, 1, "bob", purchase(&[(7, 1)], 0));
        let block = world.extend(&node.tip(), "miner-1", &[rival]);
        node.give(&block);
        assert_eq!(node.waiting(), std::slice::from_ref(&listing), "{is_stopped}");
        assert_eq!(node.story(&buy), [Status::Pending, Status::Refused]);
    }
}

/// Where the file is older than the chain, and the chain has not what a story says, its order is taken back.
#[test]
fn no_story_says_that_an_order_is_where_it_is_not() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let [moved, lost] = [7, 8].map(|image| order(&genesis, 1, "alice", purchase(&[(image, 1)], 0)));
    let root = world.root();
    let a1 = world.extend(&root, "miner-1", &[moved.clone(), lost.clone()]);
    for order in [&moved, &lost] {
        node.admit(order).unwrap();
    }
    node.give(&a1);
    node.ledger.close().unwrap();
    let file = file_of(&node);
    let rival = order(&genesis, 1, "bob", purchase(&[(8, 1)], 0));
    let b1 = world.extend(&root, "miner-1", &[rival]);
    let b2 = world.extend(&b1.id(), "miner-1", &[]);
    let b3 = world.extend(&b2.id(), "miner-1", std::slice::from_ref(&moved));
    for (tip, statuses) in
        [(&b2, [Status::Pending, Status::Displaced]), (&b3, [Status::Included, Status::Displaced])]
    {
        node.give_branch(&world, &tip.id());
        let disk = node.disk.crashed();
        disk.remove(FILE).unwrap();
        disk.append(FILE, &file).unwrap();
        let stale = Node::open(&genesis, Arc::new(disk), Arc::new(node.index.crashed(0))).0;
        assert_eq!([&moved, &lost].map(|order| *stale.story(order).last().unwrap()), statuses);
        assert_eq!(stale.waits(&moved), tip.id() == b2.id());
        assert_eq!(stale.reader.is_confirmed(&moved.txid()).unwrap(), tip.id() == b3.id());
    }
}

/// The chain taken back below its final block is no stop that costs orders: what waited waits, and what was on the
/// blocks that went, as far as this node told of it, waits again.
#[test]
fn a_retreat_takes_back_the_orders_that_were_told_of() {
    let genesis = genesis_with(|params| params.finality_depth = 2);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    let [buried, waits] = [7, 8].map(|image| order(&genesis, 1, "alice", purchase(&[(image, 1)], 0)));
    node.admit(&buried).unwrap();
    for _ in 0..5 {
        let block = node.mine(&mut world, "miner-1");
        node.give(&block);
    }
    node.admit(&waits).unwrap();
    assert_eq!((node.ledger.final_height(), node.story(&buried).len()), (3, 2));
    node.ledger.close().unwrap();
    let Node { ledger, disk, index, .. } = reopened(&genesis, &node);
    let retreat = ledger.plan_retreat(&world.root()).unwrap().unwrap();
    ledger.retreat(retreat).unwrap();
    let node = Node::open(&genesis, disk, index).0;
    node.assert_is(&world, &world.root());
    assert!(node.waits(&buried) && node.waits(&waits));
    assert_eq!(node.story(&buried), [Status::Pending, Status::Included, Status::Pending]);
    assert_eq!(node.story(&waits), [Status::Pending]);
}

/// Two nodes are given the same orders and blocks, with reorganisations; one of them is stopped now and then. What
/// they tell of every order, and what waits, never differs.
#[test]
fn a_node_that_was_stopped_tells_what_one_that_never_was_tells() {
    let seen = RefCell::new(BTreeSet::new());
    for_seeds(0..60, |random| {
        let genesis = random_genesis(random, |params| params.max_validity = 8);
        let mut world = World::new(&genesis);
        let (mut steady, mut stopped) = (Node::new(&genesis), Node::new(&genesis));
        let mut orders = Vec::new();
        let mut tips = vec![world.root()];
        for step in 0..60 {
            match random.below(8) {
                _ if step == 0 => {
                    let body = opening(random, &genesis);
                    give_both(&mut world, [&mut steady, &mut stopped], &mut tips, "registrar", &body);
                }
                0..=3 => {
                    let order = some_order(random, &world, &steady, &orders);
                    let (origin, now) = (random.pick(&[Origin::Own, Origin::Peer]), steady.now());
                    let judged = steady.ledger.admit(&order, origin, now);
                    assert_eq!(stopped.ledger.admit(&order, origin, now), judged);
                    orders.push(order);
                }
                4 | 5 => {
                    let on_tip = !random.chance(3);
                    let parent = if on_tip {
                        steady.tip()
                    } else {
                        tips[tips.len() - 1 - random.index(tips.len().min(3))]
                    };
                    let state = world.state(&parent).clone();
                    let miner = random_miner(random, &genesis, &state);
                    let body = if on_tip && random.chance(2) {
                        random.subset(&steady.template("registrar").transactions)
                    } else {
                        random_body(random, &genesis, &state, 3)
                    };
                    tips.push(parent);
                    give_both(&mut world, [&mut steady, &mut stopped], &mut tips, miner, &body);
                    orders.extend(body);
                }
                _ => {
                    stopped.ledger.close().unwrap();
                    let file = file_if_any(&stopped);
                    stopped = reopened(&genesis, &stopped);
                    stopped.ledger.close().unwrap();
                    assert_eq!(file_if_any(&stopped), file, "all of it was taken back, and in its order");
                    let statuses = orders.iter().filter_map(|order| stopped.story(order).last().copied());
                    seen.borrow_mut().extend(statuses.map(|status| format!("{status:?}")));
                }
            }
            assert_eq!(stopped.waiting(), steady.waiting());
            assert_eq!(republished(&mut stopped), republished(&mut steady));
            for order in &orders {
                assert_eq!(told(&stopped, order), told(&steady, order), "{}", order.txid());
            }
        }
    });
    assert_eq!(seen.borrow().len(), 5, "every status over a stop: {seen:?}");
}

/// What this node's own clients gave it, and so it publishes again.
fn republished(node: &mut Node) -> BTreeSet<Hash> {
    node.ledger.due_orders(u64::MAX).iter().map(CheckedTransaction::txid).collect()
}

/// An order for about the next block, good for some blocks; now and then one that was sent before.
fn some_order(
    random: &mut Random,
    world: &World,
    node: &Node,
    sent: &[CheckedTransaction],
) -> CheckedTransaction {
    if !sent.is_empty() && random.chance(4) {
        return sent[random.index(sent.len())].clone();
    }
    let state = world.state(&node.tip());
    let order = random_order(random, &world.genesis, state);
    if random.chance(2) {
        return order;
    }
    let (sender, until) = (random.pick(&BUYERS), state.height() + random.below(11));
    match order.action() {
        // Not to its own sender, which no order may be.
        Action::Transfer { .. } => order,
        action => order_until(&world.genesis, sender, until, action.clone()),
    }
}

/// A block on the last of `tips`, for both; it becomes the last.
fn give_both(
    world: &mut World,
    nodes: [&mut Node; 2],
    tips: &mut Vec<Hash>,
    miner: &str,
    body: &[CheckedTransaction],
) {
    let parent = *tips.last().unwrap();
    let block = world.extend(&parent, miner, body);
    tips.push(block.id());
    for node in nodes {
        node.give_branch(world, &block.id());
    }
}

/// One of each S rule's errors, with no two fields alike, in the order of their tags.
fn state_errors() -> Vec<StateError> {
    let (account, miner) = (PublicKey([0xa1; 32]), PublicKey([0xb2; 32]));
    vec![
        StateError::Expired { expires_at: 1, height: 2 },
        StateError::NotYet { expires_at: 3, latest: 4 },
        StateError::Duplicate,
        StateError::NotAdmitted { account },
        StateError::SoldOut { image: 5, editions: 6, sold: 7, requested: 8 },
        StateError::AccountLimit { image: 9, max: 10, held: 11, requested: 12 },
        StateError::NotListed { image: 13 },
        StateError::Price { expected: u128::MAX - 14, got: 15 },
        StateError::Balance { balance: 16, needed: 17 },
        StateError::NotPurchased { image: 18 },
        StateError::NotIssuer,
        StateError::SupplyOverflow { issued: 19, amount: 20 },
        StateError::NotRegistrar,
        StateError::AlreadyRegistered { miner },
        StateError::NotRegistered { miner },
        StateError::LastMiner,
        StateError::NoChange { account, admitted: true },
        StateError::FewerThanSold { image: 21, sold: 22, editions: 23 },
        StateError::View(ViewError("no such row".to_owned())),
    ]
}

/// One of each reason for a refusal; whoever adds one is led here by the compiler.
fn refusals() -> Vec<AdmitError> {
    let mut refusals: Vec<AdmitError> = state_errors().into_iter().map(AdmitError::State).collect();
    refusals.extend(state_errors().into_iter().map(AdmitError::AwaitsCredit));
    refusals.extend([
        AdmitError::ExpiresTooSoon { expires_at: 24, earliest: 25 },
        AdmitError::HeldByPending { image: 26, editions: 27, sold: 28, pending: 29, requested: 30 },
        AdmitError::ActionPending,
    ]);
    let bounds = [PoolBound::Orders, PoolBound::Bytes, PoolBound::Account];
    refusals.extend(bounds.map(|bound| AdmitError::Full { bound }));
    for refusal in &refusals {
        match refusal {
            AdmitError::State(error) | AdmitError::AwaitsCredit(error) => match error {
                StateError::Expired { .. } | StateError::NotYet { .. } | StateError::Duplicate => {}
                StateError::NotAdmitted { .. } | StateError::SoldOut { .. } => {}
                StateError::AccountLimit { .. } | StateError::NotListed { .. } | StateError::Price { .. } => {
                }
                StateError::Balance { .. } | StateError::NotPurchased { .. } | StateError::NotIssuer => {}
                StateError::SupplyOverflow { .. } | StateError::NotRegistrar | StateError::LastMiner => {}
                StateError::AlreadyRegistered { .. } | StateError::NotRegistered { .. } => {}
                StateError::NoChange { .. } | StateError::FewerThanSold { .. } | StateError::View(_) => {}
            },
            AdmitError::ExpiresTooSoon { .. } | AdmitError::HeldByPending { .. } => {}
            AdmitError::ActionPending => {}
            AdmitError::Full { bound: PoolBound::Orders | PoolBound::Bytes | PoolBound::Account } => {}
        }
    }
    refusals
}

fn changes(reason: Option<AdmitError>) -> Vec<Change> {
    let block = Some((u64::MAX, Hash([0xcc; 32])));
    use Status::{Displaced, Expired, Included, Pending, Refused};
    let change = |status| Change { status, time: 1_790_000_000_000, block, reason: reason.clone() };
    [Pending, Included, Displaced, Refused, Expired].map(change).to_vec()
}

/// The bytes are a format on disk: where this fails, the format of the file needs a new number.
#[test]
fn the_bytes_of_a_story_are_what_they_always_were() {
    let reasons = refusals().into_iter().map(Some).chain([None]);
    let bytes: Vec<u8> = reasons.flat_map(|reason| codec::encode(&story(changes(reason)))).collect();
    assert_eq!((bytes.len(), crc32fast::hash(&bytes)), (17_180, 3_617_604_020));
}

fn story(changes: Vec<Change>) -> List<Change, MAX_CHANGES> {
    changes.try_into().unwrap()
}

#[test]
fn every_refusal_comes_back_from_its_bytes_and_cut_ones_are_an_error() {
    for refusal in refusals() {
        let bytes = codec::encode(&refusal);
        assert_eq!(codec::decode::<AdmitError>(&bytes).unwrap(), refusal);
        for change in changes(Some(refusal)) {
            let bytes = codec::encode(&change);
            assert!(bytes.len() <= 200, "the file's bound counts on it: {change:?}");
            assert_eq!(codec::decode::<Change>(&bytes).unwrap(), change);
            for at in 0..bytes.len() {
                assert!(codec::decode::<Change>(&bytes[..at]).is_err(), "{change:?} cut at {at}");
                let mut flipped = bytes.clone();
                flipped[at] ^= 0xff;
                // Another value or an error, never a panic and never a long list.
                let _ = codec::decode::<Change>(&flipped);
            }
        }
    }
    // A long sentence about this node's own trouble is cut, at a character.
    let long = ViewError("\u{e9}".repeat(100));
    let bytes = codec::encode(&long);
    assert_eq!(codec::decode::<ViewError>(&bytes).unwrap(), ViewError("\u{e9}".repeat(64)));
    let change = &changes(Some(AdmitError::AwaitsCredit(StateError::View(long))))[0];
    assert_eq!(codec::encode(change).len(), 192);
    let not_text = codec::encode(&List::<u8, 128>::try_from(vec![0xff; 3]).unwrap());
    assert!(codec::decode::<ViewError>(&not_text).is_err());
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
    node.ledger.settle(false).unwrap();
    assert_eq!(node.ledger.final_height(), 0);
    node.ledger.settle(true).unwrap();
    assert_eq!((node.ledger.final_height(), node.reader.snapshot().final_height), (5, 5));
    for index in [node.index.crashed(0), MemoryIndex::new()] {
        let disk = Arc::new(node.disk.crashed());
        let mut crashed = Node::open(&genesis, disk, Arc::new(index)).0;
        assert_eq!(crashed.ledger.final_height(), 5);
        let next = world.extend(&node.tip(), "miner-2", &[]);
        crashed.give(&next);
        crashed.assert_is(&world, &next.id());
    }
    // A disk that fails makes nothing final, and says why.
    node.is_synced = false;
    let next = world.extend(&node.tip(), "miner-2", &[]);
    node.give(&next);
    node.disk.fail_syncs_after(0);
    let failed = node.ledger.settle(true);
    assert!(matches!(failed, Err(LedgerError::Store(StoreError::Io { .. }))), "{failed:?}");
    assert_eq!((node.ledger.final_height(), node.reader.snapshot().final_height), (5, 5));
}
