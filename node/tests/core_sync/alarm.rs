//! The finality alarm: raised by proof alone, standing while there is cause, and never a reason to leave the chain.

use printsy_consensus::{CheckedHeader, HeaderError};
use printsy_ledger::store::{MemoryDisk, MemoryIndex};
use printsy_ledger::{Ledger, MAX_TREE_HEADERS};
use printsy_node::core::{Alarms, BlockVerdict, Conflict, Event, PeerAnswer};
use printsy_p2p::PeerKey;

use super::core_support::signed;
use super::*;

/// How long a peer whose branch proved nothing is not surveyed again, ms.
const SURVEY_AGAIN_MS: u64 = 60_000;
/// How long after a look at a branch the next one comes, ms.
const FOLLOW_MS: u64 = 10_000;

/// A node whose own chain is ten blocks, of which the last three are not final.
fn with_final_blocks() -> (World, Vec<Arc<CheckedBlock>>, Rig) {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let mut world = World::new(&genesis);
    let root = world.root();
    let own = chain(&mut world, &root, "miner-1", 10);
    let mut rig = Rig::new(&genesis);
    own.iter().for_each(|block| drop(rig.submit(block)));
    assert_eq!(rig.core.ledger().final_height(), 7);
    (world, own, rig)
}

/// Answers every request for headers to a peer as a node with these headers does, genesis aside; how many.
fn serve(rig: &mut Rig, peer: u64, headers: &[CheckedHeader]) -> usize {
    for answered in 0..50 {
        let request = rig.open.iter().find(|(asked, _, request)| *asked == peer && is_headers(request));
        let Some((_, _, Request::Headers { locator, .. })) = request else { return answered };
        let at = |id: &Hash| headers.iter().position(|header| header.id() == *id);
        let from = locator.iter().find_map(at).map_or(0, |at| at + 1);
        let part = headers[from..].iter().take(MAX_HEADERS).copied().collect();
        rig.answer_headers(peer, part);
    }
    panic!("it asks for ever");
}

/// A peer with these blocks joins and answers what it is asked.
fn join(rig: &mut Rig, world: &World, peer: u64, blocks: &[Arc<CheckedBlock>]) -> Vec<CheckedHeader> {
    let headers = headers_of(blocks);
    rig.join(peer, status(world, &blocks.last().unwrap().id()));
    serve(rig, peer, &headers);
    headers
}

fn none() -> Alarms {
    Alarms::default()
}

#[test]
fn a_heavier_chain_that_leaves_a_final_block_is_an_alarm_by_proof() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 12);
    let theirs = other.last().unwrap().id();
    join(&mut rig, &world, 1, &world.branch(&theirs));
    let conflict = Conflict {
        fork_height: 5,
        height: 17,
        tip: theirs,
        work: world.state(&theirs).work,
        final_height: 7,
        final_block: own[6].id(),
    };
    let standing = Alarms { conflict: Some(conflict), conflicts: 1, ..none() };
    assert_eq!(rig.core.alarms(), standing);
    let said = conflict.to_string();
    for part in ["audit --against URL", &format!("resolve --to {theirs}"), &own[6].id().to_string()] {
        assert!(said.contains(part), "{said}");
    }
    // It stays, and works on.
    assert_eq!((rig.tip(), rig.core.sync_state()), (own[9].id(), SyncState::Synced));
    assert!(rig.template("miner-1").is_ok());
    let wanted = order(&world.genesis, 11, "alice", purchase(&[(5, 1)], 0));
    assert!(rig.buy(&wanted).0.is_ok());
    assert!(reported(&rig.wait(200)).is_empty(), "nor is it the peer's fault");
    // A second peer with the same chain is a second cause.
    join(&mut rig, &world, 2, &world.branch(&theirs));
    assert_eq!(rig.core.alarms(), Alarms { conflicts: 2, ..standing });
    rig.give(Event::Disconnected { peer: PeerKey(1) });
    assert_eq!(rig.core.alarms(), standing);
    rig.give(Event::Disconnected { peer: PeerKey(2) });
    assert_eq!(rig.core.alarms(), none());
}

#[test]
fn a_branch_of_our_final_block_is_taken_and_no_alarm() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[6].id(), "miner-2", 5);
    let theirs = other.last().unwrap().id();
    join(&mut rig, &world, 1, &world.branch(&theirs));
    while rig.answer_bodies(1, any(&world)).is_some() {}
    assert_eq!((rig.tip(), rig.core.alarms()), (theirs, none()));
}

#[test]
fn a_claim_of_work_is_no_alarm_whatever_else_is_shown() {
    let (mut world, own, _) = with_final_blocks();
    let light = chain(&mut world, &own[3].id(), "miner-2", 6);
    let light = headers_of(&world.branch(&light[5].id()));
    let own = headers_of(&own);
    let mut gap = light.clone();
    gap.remove(5);
    let shown = [
        vec![],
        own[..3].to_vec(),
        own[..7].to_vec(),
        own.clone(),
        light.clone(),
        gap,
        light[5..].to_vec(),
        bare_siblings(&world.genesis, "miner-1", 30),
    ];
    for (case, headers) in shown.into_iter().enumerate() {
        let (_, _, mut rig) = with_final_blocks();
        let boast = boasting(&world, 1_000);
        rig.join(1, boast.clone());
        serve(&mut rig, 1, &headers);
        rig.give(Event::PeerStatus { peer: PeerKey(1), status: boast });
        let mut asked = 0;
        for _ in 0..20 {
            rig.wait(1_000);
            asked += serve(&mut rig, 1, &headers);
            assert_eq!(rig.core.alarms(), none(), "{case}");
        }
        assert!(asked <= 6, "{case}: asked {asked} times in 20 seconds");
    }
}

#[test]
fn work_of_keys_that_may_not_mine_counts_for_nothing() {
    for (miner, conflicts) in [("miner-9", 0), ("miner-2", 1)] {
        let (world, _, mut rig) = with_final_blocks();
        let headers = bare_chain(&world.genesis, miner, 40);
        rig.join(1, boasting(&world, 40));
        serve(&mut rig, 1, &headers);
        assert_eq!(rig.core.alarms().conflicts, conflicts, "{miner}");
    }
}

#[test]
fn a_long_branch_is_surveyed_part_by_part_to_its_end() {
    let (world, _, mut rig) = with_final_blocks();
    let headers = bare_chain(&world.genesis, "miner-2", 2 * MAX_HEADERS + 100);
    rig.join(1, boasting(&world, 1));
    serve(&mut rig, 1, &headers);
    let conflict = rig.core.alarms().conflict.unwrap();
    let last = headers.last().unwrap();
    assert_eq!((conflict.height, conflict.tip), (last.header().height, last.id()));
    let (work, genesis) = (headers[0].target().work(), world.state(&world.root()).work);
    let total = headers.iter().fold(genesis, |total, _| total.plus(work));
    assert_eq!((conflict.fork_height, conflict.work), (0, total));
    assert_eq!(rig.headers(), 3, "nothing of it is kept");
}

#[test]
fn an_alarm_ends_when_our_chain_has_more_work() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 7);
    join(&mut rig, &world, 1, &world.branch(&other[6].id()));
    assert_eq!(rig.core.alarms().conflicts, 1);
    let (even, ahead) = {
        let more = chain(&mut world, &own[9].id(), "miner-1", 3);
        (more[..2].to_vec(), more[2].clone())
    };
    rig.submit(&even[0]);
    rig.wait(200);
    assert_eq!(rig.core.alarms().conflicts, 1, "theirs has a block more");
    rig.submit(&even[1]);
    rig.wait(200);
    assert_eq!(rig.core.alarms(), none(), "as much is not more");
    rig.submit(&ahead);
    rig.wait(200);
    assert_eq!(rig.core.alarms(), none());
    // The other chain gets ahead again. An announcement shows that there is more, and the peer is asked.
    let more = chain(&mut world, &other[6].id(), "miner-2", 5);
    let theirs = more[4].id();
    let headers = headers_of(&world.branch(&theirs));
    rig.announce(1, *more[4].header());
    for _ in 0..40 {
        serve(&mut rig, 1, &headers);
        rig.answer(1, core_support::is_status, PeerAnswer::Status(status(&world, &theirs)));
        rig.wait(1_000);
    }
    assert_eq!(rig.core.alarms().conflict.unwrap().tip, theirs);
}

#[test]
fn an_alarm_follows_its_branch_until_the_peer_leaves_it() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 7);
    join(&mut rig, &world, 1, &world.branch(&other[6].id()));
    let more = chain(&mut world, &other[6].id(), "miner-2", 5);
    let mut theirs = headers_of(&world.branch(&more[4].id()));
    rig.wait(FOLLOW_MS - 1);
    assert_eq!(serve(&mut rig, 1, &theirs), 0, "not at every tick");
    rig.wait(1);
    assert_eq!(serve(&mut rig, 1, &theirs), 1);
    assert_eq!(rig.core.alarms().conflict.unwrap().tip, more[4].id());
    // No answer is no news.
    rig.wait(FOLLOW_MS);
    let busy = PeerAnswer::Failed(RequestFailure::Timeout);
    rig.answer(1, is_headers, busy).expect("it is asked on");
    assert_eq!(rig.core.alarms().conflicts, 1);
    // Its branch changes: the new one is looked at from its beginning.
    let changed = chain(&mut world, &own[5].id(), "miner-3", 12);
    theirs = headers_of(&world.branch(&changed[11].id()));
    rig.wait(FOLLOW_MS);
    serve(&mut rig, 1, &theirs);
    let conflict = rig.core.alarms().conflict.unwrap();
    assert_eq!((conflict.tip, conflict.fork_height), (changed[11].id(), 6));
    // It comes over to us.
    rig.wait(FOLLOW_MS);
    serve(&mut rig, 1, &headers_of(&own));
    assert_eq!(rig.core.alarms(), none());
}

#[test]
fn a_header_that_breaks_a_rule_is_the_peer_s_fault_and_proves_nothing() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 12);
    let mut headers = headers_of(&world.branch(&other[11].id()));
    let mut broken = *headers[8].header();
    broken.height += 1;
    headers[8] = CheckedHeader::check(signed(broken, "miner-2")).unwrap();
    rig.join(1, boasting(&world, 17));
    rig.answer_headers(1, headers.clone());
    let effects = rig.answer_headers(1, headers.clone());
    assert_eq!((reported(&effects), rig.core.alarms()), (vec![1], none()));
    // Nor is it looked at again at once.
    let mut surveys = 0;
    for _ in 0..50 {
        rig.wait(1_000);
        surveys += serve(&mut rig, 1, &headers);
    }
    assert!(surveys <= 10, "{surveys}: the usual question every five seconds");
    rig.wait(SURVEY_AGAIN_MS);
    assert!(serve(&mut rig, 1, &headers) >= 2);
}

#[test]
fn a_block_handed_in_from_below_the_final_block_is_no_alarm() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 12);
    for block in &other {
        assert_eq!(rig.submit(block).0.verdict, BlockVerdict::UnknownParent);
    }
    assert_eq!((rig.tip(), rig.core.alarms()), (own[9].id(), none()));
}

#[test]
fn headers_of_newer_rules_are_an_alarm_of_their_own_while_the_peer_is_there() {
    let (world, _, mut rig) = with_final_blocks();
    let newer = || HeaderError::Version { got: 2 };
    rig.join(1, boasting(&world, 100));
    rig.answer(1, is_headers, PeerAnswer::Headers(Vec::new(), Some(newer()))).unwrap();
    assert_eq!(rig.core.alarms(), Alarms { newer: 1, ..none() });
    rig.join(2, at_genesis(&world));
    for _ in 0..3 {
        let from = rig.message(2);
        let effects = rig.give(Event::Announced { header: Err(newer()), from });
        assert_eq!(core_support::verdicts(&effects, from.message), [printsy_p2p::Verdict::Ignore]);
    }
    assert_eq!(rig.core.alarms(), Alarms { newer: 2, ..none() });
    for peer in [1, 2] {
        rig.give(Event::Disconnected { peer: PeerKey(peer) });
    }
    assert_eq!(rig.core.alarms(), none());
    // An older version is a fault, and no news.
    rig.join(3, at_genesis(&world));
    let from = rig.message(3);
    rig.give(Event::Announced { header: Err(HeaderError::Version { got: 0 }), from });
    assert_eq!(rig.core.alarms(), none());
}

#[test]
fn as_much_work_as_ours_is_no_alarm_whatever_is_claimed() {
    let (mut world, own, mut rig) = with_final_blocks();
    let other = chain(&mut world, &own[4].id(), "miner-2", 5);
    rig.join(1, boasting(&world, 10));
    serve(&mut rig, 1, &headers_of(&world.branch(&other[4].id())));
    assert_eq!(rig.core.alarms(), none());
}

/// The bodies of a better branch that this node cannot hold all at once.
#[test]
fn a_better_branch_that_does_not_fit_is_an_alarm_while_it_stands() {
    let genesis = genesis_with(|params| params.finality_depth = 14);
    let mut world = World::new(&genesis);
    let root = world.root();
    let own = chain(&mut world, &root, "miner-1", 12);
    let other = chain(&mut world, &root, "miner-2", 30);
    let disk = Arc::new(MemoryDisk::default());
    let (mut ledger, _) = Ledger::open(genesis.clone(), disk, Arc::new(MemoryIndex::default())).unwrap();
    ledger.set_bounds(MAX_TREE_HEADERS, 2 * own[0].bytes().len());
    let mut rig = Rig::on(ledger);
    for block in &own {
        rig.submit(block);
    }
    assert_eq!(rig.core.alarms(), none());
    rig.join(1, status(&world, &other[29].id()));
    rig.answer_headers(1, headers_of(&other));
    while rig.answer_bodies(1, |id| Some(world.block(id).clone())).is_some() {}
    assert_eq!(rig.tip(), own[11].id());
    assert_eq!(rig.core.alarms(), Alarms { beyond_room: Some(30), ..none() });
    // After a while the node goes on with its own chain, and makes nothing final.
    rig.wait(20_001);
    for block in chain(&mut world, &own[11].id(), "miner-3", 4) {
        assert_eq!(rig.submit(&block).0.verdict, BlockVerdict::Accepted);
        rig.wait(1_000);
    }
    assert_eq!((rig.core.ledger().tip().height(), rig.core.ledger().final_height()), (16, 0));
    // It ends where the own chain has more work.
    for block in chain(&mut world, &rig.tip(), "miner-3", 15) {
        assert_eq!(rig.submit(&block).0.verdict, BlockVerdict::Accepted);
    }
    rig.wait(1_000);
    assert_eq!((rig.core.alarms(), rig.core.ledger().final_height()), (none(), 17));
}
