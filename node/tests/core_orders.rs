//! What the core does with orders: one verdict for each batch, and nothing of a refused one.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod core_support;

use std::sync::Arc;

use core_support::{Rig, World, genesis_with, order, published, purchase, verdicts};
use printsy_consensus::{CheckedTransaction, Genesis, Rule};
use printsy_ledger::Admitted;
use printsy_node::core::{Effect, Event, OrderRefusal, OrderSource, OrdersFailure};
use printsy_p2p::{PeerKey, Verdict};

/// A network of three copies an image.
fn network() -> (Arc<Genesis>, World, Rig) {
    let genesis = genesis_with(|params| params.max_editions = 3);
    (genesis.clone(), World::new(&genesis), Rig::new(&genesis))
}

fn buying(genesis: &Genesis, buyer: &str, image: u64, quantity: u32) -> CheckedTransaction {
    order(genesis, 1, buyer, purchase(&[(image, quantity)], 0))
}

/// Gives a gossiped batch; its verdicts and what is published.
fn gossip(
    rig: &mut Rig,
    orders: &[&CheckedTransaction],
    all_good: bool,
) -> (Vec<Verdict>, Vec<Vec<Vec<u8>>>) {
    let from = rig.message(1);
    let source = OrderSource::Gossip { from, all_good };
    let orders = orders.iter().copied().cloned().collect();
    let effects = rig.give(Event::Orders { source, orders });
    (verdicts(&effects, from.message), published(&effects))
}

fn batch(orders: &[&CheckedTransaction]) -> Vec<Vec<u8>> {
    orders.iter().map(|order| order.bytes().to_vec()).collect()
}

#[test]
fn a_batch_all_admitted_or_known_is_accepted_and_not_said_again() {
    let (genesis, _, mut rig) = network();
    let (one, two) = (buying(&genesis, "alice", 1, 1), buying(&genesis, "bob", 2, 3));
    assert_eq!(gossip(&mut rig, &[&one], true), (vec![Verdict::Accept], vec![]));
    assert_eq!(gossip(&mut rig, &[&one, &two], true), (vec![Verdict::Accept], vec![]), "one is known");
    assert_eq!(gossip(&mut rig, &[&one, &two], true), (vec![Verdict::Accept], vec![]), "both are");
    assert_eq!(rig.core.ledger().mempool().len(), 2);
}

#[test]
fn a_batch_with_one_refused_by_state_is_ignored_and_its_good_ones_travel_on() {
    let (genesis, _, mut rig) = network();
    let good = buying(&genesis, "alice", 1, 2);
    let bad = buying(&genesis, "bob", 1, 2);
    let other = buying(&genesis, "carol", 2, 1);
    let (verdict, said) = gossip(&mut rig, &[&good, &bad, &other], true);
    assert_eq!(verdict, [Verdict::Ignore]);
    assert_eq!(said, [batch(&[&good, &other])], "one batch of the good ones");
    assert!(rig.core.ledger().mempool().get(&bad.txid()).is_none());
    assert_eq!(gossip(&mut rig, &[&good, &bad], true), (vec![Verdict::Ignore], vec![]), "nothing is new");
}

#[test]
fn a_batch_with_one_malformed_is_rejected_and_its_good_ones_travel_on() {
    let (genesis, _, mut rig) = network();
    let (good, other) = (buying(&genesis, "alice", 1, 1), buying(&genesis, "carol", 2, 1));
    assert_eq!(
        gossip(&mut rig, &[&good, &other], false),
        (vec![Verdict::Reject], vec![batch(&[&good, &other])])
    );
    assert_eq!(gossip(&mut rig, &[&good], false), (vec![Verdict::Reject], vec![]), "known ones do not");
    for (failure, verdict) in
        [(OrdersFailure::Malformed, Verdict::Reject), (OrdersFailure::Busy, Verdict::Ignore)]
    {
        let source = rig.message(1);
        let effects = rig.give(Event::BadOrders { source, failure });
        assert_eq!(verdicts(&effects, source.message), [verdict]);
        assert!(published(&effects).is_empty());
    }
}

#[test]
fn a_callers_order_is_published_once_and_again_only_when_due() {
    let (genesis, _, mut rig) = network();
    let order = buying(&genesis, "alice", 1, 1);
    let (answer, effects) = rig.buy(&order);
    assert_eq!(answer, Ok((order.txid(), Admitted::New)));
    assert_eq!(published(&effects), [batch(&[&order])]);
    let (answer, effects) = rig.buy(&order);
    assert_eq!(answer, Ok((order.txid(), Admitted::Known)));
    assert!(published(&effects).is_empty());
    assert!(published(&rig.wait(60_000)).is_empty());
    assert_eq!(published(&rig.wait(10_000)), [batch(&[&order])]);
    assert!(published(&rig.wait(1_000)).is_empty());
}

#[test]
fn a_sold_out_order_is_refused_unpublished_and_never_in_a_template() {
    let (genesis, mut world, mut rig) = network();
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[buying(&genesis, "alice", 7, 3)]);
    rig.submit(&block);
    assert_eq!(rig.tip(), block.id());
    let late = order(&genesis, 2, "bob", purchase(&[(6, 1), (7, 1)], 0));
    let before = rig.core.ledger().templated_orders();
    let (answer, effects) = rig.buy(&late);
    let Err(OrderRefusal::Admit(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.rule(), Some(Rule::S4));
    assert!(matches!(effects[..], [Effect::OrderAnswer(..)]), "an answer and nothing else: {effects:?}");
    assert_eq!(gossip(&mut rig, &[&late], true), (vec![Verdict::Ignore], vec![]));
    let source = OrderSource::Peer(PeerKey(1));
    let effects = rig.give(Event::Orders { source, orders: vec![late.clone()] });
    assert!(effects.is_empty(), "{effects:?}");
    for miner in ["miner-1", "miner-2"] {
        let (_, template) = rig.template(miner).unwrap();
        assert!(template.transactions.is_empty());
    }
    // Nor in one of a later tip, nor ever published.
    rig.submit(&world.extend(&block.id(), "miner-2", &[]));
    assert!(rig.template("miner-1").unwrap().1.transactions.is_empty());
    assert!(published(&rig.wait(700_000)).is_empty());
    assert_eq!(rig.core.ledger().templated_orders(), before);
}
