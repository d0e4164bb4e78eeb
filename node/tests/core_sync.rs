//! How the core follows a chain: headers bounded, bodies of whoever gives them, nobody able to hold it up.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "core_sync/alarm.rs"]
mod alarm;
mod core_support;

use std::sync::Arc;

use core_support::orders::register_miner;
use core_support::{
    Rig, World, asked, at_genesis, bare_chain, bare_siblings, chain, genesis_with, headers_of, is_bodies,
    is_headers, order, purchase, reported, status,
};
use printsy_consensus::{CheckedBlock, Hash};
use printsy_node::core::{Event, FAR_AHEAD, OrderRefusal, PeerAnswer, SyncState, TemplateRefusal};
use printsy_p2p::limits::MAX_HEADERS;
use printsy_p2p::{Direction, PeerKey, Request, RequestFailure, Status};

/// How long bodies may fail to come before a node goes on without them, ms.
const STALL_MS: u64 = 20_000;
/// How many headers of unknown miners a node keeps.
const MAX_STRANGERS: usize = 4_096;

/// A network with a chain of some blocks, and a node that has none of them.
fn network(count: usize) -> (World, Vec<Arc<CheckedBlock>>, Rig) {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let root = world.root();
    let blocks = chain(&mut world, &root, "miner-1", count);
    (world, blocks, Rig::new(&genesis))
}

/// What a peer says whose claim is beyond anything.
fn boasting(world: &World, height: u64) -> Status {
    Status { work: [0x7f; 32], height, ..at_genesis(world) }
}

fn any(world: &World) -> impl Fn(&Hash) -> Option<Arc<CheckedBlock>> {
    |id| world.is_valid(id).then(|| world.block(id).clone())
}

#[test]
fn withheld_bodies_stop_orders_and_templates_for_a_bounded_time_only() {
    let (world, blocks, mut rig) = network(10);
    let best = blocks[9].id();
    let wanted = order(&world.genesis, 1, "alice", purchase(&[(5, 1)], 0));
    rig.join(1, status(&world, &best));
    rig.answer_headers(1, headers_of(&blocks));
    assert_eq!(rig.core.sync_state(), SyncState::Syncing { best: 10 });
    let begun = rig.now;
    while rig.now < begun + STALL_MS {
        while rig.fail_bodies(1, RequestFailure::Refused).is_some() {}
        rig.wait(500);
        assert_eq!(rig.template("miner-1").unwrap_err(), TemplateRefusal::Syncing);
        assert_eq!(rig.buy(&wanted).0, Err(OrderRefusal::Syncing));
    }
    rig.wait(1);
    assert_eq!(rig.core.sync_state(), SyncState::Synced);
    assert!(rig.buy(&wanted).0.is_ok());
    let (_, template) = rig.template("miner-1").unwrap();
    assert_eq!((template.header.height, template.transactions.len()), (1, 1));
    // It never stops asking, and when the bodies come it goes where they lead.
    for _ in 0..70 {
        while rig.answer_bodies(1, any(&world)).is_some() {}
        rig.wait(1_000);
    }
    assert_eq!(rig.tip(), best);
    assert_eq!(rig.template("miner-1").unwrap().1.transactions.len(), 1, "the order still waits");
}

#[test]
fn one_body_of_the_best_branch_makes_a_stalled_node_syncing_again() {
    let (world, blocks, mut rig) = network(12);
    rig.join(1, status(&world, &blocks[11].id()));
    rig.answer_headers(1, headers_of(&blocks));
    rig.wait(STALL_MS + 1);
    assert_eq!(rig.core.sync_state(), SyncState::Synced);
    let first = blocks[0].clone();
    rig.answer_bodies(1, |id| (*id == first.id()).then(|| first.clone())).unwrap();
    assert_eq!(rig.core.sync_state(), SyncState::Syncing { best: 12 });
    rig.wait(STALL_MS);
    assert_eq!(rig.core.sync_state(), SyncState::Syncing { best: 12 });
    rig.wait(1);
    assert_eq!(rig.core.sync_state(), SyncState::Synced);
}

#[test]
fn a_node_far_behind_is_syncing_whether_bodies_come_or_not() {
    for count in [FAR_AHEAD - 1, FAR_AHEAD] {
        let (world, blocks, mut rig) = network(usize::try_from(count).unwrap());
        rig.join(1, status(&world, &blocks.last().unwrap().id()));
        rig.answer_headers(1, headers_of(&blocks));
        for _ in 0..100 {
            rig.wait(1_000);
            while rig.fail_bodies(1, RequestFailure::Timeout).is_some() {}
        }
        let is_far = count >= FAR_AHEAD;
        assert_eq!(rig.core.sync_state().is_syncing(), is_far, "{count} headers ahead");
        assert_eq!(rig.template("miner-1").is_err(), is_far);
        assert_eq!(rig.core.best_height(), count, "told whatever the node makes of it");
    }
}

#[test]
fn many_low_branches_do_not_keep_the_best_one_from_being_fetched() {
    let (mut world, blocks, mut rig) = network(3);
    let siblings = bare_siblings(&world.genesis, "miner-2", 200);
    // One peer shows them and stays silent; an honest one is asked for some of them and has none.
    rig.join(1, boasting(&world, 1));
    rig.answer_headers(1, siblings);
    assert_eq!(rig.headers(), 200);
    rig.join(2, status(&world, &blocks[2].id()));
    for _ in 0..10 {
        rig.wait(1_000);
        while rig.answer_bodies(2, any(&world)).is_some() {}
    }
    assert_eq!(rig.tip(), world.root());
    let effects = rig.answer_headers(2, headers_of(&blocks));
    assert!(asked(&effects, is_bodies).contains(&2), "{effects:?}");
    while rig.answer_bodies(2, any(&world)).is_some() {}
    assert_eq!(rig.tip(), blocks[2].id(), "at once, whatever else is on its way");
    let next = world.extend(&blocks[2].id(), "miner-3", &[]);
    rig.announce(2, *next.header());
    while rig.answer_bodies(2, any(&world)).is_some() {}
    assert_eq!(rig.tip(), next.id());
    assert!(reported(&rig.wait(10_000)).is_empty());
}

#[test]
fn a_full_answer_of_headers_is_followed_by_a_request_only_if_it_brings_news() {
    let genesis = genesis_with(|_| {});
    let world = World::new(&genesis);
    let mut rig = Rig::new(&genesis);
    let headers = bare_chain(&genesis, "miner-1", 2 * MAX_HEADERS - 1);
    let full = headers[..MAX_HEADERS].to_vec();
    rig.join(1, boasting(&world, 1));
    let effects = rig.answer_headers(1, full.clone());
    assert_eq!(asked(&effects, is_headers), [1]);
    let request = rig.open.iter().find(|(_, _, request)| is_headers(request));
    let Some((_, _, Request::Headers { locator, .. })) = request else { panic!("{request:?}") };
    assert_eq!(locator.first(), full.last().map(|header| header.id()).as_ref());
    let effects = rig.answer_headers(1, full);
    assert!(asked(&effects, is_headers).is_empty(), "no news: {effects:?}");
    // It still claims more: asked again, but not at every tick.
    let mut times = 0;
    for _ in 0..10 {
        times += asked(&rig.wait(500), is_headers).len();
        rig.answer(1, is_headers, PeerAnswer::Headers(Vec::new(), None));
    }
    assert_eq!(times, 1, "in five seconds");
    rig.wait(5_000);
    let effects = rig.answer_headers(1, headers[MAX_HEADERS..].to_vec());
    assert!(asked(&effects, is_headers).is_empty(), "one below a full answer is the end");
    assert_eq!(rig.headers(), headers.len());
}

#[test]
fn a_body_that_does_not_come_is_asked_of_a_second_peer() {
    let (world, blocks, mut rig) = network(1);
    let best = blocks[0].id();
    rig.join(1, status(&world, &best));
    rig.join(2, status(&world, &best));
    let effects = rig.answer_headers(1, headers_of(&blocks));
    assert_eq!(asked(&effects, is_bodies), [1], "who showed it");
    assert!(asked(&rig.wait(2_999), is_bodies).is_empty());
    assert_eq!(asked(&rig.wait(1), is_bodies), [2]);
    rig.answer_bodies(2, any(&world)).unwrap();
    assert_eq!(rig.tip(), best);
    let late = rig.answer_bodies(1, any(&world)).unwrap();
    assert!(late.is_empty(), "the late answer is neither news nor a fault: {late:?}");
}

#[test]
fn a_body_that_its_only_announcer_withholds_is_asked_of_those_who_said_nothing_of_it() {
    // Gossip hands out a message once: that others have the block too, nobody says.
    for fails in [false, true] {
        let (world, blocks, mut rig) = network(3);
        rig.join(1, at_genesis(&world));
        rig.join(2, at_genesis(&world));
        for block in &blocks {
            rig.announce(1, *block.header());
            if fails {
                rig.fail_bodies(1, RequestFailure::Refused);
            }
            rig.wait(3_000);
            rig.answer_bodies(2, any(&world)).expect("it is asked as well");
            assert_eq!(rig.tip(), block.id());
            rig.wait(60_000);
        }
    }
}

#[test]
fn a_body_is_asked_of_three_peers_at_once_at_the_most_where_they_gave_others_before() {
    let (world, blocks, mut rig) = network(7);
    for (peer, block) in (1..=6).zip(&blocks) {
        rig.join(peer, at_genesis(&world));
        rig.announce(peer, *block.header());
        rig.answer_bodies(peer, any(&world)).expect("nobody else showed it");
    }
    for peer in 1..=6 {
        rig.announce(peer, *blocks[6].header());
    }
    for _ in 0..39 {
        rig.wait(1_000);
    }
    assert_eq!((1..=6).map(|peer| rig.open_bodies(peer).len()).sum::<usize>(), 3);
}

/// How long a node takes to follow a chain of `count` blocks that one peer gives and `sybils` others only claim, ms.
/// Peers answer at once, or never; the node looks at its requests five times a second.
fn synced_among_sybils(count: usize, sybils: u64, direction: Direction) -> u64 {
    let (world, blocks, mut rig) = network(count);
    let best = blocks[count - 1].id();
    let honest = sybils + 1;
    for peer in 1..=sybils {
        rig.join_as(peer, direction, status(&world, &best));
    }
    rig.join_as(honest, Direction::Inbound, status(&world, &best));
    for peer in 1..=honest {
        rig.answer(peer, is_headers, PeerAnswer::Headers(headers_of(&blocks), None));
    }
    let begun = rig.now;
    while rig.tip() != best {
        assert_eq!(rig.core.sync_state(), SyncState::Syncing { best: blocks[count - 1].height() });
        rig.wait(200);
        while rig.answer_bodies(honest, any(&world)).is_some() {}
        assert!(rig.now < begun + 40_000, "asked of others only when requests run out");
    }
    assert_eq!(rig.core.sync_state(), SyncState::Synced);
    rig.now - begun
}

#[test]
fn silent_peers_hold_up_a_sync_for_seconds_however_many_they_are() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        assert_eq!(synced_among_sybils(101, 0, direction), 200);
        let took = synced_among_sybils(101, 40, direction);
        assert!(took <= 10_000, "{took} ms with 40, {direction:?}");
        for count in [8, 101, 1_000] {
            let took = synced_among_sybils(count, 120, direction);
            assert!(took <= 20_000, "{took} ms with 120, {count} blocks, {direction:?}");
        }
    }
}

#[test]
fn who_gave_bodies_and_who_was_chosen_is_asked_before_whoever_claims_them() {
    let (world, blocks, mut rig) = network(60);
    let best = blocks[59].id();
    rig.join_as(1, Direction::Inbound, status(&world, &best));
    rig.join_as(2, Direction::Outbound, status(&world, &best));
    let effects = rig.answer_headers(1, headers_of(&blocks[..9]));
    assert_eq!(asked(&effects, is_bodies), [2], "though the other one showed them");
    rig.answer_bodies(2, any(&world)).unwrap();
    rig.give(Event::Disconnected { peer: PeerKey(1) });
    // Strangers come, also such as were chosen; one failure does not undo what was given.
    for peer in 3..=9 {
        rig.join_as(peer, Direction::Outbound, status(&world, &best));
    }
    let effects = rig.answer_headers(2, headers_of(&blocks[9..20]));
    assert_eq!(asked(&effects, is_bodies), [2]);
    let effects = rig.fail_bodies(2, RequestFailure::Refused).unwrap();
    assert_eq!(asked(&effects, is_bodies), [3], "while it pauses");
    rig.wait(2_000);
    let effects = rig.answer(3, is_headers, PeerAnswer::Headers(headers_of(&blocks[20..]), None)).unwrap();
    assert_eq!(asked(&effects, is_bodies)[0], 2);
}

#[test]
fn a_peer_that_fails_is_asked_last() {
    let (world, blocks, mut rig) = network(3);
    for peer in [1, 2] {
        rig.join(peer, status(&world, &blocks[2].id()));
    }
    rig.answer_headers(1, headers_of(&blocks[..1]));
    assert_eq!(rig.open_bodies(1).len(), 1);
    let effects = rig.fail_bodies(1, RequestFailure::Timeout).unwrap();
    assert_eq!(asked(&effects, is_bodies), [2], "another one, at once");
    rig.answer_bodies(2, any(&world)).unwrap();
    // Long after its pause it may be asked again, but not while another may: though it showed the block.
    rig.wait(60_000);
    let (_, effects) = rig.announce(1, *blocks[1].header());
    assert_eq!(asked(&effects, is_bodies), [2]);
    assert_eq!(asked(&rig.wait(3_000), is_bodies), [1], "the last resort");
    // Once it has given one, it is as good as any.
    rig.answer_bodies(1, any(&world)).unwrap();
    let (_, effects) = rig.announce(1, *blocks[2].header());
    assert_eq!(asked(&effects, is_bodies), [1]);
}

#[test]
fn a_busy_peer_is_not_asked_again_at_once() {
    let (world, blocks, mut rig) = network(1);
    rig.join(1, status(&world, &blocks[0].id()));
    rig.answer_headers(1, headers_of(&blocks));
    for _ in 0..5 {
        let effects = rig.fail_bodies(1, RequestFailure::Busy).unwrap();
        assert!(asked(&effects, is_bodies).is_empty(), "{effects:?}");
        assert!(asked(&rig.wait(1_999), is_bodies).is_empty());
        assert_eq!(asked(&rig.wait(1), is_bodies), [1], "nor is it held against it");
    }
    rig.answer_bodies(1, any(&world)).unwrap();
    assert_eq!(rig.tip(), blocks[0].id());
}

#[test]
fn a_peer_that_leaves_is_asked_nothing_and_what_it_was_asked_is_asked_of_another() {
    let (world, blocks, mut rig) = network(2);
    for peer in [1, 2] {
        rig.join(peer, status(&world, &blocks[1].id()));
    }
    rig.answer_headers(1, headers_of(&blocks));
    assert_eq!(rig.open_bodies(1).len(), 1);
    let effects = rig.give(Event::Disconnected { peer: PeerKey(1) });
    assert_eq!(asked(&effects, is_bodies), [2]);
    rig.answer_bodies(2, any(&world)).unwrap();
    assert_eq!(rig.tip(), blocks[1].id());
}

#[test]
fn headers_of_strangers_are_bounded_and_forgotten_when_the_tip_knows_them() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut rig = Rig::new(&genesis);
    let strangers = bare_chain(&genesis, "miner-9", MAX_STRANGERS + 100);
    let others = bare_siblings(&genesis, "miner-8", 1);
    rig.join(1, boasting(&world, 10_000));
    for part in strangers.chunks(MAX_HEADERS) {
        assert!(reported(&rig.answer_headers(1, part.to_vec())).is_empty(), "too many are no fault");
    }
    assert_eq!(rig.headers(), MAX_STRANGERS);
    rig.join(2, boasting(&world, 10_000));
    rig.answer_headers(2, others.clone());
    assert_eq!(rig.headers(), MAX_STRANGERS, "the bound is on all strangers together");
    // Those it knows are another matter.
    let registered = order(&genesis, 1, "registrar", register_miner("miner-9"));
    let root = world.root();
    let block = world.extend(&root, "miner-1", &[registered]);
    rig.submit(&block);
    assert_eq!(rig.tip(), block.id());
    assert_eq!(rig.headers(), MAX_STRANGERS + 1);
    // The tip knows miner-9 now: its headers count no longer, there is room for others.
    rig.wait(5_000);
    rig.answer_headers(2, others);
    assert_eq!(rig.headers(), MAX_STRANGERS + 2);
    rig.answer_headers(1, strangers[MAX_STRANGERS..].to_vec());
    assert_eq!(rig.headers(), MAX_STRANGERS + 102);
}
