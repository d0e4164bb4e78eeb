//! Laws of templates: whatever this node offers to be mined, every node accepts; it holds all that fits, only
//! grows on one tip, and begins anew on the next.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{
    BlockError, CheckedTransaction, EMPTY_BLOCK_BYTES, Hash, Rule, StateView, block_bytes,
};
use printsy_ledger::{Admitted, Template, TemplateError};
use support::random::{opening, random_miner};
use support::templates::{Tally, templates_are_valid};
use support::world::seal;
use support::{
    Node, World, for_seeds, genesis_with, issue, list, order, public, purchase, random_genesis, random_order,
    register_miner, review, revoke_miner, transfer,
};

fn ids(template: &Template) -> Vec<Hash> {
    template.transactions.iter().map(CheckedTransaction::txid).collect()
}

#[test]
fn what_a_template_says_every_ledger_accepts() {
    for_seeds(0..40, |random| {
        let per_sender = random.pick(&[0, 2]);
        let spacing = random.pick(&[0, 2]);
        let genesis = random_genesis(random, |params| {
            params.max_per_sender = per_sender;
            params.miner_spacing = spacing;
        });
        let mut world = World::new(&genesis);
        let (mut maker, mut other) = (Node::new(&genesis), Node::new(&genesis));
        let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
        maker.give(&first);
        other.give(&first);
        for _ in 0..12 {
            for _ in 0..random.below(20) {
                let order = random_order(random, &genesis, world.state(&maker.tip()));
                let _refused_or_not = maker.admit(&order);
                // Templates asked for on the way change nothing.
                if random.chance(4) {
                    let miner = random_miner(random, &genesis, world.state(&maker.tip()));
                    maker.template(miner);
                }
            }
            let miner = random_miner(random, &genesis, world.state(&maker.tip()));
            let block = maker.mine(&mut world, miner);
            let verdict = world.verdict(&block);
            assert!(verdict.is_none(), "{verdict:?}");
            let advance = other.give(&block);
            assert!(advance.refused.is_empty());
            assert_eq!(other.tip(), block.id());
            maker.give(&block);
        }
        maker.assert_is(&world, &other.tip());
        other.assert_is(&world, &maker.tip());
    });
}

/// `scripts/torture templates` judges ten thousand.
#[test]
fn no_template_is_invalid_whatever_happens_between_them() {
    let tally = std::cell::Cell::new(Tally::default());
    for_seeds(0..15, |random| {
        let (sum, one) = (tally.get(), templates_are_valid(random, 25));
        tally.set(Tally {
            templates: sum.templates + one.templates,
            with_registry: sum.with_registry + one.with_registry,
            late_blocks: sum.late_blocks + one.late_blocks,
            reorganisations: sum.reorganisations + one.reorganisations,
            refused: sum.refused + one.refused,
            ..Tally::default()
        });
    });
    let tally = tally.get();
    assert_eq!(tally.templates, 15 * 25);
    let rare = [tally.with_registry, tally.late_blocks, tally.reorganisations, tally.refused];
    assert!(rare.iter().all(|count| *count > 10), "a workload without them proves little: {tally:?}");
}

#[test]
fn the_first_template_of_a_tip_holds_nothing_and_the_present_one_what_was_put_into_it() {
    let genesis = genesis_with(|_| {});
    let mut node = Node::new(&genesis);
    let [one, two] = [1, 2].map(|image| order(&genesis, 1, "alice", purchase(&[(image, 1)], 0)));
    node.admit(&one).unwrap();
    let miner = public("miner-1");
    assert_eq!(ids(&node.ledger.empty_template(miner, 0).unwrap()), []);
    assert_eq!(ids(&node.ledger.present_template(miner, 0).unwrap()), []);
    assert_eq!(ids(&node.template("miner-1")), [one.txid()]);
    node.admit(&two).unwrap();
    assert_eq!(ids(&node.ledger.present_template(miner, 0).unwrap()), [one.txid()]);
    assert_eq!(ids(&node.ledger.empty_template(miner, 0).unwrap()), []);
    assert_eq!(ids(&node.template("miner-2")), [one.txid(), two.txid()]);
}

#[test]
fn a_body_that_grows_in_steps_is_the_same_and_large_ones_are_valid_too() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut orders = Vec::new();
    for image in 0..600u64 {
        orders.push(order(
            &genesis,
            1,
            if image % 2 == 0 { "alice" } else { "bob" },
            purchase(&[(image, 1)], 0),
        ));
        node.admit(&orders[orders.len() - 1]).unwrap();
    }
    for expected in [250, 500, 600] {
        let is_more = node.ledger.grow_template(250).unwrap();
        assert_eq!(is_more, expected < 600);
        let present = node.ledger.present_template(public("miner-1"), 0).unwrap();
        assert_eq!(
            ids(&present),
            orders[..expected].iter().map(CheckedTransaction::txid).collect::<Vec<_>>()
        );
        let block = seal(&genesis, present.header, "miner-1", &present.transactions);
        assert!(world.verdict(&block).is_none());
    }
    let block = node.mine(&mut world, "miner-2");
    assert_eq!(block.transactions().len(), 600);
    assert!(node.give(&block).refused.is_empty());
    assert_eq!(node.ledger.template_faults(), 0);
}

#[test]
fn a_template_grows_with_the_mempool_and_serves_every_miner() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut before = ids(&node.template("miner-1"));
    assert!(before.is_empty());
    for image in 0..20 {
        let buy = order(&genesis, 1, "alice", purchase(&[(image, 1)], 0));
        node.admit(&buy).unwrap();
        if image % 3 == 0 {
            let after = ids(&node.template("miner-1"));
            assert!(after.starts_with(&before), "what was executed stays");
            assert_eq!(after.len(), node.ledger.mempool().len());
            before = after;
        }
    }
    let templates = ["miner-1", "miner-2", "registrar"].map(|miner| (miner, node.template(miner)));
    for (miner, template) in &templates {
        assert_eq!(template.header.miner, public(miner));
        assert_eq!(ids(template), ids(&templates[0].1));
        let block = seal(&genesis, template.header, miner, &template.transactions);
        assert!(world.verdict(&block).is_none(), "{miner}'s");
    }
    assert!(templates[0].1.header.state_root != templates[1].1.header.state_root);
    let block = node.mine(&mut world, "miner-2");
    node.give(&block);
    node.assert_is(&world, &block.id());
}

#[test]
fn a_new_tip_begins_a_new_template() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let [one, two] = [1, 2].map(|image| order(&genesis, 1, "alice", purchase(&[(image, 1)], 0)));
    node.admit(&one).unwrap();
    node.admit(&two).unwrap();
    assert_eq!(ids(&node.template("miner-1")).len(), 2);
    let elsewhere = world.extend(&node.tip(), "miner-2", &[one]);
    node.give(&elsewhere);
    let template = node.template("miner-1");
    assert_eq!((template.header.parent, template.header.height), (elsewhere.id(), 2));
    assert_eq!(ids(&template), [two.txid()]);
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert!(node.template("miner-1").transactions.is_empty());
}

/// B5.
#[test]
fn a_template_holds_no_more_of_one_sender_than_the_rule() {
    let genesis = genesis_with(|params| params.max_per_sender = 2);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    for image in 0..5 {
        for sender in ["alice", "bob"] {
            let buy = order(&genesis, 1, sender, purchase(&[(image, 1)], 0));
            node.admit(&buy).unwrap();
        }
        for (sender, action) in
            [("issuer", issue("alice", 5)), ("registrar", list(50 + image, "seller", 5, 1))]
        {
            let order = order(&genesis, 1, sender, action);
            node.admit(&order).unwrap();
        }
    }
    for (height, expected) in [(1, 2 + 2 + 5 + 5), (2, 2 + 2), (3, 1 + 1), (4, 0)] {
        let block = node.mine(&mut world, "miner-1");
        assert_eq!(block.transactions().len(), expected, "at height {height}");
        assert!(node.give(&block).refused.is_empty());
    }
    assert!(node.ledger.mempool().is_empty());
}

/// B1.
/// What a block of 65,536 bytes has for all but registrars, for whose actions the rest is kept.
const FOR_ALL: usize = 65_536 - 8_192;

#[test]
fn a_template_fits_the_largest_block_and_the_rest_follows() {
    let genesis = genesis_with(|params| params.max_block_bytes = 65_536);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut orders = Vec::new();
    for cart in 0..45u64 {
        let lines: Vec<(u64, u32)> = (0..256).map(|line| (cart * 256 + line, 1)).collect();
        orders.push(order(&genesis, 1, "alice", purchase(&lines, 0)));
    }
    orders.push(order(&genesis, 1, "bob", purchase(&[(90_000, 1)], 0)));
    orders.iter().for_each(|order| assert_eq!(node.admit(order), Ok(Admitted::New)));
    let largest = orders[0].bytes().len();
    let mut confirmed = Vec::new();
    while !node.ledger.mempool().is_empty() {
        let block = node.mine(&mut world, "miner-1");
        assert!(block.bytes().len() <= FOR_ALL);
        let is_last = block.transactions().len() == node.ledger.mempool().len();
        assert!(is_last || block.bytes().len() + largest > FOR_ALL, "as much as fits");
        confirmed.extend(block.transactions().iter().map(CheckedTransaction::txid));
        if confirmed.len() == block.transactions().len() {
            assert!(confirmed.contains(&orders[45].txid()), "a small order goes where a large one does not");
        }
        assert!(node.give(&block).refused.is_empty());
    }
    confirmed.sort_unstable();
    let mut expected: Vec<Hash> = orders.iter().map(CheckedTransaction::txid).collect();
    expected.sort_unstable();
    assert_eq!(confirmed, expected);
}

#[test]
fn a_template_fills_a_block_to_the_byte() {
    // A block of exactly the limit: reviews of chosen lengths fill the last bytes.
    let genesis = genesis_with(|params| params.max_block_bytes = 65_536);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(1, 1)], 0));
    let first = world.extend(&node.tip(), "miner-1", &[buy]);
    node.give(&first);
    let write = |len: usize| order(&genesis, 2, "alice", review(1, 5, &vec![b'x'; len]));
    let empty = write(0).bytes().len();
    let mut room = FOR_ALL - EMPTY_BLOCK_BYTES;
    while room > 2 * (empty + 1_024) {
        let order = write(1_024);
        room -= order.bytes().len();
        node.admit(&order).unwrap();
    }
    let half = write(room / 2 - empty);
    room -= half.bytes().len();
    let last = write(room - empty);
    let too_much = write(room - empty + 1);
    for order in [&half, &too_much, &last] {
        node.admit(order).unwrap();
    }
    let block = node.mine(&mut world, "miner-1");
    assert_eq!(block.bytes().len(), FOR_ALL);
    assert_eq!(node.ledger.mempool().len() - block.transactions().len(), 1);
    assert!(node.give(&block).refused.is_empty());
    assert!(node.waits(&too_much));
}

#[test]
fn a_flood_does_not_keep_a_registrar_out_of_the_block() {
    let genesis = genesis_with(|params| params.max_block_bytes = 65_536);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    for cart in 0..45u64 {
        let lines: Vec<(u64, u32)> = (0..256).map(|line| (cart * 256 + line, 1)).collect();
        node.admit(&order(&genesis, 1, "alice", purchase(&lines, 0))).unwrap();
    }
    let registrars = order(&genesis, 1, "registrar", list(90_000, "seller", 9, 4));
    node.admit(&registrars).unwrap();
    let block = node.mine(&mut world, "miner-1");
    assert!(block.transactions().iter().any(|tx| tx.txid() == registrars.txid()));
    assert!(node.give(&block).refused.is_empty());
}

#[test]
fn registrars_actions_stand_last_and_change_no_terms_in_their_block() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let listing = order(&genesis, 1, "registrar", list(7, "seller", 9, 4));
    let register = order(&genesis, 1, "registrar", register_miner("miner-4"));
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    let pay = order(&genesis, 1, "issuer", issue("alice", 9));
    for order in [&listing, &register, &buy, &pay] {
        node.admit(order).unwrap();
    }
    let expected = [&buy, &pay, &listing, &register].map(CheckedTransaction::txid);
    assert_eq!(ids(&node.template("miner-1")), expected);
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(world.state(&block.id()).edition(7).price, 9);
    assert_eq!(world.state(&block.id()).sold(7), 1);
}

#[test]
fn an_order_that_a_template_cannot_hold_is_passed_over_and_waits() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let listing = order(&genesis, 1, "registrar", list(7, "seller", 9, 4));
    node.admit(&listing).unwrap();
    assert_eq!(ids(&node.template("miner-1")), [listing.txid()]);
    // The listing is executed in this template already: the order at the old price does not fit behind it.
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 1)], 0));
    node.admit(&buy).unwrap();
    let block = node.mine(&mut world, "miner-1");
    assert!(world.verdict(&block).is_none());
    assert!(node.waits(&buy));
    // On the next tip at the latest it is in a block, or told why not.
    node.give(&block);
    assert!(!node.waits(&buy) || world.state(&node.tip()).confirmed.contains_key(&buy.txid()));
}

#[test]
fn a_template_may_revoke_its_own_miner() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let revoke = order(&genesis, 1, "registrar", revoke_miner("miner-1"));
    node.admit(&revoke).unwrap();
    assert!(node.ledger.may_mine(&public("miner-1")));
    let block = node.mine(&mut world, "miner-1");
    assert!(node.give(&block).refused.is_empty());
    assert!(!node.ledger.may_mine(&public("miner-1")));
    assert!(node.ledger.may_mine(&public("registrar")));
    assert!(matches!(
        node.ledger.template(public("miner-1"), 0),
        Err(TemplateError::Miner(BlockError::MinerNotRegistered { .. }))
    ));
    node.assert_is(&world, &block.id());
}

/// B3 and B4.
#[test]
fn a_miner_that_may_not_make_the_next_block_gets_no_template() {
    let genesis = genesis_with(|params| params.miner_spacing = 2);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    // The rule, and the height of the next block it may make.
    let refusal = |node: &mut Node, miner: &str| match node.ledger.template(public(miner), 0) {
        Ok(_) => None,
        Err(TemplateError::Miner(error)) => Some((error.rule()?, 0)),
        Err(TemplateError::Pause { error, height }) => Some((error.rule()?, height)),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(refusal(&mut node, "nobody"), Some((Rule::B3, 0)));
    for (miner, refused) in [
        ("miner-1", &[("miner-1", 4)][..]),
        ("miner-2", &[("miner-1", 4), ("miner-2", 5)]),
        ("miner-3", &[("miner-2", 5), ("miner-3", 6)]),
        ("miner-1", &[("miner-1", 7), ("miner-3", 6)]),
    ] {
        let block = node.mine(&mut world, miner);
        assert!(node.give(&block).refused.is_empty());
        for name in ["miner-1", "miner-2", "miner-3"] {
            let expected = refused.iter().find(|(who, _)| *who == name).map(|(_, at)| (Rule::B4, *at));
            assert_eq!(refusal(&mut node, name), expected, "{name} after {miner}");
        }
    }
}

/// H6, and the clock.
#[test]
fn a_template_has_the_time_of_the_clock_or_the_earliest_allowed() {
    let genesis = genesis_with(|params| params.min_interval_ms = 500);
    let mut node = Node::new(&genesis);
    let parent = genesis.header().header.time;
    let mut time = |now| node.ledger.template(public("miner-1"), now).unwrap().header.time;
    assert_eq!(time(parent + 7_000), parent + 7_000);
    assert_eq!(time(parent + 500), parent + 500);
    assert_eq!(time(parent + 499), parent + 500);
    assert_eq!(time(0), parent + 500);
}

#[test]
fn an_unconfirmed_credit_is_not_spent_in_the_same_template() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let pay = order(&genesis, 1, "issuer", issue("alice", 9));
    let spend = order(&genesis, 1, "alice", transfer("bob", 9));
    node.admit(&pay).unwrap();
    assert!(node.admit(&spend).is_err());
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    node.admit(&spend).unwrap();
    let block = node.mine(&mut world, "miner-1");
    node.give(&block);
    assert_eq!(node.reader.snapshot().account(&public("bob")).unwrap().balance, 9);
}

#[test]
fn the_header_and_body_of_a_template_are_the_block() {
    let genesis = genesis_with(|_| {});
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(1, 1)], 0));
    node.admit(&buy).unwrap();
    let template = node.template("miner-1");
    let block = Arc::new(seal(&genesis, template.header, "miner-1", &template.transactions));
    assert_eq!(block.bytes(), block_bytes(block.header().signed(), &[buy]));
    assert_eq!(template.header.nonce, 0);
}
