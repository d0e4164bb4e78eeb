//! Laws of the mempool, through the ledger that owns it: whatever waits can be mined, in any company, and what
//! could not is refused at once, with the reason, and never waits.
//!
//! The model is brute force: every subset executed by consensus' own rules on a naive replay of the chain.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use printsy_consensus::{
    Action, Admission, Catalogue, CheckedTransaction, Genesis, Hash, PublicKey, Rule, StateError, StateKey,
    check_transaction, signing_message,
};
use printsy_ledger::{
    AdmitError, Admitted, EXPIRY_MARGIN, MAX_PER_ACCOUNT, MAX_TRANSACTIONS, Origin, Outcome, Status,
};
use support::node::outcomes;
use support::orders::order_with;
use support::random::{BUYERS, opening, random_body, random_miner};
use support::{
    Node, Random, World, admit, expel, for_seeds, genesis_with, issue, key, list, order, order_until, public,
    purchase, random_genesis, random_order, redeem, register_miner, review, revoke_miner, transfer,
};

/// A network, a node on it, and the world that the node's blocks go to.
fn begin(genesis: &Arc<Genesis>) -> (World, Node) {
    (World::new(genesis), Node::new(genesis))
}

/// Orders for the block after the node's tip.
fn ask(world: &World, node: &Node, sender: &str, action: Action) -> CheckedTransaction {
    order(&world.genesis, node.height() + 1, sender, action)
}

/// A block with exactly these orders on the node's tip, given to the node.
fn confirm(world: &mut World, node: &mut Node, orders: &[CheckedTransaction]) -> printsy_ledger::Advance {
    let block = world.extend(&node.tip(), "miner-1", orders);
    node.give(&block)
}

/// Some orders of a list, in its order, no more of one sender than rule B5 lets into a block.
fn body_of(world: &World, orders: &[CheckedTransaction]) -> Vec<CheckedTransaction> {
    let params = world.params();
    let mut sent: BTreeMap<PublicKey, u32> = BTreeMap::new();
    let mut may_send = |order: &&CheckedTransaction| {
        let free = params.max_per_sender == 0
            || params.is_registrar(order.sender())
            || params.is_issuer(order.sender());
        let sent = sent.entry(*order.sender()).or_default();
        *sent += 1;
        free || *sent <= params.max_per_sender
    };
    orders.iter().filter(|order| may_send(order)).cloned().collect()
}

fn assert_any_subset_is_a_body(random: &mut Random, world: &mut World, node: &Node) {
    let waiting = node.waiting();
    for subset in [waiting.clone(), random.subset(&waiting), random.subset(&waiting)] {
        let body = body_of(world, &subset);
        let miner = random_miner(random, &world.genesis, world.state(&node.tip()));
        let block = world.make(&node.tip(), miner, &body);
        let verdict = world.verdict(&block);
        assert!(verdict.is_none(), "{} of {} orders: {verdict:?}", body.len(), waiting.len());
    }
}

/// One step of a random history: orders come, or a block of any content, or a better branch from below.
fn step(random: &mut Random, world: &mut World, node: &mut Node, refused: &mut HashSet<Hash>) {
    let genesis = world.genesis.clone();
    let tip = world.state(&node.tip()).clone();
    match random.below(6) {
        0..=2 => {
            for _ in 0..8 {
                let order = random_order(random, &genesis, &tip);
                if node.admit(&order).is_err() {
                    refused.insert(order.txid());
                }
            }
        }
        3 => {
            let miner = random_miner(random, &genesis, &tip);
            let block = node.mine(world, miner);
            node.give(&block);
        }
        4 => {
            // A miner that saw other orders, and some of these.
            let waiting = node.waiting();
            let waiting = random.subset(&waiting);
            let mut body: Vec<_> = random_body(random, &genesis, &tip, 6);
            body.extend(waiting);
            let mut kept = Vec::new();
            for order in body {
                kept.push(order);
                if !world.is_body(&tip.id(), &kept) || body_of(world, &kept).len() < kept.len() {
                    kept.pop();
                }
            }
            let miner = random_miner(random, &genesis, &tip);
            let block = world.extend(&tip.id(), miner, &kept);
            node.give(&block);
        }
        _ => {
            let back = random.index(3).min(tip.chain.len() - 1);
            let mut at = tip.chain[tip.chain.len() - 1 - back];
            for _ in 0..=back {
                let state = world.state(&at).clone();
                let body = body_of(world, &random_body(random, &genesis, &state, 4));
                let body = if world.is_body(&at, &body) { body } else { Vec::new() };
                let miner = random_miner(random, &genesis, &state);
                let block = world.extend(&at, miner, &body);
                node.place(&block);
                at = block.id();
            }
            node.advance();
        }
    }
}

#[test]
fn any_subset_of_the_mempool_in_its_order_is_a_valid_body() {
    for_seeds(0..25, |random| {
        let per_sender = random.pick(&[0, 0, 3]);
        let spacing = random.pick(&[0, 1]);
        let genesis = random_genesis(random, |params| {
            params.max_per_sender = per_sender;
            params.miner_spacing = spacing;
        });
        let (mut world, mut node) = begin(&genesis);
        let first = opening(random, &genesis);
        confirm(&mut world, &mut node, &first);
        let mut refused = HashSet::new();
        for _ in 0..25 {
            step(random, &mut world, &mut node, &mut refused);
            assert_any_subset_is_a_body(random, &mut world, &node);
        }
        node.assert_is(&world, &node.tip());
    });
}

/// I8.
#[test]
fn refused_orders_never_reach_a_template() {
    for_seeds(100..115, |random| {
        let genesis = random_genesis(random, |_| {});
        let (mut world, mut node) = begin(&genesis);
        let first = opening(random, &genesis);
        confirm(&mut world, &mut node, &first);
        let mut refused = HashSet::new();
        for _ in 0..20 {
            step(random, &mut world, &mut node, &mut refused);
            let miner = random_miner(random, &genesis, world.state(&node.tip()));
            let template = node.template(miner);
            assert!(template.transactions.iter().all(|tx| !refused.contains(&tx.txid())));
        }
    });
}

/// The entry whose registrar's action an order is, if it is one.
fn action_key(action: &Action) -> Option<StateKey> {
    match action {
        Action::List { image, .. } => Some(StateKey::Edition(*image)),
        Action::RegisterMiner { miner, .. } | Action::RevokeMiner { miner } => Some(StateKey::Miner(*miner)),
        Action::Admit { account } | Action::Expel { account } => Some(StateKey::Account(*account)),
        _ => None,
    }
}

/// Every subset of `orders` that holds the last of them, each with buyers' orders first, can be executed.
fn every_subset_executes(world: &World, tip: &Hash, orders: &[CheckedTransaction]) -> bool {
    let (last, others) = orders.split_last().unwrap();
    (0..1u32 << others.len()).all(|mask| {
        let chosen = others.iter().enumerate().filter(|(i, _)| mask & 1 << i != 0).map(|(_, order)| order);
        let mut body: Vec<_> = chosen.chain([last]).cloned().collect();
        body.sort_by_key(|order| action_key(order.action()).is_some());
        world.is_body(tip, &body)
    })
}

#[test]
fn admission_refuses_exactly_what_some_subset_could_not_hold() {
    for_seeds(0..100, |random| {
        let genesis = random_genesis(random, |_| {});
        let (mut world, mut node) = begin(&genesis);
        let first = opening(random, &genesis);
        confirm(&mut world, &mut node, &first);
        let body = random_body(random, &genesis, world.state(&node.tip()), 10);
        confirm(&mut world, &mut node, &body);
        let mut admitted: Vec<CheckedTransaction> = Vec::new();
        let tip = node.tip();
        for _ in 0..60 {
            let order = random_order(random, &genesis, world.state(&tip));
            let key = action_key(order.action());
            let pending = key.is_some() && admitted.iter().any(|other| action_key(other.action()) == key);
            let together: Vec<_> = admitted.iter().chain([&order]).cloned().collect();
            let executes = every_subset_executes(&world, &tip, &together);
            let said = node.ledger.validate(&order);
            let answer = node.admit(&order);
            assert_eq!(said, answer, "validate says what admit does");
            match &answer {
                Ok(Admitted::New) => {
                    assert!(executes && !pending, "admitted beside {admitted:#?}: {order:#?}");
                    admitted.push(order);
                }
                Ok(Admitted::Known) => panic!("it is new"),
                Err(AdmitError::ActionPending) => assert!(pending),
                Err(error) => assert!(!executes, "{error} but it fits beside {admitted:#?}: {order:#?}"),
            }
            if admitted.len() > 7 {
                break;
            }
        }
    });
}

#[test]
fn the_order_is_buyers_first_and_then_as_they_came() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let orders = [
        ask(&world, &node, "registrar", list(1, "seller", 7, 3)),
        ask(&world, &node, "alice", purchase(&[(2, 1)], 0)),
        ask(&world, &node, "registrar", register_miner("miner-4")),
        ask(&world, &node, "issuer", issue("alice", 5)),
        ask(&world, &node, "alice", purchase(&[(1, 1)], 0)),
    ];
    orders.iter().for_each(|order| assert_eq!(node.admit(order), Ok(Admitted::New)));
    let expected: Vec<_> = [1, 3, 4, 0, 2].map(|i| orders[i].txid()).to_vec();
    assert_eq!(node.waiting().iter().map(CheckedTransaction::txid).collect::<Vec<_>>(), expected);
    let block = node.mine(&mut world, "miner-1");
    assert_eq!(block.transactions().iter().map(CheckedTransaction::txid).collect::<Vec<_>>(), expected);
    node.give(&block);
    assert!(node.ledger.mempool().is_empty());
    assert_eq!(node.ledger.mempool().bytes(), 0);
}

/// S4, scenario 2.
#[test]
fn a_sold_out_image_is_refused_at_once_and_never_in_a_template() {
    let genesis = genesis_with(|params| params.max_editions = 3);
    let (mut world, mut node) = begin(&genesis);
    let all = ask(&world, &node, "alice", purchase(&[(7, 3)], 0));
    confirm(&mut world, &mut node, &[all]);
    let late = ask(&world, &node, "bob", purchase(&[(6, 1), (7, 1)], 0));
    let sold_out = StateError::SoldOut { image: 7, editions: 3, sold: 3, requested: 1 };
    assert_eq!(node.admit(&late), Err(AdmitError::State(sold_out)));
    assert_eq!(node.admit(&late).unwrap_err().rule(), Some(Rule::S4));
    assert!(!node.admit(&late).unwrap_err().is_retryable());
    assert!(node.template("miner-1").transactions.is_empty());
    assert!(node.ledger.mempool().is_empty());
    assert_eq!(node.story(&late), [Status::Refused]);
    // No part of the cart is held.
    assert_eq!(node.ledger.mempool().pending_copies(6), 0);
}

#[test]
fn of_two_that_want_the_last_edition_one_is_admitted() {
    let genesis = genesis_with(|params| params.max_editions = 1);
    let (mut world, mut node) = begin(&genesis);
    let alice = ask(&world, &node, "alice", purchase(&[(7, 1)], 0));
    let bob = ask(&world, &node, "bob", purchase(&[(7, 1)], 0));
    assert_eq!(node.admit(&alice), Ok(Admitted::New));
    let held = AdmitError::HeldByPending { image: 7, editions: 1, sold: 0, pending: 1, requested: 1 };
    assert_eq!(node.admit(&bob), Err(held.clone()));
    assert!(held.is_retryable());
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert!(matches!(node.admit(&bob), Err(AdmitError::State(StateError::SoldOut { .. }))));
    assert_eq!(node.story(&bob), [Status::Refused, Status::Refused]);
    // Bob's is in the block instead: Alice's is dropped, and she is told.
    let mut other = Node::new(&genesis);
    other.admit(&bob).unwrap();
    let advance = other.give(&block);
    assert!(matches!(
        outcomes(&advance, &bob)[..],
        [Outcome::Dropped(AdmitError::State(StateError::SoldOut { .. }))]
    ));
    assert_eq!(other.story(&bob), [Status::Pending, Status::Refused]);
}

#[test]
fn held_by_pending_ends_when_the_holder_expires() {
    let genesis = genesis_with(|params| params.max_editions = 2);
    let (mut world, mut node) = begin(&genesis);
    let holder = order_until(&genesis, "alice", 1 + EXPIRY_MARGIN, purchase(&[(7, 2)], 0));
    node.admit(&holder).unwrap();
    let waiter = ask(&world, &node, "bob", purchase(&[(7, 1)], 0));
    for height in 1..=1 + EXPIRY_MARGIN {
        assert!(matches!(node.admit(&waiter), Err(AdmitError::HeldByPending { .. })), "before {height}");
        assert!(node.waits(&holder), "it may still be in block {height}");
        let advance = confirm(&mut world, &mut node, &[]);
        assert_eq!(outcomes(&advance, &holder).len(), usize::from(height > EXPIRY_MARGIN));
    }
    assert!(!node.waits(&holder));
    assert_eq!(node.story(&holder), [Status::Pending, Status::Expired]);
    assert_eq!(node.admit(&waiter), Ok(Admitted::New));
}

#[test]
fn held_by_pending_ends_when_the_holder_dies() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let first = [
        ask(&world, &node, "registrar", list(7, "seller", 10, 1)),
        ask(&world, &node, "issuer", issue("alice", 10)),
        ask(&world, &node, "issuer", issue("bob", 10)),
    ];
    confirm(&mut world, &mut node, &first);
    let holder = ask(&world, &node, "alice", purchase(&[(7, 1)], 10));
    let waiter = ask(&world, &node, "bob", purchase(&[(7, 1)], 10));
    node.admit(&holder).unwrap();
    assert!(matches!(node.admit(&waiter), Err(AdmitError::HeldByPending { .. })));
    // Alice's money leaves through another node.
    let elsewhere = ask(&world, &node, "alice", redeem(1));
    let advance = confirm(&mut world, &mut node, &[elsewhere]);
    let poor = AdmitError::State(StateError::Balance { balance: 9, needed: 10 });
    assert_eq!(outcomes(&advance, &holder), [Outcome::Dropped(poor)]);
    assert_eq!(node.ledger.mempool().pending_copies(7), 0);
    assert_eq!(node.admit(&waiter), Ok(Admitted::New));
}

#[test]
fn an_order_that_expires_too_soon_is_refused_to_the_block() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    confirm(&mut world, &mut node, &[]);
    let next = node.height() + 1;
    let until = |expires_at| order_until(&genesis, "alice", expires_at, purchase(&[(7, 1)], 0));
    let earliest = next + EXPIRY_MARGIN;
    assert_eq!(node.admit(&until(earliest)), Ok(Admitted::New));
    let expires_at = earliest - 1;
    assert_eq!(node.admit(&until(expires_at)), Err(AdmitError::ExpiresTooSoon { expires_at, earliest }));
    assert!(matches!(node.admit(&until(next)), Err(AdmitError::ExpiresTooSoon { .. })));
    let expired = StateError::Expired { expires_at: next - 1, height: next };
    assert_eq!(node.admit(&until(next - 1)), Err(AdmitError::State(expired)));
    let latest = next + u64::from(world.params().max_validity);
    assert_eq!(node.admit(&until(latest)), Ok(Admitted::New));
    let not_yet = StateError::NotYet { expires_at: latest + 1, latest };
    assert_eq!(node.admit(&until(latest + 1)), Err(AdmitError::State(not_yet.clone())));
    assert!(AdmitError::State(not_yet).is_retryable());
}

#[test]
fn a_network_of_short_lives_has_a_shorter_margin() {
    let genesis = genesis_with(|params| params.max_validity = 4);
    let mut node = Node::new(&genesis);
    let until = |expires_at| order_until(&genesis, "alice", expires_at, purchase(&[(7, 1)], 0));
    assert_eq!(node.admit(&until(2)), Err(AdmitError::ExpiresTooSoon { expires_at: 2, earliest: 3 }));
    assert_eq!(node.admit(&until(3)), Ok(Admitted::New));
}

#[test]
fn the_same_order_again_is_known_and_sold_once() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let buy = ask(&world, &node, "alice", purchase(&[(7, 1)], 0));
    assert_eq!(node.admit(&buy), Ok(Admitted::New));
    for _ in 0..100 {
        assert_eq!(node.admit(&buy), Ok(Admitted::Known));
    }
    // Another signature over the same body is the same order.
    let message = signing_message(&genesis.hash(), &buy.txid());
    let mut again = buy.transaction().clone();
    again.signature = key("alice").sign_bytes(&message.0, &[1; 32]);
    let again = check_transaction(genesis.params(), &genesis.hash(), again).unwrap();
    assert!(again.leaf() != buy.leaf() && again.txid() == buy.txid());
    assert_eq!(node.admit(&again), Ok(Admitted::Known));
    assert_eq!(node.ledger.validate(&again), Ok(Admitted::Known));
    assert_eq!((node.ledger.mempool().len(), node.ledger.mempool().pending_copies(7)), (1, 1));
    // A block with the other signature confirms it.
    confirm(&mut world, &mut node, &[again]);
    assert!(node.ledger.mempool().is_empty());
    assert_eq!(node.story(&buy), [Status::Pending, Status::Included]);
}

/// What was included stays so in the story, whatever is sent again.
#[test]
fn a_confirmed_order_sent_again_is_refused_and_its_story_stays() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let buy = order_until(&genesis, "alice", 1 + EXPIRY_MARGIN, purchase(&[(7, 1)], 0));
    node.admit(&buy).unwrap();
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    confirm(&mut world, &mut node, &[]);
    for _ in 0..=EXPIRY_MARGIN {
        assert!(node.admit(&buy).is_err());
        assert_eq!(node.story(&buy), [Status::Pending, Status::Included]);
        confirm(&mut world, &mut node, &[]);
    }
    assert_eq!(world.state(&node.tip()).sold(7), 1);
    // A restart forgets neither the order nor its story.
    node.ledger.close().unwrap();
    let (mut node, _) = Node::open(&genesis, node.disk.clone(), node.index.clone());
    assert!(node.admit(&buy).is_err());
    assert_eq!(node.story(&buy), [Status::Pending, Status::Included]);
    assert!(node.reader.order(&buy.txid()).unwrap().unwrap().confirmed.is_some());
}

#[test]
fn one_registrars_action_waits_for_each_key() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let setup = [ask(&world, &node, "registrar", admit("bob"))];
    confirm(&mut world, &mut node, &setup);
    let first = [
        list(1, "seller", 5, 3),
        register_miner("miner-4"),
        revoke_miner("miner-3"),
        admit("alice"),
        expel("bob"),
    ];
    for action in first {
        let order = ask(&world, &node, "registrar", action);
        assert_eq!(node.admit(&order), Ok(Admitted::New));
    }
    let second = [
        list(1, "seller", 6, 3),
        register_miner("miner-4"),
        revoke_miner("miner-3"),
        admit("alice"),
        expel("bob"),
    ];
    for action in second {
        let order = ask(&world, &node, "registrar", action);
        assert_eq!(node.admit(&order), Err(AdmitError::ActionPending));
    }
    assert!(AdmitError::ActionPending.is_retryable());
    let other = ask(&world, &node, "registrar", list(2, "seller", 5, 3));
    assert_eq!(node.admit(&other), Ok(Admitted::New));
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    let again = ask(&world, &node, "registrar", list(1, "seller", 6, 3));
    assert_eq!(node.admit(&again), Ok(Admitted::New));
}

#[test]
fn pending_credits_do_not_count_and_are_named() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let first = [ask(&world, &node, "issuer", issue("alice", 50))];
    confirm(&mut world, &mut node, &first);
    let tell = |node: &mut Node, amount| {
        let order = order(&genesis, node.height() + 1, "alice", transfer("bob", amount));
        node.admit(&order)
    };
    assert!(matches!(
        tell(&mut node, 51),
        Err(AdmitError::State(StateError::Balance { balance: 50, needed: 51 }))
    ));
    assert_eq!(tell(&mut node, 50), Ok(Admitted::New));
    assert!(matches!(
        tell(&mut node, 1),
        Err(AdmitError::State(StateError::Balance { balance: 0, needed: 1 }))
    ));
    let deposit = ask(&world, &node, "issuer", issue("alice", 60));
    assert_eq!(node.admit(&deposit), Ok(Admitted::New));
    assert!(matches!(tell(&mut node, 60), Err(AdmitError::AwaitsCredit(_))));
    assert!(matches!(tell(&mut node, 1), Err(AdmitError::AwaitsCredit(_))));
    assert!(tell(&mut node, 60).unwrap_err().is_retryable());
    // Once both are confirmed, 60 are left: a credit of 60 would not cover 61, whatever is there now.
    for amount in [61, 70, 110] {
        assert!(
            matches!(tell(&mut node, amount), Err(AdmitError::State(StateError::Balance { .. }))),
            "{amount}"
        );
    }
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(tell(&mut node, 60), Ok(Admitted::New));
}

#[test]
fn one_account_cannot_fill_the_mempool() {
    let genesis = genesis_with(|params| params.max_editions = 1_000_000);
    let mut node = Node::new(&genesis);
    let buy = |sender| order(&genesis, 1, sender, purchase(&[(7, 1)], 0));
    for _ in 0..MAX_PER_ACCOUNT {
        node.admit(&buy("alice")).unwrap();
    }
    let full = node.admit(&buy("alice")).unwrap_err();
    assert!(matches!(full, AdmitError::Full { .. }) && full.is_retryable() && full.rule().is_none());
    assert_eq!(node.admit(&buy("bob")), Ok(Admitted::New));
    assert_eq!(node.ledger.mempool().len(), MAX_PER_ACCOUNT + 1);
    assert_eq!(node.reader.availability(7).pending, u32::try_from(MAX_PER_ACCOUNT + 1).unwrap());
}

#[test]
fn a_full_mempool_refuses_and_keeps_what_it_has() {
    let genesis = genesis_with(|params| params.max_editions = 1_000_000);
    let mut node = Node::new(&genesis);
    let senders: Vec<String> =
        (0..MAX_TRANSACTIONS.div_ceil(MAX_PER_ACCOUNT)).map(|i| format!("buyer-{i}")).collect();
    let buy = |sender: &str| order(&genesis, 1, sender, purchase(&[(7, 1)], 0));
    let half = senders.len() / 2;
    let make = |senders: &[String]| -> Vec<CheckedTransaction> {
        senders.iter().flat_map(|sender| (0..MAX_PER_ACCOUNT).map(|_| buy(sender))).collect()
    };
    let orders: Vec<CheckedTransaction> = std::thread::scope(|scope| {
        let other = scope.spawn(|| make(&senders[..half]));
        let mut orders = make(&senders[half..]);
        orders.extend(other.join().unwrap());
        orders
    });
    for order in &orders {
        assert_eq!(node.ledger.admit(order, Origin::Peer, 0), Ok(Admitted::New));
    }
    assert_eq!(node.ledger.mempool().len(), MAX_TRANSACTIONS);
    assert!(matches!(node.admit(&buy("late")), Err(AdmitError::Full { .. })));
    assert_eq!(node.admit(&orders[0]), Ok(Admitted::Known));
    assert_eq!(node.ledger.mempool().len(), MAX_TRANSACTIONS);
    let bytes: usize = orders.iter().map(|order| order.bytes().len()).sum();
    assert_eq!(node.ledger.mempool().bytes(), bytes);
}

#[test]
fn an_account_limit_counts_what_is_held_and_what_waits() {
    let genesis = genesis_with(|params| params.max_per_account = 3);
    let (mut world, mut node) = begin(&genesis);
    let first = [ask(&world, &node, "alice", purchase(&[(7, 1)], 0))];
    confirm(&mut world, &mut node, &first);
    let buy = |node: &mut Node, quantity| {
        let order = order(&genesis, node.height() + 1, "alice", purchase(&[(7, quantity)], 0));
        node.admit(&order)
    };
    assert_eq!(buy(&mut node, 1), Ok(Admitted::New));
    let limit = |held, requested| StateError::AccountLimit { image: 7, max: 3, held, requested };
    assert_eq!(buy(&mut node, 2), Err(AdmitError::State(limit(2, 2))));
    assert_eq!(buy(&mut node, 3), Err(AdmitError::State(limit(1, 3))));
    assert_eq!(buy(&mut node, 1), Ok(Admitted::New));
    assert_eq!(buy(&mut node, 1), Err(AdmitError::State(limit(3, 1))));
}

#[test]
fn only_own_refusals_are_remembered() {
    let genesis = genesis_with(|_| {});
    let (world, mut node) = begin(&genesis);
    let bad = ask(&world, &node, "alice", review(7, 5, b""));
    assert!(node.ledger.admit(&bad, Origin::Peer, 0).is_err());
    assert_eq!(node.story(&bad), []);
    assert!(node.reader.order(&bad.txid()).unwrap().is_none());
    assert!(node.admit(&bad).is_err());
    assert_eq!(node.story(&bad), [Status::Refused]);
}

#[test]
fn own_orders_are_due_again_with_back_off_until_they_are_mined() {
    let genesis = genesis_with(|_| {});
    let (mut world, mut node) = begin(&genesis);
    let own = ask(&world, &node, "alice", purchase(&[(7, 1)], 0));
    let peers = ask(&world, &node, "bob", purchase(&[(7, 1)], 0));
    let start = 1_000_000;
    node.ledger.admit(&own, Origin::Own, start).unwrap();
    node.ledger.admit(&peers, Origin::Peer, start).unwrap();
    let due = |node: &mut Node, now| node.ledger.due_orders(now).len();
    assert_eq!(due(&mut node, start), 0);
    let times: Vec<u64> =
        (0..4_000).map(|s| s * 1_000).filter(|at| due(&mut node, start + at) == 1).collect();
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() > 3 && pauses[0] == 2 * times[0], "it doubles: {times:?}");
    assert!(pauses.is_sorted() && pauses.last() <= Some(&600_000), "and stays bounded: {times:?}");
    // A peer's that this node's own client sends too becomes its own.
    node.ledger.admit(&peers, Origin::Own, start).unwrap();
    let late = due(&mut node, start + times.last().unwrap());
    assert_eq!(late, 1);
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(due(&mut node, u64::MAX), 0);
}

#[test]
fn a_listing_and_the_purchases_that_wait_leave_room_for_one_another() {
    let genesis = genesis_with(|params| {
        params.catalogue = Catalogue::Open;
        params.admission = Admission::Open;
    });
    let (mut world, mut node) = begin(&genesis);
    let two = ask(&world, &node, "alice", purchase(&[(7, 2)], 0));
    node.admit(&two).unwrap();
    let fewer = ask(&world, &node, "registrar", list(7, "seller", 9, 1));
    let held = AdmitError::HeldByPending { image: 7, editions: 1, sold: 0, pending: 2, requested: 0 };
    assert_eq!(node.admit(&fewer), Err(held));
    let three = ask(&world, &node, "registrar", list(7, "seller", 9, 3));
    assert_eq!(node.admit(&three), Ok(Admitted::New));
    let one = ask(&world, &node, "bob", purchase(&[(7, 1)], 0));
    assert_eq!(node.admit(&one), Ok(Admitted::New));
    let too_many = ask(&world, &node, "carol", purchase(&[(7, 1)], 0));
    let held = AdmitError::HeldByPending { image: 7, editions: 3, sold: 0, pending: 3, requested: 1 };
    assert_eq!(node.admit(&too_many), Err(held));
    // The listing alone in a block: the price changed under those that wait, and they are told.
    let advance = confirm(&mut world, &mut node, &[three]);
    let price = |got| Outcome::Dropped(AdmitError::State(StateError::Price { expected: got, got: 0 }));
    assert_eq!(outcomes(&advance, &two), [price(18)]);
    assert_eq!(outcomes(&advance, &one), [price(9)]);
    assert!(node.ledger.mempool().is_empty());
}

#[test]
fn orders_of_the_same_reference_by_two_senders_are_two() {
    let genesis = genesis_with(|_| {});
    let mut node = Node::new(&genesis);
    for sender in BUYERS {
        let buy = order_with(&genesis, sender, [9; 16], 20, purchase(&[(7, 1)], 0));
        assert_eq!(node.admit(&buy), Ok(Admitted::New));
        assert_eq!(node.ledger.mempool().get(&buy.txid()).unwrap().sender(), &public(sender));
    }
}
