//! What the core does with orders: one verdict for each batch, and nothing of a refused one.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod core_support;

use std::sync::Arc;

use core_support::{
    Rig, World, asked, at_genesis, genesis_with, is_pending, order, public, published, purchase, verdicts,
};
use printsy_consensus::{CheckedTransaction, Genesis, Rule};
use printsy_ledger::Admitted;
use printsy_node::core::{
    Effect, Event, OrderRefusal, OrderSource, OrdersFailure, Room, TemplateBody, TemplateRefusal, Ticket,
};
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

#[test]
fn a_nearly_full_disk_takes_no_orders_and_makes_no_templates_but_keeps_blocks() {
    let (genesis, mut world, mut rig) = network();
    let room = |free_bytes| Event::Room(Room { free_bytes, least_bytes: 1_000 });
    let changes =
        |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::StorageChanged)).count();
    assert!(rig.give(room(1_000)).is_empty(), "the least is enough");
    let known = buying(&genesis, "alice", 1, 1);
    assert!(rig.buy(&known).0.is_ok());
    assert!(rig.template("miner-1").is_ok());
    let effects = rig.give(room(999));
    assert_eq!(changes(&effects), 1, "miners are told");
    let new = buying(&genesis, "bob", 2, 1);
    let said = rig.core.low_room().unwrap().to_string();
    assert_eq!(rig.buy(&new).0, Err(OrderRefusal::Storage(said.clone())));
    let source = OrderSource::Gossip { from: rig.message(1), all_good: true };
    let effects = rig.give(Event::Orders { source, orders: vec![new.clone()] });
    assert!(published(&effects).is_empty());
    rig.give(Event::Orders { source: OrderSource::Peer(PeerKey(1)), orders: vec![new.clone()] });
    assert!(rig.core.ledger().mempool().get(&new.txid()).is_none());
    assert_eq!(rig.template("miner-1").unwrap_err(), TemplateRefusal::Storage(said));
    // The chain is followed all the same.
    let root = world.root();
    let block = world.extend(&root, "miner-2", std::slice::from_ref(&known));
    rig.submit(&block);
    assert_eq!(rig.tip(), block.id());
    // A little room is not enough to begin again: a quarter more than the least is.
    for (free, is_low) in [(1_000, true), (1_249, true), (1_250, false), (1_000, false), (999, true)] {
        rig.give(room(free));
        assert_eq!(rig.core.low_room().is_some(), is_low, "{free}");
        assert_eq!(rig.template("miner-1").is_err(), is_low, "{free}");
    }
    rig.give(room(1_250));
    assert!(rig.buy(&new).0.is_ok());
    // Switched off, nothing is too little.
    rig.give(Event::Room(Room { free_bytes: 0, least_bytes: 0 }));
    assert_eq!(rig.core.low_room(), None);
}

#[test]
fn what_peers_have_pending_is_asked_for_again_when_there_is_room_again() {
    let (_, world, mut rig) = network();
    rig.join(1, at_genesis(&world));
    let room = |free_bytes| Event::Room(Room { free_bytes, least_bytes: 1_000 });
    assert!(asked(&rig.give(room(1)), is_pending).is_empty());
    assert_eq!(asked(&rig.give(room(2_000)), is_pending), [1]);
    assert!(asked(&rig.give(room(3_000)), is_pending).is_empty());
}

#[test]
fn a_body_grows_in_steps_and_other_events_get_their_turn_between_them() {
    let genesis = genesis_with(|_| {});
    let mut rig = Rig::new(&genesis);
    for image in 0..1_200u64 {
        let buyer = format!("buyer {}", image % 3);
        let order = order(&genesis, 1, &buyer, purchase(&[(image, 1)], 0));
        rig.buy(&order).0.unwrap();
    }
    let ask = |rig: &mut Rig, ticket: u64, body: TemplateBody| {
        rig.give(Event::Template { ticket: Ticket(ticket), miner: public("miner-1"), body })
    };
    let answered = |effects: &[Effect]| -> Vec<(u64, usize)> {
        let answers = effects.iter().filter_map(|effect| match effect {
            Effect::TemplateAnswer(ticket, Ok((_, template))) => {
                Some((ticket.0, template.transactions.len()))
            }
            _ => None,
        });
        answers.collect()
    };
    assert!(answered(&ask(&mut rig, 1, TemplateBody::Paced)).is_empty(), "the first step is not the last");
    assert!(rig.core.is_growing());
    // What follows from other events is told before the next step: none of them grows the body.
    let grown = rig.core.ledger().templated_orders();
    assert_eq!(answered(&ask(&mut rig, 2, TemplateBody::Empty)), [(2, 0)]);
    assert!(answered(&ask(&mut rig, 3, TemplateBody::Paced)).is_empty());
    rig.wait(1);
    assert_eq!(rig.core.ledger().templated_orders(), grown);
    // The first template of a tip does not wait for it; who asks meanwhile is answered with the others.
    assert!(answered(&rig.give(Event::Grow)).is_empty());
    assert_eq!(answered(&rig.give(Event::Grow)), [(1, 1_200), (3, 1_200)]);
    assert!(!rig.core.is_growing());
    rig.wait(2_000);
    let late = order(&genesis, 1, "alice", purchase(&[(2_000, 1)], 0));
    rig.buy(&late).0.unwrap();
    assert_eq!(answered(&ask(&mut rig, 4, TemplateBody::Paced)), [(4, 1_201)], "one step is enough");
}
