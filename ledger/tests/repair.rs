//! Laws of repair: whatever one damage is done to the files of a ledger, either the very same chain opens again, or
//! the start is refused with nothing changed; and where peers can be asked, the chain is made whole with what they
//! give. The final height never falls, and the block that was final stays so.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{Genesis, Hash};
use printsy_ledger::store::{Commit, CommitBlock, Disk, Journal, MemoryDisk, MemoryIndex, Missing, repair};
use printsy_ledger::{Damage, InsertError, Ledger, LedgerError};
use support::random::{opening, random_body, random_miner};
use support::{Node, Random, World, for_seeds, genesis_with, random_genesis};

/// Segments so short that a history has many.
const SHORT_SEGMENT: u64 = 6_000;

/// A ledger with a random history of extensions and reorganisations, and all blocks ever made.
fn history(random: &mut Random, blocks: u64) -> (World, Hash, u64, MemoryDisk) {
    let genesis = random_genesis(random, |params| params.finality_depth = 6);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let first = opening(random, &genesis);
    let block = world.extend(&world.root(), "miner-1", &first);
    node.give(&block);
    while node.height() < blocks {
        let tip = world.state(&node.tip()).clone();
        let unfinal = usize::try_from(node.height() - node.ledger.final_height()).unwrap();
        let back = if random.chance(4) { random.index(unfinal.min(3) + 1) } else { 0 };
        let mut at = tip.chain[tip.chain.len() - 1 - back];
        for _ in 0..=back {
            let state = world.state(&at).clone();
            let body = random_body(random, &genesis, &state, 4);
            let block = world.extend(&at, random_miner(random, &genesis, &state), &body);
            at = block.id();
            node.place(&block);
        }
        node.advance();
    }
    node.ledger.close().unwrap();
    let (tip, final_height) = (node.tip(), node.ledger.final_height());
    let disk = if random.chance(2) { in_short_segments(&node) } else { node.disk.reopened(support_fuse()) };
    (world, tip, final_height, disk)
}

fn support_fuse() -> printsy_ledger::store::Fuse {
    printsy_ledger::store::Fuse::never()
}

/// The same commits in many segments, with what belongs to them made anew.
fn in_short_segments(node: &Node) -> MemoryDisk {
    let genesis = node.ledger.genesis();
    let disk = Arc::new(MemoryDisk::new());
    let from = Journal::open(node.disk.clone(), genesis.hash(), 0).unwrap().reader();
    let mut to = Journal::open_with_segments(disk.clone(), genesis.hash(), 0, SHORT_SEGMENT).unwrap();
    for stored in from.moves(0) {
        let stored = stored.unwrap();
        let connect = stored.connect.iter().map(|(id, position)| {
            let block = from.block(*position).unwrap();
            CommitBlock { id: *id, block: block.block, undo: block.undo }
        });
        let connect = connect.collect();
        let (disconnect, final_height) = (stored.disconnect.clone(), stored.final_height);
        to.append(&Commit { disconnect, connect, final_height }).unwrap();
    }
    drop(to);
    let (ledger, _) = Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
    ledger.close().unwrap();
    disk.reopened(support_fuse())
}

/// Opens with an empty index, repairing on the way as the daemon does; the index's mark knew what was final.
fn healed(
    genesis: &Arc<Genesis>,
    disk: &Arc<MemoryDisk>,
    known_final: u64,
    missing: Missing,
) -> Result<Ledger, LedgerError> {
    let seam: Arc<dyn Disk> = disk.clone();
    let mut told = Vec::new();
    for _ in 0..3 {
        match Ledger::open(genesis.clone(), seam.clone(), Arc::new(MemoryIndex::default())) {
            Ok((ledger, _)) => return Ok(ledger),
            Err(error) if error.damage() == Some(Damage::Journal) => {
                told.push(error.to_string());
                repair(&seam, genesis, known_final, missing)?;
            }
            Err(error) if error.damage() == Some(Damage::Derived) => {}
            Err(error) => return Err(error),
        }
    }
    panic!("the third repair did not help: {told:?}");
}

fn files(disk: &MemoryDisk) -> Vec<String> {
    let journal = disk.list("journal").unwrap().into_iter().map(|name| format!("journal/{name}"));
    journal.chain(disk.list("").unwrap()).collect()
}

fn contents(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let len = usize::try_from(disk.len(&name).unwrap().unwrap()).unwrap();
        let bytes = disk.read(&name, 0, len).unwrap();
        (name, bytes)
    };
    files(disk).into_iter().map(read).collect()
}

/// Flips a byte, cuts the file, or removes it; says what it did.
fn damage(random: &mut Random, disk: &MemoryDisk) -> String {
    let journal: Vec<String> = files(disk).into_iter().filter(|name| name.ends_with(".seg")).collect();
    let any = files(disk);
    let name =
        if random.chance(4) { &any[random.index(any.len())] } else { &journal[random.index(journal.len())] };
    let len = disk.len(name).unwrap().unwrap();
    match random.below(6) {
        0 => {
            disk.remove(name).unwrap();
            format!("{name} removed")
        }
        1 => {
            let at = random.below(len);
            disk.cut(name, at).unwrap();
            format!("{name} cut to {at} of {len}")
        }
        _ => {
            let at = random.below(len);
            let byte = disk.read(name, at, 1).unwrap()[0];
            let flipped = byte ^ (1 << random.below(8));
            disk.write_at(name, at, &[flipped]).unwrap();
            format!("{name} flipped at {at} of {len}")
        }
    }
}

fn assert_same_chain(world: &World, tip: &Hash, ledger: Ledger, disk: &Arc<MemoryDisk>, what: &str) {
    assert_eq!(
        ledger.tip().id(),
        *tip,
        "{what}: at {} {:?}, was at {}; final {}, repairing to {:?}",
        ledger.tip().height(),
        world.is_valid(&ledger.tip().id()),
        world.state(tip).height(),
        ledger.final_height(),
        ledger.repairing_to()
    );
    assert_eq!(ledger.repairing_to(), None, "{what}");
    let reader = ledger.reader();
    let node = Node { ledger, reader, disk: disk.clone(), index: Arc::default(), is_synced: true };
    node.assert_is(world, tip);
    assert!(files(disk).iter().all(|name| !name.contains("damaged")), "{what}: {:?}", files(disk));
}

/// Gives a ledger the blocks of a branch as peers would: headers first, then the bodies it asks for.
fn sync(world: &World, tip: &Hash, ledger: &mut Ledger) {
    for _ in 0..3 {
        for block in world.branch(tip) {
            let time = block.header().header().time;
            let placed = ledger.insert_header(*block.header(), time);
            if placed.is_ok() && ledger.needs_body(&block.id()) && !ledger.has_salvaged(&block.id()) {
                ledger.add_body(block.clone());
            }
            ledger.advance(false, time).unwrap();
            while ledger.feed_salvage().unwrap() {
                ledger.advance(false, time).unwrap();
            }
        }
    }
}

#[test]
fn one_damage_is_made_good_or_refused_with_nothing_changed_and_peers_make_it_whole() {
    let mut tally = [0; 3];
    for_seeds_counting(0..120, &mut tally, |random, tally| {
        let (world, tip, final_height, disk) = history(random, 14);
        let what = damage(random, &disk);
        let before = contents(&disk);
        let alone = Arc::new(disk.reopened(support_fuse()));
        match healed(&world.genesis, &alone, final_height, Missing::Refuse) {
            Ok(ledger) => {
                tally[0] += 1;
                assert!(ledger.final_height() >= final_height, "{what}: {}", ledger.final_height());
                assert_same_chain(&world, &tip, ledger, &alone, &what);
            }
            Err(error) => {
                tally[1] += 1;
                assert_eq!(error.damage(), Some(Damage::Journal), "{what}: {error}");
                assert!(error.to_string().contains("--bootnodes"), "{what}: {error}");
                let kept = |files: Vec<(String, Vec<u8>)>| {
                    files.into_iter().filter(|(name, _)| name.starts_with("journal")).collect::<Vec<_>>()
                };
                assert_eq!(kept(contents(&alone)), kept(before), "{what}: something was changed");
                tally[2] += 1;
                let disk = Arc::new(disk);
                let mut ledger = healed(&world.genesis, &disk, final_height, Missing::Fetch).unwrap();
                sync(&world, &tip, &mut ledger);
                assert_same_chain(&world, &tip, ledger, &disk, &what);
            }
        }
    });
    assert!(tally.iter().all(|count| *count > 10), "the damages are of all kinds: {tally:?}");
}

fn for_seeds_counting(
    seeds: std::ops::Range<u64>,
    tally: &mut [u32; 3],
    law: impl Fn(&mut Random, &mut [u32; 3]),
) {
    let counts = std::cell::Cell::new(*tally);
    for_seeds(seeds, |random| {
        let mut now = counts.get();
        law(random, &mut now);
        counts.set(now);
    });
    *tally = counts.get();
}

#[test]
fn the_block_that_was_final_before_a_repair_stays_final() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut at = world.root();
    for _ in 0..10 {
        let block = world.extend(&at, "miner-1", &[]);
        at = block.id();
        node.give(&block);
    }
    node.ledger.close().unwrap();
    assert_eq!(node.ledger.final_height(), 7);
    let disk = Arc::new(node.disk.reopened(support_fuse()));
    let segment = files(&disk).into_iter().find(|name| name.ends_with(".seg")).unwrap();
    disk.remove(&segment).unwrap();
    let seam: Arc<dyn Disk> = disk.clone();
    assert!(repair(&seam, &genesis, 7, Missing::Refuse).is_err());
    repair(&seam, &genesis, 7, Missing::Fetch).unwrap().unwrap();
    let (mut ledger, _) = Ledger::open(genesis.clone(), disk, Arc::new(MemoryIndex::default())).unwrap();
    assert_eq!(ledger.tip().height(), 0);
    assert_eq!(ledger.repairing_to(), Some(10));
    // Another branch of the same work, and more: its block 7 is not the one that was final.
    let mut other = world.root();
    for height in 1..=12 {
        let block = world.extend(&other, "miner-2", &[]);
        other = block.id();
        let placed = ledger.insert_header(*block.header(), u64::MAX);
        match height {
            7 => assert!(matches!(placed, Err(InsertError::LeavesFinal { height: 7, .. })), "{placed:?}"),
            8.. => assert!(placed.is_err()),
            _ => assert!(placed.is_ok()),
        }
    }
    sync(&world, &at, &mut ledger);
    assert_eq!((ledger.tip().id(), ledger.repairing_to(), ledger.final_height()), (at, None, 7));
}

#[test]
fn a_repair_that_is_cut_off_at_any_step_is_begun_again() {
    for_seeds(0..6, |random| {
        let (world, tip, _, disk) = history(random, 10);
        let segments: Vec<String> = files(&disk).into_iter().filter(|name| name.ends_with(".seg")).collect();
        // What undoes a block ends its frame: the block itself can still be read.
        let name = &segments[random.index(segments.len())];
        let position = first_block_end(&world, &disk, name);
        let byte = disk.read(name, position, 1).unwrap()[0];
        disk.write_at(name, position, &[!byte]).unwrap();
        for steps in 0.. {
            let fuse = printsy_ledger::store::Fuse::after(steps);
            let seam: Arc<dyn Disk> = Arc::new(disk.reopened(fuse.clone()));
            let copy: Arc<MemoryDisk> = Arc::new(disk.reopened(fuse.clone()));
            drop(seam);
            let seam: Arc<dyn Disk> = copy.clone();
            let done = repair(&seam, &world.genesis, 0, Missing::Refuse).is_ok();
            for after in [copy.crashed(), copy.reopened(support_fuse())] {
                let after = Arc::new(after);
                let ledger = healed(&world.genesis, &after, 0, Missing::Refuse).unwrap();
                assert_same_chain(&world, &tip, ledger, &after, &format!("after {steps} steps"));
            }
            if done && !fuse.is_blown() {
                break;
            }
        }
    });
}

/// The last byte of the first block's frame in a segment.
fn first_block_end(world: &World, disk: &MemoryDisk, name: &str) -> u64 {
    let base: u64 = name["journal/".len()..name.len() - ".seg".len()].parse().unwrap();
    let copy = Arc::new(disk.reopened(support_fuse()));
    let reader = Journal::open(copy, world.genesis.hash(), 0).unwrap().reader();
    let moves: Vec<_> = reader.moves(0).map(Result::unwrap).collect();
    let (_, position) = moves.iter().flat_map(|stored| &stored.connect).find(|(_, at)| *at >= base).unwrap();
    let stored = reader.block(*position).unwrap();
    let len = u64::try_from(9 + 4 + stored.block.len() + stored.undo.len()).unwrap();
    position + len - 1 - base
}

/// An operator took the chain back to block 4 of 10; then the node followed another branch, or not yet.
#[test]
fn what_an_operator_gave_up_is_not_final_again_after_a_repair() {
    for blocks in [0, 12] {
        let genesis = genesis_with(|params| params.finality_depth = 3);
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let mut positions = Vec::new();
        for _ in 0..10 {
            let block = world.extend(&node.tip(), "miner-1", &[]);
            node.give(&block);
            positions.push(node.reader.header_at(node.height()).unwrap().unwrap().position);
        }
        let fork = world.state(&node.tip()).chain[4];
        let Node { ledger, reader, disk, index, .. } = node;
        drop(reader);
        let planned = ledger.plan_retreat(&fork).unwrap();
        ledger.retreat(planned).unwrap();
        let (mut node, _) = Node::open(&genesis, disk, index);
        let mut other = fork;
        for given in 0..12 {
            let block = world.extend(&other, "miner-2", &[]);
            other = block.id();
            if given < blocks {
                node.give(&block);
            }
        }
        node.ledger.close().unwrap();
        let final_height = node.ledger.final_height();
        assert_eq!(final_height, if blocks == 0 { 4 } else { 13 });
        // Before the fork, so that all that came after has to be made anew.
        for position in &positions[..4] {
            let disk = Arc::new(node.disk.reopened(support_fuse()));
            let segment = files(&disk).into_iter().find(|name| name.ends_with(".seg")).unwrap();
            let byte = disk.read(&segment, position + 50, 1).unwrap()[0];
            disk.write_at(&segment, position + 50, &[byte ^ 1]).unwrap();
            let mut ledger = healed(&genesis, &disk, final_height, Missing::Fetch).unwrap();
            assert!(ledger.final_height() <= final_height);
            sync(&world, &other, &mut ledger);
            assert_eq!((ledger.tip().id(), ledger.repairing_to()), (other, None));
            assert_eq!(ledger.final_height(), final_height);
        }
    }
}
