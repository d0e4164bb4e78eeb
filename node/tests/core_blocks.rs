//! What the core does with blocks: one verdict for each announcement, what is early waits, what is bad stays bad.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod core_support;
#[path = "core_blocks/full_disk.rs"]
mod full_disk;
#[path = "core_blocks/own_key.rs"]
mod own_key;

use std::sync::Arc;

use core_support::world::Wrong;
use core_support::{
    LATER, Rig, World, asked, at_genesis, bare_siblings, chain, genesis_with, is_bodies, is_headers, order,
    purchase, reported, signed, verdicts,
};
use printsy_consensus::{
    Block, BlockCheckError, CheckedBlock, CheckedHeader, Fault, Hash, Header, HeaderError, Rule, codec,
    transactions_root,
};
use printsy_node::core::{BlockSource, BlockVerdict, Effect, Event, PeerAnswer, Ticket};
use printsy_p2p::{MessageKey, PeerKey, Verdict};

/// What a node of these tests holds back at the most.
const MAX_HELD: usize = 64;

/// A network, and a node with two peers that have nothing but genesis.
fn network() -> (World, Rig) {
    let genesis = genesis_with(|_| {});
    let world = World::new(&genesis);
    let mut rig = Rig::new(&genesis);
    for peer in [1, 2] {
        rig.join(peer, at_genesis(&world));
    }
    (world, rig)
}

/// A body that its peer has.
fn just(block: &Arc<CheckedBlock>) -> impl Fn(&Hash) -> Option<Arc<CheckedBlock>> {
    let block = block.clone();
    move |id| (*id == block.id()).then(|| block.clone())
}

/// Ticks for a minute; no verdict on the message comes of it.
fn assert_no_more(rig: &mut Rig, message: MessageKey) {
    for _ in 0..60 {
        let effects = rig.wait(1_000);
        assert!(verdicts(&effects, message).is_empty(), "{effects:?}");
    }
}

#[test]
fn an_announcement_is_accepted_when_its_block_connects() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[]);
    let (message, effects) = rig.announce(1, *block.header());
    assert!(verdicts(&effects, message).is_empty(), "nothing is forwarded before: {effects:?}");
    assert_eq!(asked(&effects, is_bodies), [1], "who showed it has it");
    let effects = rig.answer_bodies(1, just(&block)).unwrap();
    assert_eq!(verdicts(&effects, message), [Verdict::Accept]);
    assert_eq!(rig.tip(), block.id());
    assert_no_more(&mut rig, message);
}

#[test]
fn an_announcement_is_rejected_when_its_block_breaks_a_rule() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let wrong = Wrong { state_root: true, ..Wrong::default() };
    let block = world.make_wrong(&root, "miner-1", &[], wrong);
    let (message, effects) = rig.announce(1, *block.header());
    assert!(verdicts(&effects, message).is_empty());
    let effects = rig.answer_bodies(1, just(&block)).unwrap();
    assert_eq!(verdicts(&effects, message), [Verdict::Reject], "B6");
    assert_eq!(rig.tip(), root);
    let (again, effects) = rig.announce(2, *block.header());
    assert_eq!(verdicts(&effects, again), [Verdict::Ignore], "it is known");
    let child = world.make(&block.id(), "miner-2", &[]);
    let (message, effects) = rig.announce(2, *child.header());
    assert_eq!(verdicts(&effects, message), [Verdict::Reject], "nothing stands on it");
    assert!(!rig.is_asked(&block.id()) && !rig.is_asked(&child.id()));
    assert_no_more(&mut rig, message);
}

#[test]
fn an_announcement_that_cannot_be_judged_is_ignored_at_once() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let blocks = chain(&mut world, &root, "miner-1", 2);
    // A parent that is not known: the headers that lead there are asked for.
    let (message, effects) = rig.announce(1, *blocks[1].header());
    assert_eq!(verdicts(&effects, message), [Verdict::Ignore]);
    assert_eq!(asked(&effects, is_headers), [1]);
    // A miner that is not known: the same, of another peer.
    let stranger = bare_siblings(&world.genesis, "nobody", 1).remove(0);
    let (message, effects) = rig.announce(2, stranger);
    assert_eq!(verdicts(&effects, message), [Verdict::Ignore]);
    assert_eq!(asked(&effects, is_headers), [2]);
    assert_eq!(rig.headers(), 0, "nothing of them is kept");
    // What is on the chain.
    rig.submit(&blocks[0]);
    let (message, effects) = rig.announce(1, *blocks[0].header());
    assert_eq!(verdicts(&effects, message), [Verdict::Ignore]);
    assert!(asked(&effects, is_bodies).is_empty());
    // A header whose signature is wrong is none: that is its sender's fault.
    let from = rig.message(1);
    let effects = rig.give(Event::Announced { header: Err(HeaderError::Signature), from });
    assert_eq!(verdicts(&effects, from.message), [Verdict::Reject]);
    assert_no_more(&mut rig, from.message);
}

#[test]
fn a_second_announcement_is_ignored_and_the_first_still_gets_its_verdict() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[]);
    let (first, _) = rig.announce(1, *block.header());
    let (second, effects) = rig.announce(2, *block.header());
    assert_eq!(verdicts(&effects, second), [Verdict::Ignore]);
    assert!(verdicts(&effects, first).is_empty());
    let effects = rig.answer_bodies(1, just(&block)).unwrap();
    assert_eq!(verdicts(&effects, first), [Verdict::Accept]);
    assert!(verdicts(&effects, second).is_empty());
}

#[test]
fn an_announcement_whose_block_comes_too_late_gets_no_verdict_any_more() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[]);
    let (message, _) = rig.announce(1, *block.header());
    rig.wait(8_000);
    let effects = rig.answer_bodies(1, just(&block)).unwrap();
    assert_eq!(rig.tip(), block.id());
    assert!(verdicts(&effects, message).is_empty(), "gossip has given it up: {effects:?}");
}

#[test]
fn a_header_from_the_future_is_ignored_now_and_fetched_when_due() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let ahead = world.params().max_future_ms;
    let wrong = Wrong { time: Some(rig.now + ahead + 500), ..Wrong::default() };
    let block = world.make_wrong(&root, "miner-1", &[], wrong);
    let (message, effects) = rig.announce(1, *block.header());
    assert_eq!(verdicts(&effects, message), [Verdict::Ignore]);
    assert!(asked(&effects, is_bodies).is_empty());
    assert!(asked(&rig.wait(499), is_bodies).is_empty());
    assert_eq!(rig.headers(), 0);
    assert_eq!(asked(&rig.wait(1), is_bodies), [1]);
    rig.answer_bodies(1, just(&block)).unwrap();
    assert_eq!(rig.tip(), block.id());
}

#[test]
fn a_block_from_the_future_is_held_and_connects_when_its_time_comes() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let ahead = world.params().max_future_ms;
    let wrong = Wrong { time: Some(rig.now + ahead + 1), ..Wrong::default() };
    let block = world.make_wrong(&root, "miner-1", &[], wrong);
    let (answer, effects) = rig.submit(&block);
    assert_eq!((answer.verdict, answer.rule), (BlockVerdict::Held, Some(Rule::H7)));
    assert!(reported(&effects).is_empty());
    rig.wait(0);
    assert_eq!(rig.tip(), root);
    let effects = rig.wait(1);
    assert_eq!(rig.tip(), block.id());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Announce(_))), "{effects:?}");
    rig.wait(1);
    let on_time = Wrong { time: Some(rig.now + ahead), ..Wrong::default() };
    let child = world.make_wrong(&block.id(), "miner-2", &[], on_time);
    assert_eq!(rig.submit(&child).0.verdict, BlockVerdict::Accepted, "at the very limit");
}

#[test]
fn what_is_held_is_bounded_and_the_nearest_are_kept() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let first = rig.now + world.params().max_future_ms + 1;
    let mut blocks = Vec::new();
    for n in 0..MAX_HELD as u64 + 16 {
        let wrong = Wrong { time: Some(first + n), nonce: n << 32, ..Wrong::default() };
        blocks.push(world.make_wrong(&root, "miner-1", &[], wrong));
    }
    // The furthest first: the order of arrival decides nothing.
    for block in blocks.iter().rev() {
        assert_eq!(rig.submit(block).0.verdict, BlockVerdict::Held);
    }
    rig.wait(10_000);
    assert_eq!(rig.headers(), MAX_HELD);
    let is_kept = |block: &Arc<CheckedBlock>| rig.core.ledger().tree().has_body(&block.id());
    assert!(blocks[..MAX_HELD].iter().all(is_kept));
    assert!(!blocks[MAX_HELD..].iter().any(is_kept));
    assert_eq!(rig.tip(), world.best(&blocks[..MAX_HELD].iter().map(|b| b.id()).collect::<Vec<_>>()));
}

/// A block that is right but for one transaction, whose signature is not its sender's, under a root that matches.
fn with_a_bad_order(world: &World) -> (CheckedHeader, BlockCheckError) {
    let genesis = &world.genesis;
    let mut bad = order(genesis, 1, "alice", purchase(&[(1, 1)], 0)).transaction().clone();
    bad.signature[7] ^= 1;
    let above = genesis.header().header;
    let header = Header {
        parent: above.id(),
        transactions_root: transactions_root(&[bad.leaf(&bad.body.txid())]),
        height: 1,
        time: above.time + 1_000,
        miner: core_support::public("miner-1"),
        nonce: 0,
        ..above
    };
    let header = signed(header, "miner-1");
    let bytes = codec::encode(&Block { header, transactions: vec![bad] });
    let error = CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &|_| None).unwrap_err();
    (CheckedHeader::check(header).unwrap(), error)
}

#[test]
fn a_bad_order_under_a_matching_root_condemns_the_block_for_good() {
    let (mut world, mut rig) = network();
    let (header, error) = with_a_bad_order(&world);
    assert_eq!((error.rule(), error.fault()), (Rule::T2, Fault::Block));
    let id = header.id();
    let (message, _) = rig.announce(1, header);
    let answer = PeerAnswer::Bodies(vec![Err((id, error))]);
    let effects = rig.answer(1, is_bodies, answer).unwrap();
    assert_eq!(verdicts(&effects, message), [Verdict::Reject]);
    assert_eq!(reported(&effects), [1]);
    assert!(asked(&effects, is_bodies).is_empty());
    let child = Header {
        parent: id,
        height: 2,
        time: header.header().time + 1_000,
        miner: core_support::public("miner-2"),
        ..*header.header()
    };
    let child = CheckedHeader::check(signed(child, "miner-2")).unwrap();
    for _ in 0..30 {
        let (message, effects) = rig.announce(2, child);
        assert_eq!(verdicts(&effects, message), [Verdict::Reject]);
        let (message, effects) = rig.announce(2, header);
        assert_eq!(verdicts(&effects, message), [Verdict::Ignore]);
        rig.wait(1_000);
        assert!(!rig.is_asked(&id) && !rig.is_asked(&child.id()));
    }
    assert_eq!(rig.headers(), 1, "the id alone is remembered");
    assert_eq!(rig.tip(), world.root());
    // Another block takes its place.
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[]);
    assert_eq!(rig.submit(&block).0.verdict, BlockVerdict::Accepted);
    assert!(rig.now > world.params().time + LATER);
}

#[test]
fn a_callers_block_found_bad_alone_condemns_an_id_that_is_on_its_way() {
    let (world, mut rig) = network();
    let (header, _) = with_a_bad_order(&world);
    let (message, _) = rig.announce(1, header);
    let effects = rig.give(Event::BadBlock { id: header.id() });
    assert_eq!(verdicts(&effects, message), [Verdict::Reject]);
    for _ in 0..30 {
        assert!(asked(&rig.wait(1_000), is_bodies).is_empty());
    }
}

#[test]
fn a_body_that_only_its_sender_garbled_condemns_nothing() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[]);
    let (message, _) = rig.announce(1, *block.header());
    let error = BlockCheckError::TransactionsRoot { expected: Hash::ZERO, got: root };
    let answer = PeerAnswer::Bodies(vec![Err((block.id(), error))]);
    let effects = rig.answer(1, is_bodies, answer).unwrap();
    assert_eq!(reported(&effects), [1]);
    assert!(verdicts(&effects, message).is_empty(), "B2 is the sender's: {effects:?}");
    // Another peer is asked, and the block is as good as ever.
    assert_eq!(asked(&effects, is_bodies), [2]);
    let effects = rig.answer_bodies(2, just(&block)).unwrap();
    assert_eq!(verdicts(&effects, message), [Verdict::Accept]);
    assert_eq!(rig.tip(), block.id());
}

#[test]
fn each_callers_block_gets_one_answer_that_says_what_became_of_it() {
    let (mut world, mut rig) = network();
    let root = world.root();
    let mut twins = [world.extend(&root, "miner-1", &[]), world.extend(&root, "miner-2", &[])];
    twins.sort_by_key(|block| block.id());
    let child = world.extend(&twins[1].id(), "miner-3", &[]);
    assert_eq!(rig.submit(&child).0.verdict, BlockVerdict::UnknownParent);
    assert_eq!(rig.submit(&twins[0]).0.verdict, BlockVerdict::Accepted);
    assert_eq!(rig.submit(&twins[1]).0.verdict, BlockVerdict::Stale, "the lower id stays");
    assert_eq!(rig.submit(&twins[1]).0.verdict, BlockVerdict::Duplicate);
    assert_eq!(rig.submit(&child).0.verdict, BlockVerdict::Accepted);
    assert_eq!(rig.tip(), child.id());
    let wrong = Wrong { state_root: true, ..Wrong::default() };
    let bad = world.make_wrong(&child.id(), "miner-1", &[], wrong);
    let source = BlockSource::Local(Ticket(9));
    for rule in [Some(Rule::B6), None] {
        let effects = rig.give(Event::Block { source, block: bad.clone() });
        let [Effect::BlockAnswer(Ticket(9), answer)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((answer.verdict, answer.rule), (BlockVerdict::Refused, rule));
        assert_eq!(answer.tip.id(), child.id());
    }
    assert_eq!(reported(&rig.give(Event::Disconnected { peer: PeerKey(1) })), Vec::<u64>::new());
}
